//! Clones: an empty upper layer over a tree, or a copy of an overlay's upper layer over the same trees.

use std::path::{Path, PathBuf};

use hull_mount::{Access, MountSource};
use hull_storage::{
    CopyOnWrite, Cost, Driver, Error, ErrorKind, Layout, Offer, Placement, Resource, Result, Source, Tie,
    TxId, files, mark,
};

use crate::chain::Chain;
use crate::driver::{existing, require_lower};
use crate::{OverlayDriver, upper};

impl CopyOnWrite for OverlayDriver {
    /// Clones an overlay by copying what it changed, and any store's volume that is a directory tree for nothing.
    fn offer(&self, from: Source<'_>, _to: &Placement, _access: Access) -> Option<Offer> {
        let cost = match from.driver.name() == self.name() {
            true => Chain::read(from.at).ok().map(|_| Cost::PerChange)?,
            false => is_tree(from).then_some(Cost::Constant)?,
        };
        Some(Offer { cost, tie: Tie::Unguarded })
    }

    fn clone_volume(&self, from: Source<'_>, to: &Layout, access: Access, _by: TxId) -> Result<()> {
        let part = to.parts.first().map(Resource::path).unwrap_or(Path::new(""));
        let lower = Chain::read(&to.at)?.lower;
        require_lower(&to.at, &lower)?;
        require_stackable(&lower)?;
        let changes = match from.driver.name() == self.name() {
            true => Some(existing(from.at)?.upper),
            false => None,
        };
        let (delta, work) = upper::make(part)?;
        match &changes {
            // The source stays writable, so its changes can be no layer of the clone. They are copied as they
            // are: whiteouts, opaque marks and redirects mean the same over the same trees.
            Some(changes) => files::copy(changes, &delta, &())?,
            None => upper::copy_root(&lower[0], &delta)?,
        }
        upper::share_owner(&delta, &work)?;
        if access == Access::ReadOnly {
            upper::set_read_only(part)?;
        }
        mark::set(part, &mark::inode(part)?)
    }
}

/// Whether the volume is a directory tree and its locator is its path: only then can the clone's locator name
/// it. One that went away meanwhile may have been: making the clone says better than "no offer" what is wrong.
fn is_tree(from: Source<'_>) -> bool {
    if from.driver.capabilities().block_backed || !from.at.path().is_absolute() {
        return false;
    }
    match from.driver.activate(from.at, Access::ReadOnly) {
        Ok(ready) => matches!(&ready.plan.source, MountSource::Tree(path) if path == from.at.path()),
        Err(e) => e.kind() == ErrorKind::NotFound,
    }
}

/// Fails, with the reason, when overlayfs cannot lie over a layer.
fn require_stackable(lower: &[PathBuf]) -> Result<()> {
    match lower.iter().find_map(|path| Some((path, upper::unsuited_as_lower(path)?))) {
        None => Ok(()),
        Some((path, name)) => Err(Error::new(
            ErrorKind::Unsupported,
            format!(
                "overlayfs cannot lie over {}, which is on {name}: make a copy in another store",
                path.display()
            ),
        )),
    }
}
