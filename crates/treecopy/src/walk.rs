//! Walking a tree that is copied: depth first, on a stack of levels of which few are open.
//!
//! A level that falls out of the window of open ones keeps only its position in the source's directory,
//! and is opened again through `..` of the level below, which must lead to the same inode. A worker gives subtrees
//! and runs of files away while others are idle. A subtree that was given away needs its parent no more:
//! what happens inside does not touch the parent's times, so the parent is finished without waiting for it.
//! Only runs of files in the level itself are waited for.

use std::ffi::CString;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::{FileType, Statx};

use crate::copy::Copier;
use crate::crew::Crew;
use crate::dir::{Entries, Identity, Mounts, push_name, reopen_parent, seek};
use crate::entry::{Child, EntryCopier, Pair};
use crate::error::{Context, Error, Result};

/// Work that one worker can give another.
pub(crate) enum Task {
    Subtree(Box<Subtree>),
    Batch(Batch),
}

/// A directory whose content is to be copied.
pub(crate) struct Subtree {
    child: Child,
    path: Vec<u8>,
    is_root: bool,
}

impl Subtree {
    /// The whole tree. Its own attributes are for the caller to set.
    pub(crate) fn root(
        source: OwnedFd,
        source_status: Statx,
        target: OwnedFd,
        target_status: &Statx,
    ) -> Self {
        let target_identity = Identity::of(target_status);
        Self {
            child: Child { pair: Pair { source, target }, source_status, target_identity },
            path: Vec::new(),
            is_root: true,
        }
    }
}

/// Some entries of a directory, none of which looked like a directory.
pub(crate) struct Batch {
    pair: Arc<Pair>,
    entries: Entries,
    path: Vec<u8>,
    at_top: bool,
    joint: Arc<Joint>,
}

/// What a level shares with the batches that were given away from it.
#[derive(Default)]
struct Joint {
    pending: AtomicUsize,
    /// Names that turned out to be directories after all.
    directories: Mutex<Vec<CString>>,
}

/// A directory on the way down.
struct Level {
    /// `None` when it fell out of the window.
    open: Option<Arc<Pair>>,
    /// What was read and not dealt with yet; empty when not open.
    entries: Entries,
    /// Where the entries not dealt with begin.
    position: u64,
    source_status: Statx,
    target: Identity,
    path_length: usize,
    joint: Arc<Joint>,
    is_root: bool,
}

impl Level {
    fn new(child: Child, path_length: usize, is_root: bool) -> Self {
        Self {
            open: Some(Arc::new(child.pair)),
            entries: Entries::default(),
            position: 0,
            source_status: child.source_status,
            target: child.target_identity,
            path_length,
            joint: Arc::default(),
            is_root,
        }
    }

    fn close(&mut self) {
        self.open = None;
        self.entries = Entries::default();
    }

    /// Opens the level again through the one below it.
    fn reopen(&mut self, below: &Pair, mounts: Mounts) -> Result<()> {
        if self.open.is_none() {
            let source = reopen_parent(&below.source, Identity::of(&self.source_status), mounts)?;
            let target = reopen_parent(&below.target, self.target, Mounts::Refuse)?;
            seek(&source, self.position).call("lseek")?;
            self.open = Some(Arc::new(Pair { source, target }));
        }
        Ok(())
    }
}

/// What came of looking for the next entry of a level.
enum Next {
    Entry(CString, FileType),
    Batch(Batch),
    End,
}

/// One worker.
pub(crate) struct Walker<'a> {
    entry: EntryCopier<'a>,
    window: usize,
    levels: Vec<Level>,
    path: Vec<u8>,
}

impl<'a> Walker<'a> {
    pub(crate) fn new(copier: &'a Copier<'a>) -> Self {
        Self {
            entry: EntryCopier::new(copier),
            window: copier.budget.window,
            levels: Vec::new(),
            path: Vec::new(),
        }
    }

    /// Does one task to its end.
    pub(crate) fn work(&mut self, crew: &Crew<Task>, task: Task) -> Result<()> {
        match task {
            Task::Subtree(subtree) => {
                self.levels.clear();
                self.path = subtree.path;
                self.levels.push(Level::new(subtree.child, self.path.len(), subtree.is_root));
                let result = self.walk(crew).map_err(|error| error.at(&self.path));
                result.and_then(|()| self.entry.tally.flush())
            }
            Task::Batch(batch) => {
                self.path.clone_from(&batch.path);
                let result = self.copy_batch(crew, batch).map_err(|error| error.at(&self.path));
                result.and_then(|()| self.entry.tally.flush())
            }
        }
    }

    fn walk(&mut self, crew: &Crew<Task>) -> Result<()> {
        while let Some(level) = self.levels.last_mut() {
            if crew.is_stopped() {
                return Err(Error::cancelled());
            }
            self.path.truncate(level.path_length);
            let pair = level.open.clone().expect("the lowest level is open: only those above are closed");
            match Self::next(level, &pair, crew, &mut self.entry, &self.path)? {
                Next::Entry(name, kind) => {
                    let at_top = level.is_root;
                    push_name(&mut self.path, &name);
                    let copied = self.entry.copy(&pair, &name, kind, at_top);
                    if let Some(child) = self.entry.copier.bear(copied)?.flatten() {
                        self.descend(crew, child);
                    }
                }
                Next::Batch(batch) => {
                    if let Err(Task::Batch(batch)) = crew.give(Task::Batch(batch)) {
                        // Nobody is idle any more.
                        self.copy_batch(crew, batch)?;
                    }
                }
                Next::End => self.ascend(&pair)?,
            }
        }
        Ok(())
    }

    /// Finds the next entry, or a run of entries that an idle worker could have.
    fn next(
        level: &mut Level,
        pair: &Arc<Pair>,
        crew: &Crew<Task>,
        entry: &mut EntryCopier<'_>,
        path: &[u8],
    ) -> Result<Next> {
        loop {
            if crew.is_hungry()
                && let Some((entries, position)) = level.entries.split_run()
            {
                level.position = position;
                level.joint.pending.fetch_add(1, Ordering::Relaxed);
                return Ok(Next::Batch(Batch {
                    pair: Arc::clone(pair),
                    entries,
                    path: path.to_vec(),
                    at_top: level.is_root,
                    joint: Arc::clone(&level.joint),
                }));
            }
            if let Some((name, kind, position)) = level.entries.take() {
                level.position = position;
                return Ok(Next::Entry(name.to_owned(), kind));
            }
            if level.entries.refill(&pair.source, &mut entry.scratch).call("getdents64")? {
                continue;
            }
            crew.wait_for(&level.joint.pending)?;
            let directory = level.joint.directories.lock().unwrap_or_else(PoisonError::into_inner).pop();
            return Ok(directory.map_or(Next::End, |name| Next::Entry(name, FileType::Directory)));
        }
    }

    /// Goes into a directory, or gives it away when another worker is idle and there is enough to do here.
    fn descend(&mut self, crew: &Crew<Task>, child: Child) {
        let busy = self.levels.last().is_some_and(|level| level.entries.len() > 0);
        let mut child = child;
        if busy && crew.is_hungry() {
            let subtree = Box::new(Subtree { child, path: self.path.clone(), is_root: false });
            match crew.give(Task::Subtree(subtree)) {
                Err(Task::Subtree(subtree)) => child = subtree.child,
                _ => return,
            }
        }
        self.levels.push(Level::new(child, self.path.len(), false));
        if let Some(outside) = self.levels.len().checked_sub(self.window + 1) {
            self.levels[outside].close();
        }
    }

    /// Finishes the lowest level and leaves it.
    fn ascend(&mut self, pair: &Pair) -> Result<()> {
        let Some(level) = self.levels.pop() else { return Ok(()) };
        // Before this level's mode is set: without permission to search it, `..` could not be opened.
        if let Some(above) = self.levels.last_mut() {
            let reopened = above.reopen(pair, self.entry.copier.mounts);
            if self.entry.copier.bear(reopened)?.is_none() {
                // This directory was moved, and there is no other way up: the rest of the task is not copied.
                self.levels.clear();
            }
        }
        if self.entry.copier.earlier.is_some() {
            self.entry.remove_vanished(pair, level.is_root)?;
        }
        if level.is_root { Ok(()) } else { self.entry.finish_directory(pair, &level.source_status) }
    }

    fn copy_batch(&mut self, crew: &Crew<Task>, mut batch: Batch) -> Result<()> {
        let length = batch.path.len();
        while let Some((name, _, _)) = batch.entries.take() {
            if crew.is_stopped() {
                return Err(Error::cancelled());
            }
            self.path.truncate(length);
            push_name(&mut self.path, name);
            let copied = self.entry.copy_unless_directory(&batch.pair, name, batch.at_top);
            if self.entry.copier.bear(copied)? == Some(true) {
                let mut directories = batch.joint.directories.lock().unwrap_or_else(PoisonError::into_inner);
                directories.push(name.to_owned());
            }
        }
        self.path.truncate(length);
        crew.done(&batch.joint.pending);
        Ok(())
    }
}
