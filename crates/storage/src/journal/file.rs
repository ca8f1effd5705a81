//! A journal of one file a transaction, owned by whoever holds its lock.
//!
//! A record grows by whole lines of JSON, newest last; a line cut short by a crash was never saved. The file
//! is locked (`flock(2)`) as long as its process lives, so an unlocked one is an orphan. Records appear and
//! are adopted under the lock of the directory, so nobody can adopt one between its making and its locking.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hull_sys::lock::{Contention, Kind, Outcome, flock};
use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use serde::{Deserialize, Serialize};

use super::{Journal, Record, Seen, reserve};
use crate::error::{Error, ErrorKind, Result};
use crate::lock::{FileLock, Wait};
use crate::name::TxId;
use crate::plan::Plan;

/// What a saved record survives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// The death of the process (`kill -9`), not of the machine: nothing is synced.
    #[default]
    Crash,
    /// Power loss, too: each record and each step is on disk before the next.
    Power,
}

/// A directory of records.
#[derive(Debug)]
pub struct FileJournal {
    dir: PathBuf,
    durability: Durability,
    owned: Mutex<BTreeMap<TxId, Owned>>,
}

/// A record of this process.
#[derive(Debug)]
struct Owned {
    /// Locked; closing it gives the record up.
    file: std::fs::File,
    /// How much of the plan is in the file already. Plans only grow.
    plan: (usize, usize, usize),
}

/// One line of a record's file.
#[derive(Serialize, Deserialize)]
enum Line {
    /// All that was decided so far.
    Plan { id: TxId, operation: String, plan: Plan },
    /// How far it has come.
    State {
        begun: usize,
        committed: bool,
        #[serde(default)]
        reclaiming: bool,
    },
}

impl FileJournal {
    /// The journal in `dir`, which is made when the first record is.
    pub fn new(dir: impl Into<PathBuf>, durability: Durability) -> Self {
        Self { dir: dir.into(), durability, owned: Mutex::new(BTreeMap::new()) }
    }

    /// Where the records are.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    fn path(&self, id: TxId) -> PathBuf {
        self.dir.join(format!("{id}{SUFFIX}"))
    }

    /// Keeps others from making or adopting records until dropped.
    fn lock_dir(&self) -> Result<std::fs::File> {
        let path = self.dir.join(".lock");
        let flags = OFlags::CREATE | OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let file = rustix::fs::openat(CWD, &path, flags, Mode::RUSR | Mode::WUSR)
            .map_err(|e| Error::os(format!("cannot open the journal's lock {}", path.display()), e))?;
        match flock(&file, Kind::Exclusive, Contention::Wait)? {
            Outcome::Taken | Outcome::Held => Ok(file.into()),
        }
    }

    fn create(&self, id: TxId, plan: &Plan) -> Result<std::fs::File> {
        make_dir(&self.dir)?;
        let _making = self.lock_dir()?;
        reserve::keep(&self.dir);
        let path = self.path(id);
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::APPEND | OFlags::CLOEXEC;
        let made = match rustix::fs::openat(CWD, &path, flags, Mode::RUSR | Mode::WUSR) {
            Err(rustix::io::Errno::NOSPC) if plan.only_deletes() && reserve::take_spare(&self.dir, &path) => {
                let flags = flags.difference(OFlags::CREATE | OFlags::EXCL);
                rustix::fs::openat(CWD, &path, flags, Mode::empty())
            }
            made => made,
        };
        let file =
            made.map_err(|e| Error::os(format!("cannot make the journal record {}", path.display()), e))?;
        match flock(&file, Kind::Exclusive, Contention::Fail)? {
            Outcome::Taken => Ok(file.into()),
            Outcome::Held => {
                Err(Error::new(ErrorKind::Corrupt, format!("somebody locked {}", path.display())))
            }
        }
    }

    /// Adopts the record at `path` if it is `reclaiming`, or not; `None` if it is somebody's, or gone.
    fn adopt(&self, path: &Path, reclaiming: bool) -> Result<Option<Record>> {
        let failed = |e| Error::os(format!("cannot read the journal record {}", path.display()), e);
        let flags = OFlags::RDWR | OFlags::APPEND | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let file = match rustix::fs::openat(CWD, path, flags, Mode::empty()) {
            Ok(file) => file,
            Err(rustix::io::Errno::NOENT) => return Ok(None),
            Err(e) => return Err(failed(e)),
        };
        if flock(&file, Kind::Exclusive, Contention::Fail)? == Outcome::Held {
            return Ok(None);
        }
        // Whoever held it may have settled and erased it since it was opened.
        if rustix::fs::fstat(&file).map_err(failed)?.st_nlink == 0 {
            return Ok(None);
        }
        let mut file = std::fs::File::from(file);
        let mut text = Vec::new();
        file.read_to_end(&mut text).map_err(|e| {
            Error::new(ErrorKind::Os, format!("cannot read the journal record {}", path.display())).because(e)
        })?;
        let Some(record) = fold(&text) else {
            // Its process died before the first save returned, so before the first effect.
            let _ = rustix::fs::unlink(path);
            return Ok(None);
        };
        if record.reclaiming != reclaiming {
            return Ok(None);
        }
        // A line cut short must not run into the next one.
        if text.last().is_some_and(|&b| b != b'\n') {
            file.write_all(b"\n").map_err(|e| {
                Error::new(ErrorKind::Os, format!("cannot mend the record {}", path.display())).because(e)
            })?;
        }
        let plan = size(&record.plan);
        self.owned().insert(record.id, Owned { file, plan });
        Ok(Some(record))
    }

    /// Adopts all records whose process is gone that are `reclaiming`, or not.
    fn adopt_all(&self, reclaiming: bool) -> Result<Vec<Record>> {
        let mut names = self.names()?;
        if names.is_empty() {
            return Ok(Vec::new());
        }
        names.sort();
        let _adopting = self.lock_dir()?;
        let mut adopted = Vec::new();
        for name in names {
            adopted.extend(self.adopt(&self.dir.join(name), reclaiming)?);
        }
        Ok(adopted)
    }

    /// The records there are, whoever's.
    fn names(&self) -> Result<Vec<OsString>> {
        let entries = match std::fs::read_dir(&self.dir) {
            Ok(entries) => entries,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => {
                let text = format!("cannot read the journal {}", self.dir.display());
                return Err(Error::new(ErrorKind::Os, text).because(e));
            }
        };
        let names = entries.filter_map(|e| Some(e.ok()?.file_name()));
        Ok(names.filter(|n| n.as_bytes().ends_with(SUFFIX.as_bytes())).collect())
    }

    fn owned(&self) -> std::sync::MutexGuard<'_, BTreeMap<TxId, Owned>> {
        // Each change of the map is complete in itself, so a panic elsewhere cannot have left it torn.
        self.owned.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const SUFFIX: &str = ".record";

/// How long to wait for somebody else's recovery, which may be undoing a large copy.
const RECOVERY: Duration = Duration::from_secs(600);

impl Journal for FileJournal {
    fn save(&self, record: &Record) -> Result<()> {
        let mut owned = self.owned();
        let fresh = !owned.contains_key(&record.id);
        if fresh {
            owned.insert(record.id, Owned { file: self.create(record.id, &record.plan)?, plan: (0, 0, 0) });
        }
        let entry = owned.get_mut(&record.id).expect("it was inserted above");
        let plan = size(&record.plan);
        let mut text = Vec::new();
        if fresh || entry.plan != plan {
            let line =
                Line::Plan { id: record.id, operation: record.operation.clone(), plan: record.plan.clone() };
            add(&mut text, &line)?;
        }
        let Record { begun, committed, reclaiming, .. } = *record;
        add(&mut text, &Line::State { begun, committed, reclaiming })?;
        let failed = |e: std::io::Error| {
            let errno = rustix::io::Errno::from_io_error(&e).unwrap_or(rustix::io::Errno::IO);
            Error::os(format!("cannot write the journal record {}", self.path(record.id).display()), errno)
        };
        let length = entry.file.metadata().map_err(failed)?.len();
        if let Err(e) = entry.file.write_all(&text) {
            // Half a line would spoil the next one.
            let _ = entry.file.set_len(length);
            return Err(failed(e));
        }
        entry.plan = plan;
        if self.durability == Durability::Power {
            entry.file.sync_data().map_err(failed)?;
            if fresh {
                sync_dir(&self.dir)?;
            }
        }
        Ok(())
    }

    fn erase(&self, id: TxId) -> Result<()> {
        let path = self.path(id);
        if self.durability == Durability::Power {
            // What the record still answers for, markers and names that were deleted, must be gone before it is. They lie
            // on the journal's file system; pools commit for themselves.
            let dir = std::fs::File::open(&self.dir);
            let dir = dir.map_err(|e| Error::new(ErrorKind::Os, "cannot open the journal").because(e))?;
            rustix::fs::syncfs(dir).map_err(|e| Error::os("cannot sync what the journal lies on", e))?;
        }
        match rustix::fs::unlinkat(CWD, &path, AtFlags::empty()) {
            Ok(()) | Err(rustix::io::Errno::NOENT) => {}
            // A read-only file system says so before it looks for the file.
            Err(rustix::io::Errno::ROFS) if !crate::files::exists(&path)? => {}
            Err(e) => {
                return Err(Error::os(format!("cannot erase the journal record {}", path.display()), e));
            }
        }
        self.owned().remove(&id);
        Ok(())
    }

    fn recovery(&self) -> Result<Option<FileLock>> {
        if self.names()?.is_empty() {
            return Ok(None);
        }
        let path = self.dir.join(".recovery");
        FileLock::acquire(&path, Kind::Exclusive, Wait::UpTo(RECOVERY), &"the journal").map(Some)
    }

    fn orphans(&self) -> Result<Vec<Record>> {
        self.adopt_all(false)
    }

    fn condemned(&self) -> Result<Vec<Record>> {
        self.adopt_all(true)
    }

    fn release(&self, id: TxId) {
        if let Some(owned) = self.owned().remove(&id) {
            // Closing it would do, were it not for children of other threads that have not come to their exec yet.
            let _ = rustix::fs::flock(&owned.file, rustix::fs::FlockOperation::Unlock);
        }
    }

    fn look(&self) -> Result<Vec<Seen>> {
        let mut names = self.names()?;
        if names.is_empty() {
            return Ok(Vec::new());
        }
        names.sort();
        // To see whether a record is locked is to lock it, which nobody may take for its owner's lock.
        let _adopting = self.lock_dir()?;
        let mut all = Vec::new();
        for path in names.into_iter().map(|name| self.dir.join(name)) {
            let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
            let Ok(file) = rustix::fs::openat(CWD, &path, flags, Mode::empty()) else { continue };
            let mut file = std::fs::File::from(file);
            let mut text = Vec::new();
            if file.read_to_end(&mut text).is_err() {
                continue;
            }
            let held = flock(&file, Kind::Exclusive, Contention::Fail)? == Outcome::Held;
            all.extend(fold(&text).map(|record| Seen { record, held }));
        }
        Ok(all)
    }

    fn sole(&self) -> Result<Option<FileLock>> {
        if self.names()?.is_empty() {
            return Ok(None);
        }
        let path = self.dir.join(".reclaim");
        FileLock::acquire(&path, Kind::Exclusive, Wait::No, &"what is to be deleted").map(Some)
    }

    fn free_reserve(&self) -> Result<bool> {
        reserve::free(&self.dir)
    }

    fn next_id(&self) -> Result<TxId> {
        let mut bytes = [0; 8];
        rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())
            .map_err(|e| Error::os("cannot get a random transaction id", e))?;
        Ok(TxId(u64::from_ne_bytes(bytes)))
    }
}

/// How much a plan holds. Plans only grow.
fn size(plan: &Plan) -> (usize, usize, usize) {
    (plan.steps.len(), plan.patches.len(), plan.doomed.len())
}

/// The record that the lines of `text` add up to; `None` if not even a plan and a state were saved.
fn fold(text: &[u8]) -> Option<Record> {
    let mut record: Option<Record> = None;
    let mut seen_state = false;
    for line in text.split_inclusive(|&b| b == b'\n').filter_map(|l| l.strip_suffix(b"\n")) {
        match (serde_json::from_slice(line), &mut record) {
            (Ok(Line::Plan { id, operation, plan }), None) => {
                record = Some(Record { plan, ..Record::new(id, operation) });
            }
            (Ok(Line::Plan { plan, .. }), Some(record)) => record.plan = plan,
            (Ok(Line::State { begun, committed, reclaiming }), Some(record)) => {
                (record.begun, record.committed, record.reclaiming) = (begun, committed, reclaiming);
                seen_state = true;
            }
            // A line cut short and mended, or a state without a plan: never saved.
            _ => {}
        }
    }
    record.filter(|_| seen_state)
}

fn add(text: &mut Vec<u8>, line: &Line) -> Result<()> {
    serde_json::to_writer(&mut *text, line)
        .map_err(|e| Error::new(ErrorKind::Os, "cannot spell a journal record").because(e))?;
    text.push(b'\n');
    Ok(())
}

/// Makes `dir` and what is missing above it; only its owner may look into it.
fn make_dir(dir: &Path) -> Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|e| {
        let errno = rustix::io::Errno::from_io_error(&e).unwrap_or(rustix::io::Errno::IO);
        Error::os(format!("cannot make the journal directory {}", dir.display()), errno)
    })
}

/// Puts the names in `dir` on disk.
pub(crate) fn sync_dir(dir: &Path) -> Result<()> {
    let failed = |e| Error::os(format!("cannot sync {}", dir.display()), e);
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let fd = rustix::fs::openat(CWD, dir, flags, Mode::empty()).map_err(failed)?;
    rustix::fs::fsync(fd).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(id: u64) -> Record {
        Record::new(TxId(id), "test")
    }

    #[test]
    fn a_record_is_its_owners_until_it_dies() {
        let dir = tempfile::tempdir().unwrap();
        let ours = FileJournal::new(dir.path().join("j"), Durability::Power);
        let theirs = FileJournal::new(dir.path().join("j"), Durability::Crash);
        ours.save(&record(1)).unwrap();
        ours.save(&Record { begun: 3, ..record(1) }).unwrap();
        assert_eq!(theirs.orphans().unwrap(), [], "its owner lives");
        drop(ours);
        let found = theirs.orphans().unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].begun, 3);
        theirs.erase(TxId(1)).unwrap();
        assert_eq!(theirs.orphans().unwrap(), []);
    }

    #[test]
    fn what_is_only_to_be_deleted_is_adopted_apart_and_can_be_given_up() {
        let dir = tempfile::tempdir().unwrap();
        let journal = || FileJournal::new(dir.path(), Durability::Crash);
        let (first, other) = (journal(), journal());
        let condemned = Record { committed: true, reclaiming: true, ..record(1) };
        first.save(&condemned).unwrap();
        assert_eq!(other.condemned().unwrap(), [], "its owner lives");
        assert_eq!(other.look().unwrap(), [Seen { record: condemned.clone(), held: true }]);
        first.release(TxId(1));
        assert_eq!(other.orphans().unwrap(), [], "there is nothing to finish or to undo");
        assert_eq!(other.look().unwrap(), [Seen { record: condemned.clone(), held: false }]);
        assert_eq!(other.condemned().unwrap(), [condemned]);
        let sole = other.sole().unwrap();
        assert_eq!(first.sole().unwrap_err().kind(), ErrorKind::InUse);
        drop(sole);
        assert!(first.sole().unwrap().is_some());
    }

    #[test]
    fn a_line_cut_short_was_never_saved() {
        let dir = tempfile::tempdir().unwrap();
        let journal = FileJournal::new(dir.path(), Durability::Crash);
        journal.save(&record(7)).unwrap();
        let path = journal.path(TxId(7));
        let whole = std::fs::read(&path).unwrap();
        journal.save(&Record { begun: 1, committed: true, ..record(7) }).unwrap();
        let longer = std::fs::read(&path).unwrap();
        drop(journal);
        for length in 0..=longer.len() {
            let folded = fold(&longer[..length]);
            match length {
                n if n < whole.len() => assert_eq!(folded, None),
                n if n < longer.len() => assert_eq!(folded, Some(record(7))),
                _ => assert!(folded.is_some_and(|r| r.committed)),
            }
        }
        // Saving after adopting a torn record keeps what was saved before.
        std::fs::write(&path, &longer[..longer.len() - 4]).unwrap();
        let journal = FileJournal::new(dir.path(), Durability::Crash);
        let mut adopted = journal.orphans().unwrap().remove(0);
        adopted.begun = 9;
        journal.save(&adopted).unwrap();
        drop(journal);
        let journal = FileJournal::new(dir.path(), Durability::Crash);
        assert_eq!(journal.orphans().unwrap()[0].begun, 9);
    }
}
