//! A journal with faults.

use std::fmt;

use hull_storage::lock::FileLock;
use hull_storage::{Journal, Record, Result, Seen, TxId};

use super::Faults;

/// A journal with faults.
pub struct FaultyJournal {
    inner: Box<dyn Journal>,
    faults: Faults,
}

impl fmt::Debug for FaultyJournal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultyJournal").field("faults", &self.faults).finish_non_exhaustive()
    }
}

impl FaultyJournal {
    /// `inner` with `faults`.
    pub fn new(inner: Box<dyn Journal>, faults: Faults) -> Self {
        Self { inner, faults }
    }
}

#[deny(clippy::missing_trait_methods)]
impl Journal for FaultyJournal {
    fn save(&self, record: &Record) -> Result<()> {
        let act = if record.committed { COMMIT } else { "Journal::save" };
        self.faults.change(act, || self.inner.save(record))
    }

    fn erase(&self, id: TxId) -> Result<()> {
        self.faults.change("Journal::erase", || self.inner.erase(id))
    }

    fn orphans(&self) -> Result<Vec<Record>> {
        self.faults.look("Journal::orphans", || self.inner.orphans())
    }

    fn condemned(&self) -> Result<Vec<Record>> {
        self.faults.look("Journal::condemned", || self.inner.condemned())
    }

    fn release(&self, id: TxId) {
        self.inner.release(id);
    }

    fn look(&self) -> Result<Vec<Seen>> {
        self.faults.look("Journal::look", || self.inner.look())
    }

    fn sole(&self) -> Result<Option<FileLock>> {
        self.faults.look("Journal::sole", || self.inner.sole())
    }

    fn free_reserve(&self) -> Result<bool> {
        self.inner.free_reserve()
    }

    fn recovery(&self) -> Result<Option<FileLock>> {
        self.faults.look("Journal::recovery", || self.inner.recovery())
    }

    fn next_id(&self) -> Result<TxId> {
        self.faults.look("Journal::next_id", || self.inner.next_id())
    }
}

/// The act of saving a committed record: after it fails, only recovery knows which way it went.
pub const COMMIT: &str = "Journal::save, committed";
