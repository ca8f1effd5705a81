//! Descriptors: what they name, for messages; reopening them without a path.

use rustix::fd::{AsFd, AsRawFd, OwnedFd};
use rustix::fs::{Mode, OFlags};
use std::fmt;
use std::path::PathBuf;

use crate::{Error, Result};

/// A descriptor's number and the path it had at this moment: for messages only, never to be opened.
#[derive(Clone, Debug)]
pub struct FdName {
    number: i32,
    path: Option<PathBuf>,
}

/// Notes what `fd` names now.
pub fn name(fd: impl AsFd) -> FdName {
    let number = fd.as_fd().as_raw_fd();
    FdName { number, path: std::fs::read_link(format!("/proc/self/fd/{number}")).ok() }
}

impl fmt::Display for FdName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.path {
            Some(path) => write!(f, "{}", path.display()),
            None => write!(f, "descriptor {}", self.number),
        }
    }
}

/// The `/proc` name under which the kernel finds `fd` again, for calls that only take paths.
///
/// The name follows the descriptor itself (proc(5), magic links), so nothing can be swapped under it.
/// Requires `/proc`.
pub fn proc_path(fd: impl AsFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd()))
}

/// Opens what the `O_PATH` descriptor `fd` names with other `flags`. Requires `/proc`.
pub fn reopen(fd: impl AsFd, flags: OFlags) -> Result<OwnedFd> {
    let path = proc_path(&fd);
    rustix::fs::open(&path, flags | OFlags::CLOEXEC, Mode::empty())
        .map_err(|e| Error::new(format!("open({}, {flags:?})", name(&fd)), e))
}
