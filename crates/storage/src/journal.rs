//! The durable record of transactions under way.

mod file;

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
    /// Records whose process is gone, now this process's.
    fn orphans(&self) -> Result<Vec<Record>>;
    /// Keeps others from recovering until the guard is dropped, waiting for whoever does now: who goes on after
    /// it finds everything settled, not half-settled by another. `None` when nothing can need it.
    fn recovery(&self) -> Result<Option<FileLock>> {
        Ok(None)
    }
    /// An id nobody else has.
    fn next_id(&self) -> Result<TxId>;
}
