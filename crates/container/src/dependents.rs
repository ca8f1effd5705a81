//! Who needs whom: LXC's files `lxc_snapshots` (in the source: its clones) and `lxc_rdepends` (in the clone: its
//! sources). Each holds two lines an entry, lxcpath and name.
//!
//! They are written where a store would let a source be deleted under its clones ([`hull_storage::Tie::Unguarded`]).

use std::path::{Path, PathBuf};

use hull_storage::lock::FileLock;
use hull_storage::{Error, ErrorKind, Plan, Result, files};

use crate::container::Container;
use crate::containers::Containers;

/// A container that needs, or is needed by, another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dependent {
    /// The lxcpath it is in.
    pub lxcpath: PathBuf,
    /// Its name there.
    pub name: String,
}

const CLONES: &str = "lxc_snapshots";
const SOURCES: &str = "lxc_rdepends";

impl Container<'_> {
    /// The containers that would be ruined without this one. Entries whose container is gone do not count.
    pub fn dependents(&self) -> Result<Vec<Dependent>> {
        let mut all = read(&self.home().join(CLONES))?.unwrap_or_default();
        all.retain(|d| d.lxcpath.join(&d.name).join("config").exists());
        Ok(all)
    }

    /// The containers this one needs.
    pub(crate) fn sources(&self) -> Result<Vec<Dependent>> {
        Ok(read(&self.home().join(SOURCES))?.unwrap_or_default())
    }

    /// The error that names who needs the container.
    pub(crate) fn has_dependents(&self, to: &str, all: &[Dependent]) -> Error {
        let names: Vec<String> = all.iter().map(|d| d.lxcpath.join(&d.name).display().to_string()).collect();
        let text = format!(
            "container {} cannot be {to}: its root file system is part of {}; destroy those first, or with it",
            self.name,
            names.join(", ")
        );
        Error::new(ErrorKind::HasDependents, text)
    }

    fn entry(&self) -> Dependent {
        Dependent { lxcpath: self.lxcpath.clone(), name: self.name.clone() }
    }
}

/// Locks the lists of `sources`, always in the same order, and settles what a dead holder left: from reading a
/// list to the end of the transaction that changes it, nobody else may.
pub(crate) fn lock(
    all: &Containers,
    sources: &[Dependent],
    warnings: &mut Vec<String>,
) -> Result<Vec<FileLock>> {
    let mut homes: Vec<PathBuf> = sources.iter().map(|d| d.lxcpath.join(&d.name)).collect();
    homes.sort();
    homes.dedup();
    let locks = homes.iter().map(|home| all.lock_list(home)).collect::<Result<Vec<_>>>()?;
    if !locks.is_empty() {
        all.settle(warnings);
    }
    Ok(locks)
}

/// Plans to record that `clone` (at `home`, not made yet) needs `sources`.
pub(crate) fn record(plan: &mut Plan, clone: &Container<'_>, sources: &[Dependent]) -> Result<()> {
    if sources.is_empty() {
        return Ok(());
    }
    plan.add_file(&clone.home().join(SOURCES), spell(sources), 0o640);
    for source in sources {
        change(plan, source, |clones| {
            let entry = clone.entry();
            if !clones.contains(&entry) {
                clones.push(entry);
            }
        })?;
    }
    Ok(())
}

/// Plans to strike `clone` off its sources' lists.
pub(crate) fn strike(plan: &mut Plan, clone: &Container<'_>) -> Result<()> {
    let entry = clone.entry();
    clone.sources()?.iter().try_for_each(|s| change(plan, s, |clones| clones.retain(|c| *c != entry)))
}

/// Plans to call `old` by the name of `new` on its sources' lists.
pub(crate) fn renamed(plan: &mut Plan, old: &Container<'_>, new: &Container<'_>) -> Result<()> {
    let (from, to) = (old.entry(), new.entry());
    old.sources()?.iter().try_for_each(|s| {
        change(plan, s, |clones| {
            if let Some(entry) = clones.iter_mut().find(|c| **c == from) {
                *entry = to.clone();
            }
        })
    })
}

/// Plans to call the source `old` of `clone` by the name of `new` on the clone's own list.
pub(crate) fn source_renamed(
    plan: &mut Plan,
    clone: &Container<'_>,
    old: &Container<'_>,
    new: &Container<'_>,
) -> Result<()> {
    let file = clone.home().join(SOURCES);
    let Some(text) = files::read(&file)? else { return Ok(()) };
    let mut sources = parse(&text, &file)?;
    if let Some(entry) = sources.iter_mut().find(|s| **s == old.entry()) {
        *entry = new.entry();
        plan.write(&file, Some(text), Some(spell(&sources)));
    }
    Ok(())
}

fn change(plan: &mut Plan, source: &Dependent, edit: impl FnOnce(&mut Vec<Dependent>)) -> Result<()> {
    let home = source.lxcpath.join(&source.name);
    if !files::is_dir(&home) {
        return Ok(());
    }
    let file = home.join(CLONES);
    // What an earlier step of this plan will have written counts, not what is there now.
    let pending = plan.steps.iter().rev().find_map(|s| match s {
        hull_storage::Step::Write { file: f, new, .. } if *f == file => Some(new.clone()),
        _ => None,
    });
    let old = match pending {
        Some(content) => content,
        None => files::read(&file)?,
    };
    let mut clones = parse(old.as_deref().unwrap_or_default(), &file)?;
    edit(&mut clones);
    let new = (!clones.is_empty()).then(|| spell(&clones));
    plan.write(&file, old, new);
    Ok(())
}

fn read(file: &Path) -> Result<Option<Vec<Dependent>>> {
    files::read(file)?.map(|text| parse(&text, file)).transpose()
}

fn parse(text: &[u8], file: &Path) -> Result<Vec<Dependent>> {
    let corrupt = |why: &str| {
        let text =
            format!("{} {why}: it must hold an lxcpath and a name in turn, a line each", file.display());
        Error::new(ErrorKind::Corrupt, text)
    };
    let text = std::str::from_utf8(text).map_err(|_| corrupt("is not UTF-8"))?;
    let lines: Vec<&str> = text.lines().collect();
    // Before LXC 1.1 it was a mere count, which names nobody.
    if let [count] = lines[..] {
        return if count.trim().parse::<u32>().is_ok() {
            Ok(Vec::new())
        } else {
            Err(corrupt("has one line"))
        };
    }
    if !lines.len().is_multiple_of(2) {
        return Err(corrupt("has an odd number of lines"));
    }
    Ok(lines.chunks(2).map(|l| Dependent { lxcpath: l[0].into(), name: l[1].into() }).collect())
}

fn spell(entries: &[Dependent]) -> Vec<u8> {
    entries.iter().flat_map(|d| format!("{}\n{}\n", d.lxcpath.display(), d.name).into_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_of_lines() {
        let file = Path::new("/x/lxc_snapshots");
        let all = parse(b"/var/lib/lxc\nc1\n/var/lib/lxc\nc2\n", file).unwrap();
        assert_eq!(all.len(), 2);
        assert_eq!(spell(&all), b"/var/lib/lxc\nc1\n/var/lib/lxc\nc2\n");
        assert_eq!(parse(b"3\n", file).unwrap(), []);
        assert!(parse(b"a\nb\nc\n", file).is_err());
        assert!(parse(b"\xff\nb\n", file).is_err());
    }
}
