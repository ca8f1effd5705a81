//! Volumes on any backing store: clone, snapshot and mount, safe against crashes at any point.
//!
//! A *volume* is a container's root file system, or any tree kept like one. Where it lies is its [`Locator`]:
//! `dir:/srv/rootfs`. A [`Driver`] knows one kind of backing store. It names things and does single acts, and
//! that is all; the [`Store`] plans, locks, journals, rolls back and recovers for all of them:
//!
//! 1. An operation is decided first, as a [`Plan`]: a list of steps that can be printed before anything happens.
//! 2. The plan is written to the [`Journal`], then carried out step by step, each noted before it begins. New
//!    volumes are made under names that carry the transaction's id and moved into place; old ones are moved
//!    aside and deleted after the commit.
//! 3. Whoever dies on the way leaves a record. [`Store::recover`], called at the start of every command,
//!    finishes or undoes it. Only names that carry the record's id are ever deleted.
//!
//! What a store cannot do is absent, not an error: [`Driver::copy_on_write`] answers `None`. No code outside a
//! driver compares driver names.
//!
//! ```no_run
//! use hull_storage::{Access, CloneMode, Placement, Registry, Settings, open};
//! use std::path::Path;
//!
//! # fn demo(registration: hull_storage::Registration) -> hull_storage::Result<()> {
//! let registry = Registry::default().with(registration);
//! let store = open(&registry, &Settings::default(), Path::new("/var/lib/mine"))?;
//! let image = registry.locate("/srv/image".as_ref())?;
//! let to = Placement::exactly(Path::new("/srv/root1")).expect("it has a name");
//! let root = store.clone_volume(&image, None, &to, CloneMode::SnapshotElseCopy, Access::ReadWrite)?.at;
//! println!("{}", store.activate(&root, Access::ReadWrite)?.plan);
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod capability;
mod choose;
mod driver;
mod encode;
mod error;
mod facets;
pub mod files;
pub mod host;
mod journal;
pub mod lock;
pub mod mark;
mod name;
pub mod paths;
mod placement;
mod plan;
mod reclaim;
mod registry;
mod still;
mod store;
pub mod stream;
mod transaction;
mod volume;

use std::path::Path;
use std::time::Duration;

pub use capability::{Capabilities, Cost, Offer, Tie};
pub use choose::{CloneMode, Method, choose};
pub use driver::{Driver, Outcome, Source};
pub use error::{Error, ErrorKind, Result};
pub use facets::{
    BlockImage, Blocks, Capacity, CopyOnWrite, Enumerate, Kept, Listed, StreamFormat, Transfer,
};
pub use host::{Host, RealHost};
pub use hull_mount::Access;
pub use hull_treecopy::{Draft, Observer};
pub use journal::{Durability, FileJournal, Journal, Record, Seen};
pub use name::{DriverName, Layout, Locator, Mark, Resource, TxId};
pub use placement::Placement;
pub use plan::{Content, Doomed, HOME, Patch, Plan, Step, lies_in};
pub use reclaim::{Effort, Reclaim, Reclaimed};
pub use registry::{Absent, Availability, Registration, Registry, Settings};
pub use still::Still;
pub use store::{NewVolume, Recovered, Store};
pub use transaction::Transaction;
pub use volume::{Activation, Bytes, Held, Usage, VolumeInfo, VolumeSpec};

/// A store of all drivers in `registry`, with its journal and locks below the directory `state`, silent, safe
/// against `kill -9`. What it finds in the journal is settled by [`Store::recover`], not here.
pub fn open(registry: &Registry, settings: &Settings, state: &Path) -> Result<Store> {
    let drivers = registry.drivers().iter().map(|r| (r.open)(settings)).collect();
    let durability = Durability::Crash;
    Ok(Store::new(
        drivers,
        Box::new(FileJournal::new(state.join("journal"), durability)),
        Box::new(RealHost::new(Box::new(()), durability)),
        lock::VolumeLocks::new(state.join("lock"), lock::Wait::UpTo(Duration::from_secs(30))),
    ))
}
