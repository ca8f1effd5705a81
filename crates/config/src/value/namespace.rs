//! The kinds of namespaces (`namespaces`(7)).

use crate::error::{Fault, quoted};

/// A kind of namespace, in the order in which LXC lists them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Namespace {
    /// User and group ids.
    User,
    /// Mounts.
    Mount,
    /// Process ids.
    Pid,
    /// Host and domain name.
    Uts,
    /// System V IPC and POSIX message queues.
    Ipc,
    /// Network.
    Net,
    /// The cgroup root.
    Cgroup,
    /// The boot-time and monotonic clocks.
    Time,
}

impl Namespace {
    /// Every kind, in LXC's order.
    pub const ALL: [Self; 8] =
        [Self::User, Self::Mount, Self::Pid, Self::Uts, Self::Ipc, Self::Net, Self::Cgroup, Self::Time];

    /// Reads a name as it stands in `/proc/PID/ns`.
    pub fn parse(value: &str) -> Result<Self, Fault> {
        Self::ALL.into_iter().find(|namespace| namespace.name() == value).ok_or_else(|| {
            Fault::new(
                format!("{} is not a namespace", quoted(value)),
                "use user, mnt, pid, uts, ipc, net, cgroup or time",
            )
        })
    }

    /// The name as it stands in `/proc/PID/ns`.
    pub fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Mount => "mnt",
            Self::Pid => "pid",
            Self::Uts => "uts",
            Self::Ipc => "ipc",
            Self::Net => "net",
            Self::Cgroup => "cgroup",
            Self::Time => "time",
        }
    }

    /// The flag that `clone`(2) and `setns`(2) take.
    pub fn clone_flag(self) -> u64 {
        match self {
            Self::User => 0x1000_0000,
            Self::Mount => 0x0002_0000,
            Self::Pid => 0x2000_0000,
            Self::Uts => 0x0400_0000,
            Self::Ipc => 0x0800_0000,
            Self::Net => 0x4000_0000,
            Self::Cgroup => 0x0200_0000,
            Self::Time => 0x0000_0080,
        }
    }
}
