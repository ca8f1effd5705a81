//! Copies block by block, from and to other stores of devices and images.

use hull_blockfs::ext4::{self, Overwritten};
use hull_mount::Access;
use hull_storage::{BlockImage, Blocks, Bytes, Error, ErrorKind, Layout, Locator, Result, TxId};
use rustix::fd::AsFd;
use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;

use crate::LvmDriver;
use crate::device::Device;
use crate::naming::Name;
use crate::report::Volume;
use crate::tool;

impl Blocks for LvmDriver {
    fn stable_size(&self, at: &Locator) -> Result<Option<Bytes>> {
        let seen = self.see(&Name::of(at)?)?;
        let held = seen.device.as_ref().map_or(Ok(false), Device::is_held)?;
        Ok((!held).then_some(seen.size))
    }

    fn create_blocks(&self, at: &Layout, size: Bytes, by: TxId) -> Result<()> {
        self.make_volume(&Name::of(&at.at)?, size, by).map(drop)
    }

    fn open_blocks(&self, at: &Locator, access: Access) -> Result<BlockImage> {
        let name = Name::of(at)?;
        let device = self.active(&name)?;
        let flags = match access {
            Access::ReadOnly => OFlags::RDONLY,
            Access::ReadWrite if device.access() == Access::ReadOnly => {
                let text = format!("{at} is a read-only snapshot: make a clone of it and write to that");
                return Err(Error::new(ErrorKind::PermissionDenied, text));
            }
            Access::ReadWrite => OFlags::RDWR,
        };
        let file = rustix::fs::openat(CWD, &device.path, flags | OFlags::CLOEXEC, Mode::empty())
            .map_err(|e| Error::os(format!("cannot open {}", device.path.display()), e))?;
        let zeroed = access == Access::ReadWrite && device.makeup().thin && self.pool_zeroes(&name)?;
        Ok(BlockImage { file, size: device.size()?, zeroed, held: None })
    }

    fn adopt_blocks(&self, at: &Locator) -> Result<()> {
        let device = self.active(&Name::of(at)?)?;
        hull_blockfs::new_identity(&*self.runner, &device.path)?;
        match device.probe()? {
            // LVM has rounded up.
            Some(found) if found.size.is_some_and(|size| device.size().is_ok_and(|all| size < all)) => {
                hull_blockfs::grow(&*self.runner, &device.path)
            }
            _ => Ok(()),
        }
    }

    fn overwrite_unmounted(&self, at: &Locator, dir: &str, name: &str, content: &[u8]) -> Result<bool> {
        let device = self.active(&Name::of(at)?)?;
        if device.access() == Access::ReadOnly {
            return Ok(false);
        }
        // Exclusively: not while it is mounted.
        let flags = OFlags::RDWR | OFlags::EXCL | OFlags::CLOEXEC;
        let file = match rustix::fs::openat(CWD, &device.path, flags, Mode::empty()) {
            Ok(file) => file,
            Err(Errno::BUSY) => return Ok(false),
            Err(e) => return Err(Error::os(format!("cannot open {}", device.path.display()), e)),
        };
        Ok(ext4::overwrite(file.as_fd(), dir, name, content)? != Overwritten::Unable)
    }
}

impl LvmDriver {
    /// Whether what was never written to the thin volume `name` reads as zeroes: nothing does of a chunk that was
    /// written to in part, unless its pool clears chunks first.
    fn pool_zeroes(&self, name: &Name) -> Result<bool> {
        let group = self.group(&name.vg, &tool::with_pools(&[&name.lv]))?;
        let pool = group.volume(&name.lv).and_then(|volume| group.volume(volume.pool.as_deref()?));
        Ok(pool.is_some_and(|pool: &Volume| pool.zeroes))
    }
}
