//! A driver with faults.

use std::path::Path;
use std::sync::Arc;

use hull_mount::Access;
use hull_storage::{
    Activation, BlockImage, Blocks, Bytes, Capabilities, Capacity, CopyOnWrite, Driver, DriverName,
    Enumerate, Error, ErrorKind, Kept, Layout, Listed, Locator, Observer, Offer, Outcome, Placement,
    Resource, Result, Source, StreamFormat, Transfer, TxId, Usage, VolumeInfo, VolumeSpec,
};
use rustix::fd::BorrowedFd;

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

    fn require_ready(&self) -> Result<()> {
        self.faults.look("Driver::require_ready", || self.inner.require_ready())
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

    fn activate_unflushed(&self, at: &Locator) -> Result<Activation> {
        self.faults.look("Driver::activate_unflushed", || self.inner.activate_unflushed(at))
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

    fn reclaim_observed(&self, what: &Resource, by: TxId, observer: &dyn Observer) -> Result<Outcome> {
        self.faults.change("Driver::reclaim", || self.inner.reclaim_observed(what, by, observer))
    }

    fn made_by(&self, what: &Resource, tx: TxId) -> Result<bool> {
        self.faults.look("Driver::made_by", || self.inner.made_by(what, tx))
    }

    fn user(&self, at: &Locator) -> Result<Option<String>> {
        self.faults.look("Driver::user", || self.inner.user(at))
    }

    fn needed_by(&self, at: &Locator) -> Result<Vec<Locator>> {
        self.faults.look("Driver::needed_by", || self.inner.needed_by(at))
    }

    fn copy_on_write(&self) -> Option<&dyn CopyOnWrite> {
        self.inner.copy_on_write().map(|_| self as &dyn CopyOnWrite)
    }

    fn capacity(&self) -> Option<&dyn Capacity> {
        self.inner.capacity().map(|_| self as &dyn Capacity)
    }

    fn blocks(&self) -> Option<&dyn Blocks> {
        self.inner.blocks().map(|_| self as &dyn Blocks)
    }

    fn transfer(&self) -> Option<&dyn Transfer> {
        self.inner.transfer().map(|_| self as &dyn Transfer)
    }

    fn enumerate(&self) -> Option<&dyn Enumerate> {
        self.inner.enumerate().map(|_| self as &dyn Enumerate)
    }
}

/// What is said of a facet that the wrapped driver has not; the wrapper hands out only those that it has.
fn absent() -> Error {
    Error::new(ErrorKind::Unsupported, "the wrapped driver has no such facet")
}

#[deny(clippy::missing_trait_methods)]
impl CopyOnWrite for FaultyDriver {
    fn offer(&self, from: Source<'_>, to: &Placement, access: Access) -> Option<Offer> {
        self.inner.copy_on_write()?.offer(from, to, access)
    }

    fn clone_volume(&self, from: Source<'_>, to: &Layout, access: Access, by: TxId) -> Result<Kept> {
        let facet = self.inner.copy_on_write().ok_or_else(absent)?;
        self.faults.change("CopyOnWrite::clone_volume", || facet.clone_volume(from, to, access, by))
    }

    fn finish_clone(&self, to: &Layout, access: Access, by: TxId) -> Result<()> {
        let facet = self.inner.copy_on_write().ok_or_else(absent)?;
        self.faults.change("CopyOnWrite::finish_clone", || facet.finish_clone(to, access, by))
    }

    fn seal_clone(&self, to: &Layout, access: Access, by: TxId) -> Result<()> {
        let facet = self.inner.copy_on_write().ok_or_else(absent)?;
        self.faults.change("CopyOnWrite::seal_clone", || facet.seal_clone(to, access, by))
    }
}

#[deny(clippy::missing_trait_methods)]
impl Enumerate for FaultyDriver {
    fn list(&self) -> Result<Vec<Listed>> {
        let facet = self.inner.enumerate().ok_or_else(absent)?;
        self.faults.look("Enumerate::list", || facet.list())
    }
}

#[deny(clippy::missing_trait_methods)]
impl Capacity for FaultyDriver {
    fn resize(&self, at: &Locator, to: Option<Bytes>) -> Result<Outcome> {
        let facet = self.inner.capacity().ok_or_else(absent)?;
        self.faults.change("Capacity::resize", || facet.resize(at, to))
    }
}

#[deny(clippy::missing_trait_methods)]
impl Blocks for FaultyDriver {
    fn stable_size(&self, at: &Locator) -> Result<Option<Bytes>> {
        let facet = self.inner.blocks().ok_or_else(absent)?;
        self.faults.look("Blocks::stable_size", || facet.stable_size(at))
    }

    fn create_blocks(&self, at: &Layout, size: Bytes, by: TxId) -> Result<()> {
        let facet = self.inner.blocks().ok_or_else(absent)?;
        self.faults.change("Blocks::create_blocks", || facet.create_blocks(at, size, by))
    }

    fn open_blocks(&self, at: &Locator, access: Access) -> Result<BlockImage> {
        let facet = self.inner.blocks().ok_or_else(absent)?;
        self.faults.look("Blocks::open_blocks", || facet.open_blocks(at, access))
    }

    fn adopt_blocks(&self, at: &Locator) -> Result<()> {
        let facet = self.inner.blocks().ok_or_else(absent)?;
        self.faults.change("Blocks::adopt_blocks", || facet.adopt_blocks(at))
    }

    fn overwrite_unmounted(&self, at: &Locator, dir: &str, name: &str, content: &[u8]) -> Result<bool> {
        let facet = self.inner.blocks().ok_or_else(absent)?;
        self.faults
            .change("Blocks::overwrite_unmounted", || facet.overwrite_unmounted(at, dir, name, content))
    }
}

#[deny(clippy::missing_trait_methods)]
impl Transfer for FaultyDriver {
    fn format(&self) -> StreamFormat {
        self.inner.transfer().map_or(StreamFormat("none"), Transfer::format)
    }

    fn is_incremental(&self) -> bool {
        self.inner.transfer().is_some_and(Transfer::is_incremental)
    }

    fn can_send(&self, at: &Locator) -> bool {
        self.inner.transfer().is_some_and(|facet| facet.can_send(at))
    }

    fn send(&self, at: &Locator, since: Option<&Locator>, to: BorrowedFd<'_>) -> Result<()> {
        let facet = self.inner.transfer().ok_or_else(absent)?;
        self.faults.look("Transfer::send", || facet.send(at, since, to))
    }

    fn receive(
        &self,
        from: BorrowedFd<'_>,
        since: Option<&Locator>,
        to: &Layout,
        access: Access,
        by: TxId,
    ) -> Result<()> {
        let facet = self.inner.transfer().ok_or_else(absent)?;
        self.faults.change("Transfer::receive", || facet.receive(from, since, to, access, by))
    }
}
