//! How clones of clones of clones fare.

use std::fs;
use std::time::Instant;

use hull_storage::{Access, Locator, Result};

use super::{Bout, Definition, Fit, Rounds, Row, Tools, Workload, points};
use crate::fixture::{self, BLOCK};
use crate::site::Site;
use crate::trial::Trial;

#[derive(Debug)]
pub(crate) struct Depth;

const DEFINITION: Definition = Definition {
    id: "depth",
    title: "Clones of clones",
    what: "A clone is made of the parent, a clone of that clone, and so on, 30 deep in a full run; in each one \
small file is overwritten before the next is made. At depths 1, 2, 5, 10, 20 and 30 the rows have the time of \
that clone, and the time it takes to read all the small files in it; before both everything is written out. A \
store ends where a round has taken as long as a curve may, or half of the room that there was is taken; the \
results say where.",
    rows: &[
        Row::curve("depth-clone", "clone, by depth", "clones of clones"),
        Row::curve("depth-read", "reading small files, by depth", "clones of clones"),
    ],
    rounds: Rounds::Half,
};

impl Workload for Depth {
    fn definition(&self) -> &'static Definition {
        &DEFINITION
    }

    fn prepare<'a>(&self, site: &'a Site, _: &'a Tools) -> Result<Fit<'a>> {
        Ok(Fit::Ready(Box::new(Digging { site, chain: Vec::new() })))
    }
}

struct Digging<'a> {
    site: &'a Site,
    /// Each is made of the one before.
    chain: Vec<Locator>,
}

impl Bout for Digging<'_> {
    fn sample(&mut self, trial: &mut Trial<'_>) -> Result<()> {
        let most = self.site.sizes.depth;
        let points = points(most);
        let budget = self.site.patience()?;
        let room = self.site.available()?;
        let begun = Instant::now();
        for depth in 1..=most {
            trial.go_on()?;
            if let Some(why) = trial.spent(begun.elapsed(), budget, room, self.site)? {
                trial.truncate(format!("ends at depth {} of {most}: {why}", depth - 1));
                break;
            }
            let from = self.chain.last().cloned().map_or_else(|| self.site.parent(), Ok)?;
            let is_point = points.contains(&depth);
            if is_point {
                self.site.settle(trial.cache())?;
            }
            let clone_begun = Instant::now();
            let at = self.site.clone_of(&from, &format!("deep{depth}"))?;
            let took = clone_begun.elapsed();
            self.chain.push(at.clone());
            let open = self.site.open(&at, Access::ReadWrite)?;
            let small = fixture::small_files(&open.path());
            if is_point {
                trial.record_at("depth-clone", depth, took.as_secs_f64());
                // Once untimed, for the cache is warm: it is the way that is measured, not the disk.
                let read = || {
                    let names = (0..self.site.sizes.storm_files).map(fixture::small_file);
                    names.into_iter().try_for_each(|name| fs::read(small.join(name)).map(drop))
                };
                read().map_err(|e| fixture::failed("read", &small, e))?;
                self.site.settle(trial.cache())?;
                let read_begun = Instant::now();
                read().map_err(|e| fixture::failed("read", &small, e))?;
                trial.record_at("depth-read", depth, read_begun.elapsed().as_secs_f64());
            }
            let changed = small.join(fixture::small_file(depth % self.site.sizes.storm_files.max(1)));
            fixture::overwrite(&changed, 0, &[0x5a; BLOCK])
                .map_err(|e| fixture::failed("write to", &changed, e))?;
            open.close()?;
        }
        self.finish()
    }

    fn finish(&mut self) -> Result<()> {
        while let Some(at) = self.chain.pop() {
            self.site.destroy(&at)?;
        }
        self.site.reclaim()
    }
}
