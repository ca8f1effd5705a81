//! What tells one store of unions from another, and what they all ask and refuse.

use std::ffi::CStr;
use std::path::{Path, PathBuf};

use hull_mount::{Access, MountPlan, MountSource, Union};
use hull_storage::files::Found;
use hull_storage::{
    Cost, DriverName, Error, ErrorKind, Locator, Offer, Result, Source, Tie, VolumeInfo, files, paths,
};
use rustix::fs::XattrFlags;

use crate::chain::Chain;
use crate::layer::{Kind, kind_among};

/// A store whose volumes are unions.
#[derive(Clone, Copy, Debug)]
pub struct Store {
    /// Its name in locators.
    pub name: DriverName,
    /// What people call one of its volumes, such that `an` may stand before it.
    pub volume: &'static str,
    /// How many lower layers it can show.
    pub deepest: usize,
    /// The extended attribute that says of a volume's directory that it is read-only.
    pub access: &'static CStr,
    /// How names of extended attributes begin that mean something in the layer they are on only.
    pub private: &'static [&'static str],
}

impl Store {
    // ── Naming: nothing is looked up ──

    /// The trees that a clone of `from` lies over: those of a volume of this store, or the tree that `from` is.
    pub fn lower_for(&self, from: &Locator) -> Result<Vec<PathBuf>> {
        let lower = match from.driver() == self.name {
            true => Chain::read(from)?.lower,
            false => vec![paths::absolute(from)?],
        };
        self.limit_depth(&lower)?;
        Ok(lower)
    }

    /// Fails when the chain has more lower layers than the store can show.
    pub fn limit_depth(&self, lower: &[PathBuf]) -> Result<()> {
        if lower.len() <= self.deepest {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Unsupported,
            format!(
                "{} lower layers are more than the {} that Linux can stack: make a copy in another store",
                lower.len(),
                self.deepest
            ),
        ))
    }

    /// Fails when the upper layer would lie in a lower one.
    pub fn require_apart(&self, chain: &Chain) -> Result<()> {
        match chain.lower.iter().find(|lower| chain.upper.starts_with(lower)) {
            Some(lower) => Err(Error::new(
                ErrorKind::InvalidInput,
                format!(
                    "the changes of an {} cannot lie in the tree it lies over, {}: choose a place outside",
                    self.volume,
                    lower.display()
                ),
            )),
            None => Ok(()),
        }
    }

    /// [`hull_storage::Driver::rebased`].
    pub fn rebased(&self, at: &Locator, from: &Path, to: &Path) -> Result<Locator> {
        let chain = Chain::read(at)?;
        let new = chain.rebased(from, to);
        // A locator that somebody else wrote stays as it is, to the byte, unless it changes.
        Ok(if new == chain { at.clone() } else { new.locator(self.name) })
    }

    /// The refusal to make a volume that lies over nothing.
    pub fn never_alone(&self) -> Error {
        Error::new(
            ErrorKind::Unsupported,
            format!(
                "an {} records changes to another volume and cannot be made alone: clone that volume instead",
                self.volume
            ),
        )
    }

    /// The refusal to open a read-only snapshot for writing.
    pub fn read_only(&self, at: &Locator) -> Error {
        Error::new(
            ErrorKind::PermissionDenied,
            format!("{at} is a read-only snapshot: make a clone of it and write to that"),
        )
    }

    // ── Looking ──

    /// The layers of a volume whose upper one is there. The lower ones may be gone: then it can still be removed.
    pub fn existing(&self, at: &Locator) -> Result<Chain> {
        let chain = Chain::read(at)?;
        let found = files::find(&chain.upper)?;
        let upper = chain.upper.display();
        Err(match found {
            Found::Directory => return Ok(chain),
            Found::Other => {
                Error::new(ErrorKind::InvalidInput, format!("{upper}, the upper layer, is not a directory"))
            }
            Found::Nothing => Error::new(
                ErrorKind::NotFound,
                format!("there is no {} {at}: {upper} is missing", self.volume),
            ),
        })
    }

    /// Fails, naming it, when a lower layer is not there.
    pub fn require_lower(&self, at: &Locator, lower: &[PathBuf]) -> Result<()> {
        match lower.iter().find(|path| !files::is_dir(path)) {
            None => Ok(()),
            Some(missing) => Err(Error::new(
                ErrorKind::NotFound,
                format!(
                    "{at} lies over {}, which is not there: put it back, or correct the locator if it was moved",
                    missing.display()
                ),
            )),
        }
    }

    /// Fails, with the reason, when a lower layer is on a file system, one of `unsuited`, over which `file_system`
    /// cannot lie.
    pub fn require_stackable(&self, lower: &[PathBuf], file_system: &str, unsuited: &[Kind]) -> Result<()> {
        match lower.iter().find_map(|path| Some((path, kind_among(path, unsuited)?))) {
            None => Ok(()),
            Some((path, kind)) => Err(Error::new(
                ErrorKind::Unsupported,
                format!(
                    "{file_system} cannot lie over {}, which is on {kind}: make a copy in another store",
                    path.display()
                ),
            )),
        }
    }

    /// What is known of the volume `chain`, whose directory is `dir`.
    pub fn info(&self, chain: Chain, dir: Option<&Path>, ours: bool) -> VolumeInfo {
        let mut info = VolumeInfo::new(ours);
        info.access = dir.map_or(Access::ReadWrite, |dir| self.access_to(dir));
        info.origins = chain.lower.into_iter().map(PathBuf::into_os_string).collect();
        info
    }

    /// Whether the volume that is the directory `dir` may be written to.
    pub fn access_to(&self, dir: &Path) -> Access {
        let mut value = [0; 8];
        match rustix::fs::getxattr(dir, self.access, &mut value) {
            Ok(length) if value.get(..length) == Some(b"ro") => Access::ReadOnly,
            _ => Access::ReadWrite,
        }
    }

    /// Makes the volume that is the directory `dir` read-only.
    pub fn set_read_only(&self, dir: &Path) -> Result<()> {
        rustix::fs::setxattr(dir, self.access, b"ro", XattrFlags::empty())
            .map_err(|e| Error::os(format!("cannot make {} read-only", dir.display()), e))
    }

    // ── Clones ──

    /// What is asked for a clone of `from`: one of this store is cloned by copying what it changed, and any
    /// store's volume that is a directory tree for nothing.
    pub fn offer(&self, from: Source<'_>) -> Option<Offer> {
        // What it changed is copied, and the layers below are written to by neither; a tree becomes a layer itself.
        let lies_over = from.driver.name() != self.name;
        let cost = match lies_over {
            false => Chain::read(from.at).ok().map(|_| Cost::PerChange)?,
            true => is_tree(from).then_some(Cost::Constant)?,
        };
        Some(Offer { cost, tie: Tie::Unguarded, lies_over })
    }

    /// The directory whose content a clone of `from` begins with; `None` for one that begins empty.
    pub fn changes(&self, from: Source<'_>) -> Result<Option<PathBuf>> {
        match from.driver.name() == self.name {
            true => Ok(Some(self.existing(from.at)?.upper)),
            false => Ok(None),
        }
    }
}

/// Whether the volume is a directory tree and its locator is its path: only then can the clone's locator name
/// it. One that went away meanwhile may have been: making the clone says better than "no offer" what is wrong.
fn is_tree(from: Source<'_>) -> bool {
    if from.driver.capabilities().block_backed || !from.at.path().is_absolute() {
        return false;
    }
    match from.driver.activate(from.at, Access::ReadOnly) {
        Ok(ready) => matches!(&ready.plan.source, MountSource::Tree(path) if path == from.at.path()),
        Err(e) => e.kind() == ErrorKind::NotFound,
    }
}

/// A read-only union of two trees of this machine, to find out by mounting it, unseen, whether `flavour` can be used.
pub fn trial(flavour: Union) -> MountPlan {
    /// Directories that do not contain each other, of which every system has two that a union can lie over.
    const LAYERS: [&str; 4] = ["/etc", "/usr", "/var", "/home"];
    let lower = LAYERS.iter().map(PathBuf::from).filter(|path| files::is_dir(path)).take(2).collect();
    MountPlan::new(MountSource::Union { flavour, lower, upper: None }, Access::ReadOnly)
}

/// Whether `/proc/filesystems` lists the file system `fstype`: it is built in, or its module is loaded.
pub fn is_known(fstype: &str) -> bool {
    let known = std::fs::read_to_string("/proc/filesystems").unwrap_or_default();
    known.lines().any(|line| line.split_whitespace().next_back() == Some(fstype))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOME: Store = Store {
        name: DriverName::new("some"),
        volume: "example",
        deepest: 2,
        access: c"user.hull.access",
        private: &[],
    };

    #[test]
    fn refusals_name_the_thing_the_reason_and_the_remedy() {
        let at = |text: &str| Locator::new(SOME.name, text);
        let deep = SOME.lower_for(&at("/a:/b:/c:/u")).unwrap_err();
        assert_eq!(deep.kind(), ErrorKind::Unsupported);
        let inside = Chain { lower: vec!["/a".into()], upper: "/a/u".into() };
        for (e, says) in [
            (deep, "3 lower layers are more than the 2 that Linux can stack: make a copy"),
            (
                SOME.require_apart(&inside).unwrap_err(),
                "changes of an example cannot lie in the tree it lies over, /a",
            ),
            (SOME.never_alone(), "clone that volume instead"),
            (SOME.read_only(&at("/a:/u")), "some:/a:/u is a read-only snapshot: make a clone"),
            (
                SOME.existing(&at("/a:/gone/u")).unwrap_err(),
                "there is no example some:/a:/gone/u: /gone/u is missing",
            ),
            (SOME.existing(&at("/a:/etc/passwd")).unwrap_err(), "the upper layer, is not a directory"),
            (
                SOME.require_lower(&at("/gone:/u"), &["/gone".into()]).unwrap_err(),
                "lies over /gone, which is not there: put it back",
            ),
            (
                SOME.require_stackable(&["/proc".into()], "It", &[(0x9fa0, "proc")]).unwrap_err(),
                "It cannot lie over /proc, which is on proc",
            ),
        ] {
            let text = e.to_string();
            assert!(text.contains(says) && !text.contains('\n'), "{text}");
        }
    }

    #[test]
    fn a_locator_that_does_not_change_stays_to_the_byte() {
        let at = Locator::new(SOME.name, "//a/:/u/");
        let to = Path::new("/d");
        assert_eq!(SOME.rebased(&at, Path::new("/b"), to).unwrap(), at);
        assert_eq!(SOME.rebased(&at, Path::new("/a"), to).unwrap().at(), "/d:/u");
    }

    #[test]
    fn a_directory_is_read_only_once_it_is_marked() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(SOME.access_to(dir.path()), Access::ReadWrite);
        if SOME.set_read_only(dir.path()).is_ok() {
            assert_eq!(SOME.access_to(dir.path()), Access::ReadOnly);
        }
    }
}
