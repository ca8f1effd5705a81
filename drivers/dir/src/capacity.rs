//! Limits: those of a project of the volume's own, where the file system keeps project quotas.

use std::path::Path;

use hull_storage::{Bytes, Capacity, Error, ErrorKind, Locator, Outcome, Resource, Result, Usage, files};
use rustix::fd::AsFd;

use crate::DirDriver;
use crate::driver::existing;
use crate::project::{self, Root};

impl Capacity for DirDriver {
    /// Limits what the files occupy, blocks that are shared counted in each. Takes `CAP_SYS_ADMIN`, and project quotas
    /// that are enforced. A volume that was never limited has each of its files visited.
    fn resize(&self, at: &Locator, to: Option<Bytes>) -> Result<Outcome> {
        let path = existing(at)?;
        match to {
            Some(limit) => set_limit(&path, at, limit),
            None => lift_limit(&Root::open(&path)?, at),
        }
    }
}

/// Fails where no volume in the directory `dir` could be limited, before the volume `at` is made there.
pub(crate) fn require(dir: &Path, at: &Locator) -> Result<()> {
    project::require_quotas(&project::open_dir(dir)?, at)
}

/// Limits the volume at `path`.
///
/// The limit is set last, so a project without one is one whose files may not all be charged to it yet.
pub(crate) fn set_limit(path: &Path, at: &Locator, limit: Bytes) -> Result<Outcome> {
    let root = Root::open(path)?;
    project::require_quotas(&root.dir, at)?;
    let id = match root.own() {
        Some(id) => {
            let account = root.account(id, at)?;
            if let Some(now) = account.limit {
                if now == rounded(limit) {
                    return Ok(Outcome::AlreadyDone);
                }
                require_room(at, limit, account.bytes)?;
                root.set_limit(id, Some(limit.0), at)?;
                return Ok(Outcome::Done);
            }
            id
        }
        None => {
            root.require_unlimited_parent(at)?;
            root.free_id(at)?
        }
    };
    require_room(at, limit, files::measure(path)?.total.0)?;
    hull_treecopy::set_tree_project(root.dir.as_fd(), id)
        .map_err(|e| Error::tree(format!("cannot charge the files of {at} to the project {id}"), e))?;
    require_room(at, limit, root.account(id, at)?.bytes)?;
    root.set_limit(id, Some(limit.0), at)?;
    Ok(Outcome::Done)
}

/// The files stay charged to their project: whoever has the volume limited again need not visit them for nothing.
fn lift_limit(root: &Root, at: &Locator) -> Result<Outcome> {
    let Some(id) = root.own() else { return Ok(Outcome::AlreadyDone) };
    if root.account(id, at)?.limit.is_none() {
        return Ok(Outcome::AlreadyDone);
    }
    root.set_limit(id, None, at)?;
    Ok(Outcome::Done)
}

/// The limit on the volume at `path`, as far as it may be known.
pub(crate) fn limit(path: &Path, at: &Locator) -> Option<Bytes> {
    let root = Root::open(path).ok()?;
    root.account(root.own()?, at).ok()?.limit.map(Bytes)
}

/// Corrects what can be written to the volume at `path` by its limit, and by what its file system has left besides: of
/// a directory in a limited project, some kernels tell only one of the two.
pub(crate) fn correct(usage: &mut Usage, path: &Path, at: &Locator) {
    let Some(root) = Root::open(path).ok().filter(|root| root.own().is_some()) else { return };
    let of_limit = root.own().and_then(|id| root.account(id, at).ok()).and_then(|account| {
        let limit = account.limit?;
        Some(Bytes(limit.saturating_sub(account.bytes)))
    });
    let of_disk = path.parent().and_then(|dir| files::available(project::open_dir(dir).ok()?));
    usage.available = [usage.available, of_limit, of_disk].into_iter().flatten().min();
}

/// Lifts the limit of what is about to be removed: once nothing is charged to a project without a limit, its id is free
/// again. Who may not do it has set no limit either, and a limit that stays on nothing only keeps its id from being
/// used; so nobody is told.
pub(crate) fn forget(what: &Resource) {
    if let Some(root) = Root::of_condemned(what.path()) {
        let _ = lift_limit(&root, &Locator::new(crate::NAME, what.path()));
    }
}

fn require_room(at: &Locator, limit: Bytes, used: u64) -> Result<()> {
    if limit.0 < used {
        let text = format!("{at} holds {} already, more than {limit}: delete some of it first", Bytes(used));
        return Err(Error::new(ErrorKind::CannotShrink, text));
    }
    Ok(())
}

/// What the kernel makes of it: it counts in KiB.
fn rounded(limit: Bytes) -> u64 {
    limit.0.div_ceil(1024).max(1).saturating_mul(1024)
}
