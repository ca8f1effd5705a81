//! Copies block by block, from and to stores of other kinds.

use hull_blockfs::ext4::{self, Overwritten};
use hull_mount::Access;
use hull_storage::{BlockImage, Blocks, Bytes, Held, Layout, Locator, Result, TxId, paths};
use hull_sys::lock::Kind;
use hull_sys::loopdev;
use rustix::fd::{AsFd, OwnedFd};

use crate::{LoopDriver, attach, image};

impl Blocks for LoopDriver {
    fn stable_size(&self, at: &Locator) -> Result<Option<Bytes>> {
        let path = image::existing(at)?;
        match attach::user(&path)? {
            Some(_) => Ok(None),
            None => image::size_at(&path).map(Some),
        }
    }

    fn create_blocks(&self, at: &Layout, size: Bytes, _by: TxId) -> Result<()> {
        image::create(&paths::absolute(&at.at)?, size).map(drop)
    }

    fn open_blocks(&self, at: &Locator, access: Access) -> Result<BlockImage> {
        let path = image::existing(at)?;
        // Nobody of ours attaches it while its blocks are read; whoever has it attached must have come before.
        let still = image::lock(&path, Kind::Shared)?;
        attach::require_unused(&path)?;
        let file = image::open(&path, access)?;
        let size = image::size(&file)?;
        Ok(BlockImage { file, size, zeroed: true, held: Some(Box::new(Still { _lock: still })) })
    }

    fn adopt_blocks(&self, at: &Locator) -> Result<()> {
        let path = image::existing(at)?;
        let size = image::size_at(&path)?;
        attach::alone_with(&path, |device| {
            hull_blockfs::new_identity(&*self.runner, device)?;
            let Some(found) = hull_blockfs::probe_device(device)? else { return Ok(()) };
            // The blocks of a smaller volume; if it must stay so small, nothing is lost but room.
            let grows = found.size.is_some_and(|occupied| occupied < size)
                && found.kind().is_some_and(|kind| kind.require_reachable(size).is_ok());
            if grows { hull_blockfs::grow(&*self.runner, device) } else { Ok(()) }
        })
    }

    fn overwrite_unmounted(&self, at: &Locator, dir: &str, name: &str, content: &[u8]) -> Result<bool> {
        let path = image::existing(at)?;
        if image::access(&path) == Access::ReadOnly {
            return Ok(false);
        }
        let _still = image::lock(&path, Kind::Shared)?;
        let file = image::open(&path, Access::ReadWrite)?;
        // Who has it attached may have read what is to be overwritten, and would go on seeing that.
        if !loopdev::attached_to(&file)?.is_empty() {
            return Ok(false);
        }
        Ok(ext4::overwrite(file.as_fd(), dir, name, content)? != Overwritten::Unable)
    }
}

/// Keeps an image from being attached.
#[derive(Debug)]
struct Still {
    _lock: OwnedFd,
}

impl Held for Still {
    fn release(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}
