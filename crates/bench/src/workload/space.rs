//! What a clone takes up.

use hull_storage::Result;

use super::{Bout, Definition, Fit, Rounds, Row, Tools, Workload};
use crate::site::Site;
use crate::trial::Trial;
use crate::units::Unit;

#[derive(Debug)]
pub(crate) struct Space;

const DEFINITION: Definition = Definition {
    id: "space",
    title: "What a clone takes up",
    what: "How many bytes more are taken once a clone of the parent has been made, and once the standard change set \
has been applied to it: by what the file system below says is used after a sync, so nobody else should write to it \
meanwhile; in a pool, by what the store says is the clone's own.",
    rows: &[
        Row::warm("space-clone", "space of a new clone", Unit::Bytes),
        Row::warm("space-changed", "space of a changed clone", Unit::Bytes),
    ],
    rounds: Rounds::Half,
};

impl Workload for Space {
    fn definition(&self) -> &'static Definition {
        &DEFINITION
    }

    fn prepare<'a>(&self, site: &'a Site, _: &'a Tools) -> Result<Fit<'a>> {
        let at = site.clone("weighed")?;
        let known = site.occupied(Some(&at))?;
        site.remove(&at)?;
        Ok(match known {
            Some(_) => Fit::Ready(Box::new(Weighing { site })),
            None => Fit::Unfit("the store cannot tell what is a clone's own".into()),
        })
    }
}

struct Weighing<'a> {
    site: &'a Site,
}

impl Bout for Weighing<'_> {
    fn sample(&mut self, trial: &mut Trial<'_>) -> Result<()> {
        let before = self.site.occupied(None)?;
        let at = self.site.clone("weighed")?;
        let made = self.site.occupied(Some(&at))?;
        self.site.change(&at)?;
        let changed = self.site.occupied(Some(&at))?;
        if let (Some(before), Some(made), Some(changed)) = (before, made, changed) {
            trial.record("space-clone", made as f64 - before as f64);
            trial.record("space-changed", changed as f64 - before as f64);
        }
        self.site.remove(&at)
    }

    fn finish(&mut self) -> Result<()> {
        Ok(())
    }
}
