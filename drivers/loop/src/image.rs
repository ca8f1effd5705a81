//! The image file: making one, finding one, what is noted on it.

use std::path::{Path, PathBuf};

use hull_blockfs::Found;
use hull_mount::Access;
use hull_storage::{Bytes, Error, ErrorKind, Locator, Result, Usage, files, mark, paths};
use hull_sys::lock::{Contention, Kind, flock};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, XattrFlags};
use rustix::io::Errno;

/// Set to `ro` on the image of a volume that may only be read.
const ACCESS: &str = "user.hull.access";

/// Whether `path` is an image: a regular file.
pub(crate) fn is_at(path: &Path) -> bool {
    matches!(file_type(path), Ok(Some(FileType::RegularFile)))
}

/// The path of a volume that is there.
pub(crate) fn existing(at: &Locator) -> Result<PathBuf> {
    let path = paths::absolute(at)?;
    match file_type(&path)? {
        Some(FileType::RegularFile) => Ok(path),
        Some(_) => Err(Error::new(
            ErrorKind::InvalidInput,
            format!("{} is not an image: it is no regular file", path.display()),
        )),
        None => Err(Error::new(ErrorKind::NotFound, format!("there is no image {}", path.display()))),
    }
}

fn file_type(path: &Path) -> Result<Option<FileType>> {
    match rustix::fs::statat(CWD, path, AtFlags::empty()) {
        Ok(stat) => Ok(Some(FileType::from_raw_mode(stat.st_mode))),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
        Err(e) => Err(Error::os(format!("cannot look at {}", path.display()), e)),
    }
}

/// Makes the sparse image `path`, exclusively, with Hull's mark. Only its owner may look into it, as into a directory
/// of containers.
pub(crate) fn create(path: &Path, size: Bytes) -> Result<OwnedFd> {
    let failed = |e| Error::os(format!("cannot make the image {}", path.display()), e);
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let mode = Mode::RUSR | Mode::WUSR;
    let file = rustix::fs::openat(CWD, path, flags, mode).map_err(failed)?;
    // open(2) takes the umask off.
    rustix::fs::fchmod(&file, mode).map_err(failed)?;
    set_size(&file, path, size)?;
    mark::set(path, &mark::inode(path)?)?;
    Ok(file)
}

/// Makes the image `path`, open as `file`, so large. What is new in it is a hole.
pub(crate) fn set_size(file: impl AsFd, path: &Path, size: Bytes) -> Result<()> {
    rustix::fs::ftruncate(file, size.0).map_err(|e| {
        let text = format!("cannot make the image {} of {size}", path.display());
        Error::os(text, e)
    })
}

/// Opens an image that is there.
pub(crate) fn open(path: &Path, access: Access) -> Result<OwnedFd> {
    let access = match access {
        Access::ReadOnly => OFlags::RDONLY,
        Access::ReadWrite => OFlags::RDWR,
    };
    // Should it be a fifo by now, nobody waits for its other end.
    rustix::fs::openat(CWD, path, access | OFlags::CLOEXEC | OFlags::NONBLOCK, Mode::empty())
        .map_err(|e| Error::os(format!("cannot open {}", path.display()), e))
}

/// Keeps the image from being attached by another process of ours ([`Kind::Exclusive`]), or attached at all while it
/// is copied ([`Kind::Shared`]), as long as what is returned lives.
pub(crate) fn lock(path: &Path, kind: Kind) -> Result<OwnedFd> {
    // A descriptor of its own: a loop device keeps the one it is given, and a lock on that would stay with it.
    let file = open(path, Access::ReadOnly)?;
    let _ = flock(&file, kind, Contention::Wait)?;
    Ok(file)
}

/// How large an image is.
pub(crate) fn size(file: impl AsFd) -> Result<Bytes> {
    let stat = rustix::fs::fstat(&file)
        .map_err(|e| Error::os(format!("cannot look at {}", hull_sys::fd::name(&file)), e))?;
    Ok(Bytes(u64::try_from(stat.st_size).unwrap_or_default()))
}

/// Whether the volume may be written to.
pub(crate) fn access(path: &Path) -> Access {
    let mut value = [0; 8];
    match rustix::fs::getxattr(path, ACCESS, &mut value) {
        Ok(length) if value.get(..length) == Some(b"ro") => Access::ReadOnly,
        _ => Access::ReadWrite,
    }
}

/// Makes the volume read-only. Does nothing where the file system has no extended attributes: snapshots are as
/// writable there as those of directories.
pub(crate) fn set_read_only(path: &Path) -> Result<()> {
    match rustix::fs::setxattr(path, ACCESS, b"ro", XattrFlags::empty()) {
        Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(()),
        Err(e) => Err(Error::os(format!("cannot make {} read-only", path.display()), e)),
    }
}

/// What is on the image `path` of `size`, which can be read from `file`: the image or the device that shows it.
///
/// Fails with [`ErrorKind::InvalidInput`] for what is no file system, and with [`ErrorKind::Corrupt`] for one that is
/// cut off.
pub(crate) fn filesystem(file: impl AsFd, path: &Path, size: Bytes) -> Result<Found> {
    let found = hull_blockfs::probe(file.as_fd())?.ok_or_else(|| {
        let path = path.display();
        let text = format!(
            "{path} holds no file system that is known here (the image of a whole disk holds it deeper)"
        );
        Error::new(ErrorKind::InvalidInput, text)
    })?;
    match found.size {
        Some(needed) if needed > size => Err(Error::new(
            ErrorKind::Corrupt,
            format!(
                "{} is cut off: it has {} bytes of a {} of {}",
                path.display(),
                size.0,
                found.fstype,
                needed.0
            ),
        )),
        _ => Ok(found),
    }
}

/// How large the image `path` is.
pub(crate) fn size_at(path: &Path) -> Result<Bytes> {
    size(open(path, Access::ReadOnly)?)
}

/// What the image `path` occupies on its host; `entries` is for who can mount it.
pub(crate) fn occupied(path: &Path) -> Result<Usage> {
    let file = open(path, Access::ReadOnly)?;
    let stat =
        rustix::fs::fstat(&file).map_err(|e| Error::os(format!("cannot look at {}", path.display()), e))?;
    let total = Bytes(u64::try_from(stat.st_blocks).unwrap_or_default() * 512);
    // Where extents cannot be listed (tmpfs), files share none.
    let shared = match hull_sys::fiemap::shared_bytes(&file) {
        Ok(shared) => Some(shared),
        Err(e) if matches!(e.errno(), Errno::OPNOTSUPP | Errno::NOTTY) => Some(0),
        Err(_) => None,
    };
    let exclusive = shared.map(|shared| Bytes(total.0.saturating_sub(shared)));
    Ok(Usage { exclusive, total, available: files::available(&file), entries: 0 })
}
