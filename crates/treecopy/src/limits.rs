//! How many threads and open files an operation may use.

use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags, RawDir};
use rustix::process::{Resource, getrlimit};

use crate::dir::SCRATCH;

/// What an operation may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Budget {
    /// Worker threads, the caller's among them.
    pub(crate) threads: usize,
    /// How many levels of directories each worker keeps open.
    pub(crate) window: usize,
}

impl Budget {
    /// What a worker opens beside its levels: an entry twice and its copy, a level being opened, the
    /// directory of a batch, a task it gives away.
    const PER_WORKER: usize = 10;
    /// What the operation opens once, and a reserve for the rest of the process.
    const FIXED: usize = 12;
    const WINDOW: usize = 32;

    /// Divides what RLIMIT_NOFILE leaves, never raising it: the limit belongs to the whole process.
    ///
    /// `threads` 0 means one per core; `per_level` says how many descriptors a level takes.
    pub(crate) fn new(threads: usize, per_level: usize) -> Self {
        let threads = match threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            n => n,
        };
        let limit = getrlimit(Resource::Nofile)
            .current
            .map_or(usize::MAX, |n| usize::try_from(n).unwrap_or(usize::MAX));
        Self::divide(threads, per_level, limit.saturating_sub(count_open().unwrap_or(64)))
    }

    fn divide(threads: usize, per_level: usize, free: usize) -> Self {
        let free = free.saturating_sub(Self::FIXED);
        let threads = threads.min(free / (Self::PER_WORKER + 2 * per_level)).max(1);
        let window = (free / threads).saturating_sub(Self::PER_WORKER) / per_level;
        Self { threads, window: window.clamp(1, Self::WINDOW) }
    }
}

fn count_open() -> Option<usize> {
    let fd: OwnedFd = rustix::fs::open(
        "/proc/thread-self/fd",
        OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .ok()?;
    let mut scratch = Vec::with_capacity(SCRATCH);
    let mut raw = RawDir::new(fd, scratch.spare_capacity_mut());
    let mut count = 0;
    while let Some(entry) = raw.next() {
        entry.ok()?;
        count += 1;
    }
    Some(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_descriptors_mean_fewer_levels_then_fewer_threads() {
        assert_eq!(Budget::divide(4, 2, 100_000), Budget { threads: 4, window: 32 });
        assert_eq!(Budget::divide(2, 2, 58), Budget { threads: 2, window: 6 });
        assert_eq!(Budget::divide(8, 2, 58), Budget { threads: 3, window: 2 });
        assert_eq!(Budget::divide(8, 2, 3), Budget { threads: 1, window: 1 });
    }
}
