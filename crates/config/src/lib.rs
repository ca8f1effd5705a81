//! LXC container configuration: parse, query, change and write, comments kept.
//!
//! [`Config`] is a container's configuration, [`keys`] the one table of all keys, [`value`] what their
//! values mean. Nothing here reads the environment, and nothing writes files.

mod config;
mod edit;
mod error;
mod get;
mod hwaddr;
mod include;
pub mod keys;
mod legacy;
pub mod lxc_conf;
mod relocate;
mod rootfs;
mod state;
mod syntax;
mod typed;
pub mod value;

pub use config::Config;
pub use error::{Error, Fault, Result};
pub use hwaddr::HardwareAddresses;
pub use include::{FileIncludes, IncludeReader, Included};
pub use lxc_conf::LxcConf;
pub use rootfs::RootfsPath;
pub use state::Setting;
pub use typed::{Capabilities, CgroupSetting, Console, Namespaces, Network, Signals};
