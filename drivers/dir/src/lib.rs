//! Volumes that are plain directories: the store that works everywhere.
//!
//! A volume is a directory on any file system. Copies are copies of the tree, in which files share their
//! blocks where the file system can (btrfs, xfs); there is no copy-on-write facet, because the work grows with
//! the number of files. See the README for needs, limits and names on disk.
//!
//! ```no_run
//! use hull_storage::{Placement, Registry, Settings, VolumeSpec, open};
//! use std::path::Path;
//!
//! # fn main() -> hull_storage::Result<()> {
//! let registry = Registry::default().with(hull_driver_dir::REGISTRATION);
//! let store = open(&registry, &Settings::default(), Path::new("/var/lib/mine"))?;
//! let to = Placement::exactly(Path::new("/srv/root1")).expect("it has a name");
//! let root = store.create(hull_driver_dir::NAME, &to, &VolumeSpec::default())?;
//! assert_eq!(root.to_string(), "dir:/srv/root1");
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod capacity;
mod driver;
mod naming;
mod project;

use std::path::Path;
use std::sync::Arc;

use hull_storage::{Availability, DriverName, Registration, files};

pub use driver::DirDriver;

/// The store's name.
pub const NAME: DriverName = DriverName::new("dir");

/// Registers the driver.
pub const REGISTRATION: Registration = Registration {
    name: NAME,
    aliases: &[],
    summary: "plain directories on any file system",
    detect: |path: &Path| files::is_dir(path),
    probe: |_| Availability::Ready { notes: Vec::new() },
    open: |_| Arc::new(DirDriver),
};
