//! What is measured. Each workload is a file of its own: what it does in words, and in code.
//!
//! The words are data: `docs/bench.md`, `hull bench --list` and the results quote them.

mod clone;
mod copy_up;
mod create;
mod data;
mod depth;
mod destroy;
mod fan_out;
mod metadata;
mod mount;
mod rename;
mod restore;
mod snapshot;
mod space;
mod start;

use std::fmt::Debug;

use hull_storage::Result;

use crate::engine::Engine;
use crate::results::{RowFacts, WorkloadFacts};
use crate::site::Site;
use crate::start::Starter;
use crate::trial::Trial;
use crate::units::Unit;

/// Every workload, in the order in which they run and are shown.
pub(crate) const ALL: &[&dyn Workload] = &[
    &create::Create,
    &clone::Clone,
    &snapshot::Snapshot,
    &restore::Restore,
    &rename::Rename,
    &destroy::Destroy,
    &mount::Mount,
    &start::Start,
    &copy_up::CopyUp,
    &fan_out::FanOut,
    &depth::Depth,
    &metadata::Metadata,
    &data::Data,
    &space::Space,
];

/// Something that can be measured on any store.
pub(crate) trait Workload: Debug + Sync {
    /// What it is.
    fn definition(&self) -> &'static Definition;

    /// Makes on `site` what the samples need.
    fn prepare<'a>(&self, site: &'a Site, tools: &'a Tools) -> Result<Fit<'a>>;
}

/// What workloads use besides a site.
#[derive(Debug)]
pub(crate) struct Tools {
    pub(crate) engine: Engine,
    pub(crate) starter: Option<Box<dyn Starter>>,
    pub(crate) privileged: bool,
}

/// Whether a store can be measured.
pub(crate) enum Fit<'a> {
    /// It can.
    Ready(Box<dyn Bout + 'a>),
    /// It cannot, for this reason.
    Unfit(String),
}

/// A workload on one store.
pub(crate) trait Bout {
    /// Takes one sample of each row. What it makes it removes, unless it fails.
    fn sample(&mut self, trial: &mut Trial<'_>) -> Result<()>;

    /// Removes what was prepared.
    fn finish(&mut self) -> Result<()>;
}

/// What a workload is.
#[derive(Debug)]
pub(crate) struct Definition {
    /// Its name on the command line.
    pub(crate) id: &'static str,
    /// Its name for people.
    pub(crate) title: &'static str,
    /// What exactly it does, in whole sentences.
    pub(crate) what: &'static str,
    /// What it measures.
    pub(crate) rows: &'static [Row],
    /// How many rounds it takes of those that were asked for.
    pub(crate) rounds: Rounds,
}

/// How many rounds a workload takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rounds {
    /// All.
    All,
    /// Half as many: it takes long, and little is left to chance.
    Half,
    /// A quarter: it takes several samples in each.
    Quarter,
}

impl Rounds {
    /// How many of `rounds`.
    pub(crate) fn of(self, rounds: u32) -> u32 {
        match self {
            Self::All => rounds,
            Self::Half => rounds.div_ceil(2),
            Self::Quarter => rounds.div_ceil(4),
        }
    }

    /// How many of `warmup` rounds that do not count come before them: fewer where a round takes long, none where it
    /// warms itself up.
    pub(crate) fn warmup(self, warmup: u32) -> u32 {
        match self {
            Self::All => warmup,
            Self::Half => warmup.min(1),
            Self::Quarter => 0,
        }
    }
}

/// One quantity.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) id: &'static str,
    pub(crate) title: &'static str,
    pub(crate) unit: Unit,
    /// Whether a cold cache makes a difference that is measured.
    pub(crate) cold: bool,
    /// What the steps of a curve count.
    pub(crate) axis: Option<&'static str>,
}

impl Row {
    /// A time, with warm and with cold caches.
    const fn time(id: &'static str, title: &'static str) -> Self {
        Self { id, title, unit: Unit::Seconds, cold: true, axis: None }
    }

    /// Any quantity, with warm caches only.
    const fn warm(id: &'static str, title: &'static str, unit: Unit) -> Self {
        Self { id, title, unit, cold: false, axis: None }
    }

    /// A time that is a curve.
    const fn curve(id: &'static str, title: &'static str, axis: &'static str) -> Self {
        Self { id, title, unit: Unit::Seconds, cold: false, axis: Some(axis) }
    }
}

impl Definition {
    /// Whether any row is measured with cold caches.
    pub(crate) fn has_cold(&self) -> bool {
        self.rows.iter().any(|row| row.cold)
    }

    /// What the results say of it.
    pub(crate) fn facts(&self) -> WorkloadFacts {
        let row = |row: &Row| RowFacts {
            id: row.id.into(),
            title: row.title.into(),
            unit: row.unit,
            less_is_better: row.unit.less_is_better(),
            axis: row.axis.map(str::to_owned),
        };
        WorkloadFacts {
            id: self.id.into(),
            title: self.title.into(),
            definition: self.what.into(),
            rows: self.rows.iter().map(row).collect(),
        }
    }
}

/// The places on a curve that goes up to `most`: 1, 2, 5, 10, 20, 50, and `most` itself.
pub(crate) fn points(most: u64) -> Vec<u64> {
    let decades = (0..20).map_while(|power| 10u64.checked_pow(power));
    let mut points: Vec<u64> = decades
        .flat_map(|ten| [Some(ten), ten.checked_mul(2), ten.checked_mul(5)])
        .flatten()
        .take_while(|point| *point < most)
        .collect();
    points.push(most);
    points
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_and_words_are_whole() {
        let mut rows = BTreeSet::new();
        let mut ids = BTreeSet::new();
        for definition in ALL.iter().map(|w| w.definition()) {
            assert!(ids.insert(definition.id), "{} is there twice", definition.id);
            assert!(definition.what.ends_with('.') && !definition.rows.is_empty(), "{}", definition.id);
            for row in definition.rows {
                assert!(rows.insert(row.id), "{} is there twice", row.id);
                assert!(row.id.starts_with(definition.id), "{} is a row of {}", row.id, definition.id);
            }
        }
    }

    #[test]
    fn points_of_curves() {
        assert_eq!(points(1), [1]);
        assert_eq!(points(30), [1, 2, 5, 10, 20, 30]);
        assert_eq!(points(1000), [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000]);
    }

    #[test]
    fn rounds_are_never_none() {
        for (of, rounds) in [(Rounds::All, 11), (Rounds::Half, 6), (Rounds::Quarter, 3)] {
            assert_eq!((of.of(11), of.of(1)), (rounds, 1));
        }
    }
}
