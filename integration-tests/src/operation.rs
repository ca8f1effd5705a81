//! Operations on containers as words of a command line, carried out as the commands carry them out.

use std::path::{Path, PathBuf};
use std::time::Duration;

use hull_container::{
    CloneMode, CloneRequest, Containers, Content, CreateRequest, Dependents, DestroyRequest, RestoreRequest,
    SnapshotRequest,
};
use hull_storage::lock::{VolumeLocks, Wait};
use hull_storage::{
    DriverName, Durability, Error, ErrorKind, FileJournal, Journal, RealHost, Result, Settings, Store,
};

use crate::killing::KillingJournal;

/// The containers in `lxcpath`; with `die_at`, the process dies at that moment of its journal.
pub fn containers(lxcpath: &Path, rundir: &Path, die_at: Option<usize>) -> Result<Containers> {
    let journal = FileJournal::new(lxcpath.join(".hull/journal"), Durability::Crash);
    let journal: Box<dyn Journal> = match die_at {
        Some(n) => Box::new(KillingJournal::new(journal, n)),
        None => Box::new(journal),
    };
    with_journal((lxcpath, rundir), journal, &Settings::default(), Durability::Crash)
}

/// The containers in `lxcpath` as commands open them that want what `durability` says survived.
pub fn containers_with(
    lxcpath: &Path,
    rundir: &Path,
    settings: &Settings,
    durability: Durability,
) -> Result<Containers> {
    let journal = FileJournal::new(lxcpath.join(".hull/journal"), durability);
    with_journal((lxcpath, rundir), Box::new(journal), settings, durability)
}

fn with_journal(
    (lxcpath, rundir): (&Path, &Path),
    journal: Box<dyn Journal>,
    settings: &Settings,
    durability: Durability,
) -> Result<Containers> {
    let registry = hull_drivers::builtin();
    let drivers = registry.drivers().iter().map(|r| (r.open)(settings)).collect();
    let wait = Wait::UpTo(Duration::from_secs(20));
    let host = RealHost::new(Box::new(()), durability);
    let locks = VolumeLocks::new(rundir.join("hull/lock"), wait);
    let store = Store::new(drivers, journal, Box::new(host), locks);
    Containers::with_store(lxcpath, rundir.to_path_buf(), (registry, store_name("dir")?, wait), store)
}

/// The driver called `name`.
pub fn store_name(name: &str) -> Result<DriverName> {
    hull_drivers::builtin().resolve(name).map(|r| r.name)
}

/// Carries out the operation `words`. A word `-` is a choice left to Hull.
pub fn run(all: &Containers, words: &[&str]) -> Result<()> {
    let store = |name: &str| if name == "-" { Ok(None) } else { store_name(name).map(Some) };
    match *words {
        ["create", name, on] => {
            let request = CreateRequest {
                stores: store(on)?.into_iter().collect(),
                content: Content::Empty,
                ..CreateRequest::default()
            };
            all.get(name)?.create(&request).map(drop)
        }
        ["unpack", name, on, archive] => {
            let request = CreateRequest {
                stores: store(on)?.into_iter().collect(),
                content: Content::Archive(PathBuf::from(archive)),
                ..CreateRequest::default()
            };
            all.get(name)?.create(&request).map(drop)
        }
        ["copy", from, to, on] => {
            let request = CloneRequest { store: store(on)?, ..CloneRequest::new(to) };
            all.existing(from)?.clone_to(&request).map(drop)
        }
        ["clone", from, to, on] => {
            let mode = CloneMode::Snapshot;
            let request = CloneRequest { store: store(on)?, mode, ..CloneRequest::new(to) };
            all.existing(from)?.clone_to(&request).map(drop)
        }
        ["snapshot", name] => all.existing(name)?.snapshot(&SnapshotRequest::default()).map(drop),
        ["unsnapshot", name, snapshot] => all.existing(name)?.delete_snapshot(snapshot, false).map(drop),
        ["restore", name, snapshot] => {
            let request = RestoreRequest { snapshot: snapshot.into(), new_name: None, dry_run: false };
            all.existing(name)?.restore(&request).map(drop)
        }
        ["restore-as", name, snapshot, new] => {
            let new_name = Some(new.into());
            let request = RestoreRequest { snapshot: snapshot.into(), new_name, dry_run: false };
            all.existing(name)?.restore(&request).map(drop)
        }
        ["rename", name, new] => all.existing(name)?.rename(new, false).map(drop),
        ["destroy", name] => all
            .existing(name)?
            .destroy(&DestroyRequest { snapshots: true, ..DestroyRequest::default() })
            .map(drop),
        ["destroy-all", name] => all
            .existing(name)?
            .destroy(&DestroyRequest { dependents: Dependents::Destroy, ..DestroyRequest::default() })
            .map(drop),
        ["recover"] => {
            let recovered = all.recover()?;
            recovered.failed.into_iter().next().map_or(Ok(()), Err)
        }
        _ => Err(Error::new(ErrorKind::InvalidInput, format!("no such operation: {words:?}"))),
    }
}
