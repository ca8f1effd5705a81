//! Mounts in three stages, each a type: a [`MountPlan`] is data, a [`DetachedMount`] is a file system ready
//! to appear but attached nowhere, a [`MountGuard`] is an attached mount that goes when dropped.
//!
//! A plan can be printed, compared and sent; nothing has happened yet. A detached mount is a descriptor: it
//! is visible to nobody, dissolves when closed (also by `kill -9`), can be walked with `openat(2)`, and
//! crosses to another process by `SCM_RIGHTS`. That is what makes mounts safe to prepare outside a container
//! and to hand into it.
//!
//! ```no_run
//! use hull_mount::{Access, DetachedMount, MountPlan, MountSource};
//! use std::path::Path;
//!
//! let plan = MountPlan::new(MountSource::Tree("/srv/rootfs".into()), Access::ReadOnly);
//! println!("{plan}"); // /srv/rootfs none bind,ro
//! let mount = DetachedMount::build(&plan, None)?;
//! let guard = mount.attach(rustix::fs::CWD, Path::new("/mnt"))?;
//! // … use /mnt …
//! guard.unmount()?;
//! # Ok::<(), hull_mount::Error>(())
//! ```
//!
//! Building and attaching need `CAP_SYS_ADMIN` in the user namespace that owns the mount namespace.
#![forbid(unsafe_code)]

mod aufs;
pub mod branches;
mod detached;
mod guard;
mod options;
mod overlay;
mod plan;
pub mod table;

pub use detached::DetachedMount;
pub use guard::MountGuard;
pub use hull_sys::{Error, Result};
pub use options::{MountOptions, Propagation};
pub use plan::{Access, MountPlan, MountSource, Union, UpperDir};
