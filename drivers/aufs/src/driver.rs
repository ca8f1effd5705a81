//! The driver: a volume is a chain of layers, of which it owns the upper one.

use std::path::Path;

use hull_mount::{Access, MountPlan, MountSource, Union, UpperDir};
use hull_storage::{
    Activation, Capabilities, CopyOnWrite, Driver, DriverName, Layout, Locator, Observer, Outcome, Placement,
    Resource, Result, TxId, Usage, VolumeInfo, VolumeSpec, files, mark, paths,
};
use hull_unionfs::Chain;

use crate::{NAME, STORE, kernel, naming, xino};

/// The store of aufs volumes.
#[derive(Clone, Copy, Debug)]
pub struct AufsDriver;

impl Driver for AufsDriver {
    fn name(&self) -> DriverName {
        NAME
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::NONE.unprivileged(kernel::lets_users_mount())
    }

    fn new_layout(&self, to: &Placement, from: Option<&Locator>) -> Result<Layout> {
        let lower = STORE.lower_for(from.ok_or_else(|| STORE.never_alone())?)?;
        let layout = naming::layout_at(to, lower);
        STORE.require_apart(&Chain::read(&layout.at)?)?;
        Ok(layout)
    }

    fn moved(&self, layout: &Layout, to: &Placement) -> Result<Layout> {
        Ok(naming::layout_at(to, Chain::read(&layout.at)?.lower))
    }

    fn placement(&self, at: &Locator) -> Result<Placement> {
        paths::placement(&Chain::read(at)?.upper)
    }

    fn rebased(&self, at: &Locator, from: &Path, to: &Path) -> Result<Locator> {
        STORE.rebased(at, from, to)
    }

    fn layout(&self, at: &Locator) -> Result<Layout> {
        let parts = vec![Resource::new(NAME, STORE.existing(at)?.upper)];
        Ok(Layout { at: at.clone(), parts })
    }

    fn inspect(&self, at: &Locator) -> Result<VolumeInfo> {
        let chain = STORE.existing(at)?;
        let upper = chain.upper.clone();
        let ours = mark::is_set(&upper, &mark::inode(&upper)?);
        Ok(STORE.info(chain, Some(&upper), ours))
    }

    fn usage(&self, at: &Locator) -> Result<Usage> {
        files::measure(&STORE.existing(at)?.upper)
    }

    fn activate(&self, at: &Locator, access: Access) -> Result<Activation> {
        let Chain { mut lower, upper } = STORE.existing(at)?;
        STORE.limit_depth(&lower)?;
        STORE.require_lower(at, &lower)?;
        if access == Access::ReadWrite && STORE.access_to(&upper) == Access::ReadOnly {
            return Err(STORE.read_only(at));
        }
        let xino = xino::place(&upper, access)?;
        let upper = match access {
            Access::ReadWrite => Some(UpperDir { upper, work: None }),
            // As one more branch that is only read nothing is written to it, and a volume that is in use may be read.
            Access::ReadOnly => {
                lower.insert(0, upper);
                None
            }
        };
        // Without it aufs lists ACLs, and neither shows nor obeys them.
        let source = MountSource::Union { flavour: Union::Aufs, lower, upper };
        let plan = MountPlan::new(source, access).option("acl");
        Ok(Activation::of(match xino {
            Some(file) => plan.option(format!("xino={}", file.display())),
            None => plan,
        }))
    }

    fn create(&self, _at: &Layout, _spec: &VolumeSpec, _by: TxId) -> Result<()> {
        Err(STORE.never_alone())
    }

    fn rename(&self, from: &Resource, to: &Resource) -> Result<Outcome> {
        files::rename(from, to)
    }

    fn reclaim(&self, what: &Resource, _by: TxId) -> Result<Outcome> {
        files::reclaim(what, &())
    }

    fn reclaim_observed(&self, what: &Resource, _by: TxId, observer: &dyn Observer) -> Result<Outcome> {
        files::reclaim(what, observer)
    }

    fn copy_on_write(&self) -> Option<&dyn CopyOnWrite> {
        Some(self)
    }
}
