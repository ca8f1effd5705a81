//! Who deletes what a transaction doomed, and when: at once, or for a moment and then somebody in the background.
//!
//! What is doomed has been moved aside, so its name is free and nobody waits for it to be gone. Its record stays in
//! the journal until it is, marked as [`Record::reclaiming`]; every deletion may be interrupted anywhere and goes on
//! later. The store starts no process: whoever opened it sees to it that [`Store::reclaim_pending`] is called.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hull_treecopy::Observer;

use crate::error::{Error, ErrorKind, Result};
use crate::journal::{Record, Seen};
use crate::name::{Resource, TxId};
use crate::plan::{Doomed, HOME};
use crate::store::Store;
use crate::transaction::{not_ours, reclaim_part};

/// Who deletes what operations have doomed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reclaim {
    /// The operation, before it returns.
    #[default]
    Now,
    /// The operation, with so much effort: small things are gone when it returns. The rest stays in the journal for
    /// [`Store::reclaim_pending`].
    Later(Effort),
}

/// What an operation deletes itself: whichever of the two is more. A tree of more than so many files is not begun at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effort {
    /// So many files. A machine that is busy must not make small things wait for somebody else.
    pub entries: u64,
    /// What it gets done in so much time.
    pub time: Duration,
}

impl Effort {
    /// Nothing at all.
    pub const NONE: Self = Self { entries: 0, time: Duration::ZERO };
}

/// What [`Store::reclaim_pending`] did.
#[derive(Debug, Default)]
pub struct Reclaimed {
    /// How many operations' remains are gone.
    pub records: usize,
    /// What could not be deleted; its record stays.
    pub failed: Vec<Error>,
    /// Another process is at it, so nothing was done here.
    pub elsewhere: bool,
}

/// How long an operation itself deletes what it doomed.
pub(crate) struct Patience<'a> {
    /// Until then, or until so many entries are gone; without it until the end.
    until: Option<(Instant, u64)>,
    /// What is gone of earlier things, and of the one at hand.
    gone: [AtomicU64; 2],
    observer: &'a dyn Observer,
}

/// A thing that is deleted in one go counts for so many entries.
const IN_ONE_GO: u64 = 256;

impl<'a> Patience<'a> {
    /// Until all is gone, or `observer` stops it.
    pub(crate) fn endless(observer: &'a dyn Observer) -> Self {
        Self { until: None, gone: Default::default(), observer }
    }

    fn is_over(&self) -> bool {
        let gone: u64 = self.gone.iter().map(|n| n.load(Ordering::Relaxed)).sum();
        self.until.is_some_and(|(until, entries)| gone >= entries && Instant::now() >= until)
    }

    /// One thing is gone.
    fn next(&self) {
        let entries = self.gone[1].swap(0, Ordering::Relaxed);
        self.gone[0].fetch_add(entries.max(IN_ONE_GO), Ordering::Relaxed);
    }
}

impl Observer for Patience<'_> {
    fn progress(&self, entries: u64, bytes: u64) -> ControlFlow<()> {
        self.gone[1].store(entries, Ordering::Relaxed);
        if self.is_over() { ControlFlow::Break(()) } else { self.observer.progress(entries, bytes) }
    }

    fn limit(&self) -> Option<u64> {
        // Whoever comes later has to begin with what is left all the same; and counting is ten times as fast.
        self.until.map(|(_, entries)| entries.saturating_sub(self.gone[0].load(Ordering::Relaxed)))
    }
}

impl Store {
    /// The store with another answer to who deletes.
    #[must_use]
    pub fn with_reclaim(mut self, reclaim: Reclaim) -> Self {
        self.reclaim = reclaim;
        self
    }

    /// Whether this store has left or met something that nobody is deleting now: somebody is to call
    /// [`Store::reclaim_pending`], be it in another process.
    pub fn has_pending(&self) -> bool {
        self.pending.load(Ordering::Relaxed)
    }

    /// Deletes what operations have left for later, whoever's they were, until nothing is left or `observer` stops it.
    ///
    /// May be killed anywhere. Of several processes one does the work. One thing that cannot be deleted does not keep
    /// the others from it. Fails with [`ErrorKind::Cancelled`] when stopped.
    pub fn reclaim_pending(&self, observer: &dyn Observer) -> Result<Reclaimed> {
        let mut done = Reclaimed::default();
        // What failed stays this process's until the end, or it would be met again and again.
        let mut failed: Vec<(Record, Error)> = Vec::new();
        let worked = self.work_off(observer, &mut done, &mut failed);
        for (record, _) in &failed {
            self.journal().release(record.id);
        }
        done.failed.extend(failed.into_iter().map(|(record, e)| {
            e.during("reclaim").with("of", format!("{} {}", record.operation, record.id))
        }));
        self.pending.store(worked.is_err(), Ordering::Relaxed);
        worked.map(|()| done)
    }

    fn work_off(
        &self,
        observer: &dyn Observer,
        done: &mut Reclaimed,
        failed: &mut Vec<(Record, Error)>,
    ) -> Result<()> {
        loop {
            let sole = match self.journal().sole() {
                Ok(sole) => sole,
                Err(e) if e.kind() == ErrorKind::InUse => {
                    done.elsewhere = true;
                    return Ok(());
                }
                Err(e) => return Err(e),
            };
            loop {
                let mut records = self.journal().condemned()?;
                let before = done.records;
                if records.is_empty() {
                    break;
                }
                self.pass(&mut records, observer, done, failed)?;
                if done.records > before && !failed.is_empty() {
                    // What one record's volume needed to go may be gone by now: a clone, say.
                    let mut again: Vec<Record> = failed.drain(..).map(|(record, _)| record).collect();
                    self.pass(&mut again, observer, done, failed)?;
                }
            }
            drop(sole);
            // Whoever left something between the last look and here found us at work and went.
            if !self.journal().look()?.iter().any(|seen| seen.record.reclaiming && !seen.held) {
                return Ok(());
            }
        }
    }

    /// Works `records` off in turn; those that are left when it is stopped are given up.
    fn pass(
        &self,
        records: &mut Vec<Record>,
        observer: &dyn Observer,
        done: &mut Reclaimed,
        failed: &mut Vec<(Record, Error)>,
    ) -> Result<()> {
        while let Some(record) = records.pop() {
            match self.delete(&record, &Patience::endless(observer)) {
                Ok(true) => done.records += 1,
                Ok(false) => {
                    records.iter().chain([&record]).for_each(|r| self.journal().release(r.id));
                    let text = "stopped before all was deleted: `hull recover --reclaim` goes on";
                    return Err(Error::new(ErrorKind::Cancelled, text));
                }
                Err(e) => failed.push((record, e)),
            }
        }
        Ok(())
    }

    /// What interrupted commands and unfinished deletions have left in the journal, for people. Changes nothing.
    pub fn unfinished(&self) -> Result<Vec<Seen>> {
        self.journal().look()
    }

    /// Deletes `what`, which bears the mark of a transaction `by` that no journal knows any more.
    ///
    /// The caller has looked into all journals; that the mark is there is looked at here.
    pub fn reclaim_orphan(&self, what: &Resource, by: TxId, observer: &dyn Observer) -> Result<()> {
        if what.driver != HOME {
            return reclaim_part(self.driver(what.driver)?, what, by, observer);
        }
        if !what.carries(by) {
            return Err(not_ours(&what.to_string()));
        }
        self.host().reclaim_home(what, observer).map(drop)
    }

    /// How long an operation that begins to delete now does so.
    pub(crate) fn patience(&self) -> Patience<'static> {
        let until = match self.reclaim {
            Reclaim::Now => None,
            Reclaim::Later(Effort { time, entries }) => Some((Instant::now() + time, entries)),
        };
        Patience { until, ..Patience::endless(&()) }
    }

    /// Deletes what `record` doomed, while `patience` lasts; the rest is left for later. Whether all is gone.
    pub(crate) fn delete_doomed(&self, mut record: Record, patience: &Patience<'_>) -> Result<bool> {
        let deleted = self.delete(&record, patience);
        if matches!(deleted, Ok(true)) {
            return deleted;
        }
        record.reclaiming = true;
        let saved = self.journal().save(&record);
        match (deleted, saved) {
            (Ok(_), Ok(())) => {
                self.leave_for_later(record.id);
                Ok(false)
            }
            // A record that cannot say what is left to do must not wait.
            (Ok(_), Err(_)) => self.delete(&record, &Patience::endless(&())),
            (Err(e), _) => Err(e),
        }
    }

    /// Gives a record up of which only the deletion is left.
    pub(crate) fn leave_for_later(&self, id: TxId) {
        self.journal().release(id);
        self.pending.store(true, Ordering::Relaxed);
    }

    /// Notes whether anything waits for [`Store::reclaim_pending`].
    pub(crate) fn notice_pending(&self) -> Result<()> {
        if self.journal().look()?.iter().any(|seen| seen.record.reclaiming && !seen.held) {
            self.pending.store(true, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Deletes what `record` doomed and erases it; `false` when it was stopped.
    fn delete(&self, record: &Record, patience: &Patience<'_>) -> Result<bool> {
        for doomed in &record.plan.doomed {
            if patience.is_over() {
                return Ok(false);
            }
            let deleted = match doomed {
                Doomed::Volume(layout) => self.reclaim(layout, record.id, patience),
                Doomed::Home(home) if home.carries(record.id) => {
                    self.host().reclaim_home(home, patience).map(drop)
                }
                Doomed::Home(home) => Err(not_ours(&home.to_string())),
            };
            match deleted {
                Err(e) if e.kind() == ErrorKind::Cancelled => return Ok(false),
                other => other?,
            }
            patience.next();
        }
        self.journal().erase(record.id).map(|()| true)
    }
}
