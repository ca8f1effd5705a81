//! What a monitor answers for its container.

use rustix::fd::OwnedFd;
use rustix::io::Errno;
use std::time::Duration;

use crate::State;
use crate::wire::{CgroupLayout, ConsoleLogRequest, DeviceRule};

/// The answers of one container. [`crate::Server`] calls these from [`crate::Server::dispatch`], one at a time.
///
/// An `Err` is sent to the asker as its negative number. Answers are to be quick: the monitor's loop waits for
/// them. What has a default here answers as stock LXC does where it lacks the facility.
pub trait Handler {
    /// What the container is doing.
    fn state(&self) -> State;

    /// Its init, as the monitor numbers it; `None` when it has none (yet, or any more).
    fn init_pid(&self) -> Option<i32>;

    /// A copy of the pidfd of its init.
    fn init_pidfd(&self) -> Result<OwnedFd, Errno>;

    /// The `CLONE_NEW…` flags its init was made with.
    fn clone_flags(&self) -> u64;

    /// The value of a configuration key of the running container; nothing and empty are the same on the wire.
    fn config_item(&mut self, key: &str) -> Option<String>;

    /// Begins to kill the container. The asker gets no answer but the end of its connection when the
    /// [`crate::Server`] goes.
    fn stop(&mut self) -> Result<(), Errno>;

    /// The group of the container in the hierarchy of `controller` (or in the first one), from the
    /// hierarchy's root, with a leading slash.
    fn cgroup(&mut self, group: Group, controller: Option<&str>) -> Result<String, Errno>;

    /// The directory of the container in the hierarchy of `controller`.
    fn cgroup_fd(&mut self, group: Group, controller: &str) -> Result<CgroupDirectory, Errno> {
        let _ = (group, controller);
        Err(Errno::BADF)
    }

    /// The directory of the container in the version 2 hierarchy of a host that has no other.
    fn cgroup2_fd(&mut self, group: Group) -> Result<OwnedFd, Errno> {
        let _ = group;
        Err(Errno::INVAL)
    }

    /// The directories of the container in all hierarchies: what to join to be in it.
    fn cgroup_context(&mut self) -> Result<CgroupDirectories, Errno> {
        Err(Errno::BADF)
    }

    /// Freezes the container by cgroup version 2. Stock clients freeze by version 1 themselves, on `ENOENT`.
    fn freeze(&mut self, timeout: Option<Duration>) -> Result<(), Errno> {
        let _ = timeout;
        Err(Errno::NOENT)
    }

    /// Undoes [`Handler::freeze`].
    fn unfreeze(&mut self, timeout: Option<Duration>) -> Result<(), Errno> {
        let _ = timeout;
        Err(Errno::NOENT)
    }

    /// A peer has frozen or thawed the container itself and tells its new state.
    ///
    /// Remember [`State::lasting`]; the server tells the waiting clients.
    fn set_state(&mut self, state: State) -> Result<(), Errno>;

    /// Lends out terminal `number` (the first is 1), or any free one: its number and a copy of its host side.
    ///
    /// The server calls [`Handler::tty_released`] when the borrower's connection ends.
    fn tty(&mut self, number: Option<u32>) -> Result<(u32, OwnedFd), Errno> {
        let _ = number;
        Err(Errno::BADF)
    }

    /// Terminal `number` is free again.
    fn tty_released(&mut self, number: u32) {
        let _ = number;
    }

    /// Reads or clears the console's ring buffer. `ENODATA`: it is empty; `EFAULT`: there is none.
    fn console_log(&mut self, request: ConsoleLogRequest) -> Result<Vec<u8>, Errno> {
        let _ = request;
        Err(Errno::FAULT)
    }

    /// A copy of the root of the container's devpts.
    fn devpts_fd(&mut self) -> Result<OwnedFd, Errno> {
        Err(Errno::BADF)
    }

    /// A copy of the seccomp notifier.
    fn seccomp_notify_fd(&mut self) -> Result<OwnedFd, Errno> {
        Err(Errno::BADF)
    }

    /// Adds a rule to the device program of the container (cgroup version 2).
    fn add_device_rule(&mut self, rule: DeviceRule) -> Result<(), Errno> {
        let _ = rule;
        Err(Errno::NOSYS)
    }

    /// The systemd scope the container runs in.
    fn systemd_scope(&mut self) -> Option<String> {
        None
    }
}

/// Which of a container's two groups is meant; they differ with `lxc.cgroup.dir.container.inner`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// The one its processes are in.
    Inner,
    /// The one that carries its limits.
    Limit,
}

/// A container's directory in one hierarchy.
#[derive(Debug)]
pub struct CgroupDirectory {
    /// How the host's hierarchies are laid out.
    pub layout: CgroupLayout,
    /// Bits: 1 the devices, 2 the freezer of version 2 can be used.
    pub utilities: u32,
    /// [`crate::wire::CGROUP_MAGIC`] or [`crate::wire::CGROUP2_MAGIC`].
    pub magic: i32,
    /// The directory.
    pub fd: OwnedFd,
}

/// A container's directories in all hierarchies.
#[derive(Debug)]
pub struct CgroupDirectories {
    /// How the host's hierarchies are laid out.
    pub layout: CgroupLayout,
    /// Bits: 1 the devices, 2 the freezer of version 2 can be used.
    pub utilities: u32,
    /// The directories; only the first [`crate::wire::CGROUP_CONTEXT_FDS`] can be sent.
    pub fds: Vec<OwnedFd>,
}
