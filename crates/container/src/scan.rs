//! Looking for what nobody answers for: things that Hull made or moved aside, of which no journal knows and which no
//! config names. A journal that was lost, or taken away with another disk, leaves such.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use hull_storage::lock::Kind;
use hull_storage::{
    Bytes, Enumerate, Error, ErrorKind, FileJournal, HOME, Journal, Listed, Locator, Mark, Observer,
    Resource, Result, Seen, Step, TxId, files, host,
};
use rustix::fs::{CWD, Mode, OFlags};

use crate::container::Container;
use crate::containers::Containers;
use crate::named::Named;
use crate::{name, partial};

/// Something that nobody answers for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Orphan {
    /// What it is called: a path, or a name in a pool.
    pub what: Resource,
    /// Why it is one.
    pub why: Why,
    /// What it occupies, if that could be measured.
    pub size: Option<Bytes>,
}

/// Why something is an orphan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// A transaction made it, or moved it aside, of which no journal knows.
    Forgotten(Option<Mark>, TxId),
    /// A container's directory whose making has not ended, of which no journal knows.
    HalfMade(TxId),
    /// A volume that Hull made and no config in the lxcpath names. Somebody else may know of it.
    Unnamed(Locator),
}

impl std::fmt::Display for Why {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Forgotten(Some(Mark::Old), id) => {
                write!(f, "moved aside to be deleted by operation {id}, of which no journal knows")
            }
            Self::Forgotten(_, id) => write!(f, "left by operation {id}, of which no journal knows"),
            Self::HalfMade(id) => write!(f, "half made by operation {id}, of which no journal knows"),
            Self::Unnamed(at) => write!(f, "a volume of Hull's that no container's config names: {at}"),
        }
    }
}

/// What was found.
#[derive(Debug, Default)]
pub struct Scan {
    /// What nobody answers for, by name.
    pub orphans: Vec<Orphan>,
    /// The journals that were asked.
    pub journals: Vec<PathBuf>,
    /// What could not be looked at, a line each. What lies there is not listed.
    pub notes: Vec<String>,
}

impl Containers {
    /// Looks for orphans in the lxcpath and in the pools of the stores. Changes nothing.
    ///
    /// `journals` are directories of journals beside the lxcpath's own and those of other lxcpaths that were used since
    /// the machine started. Fails when one cannot be read: then nothing can be said of anything.
    pub fn scan(&self, journals: &[PathBuf]) -> Result<Scan> {
        let mut scan = Scan::default();
        let mut found = Vec::new();
        let named = Named::read(self, &mut scan.notes)?;
        for (home, is_home) in self.places()? {
            look_into(&home, is_home, &mut found);
        }
        let mut volumes = Vec::new();
        for (place, is_home) in self.places()? {
            // What is being made has no config yet.
            if !named.is_certain_in(&place) || files::exists(&place.join(host::PARTIAL))? {
                continue;
            }
            // Of the lxcpath itself only what lies directly in it: what is below has had its turn.
            self.look_for_volumes(&place, if is_home { 2 } else { 1 }, &named, &mut volumes);
        }
        for listed in self.pools(&mut scan.notes) {
            match (listed.by, &listed.at) {
                (Some(by), _) => {
                    let mark = listed.what.stamped().map(|(mark, _)| mark);
                    found.push((listed.what, Why::Forgotten(mark, by), listed.size));
                }
                (None, Some(at)) if named.is_complete() && !named.has(&listed.what) => {
                    volumes.push((listed.what, Why::Unnamed(at.clone()), listed.size));
                }
                (None, _) => {}
            }
        }
        // Looked at only now: a record is there before the first name that it answers for, and goes after the last.
        scan.journals = self.journals(journals);
        let known = Known::read(&scan.journals)?;
        found.extend(volumes);
        found.retain(|(what, why, _)| !known.answers_for(what, why));
        found.sort_by(|a, b| a.0.cmp(&b.0));
        scan.orphans = found
            .into_iter()
            .map(|(what, why, size)| Orphan { size: size.or_else(|| size_of(&what)), what, why })
            .collect();
        Ok(scan)
    }

    /// Deletes an orphan, if it still is one. `journals` as for [`Containers::scan`].
    pub fn delete_orphan(
        &self,
        orphan: &Orphan,
        journals: &[PathBuf],
        observer: &dyn Observer,
    ) -> Result<()> {
        let changed = || {
            let text = format!("{} is not what it was when it was looked at: look again", orphan.what);
            Error::new(ErrorKind::InUse, text)
        };
        let is_known = || {
            let known = Known::read(&self.journals(journals));
            known.map(|known| known.answers_for(&orphan.what, &orphan.why))
        };
        match &orphan.why {
            Why::Forgotten(..) if is_known()? => Err(changed()),
            Why::Forgotten(_, id) => self.store().reclaim_orphan(&orphan.what, *id, observer),
            Why::HalfMade(id) => {
                let home = orphan.what.path();
                let (Some(lxcpath), Some(name)) = (home.parent(), home.file_name().and_then(OsStr::to_str))
                else {
                    return Err(changed());
                };
                let container = Container::new(self, lxcpath, name);
                let _lock = container.lock(Kind::Exclusive)?;
                if half_made(home) != Some(*id) || is_known()? {
                    return Err(changed());
                }
                partial::remove_locked(&container)
            }
            Why::Unnamed(at) => {
                let named = Named::read(self, &mut Vec::new())?;
                let driver = self.store().driver(at.driver())?;
                if named.has(&orphan.what) || is_known()? || !driver.inspect(at)?.ours {
                    return Err(changed());
                }
                self.store().destroy(at)
            }
        }
    }

    /// Directories that transactions leave things in: the lxcpath (`false`), and the homes in it and of snapshots.
    fn places(&self) -> Result<Vec<(PathBuf, bool)>> {
        let mut places = vec![(self.lxcpath().to_path_buf(), false)];
        let mut beside = self.lxcpath().as_os_str().to_owned();
        beside.push("snaps");
        let mut homes = homes_in(self.lxcpath());
        // As LXC kept snapshots before 1.1: a directory a container, with homes.
        let legacy = homes_in(Path::new(&beside));
        places.extend(legacy.iter().map(|dir| (dir.clone(), false)));
        let snapshots = homes.iter().map(|home| home.join("snaps")).chain(legacy);
        let snapshots: Vec<PathBuf> = snapshots.collect();
        for dir in snapshots.into_iter().filter(|dir| files::is_dir(dir)) {
            homes.extend(homes_in(&dir));
            places.push((dir, false));
        }
        places.extend(homes.into_iter().map(|home| (home, true)));
        Ok(places)
    }

    fn look_for_volumes(&self, dir: &Path, depth: usize, named: &Named, found: &mut Vec<Candidate>) {
        for path in entries(dir) {
            let hidden = path.file_name().is_some_and(|n| n.as_bytes().starts_with(b"."));
            let is_snapshots = path.file_name().is_some_and(|n| n == "snaps");
            let what = Resource::new(HOME, path.clone());
            if hidden || is_snapshots || named.has(&what) || !is_real_dir(&path) {
                continue;
            }
            let volume = self.registry().locate(path.as_os_str()).ok().filter(|at| {
                let driver = self.store().driver(at.driver());
                driver.and_then(|driver| driver.inspect(at)).is_ok_and(|info| info.ours)
            });
            match volume {
                Some(at) if !named.lies_above(&path) => found.push((what, Why::Unnamed(at), None)),
                Some(_) => {}
                None if depth > 1 => self.look_for_volumes(&path, depth - 1, named, found),
                None => {}
            }
        }
    }

    fn pools(&self, notes: &mut Vec<String>) -> Vec<Listed> {
        let mut all = Vec::new();
        for registration in self.registry().drivers() {
            let Ok(driver) = self.store().driver(registration.name) else { continue };
            match driver.enumerate().map(Enumerate::list) {
                Some(Ok(listed)) => all.extend(listed),
                Some(Err(e)) => notes.push(format!("the pool of the store {}: {e}", registration.name)),
                None => {}
            }
        }
        all
    }

    /// The directories of journals: this lxcpath's, `others`, and those of lxcpaths that were used since the machine
    /// started, which their lock files tell.
    fn journals(&self, others: &[PathBuf]) -> Vec<PathBuf> {
        let mut all = BTreeSet::from([self.lxcpath().join(".hull/journal")]);
        all.extend(others.iter().cloned());
        let locks = self.rundir().join("lxc/lock");
        let mut pending = vec![(locks.clone(), 0)];
        while let Some((dir, depth)) = pending.pop() {
            if let Ok(below) = dir.strip_prefix(&locks) {
                let journal = Path::new("/").join(below).join(".hull/journal");
                all.extend(files::is_dir(&journal).then_some(journal));
            }
            // An lxcpath is not that deep.
            if depth < 24 {
                pending.extend(entries(&dir).filter(|p| is_real_dir(p)).map(|p| (p, depth + 1)));
            }
        }
        all.into_iter().collect()
    }
}

type Candidate = (Resource, Why, Option<Bytes>);

/// What the journals know.
#[derive(Default)]
struct Known {
    transactions: BTreeSet<TxId>,
    /// What those make, move and write.
    touched: BTreeSet<OsString>,
}

impl Known {
    fn read(journals: &[PathBuf]) -> Result<Self> {
        let mut known = Self::default();
        for dir in journals {
            let journal = FileJournal::new(dir, hull_storage::Durability::Crash);
            for Seen { record, .. } in journal.look()? {
                known.transactions.insert(record.id);
                known.touched.extend(record.plan.steps.iter().flat_map(touched));
            }
        }
        Ok(known)
    }

    fn answers_for(&self, what: &Resource, why: &Why) -> bool {
        match why {
            Why::Forgotten(_, id) | Why::HalfMade(id) => self.transactions.contains(id),
            Why::Unnamed(_) => self.touched.iter().any(|name| {
                let (path, name) = (what.path(), Path::new(name));
                path.starts_with(name) || name.starts_with(path)
            }),
        }
    }
}

/// The names that a step makes, or takes from others.
fn touched(step: &Step) -> Vec<OsString> {
    match step {
        Step::MakeHome { home, .. } => vec![home.into()],
        Step::Create { at, .. }
        | Step::CreateBlocks { at, .. }
        | Step::Clone { at, .. }
        | Step::Receive { at, .. }
        | Step::Import { at, .. } => at.parts.iter().map(|part| part.name.clone()).collect(),
        Step::Fill { from, at } | Step::FillBlocks { from, at } => vec![from.at().into(), at.at().into()],
        Step::Move { from, to } => vec![from.name.clone(), to.name.clone()],
        Step::Write { file, .. } => vec![file.into()],
    }
}

/// Names in `dir` that transactions chose, and whether the home `dir` itself is half made.
fn look_into(dir: &Path, is_home: bool, found: &mut Vec<Candidate>) {
    if let Some(id) = half_made(dir).filter(|_| is_home) {
        found.push((Resource::new(HOME, dir), Why::HalfMade(id), None));
        // What is in it goes with it.
        return;
    }
    for path in entries(dir) {
        let leaf = Resource::new(HOME, path.file_name().unwrap_or_default());
        let begins = leaf.name.as_bytes().starts_with(b".new-") || leaf.name.as_bytes().starts_with(b".old-");
        if let Some((mark, id)) = leaf.stamped().filter(|_| begins) {
            found.push((Resource::new(HOME, path), Why::Forgotten(Some(mark), id), None));
        }
    }
}

/// The transaction that began to make `home`, if its marker is there and nobody holds it. LXC's own marker is empty.
fn half_made(home: &Path) -> Option<TxId> {
    let path = home.join(host::PARTIAL);
    let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let marker = rustix::fs::openat(CWD, &path, flags, Mode::empty()).ok()?;
    let text = String::from_utf8(files::read(&path).ok()??).ok()?;
    let id = TxId::try_from(text.clone()).ok().filter(|id| id.to_string() == text)?;
    let held = hull_sys::lock::is_held(&marker, Kind::Exclusive).unwrap_or(true);
    (!held).then_some(id)
}

/// Directories in `dir` that containers' homes can be.
fn homes_in(dir: &Path) -> Vec<PathBuf> {
    let is_name = |path: &PathBuf| {
        path.file_name()
            .and_then(OsStr::to_str)
            .is_some_and(|n| name::check(n).is_ok() && !n.starts_with('.'))
    };
    entries(dir).filter(|path| is_name(path) && is_real_dir(path)).collect()
}

fn entries(dir: &Path) -> impl Iterator<Item = PathBuf> {
    let mut all: Vec<PathBuf> =
        std::fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    all.sort();
    all.into_iter()
}

fn is_real_dir(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|m| m.is_dir())
}

fn size_of(what: &Resource) -> Option<Bytes> {
    let path = what.path();
    if !path.is_absolute() {
        return None;
    }
    if is_real_dir(path) {
        return files::measure(path).ok().map(|usage| usage.total);
    }
    path.symlink_metadata().ok().map(|m| Bytes(std::os::unix::fs::MetadataExt::blocks(&m) * 512))
}
