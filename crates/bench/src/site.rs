//! One store under test: a place of its own inside it, and the operations that workloads are made of.

use std::cell::{Cell, RefCell};
use std::fs;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use hull_storage::{
    Access, Activation, Bytes, CloneMode, Cost, Driver, DriverName, Effort, Error, ErrorKind, Locator,
    Method, Placement, Reclaim, Result, Store, VolumeSpec, host,
};

use crate::cache;
use crate::results::{Cache, Sizes, StoreFacts};
use crate::scratch::ScratchFs;
use crate::{fixture, rootfs};

/// Where volumes of a site lie.
#[derive(Debug)]
pub(crate) enum Ground {
    /// In this directory, which the run made.
    Directory(PathBuf),
    /// In a pool, all names beginning like this path's.
    Pool(PathBuf),
}

/// One store under test.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) facts: StoreFacts,
    pub(crate) sizes: Sizes,
    store: Store,
    driver: DriverName,
    /// The store of what lies below volumes that cannot stand alone.
    base: DriverName,
    ground: Ground,
    /// What is to be settled before a sample: the file systems that take the writes.
    settled: Vec<PathBuf>,
    archive: PathBuf,
    mount_point: PathBuf,
    spec: VolumeSpec,
    parent: RefCell<Option<Locator>>,
    /// An empty volume of the base store, for stores whose volumes cannot stand alone.
    empty: RefCell<Option<Locator>>,
    made: RefCell<Vec<Locator>>,
    seed: Cell<u64>,
    // The last to be dropped.
    scratch: Option<ScratchFs>,
}

/// What a site is made of.
#[derive(Debug)]
pub(crate) struct Plot {
    pub(crate) facts: StoreFacts,
    pub(crate) sizes: Sizes,
    pub(crate) store: Store,
    pub(crate) driver: DriverName,
    pub(crate) base: DriverName,
    pub(crate) ground: Ground,
    pub(crate) settled: Vec<PathBuf>,
    pub(crate) archive: PathBuf,
    pub(crate) mount_point: PathBuf,
    pub(crate) spec: VolumeSpec,
    pub(crate) scratch: Option<ScratchFs>,
}

impl Site {
    /// A site without volumes.
    pub(crate) fn new(plot: Plot) -> Self {
        let Plot { facts, sizes, store, driver, base, ground, settled, archive, mount_point, spec, scratch } =
            plot;
        Self {
            facts,
            sizes,
            // What is left to be deleted is measured apart.
            store: store.with_reclaim(Reclaim::Later(Effort::NONE)),
            driver,
            base,
            ground,
            settled,
            archive,
            mount_point,
            spec,
            parent: RefCell::default(),
            empty: RefCell::default(),
            made: RefCell::default(),
            seed: Cell::new(0),
            scratch,
        }
    }

    /// Makes the parent: the root file system in a volume, with the files that workloads need. Returns what the root
    /// file system holds.
    pub(crate) fn furnish(&self) -> Result<(u64, Bytes)> {
        let driver = if self.standalone()? { self.driver } else { self.base };
        let parent = self.create_of(driver, "parent")?;
        let open = self.open(&parent, Access::ReadWrite)?;
        rootfs::unpack(&self.archive, open.fd())?;
        let held = rootfs::measure(open.fd())?;
        fixture::add(&open.path(), &self.sizes)?;
        open.close()?;
        if driver == self.base && !self.standalone()? {
            *self.empty.borrow_mut() = Some(self.create_of(driver, "empty")?);
        }
        *self.parent.borrow_mut() = Some(parent);
        Ok(held)
    }

    /// Whether a volume of the store can be made empty.
    pub(crate) fn standalone(&self) -> Result<bool> {
        Ok(self.driver()?.capabilities().standalone)
    }

    pub(crate) fn driver(&self) -> Result<&dyn Driver> {
        self.store.driver(self.driver)
    }

    /// How the store clones the parent, and what it has to be settled where.
    pub(crate) fn clones_by(&self) -> Result<String> {
        let place = self.place("offer")?;
        let mode = CloneMode::SnapshotElseCopy;
        let chosen =
            self.store.method(&self.parent()?, Some(self.driver), &place, mode, Access::ReadWrite)?;
        Ok(chosen.1.to_string())
    }

    /// How long a curve may take in one round: longer where a clone costs the same whatever is cloned, for there a long
    /// curve is what is of interest.
    pub(crate) fn patience(&self) -> Result<Duration> {
        const LONGER: u32 = 4;
        let place = self.place("offer")?;
        let mode = CloneMode::SnapshotElseCopy;
        let chosen =
            self.store.method(&self.parent()?, Some(self.driver), &place, mode, Access::ReadWrite)?;
        let constant = matches!(chosen.1, Method::Clone(offer) if offer.cost == Cost::Constant);
        Ok(Duration::from_secs(self.sizes.curve_seconds) * if constant { LONGER } else { 1 })
    }

    /// How a volume of the store is mounted.
    pub(crate) fn mounted_by(&self) -> Result<String> {
        Ok(self.store.activate(&self.parent()?, Access::ReadOnly)?.plan.to_string())
    }

    /// The volume that clones are made of.
    pub(crate) fn parent(&self) -> Result<Locator> {
        let parent = self.parent.borrow().clone();
        parent.ok_or_else(|| Error::new(ErrorKind::NotFound, "the parent has not been made"))
    }

    // ── What workloads are made of ──

    /// An empty volume.
    pub(crate) fn create(&self, name: &str) -> Result<Locator> {
        let empty = self.empty.borrow().clone();
        match empty {
            Some(empty) => self.clone_of(&empty, name),
            None => self.create_of(self.driver, name),
        }
    }

    /// The root file system unpacked into a volume.
    pub(crate) fn unpack(&self, at: &Locator) -> Result<()> {
        let open = self.open(at, Access::ReadWrite)?;
        rootfs::unpack(&self.archive, open.fd())?;
        open.close()
    }

    /// A clone of the parent.
    pub(crate) fn clone(&self, name: &str) -> Result<Locator> {
        self.clone_of(&self.parent()?, name)
    }

    /// A clone of `from`.
    pub(crate) fn clone_of(&self, from: &Locator, name: &str) -> Result<Locator> {
        self.made_of(from, name, Access::ReadWrite)
    }

    /// A snapshot of `from`.
    pub(crate) fn snapshot(&self, from: &Locator, name: &str) -> Result<Locator> {
        self.made_of(from, name, Access::ReadOnly)
    }

    /// Puts `at` back to `snapshot`. What it was is left to [`Site::reclaim`].
    pub(crate) fn restore(&self, snapshot: &Locator, at: &Locator) -> Result<Locator> {
        let made = self.store.restore(snapshot, at)?.at;
        self.replace(at, made.clone());
        Ok(made)
    }

    /// Renames `at`.
    pub(crate) fn rename(&self, at: &mut Locator, name: &str) -> Result<()> {
        let renamed = self.store.rename(at, &self.place(name)?)?;
        self.replace(at, renamed.clone());
        *at = renamed;
        Ok(())
    }

    /// Destroys `at`: its name is free. Its files are left to [`Site::reclaim`].
    pub(crate) fn destroy(&self, at: &Locator) -> Result<()> {
        self.store.destroy(at)?;
        self.made.borrow_mut().retain(|made| made != at);
        Ok(())
    }

    /// Deletes what operations have left for later.
    pub(crate) fn reclaim(&self) -> Result<()> {
        match self.store.reclaim_pending(&())?.failed.into_iter().next() {
            Some(failed) => Err(failed),
            None => Ok(()),
        }
    }

    /// Destroys `at` and deletes its files.
    pub(crate) fn remove(&self, at: &Locator) -> Result<()> {
        self.destroy(at)?;
        self.reclaim()
    }

    /// Readies a volume, without mounting it where it could be seen.
    pub(crate) fn open(&self, at: &Locator, access: Access) -> Result<Open> {
        let ready = self.store.activate(at, access)?;
        Ok(Open { root: host::open(&ready)?, ready })
    }

    /// Readies a volume for mounting.
    pub(crate) fn activate(&self, at: &Locator) -> Result<Activation> {
        self.store.activate(at, Access::ReadWrite)
    }

    /// Applies the standard change set to a volume. No two are the same.
    pub(crate) fn change(&self, at: &Locator) -> Result<()> {
        self.seed.set(self.seed.get() + 1);
        let open = self.open(at, Access::ReadWrite)?;
        fixture::change(&open.path(), &self.sizes, self.seed.get())?;
        open.close()
    }

    /// A directory for mounting.
    pub(crate) fn mount_point(&self) -> &Path {
        &self.mount_point
    }

    // ── What surrounds a sample ──

    /// Returns once nothing is left to be written, and with a cold cache nothing is left in it.
    pub(crate) fn settle(&self, cache: Cache) -> Result<()> {
        match self.settled.as_slice() {
            [] => rustix::fs::sync(),
            dirs => dirs.iter().try_for_each(|dir| cache::write_out(dir))?,
        }
        match cache {
            Cache::Warm => Ok(()),
            Cache::Cold => cache::drop_all(),
        }
    }

    /// How much can still be written; `None` where that cannot be told.
    pub(crate) fn available(&self) -> Result<Option<u64>> {
        match &self.ground {
            Ground::Directory(dir) => cache::room(dir).map(|room| Some(room.available)),
            Ground::Pool(_) => {
                let usage = self.store.usage(&self.parent()?)?;
                Ok(usage.available.map(|bytes| bytes.0))
            }
        }
    }

    /// Whether [`Site::available`] costs next to nothing.
    pub(crate) fn is_quick_to_look_at(&self) -> bool {
        matches!(self.ground, Ground::Directory(_))
    }

    /// How much is occupied: of the file system the volumes lie on, or by the volume `at` alone where they lie in a
    /// pool. `None` where that cannot be told.
    pub(crate) fn occupied(&self, at: Option<&Locator>) -> Result<Option<u64>> {
        self.settle(Cache::Warm)?;
        match (&self.ground, at) {
            (Ground::Directory(dir), _) => cache::room(dir).map(|room| Some(room.used)),
            (Ground::Pool(_), Some(at)) => Ok(self.store.usage(at)?.exclusive.map(|bytes| bytes.0)),
            (Ground::Pool(_), None) => Ok(Some(0)),
        }
    }

    /// How many volumes there are.
    pub(crate) fn volumes(&self) -> usize {
        self.made.borrow().len()
    }

    /// Removes what a workload that failed has left: all volumes but the first `keep`. What cannot be removed is tried
    /// again when the site is closed.
    pub(crate) fn tidy(&self, keep: usize) {
        let left: Vec<Locator> = self.made.borrow().iter().skip(keep).rev().cloned().collect();
        for at in left {
            let _ = self.destroy(&at);
        }
        let _ = self.reclaim();
    }

    /// Removes all that the run has made here. Goes on after a failure; what could not be removed is returned.
    pub(crate) fn close(self) -> Vec<Error> {
        let mut failed = Vec::new();
        // What lies in a scratch file system goes with it.
        if self.scratch.is_none() {
            let mut made = std::mem::take(&mut *self.made.borrow_mut());
            // Clones after what they were made of: the other way round.
            while let Some(at) = made.pop() {
                failed.extend(self.store.destroy(&at).err());
            }
            failed.extend(self.reclaim().err());
            if let Ground::Directory(dir) = &self.ground {
                let removed = fs::remove_dir(dir)
                    .map_err(|e| Error::new(ErrorKind::Os, format!("{} stays", dir.display())).because(e));
                failed.extend(removed.err());
            }
        }
        failed
    }

    fn create_of(&self, driver: DriverName, name: &str) -> Result<Locator> {
        let at = self.store.create(driver, &self.place(name)?, &self.spec)?;
        self.made.borrow_mut().push(at.clone());
        Ok(at)
    }

    fn made_of(&self, from: &Locator, name: &str, access: Access) -> Result<Locator> {
        let (to, mode) = (self.place(name)?, CloneMode::SnapshotElseCopy);
        let at = self.store.clone_volume(from, Some(self.driver), &to, mode, access)?.at;
        self.made.borrow_mut().push(at.clone());
        Ok(at)
    }

    fn place(&self, name: &str) -> Result<Placement> {
        let path = match &self.ground {
            Ground::Directory(dir) => dir.join(name),
            Ground::Pool(prefix) => {
                let mut path = prefix.clone().into_os_string();
                path.push(name);
                path.into()
            }
        };
        let without = || Error::new(ErrorKind::InvalidInput, format!("{} is no place", path.display()));
        Placement::exactly(&path).ok_or_else(without)
    }

    fn replace(&self, old: &Locator, new: Locator) {
        let mut made = self.made.borrow_mut();
        match made.iter_mut().find(|made| *made == old) {
            Some(place) => *place = new,
            None => made.push(new),
        }
    }
}

/// A volume that can be looked into, mounted nowhere.
#[derive(Debug)]
pub(crate) struct Open {
    root: OwnedFd,
    ready: Activation,
}

impl Open {
    /// Its root.
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }

    /// Its root by a path that other programs can use, too, as long as this lives.
    pub(crate) fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/fd/{}/.", std::process::id(), self.root.as_raw_fd()))
    }

    /// Lets go of it.
    pub(crate) fn close(self) -> Result<()> {
        drop(self.root);
        self.ready.held.map_or(Ok(()), hull_storage::Held::release)
    }
}
