//! Clones: an empty upper layer over a tree, or a copy of an overlay's upper layer over the same trees.

use std::path::Path;

use hull_mount::Access;
use hull_storage::{
    CopyOnWrite, Kept, Layout, Offer, Placement, Resource, Result, Source, TxId, files, mark,
};
use hull_unionfs::{Chain, layer};

use crate::{OverlayDriver, STORE, upper};

impl CopyOnWrite for OverlayDriver {
    fn offer(&self, from: Source<'_>, _to: &Placement, _access: Access) -> Option<Offer> {
        STORE.offer(from)
    }

    fn clone_volume(&self, from: Source<'_>, to: &Layout, access: Access, _by: TxId) -> Result<Kept> {
        let part = to.parts.first().map(Resource::path).unwrap_or(Path::new(""));
        let lower = Chain::read(&to.at)?.lower;
        STORE.require_lower(&to.at, &lower)?;
        STORE.require_stackable(&lower, "overlayfs", &upper::UNSUITED_AS_LOWER)?;
        let changes = STORE.changes(from)?;
        let (delta, work) = upper::make(part)?;
        match &changes {
            // The source stays writable, so its changes can be no layer of the clone. They are copied as they
            // are: whiteouts, opaque marks and redirects mean the same over the same trees.
            Some(changes) => files::copy(changes, &delta, &())?,
            None => layer::copy_root(&lower[0], &delta, STORE.private)?,
        }
        upper::share_owner(&delta, &work)?;
        if access == Access::ReadOnly {
            STORE.set_read_only(part)?;
        }
        mark::set(part, &mark::inode(part)?)?;
        Ok(None)
    }
}
