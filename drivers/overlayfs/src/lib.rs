//! Volumes that record changes to another tree: clones that cost nothing on any file system.
//!
//! A volume is a stack: the tree it was cloned from, which stays where it is, and a directory with what was
//! changed since. It is never standalone, and whoever owns the source must not change or remove it. See the
//! README for needs, limits, the grammar of locators and names on disk.
//!
//! ```no_run
//! use hull_storage::{Access, CloneMode, Locator, Placement, Registration, Registry, Settings, open};
//! use std::path::Path;
//!
//! # fn demo(directories: Registration, image: Locator) -> hull_storage::Result<()> {
//! let registry = Registry::default().with(directories).with(hull_driver_overlayfs::REGISTRATION);
//! let store = open(&registry, &Settings::default(), Path::new("/var/lib/mine"))?;
//! let to = Placement::exactly(Path::new("/srv/root1")).expect("it has a name");
//! let into = Some(hull_driver_overlayfs::NAME);
//! let root = store.clone_volume(&image, into, &to, CloneMode::Snapshot, Access::ReadWrite)?.at;
//! assert_eq!(root.to_string(), "overlay:/srv/image:/srv/root1/delta");
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod copy_on_write;
mod driver;
mod naming;
mod probe;
mod upper;

use std::sync::Arc;

use hull_storage::{DriverName, Registration};

pub use driver::OverlayDriver;
pub use hull_unionfs::Chain;

/// The store's name.
pub const NAME: DriverName = DriverName::new("overlay");

/// What overlays have in common with other unions.
const STORE: hull_unionfs::Store = hull_unionfs::Store {
    name: NAME,
    volume: "overlay",
    // Linux takes 500 (`OVL_MAX_STACK`); mounted read-only, the upper layer is one of them.
    deepest: 499,
    // On the directory above the upper layer, where the container does not see it.
    access: c"user.hull.access",
    private: &["trusted.overlay.", "user.overlay."],
};

/// Registers the driver.
pub const REGISTRATION: Registration = Registration {
    name: NAME,
    aliases: &["overlayfs"],
    summary: "overlayfs: clones that record changes to another tree",
    // A directory does not tell what it lies over; only a locator does.
    detect: |_| false,
    probe: |_| probe::probe(),
    open: |_| Arc::new(OverlayDriver),
};
