//! The upper layer: what its file system must be able to do, its root, its work directory.

use std::ffi::CStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use hull_mount::Access;
use hull_storage::{Error, ErrorKind, Result, files};
use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, OFlags, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;

use crate::naming;

/// Set to `ro` on the directory of a volume that may only be read; not in the upper layer, where the
/// container would see it.
const ACCESS: &str = "user.hull.access";

/// The directory that is nothing but the volume with the upper layer `upper`, so that it can be moved and
/// removed as one; `None` when other things lie in it. One that is not there holds nothing else.
pub(crate) fn sole_owner(upper: &Path) -> Option<&Path> {
    let part = naming::part_of(upper)?;
    let alone = match std::fs::read_dir(part) {
        Ok(entries) => entries.flatten().all(|entry| naming::belongs(&entry.file_name())),
        Err(e) => e.kind() == std::io::ErrorKind::NotFound,
    };
    alone.then_some(part)
}

/// Whether the volume that is the directory `part` may be written to.
pub(crate) fn access(part: &Path) -> Access {
    let mut value = [0; 8];
    match rustix::fs::getxattr(part, ACCESS, &mut value) {
        Ok(length) if value.get(..length) == Some(b"ro") => Access::ReadOnly,
        _ => Access::ReadWrite,
    }
}

/// Makes the volume that is the directory `part` read-only.
pub(crate) fn set_read_only(part: &Path) -> Result<()> {
    rustix::fs::setxattr(part, ACCESS, b"ro", XattrFlags::empty())
        .map_err(|e| Error::os(format!("cannot make {} read-only", part.display()), e))
}

/// Whether overlayfs must keep its marks in `user.overlay.*`: only root of the machine may write
/// `trusted.overlay.*`, and only a mount with this option can be made in a user namespace and keep them
/// (Linux 5.11).
pub(crate) fn needs_userxattr() -> bool {
    !rustix::process::geteuid().is_root() || in_user_namespace()
}

/// Whether this process is in another user namespace than the machine's first, which maps every id to itself.
pub(crate) fn in_user_namespace() -> bool {
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    map.split_whitespace().ne(["0", "0", "4294967295"])
}

/// The work directory of `upper`; made when it is not there, as it may have been on a tmpfs that is gone.
pub(crate) fn work(upper: &Path) -> Result<PathBuf> {
    let mut candidates = naming::work_candidates(upper);
    if let Some(there) = candidates.iter().find(|path| files::is_dir(path)) {
        return Ok(there.clone());
    }
    let work = candidates.swap_remove(0);
    match files::make_dir(&work, 0o755, owner_of(upper)) {
        Err(e) if e.kind() != ErrorKind::AlreadyExists => Err(e),
        _ => Ok(work),
    }
}

/// Makes the directory `part` with an empty upper and work directory, exclusively, and makes sure that
/// overlayfs can use them.
pub(crate) fn make(part: &Path) -> Result<(PathBuf, PathBuf)> {
    let (upper, work) = naming::inside(part);
    files::make_dir(part, 0o755, None)?;
    files::make_dir(&upper, 0o755, None)?;
    files::make_dir(&work, 0o755, None)?;
    require_usable(part)?;
    Ok((upper, work))
}

/// Gives the root of the upper layer the attributes of `tree`'s: in the merged tree they are what is seen.
///
/// What only root may set is left out for others.
pub(crate) fn copy_root(tree: &Path, upper: &Path) -> Result<()> {
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
    copy_attributes(&from, &to).map_err(failed)?;
    let time = |seconds, nanoseconds| Timespec { tv_sec: seconds, tv_nsec: nanoseconds };
    let times = Timestamps {
        last_access: time(status.st_atime as _, status.st_atime_nsec as _),
        last_modification: time(status.st_mtime as _, status.st_mtime_nsec as _),
    };
    rustix::fs::futimens(&to, &times).map_err(failed)
}

/// Gives the work directory the owner of the upper one, so that whoever may mount them owns both.
pub(crate) fn share_owner(upper: &Path, work: &Path) -> Result<()> {
    let Some((uid, gid)) = owner_of(upper) else { return Ok(()) };
    match rustix::fs::chownat(CWD, work, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)), AtFlags::empty())
    {
        Ok(()) | Err(Errno::PERM | Errno::INVAL) => Ok(()),
        Err(e) => Err(Error::os(format!("cannot give {} away", work.display()), e)),
    }
}

fn owner_of(upper: &Path) -> Option<(u32, u32)> {
    rustix::fs::stat(upper).ok().map(|s| (s.st_uid, s.st_gid))
}

/// Copies extended attributes but overlayfs' own, which would speak of another layer, and Hull's marks.
fn copy_attributes(from: &OwnedFd, to: &OwnedFd) -> rustix::io::Result<()> {
    let mut names = vec![0; 65536];
    let length = match rustix::fs::flistxattr(from, &mut names) {
        Ok(length) => length,
        Err(Errno::OPNOTSUPP) => return Ok(()),
        Err(e) => return Err(e),
    };
    let mut value = vec![0; 65536];
    for name in names[..length].split_inclusive(|&b| b == 0).filter_map(|n| CStr::from_bytes_with_nul(n).ok())
    {
        let private = ["trusted.overlay.", "user.overlay.", "user.hull.", "trusted.hull."];
        if private.iter().any(|prefix| name.to_bytes().starts_with(prefix.as_bytes())) {
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

/// Fails, with the reason, when overlayfs could not write to `part`, which holds at least one directory.
fn require_usable(part: &Path) -> Result<()> {
    let refused = |why: &str| {
        Err(Error::new(
            ErrorKind::Unsupported,
            format!(
                "overlayfs cannot keep changes in {}: {why}; use a place on ext4, xfs, btrfs or tmpfs, \
                 or another store",
                part.display()
            ),
        ))
    };
    let dir = open(part)?;
    if let Some(name) = unsuited(&dir) {
        return refused(&format!("it is on {name}"));
    }
    // What overlayfs will do, it is asked to do now; a name of its own kind needs the same permission.
    let probe = if needs_userxattr() { c"user.overlay.hull" } else { c"trusted.overlay.hull" };
    match rustix::fs::fsetxattr(&dir, probe, b"y", XattrFlags::empty()) {
        Ok(()) => {
            let _ = rustix::fs::fremovexattr(&dir, probe);
        }
        Err(Errno::OPNOTSUPP) => return refused("its file system has no extended attributes"),
        Err(e) => return Err(Error::os(format!("cannot set {probe:?} on {}", part.display()), e)),
    }
    let typeless = rustix::fs::Dir::read_from(&dir)
        .map_err(|e| Error::os(format!("cannot read {}", part.display()), e))?
        .flatten()
        .any(|entry| {
            naming::belongs(std::ffi::OsStr::from_bytes(entry.file_name().to_bytes()))
                && entry.file_type() == FileType::Unknown
        });
    if typeless {
        return refused("its file system does not tell types when listing (xfs: ftype=0, ext4: no filetype)");
    }
    Ok(())
}

/// File systems that overlayfs takes for no upper layer, by their magic numbers in statfs(2).
fn unsuited(dir: &OwnedFd) -> Option<&'static str> {
    const KNOWN: [(u64, &str); 6] = [
        (0x794c_7630, "another overlayfs"),
        (0x6969, "NFS"),
        (0xff53_4d42, "CIFS"),
        (0xfe53_4d42, "SMB"),
        (0x4d44, "FAT"),
        (0x2011_bab0, "exFAT"),
    ];
    let magic = magic(dir)?;
    KNOWN.iter().find(|(number, _)| *number == magic).map(|(_, name)| *name)
}

/// File systems that overlayfs takes for no lower layer: their names are compared in ways of their own.
pub(crate) fn unsuited_as_lower(tree: &Path) -> Option<&'static str> {
    const KNOWN: [(u64, &str); 5] = [
        (0x4d44, "FAT"),
        (0x2011_bab0, "exFAT"),
        (0xff53_4d42, "CIFS"),
        (0xfe53_4d42, "SMB"),
        (0x0187, "autofs"),
    ];
    let magic = magic(&open(tree).ok()?)?;
    KNOWN.iter().find(|(number, _)| *number == magic).map(|(_, name)| *name)
}

fn magic(dir: &OwnedFd) -> Option<u64> {
    rustix::fs::fstatfs(dir).ok().map(|s| s.f_type as u64 & 0xffff_ffff)
}

fn open(dir: &Path) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::openat(CWD, dir, flags, Mode::empty())
        .map_err(|e| Error::os(format!("cannot open {}", dir.display()), e))
}
