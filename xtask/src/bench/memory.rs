//! The memory that a clone of a large tree takes, and the limit for it.

use std::fs;
use std::path::Path;

use super::{peak, tree};
use crate::{Result, process};

/// What a clone may have resident at most, however many entries the tree has: 64 MiB, in KiB.
pub(super) const LIMIT_KIB: u64 = 64 << 10;

/// Makes a dir container of a tree of `entries` entries below `folder`, has `hull` copy it, and returns the peak of that
/// in KiB. Fails when the copy is not as large as the tree.
pub(super) fn clone_peak_kib(hull: &Path, folder: &Path, entries: u64) -> Result<u64> {
    let lxcpath = folder.join("lxc");
    let rootfs = lxcpath.join("tree/rootfs");
    let config =
        format!("lxc.uts.name = tree\nlxc.net.0.type = empty\nlxc.rootfs.path = dir:{}\n", rootfs.display());
    let cannot = |error: std::io::Error| format!("cannot make {}: {error}", rootfs.display());
    fs::create_dir_all(&rootfs)
        .and_then(|()| fs::write(lxcpath.join("tree/config"), config))
        .map_err(cannot)?;
    tree::make(&rootfs, entries)?;
    let mut clone = process::command(hull);
    clone.arg("--lxcpath").arg(&lxcpath).args(["clone", "--copy", "tree", "copy"]);
    let peak = peak::peak_kib(&clone)?;
    // A copy of less would need less.
    let copied = tree::count(&lxcpath.join("copy/rootfs"))?;
    if copied != entries {
        return Err(format!("the clone of {entries} entries has {copied}; that is a fault of the copy"));
    }
    Ok(peak)
}
