//! Which file system a device or image holds, read from its superblock. What is read may be anything.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use hull_storage::{Bytes, Error, Result};
use rustix::fs::{CWD, Mode, OFlags};

use crate::kind::FsKind;
use crate::raw::{self, Raw};

/// A file system that was recognised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its type, as in `/proc/filesystems`.
    pub fstype: &'static str,
    /// The UUID that tells it from others of its type.
    pub uuid: Option<[u8; 16]>,
    /// How much of the device it says it occupies.
    pub size: Option<Bytes>,
    /// Its label; bytes that are not UTF-8 become U+FFFD.
    pub label: Option<String>,
    /// Whether it was left as it should be, with no journal to replay: it can be mounted from a device that may only
    /// be read. `None` where that cannot be told from the superblock.
    pub clean: Option<bool>,
}

impl Found {
    /// The kind, if it is one that can be made here.
    pub fn kind(&self) -> Option<FsKind> {
        FsKind::parse(self.fstype).ok()
    }
}

/// Looks at the file system at the beginning of `file`, a block device or an image; `None` if there is none that is
/// known: ext2, ext3, ext4, xfs, btrfs, f2fs, squashfs, erofs.
///
/// Of one that is mounted, the kernel may know more than its device. Only the magic numbers are checked: whether the rest holds together, only the kernel can tell.
pub fn probe(file: BorrowedFd<'_>) -> Result<Option<Found>> {
    // The superblock of btrfs is the last one, 4 KiB at 64 KiB.
    let mut start = vec![0; 68 << 10];
    let filled = raw::read_at(file, 0, &mut start)
        .map_err(|e| Error::os(format!("cannot read the superblock of {}", hull_sys::fd::name(file)), e))?;
    start.truncate(filled);
    Ok(recognise(&start))
}

/// Looks at the file system on the device or image `path`.
pub fn probe_device(path: &Path) -> Result<Option<Found>> {
    probe(open(path)?.as_fd())
}

pub(crate) fn open(path: &Path) -> Result<rustix::fd::OwnedFd> {
    rustix::fs::openat(CWD, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .map_err(|e| Error::os(format!("cannot open {}", path.display()), e))
}

fn recognise(start: &[u8]) -> Option<Found> {
    let start = Raw(start);
    [ext, xfs, btrfs, f2fs, squashfs, erofs].into_iter().find_map(|look| look(&start))
}

/// A count of blocks of `1 << shift` bytes; `None` for what no device can hold.
fn blocks(count: u64, shift: u32) -> Option<Bytes> {
    (shift <= 16).then(|| count.checked_mul(1 << shift)).flatten().map(Bytes)
}

/// ext2, ext3 and ext4 share a superblock (fs/ext4/ext4.h); which one it is, its features say.
fn ext(start: &Raw<'_>) -> Option<Found> {
    const AT: usize = 1024;
    const VALID: u16 = 1;
    const ERRORS: u16 = 2;
    const HAS_JOURNAL: u32 = 4;
    const RECOVER: u32 = 4;
    const JOURNAL_DEVICE: u32 = 8;
    const IS_64_BIT: u32 = 0x80;
    // What ext3 knows: file types, recovery, meta_bg; sparse superblocks, large files, indexed directories.
    const INCOMPATIBLE: u32 = 2 | 4 | 0x10;
    const READ_ONLY: u32 = 1 | 2 | 4;
    if !start.is(AT + 0x38, &[0x53, 0xef]) {
        return None;
    }
    let compatible = start.u32(AT + 0x5c)?;
    let incompatible = start.u32(AT + 0x60)?;
    let read_only = start.u32(AT + 0x64)?;
    if incompatible & JOURNAL_DEVICE != 0 {
        return None;
    }
    let fstype = match (incompatible & !INCOMPATIBLE | read_only & !READ_ONLY, compatible & HAS_JOURNAL) {
        (0, 0) => "ext2",
        (0, _) => "ext3",
        _ => "ext4",
    };
    let mut count = u64::from(start.u32(AT + 4)?);
    if incompatible & IS_64_BIT != 0 {
        count |= u64::from(start.u32(AT + 0x150)?) << 32;
    }
    let state = start.u16(AT + 0x3a)?;
    Some(Found {
        fstype,
        uuid: start.bytes(AT + 0x68),
        size: start.u32(AT + 0x18)?.checked_add(10).and_then(|shift| blocks(count, shift)),
        label: start.label(AT + 0x78, 16),
        clean: Some(state & VALID != 0 && state & ERRORS == 0 && incompatible & RECOVER == 0),
    })
}

/// XFS (fs/xfs/libxfs/xfs_format.h) is big-endian.
fn xfs(start: &Raw<'_>) -> Option<Found> {
    if !start.is(0, b"XFSB") {
        return None;
    }
    let block = start.bytes(4).map(u32::from_be_bytes)?;
    let count = start.bytes(8).map(u64::from_be_bytes)?;
    Some(Found {
        fstype: "xfs",
        uuid: start.bytes(32),
        size: count.checked_mul(u64::from(block)).map(Bytes),
        label: start.label(108, 12),
        // Only the log says.
        clean: None,
    })
}

/// Btrfs (fs/btrfs/ctree.h) keeps its first superblock at 64 KiB.
fn btrfs(start: &Raw<'_>) -> Option<Found> {
    const AT: usize = 64 << 10;
    if !start.is(AT + 0x40, b"_BHRfS_M") {
        return None;
    }
    Some(Found {
        fstype: "btrfs",
        uuid: start.bytes(AT + 0x20),
        // Of this device; the file system may have others.
        size: start.u64(AT + 0xd1).map(Bytes),
        label: start.label(AT + 0x12b, 256),
        clean: start.u64(AT + 0x60).map(|log_tree| log_tree == 0),
    })
}

fn f2fs(start: &Raw<'_>) -> Option<Found> {
    const AT: usize = 1024;
    if !start.is(AT, &0xf2f5_2010_u32.to_le_bytes()) {
        return None;
    }
    let (shift, count) = (start.u32(AT + 16)?, start.u64(AT + 36)?);
    Some(Found {
        fstype: "f2fs",
        uuid: start.bytes(AT + 108),
        size: blocks(count, shift),
        label: None,
        clean: None,
    })
}

fn squashfs(start: &Raw<'_>) -> Option<Found> {
    if !start.is(0, b"hsqs") {
        return None;
    }
    let size = start.u64(40).map(Bytes);
    Some(Found { fstype: "squashfs", uuid: None, size, label: None, clean: Some(true) })
}

fn erofs(start: &Raw<'_>) -> Option<Found> {
    const AT: usize = 1024;
    if !start.is(AT, &0xe0f5_e1e2_u32.to_le_bytes()) {
        return None;
    }
    let (shift, count) = (u32::from(*start.0.get(AT + 12)?), start.u32(AT + 36)?);
    Some(Found {
        fstype: "erofs",
        uuid: start.bytes(AT + 48),
        size: blocks(u64::from(count), shift),
        label: start.label(AT + 64, 16),
        clean: Some(true),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::image;
    use proptest::prelude::*;

    #[test]
    fn what_the_programs_make_is_recognised() {
        for (kind, size, arguments) in [
            (FsKind::Ext2, 8_u64 << 20, &["-q", "-F", "-L", "name"][..]),
            (FsKind::Ext3, 8 << 20, &["-q", "-F", "-L", "name"]),
            (FsKind::Ext4, 8 << 20, &["-q", "-F", "-L", "name", "-O", "64bit"]),
            (FsKind::Xfs, 300 << 20, &["-q", "-L", "name"]),
            (FsKind::Btrfs, 128 << 20, &["-q", "-L", "name"]),
        ] {
            let Some(image) = image("what_the_programs_make_is_recognised", kind, size, arguments) else {
                return;
            };
            let found = probe(image.as_file().as_fd()).unwrap().unwrap();
            assert_eq!(found.fstype, kind.name());
            assert_eq!(found.kind(), Some(kind));
            assert_eq!(found.size, Some(Bytes(size)), "{kind}");
            assert_eq!(found.label.as_deref(), Some("name"), "{kind}");
            assert_ne!(found.uuid, Some([0; 16]), "{kind}");
            assert_eq!(found.clean, (kind != FsKind::Xfs).then_some(true), "{kind}");
        }
    }

    #[test]
    fn nothing_is_nothing() {
        assert_eq!(recognise(&[]), None);
        assert_eq!(recognise(&[0; 70_000]), None);
        assert_eq!(recognise(b"XFSB"), None, "a truncated superblock is none");
    }

    proptest! {
        /// Whatever an image holds, looking at it does not panic: random bytes behind each magic number, cut anywhere.
        #[test]
        fn anything_can_be_looked_at(
            seed in prop::collection::vec(any::<u8>(), 1..600),
            which in 0_usize..6,
            length in 0_usize..70_000,
        ) {
            let mut bytes: Vec<u8> = seed.iter().copied().cycle().take(70_000).collect();
            let magics: [(usize, &[u8]); 6] = [
                (1024 + 0x38, &[0x53, 0xef]),
                (0, b"XFSB"),
                (65536 + 0x40, b"_BHRfS_M"),
                (1024, &[0x10, 0x20, 0xf5, 0xf2]),
                (0, b"hsqs"),
                (1024, &[0xe2, 0xe1, 0xf5, 0xe0]),
            ];
            let (at, magic) = magics[which];
            bytes[at..at + magic.len()].copy_from_slice(magic);
            bytes.truncate(length);
            let _ = recognise(&bytes);
        }
    }
}
