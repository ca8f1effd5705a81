//! Volumes that are zfs datasets: clones cost nothing, and either of source and clone may be destroyed first.
//!
//! Acts are calls of libzfs_core, loaded at run time, or of the program `zfs` where there is no such library. See the
//! README for needs, limits and names.
//!
//! ```no_run
//! use hull_storage::{Access, CloneMode, Placement, Registry, Settings, open};
//! use std::path::Path;
//!
//! # fn main() -> hull_storage::Result<()> {
//! let registry = Registry::default().with(hull_driver_zfs::REGISTRATION);
//! let settings = Settings::default().with("lxc.bdev.zfs.root", "tank/lxc");
//! let store = open(&registry, &settings, Path::new("/var/lib/mine"))?;
//! let image = registry.locate("zfs:tank/lxc/image".as_ref())?;
//! let to = Placement::exactly(Path::new("tank/lxc/root1")).expect("it has a name");
//! let root = store.clone_volume(&image, None, &to, CloneMode::Snapshot, Access::ReadWrite)?.at;
//! assert_eq!(root.to_string(), "zfs:tank/lxc/root1");
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod backend;
mod capacity;
mod copy_on_write;
mod driver;
mod enumerate;
mod naming;
mod probe;
mod remove;
#[cfg(test)]
mod transcripts;
mod transfer;
mod users;

use std::sync::Arc;

use hull_storage::{DriverName, Registration};

pub use driver::ZfsDriver;

/// The store's name.
pub const NAME: DriverName = DriverName::new("zfs");

/// Registers the driver.
///
/// Settings: `lxc.bdev.zfs.root`, the dataset that volumes are made in (`lxc`); `hull.zfs.backend`, `library` or
/// `program`, how zfs is asked (the library where it can be loaded).
pub const REGISTRATION: Registration = Registration {
    name: NAME,
    aliases: &[],
    summary: "zfs datasets: clones cost nothing, and outlive their source",
    detect: probe::is_mountpoint,
    probe: probe::probe,
    open: |settings| Arc::new(ZfsDriver::new(settings)),
};
