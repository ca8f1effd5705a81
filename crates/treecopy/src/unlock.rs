//! Getting at entries that their modes or flags lock, in order to remove them.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use hull_sys::inode::{APPEND, IMMUTABLE, flags, set_flags};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Statx};
use rustix::io::Errno;

use crate::dir::{Mounts, ProcDescriptors, file_type, open_dir, open_entry, status};
use crate::error::{Context, Error, ErrorKind, Result};

/// `BTRFS_FIRST_FREE_OBJECTID`.
const SUBVOLUME_ROOT: u64 = 256;

/// What may be done to get at an entry.
#[derive(Clone, Copy)]
pub(crate) struct Access<'a> {
    pub(crate) proc: &'a ProcDescriptors,
    pub(crate) clear_immutable: bool,
}

/// Opens a directory, giving its owner the permission first if it lacks it. Fails with
/// [`ErrorKind::MountPoint`] when something is mounted there.
pub(crate) fn open_locked_dir(access: &Access<'_>, dir: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd> {
    let open = || match open_dir(dir, name, Mounts::Refuse) {
        Err(Errno::XDEV) => Err(mount_point()),
        result => result.call("openat2(O_DIRECTORY)"),
    };
    match open() {
        Err(error) if error.errno() == Some(Errno::ACCESS) => {
            allow_owner(access, dir)?;
            if let Ok(child) = open_entry(dir, name, OFlags::PATH | OFlags::DIRECTORY, Mounts::Refuse) {
                allow_owner(access, child.as_fd())?;
            }
            open()
        }
        result => result,
    }
}

/// Makes a read-only btrfs subvolume writable, when `dir`, whose status is `status`, is the root of one.
pub(crate) fn allow_changes(dir: &OwnedFd, status: &Statx) -> Result<()> {
    // Every subvolume's root has this inode number, and hardly anything else, so the rest costs nothing.
    let call = |error: hull_sys::Error| Error::os(error.call(), error.errno());
    if status.stx_ino != SUBVOLUME_ROOT || !hull_sys::btrfs::is_subvolume(dir).map_err(call)? {
        return Ok(());
    }
    if hull_sys::btrfs::is_read_only(dir).map_err(call)? {
        hull_sys::btrfs::set_read_only(dir, false).map_err(call)?;
    }
    Ok(())
}

/// Removes the name `name` of `dir`; one that is gone is fine. Clears what locks it and tries once more.
pub(crate) fn unlink(access: &Access<'_>, dir: BorrowedFd<'_>, name: &CStr, how: AtFlags) -> Result<()> {
    let call = if how.is_empty() { "unlinkat" } else { "unlinkat(AT_REMOVEDIR)" };
    let once = || match rustix::fs::unlinkat(dir, name, how) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(Errno::BUSY) => Err(mount_point()),
        Err(errno) => Err(Error::os(call, errno)),
    };
    match once() {
        Err(error) if error.errno() == Some(Errno::ACCESS) => {
            allow_owner(access, dir)?;
            once()
        }
        Err(error) if error.errno() == Some(Errno::PERM) && access.clear_immutable => {
            clear(dir)?;
            let entry = open_flagged(access, dir, name);
            let before = entry.as_ref().map_or(Ok(0), clear)?;
            let result = once();
            // Other links, which may lie outside the tree, keep their protection.
            if let Some(entry) = entry
                && before != 0
                && (result.is_err() || status(&entry).is_ok_and(|status| status.stx_nlink > 0))
            {
                // A directory that was removed keeps a link count of 0 or 2; there is nothing to restore.
                let _ = if how.is_empty() || result.is_err() { set_flags(&entry, before) } else { Ok(()) };
            }
            result
        }
        result => result,
    }
}

fn mount_point() -> Error {
    Error::found(ErrorKind::MountPoint, "something is mounted here", "unmount it first (umount PATH)")
}

/// Opens an entry that can carry flags: only regular files and directories are ever opened.
fn open_flagged(access: &Access<'_>, dir: BorrowedFd<'_>, name: &CStr) -> Option<OwnedFd> {
    let entry = open_entry(dir, name, OFlags::PATH, Mounts::Refuse).ok()?;
    let kind = file_type(&status(&entry).ok()?);
    if !matches!(kind, FileType::RegularFile | FileType::Directory) {
        return None;
    }
    access.proc.reopen(&entry, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY).ok()
}

/// Clears the flags that forbid removal; returns the flags from before, or 0 if none was in the way.
fn clear(file: impl AsFd) -> Result<u32> {
    // Without flags on this file system, they are not what is in the way.
    let before = flags(&file).unwrap_or(0);
    if before & (IMMUTABLE | APPEND) == 0 {
        return Ok(0);
    }
    set_flags(&file, before & !(IMMUTABLE | APPEND))
        .map_err(|error| Error::os(error.call(), error.errno()))?;
    Ok(before)
}

/// Gives the owner of a directory all permissions, if it lacks one.
fn allow_owner(access: &Access<'_>, dir: BorrowedFd<'_>) -> Result<()> {
    let mode = u32::from(status(dir).call("statx")?.stx_mode) & 0o7777;
    if mode & 0o700 == 0o700 {
        return Ok(());
    }
    access.proc.chmod(dir, Mode::from_raw_mode(mode | 0o700)).call("fchmodat")
}
