//! The container core: create, clone, snapshot, restore, rename and destroy on any store.
//!
//! A container is a directory `<lxcpath>/<name>` with a file `config`, as LXC keeps it; its root file system is
//! a volume of some store, named by `lxc.rootfs.path`. Each operation here is one transaction of the
//! [`hull_storage::Store`]: directory, config, volume and the records of who depends on whom change together or
//! not at all. Nothing here knows a driver.
//!
//! Stock LXC may work in the same lxcpath: its lock files, its marker `partial` and its `lxc_snapshots` and
//! `lxc_rdepends` files are kept.
#![forbid(unsafe_code)]

mod archive;
mod clone;
mod config;
mod container;
mod containers;
mod create;
mod dependents;
mod destroy;
mod freeze;
mod hooks;
mod made;
mod name;
mod named;
mod partial;
mod rename;
mod resize;
mod restore;
mod running;
mod scan;
mod snapshot;
mod template;

pub use clone::CloneRequest;
pub use container::Container;
pub use containers::{Containers, Options, lock_container};
pub use create::{Content, CreateRequest};
pub use dependents::Dependent;
pub use destroy::{Dependents, DestroyRequest};
pub use freeze::{Freezer, Freezing, Frozen, Thawed};
pub use hull_storage::{CloneMode, Error, ErrorKind, Result};
pub use made::Made;
pub use name::check as check_name;
pub use restore::RestoreRequest;
pub use running::RunningMark;
pub use scan::{Orphan, Scan, Why};
pub use snapshot::{Snapshot, SnapshotRequest};
pub use template::Template;
