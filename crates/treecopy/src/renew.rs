//! What an earlier copy holds under an entry's name: the same, or something that has to go first.
//!
//! An inode with several links is the one case where an entry that has not changed may have to: when a directory is
//! moved, the links inside get new names without a new change time, and must join those that stayed. So
//! every such inode is staged, be it copied anew or found in the earlier copy, and all its names are linked to that.

use std::ffi::{CStr, OsStr};
use std::mem::MaybeUninit;
use std::ops::ControlFlow;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Statx, StatxAttributes, StatxTimestamp};
use rustix::io::Errno;

use crate::attributes::copy_times;
use crate::copy::Counts;
use crate::dir::{
    Entries, Identity, Mounts, SCRATCH, file_type, open_dir, open_entry, seek, status, statx_entry,
};
use crate::draft::{Draft, Threshold};
use crate::entry::{Child, EntryCopier, Pair};
use crate::error::{Context, Error, Result};
use crate::links::Staging;
use crate::remove::{RemoveOptions, remove_tree};
use crate::unlock::{Access, open_locked_dir};
use crate::xattr::{Inode, remove_default_acl};

/// What an earlier copy holds.
pub(crate) struct Earlier<'a> {
    draft: &'a Draft,
    threshold: Option<Threshold>,
    unchanged: AtomicU64,
    removed: AtomicU64,
}

/// What became of what the earlier copy held.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Renewed {
    pub(crate) unchanged: u64,
    pub(crate) removed: u64,
}

impl<'a> Earlier<'a> {
    pub(crate) fn new(draft: &'a Draft) -> Self {
        let (unchanged, removed) = Default::default();
        Self { draft, threshold: draft.threshold(), unchanged, removed }
    }

    pub(crate) fn outcome(self) -> Renewed {
        Renewed { unchanged: self.unchanged.into_inner(), removed: self.removed.into_inner() }
    }

    /// Whether the draft made `copy` from the inode of that status, which has a name in the directory of `pair` that has
    /// been copied to the copy's: it remembers, or no name in there has been given to another inode since.
    fn is_of(&self, source: &Statx, copy: Identity, pair: &Pair) -> Result<bool> {
        Ok(self.draft.has_pair(source, copy) || self.is_older(&status(&pair.source).call("statx")?))
    }

    fn is_older(&self, status: &Statx) -> bool {
        self.threshold.is_some_and(|threshold| threshold.is_older(status))
    }
}

/// What is found in the destination under the name of an entry.
pub(crate) enum Compared {
    /// A good copy of it.
    Same,
    /// The copy of that very directory, whose entries may have changed.
    Directory(Box<Child>),
    /// Nothing, not any more at least: it is to be copied.
    Different,
}

impl EntryCopier<'_> {
    /// Looks what the destination has for the entry `name`, and removes it if it is not a good copy.
    pub(crate) fn compare(&mut self, pair: &Pair, name: &CStr) -> Result<Compared> {
        let copier = self.copier;
        let Some(earlier) = &copier.earlier else { return Ok(Compared::Different) };
        let Some(target) = find(&pair.target, name)? else { return Ok(Compared::Different) };
        // What vanished is removed when its directory is done.
        let Some(source) = find(&pair.source, name)? else { return Ok(Compared::Different) };
        let kind = file_type(&source);
        // The copy of a mount point is easily made anew.
        let comparable =
            kind == file_type(&target) && !(copier.mounts == Mounts::Refuse && is_mount_point(&source));
        if comparable && kind == FileType::Directory {
            if let Some(child) = self.find_directory(pair, name)? {
                Counts::one(&earlier.unchanged);
                self.tally.add(1, 0)?;
                return Ok(Compared::Directory(Box::new(child)));
            }
        } else if comparable {
            let mut same = earlier.is_older(&source)
                && is_alike(&source, &target)
                && earlier.is_of(&source, Identity::of(&target), pair)?;
            if source.stx_nlink > 1 {
                let staged = Staging::name_of(&source);
                same = copier.staging.adopt(&staged, &pair.target, name, &target, same)?;
            }
            if same {
                Counts::one(&earlier.unchanged);
                self.renew_access_time(pair, name, &source, &target)?;
                self.tally.add(1, 0)?;
                return Ok(Compared::Same);
            }
        }
        self.remove(pair, name, file_type(&target))?;
        Ok(Compared::Different)
    }

    /// Removes from the copy of a directory what the directory has not, or not any more. `at_top`: it is the root.
    pub(crate) fn remove_vanished(&mut self, pair: &Pair, at_top: bool) -> Result<()> {
        let mut scratch = vec![MaybeUninit::uninit(); SCRATCH];
        let mut entries = Entries::default();
        // Removing while reading makes some file systems skip entries.
        loop {
            let mut any = false;
            seek(&pair.target, 0).call("lseek")?;
            while entries.refill(&pair.target, &mut scratch).call("getdents64")? {
                while let Some((name, kind, _)) = entries.take() {
                    if at_top && self.copier.staging.is_at_top(name) || find(&pair.source, name)?.is_some() {
                        continue;
                    }
                    any = true;
                    self.remove(pair, name, kind)?;
                }
            }
            if !any {
                return Ok(());
            }
        }
    }

    /// Opens the directory `name` and its copy, ready to be written to; `None` if the copy is another one's.
    fn find_directory(&mut self, pair: &Pair, name: &CStr) -> Result<Option<Child>> {
        let copier = self.copier;
        let Some(earlier) = &copier.earlier else { return Ok(None) };
        // Copying tells what is wrong with it.
        let Ok(source) = open_dir(&pair.source, name, copier.mounts) else { return Ok(None) };
        let source_status = status(&source).call("statx")?;
        let access = Access { proc: &copier.proc, clear_immutable: true };
        let target = open_locked_dir(&access, pair.target.as_fd(), name)?;
        let target_identity = Identity::of(&status(&target).call("statx")?);
        if !earlier.is_of(&source_status, target_identity, pair)? {
            return Ok(None);
        }
        copier.refuse_inside(Identity::of(&source_status))?;
        // As it was when it was made: for nobody else to look into, and nothing to inherit in it.
        copier.proc.chmod(&target, Mode::RWXU).call("fchmodat")?;
        remove_default_acl(target.as_fd())?;
        Ok(Some(Child { pair: Pair { source, target }, source_status, target_identity }))
    }

    /// Reading changes no change time.
    fn renew_access_time(&self, pair: &Pair, name: &CStr, source: &Statx, target: &Statx) -> Result<()> {
        if stamp(source.stx_atime) == stamp(target.stx_atime) {
            return Ok(());
        }
        let entry = open_entry(&pair.target, name, OFlags::PATH, Mounts::Refuse).call("openat2(O_PATH)")?;
        copy_times(source, Inode::PathOnly(entry.as_fd()))
    }

    /// Removes an entry of the copy with all that is below it.
    fn remove(&self, pair: &Pair, name: &CStr, kind: FileType) -> Result<()> {
        let copier = self.copier;
        let Some(earlier) = &copier.earlier else { return Ok(()) };
        if !matches!(kind, FileType::Directory | FileType::Unknown)
            && rustix::fs::unlinkat(&pair.target, name, AtFlags::empty()).is_ok()
        {
            Counts::one(&earlier.removed);
            return Ok(());
        }
        let go_on = |_, _| match copier.progress.report() {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        };
        let options = RemoveOptions { threads: 1, observer: &go_on, ..RemoveOptions::default() };
        let removed = remove_tree(pair.target.as_fd(), OsStr::from_bytes(name.to_bytes()), &options)?;
        earlier.removed.fetch_add(removed.entries, Ordering::Relaxed);
        Ok(())
    }
}

fn find(dir: impl AsFd, name: &CStr) -> Result<Option<Statx>> {
    match statx_entry(dir, name) {
        Ok(status) => Ok(Some(status)),
        Err(Errno::NOENT | Errno::STALE) => Ok(None),
        Err(errno) => Err(Error::os("statx", errno)),
    }
}

/// Linux 5.8 tells.
fn is_mount_point(status: &Statx) -> bool {
    status.stx_attributes_mask.contains(StatxAttributes::MOUNT_ROOT)
        && status.stx_attributes.contains(StatxAttributes::MOUNT_ROOT)
}

/// Whether two entries of one type could be copies of each other, as far as their status says. Times to the nanosecond: a
/// file system that rounds them costs a copy. So do an owner that was not kept, or moved to another id.
fn is_alike(source: &Statx, target: &Statx) -> bool {
    let attributes = |status: &Statx| {
        let device = (status.stx_rdev_major, status.stx_rdev_minor);
        (status.stx_mode, status.stx_uid, status.stx_gid, device, status.stx_size, stamp(status.stx_mtime))
    };
    // The size of anything else than a file or a symlink is its file system's affair, and 0 on the usual ones.
    attributes(source) == attributes(target)
}

fn stamp(time: StatxTimestamp) -> (i64, u32) {
    (time.tv_sec, time.tv_nsec)
}
