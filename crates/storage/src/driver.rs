//! What a backing store must be able to do.

use std::fmt::Debug;
use std::path::Path;

use hull_mount::Access;
use hull_treecopy::Observer;

use crate::capability::Capabilities;
use crate::error::Result;
use crate::facets::{Blocks, Capacity, CopyOnWrite, Enumerate, Transfer};
use crate::name::{DriverName, Layout, Locator, Resource, TxId};
use crate::placement::Placement;
use crate::volume::{Activation, Usage, VolumeInfo, VolumeSpec};

/// Whether an idempotent act had anything to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was done now.
    Done,
    /// It had been done before.
    AlreadyDone,
}

/// A backing store.
///
/// A driver only names things and does single exclusive or idempotent acts. Locks, the journal, rollback,
/// recovery, error context and the choice of method are the [`crate::Store`]'s, so a driver keeps no state
/// and cannot get crash-safety wrong. `hull-storage-testkit` has the suite that proves one.
///
/// Errors say what was attempted on what, and why it failed; the store adds operation and volume.
pub trait Driver: Debug + Send + Sync {
    /// The name written before the colon in a locator.
    fn name(&self) -> DriverName;

    /// Facts about this store on this host.
    fn capabilities(&self) -> Capabilities;

    /// Fails, with the reason and the remedy, when this store can make no volumes on this machine. Asked before one is
    /// planned: what fails for want of a program could not be undone for want of it either. Cheap.
    fn require_ready(&self) -> Result<()> {
        Ok(())
    }

    // ── Naming: pure, nothing is looked up ──

    /// The layout of a volume made at `to`, cloned from `from` if given. Fails for a place or source this
    /// store cannot use.
    fn new_layout(&self, to: &Placement, from: Option<&Locator>) -> Result<Layout>;

    /// `layout` as it will be once moved to `to`, part by part in the same order.
    fn moved(&self, layout: &Layout, to: &Placement) -> Result<Layout>;

    /// Where an existing volume is, exactly: the place from which staged and doomed names are derived.
    fn placement(&self, at: &Locator) -> Result<Placement>;

    /// `at` as it reads once the directory `from` is called `to`. A locator that does not lie below `from`
    /// stays as it is.
    fn rebased(&self, at: &Locator, from: &Path, to: &Path) -> Result<Locator>;

    // ── Reading ──

    /// The layout of an existing volume. Fails with [`crate::ErrorKind::NotFound`] when there is none, and
    /// with [`crate::ErrorKind::InvalidInput`] when what is there is not a volume of this store.
    fn layout(&self, at: &Locator) -> Result<Layout>;

    /// What is known of a volume without mounting it.
    fn inspect(&self, at: &Locator) -> Result<VolumeInfo>;

    /// Who uses the volume, in words for a message, as far as the store itself can tell (a mount in any mount
    /// namespace); `None` when nobody does or the store cannot tell.
    fn user(&self, at: &Locator) -> Result<Option<String>> {
        let _ = at;
        Ok(None)
    }

    /// The volumes of this store that would be ruined without this one, by what the store itself knows. None of a store
    /// that makes them independent when it removes a volume.
    fn needed_by(&self, at: &Locator) -> Result<Vec<Locator>> {
        let _ = at;
        Ok(Vec::new())
    }

    /// What it occupies. May have to visit every file.
    fn usage(&self, at: &Locator) -> Result<Usage>;

    /// Readies the volume (loop device, activation of a logical volume) and says how to mount it. Nothing
    /// is mounted.
    fn activate(&self, at: &Locator, access: Access) -> Result<Activation>;

    /// As [`Driver::activate`] for writing, of a volume that is being made and need survive the end of this process only:
    /// what is written to it need not have reached a disk when it is unmounted.
    fn activate_unflushed(&self, at: &Locator) -> Result<Activation> {
        self.activate(at, Access::ReadWrite)
    }

    // ── Verbs ──

    /// Makes an empty volume; fails with [`crate::ErrorKind::AlreadyExists`] rather than adopt what is there.
    fn create(&self, at: &Layout, spec: &VolumeSpec, by: TxId) -> Result<()>;

    /// Renames one part atomically. `to` taken: [`crate::ErrorKind::AlreadyExists`] and nothing changes.
    /// `from` gone: already done.
    fn rename(&self, from: &Resource, to: &Resource) -> Result<Outcome>;

    /// Removes one part and all it holds; gone already is success. May be called again after it was
    /// interrupted anywhere. The store passes only parts that are provably `by`'s.
    fn reclaim(&self, what: &Resource, by: TxId) -> Result<Outcome>;

    /// [`Driver::reclaim`] that tells `observer` how far it has come and, told to stop, fails with
    /// [`crate::ErrorKind::Cancelled`]: it is called again later and goes on. By default it does all in one go.
    fn reclaim_observed(&self, what: &Resource, by: TxId, observer: &dyn Observer) -> Result<Outcome> {
        let _ = observer;
        self.reclaim(what, by)
    }

    /// Whether `tx` made or condemned `what`. Drivers that tag at creation, in the same act, override this and set
    /// [`Capabilities::tags_owner`]; of what is not there they say that nobody made it.
    fn made_by(&self, what: &Resource, tx: TxId) -> Result<bool> {
        Ok(what.carries(tx))
    }

    // ── Facets: what a store cannot do is absent, not an error ──

    /// Clones that share blocks with their source.
    fn copy_on_write(&self) -> Option<&dyn CopyOnWrite> {
        None
    }

    /// Sizes or quotas.
    fn capacity(&self) -> Option<&dyn Capacity> {
        None
    }

    /// Copies block by block.
    fn blocks(&self) -> Option<&dyn Blocks> {
        None
    }

    /// Streams in a format of its own.
    fn transfer(&self) -> Option<&dyn Transfer> {
        None
    }

    /// Lists what lies in the store's pool. Volumes that are paths are found where they lie.
    fn enumerate(&self) -> Option<&dyn Enumerate> {
        None
    }
}

/// Where a clone comes from: a volume, and the driver that can read it.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// The driver of [`Source::at`].
    pub driver: &'a dyn Driver,
    /// The volume.
    pub at: &'a Locator,
}
