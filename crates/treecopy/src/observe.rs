//! Progress and cancellation.

use std::fmt;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::{Error, Result};

/// Hears how far an operation has come, and may stop it.
///
/// Called from every worker thread, at the start, then about every 64 entries and every 16 MiB, and
/// at the end of each subtree. It should return quickly.
pub trait Observer: Sync {
    /// Takes the number of entries done so far and the sum of the sizes of their regular files.
    ///
    /// [`ControlFlow::Break`] ends the operation with [`ErrorKind::Cancelled`](crate::ErrorKind::Cancelled).
    fn progress(&self, entries: u64, bytes: u64) -> ControlFlow<()>;

    /// Of how many entries a tree may be; with a larger one, [`remove_tree`](crate::remove_tree) does not begin, and fails
    /// with [`ErrorKind::Cancelled`](crate::ErrorKind::Cancelled).
    fn limit(&self) -> Option<u64> {
        None
    }
}

/// Does not listen and never stops anything.
impl Observer for () {
    fn progress(&self, _: u64, _: u64) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

impl<F: Fn(u64, u64) -> ControlFlow<()> + Sync> Observer for F {
    fn progress(&self, entries: u64, bytes: u64) -> ControlFlow<()> {
        self(entries, bytes)
    }
}

impl fmt::Debug for dyn Observer + '_ {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Observer")
    }
}

/// The counters all workers add to.
pub(crate) struct Progress<'a> {
    observer: &'a dyn Observer,
    entries: AtomicU64,
    bytes: AtomicU64,
}

impl<'a> Progress<'a> {
    pub(crate) fn new(observer: &'a dyn Observer) -> Self {
        Self { observer, entries: AtomicU64::new(0), bytes: AtomicU64::new(0) }
    }

    /// Asks the observer whether to go on.
    pub(crate) fn report(&self) -> Result<()> {
        match self.observer.progress(self.entries(), self.bytes()) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(Error::cancelled()),
        }
    }

    pub(crate) fn entries(&self) -> u64 {
        self.entries.load(Ordering::Relaxed)
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

/// One worker's share of the counters, handed on in lumps so that workers do not fight over a cache line.
pub(crate) struct Tally<'a> {
    progress: &'a Progress<'a>,
    entries: u64,
    bytes: u64,
}

impl<'a> Tally<'a> {
    const ENTRIES: u64 = 64;
    const BYTES: u64 = 16 << 20;

    pub(crate) fn new(progress: &'a Progress<'a>) -> Self {
        Self { progress, entries: 0, bytes: 0 }
    }

    /// Counts, and reports when enough has come together.
    pub(crate) fn add(&mut self, entries: u64, bytes: u64) -> Result<()> {
        self.entries += entries;
        self.bytes += bytes;
        if self.entries >= Self::ENTRIES || self.bytes >= Self::BYTES { self.flush() } else { Ok(()) }
    }

    /// Hands on what was counted and asks the observer whether to go on.
    pub(crate) fn flush(&mut self) -> Result<()> {
        self.progress.entries.fetch_add(std::mem::take(&mut self.entries), Ordering::Relaxed);
        self.progress.bytes.fetch_add(std::mem::take(&mut self.bytes), Ordering::Relaxed);
        self.progress.report()
    }
}
