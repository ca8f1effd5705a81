//! The first of two passes over a tree that changes, and what the second must know of it.

use std::collections::HashSet;
use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::BuildHasher;
use std::os::fd::BorrowedFd;
use std::sync::{Mutex, PoisonError};

use rustix::fs::{Statx, StatxTimestamp};
use rustix::time::{ClockId, clock_gettime};

use crate::copy::{Copier, CopyOptions, Part};
use crate::dir::{Identity, reopen_dir};
use crate::error::{Context, Result};

/// An earlier copy of a tree that may have changed since; [`update_tree`](crate::update_tree) brings it up to date.
///
/// The default one is of nothing: all is yet to be copied.
#[derive(Debug, Default)]
pub struct Draft {
    since: Option<Since>,
    pairs: Pairs,
}

/// Copies what can be copied of `from`, which may change meanwhile, into the empty directory `to`.
///
/// The copy is of no moment; it is a copy of the tree only after [`update_tree`](crate::update_tree) with what is returned,
/// while nobody writes to the tree. What vanishes or moves meanwhile is left out, and is no error. Where the times of
/// change cannot be relied upon, nothing is copied yet: on a file system other than ext2/3/4, xfs, btrfs, f2fs
/// and zfs, and without [`CopyOptions::one_file_system`]. tmpfs is left out as it tells of no write to a mapped page
/// but the first.
///
/// Writes each file's dirty pages out before it reads it (sync_file_range(2)): a write to a mapped page changes the file's
/// times only if the page was clean before. Remembers what it copied to what, of a million inodes at most, in some 16 bytes each.
/// Otherwise as [`copy_tree`](crate::copy_tree).
pub fn draft_tree(from: BorrowedFd<'_>, to: BorrowedFd<'_>, options: &CopyOptions<'_>) -> Result<Draft> {
    let nothing = Draft::default();
    let source = reopen_dir(from)?;
    if !options.one_file_system || !tells_changes(rustix::fs::fstatfs(&source).call("fstatfs")?.f_type as u64)
    {
        return Ok(nothing);
    }
    let draft = Draft { since: Some(Since::now()), ..nothing };
    Copier::run(from, to, options, Part::First(&draft.pairs)).map_err(|error| error.at(b""))?;
    Ok(draft)
}

impl Draft {
    /// Whether the inode's status may have changed since the draft was begun.
    pub(crate) fn threshold(&self) -> Option<Threshold> {
        self.since.as_ref().and_then(Since::threshold)
    }

    /// Whether the draft remembers that `copy` was made from the inode of that status, under whatever name.
    pub(crate) fn has_pair(&self, source: &Statx, copy: Identity) -> bool {
        self.pairs.contains(source, copy)
    }
}

/// Whether a file system of this magic number (statfs(2)) sets an inode's change time by the kernel's clock whenever its
/// content, attributes or number of names change, a directory's whenever its names do, and at the first write to each
/// clean mapped page.
fn tells_changes(magic: u64) -> bool {
    const EXT: u64 = 0xef53;
    const XFS: u64 = 0x5846_5342;
    const BTRFS: u64 = 0x9123_683e;
    const F2FS: u64 = 0xf2f5_2010;
    const ZFS: u64 = 0x2fc1_2fc1;
    // The word is signed on some machines.
    matches!(magic & 0xffff_ffff, EXT | XFS | BTRFS | F2FS | ZFS)
}

/// A change time from which on a change may be one that an earlier copy lacks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Threshold(i128);

impl Threshold {
    /// Whether the inode has not been changed since.
    pub(crate) fn is_older(self, status: &Statx) -> bool {
        nanoseconds(status.stx_ctime) < self.0
    }
}

/// When a draft was begun, in nanoseconds.
#[derive(Debug, Clone, Copy)]
struct Since {
    begun: i128,
    /// How far the clock was from one that nobody sets.
    offset: i128,
}

impl Since {
    /// File times are taken from a coarse clock, at most 10 ms behind (`CONFIG_HZ` 100). The rest is to be on the safe side.
    const MARGIN: i128 = 1_000_000_000;

    fn now() -> Self {
        Self { begun: read(ClockId::RealtimeCoarse), offset: offset() }
    }

    /// `None` when the clock has been set since, so that change times say nothing.
    fn threshold(&self) -> Option<Threshold> {
        let moved = offset() - self.offset;
        (moved.abs() < Self::MARGIN / 2).then_some(Threshold(self.begun - Self::MARGIN))
    }
}

fn offset() -> i128 {
    read(ClockId::Realtime) - read(ClockId::Boottime)
}

fn read(clock: ClockId) -> i128 {
    let time = clock_gettime(clock);
    i128::from(time.tv_sec) * 1_000_000_000 + i128::from(time.tv_nsec)
}

fn nanoseconds(stamp: StatxTimestamp) -> i128 {
    i128::from(stamp.tv_sec) * 1_000_000_000 + i128::from(stamp.tv_nsec)
}

/// Which inode was copied to which. A change time does not tell: moving a directory does not touch what lies in it, and
/// xfs does not touch two entries of one directory that are exchanged (`RENAME_EXCHANGE`).
pub(crate) struct Pairs {
    /// One number for each, which nobody who does not know the state can make two pairs share.
    known: Mutex<HashSet<u64>>,
    state: RandomState,
}

impl Pairs {
    /// Some 16 MiB.
    const MOST: usize = 1 << 20;

    /// Remembers a pair, unless there are too many: one that is not known is at worst copied once more.
    pub(crate) fn insert(&self, source: &Statx, copy: Identity) {
        let number = self.number(source, copy);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() < Self::MOST {
            known.insert(number);
        }
    }

    fn contains(&self, source: &Statx, copy: Identity) -> bool {
        let number = self.number(source, copy);
        self.known.lock().unwrap_or_else(PoisonError::into_inner).contains(&number)
    }

    /// Without the copy's device, which may be mounted anew between the passes.
    fn number(&self, source: &Statx, copy: Identity) -> u64 {
        let device = (source.stx_dev_major, source.stx_dev_minor);
        let birth = nanoseconds(source.stx_btime);
        self.state.hash_one((device, source.stx_ino, birth, copy.inode()))
    }
}

impl Default for Pairs {
    fn default() -> Self {
        Self { known: Mutex::default(), state: RandomState::new() }
    }
}

impl fmt::Debug for Pairs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pairs").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dir::status;

    #[test]
    fn a_change_is_seen_and_an_old_file_is_old() {
        let file = tempfile::tempfile().unwrap();
        let status = status(&file).unwrap();
        let now = Since::now();
        assert!(!now.threshold().unwrap().is_older(&status), "made within the margin");
        let later = Since { begun: now.begun + 2 * Since::MARGIN, ..now };
        assert!(later.threshold().unwrap().is_older(&status));
    }

    #[test]
    fn a_clock_that_was_set_is_not_relied_upon() {
        let now = Since::now();
        assert!(now.threshold().is_some());
        for step in [-3600, -1, 1, 3600] {
            let set = Since { offset: now.offset + step * 1_000_000_000, ..now };
            assert!(set.threshold().is_none(), "{step} s");
        }
        assert!(Draft::default().threshold().is_none());
    }

    #[test]
    fn pairs_are_of_two_inodes() {
        let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let [one, other] =
            dirs.each_ref().map(|dir| status(std::fs::File::open(dir.path()).unwrap()).unwrap());
        let pairs = Pairs::default();
        pairs.insert(&one, Identity::of(&other));
        assert!(pairs.contains(&one, Identity::of(&other)));
        assert!(!pairs.contains(&other, Identity::of(&one)));
        assert!(!pairs.contains(&one, Identity::of(&one)));
    }

    #[test]
    fn file_systems_whose_times_tell() {
        assert!(tells_changes(0xef53) && tells_changes(0xffff_ffff_9123_683e));
        assert!(!tells_changes(0x0102_1994), "tmpfs");
        assert!(!tells_changes(0x794c_7630), "overlayfs");
    }
}
