//! Inode flags and project ids.

use std::os::fd::{AsFd, AsRawFd};

use linux_raw_sys::general::{FS_APPEND_FL, FS_IMMUTABLE_FL, FS_XFLAG_PROJINHERIT, fsxattr};
use linux_raw_sys::ioctl::{FS_IOC_FSGETXATTR, FS_IOC_FSSETXATTR, FS_IOC_GETFLAGS, FS_IOC_SETFLAGS};

use crate::{Error, Result, fd};

/// The flag of an inode that nobody may change, link or remove (`chattr +i`).
pub const IMMUTABLE: u32 = FS_IMMUTABLE_FL;
/// The flag of an inode that may only grow and not be removed (`chattr +a`).
pub const APPEND: u32 = FS_APPEND_FL;

/// Reads the inode flags (`FS_IOC_GETFLAGS`, ioctl_iflags(2)).
///
/// Requires a descriptor opened for reading, not an `O_PATH` one (`EBADF`). Fails with `ENOTTY` or
/// `EOPNOTSUPP` where the file system has no flags. The kernel reads and writes 32 bits although
/// the request's number says `long`.
pub fn flags(file: impl AsFd) -> Result<u32> {
    let mut flags: u32 = 0;
    // SAFETY: the request writes one 32-bit integer through the pointer, which is valid for it.
    let result =
        unsafe { libc::ioctl(file.as_fd().as_raw_fd(), FS_IOC_GETFLAGS as libc::Ioctl, &raw mut flags) };
    if result < 0 { Err(Error::last("ioctl(FS_IOC_GETFLAGS)")) } else { Ok(flags) }
}

/// Replaces the inode flags (`FS_IOC_SETFLAGS`, ioctl_iflags(2)).
///
/// Changing [`IMMUTABLE`] or [`APPEND`] requires `CAP_LINUX_IMMUTABLE` in the initial user namespace;
/// without it, the call fails with `EPERM`.
pub fn set_flags(file: impl AsFd, flags: u32) -> Result<()> {
    // SAFETY: the request reads one 32-bit integer through the pointer, which is valid for it.
    let result =
        unsafe { libc::ioctl(file.as_fd().as_raw_fd(), FS_IOC_SETFLAGS as libc::Ioctl, &raw const flags) };
    if result < 0 { Err(Error::last(format!("ioctl(FS_IOC_SETFLAGS, {flags:#x})"))) } else { Ok(()) }
}

/// Reads the id of the project quota an inode is charged to (`FS_IOC_FSGETXATTR`).
///
/// Requires a descriptor opened for reading. Fails with `ENOTTY` or `EOPNOTSUPP` where the file
/// system has no project ids.
pub fn project_id(file: impl AsFd) -> Result<u32> {
    Ok(extended(&file)?.fsx_projid)
}

/// What an inode has to do with project quotas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Project {
    /// The id that it is charged to; 0 is everybody's.
    pub id: u32,
    /// Whether what is made in the directory is charged to the same id, and inherits this, too (`chattr +P`). Then
    /// nothing that is charged to another id can be moved or linked into it (`EXDEV`).
    pub inherited: bool,
}

/// Reads both (`FS_IOC_FSGETXATTR`, ioctl_xfs_fsgetxattr(2)). As [`project_id`].
pub fn project(file: impl AsFd) -> Result<Project> {
    let attributes = extended(&file)?;
    let inherited = attributes.fsx_xflags & FS_XFLAG_PROJINHERIT != 0;
    Ok(Project { id: attributes.fsx_projid, inherited })
}

/// Changes both (`FS_IOC_FSSETXATTR`). Only a directory can be inherited from. As [`set_project_id`].
pub fn set_project(file: impl AsFd, to: Project) -> Result<()> {
    let old = extended(&file)?;
    let others = old.fsx_xflags & !FS_XFLAG_PROJINHERIT;
    let fsx_xflags = if to.inherited { others | FS_XFLAG_PROJINHERIT } else { others };
    set_extended(&file, fsxattr { fsx_projid: to.id, fsx_xflags, ..old })
}

/// Charges an inode to another project quota (`FS_IOC_FSSETXATTR`).
///
/// Requires being the owner or `CAP_FOWNER`, and the initial user namespace; fails with `EPERM` or
/// `EINVAL` otherwise. Fails with `EDQUOT` or `ENOSPC` when the project's limit is reached.
pub fn set_project_id(file: impl AsFd, project: u32) -> Result<()> {
    set_extended(&file, fsxattr { fsx_projid: project, ..extended(&file)? })
}

fn set_extended(file: &impl AsFd, attributes: fsxattr) -> Result<()> {
    // SAFETY: the request reads one `fsxattr` through the pointer, which is valid for it.
    let result = unsafe {
        libc::ioctl(file.as_fd().as_raw_fd(), FS_IOC_FSSETXATTR as libc::Ioctl, &raw const attributes)
    };
    if result < 0 {
        let project = attributes.fsx_projid;
        return Err(Error::last(format!("ioctl({}, FS_IOC_FSSETXATTR, project {project})", fd::name(file))));
    }
    Ok(())
}

fn extended(file: &impl AsFd) -> Result<fsxattr> {
    let mut attributes = fsxattr {
        fsx_xflags: 0,
        fsx_extsize: 0,
        fsx_nextents: 0,
        fsx_projid: 0,
        fsx_cowextsize: 0,
        fsx_pad: [0; 8],
    };
    // SAFETY: the request writes one `fsxattr` through the pointer, which is valid for it.
    let result = unsafe {
        libc::ioctl(file.as_fd().as_raw_fd(), FS_IOC_FSGETXATTR as libc::Ioctl, &raw mut attributes)
    };
    if result < 0 { Err(Error::last("ioctl(FS_IOC_FSGETXATTR)")) } else { Ok(attributes) }
}
