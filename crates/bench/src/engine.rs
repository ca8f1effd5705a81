//! Who reads and writes the data: fio where it is installed, else this file.

mod fio;

pub(crate) use fio::FIO;

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::time::Instant;

use hull_storage::Result;

use crate::fixture;
use crate::random::Random;

/// Who moves the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Engine {
    Fio,
    BuiltIn,
}

/// In which order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pattern {
    Sequential,
    Random,
}

/// Which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Read,
    Write,
}

/// Moving the data of one file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Job<'a> {
    pub(crate) path: &'a Path,
    /// Of the file; a multiple of the block.
    pub(crate) size: u64,
    pub(crate) pattern: Pattern,
    pub(crate) direction: Direction,
    /// Past the page cache.
    pub(crate) direct: bool,
    pub(crate) seed: u64,
}

/// More calls at random say no more.
const MOST_CALLS: u64 = 4096;
/// What O_DIRECT asks of addresses.
const ALIGNMENT: usize = 4096;

impl Job<'_> {
    fn block(&self) -> usize {
        match self.pattern {
            Pattern::Sequential => 1 << 20,
            Pattern::Random => 4096,
        }
    }

    fn calls(&self) -> u64 {
        let all = self.size / self.block() as u64;
        if self.pattern == Pattern::Random { all.min(MOST_CALLS) } else { all }
    }
}

impl Engine {
    /// fio, if it is installed.
    pub(crate) fn best() -> Self {
        if fio::is_installed() { Self::Fio } else { Self::BuiltIn }
    }

    /// Its word in the results.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Fio => "fio",
            Self::BuiltIn => "built-in",
        }
    }

    /// Does the job: bytes a second in order, calls a second at random. `None` when the file system has no O_DIRECT.
    pub(crate) fn run(self, job: &Job<'_>) -> Result<Option<f64>> {
        let failed = |e| fixture::failed("read or write", job.path, e);
        let file = match open(job) {
            Ok(file) => file,
            Err(e) if job.direct && e.raw_os_error() == Some(rustix::io::Errno::INVAL.raw_os_error()) => {
                return Ok(None);
            }
            Err(e) => return Err(failed(e)),
        };
        let mut seconds = match self {
            Self::BuiltIn => built_in(job, &file).map_err(failed)?,
            Self::Fio => fio::run(job)?,
        };
        if job.direction == Direction::Write {
            let begun = Instant::now();
            file.sync_data().map_err(failed)?;
            seconds += begun.elapsed().as_secs_f64();
        }
        let seconds = seconds.max(1e-9);
        Ok(Some(match job.pattern {
            Pattern::Sequential => (job.calls() * job.block() as u64) as f64 / seconds,
            Pattern::Random => job.calls() as f64 / seconds,
        }))
    }
}

fn open(job: &Job<'_>) -> io::Result<File> {
    let flags = if job.direct { rustix::fs::OFlags::DIRECT.bits() as i32 } else { 0 };
    let mut options = File::options();
    match job.direction {
        Direction::Read => options.read(true),
        Direction::Write => options.write(true),
    };
    options.custom_flags(flags).open(job.path)
}

/// How many seconds the calls take.
fn built_in(job: &Job<'_>, file: &File) -> io::Result<f64> {
    let (block, calls) = (job.block(), job.calls());
    let mut random = Random::new(job.seed);
    let places: Vec<u64> = (0..calls)
        .map(|call| match job.pattern {
            Pattern::Sequential => call,
            Pattern::Random => random.below(job.size / block as u64),
        })
        .map(|at| at * block as u64)
        .collect();
    let mut memory = vec![0; block + ALIGNMENT];
    let begin = memory.as_ptr().align_offset(ALIGNMENT).min(ALIGNMENT);
    let buffer = &mut memory[begin..begin + block];
    random.fill(buffer);
    let begun = Instant::now();
    for at in places {
        match job.direction {
            Direction::Read => file.read_exact_at(buffer, at)?,
            Direction::Write => file.write_all_at(buffer, at)?,
        }
    }
    Ok(begun.elapsed().as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_job_is_done_and_keeps_the_size() {
        let dir = tempfile::tempdir_in("/var/tmp").unwrap();
        let path = dir.path().join("data");
        std::fs::write(&path, vec![1; 2 << 20]).unwrap();
        for direct in [false, true] {
            for pattern in [Pattern::Sequential, Pattern::Random] {
                for direction in [Direction::Read, Direction::Write] {
                    let job = Job { path: &path, size: 2 << 20, pattern, direction, direct, seed: 1 };
                    let rate = Engine::BuiltIn.run(&job).unwrap();
                    assert!(rate.is_some_and(|rate| rate > 0.0) || direct, "{job:?}: {rate:?}");
                }
            }
        }
        let written = std::fs::read(&path).unwrap();
        assert_eq!(written.len(), 2 << 20);
        assert!(written.iter().any(|byte| *byte != 1), "something was written");
    }

    #[test]
    fn fio_does_the_same_jobs() {
        if Engine::best() != Engine::Fio {
            return hull_testskip::skip("engine::tests::fio_does_the_same_jobs", "fio is not installed");
        }
        let dir = tempfile::tempdir_in("/var/tmp").unwrap();
        let path = dir.path().join("data");
        std::fs::write(&path, vec![1; 2 << 20]).unwrap();
        for pattern in [Pattern::Sequential, Pattern::Random] {
            for direction in [Direction::Read, Direction::Write] {
                let seed = u64::MAX;
                let job = Job { path: &path, size: 2 << 20, pattern, direction, direct: false, seed };
                assert!(Engine::Fio.run(&job).unwrap().is_some_and(|rate| rate > 0.0), "{job:?}");
            }
        }
        let written = std::fs::read(&path).unwrap();
        assert!(written.len() == 2 << 20 && written.iter().any(|byte| *byte != 1), "something was written");
    }

    #[test]
    fn a_job_that_cannot_be_done_says_so() {
        let path = Path::new("/no/such/file");
        let job = Job {
            path,
            size: 1 << 20,
            pattern: Pattern::Random,
            direction: Direction::Read,
            direct: false,
            seed: 1,
        };
        let error = Engine::BuiltIn.run(&job).unwrap_err().to_string();
        assert!(error.contains("/no/such/file") && !error.contains('\n'), "{error}");
    }
}
