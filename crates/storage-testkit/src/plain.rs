//! The simplest driver there can be: a volume is a directory. An example to start from, and the source of
//! volumes for stores that cannot stand alone.

use std::path::Path;
use std::sync::Arc;

use hull_mount::{Access, MountPlan, MountSource};
use hull_storage::files::Found;
use hull_storage::{
    Activation, Availability, Bytes, Capabilities, Driver, DriverName, Error, ErrorKind, Layout, Locator,
    Outcome, Placement, Registration, Resource, Result, Settings, TxId, Usage, VolumeInfo, VolumeSpec, files,
    mark,
};

/// Registers [`PlainDriver`].
pub const REGISTRATION: Registration = Registration {
    name: NAME,
    aliases: &[],
    summary: "plain directories, for tests",
    detect: |_| false,
    probe: |_| Availability::Ready { notes: Vec::new() },
    open: |_: &Settings| Arc::new(PlainDriver),
};

/// The name of the store of plain directories.
pub const NAME: DriverName = DriverName::new("plain");

/// Volumes that are directories; it has no facets.
#[derive(Clone, Copy, Debug)]
pub struct PlainDriver;

fn layout(path: &Path) -> Layout {
    Layout { at: Locator::new(NAME, path), parts: vec![Resource::new(NAME, path)] }
}

impl Driver for PlainDriver {
    fn name(&self) -> DriverName {
        NAME
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::NONE.standalone(true).anywhere(true).idmapped_mounts(true).unprivileged(true)
    }

    fn new_layout(&self, to: &Placement, _from: Option<&Locator>) -> Result<Layout> {
        let path = to.path("rootfs");
        if path.as_os_str().as_encoded_bytes().contains(&b'\n') {
            let text = format!("the path {path:?} holds a newline, which no config can keep: choose another");
            return Err(Error::new(ErrorKind::InvalidInput, text));
        }
        Ok(layout(&path))
    }

    fn moved(&self, _layout: &Layout, to: &Placement) -> Result<Layout> {
        self.new_layout(to, None)
    }

    fn placement(&self, at: &Locator) -> Result<Placement> {
        Placement::exactly(at.path())
            .ok_or_else(|| Error::new(ErrorKind::InvalidInput, format!("{at} names no directory")))
    }

    fn rebased(&self, at: &Locator, from: &Path, to: &Path) -> Result<Locator> {
        Ok(match at.path().strip_prefix(from) {
            Ok(below) if below.as_os_str().is_empty() => Locator::new(NAME, to),
            Ok(below) => Locator::new(NAME, to.join(below)),
            Err(_) => at.clone(),
        })
    }

    fn layout(&self, at: &Locator) -> Result<Layout> {
        match files::find(at.path())? {
            Found::Directory => Ok(layout(at.path())),
            Found::Other => Err(Error::new(ErrorKind::InvalidInput, format!("{at} is not a directory"))),
            Found::Nothing => Err(Error::new(ErrorKind::NotFound, format!("there is no volume {at}"))),
        }
    }

    fn inspect(&self, at: &Locator) -> Result<VolumeInfo> {
        self.layout(at)?;
        Ok(VolumeInfo::new(mark::is_set(at.path(), &mark::inode(at.path())?)))
    }

    fn usage(&self, at: &Locator) -> Result<Usage> {
        self.layout(at)?;
        let mut usage = Usage { exclusive: None, total: Bytes(0), available: None, entries: 0 };
        add_up(at.path(), &mut usage)
            .map_err(|e| Error::new(ErrorKind::Os, format!("cannot measure {at}")).because(e))?;
        usage.exclusive = Some(usage.total);
        Ok(usage)
    }

    fn activate(&self, at: &Locator, access: Access) -> Result<Activation> {
        self.layout(at)?;
        Ok(Activation::of(MountPlan::new(MountSource::Tree(at.path().to_path_buf()), access)))
    }

    fn create(&self, at: &Layout, spec: &VolumeSpec, _by: TxId) -> Result<()> {
        let path = at.at.path();
        files::make_dir(path, 0o755, spec.owner)?;
        mark::set(path, &mark::inode(path)?)
    }

    fn rename(&self, from: &Resource, to: &Resource) -> Result<Outcome> {
        files::rename(from, to)
    }

    fn reclaim(&self, what: &Resource, _by: TxId) -> Result<Outcome> {
        files::reclaim(what, &())
    }
}

fn add_up(path: &Path, usage: &mut Usage) -> std::io::Result<()> {
    use std::os::unix::fs::MetadataExt;
    let metadata = path.symlink_metadata()?;
    usage.total.0 += metadata.blocks() * 512;
    usage.entries += 1;
    if metadata.is_dir() {
        for entry in path.read_dir()? {
            add_up(&entry?.path(), usage)?;
        }
    }
    Ok(())
}
