//! What a run is asked for.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use hull_blockfs::FsKind;
use hull_storage::{DriverName, Durability, Error, ErrorKind, Registry, Result, Settings};

use crate::generate::Shape;
use crate::results::{Cache, Sizes};
use crate::rootfs::Source;
use crate::start::Starter;
use crate::workload::{self, Workload};

/// What a run is asked for.
#[derive(Debug)]
pub struct Request {
    /// The stores, at least one, no two of one name.
    pub stores: Vec<StoreSpec>,
    /// Scratch stores that this machine cannot have, and why, for the results.
    pub left_out: Vec<crate::LeftOut>,
    /// The drivers of this build.
    pub registry: Registry,
    /// The store that keeps what lies below volumes that cannot stand alone.
    pub base: DriverName,
    /// The root file system.
    pub rootfs: Source,
    /// How it is done.
    pub options: Options,
    /// The workloads by name; none is all.
    pub only: Vec<String>,
    /// A directory for everything that is no volume: journals, the archive, scratch file systems. The run makes a
    /// directory of its own in it.
    pub work: PathBuf,
    /// What operations are made to survive.
    pub durability: Durability,
    /// Who starts containers, if anybody can.
    pub starter: Option<Box<dyn Starter>>,
    /// Whether the caller may mount.
    pub privileged: bool,
    /// Set when the run is to be interrupted: it ends with what it has.
    pub cancel: Arc<AtomicBool>,
}

/// One store.
#[derive(Clone, Debug)]
pub struct StoreSpec {
    /// What it is called in the results.
    pub name: String,
    /// Its driver.
    pub driver: DriverName,
    /// What the driver is told.
    pub settings: Settings,
    /// Where its volumes shall lie.
    pub place: Place,
}

/// Where the volumes of a store shall lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In a directory of the run's own in this one.
    Directory(PathBuf),
    /// In a pool: this is the place that a volume's name is appended to (`tank/x`, `/dev/vg`).
    Pool(PathBuf),
    /// In a scratch file system of this kind, which the run makes.
    Scratch(FsKind),
}

/// How a run is done.
#[derive(Clone, Debug)]
pub struct Options {
    /// Samples of each row.
    pub rounds: u32,
    /// Rounds before them that do not count.
    pub warmup: u32,
    /// The seed of the order of stores.
    pub seed: u64,
    /// Whether this is called a quick run.
    pub quick: bool,
    /// The states of the cache; cold ones take root.
    pub caches: Vec<Cache>,
    /// How large things are.
    pub sizes: Sizes,
}

impl Options {
    /// The usual ones.
    pub fn full() -> Self {
        let sizes =
            Sizes { storm_files: 1000, data_bytes: 32 << 20, fan_out: 1000, depth: 30, curve_seconds: 30 };
        let caches = vec![Cache::Warm, Cache::Cold];
        Self { rounds: 11, warmup: 2, seed: 1, quick: false, caches, sizes }
    }

    /// A few minutes' worth. Five samples are not enough for an interval of 95 %, and the results say so.
    pub fn quick() -> Self {
        let sizes = Sizes { storm_files: 200, data_bytes: 4 << 20, fan_out: 20, depth: 5, curve_seconds: 3 };
        Self { rounds: 5, warmup: 1, seed: 1, quick: true, caches: vec![Cache::Warm], sizes }
    }

    /// The root file system of such a run unless another one is asked for.
    pub fn usual_shape(&self) -> Shape {
        match self.quick {
            true => Shape { files: 400, bytes: 10 << 20, ..Shape::default() },
            false => Shape::default(),
        }
    }
}

/// Hears how far a run has come.
pub trait Listener {
    /// `done` of `total` parts are done, and the next is `what`.
    fn step(&self, done: u64, total: u64, what: &str);
}

/// Does not listen.
impl Listener for () {
    fn step(&self, _: u64, _: u64, _: &str) {}
}

impl Request {
    /// Fails with [`ErrorKind::InvalidInput`] for what cannot be meant.
    pub(crate) fn validate(&self) -> Result<()> {
        let invalid = |why: String| Err(Error::new(ErrorKind::InvalidInput, why));
        if self.stores.is_empty() {
            return invalid("no store is named: name some, or ask for scratch ones".into());
        }
        for (at, store) in self.stores.iter().enumerate() {
            if self.stores[..at].iter().any(|other| other.name == store.name) {
                return invalid(format!("the store {} is named twice", store.name));
            }
        }
        if self.options.rounds == 0 || self.options.caches.is_empty() {
            return invalid("a run takes at least one round, and one state of the cache".into());
        }
        let sizes = &self.options.sizes;
        if sizes.storm_files < 8 || sizes.data_bytes < 1 << 20 || sizes.fan_out == 0 || sizes.depth == 0 {
            return invalid("sizes are at least 8 files, 1 MiB, one clone and depth 1".into());
        }
        self.workloads().map(drop)
    }

    /// The workloads that were asked for, in their usual order.
    pub(crate) fn workloads(&self) -> Result<Vec<&'static dyn Workload>> {
        let known = |id: &String| workload::ALL.iter().any(|w| w.definition().id == id);
        if let Some(unknown) = self.only.iter().find(|id| !known(id)) {
            let ids: Vec<&str> = workload::ALL.iter().map(|w| w.definition().id).collect();
            let text = format!("there is no workload {unknown:?}: they are {}", ids.join(", "));
            return Err(Error::new(ErrorKind::InvalidInput, text));
        }
        let chosen =
            |w: &&&dyn Workload| self.only.is_empty() || self.only.iter().any(|id| id == w.definition().id);
        Ok(workload::ALL.iter().filter(chosen).copied().collect())
    }

    /// About how many bytes a store needs: the parent, and what is there besides it at any moment, whole copies if the
    /// store makes such. Curves take only what is left.
    pub(crate) fn need(&self) -> Result<u64> {
        const COPIES: u64 = 4;
        const SLACK: u64 = 64 << 20;
        Ok(self.volume()? * COPIES + SLACK)
    }

    /// About how many bytes one volume holds.
    pub(crate) fn volume(&self) -> Result<u64> {
        let sizes = &self.options.sizes;
        let files = sizes.storm_files * 3 * 4096;
        Ok(self.rootfs.estimate()? + files + sizes.data_bytes * crate::fixture::DATA.len() as u64)
    }

    /// What a root file system that is not here may take beyond the estimate.
    pub(crate) fn volume_size(&self) -> Result<u64> {
        // File systems on devices keep some for themselves, and xfs and btrfs have a least size.
        Ok((self.volume()? * 2 + (256 << 20)).next_multiple_of(4 << 20).max(512 << 20))
    }
}
