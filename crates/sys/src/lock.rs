//! Open-file-description locks.

use rustix::fd::{AsFd, AsRawFd};
use rustix::fs::FlockOperation;
use rustix::io::Errno;

use crate::{Error, Result, fd};

/// What a lock admits beside itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Other shared locks. Requires a descriptor open for reading.
    Shared,
    /// Nothing. Requires a descriptor open for writing.
    Exclusive,
}

/// What to do when somebody else holds the lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contention {
    /// Sleep until it is free.
    Wait,
    /// Return [`Outcome::Held`].
    Fail,
}

/// Whether the lock was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Outcome {
    /// It is ours until the last copy of the descriptor is closed, or [`unlock`].
    Taken,
    /// Somebody else holds it.
    Held,
}

/// Locks the whole file: `fcntl(F_OFD_SETLK)` or `F_OFD_SETLKW` (Linux 3.15), as LXC does.
///
/// Where the file system has no such locks (`EINVAL`, `ENOLCK`, `EOPNOTSUPP`), `flock(2)` serves instead.
/// The lock belongs to the open file description: a fork shares it, a second `open` in this process does not.
pub fn lock(file: impl AsFd, kind: Kind, contention: Contention) -> Result<Outcome> {
    let command = match contention {
        Contention::Wait => libc::F_OFD_SETLKW,
        Contention::Fail => libc::F_OFD_SETLK,
    };
    match control(&file, command, &mut whole(kind_number(kind))) {
        Ok(()) => Ok(Outcome::Taken),
        Err(Errno::AGAIN | Errno::ACCESS) => Ok(Outcome::Held),
        Err(Errno::INVAL | Errno::NOLCK | Errno::OPNOTSUPP | Errno::NOSYS) => flock(file, kind, contention),
        Err(e) => Err(Error::new(format!("fcntl({}, F_OFD_SETLK, {kind:?})", fd::name(file)), e)),
    }
}

/// Gives the lock of [`lock`] up.
pub fn unlock(file: impl AsFd) -> Result<()> {
    control(&file, libc::F_OFD_SETLK, &mut whole(libc::F_UNLCK))
        .or_else(|_| rustix::fs::flock(&file, FlockOperation::Unlock))
        .map_err(|e| Error::new(format!("fcntl({}, F_OFD_SETLK, F_UNLCK)", fd::name(file)), e))
}

/// Whether somebody else holds a lock that would keep us from taking one of `kind`: `fcntl(F_OFD_GETLK)`.
///
/// The answer is old as soon as it is given: for people to read, not to act upon.
pub fn is_held(file: impl AsFd, kind: Kind) -> Result<bool> {
    let mut probe = whole(kind_number(kind));
    control(&file, libc::F_OFD_GETLK, &mut probe)
        .map_err(|e| Error::new(format!("fcntl({}, F_OFD_GETLK, {kind:?})", fd::name(file)), e))?;
    Ok(i32::from(probe.l_type) != libc::F_UNLCK)
}

/// Locks the file by `flock(2)`, which [`lock`] does not see on local file systems.
pub fn flock(file: impl AsFd, kind: Kind, contention: Contention) -> Result<Outcome> {
    let operation = match (kind, contention) {
        (Kind::Shared, Contention::Wait) => FlockOperation::LockShared,
        (Kind::Shared, Contention::Fail) => FlockOperation::NonBlockingLockShared,
        (Kind::Exclusive, Contention::Wait) => FlockOperation::LockExclusive,
        (Kind::Exclusive, Contention::Fail) => FlockOperation::NonBlockingLockExclusive,
    };
    match rustix::io::retry_on_intr(|| rustix::fs::flock(&file, operation)) {
        Ok(()) => Ok(Outcome::Taken),
        Err(Errno::WOULDBLOCK) => Ok(Outcome::Held),
        Err(e) => Err(Error::new(format!("flock({}, {operation:?})", fd::name(file)), e)),
    }
}

fn kind_number(kind: Kind) -> i32 {
    match kind {
        Kind::Shared => libc::F_RDLCK,
        Kind::Exclusive => libc::F_WRLCK,
    }
}

fn whole(kind: i32) -> libc::flock {
    libc::flock {
        l_type: i16::try_from(kind).expect("lock types are 0 to 2"),
        l_whence: i16::try_from(libc::SEEK_SET).expect("SEEK_SET is 0"),
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    }
}

fn control(file: impl AsFd, command: i32, lock: &mut libc::flock) -> std::result::Result<(), Errno> {
    rustix::io::retry_on_intr(|| {
        // SAFETY: the three commands take a pointer to a `flock`, which lives and is ours alone.
        let result = unsafe { libc::fcntl(file.as_fd().as_raw_fd(), command, &raw mut *lock) };
        if result == 0 {
            return Ok(());
        }
        let raw = std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO);
        Err(Errno::from_raw_os_error(raw))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    struct Scratch(std::path::PathBuf);
    impl Scratch {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("hull-lock-{}-{name}", std::process::id()));
            File::create(&path).unwrap();
            Self(path)
        }
        fn open(&self) -> File {
            File::options().read(true).write(true).open(&self.0).unwrap()
        }
    }
    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = std::fs::remove_file(&self.0);
        }
    }

    #[test]
    fn exclusive_excludes_a_second_open_until_unlocked() {
        let scratch = Scratch::new("exclusive");
        let (a, b) = (scratch.open(), scratch.open());
        assert_eq!(lock(&a, Kind::Exclusive, Contention::Fail).unwrap(), Outcome::Taken);
        assert_eq!(lock(&b, Kind::Shared, Contention::Fail).unwrap(), Outcome::Held);
        assert!(is_held(&b, Kind::Shared).unwrap());
        assert!(!is_held(&a, Kind::Exclusive).unwrap(), "one's own lock is in nobody's way");
        unlock(&a).unwrap();
        assert!(!is_held(&b, Kind::Exclusive).unwrap());
        assert_eq!(lock(&b, Kind::Exclusive, Contention::Wait).unwrap(), Outcome::Taken);
    }

    #[test]
    fn shared_locks_share_and_closing_frees() {
        let scratch = Scratch::new("shared");
        let (a, b) = (scratch.open(), scratch.open());
        assert_eq!(lock(&a, Kind::Shared, Contention::Fail).unwrap(), Outcome::Taken);
        assert_eq!(lock(&b, Kind::Shared, Contention::Fail).unwrap(), Outcome::Taken);
        assert_eq!(lock(&b, Kind::Exclusive, Contention::Fail).unwrap(), Outcome::Held);
        drop(a);
        assert_eq!(lock(&b, Kind::Exclusive, Contention::Fail).unwrap(), Outcome::Taken);
    }

    #[test]
    fn flock_excludes_flock() {
        let scratch = Scratch::new("flock");
        let (a, b) = (scratch.open(), scratch.open());
        assert_eq!(flock(&a, Kind::Exclusive, Contention::Fail).unwrap(), Outcome::Taken);
        assert_eq!(flock(&b, Kind::Shared, Contention::Fail).unwrap(), Outcome::Held);
    }
}
