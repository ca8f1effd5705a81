//! A volume at a directory, and away from it.

use std::fs::File;
use std::path::Path;

use hull_mount::DetachedMount;
use hull_storage::{Held, Locator, Result};

use super::{Bout, Definition, Fit, Rounds, Row, Tools, Workload};
use crate::fixture::failed;
use crate::site::Site;
use crate::trial::Trial;

#[derive(Debug)]
pub(crate) struct Mount;

const DEFINITION: Definition = Definition {
    id: "mount",
    title: "Mount and unmount",
    what: "A clone of the parent is readied (a loop device attached, a logical volume activated) and mounted at a \
directory; then it is unmounted and its device let go of. Nothing is read or written between. Takes root.",
    rows: &[Row::time("mount", "mount"), Row::time("mount-un", "unmount")],
    rounds: Rounds::All,
};

impl Workload for Mount {
    fn definition(&self) -> &'static Definition {
        &DEFINITION
    }

    fn prepare<'a>(&self, site: &'a Site, tools: &'a Tools) -> Result<Fit<'a>> {
        if !tools.privileged {
            return Ok(Fit::Unfit("mounting takes root".into()));
        }
        Ok(Fit::Ready(Box::new(Mounting { site, at: site.clone("mounted")? })))
    }
}

struct Mounting<'a> {
    site: &'a Site,
    at: Locator,
}

impl Bout for Mounting<'_> {
    fn sample(&mut self, trial: &mut Trial<'_>) -> Result<()> {
        let path = self.site.mount_point();
        let dir = File::open(path).map_err(|e| failed("open", path, e))?;
        let (guard, held) = trial.time("mount", || {
            let ready = self.site.activate(&self.at)?;
            let mount = DetachedMount::build(&ready.plan, None)?;
            Ok((mount.attach(&dir, Path::new(""))?, ready.held))
        })?;
        trial.time("mount-un", || {
            guard.unmount()?;
            held.map_or(Ok(()), Held::release)
        })
    }

    fn finish(&mut self) -> Result<()> {
        self.site.remove(&self.at)
    }
}
