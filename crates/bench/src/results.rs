//! What a run found: the document behind the table, the JSON and the report.

use std::fmt;

use hull_storage::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};

use crate::stats::Summary;
use crate::units::{self, Unit};

/// The value of [`Results::schema`].
pub const SCHEMA: &str = "hull-bench";
/// The version of the document. Members may be added within one; what is renamed or means something else makes a new one.
pub const VERSION: u32 = 1;

/// Everything one run found. `docs/bench-schema.md` describes the members.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Results {
    /// Always [`SCHEMA`].
    pub schema: String,
    /// The version of this document.
    pub version: u32,
    /// The version of Hull that measured.
    pub hull: String,
    /// Whether the run came to its end; false for one that was interrupted.
    pub complete: bool,
    /// When it began, UTC: `2026-11-26T08:00:00Z`.
    pub started: String,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// Where it ran.
    pub machine: Machine,
    /// How it was done.
    pub settings: Settings,
    /// The root file system that the volumes held.
    pub rootfs: Rootfs,
    /// The stores, in the order in which they were named.
    pub stores: Vec<StoreFacts>,
    /// The workloads, in the order in which they ran.
    pub workloads: Vec<WorkloadFacts>,
    /// What was measured.
    pub measurements: Vec<Measurement>,
    /// What could not be measured, or not all of it, and why.
    pub absent: Vec<Absent>,
    /// Scratch stores that this machine cannot have.
    pub left_out: Vec<LeftOut>,
    /// What else a reader should know of the run.
    pub notes: Vec<String>,
}

/// The machine a run was on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// The processor's name for itself.
    pub processor: String,
    /// How many processors are online.
    pub processors: u64,
    /// Its memory.
    pub memory_bytes: u64,
    /// `uname -sr`.
    pub kernel: String,
    /// `uname -m`.
    pub architecture: String,
    /// The distribution's name for itself.
    pub distribution: String,
    /// What else was running when the run began: `/proc/loadavg`.
    pub load: String,
    /// Programs that took part, and their versions.
    pub programs: Vec<Program>,
}

/// A program that took part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    /// Its name.
    pub name: String,
    /// What it says of its version.
    pub version: String,
}

/// How a run was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Samples of each row; curves take fewer, see `docs/bench.md`.
    pub rounds: u32,
    /// Rounds before them that do not count.
    pub warmup: u32,
    /// The seed of the order of stores.
    pub seed: u64,
    /// Whether it was a quick run.
    pub quick: bool,
    /// The states of the cache that were measured.
    pub caches: Vec<Cache>,
    /// What stores were made to survive: `crash` or `power`.
    pub durability: String,
    /// What did the reading and writing of workload `data`: `fio` or `built-in`.
    pub data_engine: String,
    /// How large things were.
    pub sizes: Sizes,
}

/// How large the things are that workloads work on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sizes {
    /// Files in the metadata storm, and small files in the parent.
    pub storm_files: u64,
    /// Bytes of each data file.
    pub data_bytes: u64,
    /// The most clones of one parent.
    pub fan_out: u64,
    /// The longest chain of clones.
    pub depth: u64,
    /// How many seconds a curve may take of one store in one round; it ends there.
    pub curve_seconds: u64,
}

impl fmt::Display for Sizes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} small files, data files of {}, {} clones of one parent, depth {}, {} s a curve",
            units::count(self.storm_files),
            Unit::Bytes.show(self.data_bytes as f64),
            units::count(self.fan_out),
            self.depth,
            self.curve_seconds
        )
    }
}

/// A root file system.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rootfs {
    /// `generated`, `archive` or `directory`.
    pub kind: String,
    /// What makes the same again, or its name: `generate:files=4000,bytes=104857600,seed=1`, `debian.tar.gz`.
    pub description: String,
    /// Its entries: files, directories, links and others.
    pub entries: u64,
    /// The sum of the sizes of its regular files.
    pub bytes: u64,
}

/// One store under test.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreFacts {
    /// What it is called in this document, as `--store` or the scratch store named it.
    pub name: String,
    /// The driver.
    pub driver: String,
    /// Whether it was made for this run.
    pub scratch: bool,
    /// The file system that its volumes lie on; empty for a pool.
    pub filesystem: String,
    /// That file system's mount options; for a pool, how a volume is mounted.
    pub mount_options: String,
    /// How it clones the parent.
    pub clones_by: String,
    /// What else a reader should know.
    pub notes: Vec<String>,
}

/// A workload, as it was defined.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkloadFacts {
    /// Its name on the command line.
    pub id: String,
    /// What it is called.
    pub title: String,
    /// What exactly it does.
    pub definition: String,
    /// What it measures.
    pub rows: Vec<RowFacts>,
}

/// One quantity that a workload measures.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowFacts {
    /// Its name, unique in the document.
    pub id: String,
    /// What it is called.
    pub title: String,
    /// What its numbers count.
    pub unit: Unit,
    /// Whether less of it is better.
    pub less_is_better: bool,
    /// What [`Measurement::x`] counts, for a curve.
    pub axis: Option<String>,
}

/// What the page cache holds when an operation begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cache {
    /// Whatever earlier rounds have left, which is all that fits.
    Warm,
    /// Nothing: everything was written out and dropped right before.
    Cold,
}

impl Cache {
    /// Its word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Warm => "warm",
            Self::Cold => "cold",
        }
    }
}

/// One row on one store.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measurement {
    /// [`RowFacts::id`].
    pub row: String,
    /// [`StoreFacts::name`].
    pub store: String,
    /// The state of the cache.
    pub cache: Cache,
    /// Where on the curve; `None` for a row that is none.
    pub x: Option<u64>,
    /// Every sample, in the order taken.
    pub samples: Vec<f64>,
    /// What they say.
    #[serde(flatten)]
    pub summary: Summary,
}

/// Something that was not measured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Absent {
    /// The workload.
    pub workload: String,
    /// The row of it; `None` for all.
    pub row: Option<String>,
    /// The store.
    pub store: String,
    /// The state of the cache; `None` for all.
    pub cache: Option<Cache>,
    /// Why.
    pub reason: Reason,
    /// The same in words.
    pub why: String,
}

/// Why something was not measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The store cannot do it, or this machine cannot measure it.
    NotApplicable,
    /// The curve ended early: more would have taken too long or too much space.
    Truncated,
    /// It was tried and failed.
    Failed,
    /// The run was interrupted before.
    Interrupted,
}

/// A scratch store that could not be made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// What it would have been called.
    pub name: String,
    /// Why there is none.
    pub why: String,
}

impl Results {
    /// Reads a document that [`Results::to_json`] wrote; `name` is the file's, for messages.
    ///
    /// Fails with [`ErrorKind::InvalidInput`] for anything else, and for a version this build does not read.
    pub fn from_json(name: &str, text: &str) -> Result<Self> {
        let invalid = |why: String| Error::new(ErrorKind::InvalidInput, format!("{name}: {why}"));
        #[derive(Deserialize)]
        struct Head {
            schema: String,
            version: u32,
        }
        let head: Head = serde_json::from_str(text)
            .map_err(|e| invalid(format!("no results of `hull bench` ({e}): name a file it wrote")))?;
        if head.schema != SCHEMA {
            return Err(invalid(format!("its schema is {:?}, not {SCHEMA:?}", head.schema)));
        }
        if head.version != VERSION {
            let text = format!(
                "results of version {}, where this build reads {VERSION}: use the Hull that wrote it, or measure again",
                head.version
            );
            return Err(invalid(text));
        }
        serde_json::from_str(text).map_err(|e| invalid(format!("damaged results of `hull bench`: {e}")))
    }

    /// The document as JSON.
    pub fn to_json(&self) -> String {
        // Only maps with keys that are no text cannot be written, and there are none.
        serde_json::to_string_pretty(self).unwrap_or_default()
    }

    /// The measurements of the row `row`, of the store called `store`, warm before cold, along the curve.
    pub fn of<'a, 'b>(
        &'a self,
        row: &'b str,
        store: &'b str,
    ) -> impl Iterator<Item = &'a Measurement> + use<'a, 'b> {
        self.measurements.iter().filter(move |m| m.row == row && m.store == store)
    }

    /// The one measurement of a row that is no curve.
    pub fn one(&self, row: &str, store: &str, cache: Cache) -> Option<&Measurement> {
        self.of(row, store).find(|m| m.cache == cache && m.x.is_none())
    }

    /// Whether anything that was tried failed.
    pub fn has_failures(&self) -> bool {
        self.absent.iter().any(|a| a.reason == Reason::Failed)
    }

    /// The states of the cache in which `row` was measured on any store.
    pub(crate) fn caches_of(&self, row: &str) -> Vec<Cache> {
        [Cache::Warm, Cache::Cold]
            .into_iter()
            .filter(|cache| self.measurements.iter().any(|m| m.row == row && m.cache == *cache))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::testing::sample;

    #[test]
    fn a_document_survives_being_written_and_read() {
        let results = sample();
        let read = Results::from_json("x", &results.to_json()).unwrap();
        assert!(read == results, "every number is the same to the last bit");
    }

    #[test]
    fn members_that_are_unknown_are_passed_over() {
        let text = sample().to_json().replacen('{', "{\"later\": [1],", 1);
        assert!(Results::from_json("x", &text).is_ok());
    }

    #[test]
    fn what_is_no_document_is_told_in_one_line() {
        let good = sample().to_json();
        for (text, why) in [
            (String::new(), "no results"),
            ("[]".into(), "no results"),
            ("{}".into(), "no results"),
            (good.replace("\"hull-bench\"", "\"other\""), "schema"),
            (good.replace("\"version\": 1", "\"version\": 9"), "version 9"),
            (good.replace("\"median\"", "\"middle\""), "damaged"),
        ] {
            let error = Results::from_json("x.json", &text).unwrap_err().to_string();
            assert!(error.contains("x.json") && error.contains(why) && !error.contains('\n'), "{error}");
        }
    }
}
