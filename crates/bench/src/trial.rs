//! One round of one workload on one store: what is timed, and what comes of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hull_storage::{Error, ErrorKind, Result};

use crate::results::Cache;
use crate::site::Site;

/// One value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sample {
    pub(crate) row: &'static str,
    pub(crate) x: Option<u64>,
    pub(crate) value: f64,
}

/// One round of one workload on one store.
#[derive(Debug)]
pub(crate) struct Trial<'a> {
    site: &'a Site,
    cache: Cache,
    seed: u64,
    cancel: Arc<AtomicBool>,
    samples: Vec<Sample>,
    /// Rows that cannot be measured here, and why.
    lacking: Vec<(&'static str, String)>,
    truncated: Option<String>,
    asked: u32,
}

/// What came of a round.
#[derive(Debug)]
pub(crate) struct Yield {
    pub(crate) samples: Vec<Sample>,
    pub(crate) lacking: Vec<(&'static str, String)>,
    pub(crate) truncated: Option<String>,
}

impl<'a> Trial<'a> {
    pub(crate) fn new(site: &'a Site, cache: Cache, seed: u64, cancel: Arc<AtomicBool>) -> Self {
        Self {
            site,
            cache,
            seed,
            cancel,
            samples: Vec::new(),
            lacking: Vec::new(),
            truncated: None,
            asked: 0,
        }
    }

    pub(crate) fn cache(&self) -> Cache {
        self.cache
    }

    /// Another one in every round.
    pub(crate) fn seed(&self) -> u64 {
        self.seed
    }

    /// How long `act` takes on a store that has nothing left to write, its caches as they shall be.
    pub(crate) fn time<T>(&mut self, row: &'static str, act: impl FnOnce() -> Result<T>) -> Result<T> {
        self.go_on()?;
        self.site.settle(self.cache)?;
        let begun = Instant::now();
        let made = act()?;
        self.record(row, begun.elapsed().as_secs_f64());
        Ok(made)
    }

    /// How often in a second `act` does what it does `count` times.
    pub(crate) fn rate(
        &mut self,
        row: &'static str,
        count: u64,
        act: impl FnOnce() -> Result<()>,
    ) -> Result<()> {
        self.go_on()?;
        self.site.settle(self.cache)?;
        let begun = Instant::now();
        act()?;
        self.record(row, count as f64 / begun.elapsed().as_secs_f64().max(1e-9));
        Ok(())
    }

    /// Notes a value.
    pub(crate) fn record(&mut self, row: &'static str, value: f64) {
        self.samples.push(Sample { row, x: None, value });
    }

    /// Notes a value of a curve.
    pub(crate) fn record_at(&mut self, row: &'static str, x: u64, value: f64) {
        self.samples.push(Sample { row, x: Some(x), value });
    }

    /// Notes that a row cannot be measured here.
    pub(crate) fn lacks(&mut self, row: &'static str, why: String) {
        self.lacking.push((row, why));
    }

    /// Notes that a curve ends early.
    pub(crate) fn truncate(&mut self, why: String) {
        self.truncated = Some(why);
    }

    /// Why a curve that has taken `elapsed` and began with `room` must end; `None` to go on.
    pub(crate) fn spent(
        &mut self,
        elapsed: Duration,
        budget: Duration,
        room: Option<u64>,
        site: &Site,
    ) -> Result<Option<String>> {
        // Asking a pool is not cheap.
        const SELDOM: u32 = 16;
        if elapsed > budget {
            return Ok(Some(format!("a round may take {} s", budget.as_secs())));
        }
        self.asked += 1;
        if !site.is_quick_to_look_at() && !self.asked.is_multiple_of(SELDOM) {
            return Ok(None);
        }
        let left = site.available()?;
        Ok(match (room, left) {
            (Some(room), Some(left)) if left < room / 2 => Some("half of the room is taken".into()),
            _ => None,
        })
    }

    /// Fails once the run has been interrupted.
    pub(crate) fn go_on(&self) -> Result<()> {
        match self.cancel.load(Ordering::Relaxed) {
            true => Err(Error::new(ErrorKind::Cancelled, "interrupted")),
            false => Ok(()),
        }
    }

    /// What came of it.
    pub(crate) fn done(self) -> Yield {
        Yield { samples: self.samples, lacking: self.lacking, truncated: self.truncated }
    }
}
