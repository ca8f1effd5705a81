//! Freezing, thawing and killing all processes of a container.

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal};
use std::collections::BTreeSet;
use std::thread::sleep;
use std::time::Instant;

use crate::cgroups::Member;
use crate::group::INTERVAL;
use crate::{Cgroups, Error, Layout, Result, Version};

impl Cgroups {
    /// Freezes the container's processes and waits until they are, or `deadline`; then it fails with `ETIMEDOUT`
    /// and they may freeze still. By version 1's freezer if it is mounted, else by version 2 (Linux 5.2).
    pub fn freeze(&self, deadline: Option<Instant>) -> Result<()> {
        self.set_frozen(true, deadline)
    }

    /// Undoes [`Cgroups::freeze`].
    pub fn thaw(&self, deadline: Option<Instant>) -> Result<()> {
        self.set_frozen(false, deadline)
    }

    /// Whether the container's processes are frozen.
    pub fn is_frozen(&self) -> Result<bool> {
        self.read_frozen(self.freezer()?)
    }

    /// Whether version 2 is what freezes, so that LXC's clients leave it to the monitor.
    pub fn freezes_by_version_two(&self) -> bool {
        self.layout == Layout::Unified
    }

    /// Whether any process is in the container's groups.
    pub fn is_populated(&self) -> Result<bool> {
        for member in &self.members {
            if !member.limit.processes()?.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Kills all processes of the container and waits until they are gone, or `deadline`.
    ///
    /// By version 2's `cgroup.kill` (Linux 5.14); else one by one until none is left. Frozen ones are thawed,
    /// as version 1 does not let them die. Refuses if the caller is among them.
    pub fn kill(&self, deadline: Instant) -> Result<()> {
        let own = rustix::process::getpid().as_raw_nonzero().get();
        for member in self.members.iter().filter(|member| !member.removed) {
            if member.limit.processes()?.contains(&own) {
                let path = member.limit.path().display();
                return Err(Error::new(
                    Errno::INVAL,
                    format!(
                        "not killing the processes of {path}: this one is among them; leave the group first"
                    ),
                ));
            }
        }
        if let Some(member) = self.member(Version::Two) {
            // Older kernels lack the file; then, as for what is in version 1's groups only, see below.
            let _ = member.limit.write_raw("cgroup.kill", "1");
        }
        if let Ok(member) = self.freezer()
            && member.version == Version::One
        {
            let _ = member.limit.write_raw("freezer.state", "THAWED");
        }
        loop {
            let mut alive = 0;
            for member in self.members.iter().filter(|member| !member.removed) {
                alive += kill_members(member)?;
            }
            if alive == 0 {
                return Ok(());
            }
            if Instant::now() >= deadline {
                return Err(Error::new(
                    Errno::TIMEDOUT,
                    format!(
                        "{alive} processes of the container do not die; the kernel holds them (see their state in ps)"
                    ),
                ));
            }
            sleep(INTERVAL);
        }
    }

    fn set_frozen(&self, frozen: bool, deadline: Option<Instant>) -> Result<()> {
        let member = self.freezer()?;
        let (file, value) = match (member.version, frozen) {
            (Version::One, true) => ("freezer.state", "FROZEN"),
            (Version::One, false) => ("freezer.state", "THAWED"),
            (Version::Two, true) => ("cgroup.freeze", "1"),
            (Version::Two, false) => ("cgroup.freeze", "0"),
        };
        loop {
            // Version 1 may need to be asked again when processes fork meanwhile.
            member.limit.write(file, value)?;
            if self.read_frozen(member)? == frozen {
                return Ok(());
            }
            if deadline.is_some_and(|d| Instant::now() >= d) {
                let (done, file) = (if frozen { "frozen" } else { "thawed" }, member.limit.path().join(file));
                return Err(Error::new(
                    Errno::TIMEDOUT,
                    format!(
                        "{}: not all processes are {done} in time; wait longer or look for ones stuck in the kernel",
                        file.display()
                    ),
                ));
            }
            sleep(INTERVAL);
        }
    }

    fn freezer(&self) -> Result<&Member> {
        let first = self.members.iter().find(|m| m.version == Version::One && m.has_controller("freezer"));
        let second = || self.member(Version::Two).filter(|m| m.limit.has("cgroup.freeze"));
        first.or_else(second).ok_or_else(|| {
            Error::new(
                Errno::NODEV,
                "the container cannot be frozen: there is neither cgroup v1's freezer nor cgroup2 (Linux 5.2); mount one before it starts",
            )
        })
    }

    fn read_frozen(&self, member: &Member) -> Result<bool> {
        match member.version {
            Version::One => Ok(member.limit.read("freezer.state")? == "FROZEN"),
            Version::Two => {
                let events = member.limit.read("cgroup.events")?;
                Ok(events.lines().any(|l| l == "frozen 1"))
            }
        }
    }
}

/// Sends SIGKILL to each process of the group; how many there were.
fn kill_members(member: &Member) -> Result<usize> {
    let numbers = member.limit.processes()?;
    let pidfds: Vec<_> = numbers
        .iter()
        .filter_map(|n| Pid::from_raw(*n))
        .filter_map(|pid| Some((pid, rustix::process::pidfd_open(pid, PidfdFlags::empty()).ok()?)))
        .collect();
    // A number may have passed to a stranger before we held it; who is still listed is the one we hold.
    let still: BTreeSet<i32> = member.limit.processes()?.into_iter().collect();
    for (pid, pidfd) in pidfds {
        if still.contains(&pid.as_raw_nonzero().get()) {
            let _ = rustix::process::pidfd_send_signal(&pidfd, Signal::KILL);
        }
    }
    Ok(numbers.len())
}
