//! Charging a tree to a project quota.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use hull_sys::inode::{Project, project, set_project};
use rustix::fs::{FileType, OFlags, Statx};
use rustix::io::Errno;

use crate::dir::{
    Entries, Identity, Mounts, ProcDescriptors, SCRATCH, file_type, open_dir, open_entry, push_name,
    reopen_dir, reopen_parent, seek, status,
};
use crate::error::{Context, Error, Result};
use crate::limits::Budget;

/// Charges the directory `dir` and everything below it, without what is mounted inside, to the project `id`; what is
/// made there later is charged to it, too.
///
/// A directory is charged before it is read, so nothing that is made meanwhile is missed. Symlinks, fifos, sockets and
/// device nodes stay as they are: they cannot be opened for it (file_setattr(2) of Linux 6.17 could), and occupy next to
/// nothing. What is charged already is only looked at. Follows no symlink. Requires a mounted /proc, and what
/// [`hull_sys::inode::set_project_id`] does. Fails with [`crate::ErrorKind::NoSpace`] when the project's limit is reached.
pub fn set_tree_project(dir: BorrowedFd<'_>, id: u32) -> Result<()> {
    let mut path = Vec::new();
    charge_tree(dir, id, &mut path).map_err(|error| error.at(&path))
}

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

fn charge_tree(dir: BorrowedFd<'_>, id: u32, path: &mut Vec<u8>) -> Result<()> {
    let window = Budget::new(1, 1).window;
    let proc = ProcDescriptors::open()?;
    let mut scratch = Vec::with_capacity(SCRATCH);
    let root = reopen_dir(dir)?;
    charge(&root, Project { id, inherited: true })?;
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
        match open(&proc, dir, name, kind) {
            Ok(Some((child, status))) if file_type(&status) == FileType::Directory => {
                charge(&child, Project { id, inherited: true })?;
                levels.push(Level::new(child, &status, path.len()));
                if let Some(outside) = levels.len().checked_sub(window + 1) {
                    levels[outside].open = None;
                    levels[outside].entries = Entries::default();
                }
            }
            Ok(Some((file, _))) => charge(&file, Project { id, inherited: false })?,
            // Nothing that can be charged, or it went away or became something else.
            Ok(None) | Err(Errno::XDEV | Errno::NOENT | Errno::STALE | Errno::NOTDIR | Errno::LOOP) => {}
            Err(errno) => return Err(Error::os("openat2", errno)),
        }
    }
    Ok(())
}

/// Opens an entry for reading if it is a directory or a regular file: fifos and devices are never opened.
fn open(
    proc: &ProcDescriptors,
    dir: BorrowedFd<'_>,
    name: &CStr,
    kind: FileType,
) -> rustix::io::Result<Option<(OwnedFd, Statx)>> {
    let opened = match kind {
        FileType::Directory => open_dir(dir, name, Mounts::Refuse)?,
        FileType::RegularFile | FileType::Unknown => {
            let entry = open_entry(dir, name, OFlags::PATH, Mounts::Refuse)?;
            match file_type(&status(&entry)?) {
                FileType::RegularFile => {
                    proc.reopen(&entry, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY)?
                }
                FileType::Directory => open_dir(dir, name, Mounts::Refuse)?,
                _ => return Ok(None),
            }
        }
        _ => return Ok(None),
    };
    let found = status(&opened)?;
    Ok(Some((opened, found)))
}

fn charge(file: &OwnedFd, to: Project) -> Result<()> {
    let call = |error: hull_sys::Error| Error::os(error.call(), error.errno());
    match project(file).map_err(call)? {
        now if now == to => Ok(()),
        _ => set_project(file, to).map_err(call),
    }
}
