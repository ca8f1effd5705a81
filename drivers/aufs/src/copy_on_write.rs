//! Clones: an empty upper layer over a tree, or a copy of a volume's upper layer over the same trees.

use hull_mount::Access;
use hull_storage::{
    CopyOnWrite, Error, ErrorKind, Layout, Offer, Placement, Result, Source, TxId, files, mark,
};
use hull_unionfs::{Chain, layer};

use crate::{AufsDriver, STORE, kernel, upper};

impl CopyOnWrite for AufsDriver {
    fn offer(&self, from: Source<'_>, _to: &Placement, _access: Access) -> Option<Offer> {
        STORE.offer(from)
    }

    fn clone_volume(&self, from: Source<'_>, to: &Layout, access: Access, _by: TxId) -> Result<()> {
        if !kernel::has_aufs() {
            // The clone could be made, and nobody could look into it.
            return Err(Error::new(
                ErrorKind::Unsupported,
                "this kernel has no aufs, as no mainline kernel has: clone into overlay, or boot a kernel with aufs",
            ));
        }
        make(from, to, access)
    }
}

/// Makes the clone. Needs nothing of the kernel.
pub(crate) fn make(from: Source<'_>, to: &Layout, access: Access) -> Result<()> {
    let Chain { lower, upper } = Chain::read(&to.at)?;
    STORE.require_lower(&to.at, &lower)?;
    STORE.require_stackable(&lower, "aufs", &upper::UNSUITED_AS_LOWER)?;
    let changes = STORE.changes(from)?;
    files::make_dir(&upper, 0o755, None)?;
    upper::require_usable(&upper)?;
    // In the merged tree, what the upper layer's root has is seen.
    let like = match &changes {
        // The source stays writable, so its changes can be no layer of the clone. They are copied as they are:
        // whiteouts and opaque marks are files, and mean the same over the same trees.
        Some(changes) => {
            files::copy(changes, &upper, &())?;
            upper::forget_mount(&upper)?;
            changes
        }
        None => &lower[0],
    };
    layer::copy_root(like, &upper, STORE.private)?;
    if access == Access::ReadOnly {
        STORE.set_read_only(&upper)?;
    }
    mark::set(&upper, &mark::inode(&upper)?)
}
