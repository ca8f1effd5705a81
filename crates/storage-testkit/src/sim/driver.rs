//! A driver on the simulated machine, with two-part volumes, marks on sources, and facets to switch.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use hull_mount::{Access, MountPlan, MountSource};
use hull_storage::{
    Activation, Bytes, Capabilities, CopyOnWrite, Cost, Driver, DriverName, Error, ErrorKind, Kept, Layout,
    Locator, Offer, Outcome, Placement, Resource, Result, Source, Tie, TxId, Usage, VolumeInfo, VolumeSpec,
};

use super::{Disk, Machine, Node};

/// What clones of a simulated store are like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clones {
    /// What it asks for one.
    pub offer: Offer,
    /// Whether each leaves a mark on its source, as zfs's snapshots are, which is a part of the clone. A
    /// marked source can neither be renamed nor go.
    pub marks: bool,
}

/// A simulated store. A volume is a directory and, beside it, a file that says whether it may be written to,
/// so that a crash can come between the acts on each.
#[derive(Clone, Debug)]
pub struct SimDriver {
    name: DriverName,
    machine: Machine,
    facts: Capabilities,
    clones: Option<Clones>,
}

impl SimDriver {
    /// A store that can stand alone, lie anywhere, and makes no clones.
    pub fn new(name: DriverName, machine: Machine) -> Self {
        let facts = Capabilities::NONE.standalone(true).anywhere(true);
        Self { name, machine, facts, clones: None }
    }

    /// The store with other facts.
    #[must_use]
    pub fn with_facts(self, facts: Capabilities) -> Self {
        Self { facts, ..self }
    }

    /// The store with clones.
    #[must_use]
    pub fn with_clones(self, cost: Cost, tie: Tie, marks: bool) -> Self {
        Self { clones: Some(Clones { offer: Offer { cost, tie, lies_over: false }, marks }), ..self }
    }

    /// What is on disk where a volume with the files `content` is at `path`.
    pub fn volume(disk: Disk, path: impl AsRef<Path>, content: &[(&str, &str)]) -> Disk {
        let path = path.as_ref();
        let disk = disk.dir(path).file(meta(path), "rw");
        content.iter().fold(disk, |d, (name, text)| d.file(path.join(name), text))
    }

    /// What is on disk where such a volume may only be read.
    pub fn snapshot(disk: Disk, path: impl AsRef<Path>, content: &[(&str, &str)]) -> Disk {
        let path = path.as_ref();
        Self::volume(disk, path, content).file(meta(path), "ro")
    }

    /// The name of the mark that a clone at `clone` leaves on `source`.
    pub fn mark(source: impl AsRef<Path>, clone: impl AsRef<Path>) -> PathBuf {
        let mut name = OsString::from(source.as_ref());
        name.push("@");
        name.push(clone.as_ref().to_string_lossy().replace('/', "!"));
        name.into()
    }

    fn lay(&self, path: &Path, source: Option<&Path>) -> Layout {
        let mark = source.map(|s| Self::mark(s, path));
        let parts = mark.into_iter().chain([path.to_path_buf(), meta(path)]);
        let parts = parts.map(|p| Resource::new(self.name, p)).collect();
        Layout { at: Locator::new(self.name, path), parts }
    }

    /// The source of the clone at `path`, as the marks on it tell.
    fn source(&self, path: &Path) -> Result<Option<PathBuf>> {
        let end = Self::mark("", path).to_string_lossy().into_owned();
        self.machine.look(|d| d.paths().find_map(|p| p.to_str()?.strip_suffix(&end).map(PathBuf::from)))
    }

    fn must_be_unmarked(&self, path: &Path) -> Result<()> {
        let begin = format!("{}@", path.display());
        let mark = self
            .machine
            .look(|d| d.paths().find(|p| p.to_string_lossy().starts_with(&begin)).map(Path::to_path_buf))?;
        match mark {
            Some(mark) => Err(Error::new(
                ErrorKind::HasDependents,
                format!("{} is the source of a clone: {}", path.display(), mark.display()),
            )),
            None => Ok(()),
        }
    }
}

/// The second part of the volume at `path`.
pub(super) fn meta(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(".meta");
    name.into()
}

impl Driver for SimDriver {
    fn name(&self) -> DriverName {
        self.name
    }

    fn capabilities(&self) -> Capabilities {
        self.facts
    }

    fn new_layout(&self, to: &Placement, from: Option<&Locator>) -> Result<Layout> {
        let marks = self.clones.is_some_and(|c| c.marks);
        Ok(self.lay(&to.path("rootfs"), from.filter(|_| marks).map(Locator::path)))
    }

    fn moved(&self, layout: &Layout, to: &Placement) -> Result<Layout> {
        let first = layout.parts.first().map(|p| p.name.to_string_lossy().into_owned());
        let source = first.and_then(|f| f.split_once('@').map(|(source, _)| PathBuf::from(source)));
        Ok(self.lay(&to.path("rootfs"), source.as_deref()))
    }

    fn placement(&self, at: &Locator) -> Result<Placement> {
        Placement::exactly(at.path())
            .ok_or_else(|| Error::new(ErrorKind::InvalidInput, format!("{at} names no volume")))
    }

    fn rebased(&self, at: &Locator, from: &Path, to: &Path) -> Result<Locator> {
        Ok(match at.path().strip_prefix(from) {
            Ok(below) if below.as_os_str().is_empty() => Locator::new(self.name, to),
            Ok(below) => Locator::new(self.name, to.join(below)),
            Err(_) => at.clone(),
        })
    }

    fn layout(&self, at: &Locator) -> Result<Layout> {
        let path = at.path();
        let (data, second) = self.machine.look(|d| (d.get(path) == Some(&Node::Dir), d.has(&meta(path))))?;
        match (data, second) {
            (false, false) => Err(Error::new(ErrorKind::NotFound, format!("there is no volume {at}"))),
            (true, true) => Ok(self.lay(path, self.source(path)?.as_deref())),
            _ => Err(Error::new(ErrorKind::Corrupt, format!("there is half a volume {at}"))),
        }
    }

    fn inspect(&self, at: &Locator) -> Result<VolumeInfo> {
        self.layout(at)?;
        let mut info = VolumeInfo::new(true);
        if self.machine.read(&meta(at.path()))?.is_some_and(|m| m == b"ro") {
            info.access = Access::ReadOnly;
        }
        info.origins = self.source(at.path())?.into_iter().map(std::path::PathBuf::into_os_string).collect();
        Ok(info)
    }

    fn usage(&self, at: &Locator) -> Result<Usage> {
        self.layout(at)?;
        let (entries, total) = self.machine.look(|d| {
            d.tree(at.path()).fold((0, 0), |(entries, total), (_, node)| match node {
                Node::Dir => (entries + 1, total),
                Node::File(content) => (entries + 1, total + content.len() as u64),
            })
        })?;
        Ok(Usage { exclusive: None, total: Bytes(total), available: None, entries })
    }

    fn activate(&self, at: &Locator, access: Access) -> Result<Activation> {
        if self.inspect(at)?.access == Access::ReadOnly && access == Access::ReadWrite {
            let text = format!("{at} is a snapshot, which may only be read: clone it");
            return Err(Error::new(ErrorKind::PermissionDenied, text));
        }
        Ok(Activation::of(MountPlan::new(MountSource::Tree(at.path().into()), access)))
    }

    fn create(&self, at: &Layout, _: &VolumeSpec, _: TxId) -> Result<()> {
        if !self.facts.standalone {
            let text = format!("a volume of the store {} needs a source", self.name);
            return Err(Error::new(ErrorKind::Unsupported, text));
        }
        self.machine.effect(|d| d.make_dir(at.at.path()))?;
        self.machine.effect(|d| d.make_file(&meta(at.at.path()), b"rw"))
    }

    fn rename(&self, from: &Resource, to: &Resource) -> Result<Outcome> {
        // A taken name is said first, as the contract has it.
        if !self.machine.look(|d| d.has(to.path()))? {
            self.must_be_unmarked(from.path())?;
        }
        self.machine.effect(|d| d.rename(from.path(), to.path()))
    }

    fn reclaim(&self, what: &Resource, _: TxId) -> Result<Outcome> {
        self.must_be_unmarked(what.path())?;
        self.machine.remove_tree(what.path())
    }

    fn made_by(&self, what: &Resource, tx: TxId) -> Result<bool> {
        Ok(what.carries(tx) || (self.facts.tags_clones && self.machine.is_tagged(what.path(), tx)?))
    }

    fn copy_on_write(&self) -> Option<&dyn CopyOnWrite> {
        self.clones.map(|_| self as &dyn CopyOnWrite)
    }
}

impl CopyOnWrite for SimDriver {
    fn offer(&self, from: Source<'_>, _: &Placement, _: Access) -> Option<Offer> {
        // A store that stands alone clones only its own.
        let own = from.at.driver() == self.name || !self.facts.standalone;
        self.clones.filter(|_| own).map(|c| c.offer)
    }

    /// What it makes is tagged; whether that counts, its facts say.
    fn clone_volume(&self, from: Source<'_>, to: &Layout, access: Access, by: TxId) -> Result<Kept> {
        from.driver.layout(from.at)?;
        let path = to.at.path();
        for mark in to.parts.iter().filter(|p| p.name.to_string_lossy().contains('@')) {
            self.machine.tagged(mark.path(), by, |d| d.make_file(mark.path(), b"mark"))?;
        }
        self.machine.tagged(path, by, |d| d.copy(from.at.path(), path))?;
        let (meta, mode) = (meta(path), if access == Access::ReadWrite { b"rw" } else { b"ro" });
        self.machine.tagged(&meta, by, |d| d.make_file(&meta, mode))?;
        Ok(None)
    }

    /// A mark says whether its clone has been sealed.
    fn seal_clone(&self, to: &Layout, _: Access, _: TxId) -> Result<()> {
        let marks =
            to.parts.iter().filter(|p| self.facts.tags_clones && p.name.to_string_lossy().contains('@'));
        marks.into_iter().try_for_each(|mark| self.machine.effect(|d| d.put(mark.path(), b"sealed")))
    }
}
