//! The kernel calls Hull needs and rustix lacks, as safe functions on file descriptors.
//!
//! This is the one crate with `unsafe` code. Each module wraps one facility, takes and returns
//! owned or borrowed descriptors, and reports failures as [`Error`], which prints the call as it was made.
#![allow(unsafe_code)]
#![deny(unsafe_op_in_unsafe_fn)]

pub mod bpf;
pub mod btrfs;
pub mod capability;
pub mod clock;
pub mod entry;
mod error;
pub mod fd;
pub mod fiemap;
pub mod inode;
pub mod keyring;
pub mod lock;
pub mod loopdev;
pub mod mapper;
pub mod mount;
pub mod netif;
pub mod pages;
pub mod prctl;
pub mod private;
pub mod process;
pub mod quota;
pub mod sealed;
pub mod seccomp;
pub mod signal;
pub mod socket;
pub mod zfscore;

pub use error::{Error, Result};
