//! How large a tree is.

use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, Statx, StatxFlags};
use rustix::io::Errno;

use crate::dir::{
    Entries, Identity, Mounts, SCRATCH, file_type, open_dir, push_name, reopen_dir, reopen_parent, seek,
    status,
};
use crate::error::{Context, Error, Result};
use crate::limits::Budget;

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

struct Level {
    open: Option<OwnedFd>,
    entries: Entries,
    position: u64,
    identity: Identity,
    path_length: usize,
}

impl Level {
    fn new(dir: OwnedFd, status: &Statx, path_length: usize) -> Self {
        Self {
            open: Some(dir),
            entries: Entries::default(),
            position: 0,
            identity: Identity::of(status),
            path_length,
        }
    }
}

fn measure(dir: BorrowedFd<'_>, path: &mut Vec<u8>) -> Result<Measured> {
    let window = Budget::new(1, 1).window;
    let mut measured = Measured::default();
    let mut links = HashMap::new();
    let mut scratch = Vec::with_capacity(SCRATCH);
    let root = reopen_dir(dir)?;
    let root_status = status(&root).call("statx")?;
    measured.allocated_bytes += root_status.stx_blocks * 512;
    let mut levels = vec![Level::new(root, &root_status, 0)];
    while let Some(level) = levels.last_mut() {
        path.truncate(level.path_length);
        let dir = level.open.as_ref().expect("the lowest level is open: only those above are closed").as_fd();
        let Some((name, _, position)) = level.entries.take() else {
            if level.entries.refill(dir, scratch.spare_capacity_mut()).call("getdents64")? {
                continue;
            }
            let below = levels.pop().and_then(|level| level.open);
            if let (Some(above), Some(below)) = (levels.last_mut(), below)
                && above.open.is_none()
            {
                let dir = reopen_parent(&below, above.identity, Mounts::Refuse)?;
                seek(&dir, above.position).call("lseek")?;
                above.open = Some(dir);
            }
            continue;
        };
        level.position = position;
        push_name(path, name);
        let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
        let found = match rustix::fs::statx(dir, name, flags, StatxFlags::BASIC_STATS) {
            Ok(found) => found,
            Err(Errno::NOENT | Errno::STALE) => continue,
            Err(errno) => return Err(Error::os("statx", errno)),
        };
        if file_type(&found) != FileType::Directory {
            count(&mut measured, &mut links, &found);
            continue;
        }
        match open_dir(dir, name, Mounts::Refuse) {
            Ok(child) => {
                let found = status(&child).call("statx")?;
                count(&mut measured, &mut links, &found);
                levels.push(Level::new(child, &found, path.len()));
                if let Some(outside) = levels.len().checked_sub(window + 1) {
                    levels[outside].open = None;
                    levels[outside].entries = Entries::default();
                }
            }
            // A mount point is an entry; what is mounted there is not part of the tree.
            Err(Errno::XDEV) => measured.entries += 1,
            Err(Errno::NOENT | Errno::STALE | Errno::NOTDIR | Errno::LOOP) => {}
            Err(errno) => return Err(Error::os("openat2(O_DIRECTORY)", errno)),
        }
    }
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
