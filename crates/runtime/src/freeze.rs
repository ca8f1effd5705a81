//! Freezing a running container and thawing it, Hull's or stock LXC's.

use hull_cgroup::{Cgroups, Version, View};
use hull_ipc::server::Group;
use hull_ipc::{Client, State};
use rustix::io::Errno;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::error::{Error, Result};

/// How long a monitor may take to answer, and a container to be thawed.
const PATIENCE: Duration = Duration::from_secs(10);

/// A running container that can be frozen: by its monitor where version 2 is all there is, else, as LXC's clients do
/// it, by whoever wants it frozen, who then tells the monitor.
#[derive(Debug)]
pub struct Freezable {
    client: Client,
    name: String,
    groups: Cgroups,
}

/// What became of a freezing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Thawing {
    /// The container was frozen until now.
    Done,
    /// Somebody had thawed it before.
    Before,
    /// It has ended.
    Ended,
}

impl Freezable {
    /// The container `name` of `lxcpath`; `None` when it does not run.
    ///
    /// Fails, with the reason, when it cannot be frozen: it has no control group that could be, or ours is within it.
    pub fn find(lxcpath: &Path, name: &str) -> Result<Option<Self>> {
        let client = Client::new(lxcpath, name, PATIENCE);
        if client.state().map_err(|e| told(&e))? == State::Stopped {
            return Ok(None);
        }
        let mut view = View::of_self().map_err(|e| Error::new(e.to_string()))?;
        let freezer = |controllers: &[String]| controllers.iter().any(|c| c == "freezer");
        let first = view.hierarchies.iter().any(|h| h.version == Version::One && freezer(&h.controllers));
        view.hierarchies.retain(|h| match h.version {
            Version::One => freezer(&h.controllers),
            Version::Two => !first,
        });
        let mut path = None;
        let groups = Cgroups::of_running(&view, |controller| {
            let found = client.cgroup(Group::Limit, controller).ok();
            path = found.clone();
            found
        });
        let groups = groups.map_err(|e| Error::new(e.to_string()))?;
        let path = path.unwrap_or_default();
        let below = path.trim_start_matches('/');
        let ours = |h: &hull_cgroup::Hierarchy| h.own_group.starts_with(h.mount_root.join(below));
        if below.is_empty() || !groups.skipped().is_empty() || view.hierarchies.is_empty() {
            let text = "it has no control group that can be frozen (cgroup v1's freezer, or cgroup2 since Linux 5.2)";
            return Err(Error::new(text));
        }
        if view.hierarchies.iter().any(ours) {
            return Err(Error::new(format!(
                "this command runs in its control group {path}, and would be frozen, too"
            )));
        }
        let found = Self { client, name: name.to_owned(), groups };
        found.is_frozen()?;
        Ok(Some(found))
    }

    /// Whether its processes are frozen now, by whomever.
    pub fn is_frozen(&self) -> Result<bool> {
        self.groups.is_frozen().map_err(|e| Error::new(e.to_string()))
    }

    /// Freezes its processes and returns when they are. Fails when they are not within `patience`; they may freeze
    /// still, until [`Freezable::thaw`].
    pub fn freeze(&self, patience: Duration) -> Result<()> {
        match self.client.freeze(Some(patience)) {
            Ok(()) => return Ok(()),
            Err(e) if self.is_left_to_us(&e) => {}
            Err(e) if e.errno() == Errno::TIMEDOUT => return Err(self.late(patience)),
            Err(e) => return Err(told(&e)),
        }
        self.groups.freeze(Some(Instant::now() + patience)).map_err(|e| match e.errno() {
            Errno::TIMEDOUT => self.late(patience),
            _ => Error::new(e.to_string()),
        })?;
        // Who asks the monitor shall hear what is so. What holds does so whether or not it takes the news.
        let _ = self.client.announce_state(State::Frozen);
        Ok(())
    }

    /// Undoes [`Freezable::freeze`], however far that came.
    pub fn thaw(&self) -> Result<Thawing> {
        let before = if self.is_frozen().unwrap_or(true) { Thawing::Done } else { Thawing::Before };
        match self.thaw_now() {
            Ok(()) => Ok(before),
            Err(_) if self.client.state().is_ok_and(|state| state == State::Stopped) => Ok(Thawing::Ended),
            Err(e) => Err(e),
        }
    }

    fn thaw_now(&self) -> Result<()> {
        match self.client.unfreeze(Some(PATIENCE)) {
            Ok(()) => return Ok(()),
            Err(e) if self.is_left_to_us(&e) => {}
            Err(e) => return Err(told(&e)),
        }
        self.groups.thaw(Some(Instant::now() + PATIENCE)).map_err(|e| Error::new(e.to_string()))?;
        let _ = self.client.announce_state(State::Running);
        Ok(())
    }

    /// Whether the monitor leaves it to its clients. Those before LXC 4, which know no such order, hang up.
    fn is_left_to_us(&self, e: &hull_ipc::client::Error) -> bool {
        let listens = || self.client.state().is_ok_and(|state| state != State::Stopped);
        matches!(e.errno(), Errno::NOENT | Errno::NOSYS) || e.is_stopped() && listens()
    }

    fn late(&self, patience: Duration) -> Error {
        Error::new(format!(
            "container {} could not be frozen within {} s, as the kernel holds one of its processes (D in ps): try again, or stop it",
            self.name,
            patience.as_secs()
        ))
    }
}

fn told(e: &hull_ipc::client::Error) -> Error {
    Error::new(e.to_string())
}
