//! The file systems that can be made, and what is needed for it.

use std::fmt;

use hull_command::{Runner, Tool};
use hull_storage::{Bytes, Error, ErrorKind, Result};

/// A file system that can be made here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FsKind {
    /// ext2: no journal.
    Ext2,
    /// ext3: ext2 with a journal.
    Ext3,
    /// ext4, the default.
    Ext4,
    /// XFS, with reflink.
    Xfs,
    /// Btrfs.
    Btrfs,
}

impl FsKind {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Ext2, Self::Ext3, Self::Ext4, Self::Xfs, Self::Btrfs];

    /// The file system called `name`. Fails with [`ErrorKind::InvalidInput`], naming those that are known.
    pub fn parse(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name).ok_or_else(|| {
            let known: Vec<&str> = Self::ALL.iter().map(|kind| kind.name()).collect();
            Error::new(
                ErrorKind::InvalidInput,
                format!("no file system called {name:?} can be made: choose one of {}", known.join(", ")),
            )
        })
    }

    /// Its name, as in `/proc/filesystems`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ext2 => "ext2",
            Self::Ext3 => "ext3",
            Self::Ext4 => "ext4",
            Self::Xfs => "xfs",
            Self::Btrfs => "btrfs",
        }
    }

    /// The smallest device it can be made on.
    pub fn least(self) -> Bytes {
        match self {
            Self::Ext2 => Bytes(1 << 20),
            // Below, mke2fs leaves the journal out.
            Self::Ext3 | Self::Ext4 => Bytes(8 << 20),
            Self::Xfs => Bytes(300 << 20),
            // With metadata twice, as mkfs.btrfs does by itself: 109 MiB.
            Self::Btrfs => Bytes(109 << 20),
        }
    }

    /// Fails with [`ErrorKind::InvalidInput`] for a `size` that is too small for it, naming the least one.
    pub fn require_room(self, size: Bytes) -> Result<()> {
        let least = self.least();
        if size >= least {
            return Ok(());
        }
        let text = format!("{size} is too small for {self}, which needs {least}: ask for a larger volume");
        Err(Error::new(ErrorKind::InvalidInput, text))
    }

    /// Fails with [`ErrorKind::InvalidInput`] for a `size` that one that is there cannot be given, larger or smaller.
    pub fn require_reachable(self, size: Bytes) -> Result<()> {
        // fs/btrfs/ioctl.c
        const LEAST_OF_BTRFS: Bytes = Bytes(256 << 20);
        match self {
            Self::Btrfs if size < LEAST_OF_BTRFS => Err(Error::new(
                ErrorKind::InvalidInput,
                format!("btrfs takes no new size below {LEAST_OF_BTRFS}: ask for more, or copy the volume"),
            )),
            _ => Ok(()),
        }
    }

    /// Whether the kernel tells file systems of this kind apart by their UUID, so that a copy needs one of its own.
    pub fn is_told_by_uuid(self) -> bool {
        matches!(self, Self::Xfs | Self::Btrfs)
    }

    /// What a copy of it, block by block, has to be mounted with beside the original, unless
    /// [`crate::new_identity`] has told the two apart.
    pub fn options_of_a_copy(self) -> &'static [&'static str] {
        match self {
            Self::Xfs => &["nouuid"],
            Self::Ext2 | Self::Ext3 | Self::Ext4 | Self::Btrfs => &[],
        }
    }

    /// What keeps it from having the disk flushed when it is unmounted, where it can do without.
    pub fn options_unflushed(self) -> &'static [&'static str] {
        match self {
            Self::Ext3 | Self::Ext4 | Self::Btrfs => &["nobarrier"],
            Self::Ext2 | Self::Xfs => &[],
        }
    }

    /// The program that makes it.
    pub fn maker(self) -> Tool {
        let (program, package) = match self {
            Self::Ext2 => ("mkfs.ext2", "e2fsprogs"),
            Self::Ext3 => ("mkfs.ext3", "e2fsprogs"),
            Self::Ext4 => ("mkfs.ext4", "e2fsprogs"),
            Self::Xfs => ("mkfs.xfs", "xfsprogs"),
            Self::Btrfs => ("mkfs.btrfs", "btrfs-progs"),
        };
        Tool { program, package }
    }
}

impl fmt::Display for FsKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What cannot be made here for want of a program: one line a package, for people.
pub fn missing(runner: &dyn Runner) -> Vec<String> {
    let families: [(&str, &[FsKind]); 3] = [
        ("ext2, ext3 and ext4", &[FsKind::Ext2, FsKind::Ext3, FsKind::Ext4]),
        ("xfs", &[FsKind::Xfs]),
        ("btrfs", &[FsKind::Btrfs]),
    ];
    let lacking = families.into_iter().filter_map(|(names, kinds)| {
        let tool = kinds.iter().map(|kind| kind.maker()).find(|tool| !runner.has(*tool))?;
        Some(format!("{names} cannot be made: {} is not installed, install {}", tool.program, tool.package))
    });
    lacking.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_and_what_is_unknown_says_what_is_known() {
        for kind in FsKind::ALL {
            assert_eq!(FsKind::parse(kind.name()).unwrap(), kind);
        }
        let refused = FsKind::parse("ntfs").unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InvalidInput);
        assert!(refused.to_string().ends_with("choose one of ext2, ext3, ext4, xfs, btrfs"), "{refused}");
    }
}
