//! Volumes that are logical volumes of LVM: thin ones, whose clones cost nothing and stand alone, and thick ones.
//!
//! LVM's own programs do the work, a single one for a clone; what is active is looked at without starting any. See
//! the README for needs, limits and names.
//!
//! ```no_run
//! use hull_storage::{Access, CloneMode, Placement, Registry, Settings, open};
//! use std::path::Path;
//!
//! # fn main() -> hull_storage::Result<()> {
//! let registry = Registry::default().with(hull_driver_lvm::REGISTRATION);
//! let settings = Settings::default().with("lxc.bdev.lvm.vg", "vg");
//! let store = open(&registry, &settings, Path::new("/var/lib/mine"))?;
//! let image = registry.locate("lvm:/dev/vg/image".as_ref())?;
//! let to = Placement::exactly(Path::new("/dev/vg/root1")).expect("it has a name");
//! let root = store.clone_volume(&image, None, &to, CloneMode::Snapshot, Access::ReadWrite)?.at;
//! assert_eq!(root.to_string(), "lvm:/dev/vg/root1");
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod blocks;
mod capacity;
mod copy_on_write;
mod device;
mod driver;
mod enumerate;
mod naming;
mod probe;
mod report;
mod tool;
#[cfg(test)]
mod transcripts;
mod volumes;

use std::sync::Arc;

use hull_command::System;
use hull_storage::{DriverName, Registration};

pub use driver::LvmDriver;

/// The store's name.
pub const NAME: DriverName = DriverName::new("lvm");

/// Registers the driver.
pub const REGISTRATION: Registration = Registration {
    name: NAME,
    aliases: &[],
    summary: "logical volumes: clones of thin ones cost nothing and stand alone",
    detect: device::is_volume_at,
    probe: |settings| probe::probe(Arc::new(System), settings),
    open: |settings| Arc::new(LvmDriver::new(Arc::new(System), settings)),
};
