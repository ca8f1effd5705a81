//! The driver: what is known of volumes, and verbs on them.

use std::path::Path;
use std::sync::Arc;

use hull_blockfs::{FsKind, MakeOptions};
use hull_command::Runner;
use hull_mount::{Access, MountPlan, MountSource};
use hull_storage::{
    Activation, Blocks, Bytes, Capabilities, Capacity, CopyOnWrite, Driver, DriverName, Enumerate, Error,
    ErrorKind, Layout, Locator, Outcome, Placement, Resource, Result, Settings, TxId, Usage, VolumeInfo,
    VolumeSpec, files, host,
};

use crate::device::Device;
use crate::naming::{self, Name};
use crate::{NAME, tool};

/// The store of logical volumes.
#[derive(Clone, Debug)]
pub struct LvmDriver {
    pub(crate) runner: Arc<dyn Runner>,
    settings: Settings,
}

impl LvmDriver {
    /// A driver that runs LVM's programs by `runner`.
    ///
    /// Reads `lxc.bdev.lvm.vg`, `lxc.bdev.lvm.thin_pool` (both `lxc` by default), `hull.volume.size` (1 GiB) and
    /// `hull.volume.fstype` (ext4).
    pub fn new(runner: Arc<dyn Runner>, settings: &Settings) -> Self {
        Self { runner, settings: settings.clone() }
    }

    /// The volume group of volumes of which nothing else says where they are.
    pub(crate) fn vg(&self) -> &str {
        self.settings.get("lxc.bdev.lvm.vg").unwrap_or("lxc")
    }

    /// The thin pool of new volumes, if their group has one of that name.
    pub(crate) fn pool(&self) -> &str {
        self.settings.get("lxc.bdev.lvm.thin_pool").unwrap_or("lxc")
    }
}

impl Driver for LvmDriver {
    fn name(&self) -> DriverName {
        NAME
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::NONE.standalone(true).block_backed(true).idmapped_mounts(true).tags_owner(true)
    }

    fn require_ready(&self) -> Result<()> {
        match self.runner.has(tool::LVM) {
            true => Ok(()),
            false => Err(hull_command::not_installed(tool::LVM)),
        }
    }

    fn new_layout(&self, to: &Placement, from: Option<&Locator>) -> Result<Layout> {
        let source = from.filter(|from| from.driver() == NAME).map(Name::of).transpose()?;
        let vg = source.as_ref().map_or(self.vg(), |source| &*source.vg);
        Ok(Name::for_new(to, vg)?.layout())
    }

    fn moved(&self, layout: &Layout, to: &Placement) -> Result<Layout> {
        let from = Name::of(&layout.at)?;
        let moved = Name::for_new(to, &from.vg)?;
        require_one_group(&from, &moved)?;
        Ok(moved.layout())
    }

    fn placement(&self, at: &Locator) -> Result<Placement> {
        naming::placement(&Name::of(at)?)
    }

    fn rebased(&self, at: &Locator, _from: &Path, _to: &Path) -> Result<Locator> {
        // No directory of volumes is anybody's home.
        Ok(at.clone())
    }

    fn layout(&self, at: &Locator) -> Result<Layout> {
        let name = Name::of(at)?;
        self.see(&name)?;
        Ok(name.layout())
    }

    fn inspect(&self, at: &Locator) -> Result<VolumeInfo> {
        let name = Name::of(at)?;
        let volume = self.volume(&name)?;
        let mut info = VolumeInfo::new(volume.is_ours());
        // What LVM knows of an inactive volume's permission, it does not say.
        info.access = Device::of(&name).map_or(volume.access, |device| device.access());
        info.size = Some(volume.size);
        // A thin clone needs its origin for nothing.
        if let (true, Some(origin)) = (volume.is_thick_snapshot(), &volume.origin) {
            info.origins.push(name.sibling(origin).path().into_os_string());
        }
        Ok(info)
    }

    fn user(&self, at: &Locator) -> Result<Option<String>> {
        let name = Name::of(at)?;
        let Some(device) = Device::of(&name) else { return Ok(None) };
        Ok(device.is_held()?.then(|| holder(&name)))
    }

    fn needed_by(&self, at: &Locator) -> Result<Vec<Locator>> {
        let snapshots = self.snapshots_of(&Name::of(at)?)?;
        Ok(snapshots.iter().map(|name| name.layout().at).collect())
    }

    fn usage(&self, at: &Locator) -> Result<Usage> {
        let name = Name::of(at)?;
        let group = self.group(&name.vg, &tool::with_pools(&[&name.lv]))?;
        let volume = group.volume(&name.lv).filter(|v| v.is_public()).ok_or_else(|| absent(&name))?;
        let ready = self.activate(at, Access::ReadOnly)?;
        let root = host::open(&ready)?;
        let mut usage = files::measure(&hull_sys::fd::proc_path(&root).join("."))?;
        usage.total = volume.size;
        usage.exclusive = Some(volume.own.min(volume.size));
        if volume.is_thin() {
            usage.total = volume.mapped();
            // Which of its blocks other volumes share, only the pool's metadata say.
            usage.exclusive = None;
            let pool = volume.pool.as_ref().and_then(|pool| group.volume(pool));
            let free = pool.map(|pool| Bytes(pool.size.0.saturating_sub(pool.mapped().0)));
            usage.available = usage.available.into_iter().chain(free).min();
        }
        Ok(usage)
    }

    fn activate(&self, at: &Locator, access: Access) -> Result<Activation> {
        let device = self.active(&Name::of(at)?)?;
        let may = device.access();
        if access == Access::ReadWrite && may == Access::ReadOnly {
            return Err(Error::new(
                ErrorKind::PermissionDenied,
                format!("{at} is a read-only snapshot: make a clone of it and write to that"),
            ));
        }
        let found = device.probe()?.ok_or_else(|| {
            let text =
                format!("there is no file system on {at} that Hull knows: make one, or restore the volume");
            Error::new(ErrorKind::InvalidInput, text)
        })?;
        let source = MountSource::Filesystem { fstype: found.fstype.into(), source: device.path.clone() };
        let mut plan = MountPlan::new(source, access);
        if may == Access::ReadOnly && found.clean != Some(true) {
            // Nothing can be replayed on a device that may only be read.
            if let Some(option) = without_replay(found.fstype) {
                plan = plan.option(option);
            }
        }
        // It stays active, as LXC's volumes do: deactivating is for who shuts the machine down.
        Ok(Activation::of(plan))
    }

    /// A flush of a thin volume has its pool write its metadata out.
    fn activate_unflushed(&self, at: &Locator) -> Result<Activation> {
        let mut ready = self.activate(at, Access::ReadWrite)?;
        if let MountSource::Filesystem { fstype, .. } = &ready.plan.source
            && let Ok(kind) = FsKind::parse(fstype)
        {
            for option in kind.options_unflushed() {
                ready.plan = ready.plan.option(*option);
            }
        }
        Ok(ready)
    }

    fn create(&self, at: &Layout, spec: &VolumeSpec, by: TxId) -> Result<()> {
        let name = Name::of(&at.at)?;
        let spec = spec.or_as_set(&self.settings)?;
        let kind = FsKind::parse(spec.fstype.as_deref().unwrap_or("ext4"))?;
        let size = spec.size.unwrap_or(SIZE);
        kind.require_room(size)?;
        let device = self.make_volume(&name, size, by)?;
        hull_blockfs::make(&*self.runner, &device.path, kind, &MakeOptions { owner: spec.owner })
    }

    fn rename(&self, from: &Resource, to: &Resource) -> Result<Outcome> {
        let (old, new) = (Name::of_part(from)?, Name::of_part(to)?);
        require_one_group(&old, &new)?;
        let command = tool::rename(&old, &new.lv);
        let output = self.runner.attempt(&command)?;
        if output.succeeded() {
            return Ok(Outcome::Done);
        }
        let group = self.group(&old.vg, &tool::named(&[&old.lv, &new.lv]))?;
        match (group.volume(&old.lv), group.volume(&new.lv)) {
            (None, _) => Ok(Outcome::AlreadyDone),
            (Some(_), Some(_)) => Err(taken(&new)),
            (Some(_), None) => Err(hull_command::failure(&command, &output)),
        }
    }

    fn reclaim(&self, what: &Resource, _by: TxId) -> Result<Outcome> {
        self.remove(&Name::of_part(what)?)
    }

    fn made_by(&self, what: &Resource, tx: TxId) -> Result<bool> {
        if what.carries(tx) {
            return Ok(true);
        }
        let name = Name::of_part(what)?;
        let group = self.group(&name.vg, &tool::named(&[&name.lv]))?;
        Ok(group.volume(&name.lv).is_some_and(|volume| volume.is_of(tx)))
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

    fn enumerate(&self) -> Option<&dyn Enumerate> {
        Some(self)
    }
}

/// How large a volume is if nobody says, as in LXC.
const SIZE: Bytes = Bytes(1 << 30);

/// What mounts a file system without replaying its journal.
fn without_replay(fstype: &str) -> Option<&'static str> {
    match fstype {
        "ext3" | "ext4" => Some("noload"),
        "xfs" => Some("norecovery"),
        "btrfs" => Some("rescue=nologreplay"),
        _ => None,
    }
}

/// Who holds the device of `name`, as far as this process sees.
fn holder(name: &Name) -> String {
    let table = hull_mount::table::read().unwrap_or_default();
    let nodes = [name.path(), name.mapper_path()];
    match table.iter().find(|e| nodes.iter().any(|node| node.as_os_str() == e.source)) {
        Some(mount) => format!("the mount at {}", mount.point.display()),
        None => "a mount in another mount namespace, or a program that has its device open".into(),
    }
}

/// Fails unless both volumes are of one group: LVM moves none to another.
pub(crate) fn require_one_group(from: &Name, to: &Name) -> Result<()> {
    if from.vg == to.vg {
        return Ok(());
    }
    let text =
        format!("{from} cannot become {to}: a volume stays in its group, make a copy in the other one");
    Err(Error::new(ErrorKind::Unsupported, text))
}

/// The name is taken.
pub(crate) fn taken(name: &Name) -> Error {
    let path = name.path();
    let text = format!("{} is there already: remove it first or choose another place", path.display());
    Error::new(ErrorKind::AlreadyExists, text)
}

/// There is no such volume.
pub(crate) fn absent(name: &Name) -> Error {
    Error::new(ErrorKind::NotFound, format!("there is no logical volume {}", name.path().display()))
}
