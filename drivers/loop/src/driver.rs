//! The driver: naming, looking, readying, and the verbs on image files.

use std::path::Path;
use std::sync::Arc;

use hull_blockfs::{FsKind, MakeOptions};
use hull_command::{Runner, System};
use hull_mount::{Access, MountPlan, MountSource};
use hull_storage::{
    Activation, Blocks, Bytes, Capabilities, Capacity, CopyOnWrite, Driver, DriverName, Error, ErrorKind,
    Layout, Locator, Outcome, Placement, Resource, Result, Settings, TxId, Usage, VolumeInfo, VolumeSpec,
    files, host, mark, paths,
};
use rustix::fd::AsFd;

use crate::attach::Cache;
use crate::{NAME, attach, image, naming};

/// The size of a volume when none is said, as in LXC.
const SIZE: Bytes = Bytes(1 << 30);

/// The store of file systems in images.
#[derive(Clone, Debug)]
pub struct LoopDriver {
    settings: Settings,
    pub(crate) runner: Arc<dyn Runner>,
}

impl LoopDriver {
    /// The store with these settings: `hull.volume.size` and `hull.volume.fstype` for volumes of which nothing else is
    /// said.
    pub fn new(settings: &Settings) -> Self {
        Self::running(settings, Arc::new(System))
    }

    /// The store whose programs are run by `runner`.
    pub fn running(settings: &Settings, runner: Arc<dyn Runner>) -> Self {
        Self { settings: settings.clone(), runner }
    }
}

impl Driver for LoopDriver {
    fn name(&self) -> DriverName {
        NAME
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::NONE.standalone(true).anywhere(true).block_backed(true).idmapped_mounts(true)
    }

    fn new_layout(&self, to: &Placement, _from: Option<&Locator>) -> Result<Layout> {
        Ok(naming::layout_at(to))
    }

    fn moved(&self, _layout: &Layout, to: &Placement) -> Result<Layout> {
        Ok(naming::layout_at(to))
    }

    fn placement(&self, at: &Locator) -> Result<Placement> {
        paths::placement(&paths::absolute(at)?)
    }

    fn rebased(&self, at: &Locator, from: &Path, to: &Path) -> Result<Locator> {
        let new = paths::rebased(&paths::absolute(at)?, from, to);
        Ok(new.map_or_else(|| at.clone(), |path| Locator::new(NAME, path)))
    }

    fn layout(&self, at: &Locator) -> Result<Layout> {
        image::existing(at).map(naming::layout)
    }

    fn inspect(&self, at: &Locator) -> Result<VolumeInfo> {
        let path = image::existing(at)?;
        let mut info = VolumeInfo::new(mark::is_set(&path, &mark::inode(&path)?));
        info.access = image::access(&path);
        info.size = Some(image::size_at(&path)?);
        Ok(info)
    }

    fn user(&self, at: &Locator) -> Result<Option<String>> {
        attach::user(&image::existing(at)?)
    }

    fn usage(&self, at: &Locator) -> Result<Usage> {
        let path = image::existing(at)?;
        let mut usage = image::occupied(&path)?;
        // Damage that keeps it from being mounted does not keep anybody from being told how much space it takes.
        if let Ok(root) = self.activate(at, Access::ReadOnly).and_then(|ready| host::open(&ready)) {
            let measured = hull_treecopy::measure_tree(root.as_fd())
                .map_err(|e| Error::tree(format!("cannot measure {at}"), e))?;
            usage.entries = measured.entries + 1;
            usage.available = usage.available.into_iter().chain(files::available(&root)).min();
        }
        Ok(usage)
    }

    fn activate(&self, at: &Locator, access: Access) -> Result<Activation> {
        // An image that was copied by another program has the UUID of the original.
        ready(at, access, Cache::Bypassed, FsKind::options_of_a_copy)
    }

    fn activate_unflushed(&self, at: &Locator) -> Result<Activation> {
        // Past the page cache, its file system would wait for what was just copied into the image to reach the disk.
        let options = |kind: FsKind| [kind.options_of_a_copy(), kind.options_unflushed()].concat();
        ready(at, Access::ReadWrite, Cache::Used, options)
    }

    fn create(&self, at: &Layout, spec: &VolumeSpec, _by: TxId) -> Result<()> {
        let path = paths::absolute(&at.at)?;
        let spec = spec.or_as_set(&self.settings)?;
        let kind = FsKind::parse(spec.fstype.as_deref().unwrap_or("ext4"))?;
        let size = spec.size.unwrap_or(SIZE);
        kind.require_room(size)?;
        drop(image::create(&path, size)?);
        let device = attach::attach(&path, Access::ReadWrite, Cache::Bypassed)?;
        hull_blockfs::make(&*self.runner, &device.path(), kind, &MakeOptions { owner: spec.owner })
            .map_err(|e| e.with("image", path.display()))
    }

    fn rename(&self, from: &Resource, to: &Resource) -> Result<Outcome> {
        files::rename(from, to)
    }

    fn reclaim(&self, what: &Resource, _by: TxId) -> Result<Outcome> {
        // If it is still attached, its blocks go when the device does.
        files::reclaim(what, &())
    }

    fn copy_on_write(&self) -> Option<&dyn CopyOnWrite> {
        Some(self)
    }

    fn capacity(&self) -> Option<&dyn Capacity> {
        Some(self)
    }

    fn blocks(&self) -> Option<&dyn Blocks> {
        Some(self)
    }
}

/// Attaches the image and says how to mount it, with the options that `options` knows for its file system.
fn ready<O: AsRef<[&'static str]>>(
    at: &Locator,
    access: Access,
    cache: Cache,
    options: impl FnOnce(FsKind) -> O,
) -> Result<Activation> {
    let path = image::existing(at)?;
    if access == Access::ReadWrite && image::access(&path) == Access::ReadOnly {
        return Err(read_only(at));
    }
    let device = attach::attach(&path, access, cache)?;
    let found = image::filesystem(&device, &path, image::size_at(&path)?)?;
    let source = MountSource::Filesystem { fstype: found.fstype.into(), source: device.path() };
    let mut plan = MountPlan::new(source, access);
    for option in found.kind().map(options).iter().flat_map(AsRef::as_ref) {
        plan = plan.option(*option);
    }
    Ok(Activation { plan, held: Some(Box::new(attach::Attached(device))) })
}

/// Why a snapshot is not written to.
pub(crate) fn read_only(at: &Locator) -> Error {
    Error::new(
        ErrorKind::PermissionDenied,
        format!("{at} is a read-only snapshot: make a clone of it and write to that"),
    )
}
