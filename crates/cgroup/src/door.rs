//! Moving the calling process into a group without making the whole system wait.

use hull_sys::process::{self, Fork};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::process::{PidfdFlags, getpid, pidfd_open};
use std::path::{Path, PathBuf};

use crate::group::{self, Group};
use crate::{Error, Moving, Result, Version};

/// A group's file by which a process of one thread moves itself there, whatever it can see or name by then.
///
/// Moving a process through `cgroup.procs` takes a lock against every fork and exec of the system, for which the kernel
/// waits for an RCU grace period: about ten milliseconds. A thread that moves itself through `tasks` of version 1 does
/// without (Linux 5.5), and one that is born in its group of version 2 (`CLONE_INTO_CGROUP`) as well.
#[derive(Debug)]
struct Door {
    file: OwnedFd,
    /// The group, for messages.
    path: PathBuf,
}

impl Door {
    /// Opens the door of `group`, one of version 1.
    fn open(group: &Group) -> Result<Self> {
        Ok(Self { file: group.open_for_threads()?, path: group.path().to_owned() })
    }

    /// Moves the calling thread through.
    fn enter(&self) -> Result<()> {
        let written = rustix::io::retry_on_intr(|| rustix::io::write(&self.file, b"0")).map(drop);
        group::moved(0, &self.path, written)
    }
}

/// The ways into a container's groups: to be born in that of version 2, and doors to those of version 1. Together they
/// put a process where [`Cgroups::place`](crate::Cgroups::place) would, and faster.
#[derive(Debug, Default)]
pub struct Doors {
    first: Vec<Door>,
    second: Option<OwnedFd>,
}

impl Doors {
    /// The ways into the groups whose directories these are, in whatever order; fails if one is no group.
    pub fn to(directories: Vec<OwnedFd>) -> Result<Self> {
        let mut doors = Self::default();
        for directory in directories {
            let group = Group::of_directory(directory, Path::new("the container's group"));
            let Some(version) = group.version() else {
                return Err(Error::new(Errno::INVAL, "what is said to be the container's group is none"));
            };
            doors.add(&group, version)?;
        }
        Ok(doors)
    }

    /// Adds the way into `group`.
    pub(crate) fn add(&mut self, group: &Group, version: Version) -> Result<()> {
        match version {
            Version::One => self.first.push(Door::open(group)?),
            Version::Two => self.second = Some(group.try_clone()?),
        }
        Ok(())
    }

    /// The group of version 2, for `clone3(2)` with `CLONE_INTO_CGROUP` (Linux 5.7).
    pub fn birth_group(&self) -> Option<BorrowedFd<'_>> {
        self.second.as_ref().map(AsFd::as_fd)
    }

    /// Moves the calling process to the groups of version 1. It must have one thread: others would stay where they are.
    pub fn enter(&self) -> Result<()> {
        self.first.iter().try_for_each(Door::enter)
    }
}

/// Moves the calling process to `group`: by its door if it has one thread and the group one, or by being born there.
pub(crate) fn enter(group: &Group, version: Version, moving: Moving) -> Result<()> {
    match (version, moving) {
        (Version::One, _) if process::is_alone() => Door::open(group)?.enter(),
        // A kernel that does not know how, or a group that takes nobody in, moves it or says why not.
        (Version::Two, Moving::Reborn) => be_born(Some(group)).or_else(|_| group.add(0)),
        _ => group.add(0),
    }
}

/// Goes on as a child of the calling process, born in `group` (else where its parent is), whose parent ends with status
/// 0. Returns in the child, which then is the only one.
pub(crate) fn be_born(group: Option<&Group>) -> Result<()> {
    let parent = pidfd_open(getpid(), PidfdFlags::empty()).map_err(|e| Error::call("pidfd_open(self)", e))?;
    let forked = process::fork(0, group.map(AsFd::as_fd));
    match forked.map_err(|e| Error::call(e.call(), e.errno()))? {
        Fork::Parent { .. } => process::exit(0),
        // Until it has ended, it is in the way of whoever removes its group, or enables controllers beside it.
        Fork::Child => rustix::io::retry_on_intr(|| poll(&mut [PollFd::new(&parent, PollFlags::IN)], None))
            .map(drop)
            .map_err(|e| Error::call("poll(pidfd)", e)),
    }
}
