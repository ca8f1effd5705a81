//! The end of a volume: its name at once, its files later.

use hull_storage::Result;

use super::{Bout, Definition, Fit, Rounds, Row, Tools, Workload};
use crate::site::Site;
use crate::trial::Trial;

#[derive(Debug)]
pub(crate) struct Destroy;

const DEFINITION: Definition = Definition {
    id: "destroy",
    title: "Destroy",
    what: "A clone of the parent is destroyed. The first row is the time until its name is free and it is gone for \
everybody, which is what a command waits for; the second how long deleting it takes then, which `hull destroy` leaves to \
the background where it takes long.",
    rows: &[
        Row::time("destroy", "destroy, until it returns"),
        Row::time("destroy-delete", "destroy, deleting the files"),
    ],
    rounds: Rounds::All,
};

impl Workload for Destroy {
    fn definition(&self) -> &'static Definition {
        &DEFINITION
    }

    fn prepare<'a>(&self, site: &'a Site, _: &'a Tools) -> Result<Fit<'a>> {
        Ok(Fit::Ready(Box::new(Destroying { site })))
    }
}

struct Destroying<'a> {
    site: &'a Site,
}

impl Bout for Destroying<'_> {
    fn sample(&mut self, trial: &mut Trial<'_>) -> Result<()> {
        let at = self.site.clone("doomed")?;
        trial.time("destroy", || self.site.destroy(&at))?;
        trial.time("destroy-delete", || self.site.reclaim())
    }

    fn finish(&mut self) -> Result<()> {
        Ok(())
    }
}
