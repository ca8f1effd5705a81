//! Volumes that are file systems in image files, shown as block devices by loop(4).
//!
//! An image is a sparse file of a fixed size with ext4, xfs or btrfs on it. Where the file system that holds the images
//! shares blocks between files (xfs, btrfs), clones cost nothing. See the README for needs, limits and names on disk.
//!
//! ```no_run
//! use hull_storage::{Bytes, Placement, Registry, Settings, VolumeSpec, open};
//! use std::path::Path;
//!
//! # fn main() -> hull_storage::Result<()> {
//! let registry = Registry::default().with(hull_driver_loop::REGISTRATION);
//! let store = open(&registry, &Settings::default(), Path::new("/var/lib/mine"))?;
//! let to = Placement::exactly(Path::new("/srv/image")).expect("it has a name");
//! let spec = VolumeSpec { size: Some(Bytes(2 << 30)), ..VolumeSpec::default() };
//! assert_eq!(store.create(hull_driver_loop::NAME, &to, &spec)?.to_string(), "loop:/srv/image");
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod attach;
mod blocks;
mod capacity;
mod copy_on_write;
mod driver;
mod image;
mod naming;
mod probe;

use std::sync::Arc;

use hull_storage::{DriverName, Registration};

pub use driver::LoopDriver;

/// The store's name.
pub const NAME: DriverName = DriverName::new("loop");

/// Registers the driver.
pub const REGISTRATION: Registration = Registration {
    name: NAME,
    aliases: &[],
    summary: "file systems in image files: volumes of a fixed size that are single files",
    detect: image::is_at,
    probe: |_| probe::probe(),
    open: |settings| Arc::new(LoopDriver::new(settings)),
};
