//! What the driver asks of zfs: few verbs, each one atomic call of the kernel, in two implementations.
//!
//! [`library`] makes the calls itself; [`program`] has the program `zfs` make them. They mean the same, and the
//! driver's tests run with both.

pub(crate) mod library;
pub(crate) mod program;

use std::fmt;

use hull_command::{Runner, System};
use hull_storage::{Error, ErrorKind, Result, TxId};
use rustix::fd::BorrowedFd;

/// The user property that says which transaction made a dataset. It counts only where it is the dataset's own: a child
/// inherits it, and a received one says so.
pub(crate) const MADE_BY: &str = "hull:volume";

/// What is known of a file system.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Dataset {
    /// `filesystem` or `volume`.
    pub(crate) kind: String,
    /// The snapshot it was cloned from, if it still depends on one.
    pub(crate) origin: Option<String>,
    pub(crate) read_only: bool,
    /// Its limit in bytes, without its snapshots.
    pub(crate) size: Option<u64>,
    /// Freed if it alone were removed.
    pub(crate) used: u64,
    pub(crate) referenced: u64,
    pub(crate) available: u64,
    /// What has been written to it since its last snapshot, or else since its origin.
    pub(crate) written: u64,
    pub(crate) key: Key,
    /// Its mount point, if it has one that is not inherited.
    pub(crate) mountpoint: Option<String>,
    /// Whether Hull made it.
    pub(crate) ours: bool,
    /// The transaction that made it, if its property says so.
    pub(crate) by: Option<TxId>,
    /// Whether somebody has said here or above how extended attributes are kept.
    pub(crate) says_xattr: bool,
    /// Whether somebody has said here or above which access control lists there are.
    pub(crate) says_acltype: bool,
}

/// What is asked of a file system; the rest of a [`Dataset`] is then as by default. A channel program takes a millisecond
/// for some properties, and ten in an emulated machine for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// Everything.
    All,
    /// `kind` only: whether it is there.
    Kind,
    /// What mounting needs: `read_only` and `key`.
    Mounting,
    /// `key`.
    Key,
    /// `size`.
    Size,
    /// What a dataset in it inherits: `says_xattr` and `says_acltype`.
    Inherited,
    /// `mountpoint`.
    Mountpoint,
    /// What is shown of a volume: `ours`, `read_only`, `size` and `origin`.
    Shown,
    /// Who made it: `by` and `origin`.
    Maker,
}

impl Asked {
    /// The properties to be looked at.
    pub(crate) fn properties(self) -> &'static [&'static str] {
        match self {
            Self::All => &LOOKED_AT,
            Self::Kind => &["type"],
            Self::Mounting => &["type", "readonly", "keystatus"],
            Self::Key => &["keystatus"],
            Self::Size => &["type", "refquota"],
            Self::Inherited => &["type", "xattr", "acltype"],
            Self::Mountpoint => &["type", "mountpoint"],
            Self::Shown => &["type", MADE_BY, "readonly", "refquota", "origin"],
            Self::Maker => &["type", MADE_BY, "origin"],
        }
    }
}

/// Whether the blocks of a file system can be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Key {
    /// They are not encrypted.
    #[default]
    None,
    /// The key is there.
    Loaded,
    /// The key has to be loaded first.
    Missing,
}

/// A dataset in the tree below another one, and its snapshots, oldest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) snapshots: Vec<Snapshot>,
}

/// A snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Snapshot {
    /// Its name with the dataset's.
    pub(crate) name: String,
    /// When it was made, in transaction groups of the pool.
    pub(crate) made: u64,
    /// How many holds keep it.
    pub(crate) holds: u64,
    /// The datasets that are its clones.
    pub(crate) clones: Vec<String>,
}

/// A property of a new dataset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Property {
    pub(crate) name: &'static str,
    /// As the program takes it.
    pub(crate) text: String,
    /// As the kernel takes it, where that is a number.
    pub(crate) number: Option<u64>,
}

impl Property {
    pub(crate) fn text(name: &'static str, text: impl Into<String>) -> Self {
        Self { name, text: text.into(), number: None }
    }

    /// One of several choices, the kernel's number of which is `number`.
    pub(crate) fn choice(name: &'static str, text: &str, number: u64) -> Self {
        Self { name, text: text.into(), number: Some(number) }
    }

    pub(crate) fn size(bytes: u64) -> Self {
        Self { name: "refquota", text: bytes.to_string(), number: Some(bytes) }
    }
}

/// What the driver asks of zfs. Every verb is one atomic act.
///
/// What fails fails with [`ErrorKind::NotFound`] for a missing dataset, parent or pool, [`ErrorKind::AlreadyExists`]
/// for a taken name, [`ErrorKind::InUse`] for what is mounted or held, [`ErrorKind::HasDependents`] for what has
/// clones, snapshots or children.
pub(crate) trait Backend: fmt::Debug + Send + Sync {
    /// What is `asked` of `dataset`; `None` if there is none.
    fn look(&self, dataset: &str, asked: Asked) -> Result<Option<Dataset>>;
    /// `dataset` and all datasets in it, outer ones first; nothing if there is none.
    fn tree(&self, dataset: &str) -> Result<Vec<Node>>;
    /// The file systems that are to be mounted at the path `mountpoint`.
    fn mounted_at(&self, mountpoint: &str) -> Result<Vec<String>>;
    fn exists(&self, name: &str) -> Result<bool>;
    fn create(&self, dataset: &str, properties: &[Property]) -> Result<()>;
    fn snapshot(&self, snapshot: &str) -> Result<()>;
    fn clone_of(&self, origin: &str, dataset: &str, properties: &[Property]) -> Result<()>;
    /// Renames a dataset or a snapshot; mounts stay where they are.
    fn rename(&self, from: &str, to: &str) -> Result<()>;
    fn promote(&self, dataset: &str) -> Result<()>;
    /// Removes a dataset that has neither snapshots nor children.
    fn destroy(&self, dataset: &str) -> Result<()>;
    /// Removes a snapshot, now or when its last clone and hold go; gone already is success.
    fn destroy_snapshot(&self, snapshot: &str, when: When) -> Result<()>;
    /// Lets a snapshot that has a clone go with it, and makes the snapshot `also`. Where acts cannot be joined to one, these
    /// are two.
    fn leave_to_clone(&self, snapshot: &str, also: Option<&str>) -> Result<()> {
        self.destroy_snapshot(snapshot, When::Unneeded)?;
        also.map_or(Ok(()), |also| self.snapshot(also))
    }
    fn set(&self, dataset: &str, property: &Property) -> Result<()>;
    fn send(&self, snapshot: &str, since: Option<&str>, raw: bool, to: BorrowedFd<'_>) -> Result<()>;
    /// Makes the dataset and snapshot `snapshot` of a stream, as a clone of `origin` if given.
    fn receive(
        &self,
        from: BorrowedFd<'_>,
        snapshot: &str,
        origin: Option<&str>,
        properties: &[Property],
    ) -> Result<()>;
}

/// When a snapshot is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    /// At once, or not at all.
    Now,
    /// When nothing needs it any longer.
    Unneeded,
}

/// Which implementation is wanted: the setting `hull.zfs.backend`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// The library where it can be loaded, else the program.
    Best,
    Library,
    Program,
    /// Something else was set.
    Unknown(String),
}

impl Wanted {
    pub(crate) fn read(setting: Option<&str>) -> Self {
        match setting {
            None | Some("") => Self::Best,
            Some("library") => Self::Library,
            Some("program") => Self::Program,
            Some(other) => Self::Unknown(other.into()),
        }
    }
}

/// Where the kernel takes acts on datasets.
pub(crate) const DEVICE: &str = "/dev/zfs";

/// Opens the implementation that is wanted. Fails, saying what is missing, where there is no zfs.
pub(crate) fn open(wanted: &Wanted) -> Result<Box<dyn Backend>> {
    if !std::path::Path::new(DEVICE).exists() {
        let text = "this kernel has no zfs: install zfs-dkms, or your distribution's module, and load it";
        return Err(Error::new(ErrorKind::Unsupported, text));
    }
    if !System.has(program::ZFS) {
        let text = format!("the program zfs is not installed: install {}", program::ZFS.package);
        return Err(Error::new(ErrorKind::ToolMissing, text));
    }
    let program = || program::Program::new(Box::new(System));
    match wanted {
        Wanted::Library => Ok(Box::new(library::Library::load(program())?)),
        Wanted::Program => Ok(Box::new(program())),
        Wanted::Best => Ok(match library::Library::load(program()) {
            Ok(library) => Box::new(library),
            Err(_) => Box::new(program()),
        }),
        Wanted::Unknown(value) => Err(Error::new(
            ErrorKind::InvalidInput,
            format!("hull.zfs.backend is {value:?}: set it to library or to program, or not at all"),
        )),
    }
}

/// Reads a dataset from the values of [`LOOKED_AT`] and where each comes from, as both implementations tell them.
pub(crate) fn read_dataset(name: &str, lines: impl Iterator<Item = (String, String, String)>) -> Dataset {
    let mut found = Dataset::default();
    for (property, value, source) in lines {
        let number = value.parse().unwrap_or(0);
        let own = source == "local" || source == name;
        let said = source != "default" && source != "-" && source != "nil";
        let some = (!matches!(value.as_str(), "-" | "nil")).then(|| value.clone());
        match property.as_str() {
            "type" => found.kind = value,
            "origin" => found.origin = some.filter(|o| !o.is_empty()),
            // A mount that is read-only for now says nothing of the dataset.
            "readonly" => found.read_only = value == "on" && source != "temporary",
            "refquota" => found.size = Some(number).filter(|&size| size > 0),
            "used" => found.used = number,
            "referenced" => found.referenced = number,
            "available" => found.available = number,
            "written" => found.written = number,
            "keystatus" => {
                found.key = match value.as_str() {
                    "available" => Key::Loaded,
                    "unavailable" => Key::Missing,
                    _ => Key::None,
                }
            }
            "mountpoint" => found.mountpoint = some.filter(|m| own && m.starts_with('/')),
            MADE_BY => {
                let made = some.filter(|_| own);
                found.ours = made.is_some();
                found.by = made.and_then(|by| TxId::try_from(by).ok());
            }
            "xattr" => found.says_xattr = said,
            "acltype" => found.says_acltype = said,
            _ => {}
        }
    }
    found
}

/// The properties that a [`Dataset`] is made of.
pub(crate) const LOOKED_AT: [&str; 13] = [
    "type",
    "origin",
    "readonly",
    "refquota",
    "used",
    "referenced",
    "available",
    "written",
    "keystatus",
    "mountpoint",
    MADE_BY,
    "xattr",
    "acltype",
];

/// Reads a tree from lines of tab-separated fields: `dataset NAME` and `snapshot NAME MADE HOLDS CLONES`, the clones
/// separated by commas. Snapshots may stand anywhere behind their dataset.
pub(crate) fn read_tree<'a>(lines: impl Iterator<Item = Vec<&'a str>>) -> Vec<Node> {
    let mut nodes: Vec<Node> = Vec::new();
    for fields in lines {
        match fields[..] {
            ["dataset", name] => nodes.push(Node { name: name.into(), snapshots: Vec::new() }),
            ["snapshot", name, made, holds, clones] => {
                let of = name.split('@').next().unwrap_or(name);
                let clones = clones.split(',').filter(|c| !matches!(*c, "" | "-")).map(Into::into);
                let snapshot = Snapshot {
                    name: name.into(),
                    made: made.parse().unwrap_or(0),
                    holds: holds.parse().unwrap_or(0),
                    clones: clones.collect(),
                };
                if let Some(node) = nodes.iter_mut().find(|n| n.name == of) {
                    node.snapshots.push(snapshot);
                }
            }
            _ => {}
        }
    }
    for node in &mut nodes {
        node.snapshots.sort_by_key(|s| s.made);
    }
    nodes
}

#[cfg(test)]
mod tests {
    use super::read_dataset;

    #[test]
    fn a_mount_that_is_read_only_for_now_makes_no_snapshot() {
        for (value, source, read_only) in [
            ("off", "default", false),
            ("on", "local", true),
            ("on", "tank/c1", true),
            ("on", "temporary", false),
        ] {
            let line = ["readonly", value, source].map(str::to_owned);
            let [property, value, source] = line;
            let found = read_dataset("tank/c1", std::iter::once((property, value, source)));
            assert_eq!(found.read_only, read_only, "{found:?}");
        }
    }
}
