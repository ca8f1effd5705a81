//! File systems on block devices: what is on one, making it, growing, shrinking, and telling copies apart.
//!
//! For stores whose volumes are block devices (images on loop devices, logical volumes). What a device holds is read
//! from its superblock here ([`probe()`]); what changes it is done by the file system's own programs, or by the kernel
//! through a mount that nobody else sees, but for one small thing ([`mod@ext4`]).
//!
//! Every function takes a block *device*: an image is attached to a loop device first. All but [`make()`] can be
//! repeated after they were interrupted.
//!
//! ```no_run
//! use std::path::Path;
//! use hull_blockfs::{FsKind, MakeOptions};
//! use hull_command::System;
//!
//! let device = Path::new("/dev/vg/new");
//! hull_blockfs::make(&System, device, FsKind::parse("ext4")?, &MakeOptions::default())?;
//! assert_eq!(hull_blockfs::probe_device(device)?.expect("it was just made").fstype, "ext4");
//! # Ok::<(), hull_storage::Error>(())
//! ```
#![forbid(unsafe_code)]

pub mod ext4;
mod identity;
mod kind;
mod make;
mod mounted;
mod probe;
mod raw;
mod resize;
#[cfg(test)]
mod testing;

pub use identity::{new_identity, replay};
pub use kind::{FsKind, missing};
pub use make::{MakeOptions, make};
pub use mounted::sync;
pub use probe::{Found, probe, probe_device};
pub use resize::{grow, shrink};
