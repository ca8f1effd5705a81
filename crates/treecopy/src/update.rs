//! Bringing an earlier copy of a tree up to date.

use std::os::fd::BorrowedFd;

use crate::copy::{Copied, Copier, CopyOptions, Part};
use crate::draft::Draft;
use crate::error::Result;

/// What was done to bring a copy up to date.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Updated {
    /// What was copied; [`Copied::entries`] counts the entries made anew.
    pub copied: Copied,
    /// Entries that stayed as they were, and directories that stayed.
    pub unchanged: u64,
    /// Entries removed from the copy, as they vanished from the source or changed there.
    pub removed: u64,
}

/// Makes `to`, which holds `draft`, a copy of `from` as it is now, as [`copy_tree`](crate::copy_tree) makes one.
///
/// `from` should be still: then the copy is one of this moment. An entry stays in the copy if its inode is the one that was
/// copied, its change time is older than the draft, and type, size, time of modification, mode, owner and device are the
/// copy's. Everything else is removed from the copy and copied anew; so is a directory that has another one's name, but
/// not one that stayed where it was: its attributes are set anew, and its entries looked at. What vanished is removed.
///
/// Nobody else may have touched `to`. Requires, and fails, as `copy_tree` does; a failed update may be repeated.
pub fn update_tree(
    from: BorrowedFd<'_>,
    to: BorrowedFd<'_>,
    draft: &Draft,
    options: &CopyOptions<'_>,
) -> Result<Updated> {
    let (mut copied, renewed) =
        Copier::run(from, to, options, Part::Second(draft)).map_err(|error| error.at(b""))?;
    copied.entries -= renewed.unchanged;
    Ok(Updated { copied, unchanged: renewed.unchanged, removed: renewed.removed })
}
