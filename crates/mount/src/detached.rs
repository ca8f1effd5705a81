//! A mount that is attached nowhere.

use hull_sys::mount::{self as call, FsContext, SetAttr};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::MountAttrFlags;
use std::path::Path;

use crate::{Access, Error, MountGuard, MountOptions, MountPlan, MountSource, Result, Union, aufs, overlay};

/// A mount that is attached nowhere. Closing it dissolves it; it travels over `SCM_RIGHTS`.
#[derive(Debug)]
#[must_use = "a detached mount dissolves when dropped"]
pub struct DetachedMount(OwnedFd);

impl DetachedMount {
    /// Builds `plan` in the caller's mount namespace, owners mapped through the user namespace `userns` if given.
    ///
    /// Fails with the kernel call that failed; a kernel or file system without idmapped mounts (Linux 5.12; no
    /// union) fails in `mount_setattr`.
    pub fn build(plan: &MountPlan, userns: Option<BorrowedFd<'_>>) -> Result<Self> {
        let options = MountOptions::parse(plan.options.iter().map(String::as_str));
        let mut attributes = options.set;
        if plan.access == Access::ReadOnly {
            attributes |= MountAttrFlags::MOUNT_ATTR_RDONLY;
        }
        let mount = match &plan.source {
            MountSource::Tree(path) => {
                let recursive = options.bind == Some(true);
                let tree = call::clone_tree(open_dir(path)?, recursive)?;
                adjust(&tree, attributes, &options, userns, recursive)?;
                tree
            }
            MountSource::Filesystem { fstype, source } => {
                let build = |read_only: bool| {
                    let context = FsContext::open(fstype)?;
                    context.set("source", source.as_os_str())?;
                    if read_only {
                        context.flag("ro")?;
                    }
                    set_data(&context, &options.data)?;
                    context.mount(attributes)
                };
                let read_only = plan.access == Access::ReadOnly;
                let mount = match build(read_only) {
                    // It is mounted for writing elsewhere: one superblock cannot be both, but a mount of it can be
                    // read-only all the same.
                    Err(e) if read_only && e.errno() == rustix::io::Errno::BUSY => build(false)?,
                    built => built?,
                };
                adjust(&mount, MountAttrFlags::empty(), &options, userns, false)?;
                mount
            }
            MountSource::Union { flavour: Union::Overlay, lower, upper } => {
                overlay::build(lower, upper.as_ref(), &options.data, attributes, userns)?
            }
            MountSource::Union { flavour: Union::Aufs, lower, upper } => {
                aufs::build(lower, upper.as_ref(), &options.data, attributes, userns)?
            }
        };
        Ok(Self(mount))
    }

    /// Attaches the mount at `path` below `dir` (an empty `path` names `dir` itself); the guard unmounts on drop.
    pub fn attach(self, dir: impl AsFd, path: &Path) -> Result<MountGuard> {
        call::attach(&self.0, dir, path)?;
        Ok(MountGuard::new(self.0))
    }
}

impl From<OwnedFd> for DetachedMount {
    fn from(fd: OwnedFd) -> Self {
        Self(fd)
    }
}

impl From<DetachedMount> for OwnedFd {
    fn from(mount: DetachedMount) -> Self {
        mount.0
    }
}

impl AsFd for DetachedMount {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Opens a directory as a name only, so that no permission to read it is needed.
pub(crate) fn open_dir(path: &Path) -> Result<OwnedFd> {
    rustix::fs::openat(CWD, path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .map_err(|e| Error::new(format!("open({})", path.display()), e))
}

/// Fails when owners are to be mapped, which the file system `fstype` cannot.
pub(crate) fn refuse_mapping(fstype: &str, userns: Option<BorrowedFd<'_>>) -> Result<()> {
    if userns.is_none() {
        return Ok(());
    }
    let what = format!(
        "mount_setattr({fstype}, MOUNT_ATTR_IDMAP), which {fstype} does not have; use a full copy instead of a clone \
         for containers with idmap=container"
    );
    Err(Error::new(what, Errno::OPNOTSUPP))
}

/// Sets file-system options: `key=value` or `key`.
pub(crate) fn set_data(context: &FsContext, data: &[String]) -> Result<()> {
    data.iter().try_for_each(|option| match option.split_once('=') {
        Some((key, value)) => context.set(key, value.as_ref()),
        None => context.flag(option),
    })
}

/// Changes attributes, propagation and owner mapping of a detached mount, if there is anything to change.
fn adjust(
    mount: &OwnedFd,
    set: MountAttrFlags,
    options: &MountOptions,
    userns: Option<BorrowedFd<'_>>,
    recursive: bool,
) -> Result<()> {
    let change = SetAttr {
        set: u64::from(set.bits()),
        clear: u64::from(options.clear.bits()),
        propagation: options.propagation.map_or(0, |(p, _)| p.bits()),
        userns,
        recursive: recursive || options.propagation.is_some_and(|(_, r)| r),
    };
    if change.set == 0 && change.clear == 0 && change.propagation == 0 && userns.is_none() {
        return Ok(());
    }
    call::set_attributes(mount, &change)
}
