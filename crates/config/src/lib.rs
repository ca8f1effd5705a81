//! LXC container configuration: parse, query, change and write, comments kept.
//!
//! [`Config`] is a container's configuration, [`keys`] the one table of all keys, [`value`] what their
//! values mean. Nothing here reads the environment, and nothing writes files.
//!
//! # Where Hull differs from LXC 5.0
//!
//! Hull refuses, naming the line, what LXC loads and then takes for something else or fails over when the
//! container starts: an `lxc.init.uid` that is no number (LXC: root), interface names beyond 15 characters
//! (LXC cuts them), `flags = down` (LXC: up), an MTU, hardware address or VLAN id that is none, id maps that
//! are empty or too long, mounts without a type or with a target that climbs by `..`, unknown limits and soft
//! limits above hard ones, signals above 64, `lxc.autodev.tmpfs.size` with a unit (LXC: 500000), and files
//! with a NUL byte (LXC stops reading there).
//!
//! Hull reads what LXC refuses: keys from before 2.1 (see [`Setting::legacy`]), `b` in `lxc.idmap`, the
//! environment keys of 7.0 beside the `lxc.cgroup.*` keys that 7.0 dropped, and a variable in
//! `lxc.environment` that the reader's own environment lacks.
//!
//! Values differ in these cases: a bare `lxc.rootfs.path` with a colon keeps its head; units `k`, `M` and `G`
//! work without a `B`; an IPv4 address without a prefix length gets that of its class (LXC: always 8);
//! `lxc.cap.drop` and `lxc.cap.keep` do not show each other's list; of several `lxc.proc.X` the last counts;
//! a hardware address with `x` stays a template until [`Config::randomise_hwaddr`] or [`Config::set`] fills
//! it in; the files of an included directory are read by name, not in the file system's order; a relative
//! include is sought beside the file that names it, not in the working directory.

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
