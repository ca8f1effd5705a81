//! A clone of the parent.

use hull_storage::Result;

use super::{Bout, Definition, Fit, Rounds, Row, Tools, Workload};
use crate::site::Site;
use crate::trial::Trial;

#[derive(Debug)]
pub(crate) struct Clone;

const DEFINITION: Definition = Definition {
    id: "clone",
    title: "Clone",
    what: "A writable clone of the parent is made: shared where the store can share, else copied. Planning, locks and \
journal count; nothing is mounted.",
    rows: &[Row::time("clone", "clone")],
    rounds: Rounds::All,
};

impl Workload for Clone {
    fn definition(&self) -> &'static Definition {
        &DEFINITION
    }

    fn prepare<'a>(&self, site: &'a Site, _: &'a Tools) -> Result<Fit<'a>> {
        Ok(Fit::Ready(Box::new(Cloning { site })))
    }
}

struct Cloning<'a> {
    site: &'a Site,
}

impl Bout for Cloning<'_> {
    fn sample(&mut self, trial: &mut Trial<'_>) -> Result<()> {
        let at = trial.time("clone", || self.site.clone("cloned"))?;
        self.site.remove(&at)
    }

    fn finish(&mut self) -> Result<()> {
        Ok(())
    }
}
