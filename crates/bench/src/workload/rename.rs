//! A volume under another name.

use hull_storage::{Locator, Result};

use super::{Bout, Definition, Fit, Rounds, Row, Tools, Workload};
use crate::site::Site;
use crate::trial::Trial;

#[derive(Debug)]
pub(crate) struct Rename;

const DEFINITION: Definition = Definition {
    id: "rename",
    title: "Rename",
    what: "A clone of the parent gets another name in its store, and in the next sample the first one again.",
    rows: &[Row::time("rename", "rename")],
    rounds: Rounds::All,
};

impl Workload for Rename {
    fn definition(&self) -> &'static Definition {
        &DEFINITION
    }

    fn prepare<'a>(&self, site: &'a Site, _: &'a Tools) -> Result<Fit<'a>> {
        Ok(Fit::Ready(Box::new(Renaming { site, at: site.clone("first")?, names: ["second", "first"] })))
    }
}

struct Renaming<'a> {
    site: &'a Site,
    at: Locator,
    /// The next name, and the one after it.
    names: [&'static str; 2],
}

impl Bout for Renaming<'_> {
    fn sample(&mut self, trial: &mut Trial<'_>) -> Result<()> {
        trial.time("rename", || self.site.rename(&mut self.at, self.names[0]))?;
        self.names.reverse();
        Ok(())
    }

    fn finish(&mut self) -> Result<()> {
        self.site.remove(&self.at)
    }
}
