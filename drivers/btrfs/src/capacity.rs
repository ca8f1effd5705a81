//! Limits: those of the volume's own quota group, where quota groups are on.

use std::path::PathBuf;

use hull_storage::{Bytes, Capacity, Error, ErrorKind, Locator, Outcome, Result, paths};
use hull_sys::btrfs;
use rustix::fd::OwnedFd;
use rustix::io::Errno;

use crate::BtrfsDriver;
use crate::subvolume::{hexadecimal, open_dir};

impl Capacity for BtrfsDriver {
    /// Limits what the volume refers to, shared blocks counted in full. Takes `CAP_SYS_ADMIN`, and quota groups that
    /// somebody has switched on: that costs the whole file system time, so Hull does not do it by itself.
    fn resize(&self, at: &Locator, to: Option<Bytes>) -> Result<Outcome> {
        let root = open_dir(&paths::absolute(at)?)?;
        if !btrfs::is_subvolume(&root)? {
            let text = format!(
                "{at} is a plain directory, which btrfs cannot limit: make a copy of it, which is a subvolume"
            );
            return Err(Error::new(ErrorKind::Unsupported, text));
        }
        set_limit(&root, at, to)
    }
}

/// Limits the subvolume `root`, called `at`.
pub(crate) fn set_limit(root: &OwnedFd, at: &Locator, to: Option<Bytes>) -> Result<Outcome> {
    // What is referred to is counted when it is written out.
    rustix::fs::syncfs(root).map_err(|e| Error::os(format!("cannot sync {at}"), e))?;
    let group = Group::of(root)?;
    if !group.is_counted() {
        return Err(Error::new(
            ErrorKind::Unsupported,
            format!(
                "quota groups are off on the file system of {at}, so it can have no limit: run `btrfs quota enable` on it"
            ),
        ));
    }
    if to == group.limit() {
        return Ok(Outcome::AlreadyDone);
    }
    if let (Some(limit), Some(used)) = (to, group.number("referenced"))
        && limit.0 < used
    {
        return Err(Error::new(
            ErrorKind::CannotShrink,
            format!("{at} holds {} already, more than {limit}: delete some of it first", Bytes(used)),
        ));
    }
    btrfs::set_limit(root, to.map(|bytes| bytes.0)).map_err(|e| match e.errno() {
        Errno::PERM => Error::os(format!("only root outside containers may limit {at}"), Errno::PERM),
        _ => e.into(),
    })?;
    Ok(Outcome::Done)
}

/// A subvolume's own quota group, as /sys shows it (Linux 5.9).
#[derive(Debug)]
pub(crate) struct Group {
    dir: PathBuf,
}

impl Group {
    /// The group of the subvolume `root`, whether or not it is counted.
    pub(crate) fn of(root: &OwnedFd) -> Result<Self> {
        let id = btrfs::subvolume_info(root)?.id;
        let text = hexadecimal(&btrfs::filesystem_id(root)?);
        let uuid = [&text[..8], &text[8..12], &text[12..16], &text[16..20], &text[20..]].join("-");
        Ok(Self { dir: format!("/sys/fs/btrfs/{uuid}/qgroups/0_{id}").into() })
    }

    /// Whether quota groups are on.
    fn is_counted(&self) -> bool {
        self.dir.is_dir()
    }

    /// What only this subvolume occupies.
    pub(crate) fn exclusive(&self) -> Option<Bytes> {
        self.number("exclusive").map(Bytes)
    }

    /// The limit on what it refers to.
    pub(crate) fn limit(&self) -> Option<Bytes> {
        /// BTRFS_QGROUP_LIMIT_MAX_RFER
        const REFERENCED: u64 = 1;
        let limited = self.number("limit_flags")? & REFERENCED != 0;
        self.number("max_referenced").filter(|&bytes| limited && bytes < u64::MAX).map(Bytes)
    }

    /// How much more it may refer to.
    pub(crate) fn left(&self) -> Option<Bytes> {
        Some(Bytes(self.limit()?.0.saturating_sub(self.number("referenced")?)))
    }

    fn number(&self, name: &str) -> Option<u64> {
        std::fs::read_to_string(self.dir.join(name)).ok()?.trim().parse().ok()
    }
}
