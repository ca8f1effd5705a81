//! Owner, mode and times of a copied entry.

use std::os::fd::BorrowedFd;

use rustix::fs::{AtFlags, FileType, Gid, Mode, Statx, StatxTimestamp, Timespec, Timestamps, Uid};
use rustix::io::Errno;

use crate::copy::{CopyOptions, Keep};
use crate::dir::{ProcDescriptors, file_type};
use crate::error::{Context, Error, Result};
use crate::xattr::{Inode, XattrBuffers};

/// What of an entry could not be kept, under [`Keep::WherePermitted`].
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Lost {
    pub(crate) owner: bool,
    pub(crate) xattrs: u64,
}

/// Gives `target` the owner, extended attributes, mode and times of the source, in the order in which
/// none undoes another: changing the owner clears set-id bits and file capabilities, an ACL changes
/// the mode's group bits, and everything changes the change time only.
pub(crate) fn copy_attributes(
    source: Inode<'_>,
    status: &Statx,
    target: Inode<'_>,
    options: &CopyOptions<'_>,
    proc: &ProcDescriptors,
    buffers: &mut XattrBuffers,
) -> Result<Lost> {
    let owner = copy_owner(status, target, options)?;
    let xattrs = buffers.copy(source, target, options.shift.as_ref(), options.xattrs)?;
    // A set-id bit for another user than meant would be a hole.
    let mask = if owner { 0o1777 } else { 0o7777 };
    copy_mode(status, target, proc, mask)?;
    copy_times(status, target)?;
    Ok(Lost { owner, xattrs })
}

/// Sets the owner; true if it could not be kept.
pub(crate) fn copy_owner(status: &Statx, target: Inode<'_>, options: &CopyOptions<'_>) -> Result<bool> {
    let (uid, gid) = match &options.shift {
        None => (status.stx_uid, status.stx_gid),
        Some(shift) => (shift.require_uid(status.stx_uid)?, shift.require_gid(status.stx_gid)?),
    };
    let (owner, group) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
    let result = chown(target, owner, group);
    match result {
        Ok(()) => Ok(false),
        Err(Errno::PERM | Errno::INVAL) if options.owners == Keep::WherePermitted => {
            // A user may still give a file to another group of theirs.
            let _ = chown(target, None, group);
            Ok(true)
        }
        Err(errno) => Err(Error::os(format!("fchown({uid}:{gid})"), errno)),
    }
}

/// Sets the bits of the mode that `mask` lets through. Symlinks have none.
pub(crate) fn copy_mode(status: &Statx, target: Inode<'_>, proc: &ProcDescriptors, mask: u32) -> Result<()> {
    let mode = Mode::from_raw_mode(u32::from(status.stx_mode) & mask);
    match (file_type(status), target) {
        (FileType::Symlink, _) => Ok(()),
        (_, Inode::Open(fd)) => rustix::fs::fchmod(fd, mode).call("fchmod"),
        (_, Inode::PathOnly(fd)) => proc.chmod(fd, mode).call("fchmodat"),
    }
}

/// Sets the times of access and modification. A file system that cannot hold them to the nanosecond, or that year, rounds.
pub(crate) fn copy_times(status: &Statx, target: Inode<'_>) -> Result<()> {
    let times = Timestamps { last_access: time(status.stx_atime), last_modification: time(status.stx_mtime) };
    set_times(target, &times)
}

/// Sets the times of access and modification.
pub(crate) fn set_times(target: Inode<'_>, times: &Timestamps) -> Result<()> {
    match target {
        Inode::Open(fd) => rustix::fs::futimens(fd, times),
        // AT_EMPTY_PATH: Linux 5.8.
        Inode::PathOnly(fd) => rustix::fs::utimensat(fd, c"", times, AtFlags::EMPTY_PATH),
    }
    .call("utimensat")
}

pub(crate) fn chown(target: Inode<'_>, owner: Option<Uid>, group: Option<Gid>) -> rustix::io::Result<()> {
    let fd: BorrowedFd<'_> = match target {
        Inode::Open(fd) | Inode::PathOnly(fd) => fd,
    };
    rustix::fs::chownat(fd, c"", owner, group, AtFlags::EMPTY_PATH)
}

fn time(stamp: StatxTimestamp) -> Timespec {
    Timespec { tv_sec: stamp.tv_sec, tv_nsec: stamp.tv_nsec.into() }
}
