//! One thread's way through a tree, depth first, with a bounded number of directories open.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{FileType, Statx};

use crate::dir::{Entries, Identity, Mounts, SCRATCH, push_name, reopen_parent, seek, status};
use crate::error::{Context, Result};
use crate::limits::Budget;

/// A directory to go into, and its status.
pub(crate) type Below = (OwnedFd, Statx);

/// Shows `visit` each entry below `root`, with the directory that it is in and the type that the directory says, and goes
/// into what it returns. `path` is that of the entry, and stays so when this fails.
pub(crate) fn descend(
    root: OwnedFd,
    path: &mut Vec<u8>,
    mut visit: impl FnMut(BorrowedFd<'_>, &CStr, FileType) -> Result<Option<Below>>,
) -> Result<()> {
    let window = Budget::new(1, 1).window;
    let mut scratch = Vec::with_capacity(SCRATCH);
    let root_status = status(&root).call("statx")?;
    let mut levels = vec![Level::new(root, &root_status, 0)];
    while let Some(level) = levels.last_mut() {
        path.truncate(level.path_length);
        let dir = level.open.as_ref().expect("the lowest level is open: only those above are closed").as_fd();
        let Some((name, kind, position)) = level.entries.take() else {
            if level.entries.refill(dir, scratch.spare_capacity_mut()).call("getdents64")? {
                continue;
            }
            let below = levels.pop().and_then(|level| level.open);
            if let (Some(above), Some(below)) = (levels.last_mut(), below)
                && above.open.is_none()
            {
                let dir = reopen_parent(&below, above.identity, Mounts::Refuse)?;
                seek(&dir, above.position).call("lseek")?;
                above.open = Some(dir);
            }
            continue;
        };
        level.position = position;
        push_name(path, name);
        if let Some((child, found)) = visit(dir, name, kind)? {
            levels.push(Level::new(child, &found, path.len()));
            if let Some(outside) = levels.len().checked_sub(window + 1) {
                levels[outside].open = None;
                levels[outside].entries = Entries::default();
            }
        }
    }
    Ok(())
}

/// A directory on the way, closed while too many are open below it.
struct Level {
    open: Option<OwnedFd>,
    entries: Entries,
    position: u64,
    identity: Identity,
    path_length: usize,
}

impl Level {
    fn new(dir: OwnedFd, status: &Statx, path_length: usize) -> Self {
        let identity = Identity::of(status);
        Self { open: Some(dir), entries: Entries::default(), position: 0, identity, path_length }
    }
}
