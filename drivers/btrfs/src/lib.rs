//! Volumes that are btrfs subvolumes: clones and snapshots that cost nothing and tie nothing together.
//!
//! Subvolumes are made, snapshotted and deleted by ioctl(2); the `btrfs` program is not needed. What the kernel
//! lets a normal user do works without privileges. See the README for needs, limits and names on disk.
//!
//! ```no_run
//! use hull_storage::{Access, CloneMode, Locator, Placement, Registry, Settings, open};
//! use std::path::Path;
//!
//! # fn main() -> hull_storage::Result<()> {
//! let registry = Registry::default().with(hull_driver_btrfs::REGISTRATION);
//! let store = open(&registry, &Settings::default(), Path::new("/var/lib/mine"))?;
//! // A bare path is recognised as a subvolume.
//! let image = registry.locate("/srv/image".as_ref())?;
//! let to = Placement::exactly(Path::new("/srv/root1")).expect("it has a name");
//! let root = store.clone_volume(&image, None, &to, CloneMode::Snapshot, Access::ReadWrite)?.at;
//! assert_eq!(root.to_string(), "btrfs:/srv/root1");
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod capacity;
mod copy_on_write;
mod driver;
mod naming;
mod probe;
mod subvolume;
mod transfer;

use std::sync::Arc;

use hull_storage::{DriverName, Registration};

pub use driver::BtrfsDriver;
pub use transfer::{StreamPath, stream};

/// The store's name.
pub const NAME: DriverName = DriverName::new("btrfs");

/// Registers the driver.
pub const REGISTRATION: Registration = Registration {
    name: NAME,
    aliases: &[],
    summary: "btrfs subvolumes: clones cost nothing and stand alone",
    detect: subvolume::is_at,
    probe: |_| probe::probe(),
    open: |_| Arc::new(BtrfsDriver),
};
