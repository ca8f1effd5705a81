//! Clones: the image's blocks shared where the host's file system can, else its data copied.

use std::path::Path;

use hull_command::Runner;
use hull_mount::Access;
use hull_storage::{
    CopyOnWrite, Cost, Error, Layout, Locator, Offer, Placement, Result, Source, Tie, TxId, files, paths,
};
use hull_sys::lock::Kind;
use hull_sys::loopdev::{self, LoopDevice};
use hull_treecopy::ImageOptions;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{CWD, Mode, OFlags};

use crate::{NAME, attach, image, naming};

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
        Some(Offer { cost, tie: Tie::None })
    }

    fn clone_volume(&self, from: Source<'_>, to: &Layout, access: Access, _by: TxId) -> Result<()> {
        let (source, target) = (image::existing(from.at)?, paths::absolute(&to.at)?);
        copy(from.at, &source, &target)?;
        attach::alone_with(&target, |device| tell_apart(&*self.runner, device, access))?;
        match access {
            Access::ReadOnly => image::set_read_only(&target),
            Access::ReadWrite => Ok(()),
        }
    }
}

/// Lets the copy on `device` be mounted beside its original.
fn tell_apart(runner: &dyn Runner, device: &Path, access: Access) -> Result<()> {
    let kind = hull_blockfs::probe_device(device)?.and_then(|found| found.kind());
    let by_option = kind.is_some_and(|kind| !kind.options_of_a_copy().is_empty());
    // The option is enough for us, who alone mount snapshots. LXC, which may mount the others, does not know it; but a
    // new identity costs xfs a new log, 64 MiB or more of it.
    if access == Access::ReadWrite || !by_option {
        hull_blockfs::new_identity(runner, device)?;
    }
    match access {
        // Nobody could replay its journal later on.
        Access::ReadOnly => hull_blockfs::replay(device),
        Access::ReadWrite => Ok(()),
    }
}

/// Makes the image `target`, exclusively, with all that the image `source` holds.
///
/// Of a file system that is mounted, what shares blocks is a state it was in at one moment: all that was written before
/// is there, and the journal makes it whole. There is no such moment when blocks are copied one after the other.
fn copy(at: &Locator, source: &Path, target: &Path) -> Result<()> {
    let blocks = image::open(source, Access::ReadOnly)?;
    // Until it is copied, nobody of ours attaches it anew.
    let _still = image::lock(source, Kind::Shared)?;
    let device = loopdev::attached_to(&blocks)?.first().map(LoopDevice::path);
    if let Some(device) = &device {
        hull_blockfs::sync(device)?;
    }
    let copy = image::create(target, image::size(&blocks)?)?;
    let failed = |e| Error::os(format!("cannot copy {at} to {}", target.display()), e);
    if rustix::fs::ioctl_ficlone(&copy, &blocks).is_err() {
        attach::require_unused(source)?;
        let options = ImageOptions { zeroed: true, share: false, observer: &() };
        hull_treecopy::copy_image(blocks.as_fd(), copy.as_fd(), image::size(&blocks)?.0, &options)
            .map_err(|e| Error::tree(format!("cannot copy {at} to {}", target.display()), e))?;
    }
    // A device that bypasses the page cache must find it all.
    rustix::fs::fdatasync(&copy).map_err(failed)
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
