//! Bytes read and written, in order and at random, through the page cache and past it.

use hull_storage::{Access, Locator, Result};

use super::{Bout, Definition, Fit, Rounds, Row, Tools, Workload};
use crate::engine::{Direction, Job, Pattern};
use crate::fixture::{self, DATA};
use crate::results::Cache;
use crate::site::Site;
use crate::trial::Trial;
use crate::units::Unit;

#[derive(Debug)]
pub(crate) struct Data;

const fn row(id: &'static str, title: &'static str, unit: Unit, cold: bool) -> Row {
    Row { id, title, unit, cold, axis: None }
}

const BANDWIDTH: Unit = Unit::BytesPerSecond;
const RATE: Unit = Unit::OperationsPerSecond;

const DEFINITION: Definition = Definition {
    id: "data",
    title: "Reading and writing data",
    what: "Data files are read and overwritten by one thread, waiting for each call: in order in calls of 1 MiB, at \
random in calls of 4 KiB (as many as cover the file once, at most 4,096), through the page cache and past it \
(O_DIRECT). A fresh volume has files of its own; a new clone of the parent still shares all of them, and each kind of \
access has a file of its own, so every write is a first one. What counts is the time of the calls and, of writing, \
that of the fdatasync(2) at its end. fio does it \
where it is installed, else Hull itself; the results say which. Cold caches make a difference to reading through the page \
cache only.",
    rows: &[
        row("data-fresh-read", "sequential read, fresh volume", BANDWIDTH, true),
        row("data-fresh-write", "sequential write, fresh volume", BANDWIDTH, false),
        row("data-fresh-randread", "random read, fresh volume", RATE, true),
        row("data-fresh-randwrite", "random write, fresh volume", RATE, false),
        row("data-fresh-read-direct", "sequential read, O_DIRECT, fresh volume", BANDWIDTH, false),
        row("data-fresh-write-direct", "sequential write, O_DIRECT, fresh volume", BANDWIDTH, false),
        row("data-fresh-randread-direct", "random read, O_DIRECT, fresh volume", RATE, false),
        row("data-fresh-randwrite-direct", "random write, O_DIRECT, fresh volume", RATE, false),
        row("data-clone-read", "sequential read, clone", BANDWIDTH, true),
        row("data-clone-write", "sequential write, clone", BANDWIDTH, false),
        row("data-clone-randread", "random read, clone", RATE, true),
        row("data-clone-randwrite", "random write, clone", RATE, false),
        row("data-clone-read-direct", "sequential read, O_DIRECT, clone", BANDWIDTH, false),
        row("data-clone-write-direct", "sequential write, O_DIRECT, clone", BANDWIDTH, false),
        row("data-clone-randread-direct", "random read, O_DIRECT, clone", RATE, false),
        row("data-clone-randwrite-direct", "random write, O_DIRECT, clone", RATE, false),
    ],
    rounds: Rounds::Half,
};

impl Workload for Data {
    fn definition(&self) -> &'static Definition {
        &DEFINITION
    }

    fn prepare<'a>(&self, site: &'a Site, tools: &'a Tools) -> Result<Fit<'a>> {
        let fresh = site.create("fresh")?;
        let open = site.open(&fresh, Access::ReadWrite)?;
        fixture::add_data(&open.path(), &site.sizes)?;
        open.close()?;
        Ok(Fit::Ready(Box::new(Moving { site, tools, fresh })))
    }
}

struct Moving<'a> {
    site: &'a Site,
    tools: &'a Tools,
    fresh: Locator,
}

/// Reading comes first: what has been written is shared no more.
const STEPS: [(&str, usize, Pattern, Direction, bool); 8] = [
    ("read", 0, Pattern::Sequential, Direction::Read, false),
    ("randread", 1, Pattern::Random, Direction::Read, false),
    ("read-direct", 2, Pattern::Sequential, Direction::Read, true),
    ("randread-direct", 3, Pattern::Random, Direction::Read, true),
    ("write", 0, Pattern::Sequential, Direction::Write, false),
    ("randwrite", 1, Pattern::Random, Direction::Write, false),
    ("write-direct", 2, Pattern::Sequential, Direction::Write, true),
    ("randwrite-direct", 3, Pattern::Random, Direction::Write, true),
];

impl Bout for Moving<'_> {
    fn sample(&mut self, trial: &mut Trial<'_>) -> Result<()> {
        self.move_in("data-fresh", &self.fresh, trial)?;
        let clone = self.site.clone("moved")?;
        self.move_in("data-clone", &clone, trial)?;
        self.site.remove(&clone)
    }

    fn finish(&mut self) -> Result<()> {
        self.site.remove(&self.fresh)
    }
}

impl Moving<'_> {
    fn move_in(&self, prefix: &str, at: &Locator, trial: &mut Trial<'_>) -> Result<()> {
        let open = self.site.open(at, Access::ReadWrite)?;
        for (suffix, file, pattern, direction, direct) in STEPS {
            let id = format!("{prefix}-{suffix}");
            let Some(row) = DEFINITION.rows.iter().find(|row| row.id == id) else { continue };
            // With cold caches only what they make a difference to is measured.
            if trial.cache() == Cache::Cold && !row.cold {
                continue;
            }
            trial.go_on()?;
            let path = fixture::data_file(&open.path(), DATA[file]);
            let size = self.site.sizes.data_bytes;
            let job = Job { path: &path, size, pattern, direction, direct, seed: trial.seed() };
            if (direct, direction, trial.cache()) == (false, Direction::Read, Cache::Warm) {
                std::fs::read(&path).map_err(|e| fixture::failed("read", &path, e))?;
            }
            self.site.settle(trial.cache())?;
            match self.tools.engine.run(&job)? {
                Some(rate) => trial.record(row.id, rate),
                None => trial.lacks(row.id, "the file system knows no O_DIRECT".into()),
            }
        }
        open.close()
    }
}
