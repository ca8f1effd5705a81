//! A container from nothing to ready.

use hull_storage::{Locator, Result};

use super::{Bout, Definition, Fit, Rounds, Row, Tools, Workload};
use crate::site::Site;
use crate::start::Starter;
use crate::trial::Trial;

#[derive(Debug)]
pub(crate) struct Start;

const DEFINITION: Definition = Definition {
    id: "start",
    title: "Start of a container",
    what: "A container whose root file system is a clone of the parent is started with a network of only the loopback \
interface, by the monitor, as `hull start` does it: from the call until its init runs. The init is a small program that \
is put into the clone; it does nothing. Then the container is killed, which does not count. Takes root.",
    rows: &[Row::time("start", "container start")],
    rounds: Rounds::All,
};

impl Workload for Start {
    fn definition(&self) -> &'static Definition {
        &DEFINITION
    }

    fn prepare<'a>(&self, site: &'a Site, tools: &'a Tools) -> Result<Fit<'a>> {
        if !tools.privileged {
            return Ok(Fit::Unfit("a container's root file system is mounted, which takes root".into()));
        }
        let Some(starter) = &tools.starter else {
            return Ok(Fit::Unfit("no program here starts containers".into()));
        };
        if let Err(why) = starter.is_ready() {
            return Ok(Fit::Unfit(why));
        }
        let at = site.clone("container")?;
        let open = site.open(&at, hull_storage::Access::ReadWrite)?;
        starter.furnish(&open.path())?;
        open.close()?;
        Ok(Fit::Ready(Box::new(Starting { site, starter: &**starter, at })))
    }
}

struct Starting<'a> {
    site: &'a Site,
    starter: &'a dyn Starter,
    at: Locator,
}

impl Bout for Starting<'_> {
    fn sample(&mut self, trial: &mut Trial<'_>) -> Result<()> {
        let started = trial.time("start", || self.starter.start(&self.at))?;
        self.starter.stop(&started)
    }

    fn finish(&mut self) -> Result<()> {
        self.site.remove(&self.at)
    }
}
