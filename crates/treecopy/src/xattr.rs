//! Extended attributes, read and written raw.

use std::ffi::CStr;
use std::os::fd::BorrowedFd;

use rustix::fs::XattrFlags;
use rustix::io::Errno;

use crate::copy::Keep;
use crate::dir::ProcDescriptors;
use crate::error::{Context, Error, Result};
use crate::idshift::IdShift;

/// An inode whose attributes are read or written.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Inode<'a> {
    /// A descriptor opened for reading or writing.
    Open(BorrowedFd<'a>),
    /// An `O_PATH` descriptor, which the f*xattr calls do not take.
    PathOnly(BorrowedFd<'a>),
}

/// XATTR_LIST_MAX and XATTR_SIZE_MAX (include/uapi/linux/limits.h).
const LARGEST: usize = 65536;

const ACL_ACCESS: &CStr = c"system.posix_acl_access";
const ACL_DEFAULT: &CStr = c"system.posix_acl_default";
/// XFS shows privileged readers its ACLs a second time, in its own format: copied raw, they would be litter
/// on another file system, and undo an id shift on XFS.
const XFS_ACL: &[u8] = b"trusted.SGI_ACL_";
const CAPABILITY: &CStr = c"security.capability";

/// Buffers as large as the kernel's limits, so that a call never has to be repeated.
pub(crate) struct XattrBuffers {
    names: Vec<u8>,
    value: Vec<u8>,
}

impl XattrBuffers {
    pub(crate) fn new() -> Self {
        Self { names: vec![0; LARGEST], value: vec![0; LARGEST] }
    }

    /// Copies all attributes of `source` to `target` except Hull's own marks; returns how many could not
    /// be kept, which is none unless `keep` is [`Keep::WherePermitted`].
    pub(crate) fn copy(
        &mut self,
        source: Inode<'_>,
        target: Inode<'_>,
        shift: Option<&IdShift>,
        keep: Keep,
    ) -> Result<u64> {
        let mut lost = 0;
        let length = list(source, &mut self.names)?;
        for name in self.names[..length].split_inclusive(|b| *b == 0) {
            let Ok(name) = CStr::from_bytes_with_nul(name) else { continue };
            if is_left_out(name) {
                continue;
            }
            let length = match get(source, name, &mut self.value) {
                Ok(length) => length,
                // Gone since it was listed, or listed although this caller may not read it.
                Err(Errno::NODATA) => continue,
                Err(errno) => return Err(Error::os(format!("getxattr({name:?})"), errno)),
            };
            let shifted;
            let mut value = &mut self.value[..length];
            if let Some(shift) = shift {
                if name == ACL_ACCESS || name == ACL_DEFAULT {
                    shift.shift_acl(value)?;
                } else if name == CAPABILITY {
                    shifted = shift.shift_capability(value)?;
                    value = &mut self.value[..shifted.len()];
                    value.copy_from_slice(&shifted);
                }
            }
            match set(target, name, value) {
                Ok(()) => {}
                Err(Errno::OPNOTSUPP) if is_of_the_file_system(name) => {}
                Err(Errno::PERM | Errno::ACCESS | Errno::OPNOTSUPP) if keep == Keep::WherePermitted => {
                    lost += 1;
                }
                Err(errno) => return Err(Error::os(format!("setxattr({name:?})"), errno)),
            }
        }
        Ok(lost)
    }

    /// Hands all attributes of `source` to `take`, except those that [`XattrBuffers::copy`] leaves out.
    pub(crate) fn each(
        &mut self,
        source: Inode<'_>,
        take: &mut dyn FnMut(&CStr, &[u8]) -> Result<()>,
    ) -> Result<()> {
        let length = list(source, &mut self.names)?;
        for name in self.names[..length].split_inclusive(|b| *b == 0) {
            let Ok(name) = CStr::from_bytes_with_nul(name) else { continue };
            if is_left_out(name) {
                continue;
            }
            match get(source, name, &mut self.value) {
                Ok(length) => take(name, &self.value[..length])?,
                Err(Errno::NODATA) => {}
                Err(errno) => return Err(Error::os(format!("getxattr({name:?})"), errno)),
            }
        }
        Ok(())
    }

    /// Removes what `target` has and `source` lacks, Hull's marks and security labels excepted.
    pub(crate) fn remove_others(&mut self, source: Inode<'_>, target: Inode<'_>) -> Result<()> {
        let length = list(target, &mut self.names)?;
        for name in self.names[..length].split_inclusive(|b| *b == 0) {
            let Ok(name) = CStr::from_bytes_with_nul(name) else { continue };
            let ours =
                is_mark(name) || name.to_bytes().starts_with(b"security.") || is_of_the_file_system(name);
            if ours || get(source, name, &mut self.value) != Err(Errno::NODATA) {
                continue;
            }
            match remove(target, name) {
                Ok(()) | Err(Errno::NODATA) => {}
                Err(errno) => return Err(Error::os(format!("removexattr({name:?})"), errno)),
            }
        }
        Ok(())
    }
}

/// Removes the default ACL of a directory, so that what is made inside does not inherit it.
pub(crate) fn remove_default_acl(directory: BorrowedFd<'_>) -> Result<()> {
    match rustix::fs::fremovexattr(directory, ACL_DEFAULT) {
        Ok(()) | Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(()),
        result => result.call("fremovexattr(\"system.posix_acl_default\")"),
    }
}

/// Sets an attribute of a packed tree, unless it is one that no copy keeps.
pub(crate) fn set_kept(target: Inode<'_>, name: &CStr, value: &[u8]) -> Result<()> {
    if is_left_out(name) {
        return Ok(());
    }
    match set(target, name, value) {
        Ok(()) => Ok(()),
        Err(Errno::OPNOTSUPP) if is_of_the_file_system(name) => Ok(()),
        Err(errno) => Err(Error::os(format!("setxattr({name:?})"), errno)),
    }
}

/// Whether no copy keeps an attribute of this name.
fn is_left_out(name: &CStr) -> bool {
    is_mark(name) || name.to_bytes().starts_with(XFS_ACL)
}

/// Hull's marks say whose a volume is; a copy gets its own.
fn is_mark(name: &CStr) -> bool {
    let name = name.to_bytes();
    name.starts_with(b"user.hull.") || name.starts_with(b"trusted.hull.")
}

/// Whether an attribute speaks about its file system or its label policy rather than about the file, so
/// that one that another file system does not take is no loss: `btrfs.compression`, `system.nfs4_acl`,
/// and `security.selinux` where no policy is loaded or the mount sets the label.
fn is_of_the_file_system(name: &CStr) -> bool {
    let bytes = name.to_bytes();
    let of_the_file = [&b"user."[..], b"trusted.", b"security."].iter().any(|p| bytes.starts_with(p))
        || name == ACL_ACCESS
        || name == ACL_DEFAULT;
    !of_the_file || name == c"security.selinux"
}

fn list(inode: Inode<'_>, buffer: &mut [u8]) -> Result<usize> {
    let result = match inode {
        Inode::Open(fd) => rustix::fs::flistxattr(fd, buffer),
        Inode::PathOnly(fd) => rustix::fs::listxattr(ProcDescriptors::path(fd), buffer),
    };
    match result {
        Err(Errno::OPNOTSUPP) => Ok(0),
        result => result.call("listxattr"),
    }
}

fn get(inode: Inode<'_>, name: &CStr, buffer: &mut [u8]) -> rustix::io::Result<usize> {
    match inode {
        Inode::Open(fd) => rustix::fs::fgetxattr(fd, name, buffer),
        Inode::PathOnly(fd) => rustix::fs::getxattr(ProcDescriptors::path(fd), name, buffer),
    }
}

fn set(inode: Inode<'_>, name: &CStr, value: &[u8]) -> rustix::io::Result<()> {
    match inode {
        Inode::Open(fd) => rustix::fs::fsetxattr(fd, name, value, XattrFlags::empty()),
        Inode::PathOnly(fd) => {
            rustix::fs::setxattr(ProcDescriptors::path(fd), name, value, XattrFlags::empty())
        }
    }
}

fn remove(inode: Inode<'_>, name: &CStr) -> rustix::io::Result<()> {
    match inode {
        Inode::Open(fd) => rustix::fs::fremovexattr(fd, name),
        Inode::PathOnly(fd) => rustix::fs::removexattr(ProcDescriptors::path(fd), name),
    }
}
