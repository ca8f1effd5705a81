//! LXC's command-socket protocol: client, server and discovery of running containers.
//!
//! A running container's monitor listens on an abstract unix socket named after lxcpath and container
//! ([`Address`]). [`Client`] asks it, [`Server`] is it; both are byte-compatible with stock LXC 2 to 7 on a
//! machine of the same word size and byte order. [`discover`] finds the containers whose monitors run, and
//! [`monitord`] tells stock `lxc-monitor` about changes of state.
//!
//! Deliberately absent: threads, environment variables, and waiting without a deadline the caller chose.

mod address;
pub mod client;
pub mod discover;
pub mod monitord;
pub mod server;
mod state;
pub mod wire;

pub use address::{Address, fnv1a_64};
pub use client::Client;
pub use server::{Handler, Server};
pub use state::State;
