//! Many small files made, looked at, renamed and removed.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use hull_storage::{Access, Locator, Result};

use super::{Bout, Definition, Fit, Rounds, Row, Tools, Workload};
use crate::fixture::{self, BLOCK};
use crate::site::Site;
use crate::trial::Trial;
use crate::units::Unit;

#[derive(Debug)]
pub(crate) struct Metadata;

const RATE: Unit = Unit::OperationsPerSecond;

const DEFINITION: Definition = Definition {
    id: "metadata",
    title: "Metadata storm",
    what: "In one directory of a fresh volume as many files as the parent has small ones are made, each of 4 KiB, then \
all are looked at with stat(2), renamed and removed, one thread, by name. In a new clone of the parent files are made \
likewise, and those looked at, renamed and removed are the ones that the clone has from the parent: what is shared has \
to be told apart first. Nothing is synced within a step.",
    rows: &[
        Row::warm("metadata-fresh-create", "create files, fresh volume", RATE),
        Row::warm("metadata-fresh-stat", "stat files, fresh volume", RATE),
        Row::warm("metadata-fresh-rename", "rename files, fresh volume", RATE),
        Row::warm("metadata-fresh-unlink", "unlink files, fresh volume", RATE),
        Row::warm("metadata-clone-create", "create files, clone", RATE),
        Row::warm("metadata-clone-stat", "stat files, clone", RATE),
        Row::warm("metadata-clone-rename", "rename files, clone", RATE),
        Row::warm("metadata-clone-unlink", "unlink files, clone", RATE),
    ],
    rounds: Rounds::All,
};

impl Workload for Metadata {
    fn definition(&self) -> &'static Definition {
        &DEFINITION
    }

    fn prepare<'a>(&self, site: &'a Site, _: &'a Tools) -> Result<Fit<'a>> {
        Ok(Fit::Ready(Box::new(Storm { site, fresh: site.create("fresh")? })))
    }
}

struct Storm<'a> {
    site: &'a Site,
    fresh: Locator,
}

/// One kind of place, by its rows.
struct Rows {
    create: &'static str,
    stat: &'static str,
    rename: &'static str,
    unlink: &'static str,
}

const FRESH: Rows = Rows {
    create: "metadata-fresh-create",
    stat: "metadata-fresh-stat",
    rename: "metadata-fresh-rename",
    unlink: "metadata-fresh-unlink",
};

const CLONE: Rows = Rows {
    create: "metadata-clone-create",
    stat: "metadata-clone-stat",
    rename: "metadata-clone-rename",
    unlink: "metadata-clone-unlink",
};

impl Bout for Storm<'_> {
    fn sample(&mut self, trial: &mut Trial<'_>) -> Result<()> {
        let open = self.site.open(&self.fresh, Access::ReadWrite)?;
        let dir = open.path().join("storm");
        fs::create_dir(&dir).map_err(|e| fixture::failed("make", &dir, e))?;
        self.rage(trial, &FRESH, &dir, &dir)?;
        fs::remove_dir(&dir).map_err(|e| fixture::failed("remove", &dir, e))?;
        open.close()?;

        let clone = self.site.clone("stormed")?;
        let open = self.site.open(&clone, Access::ReadWrite)?;
        let dir = open.path().join("storm");
        fs::create_dir(&dir).map_err(|e| fixture::failed("make", &dir, e))?;
        self.rage(trial, &CLONE, &dir, &fixture::small_files(&open.path()))?;
        open.close()?;
        self.site.remove(&clone)
    }

    fn finish(&mut self) -> Result<()> {
        self.site.remove(&self.fresh)
    }
}

impl Storm<'_> {
    /// Makes files in `new`; looks at, renames and removes those in `old`.
    fn rage(&self, trial: &mut Trial<'_>, rows: &Rows, new: &Path, old: &Path) -> Result<()> {
        let count = self.site.sizes.storm_files;
        // The names are made up before: that is no work of the store's.
        let files = |dir: &Path, name: &dyn Fn(u64) -> String| -> Vec<_> {
            (0..count).map(|number| dir.join(name(number))).collect()
        };
        let (made, there) = (files(new, &fixture::small_file), files(old, &fixture::small_file));
        let renamed = files(old, &|number| format!("t{number:05}"));
        let block = [0xa5; BLOCK];
        let all = |act: &mut dyn FnMut(usize) -> io::Result<()>| -> Result<()> {
            (0..made.len()).try_for_each(act).map_err(|e| fixture::failed("work on files in", old, e))
        };
        trial.rate(rows.create, count, || all(&mut |n| File::create_new(&made[n])?.write_all(&block)))?;
        trial.rate(rows.stat, count, || all(&mut |n| fs::symlink_metadata(&there[n]).map(drop)))?;
        trial.rate(rows.rename, count, || all(&mut |n| fs::rename(&there[n], &renamed[n])))?;
        trial.rate(rows.unlink, count, || all(&mut |n| fs::remove_file(&renamed[n])))
    }
}
