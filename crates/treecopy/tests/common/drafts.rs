//! Drafts and updates of trees that change in between.

use std::ffi::OsStr;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::time::Duration;

use hull_treecopy::{CopyOptions, Draft, RemoveOptions, Updated, draft_tree, remove_tree, update_tree};
use hull_treefixture::ScratchFs;
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps};

use super::open;

/// What is older than this is older than a draft's margin.
pub(crate) const SETTLED: Duration = Duration::from_millis(1300);

pub(crate) fn draft(from: &OwnedFd, to: &OwnedFd) -> Draft {
    draft_tree(from.as_fd(), to.as_fd(), &CopyOptions::default()).unwrap_or_else(|e| panic!("draft: {e}"))
}

pub(crate) fn update(from: &OwnedFd, to: &OwnedFd, draft: &Draft, threads: usize) -> Updated {
    let options = CopyOptions { threads, ..CopyOptions::default() };
    let updated = update_tree(from.as_fd(), to.as_fd(), draft, &options);
    updated.unwrap_or_else(|e| panic!("update: {e}"))
}

pub(crate) fn remove(fs: &ScratchFs, name: &str) {
    remove_tree(open(fs.path()).as_fd(), OsStr::new(name), &RemoveOptions::default()).unwrap();
}

/// Sets both times, also of a symlink itself.
pub(crate) fn set_mtime(path: PathBuf, seconds: i64) {
    let time = Timespec { tv_sec: seconds, tv_nsec: 7 };
    let times = Timestamps { last_access: time, last_modification: time };
    rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
}
