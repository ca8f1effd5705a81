//! What confines a container besides namespaces and cgroups: capabilities, resource limits, and which
//! security modules the kernel has.
//!
//! Everything here is decided by the supervising process as data and carried out by the container's first
//! process, just before it execs.
#![forbid(unsafe_code)]

pub mod capability;
pub mod limit;
pub mod lsm;
pub mod seccomp;

pub use hull_sys::{Error, Result};
