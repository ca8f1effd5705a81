//! Making a root file system the root: attach, then pivot_root(2).

use hull_mount::DetachedMount;
use hull_sys::mount::{self as call};
use rustix::fd::{AsFd, OwnedFd};
use rustix::mount::{MountPropagationFlags, UnmountFlags};
use std::path::Path;

use super::devices::open_host;
use crate::error::{Named, Result};
use crate::inside::Inside;

/// Cuts this mount namespace off: what the host mounts later still comes in, nothing goes out.
pub(crate) fn isolate_mounts() -> Result<()> {
    rustix::mount::mount_change("/", MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC)
        .named(|| "mount(/, MS_REC|MS_SLAVE)".into())
}

/// Attaches the root file system at `mountpoint`, where hooks expect it, and returns its root.
pub(crate) fn attach(rootfs: DetachedMount, mountpoint: &Path) -> Result<Inside> {
    let place = open_host(mountpoint)?;
    let root = rootfs.attach(place.as_fd(), Path::new(""))?.keep();
    Ok(Inside::new(root))
}

/// Makes `inside` the root and current directory, and detaches the old root with all below it.
///
/// pivot_root(".", ".") stacks the old root on the new one, so that no directory is needed to put it in
/// (pivot_root(2), notes).
pub(crate) fn pivot(inside: &Inside) -> Result<()> {
    let old: OwnedFd = open_host(Path::new("/"))?;
    rustix::process::fchdir(inside).named(|| "fchdir(root file system)".into())?;
    rustix::process::pivot_root(".", ".").named(|| "pivot_root(root file system)".into())?;
    rustix::process::fchdir(&old).named(|| "fchdir(old root)".into())?;
    // What the host unmounts later must not come through to us, nor what we detach go back.
    rustix::mount::mount_change(".", MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC)
        .named(|| "mount(old root, MS_REC|MS_SLAVE)".into())?;
    rustix::mount::unmount(".", UnmountFlags::DETACH).named(|| "umount2(old root, MNT_DETACH)".into())?;
    rustix::process::chdir("/").named(|| "chdir(/)".into())
}

/// Sets the propagation of the new root and all below it, and attributes asked for by `lxc.rootfs.options`.
pub(crate) fn set_root_propagation(bits: u64, recursive: bool) -> Result<()> {
    let root = open_host(Path::new("/"))?;
    let change = call::SetAttr { propagation: bits, recursive, ..call::SetAttr::default() };
    Ok(call::set_attributes(root, &change)?)
}
