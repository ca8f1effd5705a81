//! A snapshot of a volume that has changed.

use hull_storage::{Locator, Result};

use super::{Bout, Definition, Fit, Rounds, Row, Tools, Workload};
use crate::site::Site;
use crate::trial::Trial;

#[derive(Debug)]
pub(crate) struct Snapshot;

const DEFINITION: Definition = Definition {
    id: "snapshot",
    title: "Snapshot",
    what: "A read-only snapshot is made of a clone of the parent to which the standard change set has been applied, \
which is what a container that has been used for a while looks like.",
    rows: &[Row::time("snapshot", "snapshot")],
    rounds: Rounds::All,
};

impl Workload for Snapshot {
    fn definition(&self) -> &'static Definition {
        &DEFINITION
    }

    fn prepare<'a>(&self, site: &'a Site, _: &'a Tools) -> Result<Fit<'a>> {
        let at = site.clone("used")?;
        site.change(&at)?;
        Ok(Fit::Ready(Box::new(Snapshotting { site, at })))
    }
}

struct Snapshotting<'a> {
    site: &'a Site,
    at: Locator,
}

impl Bout for Snapshotting<'_> {
    fn sample(&mut self, trial: &mut Trial<'_>) -> Result<()> {
        let at = trial.time("snapshot", || self.site.snapshot(&self.at, "snapshot"))?;
        self.site.remove(&at)
    }

    fn finish(&mut self) -> Result<()> {
        self.site.remove(&self.at)
    }
}
