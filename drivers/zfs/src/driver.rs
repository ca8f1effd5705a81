//! The driver: datasets, named by where they are in their pool.

use std::path::Path;
use std::sync::OnceLock;

use hull_mount::{Access, DetachedMount, MountPlan, MountSource};
use hull_storage::{
    Activation, Bytes, Capabilities, Capacity, CopyOnWrite, Driver, DriverName, Enumerate, Error, ErrorKind,
    Layout, Locator, Outcome, Placement, Resource, Result, Settings, Transfer, TxId, Usage, VolumeInfo,
    VolumeSpec, files, host, paths,
};
use rustix::fd::AsRawFd;
use rustix::fs::{AtFlags, Gid, Uid};

use crate::backend::{self, Asked, Backend, Dataset, Key, MADE_BY, Property, Wanted};
use crate::{NAME, naming, remove, users};

/// The store of zfs datasets.
#[derive(Debug)]
pub struct ZfsDriver {
    root: String,
    wanted: Wanted,
    backend: OnceLock<Box<dyn Backend>>,
}

impl ZfsDriver {
    /// The driver with the settings `lxc.bdev.zfs.root` and `hull.zfs.backend`.
    pub fn new(settings: &Settings) -> Self {
        Self {
            root: settings.get("lxc.bdev.zfs.root").filter(|r| !r.is_empty()).unwrap_or("lxc").into(),
            wanted: Wanted::read(settings.get("hull.zfs.backend")),
            backend: OnceLock::new(),
        }
    }

    #[cfg(test)]
    pub(crate) fn with_backend(root: &str, backend: Box<dyn Backend>) -> Self {
        Self { root: root.into(), wanted: Wanted::Best, backend: OnceLock::from(backend) }
    }

    /// The dataset of volumes of which nothing else says where they are.
    pub(crate) fn root(&self) -> &str {
        &self.root
    }

    pub(crate) fn backend(&self) -> Result<&dyn Backend> {
        if self.backend.get().is_none() {
            // Should another thread be faster, one of the two is dropped.
            let _ = self.backend.set(backend::open(&self.wanted)?);
        }
        Ok(&**self.backend.get().expect("it was set just now"))
    }

    /// The dataset that `at` names, whether or not it is there: by its name, or exactly by its mount point.
    pub(crate) fn dataset(&self, at: &Locator) -> Result<String> {
        if let Some(name) = naming::named(at)? {
            return Ok(name.into());
        }
        let path = paths::absolute(at)?;
        let path = path.to_string_lossy();
        let found = self.backend()?.mounted_at(&path)?;
        match &found[..] {
            [one] => Ok(one.clone()),
            [] => Err(Error::new(
                ErrorKind::NotFound,
                format!("no dataset has the mount point {path}: write zfs:POOL/NAME"),
            )),
            several => Err(Error::new(
                ErrorKind::InvalidInput,
                format!(
                    "several datasets have the mount point {path} ({}): write zfs:POOL/NAME",
                    several.join(", ")
                ),
            )),
        }
    }

    /// The file system that `at` names, and what is `asked` of it.
    pub(crate) fn existing(&self, at: &Locator, asked: Asked) -> Result<(String, Dataset)> {
        let name = self.dataset(at)?;
        let found = self.backend()?.look(&name, asked)?.ok_or_else(|| absent(&name))?;
        match found.kind.as_str() {
            "filesystem" => Ok((name, found)),
            kind => Err(Error::new(
                ErrorKind::InvalidInput,
                format!("the dataset {name} is a {kind}, not a file system"),
            )),
        }
    }

    /// The properties of a new dataset in the one that holds `name`.
    ///
    /// It is mounted by nothing but Hull and LXC, which both need no mount point; what is inherited is not set. Without
    /// `xattr=sa` and POSIX lists, capabilities and lists of access rights would be lost or slow, so they are set where
    /// nobody above has said anything about them.
    pub(crate) fn properties(&self, name: &str, access: Access, by: TxId) -> Result<Vec<Property>> {
        let parent = naming::parent(name).unwrap_or(name);
        let above = self.backend()?.look(parent, Asked::Inherited)?.ok_or_else(|| {
            let text = format!(
                "there is no dataset {parent} to make volumes in: make it with `zfs create -o mountpoint=none {parent}`, \
                 or set lxc.bdev.zfs.root to another one"
            );
            Error::new(ErrorKind::NotFound, text)
        })?;
        let mut properties = vec![
            Property::choice("canmount", "noauto", 2),
            Property::text("mountpoint", "legacy"),
            Property::text(MADE_BY, by.to_string()),
        ];
        if !above.says_xattr {
            properties.push(Property::choice("xattr", "sa", 2));
        }
        if !above.says_acltype {
            properties.push(Property::choice("acltype", "posix", 1));
        }
        if access == Access::ReadOnly {
            properties.push(Property::choice("readonly", "on", 1));
        }
        Ok(properties)
    }
}

impl Driver for ZfsDriver {
    fn name(&self) -> DriverName {
        NAME
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::NONE.standalone(true).idmapped_mounts(crate::probe::maps_ids()).tags_clones(true)
    }

    fn require_ready(&self) -> Result<()> {
        self.backend().map(drop)
    }

    fn new_layout(&self, to: &Placement, from: Option<&Locator>) -> Result<Layout> {
        // Without zfs nothing could be made, and then not be undone either.
        self.backend()?;
        let source = from.filter(|f| f.driver() == NAME).map(|f| self.dataset(f)).transpose()?;
        let root = naming::root_for(to, source.as_deref(), &self.root)?;
        let dataset = naming::dataset(root, &to.pooled())?;
        let origin = source.and_then(|source| naming::origin_for(&source, &to.pooled()));
        Ok(naming::layout(&dataset, origin.as_deref()))
    }

    fn moved(&self, layout: &Layout, to: &Placement) -> Result<Layout> {
        // In a home it stays in the dataset that it is in.
        let source = naming::named(&layout.at)?;
        let root = naming::root_for(to, source, &self.root)?;
        let dataset = naming::dataset(root, &to.pooled())?;
        Ok(naming::layout(&dataset, naming::snapshot_in(layout)))
    }

    fn placement(&self, at: &Locator) -> Result<Placement> {
        paths::placement(Path::new(&self.dataset(at)?))
    }

    fn rebased(&self, at: &Locator, _from: &Path, _to: &Path) -> Result<Locator> {
        Ok(match naming::named(at)? {
            Some(_) => at.clone(),
            // Its mount point does not follow the directory, its name need not.
            None => Locator::new(NAME, self.dataset(at)?),
        })
    }

    fn layout(&self, at: &Locator) -> Result<Layout> {
        self.existing(at, Asked::Kind).map(|(name, _)| naming::layout(&name, None))
    }

    fn inspect(&self, at: &Locator) -> Result<VolumeInfo> {
        let (_, found) = self.existing(at, Asked::Shown)?;
        let mut info = VolumeInfo::new(found.ours);
        if found.read_only {
            info.access = Access::ReadOnly;
        }
        info.size = found.size.map(Bytes);
        let origin = found.origin.as_deref().and_then(|origin| origin.split('@').next());
        info.origins = origin.map(Into::into).into_iter().collect();
        Ok(info)
    }

    fn user(&self, at: &Locator) -> Result<Option<String>> {
        let name = self.dataset(at)?;
        if let Some(user) = users::mounted(&name) {
            return Ok(Some(user));
        }
        users::held(&self.backend()?.tree(&name)?)
    }

    fn usage(&self, at: &Locator) -> Result<Usage> {
        let (name, found) = self.existing(at, Asked::All)?;
        let mount = DetachedMount::build(&looking(&name, &found)?, None)?;
        let counted = files::measure(Path::new(&format!(
            "/proc/self/fd/{}",
            rustix::fd::AsFd::as_fd(&mount).as_raw_fd()
        )))?;
        Ok(Usage {
            exclusive: Some(Bytes(found.used.min(found.referenced))),
            total: Bytes(found.referenced),
            available: Some(Bytes(found.available)),
            entries: counted.entries,
        })
    }

    fn activate(&self, at: &Locator, access: Access) -> Result<Activation> {
        let (name, found) = self.existing(at, Asked::Mounting)?;
        if access == Access::ReadWrite && found.read_only {
            return Err(Error::new(
                ErrorKind::PermissionDenied,
                format!("{at} is a read-only snapshot: make a clone of it and write to that"),
            ));
        }
        require_key(&name, &found)?;
        Ok(Activation::of(MountPlan::new(source(&name), access)))
    }

    /// Whoever makes it knows that it may be written to.
    fn activate_unflushed(&self, at: &Locator) -> Result<Activation> {
        let name = self.dataset(at)?;
        let found = self.backend()?.look(&name, Asked::Key)?.ok_or_else(|| absent(&name))?;
        require_key(&name, &found)?;
        Ok(Activation::of(MountPlan::new(source(&name), Access::ReadWrite)))
    }

    fn create(&self, at: &Layout, spec: &VolumeSpec, by: TxId) -> Result<()> {
        let (name, backend) = (self.dataset(&at.at)?, self.backend()?);
        let mut properties = self.properties(&name, Access::ReadWrite, by)?;
        properties.extend(spec.size.map(|size| Property::size(size.0)));
        backend.create(&name, &properties).map_err(|e| taken(e, &name))?;
        if let Some((uid, gid)) = spec.owner {
            let ready = self.activate(&at.at, Access::ReadWrite)?;
            let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
            rustix::fs::chownat(host::open(&ready)?, "", Some(uid), Some(gid), AtFlags::EMPTY_PATH)
                .map_err(|e| Error::os(format!("cannot give away the root of {name}"), e))?;
        }
        Ok(())
    }

    fn rename(&self, from: &Resource, to: &Resource) -> Result<Outcome> {
        let (backend, old, new) = (self.backend()?, part(from)?, part(to)?);
        match backend.rename(old, new) {
            Ok(()) => {}
            Err(e) if e.kind() == ErrorKind::NotFound && !backend.exists(old)? => {
                return Ok(Outcome::AlreadyDone);
            }
            Err(e) => return Err(taken(e, new)),
        }
        if naming::is_stamped(old) || naming::is_stamped(new) {
            return Ok(Outcome::Done);
        }
        // LXC's datasets have their mount point in their home. Nothing of ours needs it.
        let mountpoint = backend.look(new, Asked::Mountpoint)?.and_then(|found| found.mountpoint);
        if let Some(moved) = mountpoint.and_then(|m| naming::moved_mountpoint(&m, old, new)) {
            let _ = backend.set(new, &Property::text("mountpoint", moved));
        }
        Ok(Outcome::Done)
    }

    fn reclaim(&self, what: &Resource, by: TxId) -> Result<Outcome> {
        let (backend, name) = (self.backend()?, part(what)?);
        match name.contains('@') {
            true => remove::snapshot(backend, name),
            false => remove::dataset(backend, name, by),
        }
    }

    /// A clone's origin tells it from the act on that makes the clone; properties come with a second one.
    fn made_by(&self, what: &Resource, tx: TxId) -> Result<bool> {
        let name = part(what)?;
        if what.carries(tx) || name.contains('@') {
            return Ok(what.carries(tx));
        }
        let found = self.backend()?.look(name, Asked::Maker)?;
        Ok(found.is_some_and(|found| {
            found.by == Some(tx) || found.origin.as_deref().and_then(naming::maker_of_clones) == Some(tx)
        }))
    }

    fn copy_on_write(&self) -> Option<&dyn CopyOnWrite> {
        Some(self)
    }

    fn capacity(&self) -> Option<&dyn Capacity> {
        Some(self)
    }

    fn transfer(&self) -> Option<&dyn Transfer> {
        Some(self)
    }

    fn enumerate(&self) -> Option<&dyn Enumerate> {
        Some(self)
    }
}

/// The failure `e` of making `name`, in clearer words if the name is taken.
pub(crate) fn taken(e: Error, name: &str) -> Error {
    match e.kind() {
        ErrorKind::AlreadyExists => Error::new(
            ErrorKind::AlreadyExists,
            format!("{name} is there already: remove it first or choose another place"),
        ),
        _ => e,
    }
}

fn absent(name: &str) -> Error {
    let pool = naming::pool(name);
    let text = format!("there is no dataset {name}, or its pool {pool} is not imported");
    Error::new(ErrorKind::NotFound, text)
}

/// Fails for an encrypted file system whose key is not loaded.
pub(crate) fn require_key(name: &str, found: &Dataset) -> Result<()> {
    match found.key {
        Key::Missing => Err(Error::new(
            ErrorKind::PermissionDenied,
            format!("{name} is encrypted and its key is not loaded: load it with `zfs load-key {name}`"),
        )),
        Key::None | Key::Loaded => Ok(()),
    }
}

fn source(name: &str) -> MountSource {
    MountSource::Filesystem { fstype: "zfs".into(), source: name.into() }
}

/// A mount for looking. Where the file system may be written to, only the mount is read-only: if all of it were, it
/// could not be mounted for writing meanwhile.
fn looking(name: &str, found: &Dataset) -> Result<MountPlan> {
    require_key(name, found)?;
    Ok(match found.read_only {
        true => MountPlan::new(source(name), Access::ReadOnly),
        false => MountPlan::new(source(name), Access::ReadWrite).option("ro"),
    })
}

/// A part's name.
fn part(resource: &Resource) -> Result<&str> {
    resource.name.to_str().ok_or_else(|| {
        Error::new(ErrorKind::InvalidInput, format!("{resource} is not the name of a dataset"))
    })
}
