//! The page cache and the room of a file system.

use std::fs::{self, File};
use std::path::Path;

use hull_storage::{Error, ErrorKind, Result};

const DROP: &str = "/proc/sys/vm/drop_caches";

/// How much of a file system is taken and left, in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    pub(crate) used: u64,
    /// To whoever runs this.
    pub(crate) available: u64,
}

/// The room of the file system that `dir` is on.
pub(crate) fn room(dir: &Path) -> Result<Room> {
    let stat =
        rustix::fs::statvfs(dir).map_err(|e| Error::os(format!("cannot look at {}", dir.display()), e))?;
    let used = stat.f_blocks.saturating_sub(stat.f_bfree) * stat.f_frsize;
    Ok(Room { used, available: stat.f_bavail * stat.f_frsize })
}

/// Returns once the file system that `dir` is on has nothing left to write.
pub(crate) fn write_out(dir: &Path) -> Result<()> {
    let failed = |e| Error::os(format!("cannot sync {}", dir.display()), e);
    let dir = rustix::fs::open(dir, rustix::fs::OFlags::RDONLY, rustix::fs::Mode::empty()).map_err(failed)?;
    rustix::fs::syncfs(dir).map_err(failed)
}

/// Whether [`drop_all`] may be done.
pub(crate) fn can_be_dropped() -> bool {
    File::options().write(true).open(DROP).is_ok()
}

/// Drops everything from the caches that has been written out: of the whole machine, proc_sys_vm(5).
pub(crate) fn drop_all() -> Result<()> {
    fs::write(DROP, "3")
        .map_err(|e| Error::new(ErrorKind::PermissionDenied, format!("cannot write {DROP}")).because(e))
}
