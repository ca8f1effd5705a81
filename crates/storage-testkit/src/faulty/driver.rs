//! A driver with faults.

use std::path::Path;
use std::sync::Arc;

use hull_mount::Access;
use hull_storage::{
    Activation, Capabilities, CopyOnWrite, Driver, DriverName, Error, ErrorKind, Layout, Locator, Offer,
    Outcome, Placement, Resource, Result, Source, TxId, Usage, VolumeInfo, VolumeSpec,
};

use super::Faults;

/// A driver with its facets, and faults.
#[derive(Clone, Debug)]
pub struct FaultyDriver {
    inner: Arc<dyn Driver>,
    faults: Faults,
}

impl FaultyDriver {
    /// `inner` with `faults`.
    pub fn new(inner: Arc<dyn Driver>, faults: Faults) -> Self {
        Self { inner, faults }
    }
}

#[deny(clippy::missing_trait_methods)]
impl Driver for FaultyDriver {
    fn name(&self) -> DriverName {
        self.inner.name()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn new_layout(&self, to: &Placement, from: Option<&Locator>) -> Result<Layout> {
        self.inner.new_layout(to, from)
    }

    fn moved(&self, layout: &Layout, to: &Placement) -> Result<Layout> {
        self.inner.moved(layout, to)
    }

    fn placement(&self, at: &Locator) -> Result<Placement> {
        self.inner.placement(at)
    }

    fn rebased(&self, at: &Locator, from: &Path, to: &Path) -> Result<Locator> {
        self.inner.rebased(at, from, to)
    }

    fn layout(&self, at: &Locator) -> Result<Layout> {
        self.faults.look("Driver::layout", || self.inner.layout(at))
    }

    fn inspect(&self, at: &Locator) -> Result<VolumeInfo> {
        self.faults.look("Driver::inspect", || self.inner.inspect(at))
    }

    fn usage(&self, at: &Locator) -> Result<Usage> {
        self.faults.look("Driver::usage", || self.inner.usage(at))
    }

    fn activate(&self, at: &Locator, access: Access) -> Result<Activation> {
        self.faults.look("Driver::activate", || self.inner.activate(at, access))
    }

    fn create(&self, at: &Layout, spec: &VolumeSpec, by: TxId) -> Result<()> {
        self.faults.change("Driver::create", || self.inner.create(at, spec, by))
    }

    fn rename(&self, from: &Resource, to: &Resource) -> Result<Outcome> {
        self.faults.change("Driver::rename", || self.inner.rename(from, to))
    }

    fn reclaim(&self, what: &Resource, by: TxId) -> Result<Outcome> {
        self.faults.change("Driver::reclaim", || self.inner.reclaim(what, by))
    }

    fn made_by(&self, what: &Resource, tx: TxId) -> Result<bool> {
        self.faults.look("Driver::made_by", || self.inner.made_by(what, tx))
    }

    fn copy_on_write(&self) -> Option<&dyn CopyOnWrite> {
        self.inner.copy_on_write().map(|_| self as &dyn CopyOnWrite)
    }
}

#[deny(clippy::missing_trait_methods)]
impl CopyOnWrite for FaultyDriver {
    fn offer(&self, from: Source<'_>, to: &Placement, access: Access) -> Option<Offer> {
        self.inner.copy_on_write()?.offer(from, to, access)
    }

    fn clone_volume(&self, from: Source<'_>, to: &Layout, access: Access, by: TxId) -> Result<()> {
        let absent = || Error::new(ErrorKind::Unsupported, "the wrapped driver makes no clones");
        let facet = self.inner.copy_on_write().ok_or_else(absent)?;
        self.faults.change("CopyOnWrite::clone_volume", || facet.clone_volume(from, to, access, by))
    }
}
