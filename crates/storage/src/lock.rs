//! Locks that keep commands off each other's volumes, with a waiting policy as data.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use hull_sys::lock::{Contention, Outcome, lock};
use rustix::fd::OwnedFd;
use rustix::fs::{CWD, Mode, OFlags};

pub use hull_sys::lock::Kind;

use crate::encode;
use crate::error::{Error, ErrorKind, Result};
use crate::name::Locator;

/// What to do when somebody else holds a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Fail at once.
    No,
    /// Try again until so much time has passed.
    UpTo(Duration),
}

/// A lock on a file that stays when it is released: an open-file-description lock (fcntl(2)), as LXC takes on
/// its containers. Dropping it, or the death of the process, releases it.
#[derive(Debug)]
#[must_use = "the lock is released when the guard is dropped"]
pub struct FileLock {
    _file: OwnedFd,
}

impl FileLock {
    /// Locks `path`, which is made if missing, with the directories above it.
    ///
    /// Fails with [`ErrorKind::InUse`], saying that `what` is in use, when it is still held after `wait`.
    pub fn acquire(path: &Path, kind: Kind, wait: Wait, what: &dyn std::fmt::Display) -> Result<Self> {
        let file = open(path)?;
        let begun = Instant::now();
        let deadline = begun
            + match wait {
                Wait::No => Duration::ZERO,
                Wait::UpTo(time) => time,
            };
        loop {
            if lock(&file, kind, Contention::Fail)? == Outcome::Taken {
                return Ok(Self { _file: file });
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let text = format!(
                    "{what} is being used by another command (lock {}): try again later",
                    path.display()
                );
                return Err(Error::new(ErrorKind::InUse, text));
            }
            // Most are held for a millisecond or for very long: so it takes an eighth longer than it must, at most.
            let pause = (begun.elapsed() / 8).clamp(Duration::from_micros(100), Duration::from_millis(50));
            std::thread::sleep(pause.min(left));
        }
    }
}

fn open(path: &Path) -> Result<OwnedFd> {
    let flags = OFlags::CREATE | OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let attempt = || rustix::fs::openat(CWD, path, flags, Mode::RUSR | Mode::WUSR);
    let opened = match attempt() {
        Err(rustix::io::Errno::NOENT) => {
            if let Some(parent) = path.parent() {
                use std::os::unix::fs::DirBuilderExt;
                std::fs::DirBuilder::new().recursive(true).mode(0o755).create(parent).map_err(|e| {
                    let errno = rustix::io::Errno::from_io_error(&e).unwrap_or(rustix::io::Errno::IO);
                    let text = format!(
                        "cannot make the lock directory {} (XDG_RUNTIME_DIR, or HOME, says where)",
                        parent.display()
                    );
                    Error::os(text, errno)
                })?;
            }
            attempt()
        }
        other => other,
    };
    opened.map_err(|e| Error::os(format!("cannot open the lock {}", path.display()), e))
}

/// The locks of volumes: one file each in a directory of the running system (`/run/hull/lock`).
#[derive(Clone, Debug)]
pub struct VolumeLocks {
    dir: PathBuf,
    wait: Wait,
}

impl VolumeLocks {
    /// Locks in `dir`.
    pub fn new(dir: impl Into<PathBuf>, wait: Wait) -> Self {
        Self { dir: dir.into(), wait }
    }

    /// Locks every volume in `wanted`, always in the same order, so that two commands cannot wait for each
    /// other. A volume wanted twice is locked once, exclusively if either asks so.
    pub fn hold<'a>(&self, wanted: impl IntoIterator<Item = (&'a Locator, Kind)>) -> Result<Vec<FileLock>> {
        let mut all: Vec<(PathBuf, Kind, &Locator)> =
            wanted.into_iter().map(|(at, kind)| (self.path(at), kind, at)).collect();
        all.sort_by(|a, b| a.0.cmp(&b.0).then((a.1 == Kind::Shared).cmp(&(b.1 == Kind::Shared))));
        all.dedup_by(|later, earlier| later.0 == earlier.0);
        all.iter().map(|(path, kind, at)| FileLock::acquire(path, *kind, self.wait, at)).collect()
    }

    fn path(&self, at: &Locator) -> PathBuf {
        let mut name = encode::spell(&at.to_os_string()).replace('/', "%2F");
        if name.len() > 200 {
            // Two names that collide here only wait for each other.
            let hash = name
                .bytes()
                .fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
            name = format!("{hash:016x}");
        }
        self.dir.join(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::DriverName;

    #[test]
    fn shared_locks_admit_each_other_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let locks = VolumeLocks::new(dir.path().join("l"), Wait::No);
        let at = Locator::new(DriverName::new("sim"), "/a".repeat(300));
        let other = Locator::new(DriverName::new("sim"), "/b");
        let reading = locks.hold([(&at, Kind::Shared)]).unwrap();
        let _reading_too = locks.hold([(&at, Kind::Shared), (&other, Kind::Exclusive)]).unwrap();
        let error = locks.hold([(&at, Kind::Exclusive)]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InUse);
        drop(reading);
        assert!(locks.hold([(&at, Kind::Exclusive)]).is_err(), "the other reader is still there");
        drop(_reading_too);
        let _writing = locks.hold([(&at, Kind::Shared), (&at, Kind::Exclusive)]).unwrap();
        assert!(locks.hold([(&at, Kind::Shared)]).is_err(), "the same volume twice is locked exclusively");
    }
}
