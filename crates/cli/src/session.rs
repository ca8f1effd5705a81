//! The containers of one lxcpath, opened for a command.

use std::path::PathBuf;
use std::time::Duration;

use hull_container::{Containers, Options};
use hull_storage::lock::Wait;
use hull_storage::{Durability, Recovered};

use crate::environment::Environment;
use crate::errors::{Failure, one_line};
use crate::progress::Progress;

/// What a command is about to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// It changes nothing.
    Look,
    /// It changes something: what dead commands left is settled first, copies show how far they are, and
    /// Ctrl-C ends them cleanly.
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
    /// Opens `lxcpath`.
    pub(crate) fn open(
        environment: &Environment,
        lxcpath: PathBuf,
        purpose: Purpose,
        quiet: bool,
    ) -> Result<Self, Failure> {
        let registry = hull_drivers::builtin();
        // The first driver is the one that works everywhere; LXC, too, takes it unless told otherwise.
        let default_store = match registry.drivers().first() {
            Some(first) => first.name,
            None => return Err(Failure::new("this build of Hull has no storage driver")),
        };
        let exists = lxcpath.exists();
        let containers = Containers::open(Options {
            lxcpath,
            rundir: environment.rundir(),
            settings: environment.settings(),
            registry,
            default_store,
            observer: match purpose {
                Purpose::Look => Box::new(()),
                Purpose::Change => Box::new(Progress::new(quiet)?),
            },
            durability: Durability::Crash,
            wait: Wait::UpTo(Duration::from_secs(30)),
        })?;
        let session = Self { containers };
        if purpose == Purpose::Change && exists {
            let recovered = session.containers.recover()?;
            if !quiet {
                tell(&recovered);
            }
        }
        Ok(session)
    }

    /// The containers.
    pub(crate) fn containers(&self) -> &Containers {
        &self.containers
    }
}

/// Says on stderr what was found half-done.
fn tell(recovered: &Recovered) {
    for operation in &recovered.settled {
        eprintln!("hull: settled an interrupted {}", one_line(operation));
    }
    for error in &recovered.failed {
        eprintln!("hull: {}", one_line(&error.to_string()));
    }
}
