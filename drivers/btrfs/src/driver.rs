//! The driver: subvolumes where there are some, verbs on directories for all else.

use std::path::{Path, PathBuf};

use hull_mount::{Access, MountPlan, MountSource};
use hull_storage::files::Found;
use hull_storage::{
    Activation, Capabilities, Capacity, CopyOnWrite, Driver, DriverName, Error, ErrorKind, Layout, Locator,
    Observer, Outcome, Placement, Resource, Result, Transfer, TxId, Usage, VolumeInfo, VolumeSpec, files,
    paths,
};
use hull_sys::btrfs;

use crate::capacity::{self, Group};
use crate::subvolume::{self, open_dir};
use crate::{NAME, naming};

/// The store of btrfs subvolumes.
#[derive(Clone, Copy, Debug)]
pub struct BtrfsDriver;

impl Driver for BtrfsDriver {
    fn name(&self) -> DriverName {
        NAME
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::NONE.standalone(true).idmapped_mounts(true).unprivileged(true)
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
        existing(at).map(naming::layout)
    }

    fn inspect(&self, at: &Locator) -> Result<VolumeInfo> {
        let root = open_dir(&existing(at)?)?;
        let mut info = VolumeInfo::new(subvolume::is_marked(&root, at)?);
        info.access = access(&root)?;
        if btrfs::is_subvolume(&root)? {
            info.size = Group::of(&root).ok().and_then(|group| group.limit());
        }
        Ok(info)
    }

    fn usage(&self, at: &Locator) -> Result<Usage> {
        let path = existing(at)?;
        let mut usage = files::measure(&path)?;
        let root = open_dir(&path)?;
        if btrfs::is_subvolume(&root)?
            && let Ok(group) = Group::of(&root)
        {
            usage.exclusive = group.exclusive().map(|b| b.min(usage.total));
            usage.available = [usage.available, group.left()].into_iter().flatten().min();
        }
        Ok(usage)
    }

    fn activate(&self, at: &Locator, access: Access) -> Result<Activation> {
        let path = existing(at)?;
        if access == Access::ReadWrite && self::access(&open_dir(&path)?)? == Access::ReadOnly {
            return Err(Error::new(
                ErrorKind::PermissionDenied,
                format!("{at} is a read-only snapshot: make a clone of it and write to that"),
            ));
        }
        // What the administrator mounted inside belongs to the container, as in LXC.
        Ok(Activation::of(MountPlan::new(MountSource::Tree(path), access).option("rbind")))
    }

    fn create(&self, at: &Layout, spec: &VolumeSpec, _by: TxId) -> Result<()> {
        let path = paths::absolute(&at.at)?;
        subvolume::create(&path, spec.owner)?;
        if spec.size.is_some() {
            capacity::set_limit(&open_dir(&path)?, &at.at, spec.size)?;
        }
        Ok(())
    }

    fn rename(&self, from: &Resource, to: &Resource) -> Result<Outcome> {
        files::rename(from, to)
    }

    fn reclaim(&self, what: &Resource, _by: TxId) -> Result<Outcome> {
        subvolume::reclaim(what, &())
    }

    fn reclaim_observed(&self, what: &Resource, _by: TxId, observer: &dyn Observer) -> Result<Outcome> {
        subvolume::reclaim(what, observer)
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
}

/// Whether the volume whose root is `root` may be written to.
fn access(root: &rustix::fd::OwnedFd) -> Result<Access> {
    let read_only = btrfs::is_subvolume(root)? && btrfs::is_read_only(root)?;
    Ok(if read_only { Access::ReadOnly } else { Access::ReadWrite })
}

/// The path of a volume that is there.
///
/// A plain directory is let through: `lxc-copy -B btrfs` of a directory leaves one and calls it a subvolume,
/// and whoever has such a container must be able to start and destroy it. It is never made by this driver,
/// and copied rather than snapshotted.
fn existing(at: &Locator) -> Result<PathBuf> {
    let path = paths::absolute(at)?;
    match files::find(&path)? {
        Found::Directory => Ok(path),
        Found::Other => {
            Err(Error::new(ErrorKind::InvalidInput, format!("{} is not a btrfs subvolume", path.display())))
        }
        Found::Nothing => {
            Err(Error::new(ErrorKind::NotFound, format!("there is no subvolume {}", path.display())))
        }
    }
}
