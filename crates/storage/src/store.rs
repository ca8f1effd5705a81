//! What users hold: drivers made crash-safe.

use std::fmt;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};

use hull_mount::Access;

use crate::capability::Tie;
use crate::choose::{CloneMode, Method, choose};
use crate::driver::{Driver, Outcome, Source};
use crate::error::{Error, ErrorKind, Result};
use crate::host::Host;
use crate::journal::{Durability, Journal, Record};
use crate::lock::{Kind, VolumeLocks};
use crate::name::{DriverName, Locator, TxId};
use crate::placement::Placement;
use crate::plan::{Content, Plan};
use crate::reclaim::Reclaim;
use crate::volume::{Activation, Bytes, Usage, VolumeInfo, VolumeSpec};

/// Drivers made crash-safe: every operation happens wholly or not at all, whenever the process dies.
///
/// Operations on single volumes lock what they touch and carry out a plan; each has a `plan_…` twin that
/// decides without doing (`--dry-run`). Owners of volumes (the container core) compose several plans into one
/// [`Store::transact`].
pub struct Store {
    drivers: Vec<Arc<dyn Driver>>,
    journal: Box<dyn Journal>,
    host: Box<dyn Host>,
    locks: VolumeLocks,
    leftovers: Mutex<Vec<Error>>,
    pub(crate) reclaim: Reclaim,
    /// Whether something waits to be deleted that nobody is deleting.
    pub(crate) pending: AtomicBool,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("drivers", &self.drivers).finish_non_exhaustive()
    }
}

/// What [`Store::recover`] did.
#[derive(Debug, Default)]
pub struct Recovered {
    /// Operations that were finished or undone, by name.
    pub settled: Vec<String>,
    /// What could not be settled; its record stays.
    pub failed: Vec<Error>,
}

/// A new volume, decided.
#[derive(Debug)]
pub struct NewVolume {
    /// Where it will be.
    pub at: Locator,
    /// How it gets its content; `None` for an empty one.
    pub method: Option<Method>,
    /// What will happen.
    pub plan: Plan,
}

impl Store {
    /// A store of `drivers`, in order of preference.
    pub fn new(
        drivers: Vec<Arc<dyn Driver>>,
        journal: Box<dyn Journal>,
        host: Box<dyn Host>,
        locks: VolumeLocks,
    ) -> Self {
        Self {
            drivers,
            journal,
            host,
            locks,
            leftovers: Mutex::default(),
            reclaim: Reclaim::Now,
            pending: AtomicBool::new(false),
        }
    }

    /// The driver called `name`.
    pub fn driver(&self, name: DriverName) -> Result<&dyn Driver> {
        self.drivers.iter().map(|d| &**d).find(|d| d.name() == name).ok_or_else(|| {
            Error::new(ErrorKind::Unsupported, format!("this build has no driver for the store {name}"))
        })
    }

    /// Chooses a driver and a method for a volume at `to` made of `from`.
    ///
    /// Without `into`, the source's own driver is asked first, then the others in order: the first that can
    /// clone, or that can keep a copy on any file system.
    pub fn method(
        &self,
        from: &Locator,
        into: Option<DriverName>,
        to: &Placement,
        mode: CloneMode,
        access: Access,
    ) -> Result<(&dyn Driver, Method)> {
        let source = Source { driver: self.driver(from.driver())?, at: from };
        if let Some(name) = into {
            let driver = self.driver(name)?;
            return choose(source, driver, to, mode, access).map(|method| (driver, method));
        }
        let own = self.driver(from.driver())?;
        let refused = match choose(source, own, to, mode, access) {
            Ok(method) => return Ok((own, method)),
            Err(e) => e,
        };
        for driver in self.drivers.iter().map(|d| &**d).filter(|d| d.name() != from.driver()) {
            match choose(source, driver, to, mode, access) {
                Ok(method @ Method::Clone(_)) => return Ok((driver, method)),
                Ok(copy) if driver.capabilities().anywhere => return Ok((driver, copy)),
                Ok(_) | Err(_) => {}
            }
        }
        Err(refused)
    }

    // ── Operations on single volumes ──

    /// Makes an empty volume at `to`.
    pub fn create(&self, driver: DriverName, to: &Placement, spec: &VolumeSpec) -> Result<Locator> {
        let at = self.plan_create(driver, to, spec, TxId(0))?.at;
        let _locks = self.locks.hold([(&at, Kind::Exclusive)])?;
        self.transact("create", |tx| {
            let new = self.plan_create(driver, to, spec, tx.id())?;
            tx.perform(new.plan)?;
            Ok(new.at)
        })
    }

    /// Decides [`Store::create`].
    pub fn plan_create(
        &self,
        driver: DriverName,
        to: &Placement,
        spec: &VolumeSpec,
        tx: TxId,
    ) -> Result<NewVolume> {
        let mut plan = Plan::default();
        let at = plan.make(self.driver(driver)?, to, Content::Empty(spec), tx)?;
        Ok(NewVolume { at, method: None, plan })
    }

    /// Makes a volume at `to` with the content of `from`: a clone or copy, or (read-only) a snapshot.
    pub fn clone_volume(
        &self,
        from: &Locator,
        into: Option<DriverName>,
        to: &Placement,
        mode: CloneMode,
        access: Access,
    ) -> Result<NewVolume> {
        let at = self.plan_clone(from, into, to, mode, access, TxId(0))?.at;
        let _locks = self.locks.hold([(from, Kind::Shared), (&at, Kind::Exclusive)])?;
        self.transact("clone", |tx| {
            let mut new = self.plan_clone(from, into, to, mode, access, tx.id())?;
            tx.perform(std::mem::take(&mut new.plan))?;
            Ok(new)
        })
    }

    /// Decides [`Store::clone_volume`].
    pub fn plan_clone(
        &self,
        from: &Locator,
        into: Option<DriverName>,
        to: &Placement,
        mode: CloneMode,
        access: Access,
        tx: TxId,
    ) -> Result<NewVolume> {
        // A source that is not there must not become a half-made clone.
        self.driver(from.driver())?.layout(from)?;
        let chosen = self.method(from, into, to, mode, access);
        if chosen.is_err() {
            // No store offers a clone of what somebody destroyed just now: then that is what to say.
            self.driver(from.driver())?.layout(from)?;
        }
        let (driver, method) = chosen?;
        let mut plan = Plan::default();
        let source = Source { driver: self.driver(from.driver())?, at: from };
        let at = plan.make(driver, to, Content::Of { from: source, method, access }, tx)?;
        Ok(NewVolume { at, method: Some(method), plan })
    }

    /// Puts a writable clone of `snapshot` where `current` is; `current` goes only once the clone is in place.
    pub fn restore(&self, snapshot: &Locator, current: &Locator) -> Result<NewVolume> {
        let _locks = self.locks.hold([(snapshot, Kind::Shared), (current, Kind::Exclusive)])?;
        self.transact("restore", |tx| {
            let mut new = self.plan_restore(snapshot, current, tx.id())?;
            let limit = self.limit(current)?;
            tx.perform(std::mem::take(&mut new.plan))?;
            self.limit_again(&new.at, limit)?;
            Ok(new)
        })
    }

    /// The limit on what a volume may hold; `None` for one without, and for devices, whose size is their own.
    pub fn limit(&self, at: &Locator) -> Result<Option<Bytes>> {
        let driver = self.driver(at.driver())?;
        match driver.capacity() {
            Some(_) if !driver.capabilities().block_backed => Ok(driver.inspect(at)?.size),
            _ => Ok(None),
        }
    }

    /// Gives the volume that came in the place of another that one's [`Store::limit`]: a snapshot has its own, or
    /// none. To be called before the transaction commits.
    pub fn limit_again(&self, at: &Locator, limit: Option<Bytes>) -> Result<()> {
        let facet = self.driver(at.driver())?.capacity();
        match (limit, facet) {
            (Some(limit), Some(facet)) => facet.resize(at, Some(limit)).map(drop),
            _ => Ok(()),
        }
    }

    /// Decides [`Store::restore`].
    pub fn plan_restore(&self, snapshot: &Locator, current: &Locator, tx: TxId) -> Result<NewVolume> {
        self.driver(snapshot.driver())?.layout(snapshot)?;
        self.require_unmounted(current)?;
        let owner = self.driver(current.driver())?;
        let place = owner.placement(current)?;
        let mode = CloneMode::SnapshotElseCopy;
        let (mut driver, mut method) =
            self.method(snapshot, Some(current.driver()), &place, mode, Access::ReadWrite)?;
        let tied = matches!(method, Method::Clone(offer) if offer.tie == Tie::Unguarded);
        if tied && self.driver(snapshot.driver())?.capabilities().standalone {
            // What is restored must not hang on the snapshot it came from, which may be deleted next.
            (driver, method) = self.method(snapshot, None, &place, CloneMode::Copy, Access::ReadWrite)?;
        }
        let source = Source { driver: self.driver(snapshot.driver())?, at: snapshot };
        let content = Content::Of { from: source, method, access: Access::ReadWrite };
        let mut plan = Plan::default();
        // The moves of the clone come after the one that frees its name.
        let mut made = Plan::default();
        let at = made.make_aside(driver, &place, content, tx)?;
        if driver.name() == owner.name()
            && let Some(limit) = self.limit(current)?
        {
            made.limit_new(limit);
        }
        let first_move = made
            .steps
            .iter()
            .position(|s| matches!(s, crate::plan::Step::Move { .. }))
            .unwrap_or(made.steps.len());
        let moves = made.steps.split_off(first_move);
        plan.steps.append(&mut made.steps);
        plan.doomed.append(&mut made.doomed);
        plan.doom_volume(owner, current, tx)?;
        plan.steps.extend(moves);
        Ok(NewVolume { at, method: Some(method), plan })
    }

    /// Moves the volume `at` to `to`, in its store.
    pub fn rename(&self, at: &Locator, to: &Placement) -> Result<Locator> {
        let target = self.plan_rename(at, to)?.at;
        let _locks = self.locks.hold([(at, Kind::Exclusive), (&target, Kind::Exclusive)])?;
        self.transact("rename", |tx| {
            let new = self.plan_rename(at, to)?;
            tx.perform(new.plan)?;
            Ok(new.at)
        })
    }

    /// Decides [`Store::rename`].
    pub fn plan_rename(&self, at: &Locator, to: &Placement) -> Result<NewVolume> {
        let driver = self.driver(at.driver())?;
        let mut plan = Plan::default();
        let at = plan.rename_volume(driver, &driver.layout(at)?, to)?;
        Ok(NewVolume { at, method: None, plan })
    }

    /// Deletes the volume `at`.
    pub fn destroy(&self, at: &Locator) -> Result<()> {
        let _locks = self.locks.hold([(at, Kind::Exclusive)])?;
        self.transact("destroy", |tx| tx.perform(self.plan_destroy(at, tx.id())?))
    }

    /// Decides [`Store::destroy`]. Fails with [`ErrorKind::InUse`] when this process sees the volume mounted.
    pub fn plan_destroy(&self, at: &Locator, tx: TxId) -> Result<Plan> {
        self.require_unmounted(at)?;
        let mut plan = Plan::default();
        plan.doom_volume(self.driver(at.driver())?, at, tx)?;
        Ok(plan)
    }

    /// Refuses to touch what somebody looks at. What other mount namespaces show cannot be seen, but for unions that
    /// tell everybody what they are made of; containers are asked by their sockets.
    fn require_unmounted(&self, at: &Locator) -> Result<()> {
        let driver = self.driver(at.driver())?;
        let layout = driver.layout(at)?;
        // Without a mount table nothing can be said, and nothing is mounted that could be unmounted.
        let table = hull_mount::table::read().unwrap_or_default();
        let paths = layout.parts.iter().map(crate::name::Resource::path).filter(|p| p.is_absolute());
        for path in paths {
            // The table names no symlinks.
            let path = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
            if let Some(user) = hull_mount::table::user_of(&table, &path) {
                let text = format!("{at} is mounted at {}: unmount it first", user.point.display());
                return Err(Error::new(ErrorKind::InUse, text));
            }
            if is_layer(&path) {
                let text =
                    format!("{at} is a layer of what is mounted somewhere: stop whatever uses it first");
                return Err(Error::new(ErrorKind::InUse, text));
            }
        }
        Ok(())
    }

    /// Makes the volume `at` so large; `None` lifts its limit.
    pub fn resize(&self, at: &Locator, to: Option<Bytes>) -> Result<Outcome> {
        let _locks = self.locks.hold([(at, Kind::Exclusive)])?;
        let driver = self.driver(at.driver())?;
        driver.layout(at)?;
        let facet = driver.capacity().ok_or_else(|| {
            let text = format!("volumes of the store {} have neither sizes nor limits", driver.name());
            Error::new(ErrorKind::Unsupported, text)
        })?;
        facet.resize(at, to).map_err(|e| e.during("resize"))
    }

    /// Returns once what its owner has written to the volume would survive what the journal is meant to survive: what
    /// fills a volume between two steps of a transaction is not noted in it.
    pub fn persist(&self, at: &Locator) -> Result<()> {
        self.host.persist_volume(&|| self.driver(at.driver())?.activate(at, Access::ReadWrite))
    }

    // ── Looking ──

    /// What is known of a volume.
    pub fn inspect(&self, at: &Locator) -> Result<VolumeInfo> {
        self.driver(at.driver())?.inspect(at).map_err(|e| e.during("inspect"))
    }

    /// What a volume occupies.
    pub fn usage(&self, at: &Locator) -> Result<Usage> {
        self.driver(at.driver())?.usage(at).map_err(|e| e.during("usage"))
    }

    /// Readies a volume for mounting.
    pub fn activate(&self, at: &Locator, access: Access) -> Result<Activation> {
        self.driver(at.driver())?.activate(at, access).map_err(|e| e.during("activate"))
    }

    /// Readies a volume that is being made for mounting, to be written to. It survives what the journal is meant to survive
    /// once [`Store::persist`] has returned, and not just by being unmounted.
    pub fn activate_to_fill(&self, at: &Locator) -> Result<Activation> {
        let driver = self.driver(at.driver())?;
        let ready = match self.host.durability() {
            Durability::Crash => driver.activate_unflushed(at),
            Durability::Power => driver.activate(at, Access::ReadWrite),
        };
        ready.map_err(|e| e.during("activate"))
    }

    /// Overwrites the small file `dir/name` of a volume that a transaction is making, without mounting it; a volume without
    /// that file stays as it is. `false` where it has to be mounted for that: then nothing was changed.
    pub fn overwrite_unmounted(&self, at: &Locator, dir: &str, name: &str, content: &[u8]) -> Result<bool> {
        let Some(blocks) = self.driver(at.driver())?.blocks() else { return Ok(false) };
        blocks.overwrite_unmounted(at, dir, name, content).map_err(|e| e.during("write to"))
    }

    /// Finishes or undoes what dead processes left. Safe to repeat, and to die in.
    ///
    /// One record that cannot be settled does not keep the others from it. Deleting is in nobody's way, so no other
    /// recovery waits for it; what takes long is left for later if the store's [`Reclaim`] says so.
    pub fn recover(&self) -> Result<Recovered> {
        let mut recovered = Recovered::default();
        let mut doomed: Vec<Record> = Vec::new();
        let failed = |e: Error, operation: &str, id: TxId| {
            self.journal.release(id);
            e.during("recover").with("of", format!("{operation} {id}"))
        };
        {
            let _recovering = self.journal.recovery()?;
            let orphans = self.journal.orphans()?;
            if self.reclaim == Reclaim::Now {
                doomed = self.journal.condemned()?;
            }
            for record in orphans {
                let Record { operation, id, .. } = record.clone();
                match self.finish_or_undo(record) {
                    Ok(None) => recovered.settled.push(operation),
                    Ok(Some(record)) => doomed.push(record),
                    Err(e) => recovered.failed.push(failed(e, &operation, id)),
                }
            }
        }
        let patience = self.patience();
        for record in doomed {
            let Record { operation, id, .. } = record.clone();
            match self.delete_doomed(record, &patience) {
                Ok(_) => recovered.settled.push(operation),
                Err(e) => recovered.failed.push(failed(e, &operation, id)),
            }
        }
        if self.reclaim != Reclaim::Now {
            self.notice_pending()?;
        }
        Ok(recovered)
    }

    /// What operations that succeeded could not delete afterwards, since this was last asked; `recover` tries again.
    pub fn leftovers(&self) -> Vec<Error> {
        std::mem::take(&mut *self.leftovers.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn leave_behind(&self, failure: Error) {
        self.leftovers.lock().unwrap_or_else(PoisonError::into_inner).push(failure);
    }

    pub(crate) fn locks(&self) -> &VolumeLocks {
        &self.locks
    }

    pub(crate) fn journal(&self) -> &dyn Journal {
        &*self.journal
    }

    pub(crate) fn host(&self) -> &dyn Host {
        &*self.host
    }
}

/// Whether a union that is mounted in any mount namespace has a layer at or below `path`.
///
/// What was mounted by a container that has ended goes a moment later, so that moment is waited for.
fn is_layer(path: &Path) -> bool {
    const TRIES: u32 = 20;
    let is_layer = || hull_mount::branches::everywhere().iter().any(|branch| branch.path.starts_with(path));
    (0..TRIES).all(|again| {
        if again > 0 {
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        is_layer()
    })
}
