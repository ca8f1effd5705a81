//! A journal on the simulated machine.

use std::sync::Arc;

use hull_storage::{Journal, Record, Result, Seen, TxId};

use super::Machine;

/// The journal as one process sees it; the process lives as long as this value.
#[derive(Debug)]
pub struct SimJournal {
    machine: Machine,
    process: Arc<()>,
}

impl SimJournal {
    /// A new process on `machine`.
    pub fn new(machine: Machine) -> Self {
        Self { machine, process: Arc::new(()) }
    }
}

impl Journal for SimJournal {
    fn save(&self, record: &Record) -> Result<()> {
        self.machine.save(record, Arc::downgrade(&self.process))
    }

    fn erase(&self, id: TxId) -> Result<()> {
        self.machine.erase(id)
    }

    fn orphans(&self) -> Result<Vec<Record>> {
        self.machine.adopt(&Arc::downgrade(&self.process), false)
    }

    fn condemned(&self) -> Result<Vec<Record>> {
        self.machine.adopt(&Arc::downgrade(&self.process), true)
    }

    fn release(&self, id: TxId) {
        self.machine.release(id);
    }

    fn look(&self) -> Result<Vec<Seen>> {
        self.machine.seen()
    }

    fn next_id(&self) -> Result<TxId> {
        Ok(self.machine.next_id())
    }
}
