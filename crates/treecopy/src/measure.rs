//! How large a tree is.

use std::collections::HashMap;
use std::os::fd::BorrowedFd;

use rustix::fs::{AtFlags, FileType, Statx, StatxFlags};
use rustix::io::Errno;

use crate::descend::descend;
use crate::dir::{Mounts, file_type, open_dir, reopen_dir, status};
use crate::error::{Context, Error, Result};

/// The size of a tree.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Measured {
    /// All entries except the root; each hard link is one.
    pub entries: u64,
    /// The sum of the sizes of regular files, hard links counted once: what
    /// [`Observer::progress`](crate::Observer::progress) reaches in a copy.
    pub apparent_bytes: u64,
    /// The space the file system says the tree takes, root and directories included, hard links counted
    /// once. Blocks shared by reflinks count in each file.
    pub allocated_bytes: u64,
}

/// Measures the tree below the directory `dir`, without what is mounted inside.
///
/// Entries that vanish meanwhile do not count. Memory grows with the number of inodes some of whose links
/// were not met yet, about 40 bytes each. Fails on the first directory it cannot read.
pub fn measure_tree(dir: BorrowedFd<'_>) -> Result<Measured> {
    let mut path = Vec::new();
    measure(dir, &mut path).map_err(|error| error.at(&path))
}

fn measure(dir: BorrowedFd<'_>, path: &mut Vec<u8>) -> Result<Measured> {
    let mut measured = Measured::default();
    let mut links = HashMap::new();
    let root = reopen_dir(dir)?;
    measured.allocated_bytes += status(&root).call("statx")?.stx_blocks * 512;
    descend(root, path, |dir, name, _| {
        let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
        let found = match rustix::fs::statx(dir, name, flags, StatxFlags::BASIC_STATS) {
            Ok(found) => found,
            Err(Errno::NOENT | Errno::STALE) => return Ok(None),
            Err(errno) => return Err(Error::os("statx", errno)),
        };
        if file_type(&found) != FileType::Directory {
            count(&mut measured, &mut links, &found);
            return Ok(None);
        }
        match open_dir(dir, name, Mounts::Refuse) {
            Ok(child) => {
                let found = status(&child).call("statx")?;
                count(&mut measured, &mut links, &found);
                return Ok(Some((child, found)));
            }
            // A mount point is an entry; what is mounted there is not part of the tree.
            Err(Errno::XDEV) => measured.entries += 1,
            Err(Errno::NOENT | Errno::STALE | Errno::NOTDIR | Errno::LOOP) => {}
            Err(errno) => return Err(Error::os("openat2(O_DIRECTORY)", errno)),
        }
        Ok(None)
    })?;
    Ok(measured)
}

/// Adds an inode, unless another link to it was met; `links` tells how many links of it are still to come.
fn count(measured: &mut Measured, links: &mut HashMap<(u32, u32, u64), u32>, found: &Statx) {
    measured.entries += 1;
    let kind = file_type(found);
    if kind != FileType::Directory && found.stx_nlink > 1 {
        let key = (found.stx_dev_major, found.stx_dev_minor, found.stx_ino);
        if let Some(left) = links.get_mut(&key) {
            *left -= 1;
            if *left == 0 {
                links.remove(&key);
            }
            return;
        }
        links.insert(key, found.stx_nlink - 1);
    }
    measured.allocated_bytes += found.stx_blocks * 512;
    if kind == FileType::RegularFile {
        measured.apparent_bytes += found.stx_size;
    }
}
