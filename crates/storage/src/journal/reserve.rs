//! Space kept for the day on which the disk is full: without a record nothing can be deleted, and without deleting
//! something there is no space for a record.

use std::path::Path;

use rustix::fs::{AtFlags, CWD, FallocateFlags, Mode, OFlags};
use rustix::io::Errno;

use crate::error::{Error, Result};

/// Blocks for directories that grow by a longer name and for small files that are rewritten.
const SPACE: Reserve = Reserve { name: ".reserve", size: 64 << 10 };
/// A record yet to be written: where there is no space left, a new file may need more than was freed just now (xfs
/// makes none without room for sixty-four inodes, and fills a reserve of its own up first).
const SPARE: Reserve = Reserve { name: ".spare", size: 16 << 10 };

struct Reserve {
    name: &'static str,
    size: u64,
}

/// Makes the reserves in `dir` unless they are there. Where they cannot be made there are none.
pub(super) fn keep(dir: &Path) {
    for reserve in [SPACE, SPARE] {
        let path = dir.join(reserve.name);
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let Ok(file) = rustix::fs::openat(CWD, &path, flags, Mode::RUSR | Mode::WUSR) else { continue };
        // The files stay empty, as a new record is; blocks are theirs all the same.
        if rustix::fs::fallocate(&file, FallocateFlags::KEEP_SIZE, 0, reserve.size).is_err() {
            let _ = rustix::fs::unlinkat(CWD, &path, AtFlags::empty());
        }
    }
}

/// Gives the space in `dir` up. Whether there was any.
pub(super) fn free(dir: &Path) -> Result<bool> {
    let path = dir.join(SPACE.name);
    // Its blocks are wanted now; those of a removed file may be freed later.
    if let Ok(file) = rustix::fs::openat(CWD, &path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty()) {
        let _ = rustix::fs::ftruncate(&file, 0);
    }
    match rustix::fs::unlinkat(CWD, &path, AtFlags::empty()) {
        Ok(()) => Ok(true),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(false),
        Err(e) => Err(Error::os(format!("cannot free {}", path.display()), e)),
    }
}

/// Makes the spare file of `dir` the record `path`, if there is one: an empty file that has blocks.
pub(super) fn take_spare(dir: &Path, path: &Path) -> bool {
    rustix::fs::renameat(CWD, dir.join(SPARE.name), CWD, path).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_there_until_it_is_freed() {
        let dir = tempfile::tempdir().unwrap();
        assert!(!free(dir.path()).unwrap());
        let record = dir.path().join("x.record");
        assert!(!take_spare(dir.path(), &record));
        keep(dir.path());
        keep(dir.path());
        use std::os::unix::fs::MetadataExt;
        for Reserve { name, size } in [SPACE, SPARE] {
            let found = dir.path().join(name).metadata().unwrap();
            assert!(found.blocks() * 512 >= size && found.len() == 0, "{name} occupies its blocks");
        }
        assert!(take_spare(dir.path(), &record) && record.metadata().unwrap().blocks() > 0);
        assert!(free(dir.path()).unwrap());
        assert!(!free(dir.path()).unwrap());
    }
}
