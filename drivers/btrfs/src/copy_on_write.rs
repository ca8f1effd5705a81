//! Clones and snapshots: snapshots of the subvolume and of every subvolume inside it.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use hull_mount::{Access, MountSource};
use hull_storage::{
    CopyOnWrite, Cost, Error, ErrorKind, Kept, Layout, Offer, Placement, Result, Source, Tie, TxId, mark,
    paths,
};
use hull_sys::btrfs;
use rustix::fd::OwnedFd;
use rustix::io::Errno;

use crate::BtrfsDriver;
use crate::capacity::Group;
use crate::subvolume::{identity, open_below, open_dir, open_parent, remove_placeholder};

impl CopyOnWrite for BtrfsDriver {
    /// Snapshots any store's volume that is a subvolume of the file system that will hold the clone and that
    /// the caller may snapshot.
    fn offer(&self, from: Source<'_>, to: &Placement, _access: Access) -> Option<Offer> {
        let source = open_dir(&tree_of(from)?).ok()?;
        let there = to.dir().ancestors().find_map(|dir| open_dir(dir).ok())?;
        let possible = btrfs::is_subvolume(&source).ok()?
            && btrfs::is_btrfs(&there).ok()?
            && btrfs::filesystem_id(&source).ok()? == btrfs::filesystem_id(&there).ok()?
            && may_snapshot(&source)?;
        possible.then_some(Offer { cost: Cost::Constant, tie: Tie::None, lies_over: false })
    }

    fn clone_volume(&self, from: Source<'_>, to: &Layout, access: Access, _by: TxId) -> Result<Kept> {
        let source = tree_of(from).ok_or_else(|| {
            Error::new(
                ErrorKind::Unsupported,
                format!("{} is no btrfs subvolume: ask for a copy of it", from.at),
            )
        })?;
        let path = paths::absolute(&to.at)?;
        let (parent, name) = open_parent(&path)?;
        let source = open_dir(&source)?;
        // Listed before the clone is there: it may itself lie in the source.
        let inside = all_inside(&source)?;
        let clone = snapshot(&source, &parent, name)?;
        let made = nested_too(&source, &clone, inside)?;
        // Whether or not the source bears a mark, the clone's is its own.
        mark::set(&path, &identity(&clone)?)?;
        for (inside, read_only) in made.iter().rev() {
            if *read_only || access == Access::ReadOnly {
                btrfs::set_read_only(open_below(&clone, inside)?, true)?;
            }
        }
        if access == Access::ReadOnly {
            btrfs::set_read_only(&clone, true)?;
        }
        Ok(None)
    }
}

/// The directory tree that the volume is, if it is one: whatever its store, a subvolume is a subvolume.
fn tree_of(from: Source<'_>) -> Option<PathBuf> {
    if from.driver.capabilities().block_backed {
        return None;
    }
    match from.driver.activate(from.at, Access::ReadOnly).ok()?.plan.source {
        MountSource::Tree(path) => Some(path),
        _ => None,
    }
}

/// Whether the kernel lets this process snapshot the subvolume: it must be its owner, or be root over him.
fn may_snapshot(root: &OwnedFd) -> Option<bool> {
    let caller = rustix::process::geteuid();
    let owner = rustix::fs::fstat(root).ok()?.st_uid;
    Some(caller.is_root() || owner == caller.as_raw())
}

/// Makes a writable snapshot and opens it.
pub(crate) fn snapshot(source: &OwnedFd, parent: &OwnedFd, name: &OsStr) -> Result<OwnedFd> {
    btrfs::snapshot(source, parent, name)?;
    let made = open_below(parent, Path::new(name))?;
    if Group::of(source)?.limit().is_some() {
        // The kernel gives a snapshot its source's limit. A limit is for one volume; who may not lift it keeps it.
        match btrfs::set_limit(&made, None) {
            Err(e) if !matches!(e.errno(), Errno::PERM | Errno::NOTCONN) => return Err(e.into()),
            _ => {}
        }
    }
    Ok(made)
}

/// Puts a snapshot wherever `clone` has an empty directory and `source` a subvolume of the list `inside`.
/// Returns, outer ones first, where in the clone each is and whether its original is read-only.
fn nested_too(
    source: &OwnedFd,
    clone: &OwnedFd,
    inside: Vec<(PathBuf, OsString)>,
) -> Result<Vec<(PathBuf, bool)>> {
    let mut made = Vec::new();
    for (dir, name) in inside {
        let at = dir.join(&name);
        let (original, parent) = match (open_below(source, &at), open_below(clone, &dir)) {
            (Ok(original), Ok(parent)) => (original, parent),
            // It went away since it was listed, or came since the snapshot was made.
            (Err(e), _) | (_, Err(e)) if e.errno() == Errno::NOENT => continue,
            (Err(e), _) | (_, Err(e)) => return Err(e.into()),
        };
        remove_placeholder(&parent, &name)?;
        snapshot(&original, &parent, &name)?;
        made.push((at, btrfs::is_read_only(&original)?));
    }
    Ok(made)
}

/// All subvolumes inside `source`, outer ones first, by directory and name.
fn all_inside(source: &OwnedFd) -> Result<Vec<(PathBuf, OsString)>> {
    let mut all = inside(source, Path::new(""))?;
    let mut next = 0;
    while let Some((dir, name)) = all.get(next) {
        let at = dir.join(name);
        match open_below(source, &at) {
            Ok(root) => all.extend(inside(&root, &at)?),
            Err(e) if e.errno() == Errno::NOENT => {}
            Err(e) => return Err(e.into()),
        }
        next += 1;
    }
    Ok(all)
}

/// The subvolumes right inside the one at `at`, by directory and name below the outermost one.
fn inside(root: &OwnedFd, at: &Path) -> Result<Vec<(PathBuf, OsString)>> {
    let nested = btrfs::nested_subvolumes(root)?;
    Ok(nested.into_iter().map(|n| (at.join(&n.dir), n.name)).collect())
}
