//! The durable record of transactions under way.

mod file;
mod reserve;

use serde::{Deserialize, Serialize};

pub(crate) use file::sync_dir;
pub use file::{Durability, FileJournal};

use crate::error::Result;
use crate::lock::FileLock;
use crate::name::TxId;
use crate::plan::Plan;

/// One transaction: its begun steps are to be undone while it is open; what it doomed is to be reclaimed once
/// it has committed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Its id, which every name it makes carries.
    pub id: TxId,
    /// The operation's name, for messages.
    pub operation: String,
    /// All that was decided so far.
    pub plan: Plan,
    /// How many steps were begun. Only the last of them may or may not have happened.
    pub begun: usize,
    /// Whether every step is done and stays done.
    pub committed: bool,
    /// Whether only what it doomed is left to delete: homes are finished, volumes patched. Never without
    /// `committed`. Such a record is in nobody's way, so it may stay for as long as the deletion takes.
    #[serde(default)]
    pub reclaiming: bool,
}

impl Record {
    /// A transaction that has not begun.
    pub fn new(id: TxId, operation: impl Into<String>) -> Self {
        let (operation, plan) = (operation.into(), Plan::default());
        Self { id, operation, plan, begun: 0, committed: false, reclaiming: false }
    }
}

/// A record as somebody sees who only looks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// What it says.
    pub record: Record,
    /// Whether a process works on it now.
    pub held: bool,
}

/// Where records live.
///
/// A record belongs to the process that made it until that process is gone; only then is it an orphan.
pub trait Journal: Send + Sync {
    /// Makes the record, or brings it up to date. Returns only once it would survive what the journal is
    /// meant to survive.
    fn save(&self, record: &Record) -> Result<()>;
    /// Forgets a settled record.
    fn erase(&self, id: TxId) -> Result<()>;
    /// Records whose process is gone, now this process's; but for those of which only the deletion is left.
    fn orphans(&self) -> Result<Vec<Record>>;
    /// Records whose process is gone and of which only the deletion is left, now this process's.
    fn condemned(&self) -> Result<Vec<Record>>;
    /// Gives a record of this process up, as the process's death would.
    fn release(&self, id: TxId);
    /// All records there are, whoever's. Adopts none.
    fn look(&self) -> Result<Vec<Seen>>;
    /// Keeps others from working off the condemned until the guard is dropped; `None` when there are no others.
    /// Fails with [`crate::ErrorKind::InUse`] while another process works them off.
    fn sole(&self) -> Result<Option<FileLock>> {
        Ok(None)
    }
    /// Gives up what the journal keeps for the day on which the disk is full. Whether there was anything.
    fn free_reserve(&self) -> Result<bool> {
        Ok(false)
    }
    /// Keeps others from recovering until the guard is dropped, waiting for whoever does now: who goes on after
    /// it finds everything settled, not half-settled by another. `None` when nothing can need it.
    fn recovery(&self) -> Result<Option<FileLock>> {
        Ok(None)
    }
    /// An id nobody else has.
    fn next_id(&self) -> Result<TxId>;
}
