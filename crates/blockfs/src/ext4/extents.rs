//! The tree that says where the blocks of a file are.

use hull_storage::Result;

use super::inode::Inode;
use super::superblock::Superblock;
use super::{Volume, checksum};
use crate::raw::Raw;

/// A run of blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extent {
    pub(super) logical: u32,
    pub(super) length: u16,
    pub(super) physical: u64,
}

/// A node of a tree.
#[derive(Debug)]
pub(super) enum Node {
    Leaf(Vec<Extent>),
    /// The blocks of the nodes below, and how deep they go.
    Index(Vec<u64>, u16),
}

/// Both the head of a node and an entry.
const ENTRY: usize = 12;

impl Node {
    /// `None` for what is no node, and for one with blocks that were never written to.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        const LONGEST: u16 = 0x8000;
        let raw = Raw(bytes);
        let (count, depth) = (usize::from(raw.u16(2)?), raw.u16(6)?);
        if !raw.is(0, &[0x0a, 0xf3]) || (count + 1) * ENTRY > bytes.len() {
            return None;
        }
        let entries = (1..=count).map(|n| n * ENTRY);
        let block =
            |low: usize, high: usize| Some(u64::from(raw.u16(high)?) << 32 | u64::from(raw.u32(low)?));
        if depth > 0 {
            return entries
                .map(|at| block(at + 4, at + 8))
                .collect::<Option<_>>()
                .map(|all| Self::Index(all, depth));
        }
        let extent = |at| {
            let length = raw.u16(at + 4).filter(|length| (1..=LONGEST).contains(length))?;
            Some(Extent { logical: raw.u32(at)?, length, physical: block(at + 8, at + 6)? })
        };
        entries.map(extent).collect::<Option<_>>().map(Self::Leaf)
    }
}

impl Superblock {
    /// The blocks of `inode`, in order. `None` where its tree is not understood, is damaged, or has more than two levels,
    /// which only large files have.
    pub(super) fn extents(&self, volume: &Volume<'_>, inode: &Inode) -> Result<Option<Vec<Extent>>> {
        let leaves = match inode.tree() {
            Some(Node::Leaf(extents)) => return Ok(Some(extents)),
            Some(Node::Index(leaves, 1)) => leaves,
            _ => return Ok(None),
        };
        let mut all = Vec::new();
        for number in leaves {
            let Some(at) = self.start_of(number) else { return Ok(None) };
            let Some(block) = volume.read(at, self.block_size())? else { return Ok(None) };
            match Node::parse(&block) {
                Some(Node::Leaf(extents)) if is_sound(&block, self.seed().map(|seed| inode.seed(seed))) => {
                    all.extend(extents);
                }
                _ => return Ok(None),
            }
        }
        Ok(Some(all))
    }
}

/// Whether a node has the checksum it should have, which stands behind its last entry, used or not; without a seed there
/// are none.
fn is_sound(block: &[u8], seed: Option<u32>) -> bool {
    let Some(seed) = seed else { return true };
    let raw = Raw(block);
    let end = raw.u16(4).map_or(usize::MAX, |most| (usize::from(most) + 1) * ENTRY);
    block.get(..end).is_some_and(|node| raw.u32(end) == Some(checksum::add(seed, node)))
}
