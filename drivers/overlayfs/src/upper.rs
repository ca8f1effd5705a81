//! The upper layer: what its file system must be able to do, its work directory.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use hull_storage::{Error, ErrorKind, Result, files};
use hull_unionfs::layer::{self, Kind};
use rustix::fs::{AtFlags, CWD, FileType, Gid, Uid, XattrFlags};
use rustix::io::Errno;

use crate::naming;

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
    if let Some(name) = layer::kind_among(part, &UNSUITED) {
        return refused(&format!("it is on {name}"));
    }
    let dir = layer::open(part)?;
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

/// File systems that overlayfs takes for no upper layer.
const UNSUITED: [Kind; 6] =
    [(layer::OVERLAYFS.0, "another overlayfs"), (0x6969, "NFS"), CIFS, SMB, layer::FAT, layer::EXFAT];

/// File systems that overlayfs takes for no lower layer: their names are compared in ways of their own.
pub(crate) const UNSUITED_AS_LOWER: [Kind; 5] = [layer::FAT, layer::EXFAT, CIFS, SMB, (0x0187, "autofs")];

const CIFS: Kind = (0xff53_4d42, "CIFS");
const SMB: Kind = (0xfe53_4d42, "SMB");
