//! The mark on a volume's root directory that says that Hull made it.
//!
//! `hull volume rm` deletes only what bears it. The mark names what it is on, so that a copy of the directory
//! made by another program, mark included, does not count. It is the extended attribute `user.hull.volume`
//! (xattr(7)); a file system without extended attributes keeps no marks.

use std::path::Path;

use rustix::fs::XattrFlags;
use rustix::io::Errno;

use crate::error::{Error, Result};

const NAME: &str = "user.hull.volume";

/// Marks the directory `root`; `identity` is what a copy of it would not share (inode number, subvolume id).
///
/// Does nothing where the file system has no extended attributes.
pub fn set(root: &Path, identity: &str) -> Result<()> {
    match rustix::fs::setxattr(root, NAME, identity.as_bytes(), XattrFlags::empty()) {
        Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(()),
        Err(e) => Err(Error::os(format!("cannot mark {} as made by Hull", root.display()), e)),
    }
}

/// Whether `root` bears the mark of `identity`.
pub fn is_set(root: &Path, identity: &str) -> bool {
    let mut value = [0; 128];
    matches!(rustix::fs::lgetxattr(root, NAME, &mut value), Ok(n) if value.get(..n) == Some(identity.as_bytes()))
}

/// The identity of a plain directory: its inode number.
pub fn inode(root: &Path) -> Result<String> {
    let stat =
        rustix::fs::lstat(root).map_err(|e| Error::os(format!("cannot look at {}", root.display()), e))?;
    Ok(format!("inode {}", stat.st_ino))
}
