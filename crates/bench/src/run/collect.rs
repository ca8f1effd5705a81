//! Puts samples together, row by row.

use crate::results::{Absent, Cache, Measurement, Reason};
use crate::stats;
use crate::trial::Yield;
use crate::workload::Definition;

/// What has been sampled so far.
#[derive(Debug, Default)]
pub(super) struct Collector {
    cells: Vec<Cell>,
    absent: Vec<Absent>,
}

#[derive(Debug)]
struct Cell {
    row: &'static str,
    store: String,
    cache: Cache,
    x: Option<u64>,
    samples: Vec<f64>,
}

impl Collector {
    /// Adds what came of a round; of one that does not count only what could not be measured.
    pub(super) fn add(
        &mut self,
        definition: &Definition,
        store: &str,
        cache: Cache,
        done: Yield,
        counts: bool,
    ) {
        for (row, why) in done.lacking {
            self.absent(definition.id, Some(row), store, Some(cache), Reason::NotApplicable, why);
        }
        if !counts {
            return;
        }
        if let Some(why) = done.truncated {
            self.absent(definition.id, None, store, Some(cache), Reason::Truncated, why);
        }
        for sample in done.samples {
            let measures =
                definition.rows.iter().any(|row| row.id == sample.row && (cache == Cache::Warm || row.cold));
            if !measures {
                continue;
            }
            let same = |cell: &&mut Cell| {
                (cell.row, cell.store.as_str(), cell.cache, cell.x) == (sample.row, store, cache, sample.x)
            };
            match self.cells.iter_mut().rev().find(same) {
                Some(cell) => cell.samples.push(sample.value),
                None => self.cells.push(Cell {
                    row: sample.row,
                    store: store.to_owned(),
                    cache,
                    x: sample.x,
                    samples: vec![sample.value],
                }),
            }
        }
    }

    /// Notes that something was not measured; the first reason stays.
    pub(super) fn absent(
        &mut self,
        workload: &str,
        row: Option<&str>,
        store: &str,
        cache: Option<Cache>,
        reason: Reason,
        why: String,
    ) {
        let same = |a: &Absent| {
            (a.workload.as_str(), a.row.as_deref(), a.store.as_str(), a.cache, a.reason)
                == (workload, row, store, cache, reason)
        };
        if !self.absent.iter().any(same) {
            let (workload, row, store) = (workload.into(), row.map(str::to_owned), store.into());
            self.absent.push(Absent { workload, row, store, cache, reason, why });
        }
    }

    /// Everything, summed up.
    pub(super) fn finish(self) -> (Vec<Measurement>, Vec<Absent>) {
        let measurement = |cell: Cell| {
            let summary = stats::summarise(&cell.samples)?;
            let Cell { row, store, cache, x, samples } = cell;
            Some(Measurement { row: row.into(), store, cache, x, samples, summary })
        };
        (self.cells.into_iter().filter_map(measurement).collect(), self.absent)
    }
}
