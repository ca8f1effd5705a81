//! Whether a tree is large, without looking at all of it.

use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{FileType, RawDir};

use crate::dir::{Mounts, SCRATCH, open_dir};

/// What lies deeper counts as large: each level keeps a descriptor and a buffer.
const DEPTH: usize = 24;

/// Whether the entry `name` of `parent` and what lies below it are more than `limit` entries, or lie deep. What cannot be
/// looked into counts as empty.
pub(crate) fn has_more_than(limit: u64, parent: BorrowedFd<'_>, name: &CStr) -> bool {
    let mut left = limit;
    !fits(parent, name, &mut left, DEPTH)
}

fn fits(parent: BorrowedFd<'_>, name: &CStr, left: &mut u64, depth: usize) -> bool {
    let Some(less) = left.checked_sub(1) else { return false };
    *left = less;
    let Ok(dir) = open_dir(parent, name, Mounts::Refuse) else { return true };
    let Some(depth) = depth.checked_sub(1) else { return false };
    let mut buffer = [MaybeUninit::uninit(); SCRATCH];
    let mut entries = RawDir::new(&dir, &mut buffer);
    while let Some(Ok(entry)) = entries.next() {
        if matches!(entry.file_name().to_bytes(), b"." | b"..") {
            continue;
        }
        let fits = match entry.file_type() {
            FileType::Directory | FileType::Unknown => fits(dir.as_fd(), entry.file_name(), left, depth),
            _ => left.checked_sub(1).map(|less| *left = less).is_some(),
        };
        if !fits {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;
    use std::os::fd::AsFd;

    use super::{DEPTH, has_more_than};
    use crate::{ErrorKind, Observer, RemoveOptions, remove_tree};

    struct Limited(u64);

    impl Observer for Limited {
        fn progress(&self, _: u64, _: u64) -> ControlFlow<()> {
            ControlFlow::Continue(())
        }

        fn limit(&self) -> Option<u64> {
            Some(self.0)
        }
    }

    #[test]
    fn what_is_too_large_is_not_begun() {
        let scratch = tempfile::tempdir().unwrap();
        let tree = scratch.path().join("tree");
        std::fs::create_dir(&tree).unwrap();
        for name in ["one", "two"] {
            std::fs::write(tree.join(name), "").unwrap();
        }
        let parent = std::fs::File::open(scratch.path()).unwrap();
        let remove = |limit| {
            let options = RemoveOptions { observer: &Limited(limit), ..RemoveOptions::default() };
            remove_tree(parent.as_fd(), "tree".as_ref(), &options).map(|removed| removed.entries)
        };
        assert_eq!(remove(2).unwrap_err().kind(), ErrorKind::Cancelled);
        assert_eq!(std::fs::read_dir(&tree).unwrap().count(), 2);
        assert_eq!(remove(3).unwrap(), 3);
    }

    #[test]
    fn what_is_below_counts_and_itself() {
        let scratch = tempfile::tempdir().unwrap();
        let tree = scratch.path().join("tree");
        std::fs::create_dir_all(tree.join("a/b")).unwrap();
        for name in ["one", "a/two", "a/b/three"] {
            std::fs::write(tree.join(name), "").unwrap();
        }
        std::os::unix::fs::symlink("a", tree.join("link")).unwrap();
        let parent = std::fs::File::open(scratch.path()).unwrap();
        let more_than = |limit, name| has_more_than(limit, parent.as_fd(), name);
        assert!(more_than(6, c"tree"));
        assert!(!more_than(7, c"tree"));
        assert!(more_than(0, c"nothing"));
        assert!(!more_than(1, c"nothing"));
        std::fs::create_dir_all(tree.join("d/".repeat(DEPTH))).unwrap();
        assert!(more_than(1000, c"tree"));
    }
}
