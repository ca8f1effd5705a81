//! Where a volume shall be.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use crate::name::{Mark, TxId};

/// Where a volume shall be: in its owner's directory under the driver's usual name, or exactly somewhere.
///
/// Stores that keep volumes in a pool take [`Placement::pooled`] instead of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    dir: PathBuf,
    leaf: Option<OsString>,
    name: OsString,
    mark: Option<(Mark, TxId)>,
}

impl Placement {
    /// In the owner's directory `home` (`<lxcpath>/<container>`), under the name the driver gives volumes
    /// there; `name` is for stores with a pool.
    pub fn in_home(home: impl Into<PathBuf>, name: impl Into<OsString>) -> Self {
        Self { dir: home.into(), leaf: None, name: name.into(), mark: None }
    }

    /// Exactly at `path`. `None` for a path without a last component (`/`, `..`).
    pub fn exactly(path: &Path) -> Option<Self> {
        let leaf = path.file_name()?.to_owned();
        let dir = path.parent()?.to_path_buf();
        Some(Self { dir, name: leaf.clone(), leaf: Some(leaf), mark: None })
    }

    /// Where `tx` makes it first. Nobody else can have chosen the name.
    #[must_use]
    pub fn staged(&self, tx: TxId) -> Self {
        Self { mark: Some((Mark::New, tx)), ..self.clone() }
    }

    /// Where `tx` moves it to be deleted.
    #[must_use]
    pub fn doomed(&self, tx: TxId) -> Self {
        Self { mark: Some((Mark::Old, tx)), ..self.clone() }
    }

    /// The path of the volume, or of its part that is usually called `usual`.
    pub fn path(&self, usual: &str) -> PathBuf {
        let leaf = self.leaf.as_deref().unwrap_or(OsStr::new(usual));
        self.marked(&self.dir.join(leaf))
    }

    /// The path of a part beside the volume, called `name` there.
    pub fn beside(&self, name: &OsStr) -> PathBuf {
        self.marked(&self.dir.join(name))
    }

    /// The volume's name in a pool.
    pub fn pooled(&self) -> OsString {
        let mut name = self.name.clone();
        if let Some((mark, tx)) = self.mark {
            name.push(mark.stamp(tx));
        }
        name
    }

    /// The directory it will be in.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    fn marked(&self, path: &Path) -> PathBuf {
        match self.mark {
            Some((mark, tx)) => mark.sibling(path, tx),
            None => path.to_path_buf(),
        }
    }
}
