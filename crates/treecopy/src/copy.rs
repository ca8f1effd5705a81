//! Copying a tree: the call, its options and its outcome.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::io::Errno;

use crate::attributes::{Lost, copy_attributes};
use crate::crew::Crew;
use crate::data::Refused;
use crate::dir::{Identity, Mounts, ProcDescriptors, reopen_dir, status};
use crate::draft::{Draft, Pairs};
use crate::error::{Context, Error, ErrorKind, Result};
use crate::idshift::IdShift;
use crate::limits::Budget;
use crate::links::Staging;
use crate::observe::{Observer, Progress};
use crate::renew::{Earlier, Renewed};
use crate::walk::{Subtree, Task, Walker};
use crate::xattr::{Inode, XattrBuffers, remove_default_acl};

/// What to do with something that this caller cannot keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Keep {
    /// Fail, naming the entry.
    #[default]
    Strictly,
    /// Go on without it where the caller lacks the permission, and count it in [`Copied`].
    WherePermitted,
}

/// How to copy.
#[derive(Debug)]
pub struct CopyOptions<'a> {
    /// Leave other mounts inside the tree out, keeping an empty directory (or file) with the owner, mode
    /// and times of what is mounted there, for what it covers cannot be seen. Btrfs subvolumes are no
    /// mounts and are copied. On by default.
    pub one_file_system: bool,
    /// Worker threads, the caller's among them; 0 means one per core. Fewer are used where the limit on
    /// open files is low.
    pub threads: usize,
    /// Moves owners, ACL entries and file capabilities to other ids.
    pub shift: Option<IdShift>,
    /// What to do with device nodes the caller may not make (leave out). Whiteouts (character device 0:0)
    /// need no permission (Linux 5.8).
    pub devices: Keep,
    /// What to do with owners the caller may not give (leave the caller's, and drop set-id bits).
    pub owners: Keep,
    /// What to do with extended attributes the caller may not set or the destination does not take (drop).
    pub xattrs: Keep,
    /// Hears about progress and may cancel.
    pub observer: &'a dyn Observer,
}

impl Default for CopyOptions<'_> {
    fn default() -> Self {
        Self {
            one_file_system: true,
            threads: 0,
            shift: None,
            devices: Keep::Strictly,
            owners: Keep::Strictly,
            xattrs: Keep::Strictly,
            observer: &(),
        }
    }
}

/// What was copied.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Copied {
    /// Entries made in the destination, not counting its root.
    pub entries: u64,
    /// The sum of the sizes of regular files, hard links counted once.
    pub bytes: u64,
    /// Regular files that share their blocks with the source.
    pub cloned_files: u64,
    /// Further links to inodes that were copied already.
    pub hard_links: u64,
    /// Entries that were gone when their turn came.
    pub vanished: u64,
    /// Files that grew or shrank while they were copied, and entries that were met twice because the
    /// directory changed while it was read. A tree at rest has none.
    pub changed: u64,
    /// Mount points whose content was left out.
    pub mount_points: u64,
    /// Device nodes left out under [`Keep::WherePermitted`].
    pub devices_left_out: u64,
    /// Entries whose owner was not kept under [`Keep::WherePermitted`].
    pub owners_lost: u64,
    /// Extended attributes that were not kept under [`Keep::WherePermitted`].
    pub xattrs_lost: u64,
}

/// Copies the content and the attributes of the directory `from` into the existing directory `to`.
///
/// Keeps type, owner, group, mode, times of access and modification, extended attributes (ACLs, file
/// capabilities and overlay's among them; Hull's own marks `user.hull.*` and `trusted.hull.*` are left
/// out), hard links, symlinks, sockets, fifos, device nodes and holes. Does not keep inode flags
/// (`chattr`), project ids, birth and change times. Shares blocks with the source where the file systems
/// can. Nothing is synced to disk.
///
/// Requires that both are directories the caller may read and search, Linux 5.8, and a mounted /proc.
/// `from` may be the root of a detached mount, and descriptors may be `O_PATH`. No path is resolved:
/// all work happens below the two descriptors.
///
/// Fails on the first entry that cannot be kept; then `to` holds part of the copy, for the caller to
/// remove. `to` should be empty: an entry of the same name is [`ErrorKind::AlreadyExists`] and is not
/// touched. When the source changes meanwhile, each entry is copied as it was found and what vanished is
/// counted; a directory that is moved while the copy is inside may end it with [`ErrorKind::Changed`].
pub fn copy_tree(from: BorrowedFd<'_>, to: BorrowedFd<'_>, options: &CopyOptions<'_>) -> Result<Copied> {
    Copier::run(from, to, options, Part::Whole).map(|(copied, _)| copied).map_err(|error| error.at(b""))
}

/// Which part of a copy is made.
#[derive(Clone, Copy)]
pub(crate) enum Part<'a> {
    /// All of it, at once.
    Whole,
    /// The first, of a tree that changes: what cannot be copied for that is left out.
    First(&'a Pairs),
    /// The second, of what has changed since the first.
    Second(&'a Draft),
}

/// What all workers share.
pub(crate) struct Copier<'a> {
    pub(crate) options: &'a CopyOptions<'a>,
    pub(crate) mounts: Mounts,
    pub(crate) budget: Budget,
    pub(crate) proc: ProcDescriptors,
    pub(crate) staging: Staging,
    pub(crate) refused: Refused,
    pub(crate) progress: Progress<'a>,
    pub(crate) counts: Counts,
    /// The destination, which must not lie inside the source.
    destination: Identity,
    /// Whether an entry met in the destination, where none is expected, is one this copy made.
    pub(crate) started_empty: bool,
    /// Remembers which directory was copied to which, where a second part follows.
    pub(crate) pairs: Option<&'a Pairs>,
    /// What the destination holds already, in a second part.
    pub(crate) earlier: Option<Earlier<'a>>,
}

impl<'a> Copier<'a> {
    /// Copies; also says what was found and removed in a second part.
    pub(crate) fn run(
        from: BorrowedFd<'_>,
        to: BorrowedFd<'_>,
        options: &'a CopyOptions<'a>,
        part: Part<'a>,
    ) -> Result<(Copied, Renewed)> {
        let from = reopen_dir(from)?;
        let to = reopen_dir(to)?;
        let from_status = status(&from).call("statx")?;
        let to_status = status(&to).call("statx")?;
        let mut buffers = XattrBuffers::new();
        let (pairs, earlier) = match part {
            Part::Whole => (None, None),
            Part::First(pairs) => (Some(pairs), None),
            Part::Second(draft) => (None, Some(Earlier::new(draft))),
        };
        // A second part removes whatever is in its way.
        let started_empty = earlier.is_some() || crate::dir::is_empty(&to).call("getdents64")?;
        remove_default_acl(to.as_fd())?;
        let mut copier = Self {
            options,
            mounts: if options.one_file_system { Mounts::Refuse } else { Mounts::Cross },
            budget: Budget::new(options.threads, 2),
            proc: ProcDescriptors::open()?,
            staging: match &earlier {
                None => Staging::new(&from, &to)?,
                Some(_) => Staging::over_copy(&from, &to)?,
            },
            refused: Refused::default(),
            progress: Progress::new(options.observer),
            counts: Counts::default(),
            destination: Identity::of(&to_status),
            started_empty,
            pairs,
            earlier,
        };
        copier.progress.report()?;
        copier.refuse_inside(Identity::of(&from_status))?;
        let root = Subtree::root(reopen_dir(&from)?, from_status, reopen_dir(&to)?, &to_status);
        let result = Crew::run(
            copier.budget.threads,
            Task::Subtree(Box::new(root)),
            || Walker::new(&copier),
            Walker::work,
        );
        // Also after a failure: what is left in `to` should be the tree's own.
        let removed = copier.staging.remove();
        result.and(removed)?;
        let (source, target) = (Inode::Open(from.as_fd()), Inode::Open(to.as_fd()));
        buffers.remove_others(source, target)?;
        let lost = copy_attributes(source, &from_status, target, options, &copier.proc, &mut buffers)?;
        copier.counts.lose(lost);
        copier.progress.report()?;
        Ok((copier.outcome(), copier.earlier.map(Earlier::outcome).unwrap_or_default()))
    }

    /// What came of copying something; `None` where it failed because the source changed, and that is to be borne.
    pub(crate) fn bear<T>(&self, result: Result<T>) -> Result<Option<T>> {
        match result {
            Err(error) if self.pairs.is_some() && is_change(&error) => {
                Counts::one(&self.counts.changed);
                Ok(None)
            }
            result => result.map(Some),
        }
    }

    /// Fails if a directory of the source is the destination: the copy would copy itself without end.
    pub(crate) fn refuse_inside(&self, directory: Identity) -> Result<()> {
        if directory.same_inode(self.destination) {
            return Err(Error::found(
                ErrorKind::Unsupported,
                "the destination lies inside the source",
                "choose a destination elsewhere",
            ));
        }
        Ok(())
    }

    pub(crate) fn outcome(&self) -> Copied {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Copied {
            entries: self.progress.entries(),
            bytes: self.progress.bytes(),
            cloned_files: read(&self.counts.cloned_files),
            hard_links: read(&self.counts.hard_links),
            vanished: read(&self.counts.vanished),
            changed: read(&self.counts.changed),
            mount_points: read(&self.counts.mount_points),
            devices_left_out: read(&self.counts.devices_left_out),
            owners_lost: read(&self.counts.owners_lost),
            xattrs_lost: read(&self.counts.xattrs_lost),
        }
    }
}

/// Whether an operation failed because somebody changed the tree under it.
fn is_change(error: &Error) -> bool {
    error.kind() == ErrorKind::Changed
        || matches!(error.errno(), Some(Errno::NOENT | Errno::NOTDIR | Errno::LOOP))
}

/// The counters of [`Copied`] that are seldom touched.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) cloned_files: AtomicU64,
    pub(crate) hard_links: AtomicU64,
    pub(crate) vanished: AtomicU64,
    pub(crate) changed: AtomicU64,
    pub(crate) mount_points: AtomicU64,
    pub(crate) devices_left_out: AtomicU64,
    owners_lost: AtomicU64,
    xattrs_lost: AtomicU64,
}

impl Counts {
    pub(crate) fn one(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn lose(&self, lost: Lost) {
        self.owners_lost.fetch_add(lost.owner.into(), Ordering::Relaxed);
        self.xattrs_lost.fetch_add(lost.xattrs, Ordering::Relaxed);
    }
}
