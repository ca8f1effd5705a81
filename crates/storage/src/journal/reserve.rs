//! Space kept for the day on which the disk is full: without a record nothing can be deleted, and without deleting
//! something there is no space for a record.

use std::path::Path;

use rustix::fs::{AtFlags, CWD, FallocateFlags, Mode, OFlags};
use rustix::io::Errno;

use crate::error::{Error, Result};

const NAME: &str = ".reserve";
/// A few blocks for records, for directories that grow by a longer name, and for small files that are rewritten.
const SIZE: u64 = 64 << 10;

/// Makes the reserve in `dir` unless it is there. Where it cannot be made there is none.
pub(super) fn keep(dir: &Path) {
    let path = dir.join(NAME);
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let Ok(file) = rustix::fs::openat(CWD, &path, flags, Mode::RUSR | Mode::WUSR) else { return };
    let kept = match rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, SIZE) {
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => {
            std::io::Write::write_all(&mut std::fs::File::from(file), &[0; SIZE as usize]).is_ok()
        }
        other => other.is_ok(),
    };
    if !kept {
        let _ = rustix::fs::unlinkat(CWD, &path, AtFlags::empty());
    }
}

/// Gives the reserve in `dir` up. Whether there was one.
pub(super) fn free(dir: &Path) -> Result<bool> {
    let path = dir.join(NAME);
    match rustix::fs::unlinkat(CWD, &path, AtFlags::empty()) {
        Ok(()) => Ok(true),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(false),
        Err(e) => Err(Error::os(format!("cannot free {}", path.display()), e)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_there_until_it_is_freed() {
        let dir = tempfile::tempdir().unwrap();
        assert!(!free(dir.path()).unwrap());
        keep(dir.path());
        keep(dir.path());
        use std::os::unix::fs::MetadataExt;
        assert!(dir.path().join(NAME).metadata().unwrap().blocks() * 512 >= SIZE, "it occupies its blocks");
        assert!(free(dir.path()).unwrap());
        assert!(!free(dir.path()).unwrap());
    }
}
