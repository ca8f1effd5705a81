//! The superblock: whether we know all that is on the file system, and where its inodes are.

use hull_storage::Result;

use super::extents::Node;
use super::inode::Inode;
use super::{Volume, checksum};
use crate::raw::Raw;

/// The inode of the root directory.
pub(super) const ROOT: u32 = 2;

const AT: u64 = 1024;
const LENGTH: usize = 1024;

/// Features after which a reader need not ask: entries with types, extents, 64 bits, flexible groups, a seed for checksums,
/// large directories.
const INCOMPATIBLE: u32 = 0x2 | EXTENTS | IS_64_BIT | 0x200 | CHECKSUM_SEED | 0x4000;
const EXTENTS: u32 = 0x40;
const IS_64_BIT: u32 = 0x80;
const CHECKSUM_SEED: u32 = 0x2000;
/// Features after which a writer need not ask who writes to one block and one inode: sparse superblocks, large and huge
/// files, checksums of groups, many links, longer inodes, quotas, checksums of metadata, project quotas.
const READ_ONLY: u32 = 0x1 | 0x2 | 0x8 | 0x10 | 0x20 | 0x40 | 0x100 | CHECKSUMS | 0x2000;
const CHECKSUMS: u32 = 0x400;

const VALID: u16 = 1;
const DYNAMIC: u32 = 1;
const CRC32C: u8 = 1;

/// What it says of the file system.
pub(super) struct Superblock {
    /// In bytes.
    block: u64,
    blocks: u64,
    first_block: u64,
    inodes: u32,
    inodes_per_group: u32,
    inode_length: usize,
    descriptor_length: u64,
    /// Where checksums start from; `None` if there are none.
    seed: Option<u32>,
}

impl Superblock {
    /// Reads it; `None` for another file system, and for one that is not clean, is damaged, is cut off, or has what is not
    /// known here.
    pub(super) fn read(volume: &Volume<'_>) -> Result<Option<Self>> {
        let Some(this) = volume.read(AT, LENGTH)?.and_then(|bytes| Self::parse(&Raw(&bytes))) else {
            return Ok(None);
        };
        // What is written to a block that an image has not got would make it longer.
        let Some(last) = this.blocks.checked_mul(this.block).and_then(|end| end.checked_sub(1)) else {
            return Ok(None);
        };
        Ok(volume.read(last, 1)?.map(|_| this))
    }

    fn parse(raw: &Raw<'_>) -> Option<Self> {
        let incompatible = raw.u32(0x60)?;
        let read_only = raw.u32(0x64)?;
        let known = incompatible & !INCOMPATIBLE == 0 && read_only & !READ_ONLY == 0;
        let last_orphan = raw.u32(0xe8)?;
        let clean = raw.u16(0x3a)? == VALID && last_orphan == 0;
        let ext4 = raw.is(0x38, &[0x53, 0xef]) && raw.u32(0x4c)? == DYNAMIC && incompatible & EXTENTS != 0;
        if !(ext4 && known && clean) {
            return None;
        }
        let seed = if read_only & CHECKSUMS != 0 {
            let stored = raw.u32(0x3fc)?;
            if raw.bytes(0x175) != Some([CRC32C])
                || checksum::add(checksum::START, raw.0.get(..0x3fc)?) != stored
            {
                return None;
            }
            match incompatible & CHECKSUM_SEED {
                0 => Some(checksum::add(checksum::START, &raw.bytes::<16>(0x68)?)),
                _ => Some(raw.u32(0x270)?),
            }
        } else {
            None
        };
        let wide = incompatible & IS_64_BIT != 0;
        let high = if wide { u64::from(raw.u32(0x150)?) << 32 } else { 0 };
        let this = Self {
            // More than 64 KiB there are not.
            block: raw.u32(0x18).filter(|shift| *shift <= 6).map(|shift| 1024 << shift)?,
            blocks: high | u64::from(raw.u32(0x4)?),
            first_block: u64::from(raw.u32(0x14)?),
            inodes: raw.u32(0)?,
            inodes_per_group: raw.u32(0x28)?,
            inode_length: usize::from(raw.u16(0x58)?),
            descriptor_length: if wide { u64::from(raw.u16(0xfe)?) } else { 32 },
            seed,
        };
        let inode_length = this.inode_length;
        let sound = inode_length.is_power_of_two()
            && (128..=1024).contains(&inode_length)
            && [32, 64].contains(&this.descriptor_length)
            && this.inodes_per_group > 0
            && this.first_block <= 1;
        sound.then_some(this)
    }

    /// Where checksums start from; `None` if there are none.
    pub(super) fn seed(&self) -> Option<u32> {
        self.seed
    }

    /// In bytes.
    pub(super) fn block_size(&self) -> usize {
        usize::try_from(self.block).unwrap_or_default()
    }

    /// The byte at which the block `number` begins; `None` for one that there is not.
    pub(super) fn start_of(&self, number: u64) -> Option<u64> {
        (number > self.first_block && number < self.blocks).then(|| number.checked_mul(self.block)).flatten()
    }

    /// The inode `number`; `None` where there is none, its checksum does not hold, or it is out of the ordinary.
    pub(super) fn inode(&self, volume: &Volume<'_>, number: u32) -> Result<Option<Inode>> {
        if number == 0 || number > self.inodes {
            return Ok(None);
        }
        let (group, index) = ((number - 1) / self.inodes_per_group, (number - 1) % self.inodes_per_group);
        // The descriptors of all groups follow the block of the superblock.
        let descriptors = (self.first_block + 1) * self.block;
        let at = descriptors + u64::from(group) * self.descriptor_length;
        let Some(descriptor) = volume.read(at, self.descriptor_length as usize)? else { return Ok(None) };
        let descriptor = Raw(&descriptor);
        let high = if self.descriptor_length == 64 { descriptor.u32(0x28) } else { Some(0) };
        let table = descriptor.u32(0x8).zip(high).map(|(low, high)| u64::from(high) << 32 | u64::from(low));
        let Some(table) = table.and_then(|table| self.start_of(table)) else { return Ok(None) };
        let at = table.saturating_add(u64::from(index) * self.inode_length as u64);
        let Some(bytes) = volume.read(at, self.inode_length)? else { return Ok(None) };
        Ok(Inode::new(at, number, bytes).filter(|inode| inode.is_sealed(self.seed)))
    }

    /// Gives a changed inode its checksum.
    pub(super) fn seal(&self, inode: &mut Inode) {
        if let Some(seed) = self.seed {
            inode.seal(seed);
        }
    }

    /// The byte at which the only block of a file begins; `None` if it has another number of them.
    pub(super) fn only_block(&self, inode: &Inode) -> Option<u64> {
        let Node::Leaf(extents) = inode.tree()? else { return None };
        match extents.as_slice() {
            [only] if only.logical == 0 && only.length == 1 && inode.size() <= self.block => {
                self.start_of(only.physical)
            }
            _ => None,
        }
    }
}
