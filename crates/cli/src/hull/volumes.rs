//! The store of volumes without containers: its journal lies in the state directory, its locks in the rundir.

use std::ops::Deref;
use std::time::Duration;

use hull_storage::lock::{VolumeLocks, Wait};
use hull_storage::{FileJournal, RealHost, Store};

use crate::deletion;
use crate::environment::Environment;
use crate::errors::Failure;
use crate::progress::Progress;
use crate::session::Purpose;

/// The store of volumes without containers. What it leaves to be deleted goes to a process in the background when the
/// command is over.
#[derive(Debug)]
pub(crate) struct Volumes(Store);

impl Deref for Volumes {
    type Target = Store;

    fn deref(&self) -> &Store {
        &self.0
    }
}

impl Drop for Volumes {
    fn drop(&mut self) {
        deletion::hand_over(&self.0, None);
    }
}

/// The store; what takes long to delete is left to a process in the background.
pub(crate) fn open(environment: &Environment, purpose: Purpose, quiet: bool) -> Result<Volumes, Failure> {
    let settings = environment.settings();
    let drivers = hull_drivers::builtin().drivers().iter().map(|r| (r.open)(&settings)).collect();
    let durability = environment.durability()?;
    let host = match purpose {
        Purpose::Look => RealHost::new(Box::new(()), durability),
        Purpose::Change => RealHost::new(Box::new(Progress::new(quiet)?), durability),
    };
    let store = Store::new(
        drivers,
        Box::new(FileJournal::new(environment.state_dir().join("journal"), durability)),
        Box::new(host),
        VolumeLocks::new(environment.rundir().join("hull/lock"), Wait::UpTo(Duration::from_secs(30))),
    );
    Ok(Volumes(store.with_reclaim(deletion::LATER)))
}
