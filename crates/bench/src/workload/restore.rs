//! A volume put back to a snapshot.

use hull_storage::{Locator, Result};

use super::{Bout, Definition, Fit, Rounds, Row, Tools, Workload};
use crate::site::Site;
use crate::trial::Trial;

#[derive(Debug)]
pub(crate) struct Restore;

const DEFINITION: Definition = Definition {
    id: "restore",
    title: "Restore",
    what: "A volume is put back to a snapshot of it: a clone of the snapshot is made and put in the volume's place. \
Between the snapshot and every restore the standard change set is applied. What the volume held before is deleted \
afterwards, which does not count; see destroy.",
    rows: &[Row::time("restore", "restore a snapshot")],
    rounds: Rounds::All,
};

impl Workload for Restore {
    fn definition(&self) -> &'static Definition {
        &DEFINITION
    }

    fn prepare<'a>(&self, site: &'a Site, _: &'a Tools) -> Result<Fit<'a>> {
        let at = site.clone("used")?;
        site.change(&at)?;
        let snapshot = site.snapshot(&at, "snapshot")?;
        Ok(Fit::Ready(Box::new(Restoring { site, at, snapshot })))
    }
}

struct Restoring<'a> {
    site: &'a Site,
    at: Locator,
    snapshot: Locator,
}

impl Bout for Restoring<'_> {
    fn sample(&mut self, trial: &mut Trial<'_>) -> Result<()> {
        self.site.change(&self.at)?;
        self.at = trial.time("restore", || self.site.restore(&self.snapshot, &self.at))?;
        self.site.reclaim()
    }

    fn finish(&mut self) -> Result<()> {
        // Either may be what the other was made of.
        self.site.destroy(&self.at)?;
        self.site.destroy(&self.snapshot)?;
        self.site.reclaim()
    }
}
