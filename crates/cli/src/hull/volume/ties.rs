//! Which volumes need which: a file of two lines an entry, the source and the clone, in the state directory.
//!
//! Containers keep such records in their own directories, as LXC does; volumes by themselves have this one. An
//! entry is written before the clone is made, and counts as long as the clone exists: whoever dies between leaves
//! one that means nothing.

use std::path::{Path, PathBuf};
use std::time::Duration;

use hull_storage::lock::{FileLock, Kind, Wait};
use hull_storage::{Error, ErrorKind, Locator, Mark, Result, Store, TxId, files};

/// The records.
pub(super) struct Ties {
    file: PathBuf,
}

impl Ties {
    /// The records in the state directory `state`.
    pub(super) fn of(state: &Path) -> Self {
        Self { file: state.join("ties") }
    }

    /// Records that `clone` needs `source`, and forgets what has become meaningless.
    pub(super) fn record(&self, store: &Store, source: &Locator, clone: &Locator) -> Result<()> {
        self.change(|all| {
            all.retain(|(_, c)| exists(store, c));
            all.push((source.clone(), clone.clone()));
        })
    }

    /// Records that all that `old` needs, `new` needs: it is about to be renamed.
    pub(super) fn renamed(&self, old: &Locator, new: &Locator) -> Result<()> {
        if !self.read()?.iter().any(|(_, c)| c == old) {
            return Ok(());
        }
        self.change(|all| {
            let sources: Vec<Locator> =
                all.iter().filter(|(_, c)| c == old).map(|(s, _)| s.clone()).collect();
            all.extend(sources.into_iter().map(|source| (source, new.clone())));
        })
    }

    /// Refuses when existing volumes need `at`.
    pub(super) fn require_none(&self, store: &Store, at: &Locator, to: &str) -> Result<()> {
        let all = self.read()?;
        let clones: Vec<String> = all
            .into_iter()
            .filter(|(source, clone)| source == at && exists(store, clone))
            .map(|(_, clone)| clone.to_string())
            .collect();
        if clones.is_empty() {
            return Ok(());
        }
        let text = format!("{at} cannot be {to}: {} needs it; delete that first", clones.join(", "));
        Err(Error::new(ErrorKind::HasDependents, text))
    }

    fn change(&self, edit: impl FnOnce(&mut Vec<(Locator, Locator)>)) -> Result<()> {
        let lock = self.file.with_extension("lock");
        let _lock = FileLock::acquire(&lock, Kind::Exclusive, Wait::UpTo(Duration::from_secs(30)), &"ties")?;
        let mut all = self.read()?;
        edit(&mut all);
        all.dedup();
        let text: String =
            all.into_iter().map(|(s, c)| format!("{}\n{}\n", String::from(s), String::from(c))).collect();
        files::replace(&self.file, &Mark::New.sibling(&self.file, TxId(0)), Some(text.as_bytes()), 0o600)
    }

    fn read(&self) -> Result<Vec<(Locator, Locator)>> {
        let text = files::read(&self.file)?.unwrap_or_default();
        let corrupt = || {
            let text =
                format!("{} must hold two locators an entry, a line each: mend it", self.file.display());
            Error::new(ErrorKind::Corrupt, text)
        };
        let text = String::from_utf8(text).map_err(|_| corrupt())?;
        let read = |line: &str| Locator::try_from(line.to_owned()).map_err(|_| corrupt());
        let lines: Vec<&str> = text.lines().collect();
        lines
            .chunks(2)
            .map(|pair| match pair {
                [source, clone] => Ok((read(source)?, read(clone)?)),
                _ => Err(corrupt()),
            })
            .collect()
    }
}

/// Whether there is such a volume; one that cannot be looked at counts, to be safe.
fn exists(store: &Store, at: &Locator) -> bool {
    match store.driver(at.driver()).and_then(|driver| driver.layout(at)) {
        Ok(_) => true,
        Err(e) => !matches!(e.kind(), ErrorKind::NotFound | ErrorKind::InvalidInput),
    }
}
