//! Volumes that record changes to another tree, on the union file system of LXC 2.1 and before.
//!
//! A volume is a stack: the tree it was cloned from, which stays where it is, and a directory with what was
//! changed since. No mainline kernel has aufs; where there is no old container to keep, overlayfs does the same.
//! See the README for needs, limits, the grammar of locators and names on disk.
//!
//! ```no_run
//! use hull_storage::{Access, CloneMode, Locator, Placement, Registration, Registry, Settings, open};
//! use std::path::Path;
//!
//! # fn demo(directories: Registration, image: Locator) -> hull_storage::Result<()> {
//! let registry = Registry::default().with(directories).with(hull_driver_aufs::REGISTRATION);
//! let store = open(&registry, &Settings::default(), Path::new("/var/lib/mine"))?;
//! let to = Placement::in_home("/var/lib/lxc/c1", "c1");
//! let into = Some(hull_driver_aufs::NAME);
//! let root = store.clone_volume(&image, into, &to, CloneMode::Snapshot, Access::ReadWrite)?.at;
//! assert_eq!(root.to_string(), "aufs:/srv/image:/var/lib/lxc/c1/delta0");
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod copy_on_write;
mod driver;
mod kernel;
mod naming;
mod upper;
mod xino;

use std::sync::Arc;

use hull_storage::{DriverName, Registration};

pub use driver::AufsDriver;
pub use hull_unionfs::Chain;
pub use kernel::has_aufs;

/// The store's name.
pub const NAME: DriverName = DriverName::new("aufs");

/// Registers the driver.
pub const REGISTRATION: Registration = Registration {
    name: NAME,
    aliases: &[],
    summary: "aufs: clones that record changes to another tree, for containers of old LXC",
    // A directory does not tell what it lies over; only a locator does.
    detect: |_| false,
    probe: |_| kernel::probe(),
    open: |_| Arc::new(AufsDriver),
};

/// What aufs volumes have in common with other unions.
const STORE: hull_unionfs::Store = hull_unionfs::Store {
    name: NAME,
    volume: "aufs volume",
    // aufs keeps the options of one mount in a page, which is full after 84.
    deepest: 80,
    // On the upper layer itself, where `user.*` would be the container's to set; and tmpfs had none before Linux 6.6.
    access: c"trusted.hull.access",
    // Marks of aufs are files.
    private: &[],
};
