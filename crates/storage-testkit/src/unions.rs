//! For the tests of stores of unions: a tree to lie over, a place, a mount.

use std::fs;
use std::path::Path;

use hull_mount::{DetachedMount, MountGuard, MountPlan};
use hull_storage::{Access, CloneMode, DriverName, Locator, Placement, Store, VolumeSpec};

use crate::plain;

/// Exactly at `path`.
///
/// # Panics
/// When the path has no name of its own.
pub fn place(path: impl AsRef<Path>) -> Placement {
    Placement::exactly(path.as_ref()).expect("the path has a name of its own")
}

/// A tree to lie over, made at `path`: `etc/hostname`, `usr/bin/tool`, `usr/lib/one`. The store must know
/// [`plain::REGISTRATION`].
///
/// # Panics
/// When it cannot be made.
pub fn base(store: &Store, path: impl AsRef<Path>) -> Locator {
    let at = store.create(plain::NAME, &place(path), &VolumeSpec::default()).expect("the directory is made");
    for (file, content) in [("etc/hostname", "base"), ("usr/bin/tool", "tool"), ("usr/lib/one", "1")] {
        let file = at.path().join(file);
        fs::create_dir_all(file.parent().expect("it lies in a directory")).expect("the directory is made");
        fs::write(file, content).expect("the file is written");
    }
    at
}

/// A writable clone of `from` in the store `into`, exactly at `path`.
///
/// # Panics
/// When it cannot be made.
pub fn clone(store: &Store, into: DriverName, from: &Locator, path: impl AsRef<Path>) -> Locator {
    let (to, mode) = (place(path), CloneMode::Snapshot);
    store.clone_volume(from, Some(into), &to, mode, Access::ReadWrite).expect("the clone is made").at
}

/// Mounts `plan` at `point`, a directory that is made if it is missing.
///
/// # Panics
/// When it cannot be mounted.
pub fn attach(plan: &MountPlan, point: &Path) -> MountGuard {
    fs::create_dir_all(point).expect("the mount point is made");
    let mount = DetachedMount::build(plan, None).expect("the mount is built");
    mount.attach(rustix::fs::CWD, point).expect("the mount is attached")
}
