//! What a case works with: a directory of its own, stores, and ways to look into volumes.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use hull_storage::lock::{VolumeLocks, Wait};
use hull_storage::{
    Access, CloneMode, Cost, Driver, Durability, FileJournal, Host, Journal, Locator, Placement, RealHost,
    Registration, Result, Source, Store, Tie, TxId, VolumeSpec,
};

use super::case::require;
use crate::ground::{self, Ground, GroundInstance, Troubles};
use crate::plain;
use crate::pool::{Names, Pool};

/// What a case works with. Everything lies in a directory of its own.
pub struct Bench {
    driver: Arc<dyn Driver>,
    companions: Vec<Arc<dyn Driver>>,
    dir: PathBuf,
    settings: Vec<(String, String)>,
    durability: Durability,
    ground: Ground,
    base: Option<Locator>,
    registration: Registration,
    /// Its names, where volumes lie in a pool.
    names: Option<Names>,
    /// The pool, unless another process has it.
    pool: Option<Pool>,
    troubles: Troubles,
    /// Another process cleans up.
    kept: bool,
}

impl std::fmt::Debug for Bench {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bench").field("driver", &self.driver).field("dir", &self.dir).finish_non_exhaustive()
    }
}

/// A volume of the driver under test with a little content, and the store that made it.
pub(crate) const SAMPLE: &str = "etc/hostname";

impl Bench {
    /// A bench for the case `name`.
    pub(crate) fn new(
        name: &str,
        of: Registration,
        ground: &Ground,
        instance: &GroundInstance,
    ) -> std::result::Result<Self, Box<dyn Error>> {
        static BENCHES: AtomicUsize = AtomicUsize::new(0);
        let number = BENCHES.fetch_add(1, Ordering::Relaxed);
        let dir = format!("{}-{}-{number}", name.replace("::", "-"), std::process::id());
        let dir = instance.dir().join(dir);
        fs::create_dir(&dir)?;
        if let Some(pool) = instance.pool() {
            Names::new(pool, format!("hull{}-{number}", std::process::id()), &dir)?;
        }
        let mut bench = Self::at(dir, of, ground, instance.settings().to_vec())?;
        bench.pool = instance.pool().cloned();
        bench.troubles = instance.troubles().clone();
        bench.durability = instance.durability();
        bench.kept = false;
        if !bench.driver.capabilities().standalone {
            let path = bench.dir.join("base");
            let store = bench.store();
            let base = match instance.base(&store, &path) {
                Some(made) => made?,
                None => {
                    let at = Placement::exactly(&path).ok_or("the scratch directory has a name")?;
                    store.create(plain::NAME, &at, &VolumeSpec::default())?
                }
            };
            bench.base = Some(base);
        }
        Ok(bench)
    }

    /// A bench in the directory `dir` that another process made.
    pub(crate) fn at(
        dir: PathBuf,
        of: Registration,
        ground: &Ground,
        settings: Vec<(String, String)>,
    ) -> std::result::Result<Self, Box<dyn Error>> {
        let values = ground::settings(&settings);
        fs::create_dir_all(dir.join("volumes"))?;
        Ok(Self {
            driver: (of.open)(&values),
            companions: ground
                .companions()
                .iter()
                .chain([&plain::REGISTRATION])
                .map(|r| (r.open)(&values))
                .collect(),
            names: Names::of(&dir),
            pool: None,
            troubles: Troubles::default(),
            durability: Durability::Crash,
            dir,
            settings,
            ground: ground.clone(),
            base: None,
            registration: of,
            kept: true,
        })
    }

    /// A bench like this in a directory below it.
    pub(crate) fn below(&self, name: &str) -> std::io::Result<Self> {
        let dir = self.dir.join(name);
        fs::create_dir_all(dir.join("volumes"))?;
        let names = self.names.as_ref().map(|names| names.below(name, &dir)).transpose()?;
        Ok(Self {
            names,
            pool: self.pool.clone(),
            troubles: self.troubles.clone(),
            driver: Arc::clone(&self.driver),
            companions: self.companions.clone(),
            dir,
            settings: self.settings.clone(),
            durability: self.durability,
            ground: self.ground.clone(),
            base: self.base.clone(),
            registration: self.registration,
            // It goes with the bench above.
            kept: true,
        })
    }

    /// The driver under test.
    pub fn driver(&self) -> &dyn Driver {
        &*self.driver
    }

    /// The registration of the driver under test.
    pub fn registration(&self) -> Registration {
        self.registration
    }

    /// The directory of this case.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The name of the ground.
    pub fn ground(&self) -> &str {
        self.ground.name()
    }

    /// Of how many acts one is interrupted.
    pub(crate) fn stride(&self) -> usize {
        self.ground.stride()
    }

    /// The acts of the operation `what` that are interrupted here.
    pub(crate) fn acts(&self, what: &str) -> impl Iterator<Item = usize> + use<> {
        self.ground.acts(what)
    }

    pub(crate) fn settings(&self) -> &[(String, String)] {
        &self.settings
    }

    /// Where the journal is.
    pub fn journal_dir(&self) -> PathBuf {
        self.dir.join("state/journal")
    }

    /// A store as a process of its own would have it: with the journal and the locks of this case.
    pub fn store(&self) -> Store {
        self.store_of(
            Arc::clone(&self.driver),
            Box::new(FileJournal::new(self.journal_dir(), self.durability)),
            Box::new(RealHost::new(Box::new(()), self.durability)),
        )
    }

    /// A store with the driver under test, the journal and the host replaced (by wrappers of them).
    pub fn store_of(&self, driver: Arc<dyn Driver>, journal: Box<dyn Journal>, host: Box<dyn Host>) -> Store {
        let drivers = std::iter::once(driver).chain(self.companions.iter().cloned()).collect();
        let locks = VolumeLocks::new(self.dir.join("state/lock"), Wait::UpTo(Duration::from_secs(20)));
        Store::new(drivers, journal, host, locks)
    }

    /// The driver under test, to be wrapped.
    pub fn shared_driver(&self) -> Arc<dyn Driver> {
        Arc::clone(&self.driver)
    }

    /// The place of the volume `name`.
    pub fn place(&self, name: impl AsRef<OsStr>) -> Placement {
        let path = match &self.names {
            Some(names) => names.path(name.as_ref()),
            None => self.dir.join("volumes").join(name.as_ref()),
        };
        Placement::exactly(&path).expect("the cases' names are last components")
    }

    /// The place of the plain directory `name`, which lies in no pool.
    pub(crate) fn plain_place(&self, name: &str) -> Placement {
        let path = self.dir.join("volumes").join(name);
        Placement::exactly(&path).expect("the cases' names are last components")
    }

    /// The place of the volume of the home `name`, which is one of the case's.
    pub(crate) fn place_in_home(&self, name: &str) -> Placement {
        let in_pool = self.names.as_ref().map_or(name.into(), |names| names.name(name.as_ref()));
        Placement::in_home(self.dir.join("volumes").join(name), in_pool)
    }

    /// What can befall the ground.
    pub(crate) fn troubles(&self) -> &Troubles {
        &self.troubles
    }

    /// Whether volumes of the store under test lie in a pool here.
    pub(crate) fn is_pooled(&self) -> bool {
        self.names.is_some()
    }

    /// What lies in the case's directory of volumes and, with the names its cases know them by, in its pool.
    pub(crate) fn visible(&self) -> std::io::Result<BTreeSet<OsString>> {
        let mut all: BTreeSet<OsString> = names(&self.dir.join("volumes"))?
            .into_iter()
            .filter_map(|path| path.file_name().map(OsStr::to_owned))
            .collect();
        if let (Some(mine), Some(pool)) = (&self.names, &self.pool) {
            let prefix = format!("{}.", mine.prefix());
            all.extend(
                pool.names(&prefix)?.iter().filter_map(|n| n.strip_prefix(&prefix)).map(OsString::from),
            );
        }
        Ok(all)
    }

    /// An empty volume, or as empty as the store makes them.
    pub fn make_empty(&self, store: &Store, name: impl AsRef<OsStr>) -> Result<Locator> {
        let to = self.place(name);
        match &self.base {
            None => store.create(self.driver.name(), &to, &VolumeSpec::default()),
            Some(base) => {
                let into = Some(self.driver.name());
                Ok(store.clone_volume(base, into, &to, CloneMode::Snapshot, Access::ReadWrite)?.at)
            }
        }
    }

    /// Where [`Bench::make_empty`] puts it.
    pub(crate) fn planned_empty(&self, store: &Store, name: impl AsRef<OsStr>) -> Result<Locator> {
        let to = self.place(name);
        match &self.base {
            None => Ok(self.driver.new_layout(&to, None)?.at),
            Some(base) => {
                let (into, mode) = (Some(self.driver.name()), CloneMode::Snapshot);
                Ok(store.plan_clone(base, into, &to, mode, Access::ReadWrite, TxId(0))?.at)
            }
        }
    }

    /// A volume with a little content: [`SAMPLE`] holds `name`.
    pub fn make(&self, store: &Store, name: &str) -> std::result::Result<Locator, Box<dyn Error>> {
        let at = self.make_empty(store, name)?;
        self.write(store, &at, SAMPLE, name)?;
        self.write(store, &at, "usr/bin/tool", "a program")?;
        Ok(at)
    }

    /// The cheapest copy that the store makes of `from`.
    pub fn clone_of(&self, store: &Store, from: &Locator, name: impl AsRef<OsStr>) -> Result<Locator> {
        let (into, to) = (Some(self.driver.name()), self.place(name));
        Ok(store.clone_volume(from, into, &to, CloneMode::SnapshotElseCopy, Access::ReadWrite)?.at)
    }

    /// A copy of `from` exactly at `to`.
    pub(crate) fn clone_to(
        &self,
        store: &Store,
        from: &Locator,
        to: &Placement,
        mode: CloneMode,
    ) -> Result<Locator> {
        let into = Some(self.driver.name());
        Ok(store.clone_volume(from, into, to, mode, Access::ReadWrite)?.at)
    }

    /// The cheapest copy of `from` that may only be read.
    pub fn snapshot_of(&self, store: &Store, from: &Locator, name: impl AsRef<OsStr>) -> Result<Locator> {
        let (into, to) = (Some(self.driver.name()), self.place(name));
        Ok(store.clone_volume(from, into, &to, CloneMode::SnapshotElseCopy, Access::ReadOnly)?.at)
    }

    /// Whether the store offers a clone of `from` that shares its blocks.
    pub(crate) fn shares(&self, from: &Locator) -> bool {
        let source = Source { driver: &*self.driver, at: from };
        let place = self.place("offer");
        let offer = self.driver.copy_on_write().and_then(|c| c.offer(source, &place, Access::ReadWrite));
        offer.is_some_and(|offer| offer.cost < Cost::PerByte)
    }

    /// How many bytes of the ground nobody has taken yet, if that can be known.
    pub(crate) fn free(&self) -> std::io::Result<Option<u64>> {
        match &self.pool {
            Some(pool) => pool.free(),
            None => {
                let found = rustix::fs::statvfs(&self.dir)?;
                Ok(Some(found.f_bfree * found.f_frsize))
            }
        }
    }

    /// What ties such a clone to `from`; a copy is tied to nothing.
    pub fn tie(&self, from: &Locator, access: Access) -> Tie {
        let source = Source { driver: &*self.driver, at: from };
        let offer = self.driver.copy_on_write().and_then(|c| c.offer(source, &self.place("tie"), access));
        offer.map_or(Tie::None, |o| o.tie)
    }

    /// Writes a file into a volume, through a mount of it.
    pub fn write(
        &self,
        store: &Store,
        at: &Locator,
        file: impl AsRef<Path>,
        content: &str,
    ) -> std::result::Result<(), Box<dyn Error>> {
        let open = Open::new(store, at, Access::ReadWrite)?;
        let path = open.path().join(file);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        Ok(fs::write(path, content)?)
    }

    /// Reads a file of a volume, through a mount of it; `None` if there is none.
    pub fn read(
        &self,
        store: &Store,
        at: &Locator,
        file: impl AsRef<Path>,
    ) -> std::result::Result<Option<String>, Box<dyn Error>> {
        let open = Open::new(store, at, Access::ReadOnly)?;
        match fs::read_to_string(open.path().join(file)) {
            Ok(text) => Ok(Some(text)),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e.into()),
        }
    }

    /// All files of a volume and what they hold.
    pub fn content(
        &self,
        store: &Store,
        at: &Locator,
    ) -> std::result::Result<BTreeMap<PathBuf, Vec<u8>>, Box<dyn Error>> {
        let open = Open::new(store, at, Access::ReadOnly)?;
        let mut all = BTreeMap::new();
        collect(&open.path(), Path::new(""), &mut all)?;
        Ok(all)
    }

    /// Whether the ground's file system keeps attributes called `user.*`; tmpfs does since Linux 6.6.
    pub fn keeps_user_attributes(&self) -> bool {
        let name = "user.probe";
        let set = rustix::fs::setxattr(&self.dir, name, b"y", rustix::fs::XattrFlags::empty());
        let _ = rustix::fs::removexattr(&self.dir, name);
        set.is_ok()
    }

    /// Whether the volume is there.
    pub fn is_there(&self, at: &Locator) -> bool {
        self.driver.layout(at).is_ok()
    }

    /// Recovers as a new process would, until no record is left.
    ///
    /// Another case may have forked a child just now, which has the dropped store's locks for the moment until
    /// it is exec'd: so a record may look alive a little longer.
    pub fn recover(&self) -> std::result::Result<(), Box<dyn Error>> {
        let give_up = Instant::now() + Duration::from_secs(10);
        loop {
            if let Some(e) = self.store().recover()?.failed.into_iter().next() {
                return Err(e.into());
            }
            let records = self.records()?;
            if records.is_empty() {
                return Ok(());
            }
            require(Instant::now() < give_up, format!("recovery passes over {records:?}"))?;
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn records(&self) -> std::io::Result<Vec<PathBuf>> {
        let all = names(&self.journal_dir())?;
        Ok(all.into_iter().filter(|n| n.extension().is_some_and(|e| e == "record")).collect())
    }

    /// Fails unless the journal is empty, nothing carries a transaction's name and nothing is mounted here.
    pub fn require_clean(&self) -> std::result::Result<(), Box<dyn Error>> {
        let records = self.records()?;
        require(records.is_empty(), format!("the journal still holds {records:?}"))?;
        let marked: Vec<_> = self
            .visible()?
            .into_iter()
            .filter(|n| {
                let name = n.to_string_lossy();
                name.contains(".new-") || name.contains(".old-")
            })
            .collect();
        require(marked.is_empty(), format!("left behind: {marked:?}"))?;
        let mounts = fs::read_to_string("/proc/self/mountinfo")?;
        let dir = self.dir.to_string_lossy();
        let mine: Vec<_> =
            mounts.lines().filter(|l| l.split(' ').nth(4).is_some_and(|p| p.starts_with(&*dir))).collect();
        require(mine.is_empty(), format!("still mounted: {mine:?}"))
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        // What is left goes with the ground; this keeps a long suite from filling it up.
        let root = hull_storage::Resource::new(plain::NAME, self.dir.clone());
        if !self.kept {
            if let (Some(names), Some(pool)) = (&self.names, &self.pool) {
                pool.clear(names.prefix());
            }
            let _ = hull_storage::files::reclaim(&root, &());
        }
    }
}

/// The paths in `dir`.
fn names(dir: &Path) -> std::io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(e),
    };
    entries.map(|e| Ok(e?.path())).collect()
}

/// A volume that is open for reading or writing, mounted nowhere.
#[derive(Debug)]
pub(crate) struct Open {
    root: OwnedFd,
    _ready: hull_storage::Activation,
}

impl Open {
    pub(crate) fn new(store: &Store, at: &Locator, access: Access) -> Result<Self> {
        let ready = store.activate(at, access)?;
        Ok(Self { root: hull_storage::host::open(&ready)?, _ready: ready })
    }

    /// Its root.
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }

    /// Its root by a path. Good as long as this lives, also for mounts that are attached nowhere.
    pub(crate) fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}/.", self.root.as_raw_fd()))
    }
}

fn collect(dir: &Path, below: &Path, all: &mut BTreeMap<PathBuf, Vec<u8>>) -> std::io::Result<()> {
    for entry in fs::read_dir(dir.join(below))? {
        let entry = entry?;
        let name = below.join(entry.file_name());
        // mkfs makes it, a tree copy takes it along, and nobody misses it.
        if name == Path::new("lost+found") {
            continue;
        }
        let kind = entry.file_type()?;
        if kind.is_dir() {
            all.insert(name.clone(), Vec::new());
            collect(dir, &name, all)?;
        } else if kind.is_symlink() {
            all.insert(name, fs::read_link(entry.path())?.into_os_string().into_encoded_bytes());
        } else if kind.is_file() {
            all.insert(name, fs::read(entry.path())?);
        }
    }
    Ok(())
}

/// How two volumes are compared that shall hold the same: down to every attribute but Hull's own marks on a volume's
/// root, of which one names the very directory and one says that it is a snapshot, and but those in which XFS shows root
/// its ACLs a second time.
pub(crate) fn whole_trees() -> hull_treefixture::CompareOptions {
    let ignored = ["user.hull.volume", "trusted.hull.access", "trusted.SGI_ACL_"];
    hull_treefixture::CompareOptions {
        ignored_xattrs: ignored.map(str::to_owned).to_vec(),
        ..hull_treefixture::CompareOptions::default()
    }
}
