//! Removing a tree.

use std::ffi::{CStr, CString, OsStr};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::fs::{AtFlags, FileType};
use rustix::io::Errno;

use crate::crew::Crew;
use crate::dir::{
    Entries, Identity, Mounts, ProcDescriptors, SCRATCH, last_name, push_name, reopen_dir, reopen_parent,
    seek, status,
};
use crate::error::{Context, Error, ErrorKind, Result};
use crate::large::has_more_than;
use crate::limits::Budget;
use crate::observe::{Observer, Progress, Tally};
use crate::unlock::{Access, allow_changes, open_locked_dir, unlink};

/// How to remove.
#[derive(Debug)]
pub struct RemoveOptions<'a> {
    /// Clears the immutable and append-only flags (`chattr +i`, `+a`) that stand in the way. Takes
    /// `CAP_LINUX_IMMUTABLE`. A file with links elsewhere gets its flags back. On by default.
    pub clear_immutable: bool,
    /// Worker threads, the caller's among them; 0 means one per core.
    pub threads: usize,
    /// Hears about progress (the bytes are always 0) and may cancel.
    pub observer: &'a dyn Observer,
}

impl Default for RemoveOptions<'_> {
    fn default() -> Self {
        Self { clear_immutable: true, threads: 0, observer: &() }
    }
}

/// What was removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Removed {
    /// Entries, the root of the tree among them; 0 when there was none.
    pub entries: u64,
}

/// Removes the entry `name` of the directory `parent` and everything below it.
///
/// Follows no symlink and crosses no mount. Directories that their owner locked (mode 0) are opened,
/// also for a normal user; btrfs subvolumes are made writable, emptied and removed like directories (Linux 4.18),
/// which their owner may do, too. What is gone already counts as removed.
///
/// Requires Linux 5.8 and a mounted /proc, and that `name` is one component. Fails with
/// [`ErrorKind::MountPoint`], naming it, when something is mounted inside: what lies behind it is not
/// touched, what came before it is removed. Fails with [`ErrorKind::Changed`] when somebody keeps
/// adding entries.
pub fn remove_tree(parent: BorrowedFd<'_>, name: &OsStr, options: &RemoveOptions<'_>) -> Result<Removed> {
    let name = match CString::new(name.as_bytes()) {
        Ok(name) if !name.is_empty() && name != c"." && name != c".." && !name.to_bytes().contains(&b'/') => {
            name
        }
        _ => return Err(Error::os("not the name of an entry", Errno::INVAL).at(name.as_bytes())),
    };
    if options.observer.limit().is_some_and(|limit| has_more_than(limit, parent, &name)) {
        return Err(Error::cancelled());
    }
    let remover = Remover {
        options,
        budget: Budget::new(options.threads, 1),
        proc: ProcDescriptors::open()?,
        progress: Progress::new(options.observer),
    };
    remover.progress.report()?;
    let first = Task {
        parent: Arc::new(reopen_dir(parent)?),
        path: name.into_bytes(),
        pending: Arc::default(),
        is_root: true,
    };
    first.pending.store(1, Ordering::Relaxed);
    Crew::run(remover.budget.threads, first, || Walker::new(&remover), Walker::work)?;
    Ok(Removed { entries: remover.progress.entries() })
}

/// What all workers share.
struct Remover<'a> {
    options: &'a RemoveOptions<'a>,
    budget: Budget,
    proc: ProcDescriptors,
    progress: Progress<'a>,
}

/// An entry to remove: the last component of `path`, in `parent`.
struct Task {
    parent: Arc<OwnedFd>,
    path: Vec<u8>,
    /// What the one who gave it away waits for.
    pending: Arc<AtomicUsize>,
    /// Nobody looks again whether it is gone.
    is_root: bool,
}

/// A directory on the way down.
struct Level {
    /// `None` when it fell out of the window.
    open: Option<Arc<OwnedFd>>,
    entries: Entries,
    position: u64,
    identity: Identity,
    path_length: usize,
    /// Subtrees that were given away.
    pending: Arc<AtomicUsize>,
    /// How often it was read to its end and was not empty then.
    passes: u32,
}

/// One worker.
struct Walker<'a> {
    remover: &'a Remover<'a>,
    tally: Tally<'a>,
    scratch: Vec<MaybeUninit<u8>>,
    levels: Vec<Level>,
    path: Vec<u8>,
    /// Whether the task at hand is the whole tree.
    is_root: bool,
}

impl<'a> Walker<'a> {
    /// How often a directory is read again because somebody puts new entries in.
    const PASSES: u32 = 1000;

    fn new(remover: &'a Remover<'a>) -> Self {
        Self {
            remover,
            tally: Tally::new(&remover.progress),
            scratch: vec![MaybeUninit::uninit(); SCRATCH],
            levels: Vec::new(),
            path: Vec::new(),
            is_root: false,
        }
    }

    fn work(&mut self, crew: &Crew<Task>, task: Task) -> Result<()> {
        self.levels.clear();
        self.path = task.path;
        self.is_root = task.is_root;
        let result = self.walk(crew, &task.parent).map_err(|error| error.at(&self.path));
        result.and_then(|()| self.tally.flush())?;
        crew.done(&task.pending);
        Ok(())
    }

    fn walk(&mut self, crew: &Crew<Task>, parent: &Arc<OwnedFd>) -> Result<()> {
        let name = last_name(&self.path);
        self.enter(parent.as_fd(), &name, FileType::Unknown)?;
        while let Some(level) = self.levels.last_mut() {
            if crew.is_stopped() {
                return Err(Error::cancelled());
            }
            self.path.truncate(level.path_length);
            let dir = level.open.clone().expect("the lowest level is open: only those above are closed");
            if let Some((name, kind, position)) = level.entries.take() {
                level.position = position;
                push_name(&mut self.path, name);
                let name = name.to_owned();
                if kind == FileType::Directory && level.entries.len() > 0 && crew.is_hungry() {
                    let pending = Arc::clone(&level.pending);
                    pending.fetch_add(1, Ordering::Relaxed);
                    match crew.give(Task {
                        parent: Arc::clone(&dir),
                        path: self.path.clone(),
                        pending,
                        is_root: false,
                    }) {
                        Ok(()) => continue,
                        Err(task) => task.pending.fetch_sub(1, Ordering::Relaxed),
                    };
                }
                self.enter(dir.as_fd(), &name, kind)?;
            } else if !level.entries.refill(&dir, &mut self.scratch).call("getdents64")? {
                crew.wait_for(&level.pending)?;
                drop(dir);
                self.leave(parent)?;
            }
        }
        Ok(())
    }

    /// Removes an entry, or goes into it when it is a directory.
    fn enter(&mut self, dir: BorrowedFd<'_>, name: &CStr, kind: FileType) -> Result<()> {
        let access = self.access();
        if !matches!(kind, FileType::Directory | FileType::Unknown) {
            match unlink(&access, dir, name, AtFlags::empty()) {
                Ok(()) => return self.tally.add(1, 0),
                // It is a directory by now.
                Err(error) if error.errno() == Some(Errno::ISDIR) => {}
                Err(error) => return Err(error),
            }
        }
        match open_locked_dir(&access, dir, name) {
            Ok(child) => {
                let status = status(&child).call("statx")?;
                allow_changes(&child, &status)?;
                let identity = Identity::of(&status);
                self.levels.push(Level {
                    open: Some(Arc::new(child)),
                    entries: Entries::default(),
                    position: 0,
                    identity,
                    path_length: self.path.len(),
                    pending: Arc::default(),
                    passes: 0,
                });
                if let Some(outside) = self.levels.len().checked_sub(self.remover.budget.window + 1) {
                    self.levels[outside].open = None;
                    self.levels[outside].entries = Entries::default();
                }
                Ok(())
            }
            Err(error) => match error.errno() {
                Some(Errno::NOENT | Errno::STALE) => Ok(()),
                Some(Errno::NOTDIR | Errno::LOOP) => match unlink(&access, dir, name, AtFlags::empty()) {
                    Ok(()) => self.tally.add(1, 0),
                    // It flips between a directory and something else; the next pass meets it again.
                    Err(error) if error.errno() == Some(Errno::ISDIR) => self.replaced(),
                    Err(error) => Err(error),
                },
                _ => Err(error),
            },
        }
    }

    /// Removes the lowest level, which was read to its end, or starts over when it is not empty.
    fn leave(&mut self, parent: &Arc<OwnedFd>) -> Result<()> {
        let Some(mut level) = self.levels.pop() else { return Ok(()) };
        let Some(dir) = level.open.take() else { return Ok(()) };
        let name = last_name(&self.path);
        let above = match self.levels.last_mut() {
            None => parent,
            Some(above) => {
                if above.open.is_none() {
                    let reopened = reopen_parent(&dir, above.identity, Mounts::Refuse)?;
                    seek(&reopened, above.position).call("lseek")?;
                    above.open = Some(Arc::new(reopened));
                }
                above.open.as_ref().unwrap_or(parent)
            }
        };
        let above = Arc::clone(above);
        match unlink(&self.access(), above.as_fd(), &name, AtFlags::REMOVEDIR) {
            Ok(()) => self.tally.add(1, 0),
            Err(error) => match error.errno() {
                // Removing while reading makes some file systems skip entries, and somebody may add some.
                Some(Errno::NOTEMPTY) if level.passes < Self::PASSES => {
                    level.passes += 1;
                    seek(&dir, 0).call("lseek")?;
                    level.open = Some(dir);
                    self.levels.push(level);
                    Ok(())
                }
                Some(Errno::NOTEMPTY) => Err(Error::found(
                    ErrorKind::Changed,
                    "somebody keeps adding entries",
                    "stop what changes the tree and try again",
                )),
                Some(Errno::NOTDIR) => self.replaced(),
                _ => Err(error),
            },
        }
    }

    /// Somebody put something else in an entry's place: the next pass over the level above meets it.
    fn replaced(&self) -> Result<()> {
        if self.is_root && self.levels.is_empty() {
            return Err(Error::found(
                ErrorKind::Changed,
                "somebody put something else in its place",
                "stop what changes the tree and try again",
            ));
        }
        Ok(())
    }

    fn access(&self) -> Access<'a> {
        Access { proc: &self.remover.proc, clear_immutable: self.remover.options.clear_immutable }
    }
}
