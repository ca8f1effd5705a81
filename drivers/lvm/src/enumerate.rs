//! Looking through a group: what Hull made in it, by its tag, and what transactions named.

use hull_storage::{Enumerate, ErrorKind, Listed, Result};

use crate::naming::Name;
use crate::report::Volume;
use crate::{LvmDriver, tool};

impl Enumerate for LvmDriver {
    /// Lists the group of the settings; others are not known to be anybody's. Where there is no such group, or no program
    /// of LVM that could have made anything in it, there is nothing.
    fn list(&self) -> Result<Vec<Listed>> {
        if !self.runner.has(tool::LVM) {
            return Ok(Vec::new());
        }
        match self.group(self.vg(), tool::ALL) {
            Ok(group) => {
                let public = group.volumes.iter().filter(|volume| volume.is_public());
                Ok(public.filter_map(|volume| self.listed(volume)).collect())
            }
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(Vec::new()),
            Err(e) => Err(e),
        }
    }
}

impl LvmDriver {
    fn listed(&self, volume: &Volume) -> Option<Listed> {
        let mut parts = Name { vg: self.vg().into(), lv: volume.name.clone() }.layout();
        let what = parts.parts.pop()?;
        // What others made and Hull is deleting has no tag, but a name by which it can be told.
        let by = what.stamped().map(|(_, by)| by);
        let known = volume.is_ours() || by.is_some();
        known.then(|| Listed { what, at: by.is_none().then_some(parts.at), by, size: Some(volume.own) })
    }
}
