//! The driver: every verb is one on a directory.

use std::path::{Path, PathBuf};

use hull_mount::{Access, MountPlan, MountSource};
use hull_storage::files::Found;
use hull_storage::{
    Activation, Capabilities, Capacity, Driver, DriverName, Error, ErrorKind, Layout, Locator, Observer,
    Outcome, Placement, Resource, Result, TxId, Usage, VolumeInfo, VolumeSpec, files, mark, paths,
};

use crate::{NAME, capacity, naming};

/// The store of plain directories.
#[derive(Clone, Copy, Debug)]
pub struct DirDriver;

impl Driver for DirDriver {
    fn name(&self) -> DriverName {
        NAME
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::NONE.standalone(true).anywhere(true).idmapped_mounts(true).unprivileged(true)
    }

    fn new_layout(&self, to: &Placement, _from: Option<&Locator>) -> Result<Layout> {
        Ok(naming::layout_at(to))
    }

    fn moved(&self, _layout: &Layout, to: &Placement) -> Result<Layout> {
        Ok(naming::layout_at(to))
    }

    fn placement(&self, at: &Locator) -> Result<Placement> {
        paths::placement(&paths::absolute(at)?)
    }

    fn rebased(&self, at: &Locator, from: &Path, to: &Path) -> Result<Locator> {
        let new = paths::rebased(&paths::absolute(at)?, from, to);
        Ok(new.map_or_else(|| at.clone(), |path| Locator::new(NAME, path)))
    }

    fn layout(&self, at: &Locator) -> Result<Layout> {
        existing(at).map(naming::layout)
    }

    fn inspect(&self, at: &Locator) -> Result<VolumeInfo> {
        let path = existing(at)?;
        let mut info = VolumeInfo::new(mark::is_set(&path, &mark::inode(&path)?));
        info.size = capacity::limit(&path, at);
        Ok(info)
    }

    fn usage(&self, at: &Locator) -> Result<Usage> {
        let path = existing(at)?;
        let mut usage = files::measure(&path)?;
        capacity::correct(&mut usage, &path, at);
        Ok(usage)
    }

    fn activate(&self, at: &Locator, access: Access) -> Result<Activation> {
        // What the administrator mounted inside belongs to the container, as in LXC.
        let plan = MountPlan::new(MountSource::Tree(existing(at)?), access).option("rbind");
        Ok(Activation::of(plan))
    }

    fn create(&self, at: &Layout, spec: &VolumeSpec, _by: TxId) -> Result<()> {
        let path = paths::absolute(&at.at)?;
        if let (Some(_), Some(dir)) = (spec.size, path.parent()) {
            capacity::require(dir, &at.at)?;
        }
        files::make_dir(&path, 0o755, spec.owner)?;
        mark::set(&path, &mark::inode(&path)?)?;
        if let Some(size) = spec.size {
            capacity::set_limit(&path, &at.at, size)?;
        }
        Ok(())
    }

    fn rename(&self, from: &Resource, to: &Resource) -> Result<Outcome> {
        files::rename(from, to)
    }

    fn reclaim(&self, what: &Resource, _by: TxId) -> Result<Outcome> {
        capacity::forget(what);
        files::reclaim(what, &())
    }

    fn reclaim_observed(&self, what: &Resource, _by: TxId, observer: &dyn Observer) -> Result<Outcome> {
        capacity::forget(what);
        files::reclaim(what, observer)
    }

    fn capacity(&self) -> Option<&dyn Capacity> {
        Some(self)
    }
}

/// The path of a volume that is there.
pub(crate) fn existing(at: &Locator) -> Result<PathBuf> {
    let path = paths::absolute(at)?;
    match files::find(&path)? {
        Found::Directory => Ok(path),
        Found::Other => {
            Err(Error::new(ErrorKind::InvalidInput, format!("{} is not a directory", path.display())))
        }
        Found::Nothing => {
            Err(Error::new(ErrorKind::NotFound, format!("there is no directory {}", path.display())))
        }
    }
}
