//! A journal that kills its own process, as `kill -9` from outside would, at a chosen moment.

use std::sync::atomic::{AtomicUsize, Ordering};

use hull_storage::lock::FileLock;
use hull_storage::{FileJournal, Journal, Record, Result, Seen, TxId};

/// Counts moments, two for each save and erase (before and after it), and dies at one of them.
#[derive(Debug)]
pub struct KillingJournal {
    inner: FileJournal,
    moment: AtomicUsize,
    die_at: usize,
}

impl KillingJournal {
    /// Wraps `inner`; the process dies at moment `die_at`, counted from 0.
    pub fn new(inner: FileJournal, die_at: usize) -> Self {
        Self { inner, moment: AtomicUsize::new(0), die_at }
    }

    fn moment(&self) {
        if self.moment.fetch_add(1, Ordering::SeqCst) == self.die_at {
            let me = rustix::process::getpid();
            // Nothing after this line happens: no unwinding, no destructors, no flush.
            let _ = rustix::process::kill_process(me, rustix::process::Signal::KILL);
            loop {
                std::thread::park();
            }
        }
    }
}

impl Journal for KillingJournal {
    fn save(&self, record: &Record) -> Result<()> {
        self.moment();
        self.inner.save(record)?;
        self.moment();
        Ok(())
    }

    fn erase(&self, id: TxId) -> Result<()> {
        self.moment();
        self.inner.erase(id)?;
        self.moment();
        Ok(())
    }

    fn orphans(&self) -> Result<Vec<Record>> {
        self.inner.orphans()
    }

    fn condemned(&self) -> Result<Vec<Record>> {
        self.inner.condemned()
    }

    fn release(&self, id: TxId) {
        self.inner.release(id);
    }

    fn look(&self) -> Result<Vec<Seen>> {
        self.inner.look()
    }

    fn sole(&self) -> Result<Option<FileLock>> {
        self.inner.sole()
    }

    fn free_reserve(&self) -> Result<bool> {
        self.inner.free_reserve()
    }

    fn recovery(&self) -> Result<Option<FileLock>> {
        self.inner.recovery()
    }

    fn next_id(&self) -> Result<TxId> {
        self.inner.next_id()
    }
}
