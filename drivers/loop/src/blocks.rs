//! Copies block by block, from and to stores of other kinds.

use hull_mount::Access;
use hull_storage::{BlockImage, Blocks, Bytes, Held, Layout, Locator, Result, TxId, paths};
use hull_sys::lock::Kind;
use rustix::fd::OwnedFd;

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
