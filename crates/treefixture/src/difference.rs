//! How two trees differ.

use std::fmt;
use std::path::PathBuf;

use rustix::fs::FileType;

/// One difference between two trees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The entry, relative to the roots; empty for the roots themselves.
    pub path: PathBuf,
    /// What differs.
    pub what: What,
}

/// What differs; the first tree's value comes first.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum What {
    /// Only the first tree has the entry.
    Missing,
    /// Only the second tree has the entry.
    Extra,
    /// The types.
    Type(FileType, FileType),
    /// User and group.
    Owner((u32, u32), (u32, u32)),
    /// The mode's permission and set-id bits.
    Mode(u32, u32),
    /// Device numbers.
    Device((u32, u32), (u32, u32)),
    /// Modification times: seconds and nanoseconds.
    Modified((i64, u32), (i64, u32)),
    /// Access times: seconds and nanoseconds.
    Accessed((i64, u32), (i64, u32)),
    /// Sizes of a regular file.
    Size(u64, u64),
    /// The offset of the first byte that differs.
    Content(u64),
    /// The parts that are not holes, begin and end.
    Data(Vec<(u64, u64)>, Vec<(u64, u64)>),
    /// Where a symlink points, lossily.
    Target(String, String),
    /// An extended attribute, and its values where there are any.
    Xattr(String, Option<Vec<u8>>, Option<Vec<u8>>),
    /// The number of names.
    LinkCount(u32, u32),
    /// The other entry that shares the inode in the first tree is not the one in the second.
    LinkedTo(Option<PathBuf>, Option<PathBuf>),
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: ", self.path)?;
        match &self.what {
            What::Missing => write!(f, "only in the first tree"),
            What::Extra => write!(f, "only in the second tree"),
            What::Type(a, b) => write!(f, "type {a:?} is {b:?}"),
            What::Owner(a, b) => write!(f, "owner {}:{} is {}:{}", a.0, a.1, b.0, b.1),
            What::Mode(a, b) => write!(f, "mode {a:04o} is {b:04o}"),
            What::Device(a, b) => write!(f, "device {}:{} is {}:{}", a.0, a.1, b.0, b.1),
            What::Modified(a, b) => write!(f, "modification time {}+{}ns is {}+{}ns", a.0, a.1, b.0, b.1),
            What::Accessed(a, b) => write!(f, "access time {}+{}ns is {}+{}ns", a.0, a.1, b.0, b.1),
            What::Size(a, b) => write!(f, "size {a} is {b}"),
            What::Content(offset) => write!(f, "content differs from byte {offset} on"),
            What::Data(a, b) => write!(f, "data at {a:?} is at {b:?}"),
            What::Target(a, b) => write!(f, "target {a:?} is {b:?}"),
            What::Xattr(name, a, b) => write!(f, "extended attribute {name} {a:?} is {b:?}"),
            What::LinkCount(a, b) => write!(f, "link count {a} is {b}"),
            What::LinkedTo(a, b) => write!(f, "hard link to {a:?} is one to {b:?}"),
        }
    }
}
