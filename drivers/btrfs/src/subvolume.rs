//! Verbs on subvolumes: making, marking, deleting with what is nested inside.

use std::ffi::OsStr;
use std::path::Path;

use hull_mount::table;
use hull_storage::{Error, ErrorKind, Locator, Observer, Outcome, Resource, Result, files, mark};
use hull_sys::btrfs::{self, Nested};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{AtFlags, CWD, Gid, Mode, OFlags, ResolveFlags, Uid};
use rustix::io::Errno;

/// Whether the directory at `path` is the root of a subvolume.
pub(crate) fn is_at(path: &Path) -> bool {
    open_dir(path).is_ok_and(|dir| btrfs::is_subvolume(dir).unwrap_or(false))
}

/// Opens a directory for reading, as ioctl(2) requires.
pub(crate) fn open_dir(path: &Path) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::openat(CWD, path, flags, Mode::empty())
        .map_err(|e| Error::os(format!("cannot open {}", path.display()), e))
}

/// Opens the directory that is to hold `path`, and says what `path` is called there.
pub(crate) fn open_parent(path: &Path) -> Result<(OwnedFd, &OsStr)> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(Error::new(ErrorKind::InvalidInput, format!("{} has no name", path.display())));
    };
    Ok((open_dir(parent)?, name))
}

/// Makes the empty subvolume `path`, exclusively, with the mode 0755 and Hull's mark.
pub(crate) fn create(path: &Path, owner: Option<(u32, u32)>) -> Result<()> {
    let (parent, name) = open_parent(path)?;
    if !btrfs::is_btrfs(&parent)? {
        return Err(Error::new(
            ErrorKind::Unsupported,
            format!(
                "{} is not on btrfs, so no subvolume can be made there: use another store or another place",
                path.display()
            ),
        ));
    }
    btrfs::create_subvolume(&parent, name)?;
    let root = open_below(&parent, Path::new(name))?;
    let failed = |e| Error::os(format!("cannot prepare the new subvolume {}", path.display()), e);
    rustix::fs::fchmod(&root, Mode::from_raw_mode(0o755)).map_err(failed)?;
    if let Some((uid, gid)) = owner {
        let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
        rustix::fs::fchown(&root, Some(uid), Some(gid)).map_err(failed)?;
    }
    mark::set(path, &identity(&root)?)
}

/// What a snapshot or copy of the subvolume would not share: its UUID.
pub(crate) fn identity(root: &OwnedFd) -> Result<String> {
    let uuid = btrfs::subvolume_info(root)?.uuid;
    Ok(format!("subvolume {}", hexadecimal(&uuid)))
}

/// Whether Hull made the volume `at`, whose root is `root`.
pub(crate) fn is_marked(root: &OwnedFd, at: &Locator) -> Result<bool> {
    Ok(btrfs::is_subvolume(root)? && mark::is_set(at.path(), &identity(root)?))
}

pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// Deletes the volume `what` with all subvolumes inside, read-only ones too. Gone already is success.
///
/// Where the kernel refuses to delete a subvolume as such (see [`btrfs::delete_subvolume`]), it is emptied
/// and removed as a directory, which its owner may do. May be called again after it was interrupted.
pub(crate) fn reclaim(what: &Resource, observer: &dyn Observer) -> Result<Outcome> {
    let path = what.path();
    if !files::exists(path)? {
        return Ok(Outcome::AlreadyDone);
    }
    let (parent, name) = open_parent(path)?;
    if is_mounted_below(path, name) {
        // Deleting a subvolume would unmount it for everybody, silently; removing a tree refuses, and says what.
        return files::reclaim(what, observer);
    }
    match delete(&parent, name) {
        Ok(()) => Ok(Outcome::Done),
        // A plain directory, or no permission, or a name that is too long for the lookup: one way serves all.
        Err(_) => files::reclaim(what, observer),
    }
}

/// Whether something is mounted in the directory `path`, or on it, in this process's view.
fn is_mounted_below(path: &Path, name: &OsStr) -> bool {
    let Some(parent) = path.parent().and_then(|parent| parent.canonicalize().ok()) else { return false };
    let path = parent.join(name);
    table::read().is_ok_and(|mounts| mounts.iter().any(|mount| mount.point.starts_with(&path)))
}

/// Deletes the subvolume `name` of `parent`, those inside it first.
fn delete(parent: &OwnedFd, name: &OsStr) -> hull_sys::Result<()> {
    // The way down to the subvolume at hand: each level with those inside it that are still there.
    let mut levels = vec![Level::open(parent, Path::new(name))?];
    while let Some(level) = levels.last_mut() {
        if let Some(inside) = level.inside.pop() {
            let next = Level::open(&level.root, &inside.dir.join(&inside.name))?;
            level.under_way = Some(inside);
            levels.push(next);
            continue;
        }
        levels.pop();
        match levels.last_mut() {
            None => btrfs::delete_subvolume(parent, name)?,
            Some(above) => {
                if let Some(done) = above.under_way.take() {
                    let dir = open_below(&above.root, &done.dir)?;
                    btrfs::delete_subvolume(&dir, &done.name)?;
                }
            }
        }
    }
    Ok(())
}

/// A subvolume on the way down.
struct Level {
    root: OwnedFd,
    inside: Vec<Nested>,
    under_way: Option<Nested>,
}

impl Level {
    /// Opens the subvolume at `path` below `dir` and makes it writable, so that what is inside can go.
    fn open(dir: &OwnedFd, path: &Path) -> hull_sys::Result<Self> {
        let root = open_below(dir, path)?;
        if !btrfs::is_subvolume(&root)? {
            return Err(hull_sys::Error::new(format!("a subvolume at {}", path.display()), Errno::NOTDIR));
        }
        if btrfs::is_read_only(&root)? {
            btrfs::set_read_only(&root, false)?;
        }
        let inside = btrfs::nested_subvolumes(&root)?;
        Ok(Self { root, inside, under_way: None })
    }
}

/// Opens the directory at `path` below `dir`, through no symlink and no mount; an empty `path` is `dir` itself.
pub(crate) fn open_below(dir: &OwnedFd, path: &Path) -> hull_sys::Result<OwnedFd> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
    rustix::fs::openat2(dir, path, flags, Mode::empty(), resolve).map_err(|e| {
        hull_sys::Error::new(format!("openat2({}, {})", hull_sys::fd::name(dir), path.display()), e)
    })
}

/// Removes the empty directory `name` that a snapshot has where its source has a subvolume.
pub(crate) fn remove_placeholder(dir: impl AsFd, name: &OsStr) -> hull_sys::Result<()> {
    match rustix::fs::unlinkat(&dir, name, AtFlags::REMOVEDIR) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(e) => Err(hull_sys::Error::new(format!("rmdir({}, {name:?})", hull_sys::fd::name(&dir)), e)),
    }
}
