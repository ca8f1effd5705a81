//! Images and their loop devices: one device for an image, however many ask.

use std::path::Path;
use std::time::{Duration, Instant};

use hull_mount::{Access, table};
use hull_storage::{Error, ErrorKind, Held, Result};
use hull_sys::lock::Kind;
use hull_sys::loopdev::{self, AttachOptions, LoopDevice};
use rustix::fd::OwnedFd;
use rustix::io::Errno;

use crate::image;

/// How long a device may take to let go of its image: the kernel does it after an unmount has returned, and programs
/// that watch devices open each for a moment.
const PATIENCE: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(10);

/// Whether a device goes through the page cache of its image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cache {
    /// Not, where the file system of the image lets it: nothing is cached twice.
    Bypassed,
    /// What the image has there need not be written out first.
    Used,
}

/// Attaches the image `path`, or finds the device it is attached to: two devices would have two caches, and the file
/// system would be torn between them. The device stays as long as what is returned, or a mount of it.
///
/// An image that can be written to gets a device that can, also to be read: then a journal can be replayed.
pub(crate) fn attach(path: &Path, access: Access, cache: Cache) -> Result<LoopDevice> {
    let _alone = image::lock(path, Kind::Exclusive)?;
    let (file, writable) = open(path, access)?;
    let give_up = Instant::now() + PATIENCE;
    loop {
        let mut devices = loopdev::attached_to(&file)?;
        match (devices.pop(), devices.pop()) {
            (None, _) => {
                let options = AttachOptions { read_only: !writable, direct: cache == Cache::Bypassed };
                let device = LoopDevice::attach(&file, &options)?;
                // A program that knows nothing of our lock (losetup, mount -o loop, LXC) may have come first just now.
                if loopdev::attached_to(&file)?.iter().all(|other| other.path() == device.path()) {
                    return Ok(device);
                }
            }
            (Some(device), None) => return suited(device, path, access),
            // One of them may be about to go.
            (Some(one), Some(other)) if Instant::now() > give_up => {
                let (one, other) = (one.path(), other.path());
                let (path, one, other) = (path.display(), one.display(), other.display());
                let text = format!("{path} is attached to {other} and {one} at once: detach one of them");
                return Err(Error::new(ErrorKind::InUse, text));
            }
            (Some(_), Some(_)) => {}
        }
        drop(devices);
        std::thread::sleep(PAUSE);
    }
}

/// Opens the image as its device shall: for writing where that is possible. Whether it was.
fn open(path: &Path, access: Access) -> Result<(OwnedFd, bool)> {
    if image::access(path) == Access::ReadOnly {
        return Ok((image::open(path, Access::ReadOnly)?, false));
    }
    match image::open(path, Access::ReadWrite) {
        Err(e)
            if access == Access::ReadOnly
                && matches!(e.errno(), Errno::ROFS | Errno::ACCESS | Errno::PERM) =>
        {
            Ok((image::open(path, Access::ReadOnly)?, false))
        }
        opened => opened.map(|file| (file, true)),
    }
}

/// `device`, which shows the image `path` already, if it serves for `access`.
fn suited(device: LoopDevice, path: &Path, access: Access) -> Result<LoopDevice> {
    let status = device.status()?;
    let why = match () {
        () if (status.offset, status.size_limit) != (0, 0) => "which shows a part of it",
        () if status.read_only && access == Access::ReadWrite => "which can only be read",
        () => return Ok(device),
    };
    Err(Error::new(
        ErrorKind::InUse,
        format!("{} is attached to {}, {why}: detach that first", path.display(), device.path().display()),
    ))
}

/// Who uses the image `path`, in words; `None` when nobody does, or it cannot be told without privileges.
///
/// An image is used as long as it is attached: the device goes with its last user, in whatever mount namespace.
pub(crate) fn user(path: &Path) -> Result<Option<String>> {
    let file = image::open(path, Access::ReadOnly)?;
    let give_up = Instant::now() + PATIENCE;
    loop {
        // None of them is kept open while waiting.
        let device = match loopdev::attached_to(&file) {
            Ok(devices) => devices.first().map(LoopDevice::path),
            Err(e) if matches!(e.errno(), Errno::ACCESS | Errno::PERM) => None,
            Err(e) => return Err(e.into()),
        };
        let Some(device) = device else { return Ok(None) };
        if Instant::now() > give_up {
            let table = table::read().unwrap_or_default();
            let mounted = table.iter().find(|mount| Path::new(&mount.source) == device);
            let place = mounted.map_or(String::new(), |m| format!(", mounted at {}", m.point.display()));
            return Ok(Some(format!("the loop device {}{place}", device.display())));
        }
        std::thread::sleep(PAUSE);
    }
}

/// Fails with [`ErrorKind::InUse`] when somebody uses the image `path`.
pub(crate) fn require_unused(path: &Path) -> Result<()> {
    match user(path)? {
        None => Ok(()),
        Some(user) => {
            let text = format!("{} is used by {user}: end that first", path.display());
            Err(Error::new(ErrorKind::InUse, text))
        }
    }
}

/// Runs `work` on a device that shows the image `path`, which nobody else uses, and waits until it is detached again.
pub(crate) fn alone_with<T>(path: &Path, work: impl FnOnce(&Path) -> Result<T>) -> Result<T> {
    require_unused(path)?;
    let device = attach(path, Access::ReadWrite, Cache::Bypassed)?;
    let done = work(&device.path()).map_err(|e| e.with("image", path.display()))?;
    drop(device);
    require_unused(path)?;
    Ok(done)
}

/// A device kept open until the volume is mounted.
#[derive(Debug)]
pub(crate) struct Attached(pub(crate) LoopDevice);

impl Held for Attached {
    fn release(self: Box<Self>) -> Result<()> {
        drop(self.0);
        Ok(())
    }
}
