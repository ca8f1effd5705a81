//! The driver: a volume is a chain of layers, of which it owns the upper one.

use std::path::Path;

use hull_mount::{Access, MountPlan, MountSource, Union, UpperDir};
use hull_storage::{
    Activation, Capabilities, CopyOnWrite, Driver, DriverName, Layout, Locator, Observer, Outcome, Placement,
    Resource, Result, TxId, Usage, VolumeInfo, VolumeSpec, files, mark, paths,
};
use hull_unionfs::Chain;

use crate::{NAME, STORE, naming, upper};

/// The store of overlays.
#[derive(Clone, Copy, Debug)]
pub struct OverlayDriver;

impl Driver for OverlayDriver {
    fn name(&self) -> DriverName {
        NAME
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::NONE.idmapped_mounts(true).unprivileged(true)
    }

    fn new_layout(&self, to: &Placement, from: Option<&Locator>) -> Result<Layout> {
        let lower = STORE.lower_for(from.ok_or_else(|| STORE.never_alone())?)?;
        let layout = naming::layout_at(to, lower);
        STORE.require_apart(&Chain::read(&layout.at)?)?;
        Ok(layout)
    }

    fn moved(&self, layout: &Layout, to: &Placement) -> Result<Layout> {
        naming::moved(layout, to)
    }

    fn placement(&self, at: &Locator) -> Result<Placement> {
        let upper = Chain::read(at)?.upper;
        paths::placement(upper::sole_owner(&upper).unwrap_or(&upper))
    }

    fn rebased(&self, at: &Locator, from: &Path, to: &Path) -> Result<Locator> {
        STORE.rebased(at, from, to)
    }

    fn layout(&self, at: &Locator) -> Result<Layout> {
        let Chain { upper, .. } = STORE.existing(at)?;
        let parts = match upper::sole_owner(&upper) {
            Some(part) => vec![part.to_path_buf()],
            None => {
                let work = naming::work_candidates(&upper).into_iter().find(|work| files::is_dir(work));
                std::iter::once(upper).chain(work).collect()
            }
        };
        let parts = parts.into_iter().map(|path| Resource::new(NAME, path)).collect();
        Ok(Layout { at: at.clone(), parts })
    }

    fn inspect(&self, at: &Locator) -> Result<VolumeInfo> {
        let chain = STORE.existing(at)?;
        let part = upper::sole_owner(&chain.upper);
        let ours = match part {
            Some(part) => mark::is_set(part, &mark::inode(part)?),
            None => false,
        };
        Ok(STORE.info(chain.clone(), part, ours))
    }

    fn usage(&self, at: &Locator) -> Result<Usage> {
        files::measure(&STORE.existing(at)?.upper)
    }

    fn activate(&self, at: &Locator, access: Access) -> Result<Activation> {
        let Chain { mut lower, upper } = STORE.existing(at)?;
        STORE.limit_depth(&lower)?;
        STORE.require_lower(at, &lower)?;
        let upper = match access {
            Access::ReadWrite => {
                if naming::part_of(&upper).is_some_and(|part| STORE.access_to(part) == Access::ReadOnly) {
                    return Err(STORE.read_only(at));
                }
                let work = upper::work(&upper)?;
                Some(UpperDir { upper, work: Some(work) })
            }
            // As one more lower layer it needs no work directory, and a volume that is in use may be read.
            Access::ReadOnly => {
                lower.insert(0, upper);
                None
            }
        };
        let plan = MountPlan::new(MountSource::Union { flavour: Union::Overlay, lower, upper }, access);
        Ok(Activation::of(if upper::needs_userxattr() { plan.option("userxattr") } else { plan }))
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
