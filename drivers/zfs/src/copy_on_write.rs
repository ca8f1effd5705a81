//! Clones and snapshots: clones of a snapshot that goes with the last of them.

use hull_mount::Access;
use hull_storage::{
    CopyOnWrite, Cost, Driver, ErrorKind, Kept, Layout, Mark, Offer, Placement, Result, Source, Tie, TxId,
};

use crate::backend::{Asked, Backend, Property, When};
use crate::driver::taken;
use crate::transfer::UNCHANGED;
use crate::{NAME, ZfsDriver, naming};

impl CopyOnWrite for ZfsDriver {
    /// Clones datasets of the pool that will hold the clone. The two depend on each other as long as both are there,
    /// so a plain copy is none; but either can be destroyed first.
    fn offer(&self, from: Source<'_>, to: &Placement, _access: Access) -> Option<Offer> {
        if from.at.driver() != NAME {
            return None;
        }
        let source = self.dataset(from.at).ok()?;
        let target = self.new_layout(to, Some(from.at)).ok()?;
        let there = naming::named(&target.at).ok()??;
        (naming::pool(&source) == naming::pool(there)).then_some(Offer {
            cost: Cost::Constant,
            tie: Tie::Enforced,
            lies_over: false,
        })
    }

    fn clone_volume(&self, from: Source<'_>, to: &Layout, access: Access, by: TxId) -> Result<Kept> {
        let (source, found) = self.existing(from.at, Asked::Size)?;
        let (name, backend) = (self.dataset(&to.at)?, self.backend()?);
        let mut properties = self.properties(&name, access, by)?;
        properties.extend(found.size.map(Property::size));
        let planned = naming::snapshot_in(to);
        let origin = planned.map_or_else(
            || {
                let leaf = name.rsplit('/').next().unwrap_or(&name);
                naming::origin(&source, leaf, &Mark::New.stamp(by))
            },
            str::to_owned,
        );
        backend.snapshot(&origin).map_err(|e| taken(e, &origin))?;
        if let Err(e) = clone_of(backend, &origin, &name, &mut properties) {
            // Should this fail, too, the transaction removes it.
            let _ = backend.destroy_snapshot(&origin, When::Now);
            return Err(taken(e, &name));
        }
        match access {
            Access::ReadOnly => backend.leave_to_clone(&origin, Some(&format!("{name}@{UNCHANGED}")))?,
            Access::ReadWrite if planned.is_none() => backend.leave_to_clone(&origin, None)?,
            Access::ReadWrite => {}
        }
        Ok(None)
    }

    /// Leaves the snapshot to the clone. Like every act it waits for the pool; unmounting a clone that has been written to
    /// does, too, and then no longer.
    fn seal_clone(&self, to: &Layout, access: Access, _by: TxId) -> Result<()> {
        match (naming::snapshot_in(to), access) {
            (Some(origin), Access::ReadWrite) => self.backend()?.leave_to_clone(origin, None),
            _ => Ok(()),
        }
    }
}

/// Clones with `properties`. A volume may hold a little more than its limit, which zfs looks at once in a while only,
/// and takes no limit for the clone that is below what the clone holds from the start: then that is the limit.
fn clone_of(backend: &dyn Backend, origin: &str, name: &str, properties: &mut [Property]) -> Result<()> {
    let failed = match backend.clone_of(origin, name, properties) {
        Err(e) if e.kind() == ErrorKind::NoSpace => e,
        done => return done,
    };
    let Some(limit) = properties.iter_mut().find(|p| p.name == Property::size(0).name) else {
        return Err(failed);
    };
    let holds = match backend.look(origin, Asked::All)? {
        Some(snapshot) if Some(snapshot.referenced) > limit.number => snapshot.referenced,
        _ => return Err(failed),
    };
    *limit = Property::size(holds);
    backend.clone_of(origin, name, properties)
}
