//! Verbs on directories that are volumes or hold them: for the store itself and for drivers whose volumes are paths.

use std::path::Path;

use hull_treecopy::{CopyOptions, Observer, RemoveOptions};
use rustix::fd::AsFd;
use rustix::fs::{AtFlags, CWD, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use crate::driver::Outcome;
use crate::error::{Error, ErrorKind, Result};
use crate::name::Resource;
use crate::volume::{Bytes, Usage};

/// Makes the directory `path`, exclusively, with exactly the mode `mode`.
pub fn make_dir(path: &Path, mode: u32, owner: Option<(u32, u32)>) -> Result<()> {
    let failed = |e| Error::os(format!("cannot make the directory {}", path.display()), e);
    rustix::fs::mkdirat(CWD, path, Mode::from_raw_mode(mode)).map_err(failed)?;
    // mkdir(2) takes the umask off.
    rustix::fs::chmodat(CWD, path, Mode::from_raw_mode(mode), AtFlags::empty()).map_err(failed)?;
    if let Some((uid, gid)) = owner {
        let (uid, gid) = (rustix::fs::Uid::from_raw(uid), rustix::fs::Gid::from_raw(gid));
        rustix::fs::chownat(CWD, path, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW).map_err(failed)?;
    }
    Ok(())
}

/// [`crate::Driver::rename`] for resources that are paths on one file system.
pub fn rename(from: &Resource, to: &Resource) -> Result<Outcome> {
    match rustix::fs::renameat_with(CWD, from.path(), CWD, to.path(), RenameFlags::NOREPLACE) {
        Ok(()) => Ok(Outcome::Done),
        // Both are missing, or `to` has no directory: `from` decides which.
        Err(Errno::NOENT) if !exists(from.path())? => Ok(Outcome::AlreadyDone),
        Err(Errno::EXIST) => Err(taken(to)),
        // No RENAME_NOREPLACE on this file system (NFS, some FUSE): link(2) cannot serve directories, so
        // look first. Homes are locked, so only a foreign program could come between.
        Err(Errno::INVAL) => rename_looking_first(from, to),
        Err(e) => Err(Error::os(format!("cannot rename {from} to {to}"), e)),
    }
}

fn taken(to: &Resource) -> Error {
    // `from` is a name of ours nobody has heard of, as often as not.
    Error::new(
        ErrorKind::AlreadyExists,
        format!("{to} is there already: remove it first or choose another place"),
    )
}

fn rename_looking_first(from: &Resource, to: &Resource) -> Result<Outcome> {
    if !exists(from.path())? {
        return Ok(Outcome::AlreadyDone);
    }
    if exists(to.path())? {
        return Err(taken(to));
    }
    rustix::fs::renameat(CWD, from.path(), CWD, to.path())
        .map_err(|e| Error::os(format!("cannot rename {from} to {to}"), e))?;
    Ok(Outcome::Done)
}

/// [`crate::Driver::reclaim`] for resources that are directory trees. Gone already is success.
///
/// Nothing behind a symlink or a mount point is touched; immutable files go, too (needs `CAP_LINUX_IMMUTABLE`).
pub fn reclaim(what: &Resource, observer: &dyn Observer) -> Result<Outcome> {
    let path = what.path();
    if !exists(path)? {
        return Ok(Outcome::AlreadyDone);
    }
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(Error::new(ErrorKind::InvalidInput, format!("{what} cannot be removed: it has no name")));
    };
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let parent = rustix::fs::openat(CWD, parent, flags, Mode::empty())
        .map_err(|e| Error::os(format!("cannot open {}", parent.display()), e))?;
    let options = RemoveOptions { observer, ..RemoveOptions::default() };
    hull_treecopy::remove_tree(parent.as_fd(), name, &options)
        .map_err(|e| Error::tree(format!("cannot remove {what}"), e))?;
    Ok(Outcome::Done)
}

/// Copies all files of the directory `from`, and its own attributes, into the empty directory `to`.
pub fn copy(from: &Path, to: &Path, observer: &dyn Observer) -> Result<()> {
    let open = |path: &Path| {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        rustix::fs::openat(CWD, path, flags, Mode::empty())
            .map_err(|e| Error::os(format!("cannot open {}", path.display()), e))
    };
    let options = CopyOptions { observer, ..CopyOptions::default() };
    hull_treecopy::copy_tree(open(from)?.as_fd(), open(to)?.as_fd(), &options)
        .map_err(|e| Error::tree(format!("cannot copy {} to {}", from.display(), to.display()), e))?;
    Ok(())
}

/// [`crate::Driver::usage`] for a directory tree.
///
/// What is exclusive is known only where files cannot share blocks (ext4, tmpfs, f2fs).
pub fn measure(root: &Path) -> Result<Usage> {
    let failed = |e| Error::os(format!("cannot open {}", root.display()), e);
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let dir = rustix::fs::openat(CWD, root, flags, Mode::empty()).map_err(failed)?;
    let kind = rustix::fs::fstatfs(&dir).map_err(failed)?.f_type as u64 & 0xffff_ffff;
    let measured = hull_treecopy::measure_tree(dir.as_fd())
        .map_err(|e| Error::tree(format!("cannot measure {}", root.display()), e))?;
    let total = Bytes(measured.allocated_bytes);
    let exclusive = UNSHARED.contains(&kind).then_some(total);
    Ok(Usage { exclusive, total, available: available(&dir), entries: measured.entries + 1 })
}

/// What an ordinary user can still write to the file system of `dir`.
pub fn available(dir: impl AsFd) -> Option<Bytes> {
    let status = rustix::fs::fstatvfs(dir).ok()?;
    Some(Bytes(status.f_bavail * status.f_frsize))
}

/// File systems without shared blocks, by their magic numbers in statfs(2): ext2 to ext4, tmpfs, f2fs.
const UNSHARED: [u64; 3] = [0xef53, 0x0102_1994, 0xf2f5_2010];

/// Whether anything is called `path`; a dangling symlink is something.
pub fn exists(path: &Path) -> Result<bool> {
    match rustix::fs::statat(CWD, path, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(_) => Ok(true),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(false),
        Err(e) => Err(Error::os(format!("cannot look at {}", path.display()), e)),
    }
}

/// What a path names, by one look: two looks could see two things when it is being moved away or into place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// A directory, or a symlink to one.
    Directory,
    /// Something else, a dangling symlink included.
    Other,
    /// Nothing.
    Nothing,
}

/// What `path` names now.
pub fn find(path: &Path) -> Result<Found> {
    match rustix::fs::statat(CWD, path, AtFlags::empty()) {
        Ok(stat) if rustix::fs::FileType::from_raw_mode(stat.st_mode).is_dir() => Ok(Found::Directory),
        Ok(_) => Ok(Found::Other),
        Err(Errno::NOENT | Errno::NOTDIR) => {
            let link = rustix::fs::statat(CWD, path, AtFlags::SYMLINK_NOFOLLOW);
            let dangling = |s: &rustix::fs::Stat| rustix::fs::FileType::from_raw_mode(s.st_mode).is_symlink();
            Ok(if link.as_ref().is_ok_and(dangling) { Found::Other } else { Found::Nothing })
        }
        Err(e) => Err(Error::os(format!("cannot look at {}", path.display()), e)),
    }
}

/// Whether `path` is a directory; a symlink to one is, too.
pub fn is_dir(path: &Path) -> bool {
    rustix::fs::statat(CWD, path, AtFlags::empty())
        .is_ok_and(|s| rustix::fs::FileType::from_raw_mode(s.st_mode).is_dir())
}

/// Replaces the content of `file` as a whole: readers see the old one or the new one. `None` removes it.
///
/// The new file keeps the old one's mode and owner; without an old one it gets `mode`. `aside` is a free name
/// in the same directory.
pub fn replace(file: &Path, aside: &Path, content: Option<&[u8]>, mode: u32) -> Result<()> {
    let failed = |e| Error::os(format!("cannot write {}", file.display()), e);
    let Some(content) = content else {
        remove_file(aside)?;
        return remove_file(file);
    };
    let old = rustix::fs::statat(CWD, file, AtFlags::SYMLINK_NOFOLLOW).ok();
    let mode = Mode::from_raw_mode(old.as_ref().map_or(mode, |s| s.st_mode & 0o7777));
    let flags = OFlags::CREATE | OFlags::TRUNC | OFlags::WRONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let mut new = std::fs::File::from(rustix::fs::openat(CWD, aside, flags, mode).map_err(failed)?);
    if let Err(e) = std::io::Write::write_all(&mut new, content) {
        // On a full disk nobody may come by again.
        let _ = remove_file(aside);
        return Err(failed(Errno::from_io_error(&e).unwrap_or(Errno::IO)));
    }
    // open(2) takes the umask off.
    rustix::fs::fchmod(&new, mode).map_err(failed)?;
    if let Some(old) = old {
        let (uid, gid) = (rustix::fs::Uid::from_raw(old.st_uid), rustix::fs::Gid::from_raw(old.st_gid));
        // Who may not give files away keeps the new file as his own.
        let _ = rustix::fs::fchown(&new, Some(uid), Some(gid));
    }
    rustix::fs::renameat(CWD, aside, CWD, file).map_err(failed)
}

fn remove_file(file: &Path) -> Result<()> {
    match rustix::fs::unlinkat(CWD, file, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT | Errno::NOTDIR) => Ok(()),
        Err(e) => Err(Error::os(format!("cannot remove {}", file.display()), e)),
    }
}

/// Reads a small file whole; `None` if there is none.
pub fn read(file: &Path) -> Result<Option<Vec<u8>>> {
    match std::fs::read(file) {
        Ok(content) => Ok(Some(content)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => {
            let errno = Errno::from_io_error(&e).unwrap_or(Errno::IO);
            Err(Error::os(format!("cannot read {}", file.display()), errno))
        }
    }
}
