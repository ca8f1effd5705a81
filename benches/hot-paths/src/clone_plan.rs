//! What a clone will do, decided by all drivers of the build and not done.
//!
//! A copy of a plain directory, as that is the one clone that is decided alike on every file system.

use std::hint::black_box;
use std::path::Path;

use hull_storage::{Access, CloneMode, NewVolume, Placement, Settings, Store, TxId};

use crate::Round;

/// A directory that every Linux has. It is looked at; nothing is made of it.
const SOURCE: &str = "dir:/usr";
/// Where the clone would be, and the store's journal and locks: neither is ever made.
const TARGET: &str = "/var/lib/lxc/web/rootfs";
const STATE: &str = "/var/lib/lxc/.hull";

/// Fails when the clone cannot be planned.
pub(crate) fn prepare() -> Result<Round, String> {
    let registry = hull_drivers::builtin();
    let store = hull_storage::open(&registry, &Settings::default(), Path::new(STATE));
    let store = store.map_err(|error| error.to_string())?;
    let from = registry.locate(SOURCE.as_ref()).map_err(|error| error.to_string())?;
    let to = Placement::exactly(Path::new(TARGET)).ok_or("the clone's place has no name")?;
    let round = move || plan(&store, &from, &to).map(|new| drop(black_box(new)));
    Ok(Box::new(round))
}

fn plan(store: &Store, from: &hull_storage::Locator, to: &Placement) -> Result<NewVolume, String> {
    let (mode, access) = (CloneMode::SnapshotElseCopy, Access::ReadWrite);
    store.plan_clone(black_box(from), None, to, mode, access, TxId(7)).map_err(|error| error.to_string())
}
