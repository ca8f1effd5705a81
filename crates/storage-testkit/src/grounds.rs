//! The grounds of stores with pools: a volume group, a zfs pool, each of its own and gone when dropped.
//!
//! They are kept out of [`crate::scratch`], which needs nothing but a file system: these need programs, and a kernel,
//! that most machines lack.

pub mod volume_group;
pub mod zpool;
