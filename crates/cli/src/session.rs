//! The containers of one lxcpath, opened for a command.

use std::path::PathBuf;
use std::time::Duration;

use hull_container::{Containers, Options};
use hull_storage::lock::Wait;
use hull_storage::{DriverName, Reclaim, Registry, Settings};

use crate::deletion;
use crate::environment::Environment;
use crate::errors::Failure;
use crate::freezing::Watched;
use crate::progress::Progress;

/// What a command is about to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// It changes nothing.
    Look,
    /// It changes something: copies show how far they are, and Ctrl-C ends them cleanly.
    Change,
}

/// The containers of one lxcpath.
pub(crate) struct Session {
    containers: Containers,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("lxcpath", &self.containers.lxcpath()).finish()
    }
}

impl Session {
    /// Opens `lxcpath`. What takes long to delete is left to a process in the background.
    pub(crate) fn open(
        environment: &Environment,
        lxcpath: PathBuf,
        purpose: Purpose,
        quiet: bool,
    ) -> Result<Self, Failure> {
        Self::with(environment.settings(), environment, lxcpath, (purpose, deletion::LATER), quiet)
    }

    /// Opens `lxcpath`, and says who deletes.
    pub(crate) fn open_to(
        environment: &Environment,
        lxcpath: PathBuf,
        how: (Purpose, Reclaim),
        quiet: bool,
    ) -> Result<Self, Failure> {
        Self::with(environment.settings(), environment, lxcpath, how, quiet)
    }

    /// Opens `lxcpath` with other settings for stores than those in `lxc.conf`, and says who deletes.
    pub(crate) fn with(
        settings: Settings,
        environment: &Environment,
        lxcpath: PathBuf,
        (purpose, reclaim): (Purpose, Reclaim),
        quiet: bool,
    ) -> Result<Self, Failure> {
        let registry = hull_drivers::builtin();
        let default_store = default_store(&registry, &settings)?;
        let containers = Containers::open(Options {
            lxcpath,
            rundir: environment.rundir(),
            settings,
            registry,
            default_store,
            observer: match purpose {
                Purpose::Look => Box::new(()),
                Purpose::Change => Box::new(Progress::new(quiet)?),
            },
            durability: environment.durability()?,
            reclaim,
            wait: Wait::UpTo(Duration::from_secs(30)),
            freezer: Box::new(Watched),
        })?;
        Ok(Self { containers })
    }

    /// The containers.
    pub(crate) fn containers(&self) -> &Containers {
        &self.containers
    }
}

/// The command is over: what it left to be deleted is somebody else's.
impl Drop for Session {
    fn drop(&mut self) {
        deletion::hand_over(self.containers.store(), Some(self.containers.lxcpath()));
    }
}

/// The store that works on any file system; LXC, too, takes it unless told otherwise.
pub(crate) fn default_store(registry: &Registry, settings: &Settings) -> Result<DriverName, Failure> {
    let anywhere = registry.drivers().iter().find(|registration| {
        let facts = (registration.open)(settings).capabilities();
        facts.standalone && facts.anywhere
    });
    anywhere.map(|r| r.name).ok_or_else(|| Failure::new("this build of Hull has no storage driver"))
}
