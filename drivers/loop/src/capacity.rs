//! Sizes: the image and the file system in it grow and shrink together.

use std::path::Path;

use hull_mount::Access;
use hull_storage::{Bytes, Capacity, Error, ErrorKind, Locator, Outcome, Result};
use hull_sys::loopdev;

use crate::driver::read_only;
use crate::{LoopDriver, attach, image};

impl Capacity for LoopDriver {
    fn resize(&self, at: &Locator, to: Option<Bytes>) -> Result<Outcome> {
        let path = image::existing(at)?;
        let Some(to) = to else {
            let text = format!("{at} is an image, which has a size and no limit: say how large it shall be");
            return Err(Error::new(ErrorKind::InvalidInput, text));
        };
        if image::access(&path) == Access::ReadOnly {
            return Err(read_only(at));
        }
        let size = image::size_at(&path)?;
        let found = image::filesystem(image::open(&path, Access::ReadOnly)?, &path, size)?;
        let filled = found.size.is_some_and(|occupied| is_filled(occupied, size));
        let kind = found.kind().ok_or_else(|| {
            let text = format!("the size of a {} such as {at} cannot be changed", found.fstype);
            Error::new(ErrorKind::Unsupported, text)
        })?;
        match to.cmp(&size) {
            std::cmp::Ordering::Equal if filled => Ok(Outcome::AlreadyDone),
            std::cmp::Ordering::Less => self.shrink(&path, to),
            _ => {
                kind.require_reachable(to)?;
                self.grow(&path, to)
            }
        }
    }
}

/// Whether a file system that occupies `occupied` fills an image of `size`, but for less than a block of any size.
fn is_filled(occupied: Bytes, size: Bytes) -> bool {
    size.0.saturating_sub(occupied.0) < 64 << 10
}

impl LoopDriver {
    /// The image first: dying in between leaves a file system in a larger image.
    fn grow(&self, path: &Path, to: Bytes) -> Result<Outcome> {
        let file = image::open(path, Access::ReadWrite)?;
        truncate(path, &file, to)?;
        for device in loopdev::attached_to(&file)? {
            device.set_capacity()?;
        }
        let device = attach::attach(path, Access::ReadWrite, attach::Cache::Bypassed)?;
        hull_blockfs::grow(&*self.runner, &device.path()).map_err(|e| e.with("image", path.display()))?;
        Ok(Outcome::Done)
    }

    /// The file system first, and never the image below what it occupies.
    fn shrink(&self, path: &Path, to: Bytes) -> Result<Outcome> {
        attach::alone_with(path, |device| hull_blockfs::shrink(&*self.runner, device, to))?;
        let file = image::open(path, Access::ReadWrite)?;
        let found = image::filesystem(&file, path, image::size(&file)?)?;
        match found.size {
            Some(occupied) if occupied <= to => truncate(path, &file, to).map(|()| Outcome::Done),
            _ => {
                let text =
                    format!("{} cannot be cut to {to}: its {} is larger", path.display(), found.fstype);
                Err(Error::new(ErrorKind::CannotShrink, text))
            }
        }
    }
}

fn truncate(path: &Path, file: &rustix::fd::OwnedFd, to: Bytes) -> Result<()> {
    rustix::fs::ftruncate(file, to.0)
        .map_err(|e| Error::os(format!("cannot give {} the size {to}", path.display()), e))
}
