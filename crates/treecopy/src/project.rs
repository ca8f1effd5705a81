//! Charging a tree to a project quota.

use std::ffi::CStr;
use std::os::fd::{BorrowedFd, OwnedFd};

use hull_sys::inode::{Project, project, set_project};
use rustix::fs::{FileType, OFlags};
use rustix::io::Errno;

use crate::descend::{Below, descend};
use crate::dir::{Mounts, ProcDescriptors, file_type, open_dir, open_entry, reopen_dir, status};
use crate::error::{Error, Result};

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

fn charge_tree(dir: BorrowedFd<'_>, id: u32, path: &mut Vec<u8>) -> Result<()> {
    let proc = ProcDescriptors::open()?;
    let root = reopen_dir(dir)?;
    charge(&root, Project { id, inherited: true })?;
    descend(root, path, |dir, name, kind| match open(&proc, dir, name, kind) {
        Ok(Some((child, status))) if file_type(&status) == FileType::Directory => {
            charge(&child, Project { id, inherited: true })?;
            Ok(Some((child, status)))
        }
        Ok(Some((file, _))) => charge(&file, Project { id, inherited: false }).map(|()| None),
        // Nothing that can be charged, or it went away or became something else.
        Ok(None) | Err(Errno::XDEV | Errno::NOENT | Errno::STALE | Errno::NOTDIR | Errno::LOOP) => Ok(None),
        Err(errno) => Err(Error::os("openat2", errno)),
    })
}

/// Opens an entry for reading if it is a directory or a regular file: fifos and devices are never opened.
fn open(
    proc: &ProcDescriptors,
    dir: BorrowedFd<'_>,
    name: &CStr,
    kind: FileType,
) -> rustix::io::Result<Option<Below>> {
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
