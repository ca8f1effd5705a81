//! The upper layer: what its file system must be able to do, and what only a mount of it meant.

use std::path::Path;

use hull_storage::{Error, ErrorKind, Resource, Result, files};
use hull_unionfs::layer::{self, Kind};

use crate::NAME;

/// aufs itself.
const AUFS: Kind = (0x6175_6673, "another aufs");
/// A file system that stacks, too.
const ECRYPTFS: Kind = (0xf15f, "eCryptfs");

/// File systems that aufs takes for no branch: they are stacks themselves.
pub(crate) const UNSUITED_AS_LOWER: [Kind; 3] = [layer::OVERLAYFS, AUFS, ECRYPTFS];

/// File systems that aufs takes for no writable branch: stacks, and what has no hard links.
const UNSUITED: [Kind; 5] = [layer::OVERLAYFS, AUFS, ECRYPTFS, layer::FAT, layer::EXFAT];

/// Directories in the root of an upper layer that mean something to the aufs that has it mounted, and to no other:
/// names by inode number for hard links that were copied up, and what was deleted while it was open.
const OF_A_MOUNT: [&str; 2] = [".wh..wh.plnk", ".wh..wh.orph"];

/// Fails, with the reason, when aufs could not write to the directory `upper`.
pub(crate) fn require_usable(upper: &Path) -> Result<()> {
    match layer::kind_among(upper, &UNSUITED) {
        None => Ok(()),
        Some(kind) => Err(Error::new(
            ErrorKind::Unsupported,
            format!(
                "aufs cannot keep changes in {}, which is on {kind}: use a place on ext4, xfs, btrfs or tmpfs, \
                 or another store",
                upper.display()
            ),
        )),
    }
}

/// Removes from the copy of an upper layer what spoke of the mount of the original. The file that all whiteouts are
/// links to, `.wh..wh.aufs`, stays.
pub(crate) fn forget_mount(upper: &Path) -> Result<()> {
    OF_A_MOUNT
        .iter()
        .try_for_each(|name| files::reclaim(&Resource::new(NAME, upper.join(name)), &()).map(drop))
}
