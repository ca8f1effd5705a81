//! The mark of a running container: a lock on its directory itself, which holds whatever path leads there.
//!
//! A container is known to LXC by the text of its lxcpath: reached through a symbolic link, or a bind mount, it has
//! another command socket and another lock file, and seems to be stopped.

use std::path::Path;
use std::time::{Duration, Instant};

use hull_ipc::{Client, State};
use hull_storage::{Error, ErrorKind, Result};
use rustix::fd::OwnedFd;
use rustix::fs::{CWD, FlockOperation, Mode, OFlags};
use rustix::io::Errno;

/// How long a monitor may take to go once its container has ended.
const PATIENCE: Duration = Duration::from_secs(5);
const INTERVAL: Duration = Duration::from_millis(10);

/// Marks the container in `home` as running, until it is dropped or the process ends.
#[derive(Debug)]
#[must_use = "the mark goes when this is dropped"]
pub struct RunningMark {
    _home: OwnedFd,
}

impl RunningMark {
    /// Marks the container `name` of `lxcpath`. `None` when it has no directory, or one that cannot be locked (NFS),
    /// and when it runs under this very path, which whoever binds its command socket finds out.
    ///
    /// Fails with [`ErrorKind::InUse`] when it is marked already.
    pub fn set(lxcpath: &Path, name: &str) -> Result<Option<Self>> {
        let client = Client::new(lxcpath, name, crate::containers::PATIENCE);
        let answers = || client.state().is_ok_and(|state| state != State::Stopped);
        let home = lxcpath.join(name);
        let locked = lock(&home, FlockOperation::NonBlockingLockExclusive, "start it again", &answers)?;
        Ok(locked.map(|home| Self { _home: home }))
    }
}

/// Fails with [`ErrorKind::InUse`] when the container in `home` is marked as running; `to` is what was to be done.
pub(crate) fn require_unmarked(home: &Path, to: &str) -> Result<()> {
    lock(home, FlockOperation::NonBlockingLockShared, to, &|| false).map(drop)
}

/// Locks `home`; `None` when that cannot be, or is no use as `enough` says so while somebody else has it.
fn lock(
    home: &Path,
    operation: FlockOperation,
    to: &str,
    enough: &dyn Fn() -> bool,
) -> Result<Option<OwnedFd>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    // Whoever may not open it is told by what he does next.
    let Ok(dir) = rustix::fs::openat(CWD, home, flags, Mode::empty()) else { return Ok(None) };
    let deadline = Instant::now() + PATIENCE;
    loop {
        match rustix::fs::flock(&dir, operation) {
            Ok(()) => return Ok(Some(dir)),
            Err(Errno::WOULDBLOCK) if enough() => return Ok(None),
            Err(Errno::WOULDBLOCK) if Instant::now() < deadline => std::thread::sleep(INTERVAL),
            Err(Errno::WOULDBLOCK) => break,
            Err(_) => return Ok(None),
        }
    }
    let text = format!(
        "the container in {} runs, started by another path to it: stop it there (its lxcpath is in /proc/net/unix) to {to}",
        home.display()
    );
    Err(Error::new(ErrorKind::InUse, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_path_leads_to_the_same_mark() {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().join("home");
        std::fs::create_dir(&home).unwrap();
        std::os::unix::fs::symlink(&home, dir.path().join("link")).unwrap();
        require_unmarked(&home, "destroy it").unwrap();
        let mark = RunningMark::set(dir.path(), "link").unwrap().unwrap();
        assert_eq!(require_unmarked(&home, "destroy it").unwrap_err().kind(), ErrorKind::InUse);
        drop(mark);
        require_unmarked(&home, "destroy it").unwrap();
        assert!(RunningMark::set(dir.path(), "nothing").unwrap().is_none());
    }
}
