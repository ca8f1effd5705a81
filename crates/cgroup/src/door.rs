//! Moving the calling process into a group without making the whole system wait.

use rustix::fd::OwnedFd;

use crate::group::Group;
use crate::{Result, Version};

/// A group's file by which a process of one thread moves itself there, whatever it can see or name by then.
///
/// Moving a process through `cgroup.procs` takes a lock against every fork and exec of the system, for which the kernel
/// waits for an RCU grace period: about ten milliseconds. A thread that moves itself through `tasks` of version 1 does
/// without (Linux 5.5), and one that is born in its group of version 2 (`CLONE_INTO_CGROUP`) as well.
#[derive(Debug)]
pub(crate) struct Door {
    file: OwnedFd,
    group: Group,
}

impl Door {
    /// Opens the door of `group`, one of version 1.
    pub(crate) fn open(group: Group) -> Result<Self> {
        Ok(Self { file: group.open_for_threads()?, group })
    }

    /// Moves the calling thread through.
    pub(crate) fn enter(&self) -> Result<()> {
        self.group.moved(0, rustix::io::retry_on_intr(|| rustix::io::write(&self.file, b"0")).map(drop))
    }
}

/// The doors to a container's groups of version 1.
#[derive(Debug, Default)]
pub struct Doors(pub(crate) Vec<Door>);

impl Doors {
    /// Moves the calling process to the groups. It must have one thread: others would stay where they are.
    pub fn enter(&self) -> Result<()> {
        self.0.iter().try_for_each(Door::enter)
    }
}

/// Moves the calling process to `group`: by its door if it has one thread and the group one.
pub(crate) fn enter(group: Group, version: Version) -> Result<()> {
    match version {
        Version::One if hull_sys::process::is_alone() => Door::open(group)?.enter(),
        _ => group.add(0),
    }
}
