//! Looking a name up in a directory, block by block: the hashes of a large one only say where a name would be.

use hull_storage::Result;

use super::inode::Inode;
use super::superblock::Superblock;
use super::{Volume, checksum};
use crate::raw::Raw;

/// Larger ones are left to the kernel, in blocks.
const LARGEST: u64 = 256;

/// What an entry has before its name.
const HEAD: usize = 8;

/// The entry that ends a block with a checksum, without that: no inode, its length, no name, its type.
const TAIL: [u8; 8] = [0, 0, 0, 0, 12, 0, 0, 0xde];

impl Superblock {
    /// The number of the inode called `name` in the directory `dir`: `Some(None)` if there is none of that name, `None`
    /// where the directory is not understood.
    pub(super) fn find(&self, volume: &Volume<'_>, dir: &Inode, name: &str) -> Result<Option<Option<u32>>> {
        let block_size = self.block_size() as u64;
        let Some(extents) = self.extents(volume, dir)? else { return Ok(None) };
        let blocks: u64 = extents.iter().map(|e| u64::from(e.length)).sum();
        // Without holes, and nothing beyond its end.
        let dense = extents
            .iter()
            .try_fold(0, |next, e| (u64::from(e.logical) == next).then_some(next + u64::from(e.length)));
        if dense.is_none() || blocks > LARGEST || blocks * block_size != dir.size() {
            return Ok(None);
        }
        let seed = self.seed().map(|seed| dir.seed(seed));
        for number in extents.iter().flat_map(|e| (0..u64::from(e.length)).map(|n| e.physical + n)) {
            let Some(at) = self.start_of(number) else { return Ok(None) };
            let Some(block) = volume.read(at, self.block_size())? else { return Ok(None) };
            if !(is_sound(&block, seed) || dir.is_hashed() && is_index(&block)) {
                return Ok(None);
            }
            match look(&block, name.as_bytes()) {
                Some(None) => {}
                found => return Ok(found),
            }
        }
        Ok(Some(None))
    }
}

/// Whether a block of entries has the checksum it should have; without a seed there are none.
fn is_sound(block: &[u8], seed: Option<u32>) -> bool {
    let Some(seed) = seed else { return true };
    let Some((entries, tail)) = block.split_last_chunk::<12>() else { return false };
    tail.starts_with(&TAIL) && tail[8..] == checksum::add(seed, entries).to_le_bytes()
}

/// Whether a block has hashes, in what reads as entries without a name: one as long as the block, or the root of them,
/// in that of `..`.
fn is_index(block: &[u8]) -> bool {
    let raw = Raw(block);
    let all = u16::try_from(block.len()).unwrap_or(u16::MAX);
    let inner = raw.u32(0) == Some(0) && raw.u16(4) == Some(all);
    let root = raw.is(4, &[12, 0, 1, 2, b'.', 0, 0, 0])
        && raw.u16(12 + 4) == all.checked_sub(12)
        && raw.is(12 + 6, &[2, 2, b'.', b'.']);
    inner || root
}

/// The same as [`Superblock::find`], for one block.
fn look(block: &[u8], name: &[u8]) -> Option<Option<u32>> {
    let mut at = 0;
    while at < block.len() {
        let entry = Raw(block.get(at..)?);
        let length = match entry.u16(4)? {
            // What does not fit into 16 bits.
            0 | u16::MAX => block.len(),
            length => usize::from(length),
        };
        if length < HEAD || length % 4 != 0 || length > entry.0.len() {
            return None;
        }
        let name_length = usize::from(*entry.0.get(6)?);
        let number = entry.u32(0)?;
        if number != 0 && entry.0.get(HEAD..length)?.get(..name_length)? == name {
            return Some(Some(number));
        }
        at += length;
    }
    Some(None)
}
