//! An inode: what it is, where its blocks are, and its checksum.

use std::time::{SystemTime, UNIX_EPOCH};

use super::checksum;
use super::extents::Node;
use crate::raw::Raw;

/// What an inode without anything unusual may be marked as: synchronous, not dumped, without access times, with a hashed
/// directory, with synchronous names, at the top of a hierarchy, with extents, handing on its project.
const FLAGS: u32 = 0x8 | 0x40 | 0x80 | HASHED | 0x1_0000 | 0x2_0000 | EXTENTS | 0x2000_0000;
const HASHED: u32 = 0x1000;
const EXTENTS: u32 = 0x8_0000;

/// The part that all inodes have.
const SHORT: usize = 128;
const CHANGED: usize = 0xc;
const MODIFIED: usize = 0x10;
const TREE: usize = 0x28;
const CHECKSUM_LOW: usize = 0x7c;
const CHECKSUM_HIGH: usize = 0x82;
const CHANGED_MORE: usize = 0x84;
const MODIFIED_MORE: usize = 0x88;

/// Kinds of files, as far as they matter here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Directory,
    File,
    Symlink,
    Other,
}

/// An inode.
pub(super) struct Inode {
    /// The byte of the device at which it begins.
    pub(super) at: u64,
    number: u32,
    bytes: Vec<u8>,
}

impl Inode {
    /// `None` if it is out of the ordinary. Symlinks are told apart, and nothing else about them is looked at.
    pub(super) fn new(at: u64, number: u32, bytes: Vec<u8>) -> Option<Self> {
        let inode = Self { at, number, bytes };
        let flags = inode.raw().u32(0x20)?;
        let links = inode.raw().u16(0x1a)?;
        let ordinary = match inode.kind() {
            Kind::Directory | Kind::File => flags & !FLAGS == 0 && flags & EXTENTS != 0,
            Kind::Symlink | Kind::Other => true,
        };
        (ordinary && links > 0).then_some(inode)
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn kind(&self) -> Kind {
        match self.raw().u16(0).map(|mode| mode & 0xf000) {
            Some(0x4000) => Kind::Directory,
            Some(0x8000) => Kind::File,
            Some(0xa000) => Kind::Symlink,
            _ => Kind::Other,
        }
    }

    /// Whether it is a directory with hashes of its names.
    pub(super) fn is_hashed(&self) -> bool {
        self.raw().u32(0x20).is_some_and(|flags| flags & HASHED != 0)
    }

    /// In bytes.
    pub(super) fn size(&self) -> u64 {
        let (low, high) = (self.raw().u32(0x4), self.raw().u32(0x6c));
        u64::from(high.unwrap_or(u32::MAX)) << 32 | u64::from(low.unwrap_or(u32::MAX))
    }

    /// The root of the tree of its blocks.
    pub(super) fn tree(&self) -> Option<Node> {
        Node::parse(self.bytes.get(TREE..TREE + 60)?)
    }

    /// Notes that `size` bytes, less than a block, were written at `when`.
    pub(super) fn set_written(&mut self, size: usize, when: SystemTime) {
        let size = u32::try_from(size).unwrap_or(u32::MAX);
        self.put(0x4, &size.to_le_bytes());
        let since = when.duration_since(UNIX_EPOCH).unwrap_or_default();
        // The low half is signed; two bits beside the nanoseconds say how many times it has overflowed since.
        let seconds = since.as_secs();
        let low = seconds as u32;
        let overflows = seconds.wrapping_sub(low.cast_signed() as u64) >> 32 & 3;
        let more = since.subsec_nanos() << 2 | overflows as u32;
        for (at, more_at) in [(CHANGED, CHANGED_MORE), (MODIFIED, MODIFIED_MORE)] {
            self.put(at, &low.to_le_bytes());
            if self.has(more_at + 4) {
                self.put(more_at, &more.to_le_bytes());
            }
        }
    }

    /// Whether its checksum holds; without a seed there are none.
    pub(super) fn is_sealed(&self, seed: Option<u32>) -> bool {
        let Some(seed) = seed else { return true };
        let wanted = self.checksum(seed);
        let low = self.raw().u16(CHECKSUM_LOW) == Some(wanted as u16);
        let high = !self.has_high() || self.raw().u16(CHECKSUM_HIGH) == Some((wanted >> 16) as u16);
        low && high
    }

    /// Gives it its checksum.
    pub(super) fn seal(&mut self, seed: u32) {
        let sum = self.checksum(seed);
        self.put(CHECKSUM_LOW, &(sum as u16).to_le_bytes());
        if self.has_high() {
            self.put(CHECKSUM_HIGH, &((sum >> 16) as u16).to_le_bytes());
        }
    }

    /// Over itself with zeroes in place of the checksum.
    fn checksum(&self, seed: u32) -> u32 {
        let mut bytes = self.bytes.clone();
        let mut clear = |at: usize| bytes.iter_mut().skip(at).take(2).for_each(|byte| *byte = 0);
        clear(CHECKSUM_LOW);
        if self.has_high() {
            clear(CHECKSUM_HIGH);
        }
        checksum::add(self.seed(seed), &bytes)
    }

    /// Where the checksums of its own blocks start from, and its own: with its number and its generation.
    pub(super) fn seed(&self, seed: u32) -> u32 {
        let generation: [u8; 4] = self.raw().bytes(0x64).unwrap_or_default();
        checksum::add(checksum::add(seed, &self.number.to_le_bytes()), &generation)
    }

    fn has_high(&self) -> bool {
        self.has(CHECKSUM_HIGH + 2)
    }

    /// Whether its fields reach to byte `end`: how many there are beyond the first 128 bytes, it says itself.
    fn has(&self, end: usize) -> bool {
        let more = if self.bytes.len() > SHORT { self.raw().u16(SHORT).unwrap_or(0) } else { 0 };
        end <= (SHORT + usize::from(more)).min(self.bytes.len())
    }

    fn put(&mut self, at: usize, bytes: &[u8]) {
        if let Some(field) = self.bytes.get_mut(at..at + bytes.len()) {
            field.copy_from_slice(bytes);
        }
    }

    fn raw(&self) -> Raw<'_> {
        Raw(&self.bytes)
    }
}
