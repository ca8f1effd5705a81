//! Root file systems on any store of this build.

use hull_config::Config;
use hull_mount::{Access, DetachedMount, MountPlan, MountSource};
use hull_runtime::{Error, Result, Rootfs, RootfsOptions, RootfsProvider, RootfsSource};
use hull_storage::lock::FileLock;
use hull_storage::{Registry, Settings};
use rustix::fd::{BorrowedFd, OwnedFd};
use rustix::fs::{Mode, OFlags};
use std::cell::RefCell;
use std::path::Path;

/// Opens volumes.
#[derive(Debug)]
pub(crate) struct Volumes {
    registry: Registry,
    settings: Settings,
    starting: RefCell<Option<FileLock>>,
}

impl Volumes {
    /// Opens volumes of every store of this build, which are told `settings`. `starting` keeps others from destroying or renaming the
    /// container until its root file system is open, by when its command socket says that it runs.
    pub(crate) fn new(settings: Settings, starting: Option<FileLock>) -> Self {
        let starting = RefCell::new(starting);
        Self { registry: hull_drivers::builtin(), settings, starting }
    }
}

impl RootfsProvider for Volumes {
    fn open(&self, config: &Config, userns: Option<BorrowedFd<'_>>) -> Result<Option<Rootfs>> {
        let _starting = self.starting.take();
        let Some(rootfs) = config.rootfs_path() else { return Ok(None) };
        let failed = |e: hull_storage::Error| Error::new(format!("lxc.rootfs.path: {e}"));
        let at = self.registry.locate(rootfs.whole().as_ref()).map_err(failed)?;
        let registration = self.registry.resolve(at.driver().as_str()).map_err(failed)?;
        let driver = (registration.open)(&self.settings);
        let ready = driver.activate(&at, Access::ReadWrite).map_err(failed)?;
        let mut plan: MountPlan = ready.plan;
        plan.options.extend(RootfsOptions::of(config)?.mount);
        if matches!(plan.source, MountSource::Tree(_)) && !plan.options.iter().any(|o| o.contains("bind")) {
            // As LXC mounts directories: with what is mounted below them.
            plan.options.push("rbind".into());
        }
        let pin = match &plan.source {
            MountSource::Tree(tree) => pin(tree),
            // Whoever remounts these remounts a file system of the container's own.
            MountSource::Filesystem { .. } | MountSource::Union { .. } => None,
        };
        let source = if rustix::process::geteuid().is_root() {
            RootfsSource::Mount(DetachedMount::build(&plan, userns)?)
        } else {
            RootfsSource::Plan(plan)
        };
        Ok(Some(Rootfs { source, held: Box::new((ready.held, pin)) }))
    }
}

/// Opens a file without a name below `tree` for writing, which keeps its file system from being remounted read-only
/// (`EBUSY`, mount(2)): an init that ends with `umount -a -r` would else take the host's file system out of service
/// together with the container's view of it. LXC does the same with a file it calls `.lxc_keep`.
///
/// Nothing is pinned where nothing can be written, nor where there are no such files (`O_TMPFILE`, Linux 3.11: NFS).
fn pin(tree: &Path) -> Option<OwnedFd> {
    let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
    rustix::fs::open(tree, flags, Mode::RUSR | Mode::WUSR).ok()
}
