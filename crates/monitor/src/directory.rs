//! Root file systems that are directories: `dir:/path` or a bare path.

use hull_config::Config;
use hull_mount::{Access, DetachedMount, MountPlan, MountSource};
use hull_runtime::{Error, Result, Rootfs, RootfsOptions, RootfsProvider, RootfsSource};
use rustix::fd::BorrowedFd;

/// Opens directories.
#[derive(Debug)]
pub(crate) struct Directories;

impl RootfsProvider for Directories {
    fn open(&self, config: &Config, userns: Option<BorrowedFd<'_>>) -> Result<Option<Rootfs>> {
        let Some(rootfs) = config.rootfs_path() else { return Ok(None) };
        if rootfs.kind().is_some_and(|k| k != "dir") {
            return Err(Error::new(format!("lxc.rootfs.path: {} is not a directory", rootfs.whole())));
        }
        let options = RootfsOptions::of(config)?.mount;
        let source = MountSource::Tree(rootfs.path().into());
        let plan = MountPlan { options, ..MountPlan::new(source, Access::ReadWrite) };
        let source = if rustix::process::geteuid().is_root() {
            RootfsSource::Mount(DetachedMount::build(&plan, userns)?)
        } else {
            RootfsSource::Plan(plan)
        };
        Ok(Some(Rootfs { source, held: Box::new(()) }))
    }
}
