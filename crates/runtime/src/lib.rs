//! Starts, supervises and enters containers.
//!
//! [`supervise::run`] is one container's life, meant for a process of its own (`hull-monitor`): it decides
//! everything, clones, serves LXC's command socket while the container runs, and cleans up. [`attach::run`]
//! executes a command in a running container, Hull's or stock LXC's. [`stop`] ends one, [`freeze`] keeps one still. [`launch`] is for
//! the program that starts `hull-monitor`.
//!
//! Storage is the caller's: a [`RootfsProvider`] hands in the root file system. Deliberately absent: threads,
//! storage drivers, and reading the environment.
#![forbid(unsafe_code)]

pub mod attach;
mod error;
pub mod freeze;
mod hooks;
mod inside;
pub mod launch;
pub mod log;
mod rootfs;
mod start;
pub mod stop;
pub mod supervise;
mod support;
mod terminal;

pub use error::{Error, Result};
pub use rootfs::{Rootfs, RootfsOptions, RootfsProvider, RootfsSource};
pub use start::{Command, Mode, Start};
pub use support::{Unsupported, unsupported};
