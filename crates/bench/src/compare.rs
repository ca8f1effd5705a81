//! What is different from an earlier run beyond noise.

use std::fmt::Write as _;

use hull_storage::{Error, ErrorKind, Result};

use crate::request::Request;
use crate::results::{Cache, Measurement, Results, Sizes};
use crate::stats::WANTED_COVERAGE;
use crate::units::{Unit, times};

/// Two medians that differ by less are called the same, however sure they are.
const LEAST_EFFECT: f64 = 0.05;
/// From this coverage on, intervals that do not meet are taken for a difference: five samples have it.
const LEAST_COVERAGE: f64 = 0.9;

/// One run beside an earlier one.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// What moved, the largest changes first.
    pub changes: Vec<Change>,
    /// How many measurements are in both.
    pub compared: usize,
    /// How many of those have too few samples to say anything.
    pub undecided: usize,
    /// What a reader must know before believing it: other machines, other settings.
    pub notes: Vec<String>,
}

/// A measurement that moved.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// The row's title.
    pub title: String,
    /// The store.
    pub store: String,
    /// The state of the cache.
    pub cache: Cache,
    /// Where on the curve.
    pub x: Option<u64>,
    /// What is counted.
    pub unit: Unit,
    /// The earlier median.
    pub before: f64,
    /// The median now.
    pub after: f64,
    /// Whether that is better.
    pub better: bool,
}

/// Fails with [`ErrorKind::InvalidInput`] when what `request` will find cannot be compared with `old`.
pub fn comparable(old: &Results, request: &Request) -> Result<()> {
    let rootfs = request.rootfs.facts().description;
    if old.rootfs.description != rootfs {
        return differ("the root file system", &old.rootfs.description, &rootfs);
    }
    same_sizes(&old.settings.sizes, &request.options.sizes)
}

fn same_sizes(old: &Sizes, new: &Sizes) -> Result<()> {
    match old == new {
        true => Ok(()),
        false => differ("the size of things", &old.to_string(), &new.to_string()),
    }
}

fn differ(what: &str, old: &str, new: &str) -> Result<()> {
    let text =
        format!("the runs cannot be compared: {what} was {old} and is {new}; measure again with the same");
    Err(Error::new(ErrorKind::InvalidInput, text))
}

/// Compares `new` with `old`. A measurement has moved if the intervals of both medians do not meet and the medians
/// differ by 5 % at least.
///
/// Fails with [`ErrorKind::InvalidInput`] when both have nothing in common: another root file system, other sizes.
pub fn compare(old: &Results, new: &Results) -> Result<Comparison> {
    if old.rootfs != new.rootfs {
        let shown = |results: &Results| {
            let rootfs = &results.rootfs;
            format!("{} ({} entries, {} bytes)", rootfs.description, rootfs.entries, rootfs.bytes)
        };
        differ("the root file system", &shown(old), &shown(new))?;
    }
    same_sizes(&old.settings.sizes, &new.settings.sizes)?;
    let same_engine = old.settings.data_engine == new.settings.data_engine;
    let mut comparison =
        Comparison { changes: Vec::new(), compared: 0, undecided: 0, notes: notes(old, new) };
    // What fio and Hull itself measure of data are two things.
    let workloads = new.workloads.iter().filter(|workload| same_engine || workload.id != "data");
    for row in workloads.flat_map(|workload| &workload.rows) {
        let unit = row.unit;
        for after in new.measurements.iter().filter(|m| m.row == row.id) {
            let same = |m: &&Measurement| {
                (&m.row, &m.store, m.cache, m.x) == (&after.row, &after.store, after.cache, after.x)
            };
            let Some(before) = old.measurements.iter().find(same) else { continue };
            comparison.compared += 1;
            if before.summary.coverage.min(after.summary.coverage) < LEAST_COVERAGE {
                comparison.undecided += 1;
            } else if moved(before, after) {
                let (before, after_median) = (before.summary.median, after.summary.median);
                comparison.changes.push(Change {
                    title: row.title.clone(),
                    store: after.store.clone(),
                    cache: after.cache,
                    x: after.x,
                    unit,
                    before,
                    after: after_median,
                    better: (after_median < before) == unit.less_is_better(),
                });
            }
        }
    }
    comparison.changes.sort_by(|a, b| b.size().total_cmp(&a.size()));
    Ok(comparison)
}

/// Whether the two differ beyond noise.
fn moved(before: &Measurement, after: &Measurement) -> bool {
    let (b, a) = (&before.summary, &after.summary);
    let apart = b.high < a.low || a.high < b.low;
    let scale = b.median.abs().max(a.median.abs());
    apart && (a.median - b.median).abs() >= LEAST_EFFECT * scale
}

fn notes(old: &Results, new: &Results) -> Vec<String> {
    let (before, after) = (&old.machine, &new.machine);
    let mut notes = Vec::new();
    let mut differs = |what: &str, old: &dyn ToString, new: &dyn ToString| {
        let (old, new) = (old.to_string(), new.to_string());
        if old != new {
            notes.push(format!("{what} was {old:?} and is {new:?}"));
        }
    };
    differs("the processor", &before.processor, &after.processor);
    differs("the number of processors", &before.processors, &after.processors);
    differs("the kernel", &before.kernel, &after.kernel);
    differs("the distribution", &before.distribution, &after.distribution);
    differs("the durability", &old.settings.durability, &new.settings.durability);
    differs("what moves data", &old.settings.data_engine, &new.settings.data_engine);
    differs("Hull", &old.hull, &new.hull);
    for store in &new.stores {
        if let Some(was) = old.stores.iter().find(|was| was.name == store.name) {
            differs(&format!("how {} is mounted", store.name), &was.mount_options, &store.mount_options);
            differs(&format!("how {} clones", store.name), &was.clones_by, &store.clones_by);
        }
    }
    for (results, which) in [(old, "the earlier run"), (new, "this run")] {
        if !results.complete {
            notes.push(format!("{which} was interrupted"));
        }
    }
    notes
}

impl Change {
    /// After by before.
    pub fn ratio(&self) -> f64 {
        self.after / self.before
    }

    /// How much it moved, whichever way.
    fn size(&self) -> f64 {
        let ratio = self.ratio().abs();
        if ratio > 0.0 { ratio.ln().abs() } else { f64::INFINITY }
    }

    /// The place on the curve, and the cache if it is cold, in words.
    pub(crate) fn place(&self) -> String {
        let x = self.x.map(|x| format!(" at {x}")).unwrap_or_default();
        let cold = if self.cache == Cache::Cold { ", cold" } else { "" };
        format!("{}{x}{cold}", self.title)
    }
}

impl Comparison {
    /// For a terminal.
    pub fn table(&self) -> String {
        let mut text = String::new();
        for note in &self.notes {
            let _ = writeln!(text, "note: {note}");
        }
        let _ = write!(text, "{} of {} measurements moved beyond noise", self.changes.len(), self.compared);
        if self.undecided > 0 {
            let sure = WANTED_COVERAGE * 100.0;
            let _ = write!(
                text,
                "; {} have too few samples to tell (--rounds 6 is sure to {sure:.0} %)",
                self.undecided
            );
        }
        text.push('\n');
        let rows: Vec<[String; 6]> = self
            .changes
            .iter()
            .map(|change| {
                [
                    if change.better { "better" } else { "worse" }.to_owned(),
                    times(change.ratio()),
                    change.unit.show(change.before),
                    change.unit.show(change.after),
                    change.store.clone(),
                    change.place(),
                ]
            })
            .collect();
        if !rows.is_empty() {
            text.push_str(&crate::table::columns(
                &["", "NOW/THEN", "THEN", "NOW", "STORE", "OPERATION"],
                &rows,
            ));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::testing::sample;

    fn set(results: &mut Results, row: &str, store: &str, samples: &[f64]) {
        let at = results.measurements.iter_mut().find(|m| m.row == row && m.store == store && m.x.is_none());
        let measurement = at.expect("the sample has it");
        measurement.samples = samples.to_vec();
        measurement.summary = crate::stats::summarise(samples).unwrap();
    }

    #[test]
    fn a_run_is_not_different_from_itself() {
        let results = sample();
        let comparison = compare(&results, &results).unwrap();
        assert_eq!((comparison.changes.len(), comparison.compared), (0, results.measurements.len()));
        assert!(comparison.notes.is_empty());
    }

    #[test]
    fn what_moves_beyond_noise_is_told_and_nothing_else() {
        let old = sample();
        let base: Vec<f64> = (0..11).map(|n| 0.010 + f64::from(n) * 0.0001).collect();
        let scaled = |by: f64| base.iter().map(|s| s * by).collect::<Vec<_>>();
        for (by, moved, better) in [
            (1.0, 0, false),
            (1.04, 0, false),
            (1.5, 1, false),
            (0.5, 1, true),
            (1.07, 0, false),
            (1.2, 1, false),
        ] {
            let (mut before, mut after) = (old.clone(), old.clone());
            set(&mut before, "clone", "dir@ext4", &base);
            set(&mut after, "clone", "dir@ext4", &scaled(by));
            let comparison = compare(&before, &after).unwrap();
            assert_eq!(comparison.changes.len(), moved, "by {by}");
            if let Some(change) = comparison.changes.first() {
                assert_eq!(change.better, better, "by {by}");
                assert!(comparison.table().contains("clone") && comparison.table().contains("dir@ext4"));
            }
        }
    }

    #[test]
    fn a_rate_that_grows_is_better() {
        let (mut before, mut after) = (sample(), sample());
        let row = "metadata-fresh-create";
        set(&mut before, row, "dir@ext4", &[100.0; 7]);
        set(&mut after, row, "dir@ext4", &[200.0; 7]);
        assert!(compare(&before, &after).unwrap().changes[0].better);
    }

    #[test]
    fn too_few_samples_decide_nothing() {
        let (mut before, mut after) = (sample(), sample());
        set(&mut before, "clone", "dir@ext4", &[1.0, 1.1, 1.2]);
        set(&mut after, "clone", "dir@ext4", &[9.0, 9.1, 9.2]);
        let comparison = compare(&before, &after).unwrap();
        assert_eq!((comparison.changes.len(), comparison.undecided), (0, 1));
        assert!(comparison.table().contains("too few samples"));
    }

    #[test]
    fn runs_with_nothing_in_common_are_refused_and_other_machines_told() {
        let old = sample();
        let mut other = sample();
        other.rootfs.bytes += 1;
        assert!(compare(&old, &other).is_err());
        let mut other = sample();
        other.settings.sizes.storm_files += 1;
        assert!(compare(&old, &other).is_err());
        let mut other = sample();
        other.machine.kernel = "Linux 9".into();
        other.complete = false;
        let comparison = compare(&old, &other).unwrap();
        assert_eq!(comparison.notes.len(), 2, "{:?}", comparison.notes);
    }
}
