//! A volume made of an archive.

use hull_storage::Result;

use super::{Bout, Definition, Fit, Rounds, Row, Tools, Workload};
use crate::site::Site;
use crate::trial::Trial;

#[derive(Debug)]
pub(crate) struct Create;

const DEFINITION: Definition = Definition {
    id: "create",
    title: "Create from an archive",
    what: "An empty volume is made, the root file system unpacked into it by GNU tar, with owners, extended attributes \
and ACLs, and the volume let go of. Nothing is synced, but what letting go of the volume writes out counts. Stores whose \
volumes only record changes to another cannot do it.",
    rows: &[Row::time("create", "create from archive")],
    rounds: Rounds::All,
};

impl Workload for Create {
    fn definition(&self) -> &'static Definition {
        &DEFINITION
    }

    fn prepare<'a>(&self, site: &'a Site, _: &'a Tools) -> Result<Fit<'a>> {
        Ok(match site.standalone()? {
            true => Fit::Ready(Box::new(Creating { site })),
            false => Fit::Unfit("a volume of this store always needs another one below it".into()),
        })
    }
}

struct Creating<'a> {
    site: &'a Site,
}

impl Bout for Creating<'_> {
    fn sample(&mut self, trial: &mut Trial<'_>) -> Result<()> {
        let at = trial.time("create", || {
            let at = self.site.create("created")?;
            self.site.unpack(&at)?;
            Ok(at)
        })?;
        self.site.remove(&at)
    }

    fn finish(&mut self) -> Result<()> {
        Ok(())
    }
}
