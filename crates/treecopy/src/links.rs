//! Hard links, without a table of inodes in memory.
//!
//! The first copy of an inode with several links is made in a staging directory at the top of the
//! destination, under a name made of the source's device, inode number and birth time; each place gets a
//! link to it. So the table is a directory on disk, its entries are reachable however deep the tree is,
//! and an entry goes as soon as all the links of its inode were met.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::OnceLock;
use std::sync::{Mutex, PoisonError};

use rustix::fs::{AtFlags, Mode, OFlags, RenameFlags, Statx};
use rustix::io::Errno;

use crate::dir::{Entries, Identity, Mounts, SCRATCH, open_dir, reopen_dir, statx_entry};
use crate::error::{Context, Error, Result};

/// The staging directory, made when the first inode with several links is met.
pub(crate) struct Staging {
    source: OwnedFd,
    top: OwnedFd,
    directory: OnceLock<(OwnedFd, CString)>,
    making: Mutex<()>,
    /// Whether a staged inode goes as soon as its copy has as many links as the source.
    drops_complete: bool,
}

/// How linking went.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Linked {
    Done,
    /// The inode has no copy yet.
    Absent,
    /// The place is taken.
    Occupied,
}

impl Staging {
    /// For a new copy.
    pub(crate) fn new(source: &OwnedFd, top: &OwnedFd) -> Result<Self> {
        Self::with(source, top, true)
    }

    /// For a copy that is there already, where an inode may have links that are yet to be removed: how many it has
    /// says nothing of how many were met, so all that is staged stays until the end. The directory is made at once:
    /// nobody else may take it for an entry of the copy.
    pub(crate) fn over_copy(source: &OwnedFd, top: &OwnedFd) -> Result<Self> {
        let staging = Self::with(source, top, false)?;
        staging.directory()?;
        Ok(staging)
    }

    fn with(source: &OwnedFd, top: &OwnedFd, drops_complete: bool) -> Result<Self> {
        Ok(Self {
            drops_complete,
            source: reopen_dir(source)?,
            top: reopen_dir(top)?,
            directory: OnceLock::new(),
            making: Mutex::new(()),
        })
    }

    /// The staging directory's descriptor.
    pub(crate) fn directory(&self) -> Result<&OwnedFd> {
        if let Some((directory, _)) = self.directory.get() {
            return Ok(directory);
        }
        let _one_makes_it = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        if self.directory.get().is_none() {
            let made = self.make()?;
            // The lock is held, so nobody else can have set it.
            let _ = self.directory.set(made);
        }
        self.directory.get().map(|(fd, _)| fd).ok_or_else(|| Error::os("mkdirat", Errno::IO))
    }

    fn make(&self) -> Result<(OwnedFd, CString)> {
        for attempt in 0u32.. {
            let name = format!(".hull-links-{}-{attempt}", std::process::id());
            let name = CString::new(name).unwrap_or_default();
            // The source may have an entry of that name, to be copied later.
            if rustix::fs::statat(&self.source, &name, AtFlags::SYMLINK_NOFOLLOW).is_ok() {
                continue;
            }
            match rustix::fs::mkdirat(&self.top, &name, Mode::RWXU) {
                Ok(()) => {
                    let directory = open_dir(&self.top, &name, Mounts::Refuse).call("openat2")?;
                    return Ok((directory, name));
                }
                Err(Errno::EXIST) => {}
                Err(errno) => return Err(Error::os("mkdirat", errno)),
            }
        }
        Err(Error::os("mkdirat", Errno::EXIST))
    }

    /// The name under which an inode is staged.
    pub(crate) fn name_of(status: &Statx) -> CString {
        let name = format!(
            "{:x}-{:x}-{:x}-{:x}-{:x}",
            status.stx_dev_major,
            status.stx_dev_minor,
            status.stx_ino,
            status.stx_btime.tv_sec,
            status.stx_btime.tv_nsec
        );
        CString::new(name).unwrap_or_default()
    }

    /// Links the staged inode to `name` in `target`.
    pub(crate) fn link(&self, staged: &CStr, links: u32, target: impl AsFd, name: &CStr) -> Result<Linked> {
        let directory = self.directory()?;
        match rustix::fs::linkat(directory, staged, target.as_fd(), name, AtFlags::empty()) {
            Ok(()) => self.drop_if_complete(staged, links).map(|()| Linked::Done),
            Err(Errno::NOENT) => Ok(Linked::Absent),
            Err(Errno::EXIST) => Ok(Linked::Occupied),
            // The source has as many links as the file system allows: the staged one must become the last.
            Err(Errno::MLINK) => {
                match rustix::fs::renameat_with(
                    directory,
                    staged,
                    target.as_fd(),
                    name,
                    RenameFlags::NOREPLACE,
                ) {
                    Ok(()) => Ok(Linked::Done),
                    Err(Errno::NOENT) => Ok(Linked::Absent),
                    Err(Errno::EXIST) => Ok(Linked::Occupied),
                    Err(errno) => Err(Error::os("renameat2(RENAME_NOREPLACE)", errno)),
                }
            }
            Err(errno) => Err(Error::os("linkat", errno)),
        }
    }

    /// Makes the entry `name` of the copy, whose status is `status`, the staged inode, or sees whether it is; false if
    /// another is. `fresh` says that it may become it.
    pub(crate) fn adopt(
        &self,
        staged: &CStr,
        dir: &OwnedFd,
        name: &CStr,
        status: &Statx,
        fresh: bool,
    ) -> Result<bool> {
        let directory = self.directory()?;
        loop {
            match statx_entry(directory, staged) {
                Ok(found) => return Ok(Identity::of(&found).same_inode(Identity::of(status))),
                Err(Errno::NOENT) if fresh => {}
                Err(Errno::NOENT) => return Ok(false),
                Err(errno) => return Err(Error::os("statx", errno)),
            }
            match rustix::fs::linkat(dir, name, directory, staged, AtFlags::empty()) {
                // It has as many links as the file system allows, which the source has, too.
                Ok(()) | Err(Errno::MLINK) => return Ok(true),
                // Another worker was faster.
                Err(Errno::EXIST) => {}
                Err(errno) => return Err(Error::os("linkat", errno)),
            }
        }
    }

    /// Whether `name` at the top of the destination is the staging directory.
    pub(crate) fn is_at_top(&self, name: &CStr) -> bool {
        self.directory.get().is_some_and(|(_, own)| own.as_c_str() == name)
    }

    fn drop_if_complete(&self, staged: &CStr, links: u32) -> Result<()> {
        if !self.drops_complete {
            return Ok(());
        }
        let directory = self.directory()?;
        match rustix::fs::statat(directory, staged, AtFlags::SYMLINK_NOFOLLOW) {
            #[allow(clippy::useless_conversion, reason = "st_nlink is as wide as the architecture says")]
            Ok(stat) if u64::from(stat.st_nlink) > u64::from(links) => unlink(directory, staged),
            Ok(_) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(Error::os("fstatat", errno)),
        }
    }

    /// Removes the staging directory with what is left in it: inodes with links outside the tree.
    pub(crate) fn remove(&mut self) -> Result<()> {
        let Some((directory, name)) = self.directory.take() else { return Ok(()) };
        let mut scratch = Vec::with_capacity(SCRATCH);
        loop {
            let directory = reopen_dir(&directory)?;
            let mut entries = Entries::default();
            let mut any = false;
            while entries.refill(&directory, scratch.spare_capacity_mut()).call("getdents64")? {
                while let Some((entry, _, _)) = entries.take() {
                    any = true;
                    unlink(&directory, entry)?;
                }
            }
            if !any {
                break;
            }
        }
        rustix::fs::unlinkat(&self.top, &name, AtFlags::REMOVEDIR).call("unlinkat(AT_REMOVEDIR)")
    }

    /// Opens flags for what is made in a staging directory are the same as elsewhere.
    pub(crate) const CREATE: OFlags = OFlags::WRONLY
        .union(OFlags::CREATE)
        .union(OFlags::EXCL)
        .union(OFlags::NOFOLLOW)
        .union(OFlags::CLOEXEC);
}

fn unlink(directory: &OwnedFd, name: &CStr) -> Result<()> {
    match rustix::fs::unlinkat(directory, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(Error::os("unlinkat", errno)),
    }
}
