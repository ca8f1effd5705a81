//! Clones: the image's blocks shared where the host's file system can, else its data copied.

use std::path::Path;

use hull_blockfs::Found;
use hull_command::Runner;
use hull_mount::Access;
use hull_storage::{
    Bytes, CopyOnWrite, Cost, Error, Kept, Layout, Locator, Offer, Placement, Result, Source, Tie, TxId,
    files, paths,
};
use hull_sys::lock::Kind;
use hull_sys::loopdev;
use hull_treecopy::ImageOptions;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{CWD, Mode, OFlags};

use crate::attach::{self, Attached, Cache};
use crate::{NAME, image, naming};

impl CopyOnWrite for crate::LoopDriver {
    fn offer(&self, from: Source<'_>, to: &Placement, _access: Access) -> Option<Offer> {
        if from.driver.name() != NAME {
            return None;
        }
        let source = image::existing(from.at).ok()?;
        let cost = match can_share(source.parent()?, naming::layout_at(to).at.path()) {
            true => Cost::Constant,
            // The blocks of a mounted file system change while they are copied; its files can be copied.
            false if attach::user(&source).ok()?.is_some() => return None,
            false => Cost::PerByte,
        };
        Some(Offer { cost, tie: Tie::None, lies_over: false })
    }

    fn clone_volume(&self, from: Source<'_>, to: &Layout, access: Access, _by: TxId) -> Result<Kept> {
        copy(from.at, &image::existing(from.at)?, &paths::absolute(&to.at)?, access)
    }

    fn finish_clone(&self, to: &Layout, access: Access, _by: TxId) -> Result<()> {
        let target = paths::absolute(&to.at)?;
        tell_apart(&*self.runner, &target, access)?;
        match access {
            Access::ReadOnly => image::set_read_only(&target),
            Access::ReadWrite => Ok(()),
        }
    }
}

/// Lets the copy `target` be mounted beside its original, and, if it is only to be read, from a device that can only
/// be read.
fn tell_apart(runner: &dyn Runner, target: &Path, access: Access) -> Result<()> {
    let found = hull_blockfs::probe_device(target)?;
    let needs = found.map(|found| Needs::of(&found, access)).unwrap_or_default();
    if needs == Needs::default() {
        return Ok(());
    }
    attach::alone_with(target, |device| {
        if needs.identity {
            hull_blockfs::new_identity(runner, device)?;
        }
        if needs.replay { hull_blockfs::replay(device) } else { Ok(()) }
    })
}

/// What the copy of a file system needs before it can be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Needs {
    identity: bool,
    replay: bool,
}

impl Needs {
    fn of(found: &Found, access: Access) -> Self {
        let Some(kind) = found.kind() else { return Self::default() };
        // The mount option is enough for us, who alone mount snapshots. LXC, which may mount the others, does not know it;
        // but a new identity costs xfs a new log, 64 MiB or more of it.
        let by_option = access == Access::ReadOnly && !kind.options_of_a_copy().is_empty();
        Self {
            identity: kind.is_told_by_uuid() && !by_option,
            // Nobody could replay the journal of a snapshot later on.
            replay: access == Access::ReadOnly && found.clean != Some(true),
        }
    }
}

/// Makes the image `target`, exclusively, with all that the image `source` holds.
///
/// Of a file system that is mounted, what shares blocks is a state it was in at one moment: all that was written before
/// is there, and the journal makes it whole. There is no such moment when blocks are copied one after the other.
fn copy(at: &Locator, source: &Path, target: &Path, access: Access) -> Result<Kept> {
    let blocks = image::open(source, Access::ReadOnly)?;
    // Until it is copied, nobody of ours attaches it anew.
    let _still = image::lock(source, Kind::Shared)?;
    for device in loopdev::attached_to(&blocks)? {
        // What can only be read holds nothing back.
        if !device.status()?.read_only {
            hull_blockfs::sync(&device.path())?;
        }
    }
    let size = image::size(&blocks)?;
    let copy = image::create(target, Bytes(0))?;
    if rustix::fs::ioctl_ficlone(&copy, &blocks).is_ok() {
        return Ok(None);
    }
    attach::require_unused(source)?;
    // Who is about to write to the copy will mount it, and the kernel writes an image out before a device shows it (Linux
    // 6.18). An empty one has nothing to write; and as long as its device is empty nobody has read from that what the
    // image holds by then.
    let found = hull_blockfs::probe(blocks.as_fd())?;
    let mounts =
        access == Access::ReadWrite && found.is_some_and(|f| Needs::of(&f, access) == Needs::default());
    // Copying takes no device: where there is none to be had, who mounts the copy says so.
    let device = mounts.then(|| attach::attach(target, access, Cache::Used)).and_then(Result::ok);
    image::set_size(&copy, target, size)?;
    let options = ImageOptions { zeroed: true, share: false, observer: &() };
    hull_treecopy::copy_image(blocks.as_fd(), copy.as_fd(), size.0, &options)
        .map_err(|e| Error::tree(format!("cannot copy {at} to {}", target.display()), e))?;
    let Some(device) = device else { return Ok(None) };
    device.set_capacity()?;
    Ok(Some(Box::new(Attached(device))))
}

/// Whether a file beside `source`'s in the directory `from` can share blocks with one at `to`. Nothing stays of the
/// trial: both files have no name.
fn can_share(from: &Path, to: &Path) -> bool {
    // The directory of a container that is yet to be made is where the next one above it is.
    let target = to.ancestors().skip(1).find(|dir| files::is_dir(dir)).and_then(nameless);
    match (nameless(from), target) {
        (Some(source), Some(target)) => rustix::fs::ioctl_ficlone(target, source).is_ok(),
        _ => false,
    }
}

fn nameless(dir: &Path) -> Option<OwnedFd> {
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    rustix::fs::openat(CWD, dir, flags, Mode::RUSR | Mode::WUSR).ok()
}
