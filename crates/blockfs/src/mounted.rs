//! Mounting a device where nobody else sees it, for what only the kernel can do to a file system.

use std::path::Path;

use hull_mount::{Access, DetachedMount, MountPlan, MountSource};
use hull_storage::{Error, ErrorKind, Result};
use rustix::fd::OwnedFd;
use rustix::fs::CWD;

use crate::kind::FsKind;

/// Directories that may be covered where nobody sees it, as programs look for nothing in them.
const COVERED: [&str; 4] = ["/mnt", "/media", "/srv", "/tmp"];

/// A mount of the file system `kind` on `device` for writing, attached nowhere.
///
/// The superblock is shared with whoever has the device mounted already. Fails with [`ErrorKind::InUse`] when that is
/// a mount that may only be read.
pub(crate) fn mount(device: &Path, kind: FsKind) -> Result<DetachedMount> {
    let source = MountSource::Filesystem { fstype: kind.name().into(), source: device.into() };
    let mut plan = MountPlan::new(source, Access::ReadWrite);
    for option in kind.options_of_a_copy() {
        plan = plan.option(*option);
    }
    DetachedMount::build(&plan, None).map_err(|e| match e.errno() {
        rustix::io::Errno::BUSY => Error::new(
            ErrorKind::InUse,
            format!("{} is mounted read-only or in use otherwise: end that first", device.display()),
        )
        .because(e),
        _ => Error::from(e),
    })
}

/// Writes out what the kernel holds back of the file system on `device`, which may be mounted elsewhere: what is copied
/// then from under it has all that was written so far. One that is mounted read-only has nothing to write.
pub fn sync(device: &Path) -> Result<()> {
    let Some(kind) = crate::probe_device(device)?.and_then(|found| found.kind()) else { return Ok(()) };
    let root = match root(device, kind) {
        Err(e) if e.kind() == ErrorKind::InUse => return Ok(()),
        root => root?,
    };
    let root = hull_sys::fd::reopen(&root, rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::DIRECTORY)?;
    rustix::fs::syncfs(root).map_err(|e| Error::os(format!("cannot sync {}", device.display()), e))
}

/// The root of the file system `kind` on `device`, attached nowhere.
pub(crate) fn root(device: &Path, kind: FsKind) -> Result<OwnedFd> {
    mount(device, kind).map(OwnedFd::from)
}

/// Runs `work` on the path of a mount of `device` that only `work` and the programs it starts see.
pub(crate) fn at_a_path<T: Send>(
    device: &Path,
    kind: FsKind,
    work: impl FnOnce(&Path) -> Result<T> + Send,
) -> Result<T> {
    hull_sys::private::with_private_mounts(|| {
        let place = COVERED.iter().map(Path::new).find(|path| path.is_dir()).ok_or_else(|| {
            let text = format!("there is none of {}, to mount {} on", COVERED.join(", "), device.display());
            Error::new(ErrorKind::Unsupported, text)
        })?;
        let guard = mount(device, kind)?.attach(CWD, place)?;
        let done = work(place);
        // Before the caller goes on, the device must be let go of.
        guard.unmount()?;
        done
    })?
}
