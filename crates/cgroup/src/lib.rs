//! Places a container in cgroup v1 and v2 hierarchies and sets its limits.
//!
//! A [`View`] says what hierarchies there are, a [`Plan`] how the container's groups are to be called.
//! [`Cgroups::create`] makes a payload and a monitor group in every hierarchy it may write to;
//! [`Cgroups::of_running`] finds those of a container that runs. Everything then goes through descriptors of
//! the groups, never through their paths.
//!
//! Deliberately absent: configuration files, mounting, and environment variables.

mod cgroups;
mod control;
pub mod devices;
mod door;
mod error;
mod group;
mod limits;
mod plan;
mod statistics;
mod view;

pub use cgroups::{Cgroups, GroupOf, Skipped};
pub use door::Doors;
pub use error::{Error, Result};
pub use limits::{Excused, Limit};
pub use plan::{Base, Moving, Plan};
pub use statistics::Statistics;
pub use view::{Hierarchy, Layout, Version, View};
