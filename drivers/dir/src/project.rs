//! The project of one's own that a limited volume is charged to, and how its id is chosen.
//!
//! Ids are from 0x4000_0000 up to 0x7fff_ffff, above those that people and other programs give. Which one it is follows from
//! the inode number of the volume's root, which no other volume on the file system has; where somebody uses that id,
//! it is one of the fifteen after it. So nothing is written down: whether an id is the volume's own can be told
//! from the two numbers, and what only inherited its id from a limited volume around it is not taken for one.

use std::path::Path;

use hull_storage::{Error, ErrorKind, Locator, Result};
use hull_sys::inode::{self, Project};
use hull_sys::quota::{self, Account, Enforcement};
use rustix::fd::OwnedFd;
use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;

const FIRST: u32 = 0x4000_0000;
/// How many ids there are: a power of two.
const COUNT: u32 = 0x4000_0000;
/// How many of them a volume may have.
const TRIES: u32 = 16;

/// The root of a volume, opened.
#[derive(Debug)]
pub(crate) struct Root {
    pub(crate) dir: OwnedFd,
    /// What it is charged to, where the file system has projects.
    project: Option<Project>,
    inode: u64,
}

impl Root {
    /// Opens the volume at `path`.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        Self::open_with(path, OFlags::empty()).map_err(|e| cannot("open", path, e))
    }

    /// Opens what is to be removed; behind a symlink is nothing that is. `None` if that cannot be done.
    pub(crate) fn of_condemned(path: &Path) -> Option<Self> {
        Self::open_with(path, OFlags::NOFOLLOW).ok()
    }

    fn open_with(path: &Path, more: OFlags) -> rustix::io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | more;
        let dir = rustix::fs::openat(CWD, path, flags, Mode::empty())?;
        let project = inode::project(&dir).ok();
        // Most volumes are charged to nobody in particular, and need not be looked at any further.
        let charged = project.is_some_and(|project| project.id != 0);
        let inode = if charged { rustix::fs::fstat(&dir)?.st_ino } else { 0 };
        Ok(Self { dir, project, inode })
    }

    /// The id of the volume's own project, if it has one.
    pub(crate) fn own(&self) -> Option<u32> {
        let project = self.project?;
        (project.inherited && belongs(project.id, self.inode)).then_some(project.id)
    }

    /// What is kept of the project `id`.
    pub(crate) fn account(&self, id: u32, at: &Locator) -> Result<Account> {
        quota::account(&self.dir, id).map_err(|e| may_not(e, at))
    }

    /// Limits the project `id`.
    pub(crate) fn set_limit(&self, id: u32, bytes: Option<u64>, at: &Locator) -> Result<()> {
        quota::set_limit(&self.dir, id, bytes).map_err(|e| may_not(e, at))
    }

    /// An id for the volume that nobody uses.
    pub(crate) fn free_id(&self, at: &Locator) -> Result<u32> {
        let root = rustix::fs::fstat(&self.dir).map_err(|e| Error::os(format!("cannot look at {at}"), e))?;
        for candidate in ids(root.st_ino) {
            if self.account(candidate, at)?.is_free() {
                return Ok(candidate);
            }
        }
        let text = format!(
            "all ids of projects for {at} are in use: lift the limits of what is gone (`repquota -P` lists them)"
        );
        Err(Error::new(ErrorKind::Unsupported, text))
    }

    /// Refuses a volume whose directory has all it holds in one project: nothing of another could be moved in it.
    pub(crate) fn require_unlimited_parent(&self, at: &Locator) -> Result<()> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let failed = |e| Error::os(format!("cannot open the directory of {at}"), e);
        let parent = rustix::fs::openat(&self.dir, "..", flags, Mode::empty()).map_err(failed)?;
        match inode::project(&parent) {
            Ok(project) if project.inherited => {
                let text = format!(
                    "the directory of {at} belongs to the project {}, and so must all in it: \
                     have the volume elsewhere, or take the directory out (`chattr -P`)",
                    project.id
                );
                Err(Error::new(ErrorKind::Unsupported, text))
            }
            _ => Ok(()),
        }
    }
}

/// Fails, with what would help, where limits would not be kept on the file system of `dir`, which holds `at` or will.
pub(crate) fn require_quotas(dir: &OwnedFd, at: &Locator) -> Result<()> {
    const EXT4: u64 = 0xef53;
    const XFS: u64 = 0x5846_5342;
    let enforcement = quota::enforcement(dir)?;
    if enforcement == Enforcement::Enforced {
        return Ok(());
    }
    let status = rustix::fs::fstatfs(dir).map_err(|e| Error::os(format!("cannot look at {at}"), e))?;
    let (why, remedy) = match (status.f_type as u64 & 0xffff_ffff, enforcement) {
        (_, Enforcement::Counted) => ("are counted and not enforced", "mount it with `-o prjquota`"),
        (EXT4, _) => (
            "are off",
            "unmount it, run `tune2fs -O project,quota -Q prjquota` on its device, and mount it with `-o prjquota`",
        ),
        (XFS, _) => ("are off", "unmount it and mount it with `-o prjquota`"),
        _ => (
            "do not exist",
            "have the volume on ext4 or xfs, or in a store with sizes (btrfs, zfs, loop, lvm)",
        ),
    };
    let text = format!("project quotas {why} on the file system of {at}, so it can have no limit: {remedy}");
    Err(Error::new(ErrorKind::Unsupported, text))
}

/// Opens the directory at `path`.
pub(crate) fn open_dir(path: &Path) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::openat(CWD, path, flags, Mode::empty()).map_err(|e| cannot("open", path, e))
}

fn cannot(what: &str, path: &Path, e: Errno) -> Error {
    Error::os(format!("cannot {what} {}", path.display()), e)
}

fn may_not(e: hull_sys::Error, at: &Locator) -> Error {
    match e.errno() {
        Errno::PERM => Error::os(format!("only root outside containers may limit {at}"), Errno::PERM),
        _ => e.into(),
    }
}

/// The ids that the volume whose root has the inode number `inode` may have, the first choice first.
fn ids(inode: u64) -> impl Iterator<Item = u32> {
    (0..TRIES).map(move |n| FIRST + (choice(inode) + n) % COUNT)
}

/// Whether `id` is one of them.
fn belongs(id: u32, inode: u64) -> bool {
    ids(inode).any(|own| own == id)
}

/// Spreads inode numbers, so that those of neighbours are far from each other.
fn choice(inode: u64) -> u32 {
    /// 2^64 divided by the golden ratio.
    const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
    // The upper 30 bits, which fit.
    (inode.wrapping_mul(SPREAD) >> (64 - COUNT.trailing_zeros())) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_in_their_range_and_follow_from_the_inode() {
        for inode in [1, 2, 128, 0xffff_ffff, u64::MAX] {
            let all: Vec<u32> = ids(inode).collect();
            assert!(all.iter().all(|id| (FIRST..FIRST + COUNT).contains(id)), "{inode}: {all:x?}");
            assert!(all.iter().all(|id| belongs(*id, inode)));
        }
    }

    #[test]
    fn neighbours_have_no_id_in_common() {
        for inode in 1..2_000 {
            for id in ids(inode) {
                assert!((1..64).all(|n| !belongs(id, inode + n)), "{inode}");
            }
        }
    }

    #[test]
    fn what_others_gave_is_not_ours() {
        for id in [0, 1, 1000, 1_048_577, FIRST - 1, u32::MAX] {
            assert!((1..100).all(|inode| !belongs(id, inode)));
        }
    }
}
