//! What a driver needs to be tested on: a scratch directory on the right file system, settings, clean-up.

use std::any::Any;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hull_storage::{Durability, Locator, Registration, Settings, Store};

use crate::pool::Pool;

/// Why a ground cannot be had on this machine, as a person would say it: `no loop devices`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SkipReason(pub String);

impl fmt::Display for SkipReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<E: std::error::Error> From<E> for SkipReason {
    fn from(e: E) -> Self {
        Self(e.to_string())
    }
}

/// Why `check` says no, if it does. Tests that are only listed, on behalf of a machine that has every ground, are told
/// so by the environment.
pub fn lacking(check: fn() -> Result<(), SkipReason>) -> Option<SkipReason> {
    const ASSUME: &str = "HULL_TESTKIT_ASSUME_GROUNDS";
    if std::env::var_os(ASSUME).is_some() {
        return None;
    }
    check().err()
}

/// A place to test a driver on, not made yet.
#[derive(Clone)]
pub struct Ground {
    name: String,
    make: Arc<dyn Fn() -> Result<GroundInstance, SkipReason> + Send + Sync>,
    check: Option<fn() -> Result<(), SkipReason>>,
    stride: usize,
    companions: Vec<Registration>,
    only: Option<&'static str>,
}

impl fmt::Debug for Ground {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ground").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Ground {
    /// The ground `name` (`ext4`, `xfs`, `tmpfs`), which `make` makes or says why it cannot.
    pub fn new(
        name: impl Into<String>,
        make: impl Fn() -> Result<GroundInstance, SkipReason> + Send + Sync + 'static,
    ) -> Self {
        Self {
            name: name.into(),
            make: Arc::new(make),
            check: None,
            stride: 1,
            companions: Vec::new(),
            only: None,
        }
    }

    /// The ground with another driver in its stores, for [`GroundInstance::with_base`] to use.
    #[must_use]
    pub fn with_companion(mut self, registration: Registration) -> Self {
        self.companions.push(registration);
        self
    }

    /// The ground with a cheap look whether it can be made at all. Where it cannot, that is one skipped trial instead
    /// of one for each case.
    #[must_use]
    pub fn with_check(mut self, check: fn() -> Result<(), SkipReason>) -> Self {
        self.check = Some(check);
        self
    }

    /// Why it cannot be made, as far as that is known without trying.
    pub fn lacking(&self) -> Option<SkipReason> {
        self.check.and_then(lacking)
    }

    /// The ground on which only every `stride`th act is interrupted, where each takes long (an emulated machine), or every
    /// `HULL_TEST_STRIDE`th. Which of them come is different from one operation to the next, and the same in every run.
    #[must_use]
    pub fn with_stride(mut self, stride: usize) -> Self {
        let asked = std::env::var("HULL_TEST_STRIDE").ok().and_then(|stride| stride.parse().ok());
        self.stride = asked.unwrap_or(stride).max(1);
        self
    }

    /// The ground with those cases of the suite only whose names begin with `cases`, which it is made for.
    #[must_use]
    pub fn with_only(mut self, cases: &'static str) -> Self {
        self.only = Some(cases);
        self
    }

    pub(crate) fn takes_all(&self) -> bool {
        self.only.is_none()
    }

    pub(crate) fn takes(&self, case: &str) -> bool {
        self.only.is_none_or(|only| case.starts_with(only))
    }

    pub(crate) fn stride(&self) -> usize {
        self.stride
    }

    /// The acts that are interrupted of the operation `what`.
    pub(crate) fn acts(&self, what: &str) -> impl Iterator<Item = usize> + use<> {
        // Every operation has three acts at least, so every one is interrupted.
        let first = what.bytes().map(usize::from).sum::<usize>() % self.stride.min(3);
        (first..).step_by(self.stride)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Further drivers in its stores.
    pub fn companions(&self) -> &[Registration] {
        &self.companions
    }

    /// Makes it.
    pub fn make(&self) -> Result<GroundInstance, SkipReason> {
        (self.make)()
    }
}

/// Brings trouble over a ground until what it returns is dropped.
pub type Bring = dyn Fn() -> std::io::Result<Box<dyn Any>> + Send + Sync;
/// Leaves only so many bytes of a ground free until what it returns is dropped.
pub type Fill = dyn Fn(u64) -> std::io::Result<Box<dyn Any>> + Send + Sync;
/// Has a ground's device fail, once so much time has passed, until what it returns is dropped.
pub type Break = dyn Fn(Duration) -> std::io::Result<Box<dyn Any>> + Send + Sync;
/// Has a ground's device fail, once so much time has passed, and work again after the second time.
pub type Stall = dyn Fn(Duration, Duration) -> std::io::Result<Box<dyn Any>> + Send + Sync;
/// Has those blocks of a ground's device fail in which a sector begins with these bytes, until what it returns is dropped.
pub type Spoil = dyn Fn(&[u8]) -> std::io::Result<Box<dyn Any>> + Send + Sync;

/// What can befall a ground.
#[derive(Clone, Default)]
pub struct Troubles {
    /// It is full.
    pub full: Option<Arc<Fill>>,
    /// It can only be read.
    pub read_only: Option<Arc<Bring>>,
    /// Its device fails.
    pub failing: Option<Arc<Break>>,
    /// Its device fails for a while, and who uses it waits for that long.
    pub stalling: Option<Arc<Stall>>,
    /// A part of its device fails.
    pub unreadable: Option<Arc<Spoil>>,
}

impl fmt::Debug for Troubles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Troubles")
            .field("full", &self.full.is_some())
            .field("read_only", &self.read_only.is_some())
            .field("failing", &self.failing.is_some())
            .field("stalling", &self.stalling.is_some())
            .field("unreadable", &self.unreadable.is_some())
            .finish()
    }
}

type MakeBase = Box<dyn Fn(&Store, &Path) -> hull_storage::Result<Locator> + Send + Sync>;

/// A ground that is there. Dropping it cleans up.
pub struct GroundInstance {
    dir: PathBuf,
    settings: Vec<(String, String)>,
    base: Option<MakeBase>,
    pool: Option<Pool>,
    troubles: Troubles,
    durability: Durability,
    _kept: Option<Box<dyn Any + Send + Sync>>,
}

impl fmt::Debug for GroundInstance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GroundInstance").field("dir", &self.dir).finish_non_exhaustive()
    }
}

impl GroundInstance {
    /// A ground in the directory `dir`, which the suite may fill; it is to vanish when `kept` is dropped.
    pub fn new(dir: impl Into<PathBuf>, kept: impl Any + Send + Sync) -> Self {
        Self {
            dir: dir.into(),
            settings: Vec::new(),
            base: None,
            pool: None,
            troubles: Troubles::default(),
            durability: Durability::Crash,
            _kept: Some(Box::new(kept)),
        }
    }

    /// The ground with one more setting for the drivers.
    #[must_use]
    pub fn with_setting(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.settings.push((key.into(), value.into()));
        self
    }

    /// Says how to make the volume that volumes of the store under test are made of, where the store is not
    /// standalone. Without it the suite takes a plain directory.
    ///
    /// `make` gets a store that knows the ground's companions, and a path whose parent exists.
    #[must_use]
    pub fn with_base(
        mut self,
        make: impl Fn(&Store, &Path) -> hull_storage::Result<Locator> + Send + Sync + 'static,
    ) -> Self {
        self.base = Some(Box::new(make));
        self
    }

    /// Says where the volumes of a store with a pool lie; homes and volumes of other stores are in the directory.
    #[must_use]
    pub fn with_pool(mut self, pool: Pool) -> Self {
        self.pool = Some(pool);
        self
    }

    /// Says what trouble can be brought over it.
    #[must_use]
    pub fn with_troubles(mut self, troubles: Troubles) -> Self {
        self.troubles = troubles;
        self
    }

    /// Says what operations on it are to survive; usually the death of their process.
    #[must_use]
    pub fn with_durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    pub(crate) fn durability(&self) -> Durability {
        self.durability
    }

    pub(crate) fn troubles(&self) -> &Troubles {
        &self.troubles
    }

    /// The pool.
    pub fn pool(&self) -> Option<&Pool> {
        self.pool.as_ref()
    }

    /// The scratch directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The settings, as pairs that can be handed to a child process.
    pub fn settings(&self) -> &[(String, String)] {
        &self.settings
    }

    pub(crate) fn base(&self, store: &Store, path: &Path) -> Option<hull_storage::Result<Locator>> {
        self.base.as_ref().map(|make| make(store, path))
    }
}

/// Settings made of pairs.
pub(crate) fn settings(pairs: &[(String, String)]) -> Settings {
    pairs.iter().fold(Settings::default(), |s, (key, value)| s.with(key, value))
}
