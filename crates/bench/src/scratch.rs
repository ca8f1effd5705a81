//! A file system of its own for a store under test, on a loop device over a file without a name.
//!
//! Nothing of it can stay behind: the file is unlinked as soon as the device has it, the device goes with its last
//! user, and the mount, in a mount namespace of this process alone, with the process, be it by `kill -9`.

use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use hull_blockfs::{FsKind, MakeOptions};
use hull_command::{Runner, System};
use hull_mount::{Access, DetachedMount, MountGuard, MountPlan, MountSource};
use hull_storage::{Error, ErrorKind, Result};
use hull_sys::loopdev::{AttachOptions, LoopDevice};
use rustix::mount::MountPropagationFlags;

/// Gives this process mounts that only it sees. To be called before it starts threads; takes root.
pub fn isolate() -> Result<()> {
    const NEW_MOUNT_NAMESPACE: u64 = 0x0002_0000; // CLONE_NEWNS, unshare(2)
    hull_sys::process::unshare(NEW_MOUNT_NAMESPACE)?;
    // Mounts that others make still come in; ours do not go out.
    rustix::mount::mount_change("/", MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC)
        .map_err(|e| Error::os("cannot make the mounts of this process its own", e))
}

/// Why no scratch file system of this kind can be made here; `None` if one can, as far as that can be told.
pub fn lacking(kind: FsKind) -> Option<String> {
    const CONTROL: &str = "/dev/loop-control";
    if !rustix::process::geteuid().is_root() {
        return Some("mounting takes root".into());
    }
    if !Path::new(CONTROL).exists() {
        return Some(format!(
            "there are no loop devices ({CONTROL} is not there): load them with `modprobe loop`"
        ));
    }
    if !System.has(kind.maker()) {
        let tool = kind.maker();
        return Some(format!("the program {} is not installed: install {}", tool.program, tool.package));
    }
    match hull_sys::mount::FsContext::open(kind.name()) {
        Ok(_) => None,
        Err(e) => Some(format!("this kernel has no {kind} ({e})")),
    }
}

/// A scratch file system, mounted.
#[derive(Debug)]
pub(crate) struct ScratchFs {
    // Dropped in this order: the mount, the device, the directory.
    _mount: MountGuard,
    _device: LoopDevice,
    dir: PathBuf,
}

impl ScratchFs {
    /// Makes a file system of `size` bytes, which take space only when written, and mounts it at the new directory
    /// `dir`. The file lies beside it.
    pub(crate) fn new(kind: FsKind, size: u64, dir: &Path) -> Result<Self> {
        let failed = |what: &str, e: std::io::Error| {
            Error::new(ErrorKind::Os, format!("cannot {what} {}", dir.display())).because(e)
        };
        let image = dir.with_extension("image");
        let file = File::create_new(&image).map_err(|e| failed("make the file of", e))?;
        let device = file
            .set_len(size)
            .map_err(|e| failed("give a size to the file of", e))
            // Past the page cache of the file: what is measured is cached once, as on a disk.
            .and_then(|()| Ok(LoopDevice::attach(&file, &AttachOptions { read_only: false, direct: true })?));
        let _ = fs::remove_file(&image);
        let device = device?;
        hull_blockfs::make(&System, &device.path(), kind, &MakeOptions::default())?;
        let source = MountSource::Filesystem { fstype: kind.name().into(), source: device.path() };
        let mount = DetachedMount::build(&MountPlan::new(source, Access::ReadWrite), None)?;
        fs::create_dir(dir).map_err(|e| failed("make", e))?;
        let target: OwnedFd = File::open(dir).map_err(|e| failed("open", e))?.into();
        let mount = mount.attach(&target, Path::new(""))?;
        Ok(Self { _mount: mount, _device: device, dir: dir.to_path_buf() })
    }

    /// Where it is mounted.
    pub(crate) fn path(&self) -> &Path {
        &self.dir
    }
}
