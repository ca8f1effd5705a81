//! How to make a tree appear, as data.

use std::fmt;
use std::path::PathBuf;

use crate::aufs;

/// How to make a tree appear: printable, comparable, sendable; nothing has happened yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MountPlan {
    /// What appears.
    pub source: MountSource,
    /// Whether it may be written to.
    pub access: Access,
    /// Further options in fstab's words (`nosuid`, `userxattr`, `rbind`); see [`crate::MountOptions`].
    pub options: Vec<String>,
}

/// What a mount shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MountSource {
    /// An existing directory tree, as a bind mount shows it. The option `rbind` takes the mounts below along.
    Tree(PathBuf),
    /// A file system with its own superblock: a block device, a zfs dataset, tmpfs.
    Filesystem {
        /// The file system's type, as in `/proc/filesystems`.
        fstype: String,
        /// The device or dataset.
        source: PathBuf,
    },
    /// A union of trees, uppermost lower layer first. Without `upper` it is read-only.
    Union {
        /// The union file system.
        flavour: Union,
        /// The read-only layers, uppermost first; never empty.
        lower: Vec<PathBuf>,
        /// The writable layer.
        upper: Option<UpperDir>,
    },
}

/// A union file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Union {
    /// overlayfs (Linux 3.18).
    Overlay,
    /// aufs, which no mainline kernel has.
    Aufs,
}

/// The writable layer of a union.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpperDir {
    /// Where changes go.
    pub upper: PathBuf,
    /// overlayfs' scratch directory, empty and on the same file system as `upper`.
    pub work: Option<PathBuf>,
}

/// Whether a volume or mount may be written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Access {
    /// It may only be read.
    ReadOnly,
    /// It may be changed.
    ReadWrite,
}

impl MountPlan {
    /// A plan without further options.
    pub fn new(source: MountSource, access: Access) -> Self {
        Self { source, access, options: Vec::new() }
    }

    /// The plan with one more option.
    #[must_use]
    pub fn option(mut self, option: impl Into<String>) -> Self {
        self.options.push(option.into());
        self
    }
}

/// Reads like a line of fstab(5) without the mount point.
impl fmt::Display for MountPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let access = match self.access {
            Access::ReadOnly => "ro",
            Access::ReadWrite => "rw",
        };
        match &self.source {
            MountSource::Tree(path) if self.options.iter().any(|o| o == "rbind") => {
                write!(f, "{} none {access}", path.display())?;
            }
            MountSource::Tree(path) => write!(f, "{} none bind,{access}", path.display())?,
            MountSource::Filesystem { fstype, source } => {
                write!(f, "{} {fstype} {access}", source.display())?;
            }
            MountSource::Union { flavour: Union::Overlay, lower, upper } => {
                let lower: Vec<_> = lower.iter().map(|l| l.display().to_string()).collect();
                write!(f, "overlay overlay {access},lowerdir={}", lower.join(":"))?;
                if let Some(upper) = upper {
                    write!(f, ",upperdir={}", upper.upper.display())?;
                    if let Some(work) = &upper.work {
                        write!(f, ",workdir={}", work.display())?;
                    }
                }
            }
            MountSource::Union { flavour: Union::Aufs, lower, upper } => {
                let branches: Vec<_> = aufs::branches(lower, upper.as_ref())
                    .map(|(path, access)| format!("{}={access}", path.display()))
                    .collect();
                write!(f, "{0} {0} {access},br={1}", aufs::NAME, branches.join(":"))?;
            }
        }
        self.options.iter().try_for_each(|o| write!(f, ",{o}"))
    }
}
