//! A host with faults.

use std::path::Path;

use hull_storage::{
    Activation, BlockImage, Draft, Durability, Host, Observer, Outcome, Resource, Result, Step, TxId,
};
use rustix::fd::BorrowedFd;

use super::Faults;

/// A host with faults.
#[derive(Debug)]
pub struct FaultyHost {
    inner: Box<dyn Host>,
    faults: Faults,
}

impl FaultyHost {
    /// `inner` with `faults`.
    pub fn new(inner: Box<dyn Host>, faults: Faults) -> Self {
        Self { inner, faults }
    }
}

#[deny(clippy::missing_trait_methods)]
impl Host for FaultyHost {
    fn make_home(&self, home: &Path, mode: u32, owner: Option<(u32, u32)>, by: TxId) -> Result<()> {
        self.faults.change("Host::make_home", || self.inner.make_home(home, mode, owner, by))
    }

    fn unmake_home(&self, home: &Path, by: TxId) -> Result<()> {
        self.faults.change("Host::unmake_home", || self.inner.unmake_home(home, by))
    }

    fn finish_home(&self, home: &Path, by: TxId) -> Result<()> {
        self.faults.change("Host::finish_home", || self.inner.finish_home(home, by))
    }

    fn rename_home(&self, from: &Resource, to: &Resource) -> Result<Outcome> {
        self.faults.change("Host::rename_home", || self.inner.rename_home(from, to))
    }

    fn reclaim_home(&self, what: &Resource, observer: &dyn Observer) -> Result<Outcome> {
        self.faults.change("Host::reclaim_home", || self.inner.reclaim_home(what, observer))
    }

    fn write(&self, file: &Path, content: Option<&[u8]>, mode: u32, by: TxId) -> Result<()> {
        self.faults.change("Host::write", || self.inner.write(file, content, mode, by))
    }

    fn fill(&self, from: &Activation, to: &Activation) -> Result<()> {
        self.faults.change("Host::fill", || self.inner.fill(from, to))
    }

    fn draft(&self, from: &Activation, to: &Activation) -> Result<Draft> {
        self.faults.change("Host::draft", || self.inner.draft(from, to))
    }

    fn catch_up(&self, from: &Activation, to: &Activation, draft: &Draft) -> Result<()> {
        self.faults.change("Host::catch_up", || self.inner.catch_up(from, to, draft))
    }

    fn fill_blocks(&self, from: &BlockImage, to: &BlockImage) -> Result<()> {
        self.faults.change("Host::fill_blocks", || self.inner.fill_blocks(from, to))
    }

    fn carry(&self, from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> Result<()> {
        self.faults.change("Host::carry", || self.inner.carry(from, to))
    }

    fn patch(&self, volume: &Activation, dir: &str, name: &str, content: &[u8]) -> Result<()> {
        self.faults.change("Host::patch", || self.inner.patch(volume, dir, name, content))
    }

    fn durability(&self) -> Durability {
        self.inner.durability()
    }

    fn persist_volume(&self, ready: &dyn Fn() -> Result<Activation>) -> Result<()> {
        self.faults.look("Host::persist_volume", || self.inner.persist_volume(ready))
    }

    fn persist(&self, step: &Step) -> Result<()> {
        self.faults.look("Host::persist", || self.inner.persist(step))
    }
}
