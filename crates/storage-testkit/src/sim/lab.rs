//! Stores on simulated machines, alike on each.

use std::fmt;
use std::sync::Arc;

use hull_storage::lock::{VolumeLocks, Wait};
use hull_storage::{Cost, Driver, DriverName, Host, Journal, Reclaim, Store, Tie};

use super::{Machine, SimDriver, SimHost, SimJournal};

type Drivers = Box<dyn Fn(&Machine) -> Vec<Arc<dyn Driver>>>;
type WrapJournal = Box<dyn Fn(Box<dyn Journal>) -> Box<dyn Journal>>;
type WrapHost = Box<dyn Fn(Box<dyn Host>) -> Box<dyn Host>>;

/// How the stores of an experiment are made.
pub struct Lab {
    drivers: Drivers,
    journal: WrapJournal,
    host: WrapHost,
    reclaim: Reclaim,
    /// Real, so that an operation that waits for itself is found.
    locks: tempfile::TempDir,
}

impl fmt::Debug for Lab {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lab").finish_non_exhaustive()
    }
}

impl Lab {
    /// A store without clones.
    pub const PLAIN: DriverName = DriverName::new("simplain");
    /// A store with clones that are tied to nothing (btrfs).
    pub const FREE: DriverName = DriverName::new("simfree");
    /// A store whose clones leave marks on their sources (zfs).
    pub const MARKED: DriverName = DriverName::new("simmarked");
    /// The same, which tags its clones, so that they need no staged names.
    pub const TAGGED: DriverName = DriverName::new("simtagged");
    /// A store that cannot stand alone (overlayfs).
    pub const DELTA: DriverName = DriverName::new("simdelta");

    /// A lab with one store of each kind.
    ///
    /// # Errors
    /// When no directory for locks can be made.
    pub fn new() -> std::io::Result<Self> {
        let drivers = |m: &Machine| -> Vec<Arc<dyn Driver>> {
            let new = |name| SimDriver::new(name, m.clone());
            let facts = new(Self::PLAIN).capabilities();
            vec![
                Arc::new(new(Self::PLAIN)),
                Arc::new(new(Self::FREE).with_clones(Cost::Constant, Tie::None, false)),
                Arc::new(new(Self::MARKED).with_clones(Cost::Constant, Tie::Enforced, true)),
                Arc::new(new(Self::TAGGED).with_facts(facts.tags_clones(true)).with_clones(
                    Cost::Constant,
                    Tie::Enforced,
                    true,
                )),
                Arc::new(new(Self::DELTA).with_facts(facts.standalone(false)).with_clones(
                    Cost::Constant,
                    Tie::Unguarded,
                    false,
                )),
            ]
        };
        Ok(Self {
            drivers: Box::new(drivers),
            journal: Box::new(|j| j),
            host: Box::new(|h| h),
            reclaim: Reclaim::Now,
            locks: tempfile::tempdir()?,
        })
    }

    /// The lab with other drivers.
    #[must_use]
    pub fn with_drivers(self, drivers: impl Fn(&Machine) -> Vec<Arc<dyn Driver>> + 'static) -> Self {
        Self { drivers: Box::new(drivers), ..self }
    }

    /// The lab with a wrapper around each process's journal.
    #[must_use]
    pub fn with_journal(self, wrap: impl Fn(Box<dyn Journal>) -> Box<dyn Journal> + 'static) -> Self {
        Self { journal: Box::new(wrap), ..self }
    }

    /// The lab with a wrapper around each process's host.
    #[must_use]
    pub fn with_host(self, wrap: impl Fn(Box<dyn Host>) -> Box<dyn Host> + 'static) -> Self {
        Self { host: Box::new(wrap), ..self }
    }

    /// The lab with stores that delete now, or later.
    #[must_use]
    pub fn with_reclaim(self, reclaim: Reclaim) -> Self {
        Self { reclaim, ..self }
    }

    /// A new process on `machine`. It dies when the store is dropped.
    pub fn store(&self, machine: &Machine) -> Store {
        Store::new(
            (self.drivers)(machine),
            (self.journal)(Box::new(SimJournal::new(machine.clone()))),
            (self.host)(Box::new(SimHost(machine.clone()))),
            VolumeLocks::new(self.locks.path(), Wait::No),
        )
        .with_reclaim(self.reclaim)
    }
}
