//! One ground for each store, and stores that know all of them.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hull_storage::lock::{VolumeLocks, Wait};
use hull_storage::{
    Access, Activation, Availability, CloneMode, DriverName, Durability, FileJournal, Locator, Placement,
    RealHost, Registry, Settings, Store, VolumeSpec,
};
use hull_storage_testkit::GroundInstance;
use hull_storage_testkit::grounds::{volume_group, zpool};
use hull_treefixture::{CompareOptions, Shape, build, compare};

use crate::{Checked, require};

/// The stores, in the order of the table.
pub(crate) const STORES: [&str; 7] = ["dir", "btrfs", "zfs", "lvm", "loop", "aufs", "overlay"];

/// A ground for each store that this machine can have.
pub(crate) struct Field {
    registry: Registry,
    grounds: BTreeMap<&'static str, Result<GroundInstance, String>>,
    state: tempfile::TempDir,
    scenes: AtomicUsize,
}

impl Field {
    pub(crate) fn new() -> Self {
        let registry = hull_drivers::builtin();
        let made = |store| {
            registry.resolve(store).map_err(|e| e.to_string())?;
            ground(store)
        };
        let grounds = STORES.iter().map(|store| (*store, made(store))).collect();
        Self {
            registry,
            grounds,
            state: tempfile::tempdir().expect("a temporary directory"),
            scenes: AtomicUsize::new(0),
        }
    }

    /// Whether there is a ground for `store`, or why not.
    pub(crate) fn has(&self, store: &str) -> Result<(), String> {
        self.grounds[store].as_ref().map(drop).map_err(Clone::clone)
    }

    fn ground(&self, store: &str) -> &GroundInstance {
        self.grounds[store].as_ref().expect("looked for before")
    }

    pub(crate) fn name(&self, store: &str) -> hull_storage::Result<DriverName> {
        Ok(self.registry.resolve(store)?.name)
    }

    /// A store of all drivers, with the settings of all grounds.
    pub(crate) fn store(&self) -> Store {
        let pairs = self.grounds.values().flatten().flat_map(GroundInstance::settings);
        let settings = pairs.fold(Settings::default(), |s, (key, value)| s.with(key, value));
        let drivers = self.registry.drivers().iter().map(|r| (r.open)(&settings)).collect();
        let locks = VolumeLocks::new(self.state.path().join("lock"), Wait::UpTo(Duration::from_secs(20)));
        Store::new(
            drivers,
            Box::new(FileJournal::new(self.state.path().join("journal"), Durability::Crash)),
            Box::new(RealHost::new(Box::new(()), Durability::Crash)),
            locks,
        )
    }

    /// A new scene, with names of its own.
    pub(crate) fn scene(&self) -> Scene<'_> {
        let number = self.scenes.fetch_add(1, Ordering::Relaxed);
        let prefix = format!("hull{}-m{number}", std::process::id());
        Scene { field: self, store: self.store(), prefix, made: RefCell::default() }
    }
}

/// The ground of `store`.
fn ground(store: &str) -> Result<GroundInstance, String> {
    let ground = match store {
        "lvm" => volume_group::thin("thin", "ext4", 64 << 20),
        "zfs" => zpool::ground("library"),
        "btrfs" => hull_storage_testkit::scratch::ground("btrfs"),
        _ => hull_storage_testkit::scratch::ground("ext4"),
    };
    ground.make().map_err(|reason| reason.0)
}

/// Why `store` cannot be used on this machine at all; `None` where it can, or is not of this build.
pub(crate) fn missing(store: &str) -> Option<String> {
    let lacking = |check| hull_storage_testkit::ground::lacking(check).map(|reason| reason.0);
    match store {
        // Their grounds bring the pool along that the machine need not have.
        "lvm" => return lacking(volume_group::machine),
        "zfs" => return lacking(zpool::possible),
        _ => {}
    }
    let registry = hull_drivers::builtin();
    match (registry.resolve(store).ok()?.probe)(&Settings::default()) {
        Availability::Missing { why, .. } => Some(why),
        Availability::Ready { .. } => None,
    }
}

/// What one cell of the table works with.
pub(crate) struct Scene<'f> {
    field: &'f Field,
    store: Store,
    prefix: String,
    /// What [`Scene::source`] made, the lowest first.
    made: RefCell<Vec<Locator>>,
}

impl Scene<'_> {
    /// Where the volume `name` of `store` shall be.
    pub(crate) fn place(&self, store: &str, name: &str) -> Placement {
        let ground = self.field.ground(store);
        let leaf = format!("{}.{name}", self.prefix);
        let path = match ground.pool() {
            Some(pool) => pool.place().join(leaf),
            None => ground.dir().join(leaf),
        };
        Placement::exactly(&path).expect("it has a last component")
    }

    /// A volume of `store` with an awkward tree in it. One that needs another volume gets a plain directory below it.
    pub(crate) fn source(&self, store: &str) -> Checked<Locator> {
        let (name, to) = (self.field.name(store)?, self.place(store, "source"));
        let empty = VolumeSpec::default();
        let at = if self.store.driver(name)?.capabilities().standalone {
            self.store.create(name, &to, &empty)?
        } else {
            let base = self.store.create(self.field.name("dir")?, &self.place("dir", "base"), &empty)?;
            self.made.borrow_mut().push(base.clone());
            let (mode, access) = (CloneMode::Snapshot, Access::ReadWrite);
            self.store.clone_volume(&base, Some(name), &to, mode, access)?.at
        };
        self.made.borrow_mut().push(at.clone());
        self.plant(&at)?;
        Ok(at)
    }

    fn plant(&self, at: &Locator) -> Checked<()> {
        let open = Open::new(&self.store, at, Access::ReadWrite)?;
        // aufs puts marks before names, and tells no holes: a file with a huge one would be read for hours.
        let holes = self.field.has("aufs").is_err();
        let shape = Shape { union_marks: false, longest_name: 242, holes, ..Shape::privileged() };
        build(&open.root, &shape)?;
        fs::write(open.path().join("planted"), "by the matrix")?;
        Ok(())
    }

    /// Fails unless what was planted is there.
    pub(crate) fn check_source(&self, at: &Locator) -> Checked<()> {
        let open = Open::new(&self.store, at, Access::ReadOnly)?;
        require(
            fs::read_to_string(open.path().join("planted"))? == "by the matrix",
            format!("{at} is spoilt"),
        )
    }

    /// Fails unless both hold the same tree.
    pub(crate) fn same(&self, one: &Locator, other: &Locator) -> Checked<()> {
        let (one, other) = (
            Open::new(&self.store, one, Access::ReadOnly)?,
            Open::new(&self.store, other, Access::ReadOnly)?,
        );
        let options = CompareOptions { holes: false, ..CompareOptions::default() };
        let differences = compare(one.root.as_fd(), other.root.as_fd(), &options)?;
        require(differences.is_empty(), format!("the target differs: {differences:?}"))
    }

    pub(crate) fn write(&self, at: &Locator, file: &str) -> Checked<()> {
        Ok(fs::write(Open::new(&self.store, at, Access::ReadWrite)?.path().join(file), "written")?)
    }

    pub(crate) fn holds(&self, at: &Locator, file: &str) -> Checked<bool> {
        Ok(Open::new(&self.store, at, Access::ReadOnly)?.path().join(file).exists())
    }

    /// Everything of this scene on all grounds.
    pub(crate) fn visible(&self) -> Checked<BTreeSet<String>> {
        let mut all = BTreeSet::new();
        for (store, ground) in &self.field.grounds {
            let Ok(ground) = ground else { continue };
            for entry in fs::read_dir(ground.dir())? {
                all.insert(format!("{store}: {}", entry?.file_name().to_string_lossy()));
            }
            if let Some(pool) = ground.pool() {
                all.extend(pool.names("")?.into_iter().map(|name| format!("{store}: {name}")));
            }
        }
        all.retain(|name| name.contains(&self.prefix));
        Ok(all)
    }

    /// Destroys the source and what lies below it, as far as they are still there, and fails when anything is left then.
    pub(crate) fn clear(self) -> Checked<()> {
        for at in self.made.borrow().iter().rev() {
            if self.store.driver(at.driver())?.layout(at).is_ok() {
                self.store.destroy(at)?;
            }
        }
        let left = self.visible()?;
        require(left.is_empty(), format!("left behind: {left:?}"))
    }
}

/// A volume that is open, mounted nowhere.
struct Open {
    root: OwnedFd,
    _ready: Activation,
}

impl Open {
    fn new(store: &Store, at: &Locator, access: Access) -> hull_storage::Result<Self> {
        let ready = store.activate(at, access)?;
        Ok(Self { root: hull_storage::host::open(&ready)?, _ready: ready })
    }

    fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}/.", self.root.as_raw_fd()))
    }
}
