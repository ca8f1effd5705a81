//! Sizes: the volume grows before its file system does, and shrinks after it.

use hull_mount::Access;
use hull_storage::{Bytes, Capacity, Error, ErrorKind, Locator, Outcome, Result};

use crate::LvmDriver;
use crate::naming::Name;
use crate::tool::{self, Kind};
use crate::volumes::no_space;

impl Capacity for LvmDriver {
    /// A volume that grows may be mounted; one that shrinks must not be. LVM rounds up to its extents.
    fn resize(&self, at: &Locator, to: Option<Bytes>) -> Result<Outcome> {
        let name = Name::of(at)?;
        let unsupported = |text: String| Error::new(ErrorKind::Unsupported, text);
        let wanted =
            to.ok_or_else(|| unsupported(format!("{at} is a device, which always has a size: name one")))?;
        let device = self.active(&name)?;
        let makeup = device.makeup();
        if makeup.thick_snapshot {
            return Err(unsupported(format!(
                "{at} is a thick snapshot, whose size is its origin's: make a copy of it and resize that"
            )));
        }
        if makeup.thick_origin {
            // LVM resizes no origin that is active.
            self.require_no_snapshots(&name)?;
        }
        if device.access() == Access::ReadOnly {
            let text = format!("{at} is a read-only snapshot: make a clone of it and resize that");
            return Err(Error::new(ErrorKind::PermissionDenied, text));
        }
        let group = self.group(&name.vg, &tool::with_pools(&[&name.lv]))?;
        let (now, wanted) = (device.size()?, group.rounded(wanted));
        if wanted < now {
            if device.is_held()? {
                let text = format!("{at} is mounted, and can only grow while it is: end that first");
                return Err(Error::new(ErrorKind::InUse, text));
            }
            hull_blockfs::shrink(&*self.runner, &device.path, wanted)?;
            self.runner.run(&tool::reduce(&name, wanted))?;
            return Ok(Outcome::Done);
        }
        if wanted > now {
            let pool = group.volume(&name.lv).and_then(|volume| volume.pool.clone());
            let (kind, more) = match pool {
                Some(pool) => (Kind::Thin { pool }, wanted),
                None => (Kind::Thick, Bytes(wanted.0 - now.0)),
            };
            if let Some(full) = no_space(&group, &name, &kind, more) {
                return Err(full);
            }
            self.runner.run(&tool::extend(&name, wanted))?;
        }
        // Also when nothing is to be done: a process that died may have come only so far.
        hull_blockfs::grow(&*self.runner, &device.path)?;
        Ok(if wanted > now { Outcome::Done } else { Outcome::AlreadyDone })
    }
}
