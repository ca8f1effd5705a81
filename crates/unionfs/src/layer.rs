//! A single layer: the attributes of its root, what file system it is on.

use std::ffi::CStr;
use std::path::Path;

use hull_storage::{Error, Result};
use rustix::fd::OwnedFd;
use rustix::fs::{CWD, Gid, Mode, OFlags, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;

/// A file system's magic number in statfs(2), and its name for people.
pub type Kind = (u64, &'static str);

/// The FAT file system.
pub const FAT: Kind = (0x4d44, "FAT");
/// The exFAT file system.
pub const EXFAT: Kind = (0x2011_bab0, "exFAT");
/// overlayfs.
pub const OVERLAYFS: Kind = (0x794c_7630, "overlayfs");

/// Gives the root of the upper layer the attributes of `tree`'s: in the merged tree they are what is seen.
///
/// Attributes whose names begin with one of `private`, which speak of another layer, and Hull's marks are left out,
/// and what only root may set is for others.
pub fn copy_root(tree: &Path, upper: &Path, private: &[&str]) -> Result<()> {
    let failed =
        |e| Error::os(format!("cannot give {} the attributes of {}", upper.display(), tree.display()), e);
    let (from, to) = (open(tree)?, open(upper)?);
    let status = rustix::fs::fstat(&from).map_err(failed)?;
    let (uid, gid) = (Uid::from_raw(status.st_uid), Gid::from_raw(status.st_gid));
    match rustix::fs::fchown(&to, Some(uid), Some(gid)) {
        // EINVAL: the owner is nobody in this user namespace.
        Ok(()) | Err(Errno::PERM | Errno::INVAL) => {}
        Err(e) => return Err(failed(e)),
    }
    rustix::fs::fchmod(&to, Mode::from_raw_mode(status.st_mode & 0o7777)).map_err(failed)?;
    copy_attributes(&from, &to, private).map_err(failed)?;
    let time = |seconds, nanoseconds| Timespec { tv_sec: seconds, tv_nsec: nanoseconds };
    let times = Timestamps {
        last_access: time(status.st_atime as _, status.st_atime_nsec as _),
        last_modification: time(status.st_mtime as _, status.st_mtime_nsec as _),
    };
    rustix::fs::futimens(&to, &times).map_err(failed)
}

/// Copies extended attributes but private ones and Hull's marks.
fn copy_attributes(from: &OwnedFd, to: &OwnedFd, private: &[&str]) -> rustix::io::Result<()> {
    let mut names = vec![0; 65536];
    let length = match rustix::fs::flistxattr(from, &mut names) {
        Ok(length) => length,
        Err(Errno::OPNOTSUPP) => return Ok(()),
        Err(e) => return Err(e),
    };
    let mut value = vec![0; 65536];
    for name in names[..length].split_inclusive(|&b| b == 0).filter_map(|n| CStr::from_bytes_with_nul(n).ok())
    {
        let mut left_out = private.iter().chain(&["user.hull.", "trusted.hull."]);
        if left_out.any(|prefix| name.to_bytes().starts_with(prefix.as_bytes())) {
            continue;
        }
        let set = rustix::fs::fgetxattr(from, name, &mut value)
            .and_then(|length| rustix::fs::fsetxattr(to, name, &value[..length], XattrFlags::empty()));
        match set {
            Ok(()) | Err(Errno::PERM | Errno::ACCESS | Errno::OPNOTSUPP | Errno::NODATA) => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// The name of the file system that `dir` is on, if it is one of `kinds`.
pub fn kind_among(dir: &Path, kinds: &[Kind]) -> Option<&'static str> {
    let magic = rustix::fs::fstatfs(open(dir).ok()?).ok()?.f_type as u64 & 0xffff_ffff;
    kinds.iter().find(|(number, _)| *number == magic).map(|(_, name)| *name)
}

/// Opens a directory to look at it.
pub fn open(dir: &Path) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::openat(CWD, dir, flags, Mode::empty())
        .map_err(|e| Error::os(format!("cannot open {}", dir.display()), e))
}
