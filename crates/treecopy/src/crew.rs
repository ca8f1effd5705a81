//! A crew of worker threads that hand each other work: no thread outlives the call.
//!
//! A worker walks its subtree depth first on its own stack. Only when another worker has nothing to do
//! does it give a part away, so a queued task always has somebody waiting for it. Hence the queue is
//! never longer than the crew, and a worker may wait for work it gave away without a deadlock.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::error::{Error, Result};

pub(crate) struct Crew<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
    /// How many workers wait for work that is not queued yet.
    hungry: AtomicUsize,
    stopped: AtomicBool,
}

struct State<T> {
    queue: VecDeque<T>,
    idle: usize,
    workers: usize,
    finished: bool,
    error: Option<Error>,
}

impl<T: Send> Crew<T> {
    /// Runs `first` and all that comes of it on up to `workers` threads, the caller's among them.
    ///
    /// `work` gets the crew and a task; `worker` makes each thread's own state. Returns the first error;
    /// the other workers stop at their next check.
    pub(crate) fn run<W>(
        workers: usize,
        first: T,
        worker: impl Fn() -> W + Sync,
        work: impl Fn(&mut W, &Self, T) -> Result<()> + Sync,
    ) -> Result<()> {
        let crew = Self {
            state: Mutex::new(State {
                queue: VecDeque::from([first]),
                idle: 0,
                workers: workers.max(1),
                finished: false,
                error: None,
            }),
            changed: Condvar::new(),
            hungry: AtomicUsize::new(0),
            stopped: AtomicBool::new(false),
        };
        let turn = || {
            let _guard = StopOnPanic(&crew);
            let mut own = worker();
            while let Some(task) = crew.next() {
                if let Err(error) = work(&mut own, &crew, task) {
                    crew.stop(Some(error));
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..workers {
                let spawned =
                    std::thread::Builder::new().name("hull-tree".to_owned()).spawn_scoped(scope, turn);
                if spawned.is_err() {
                    // No thread to be had (RLIMIT_NPROC): the crew goes on with those it has.
                    crew.lock().workers -= 1;
                }
            }
            turn();
        });
        let error = crew.lock().error.take();
        error.map_or(Ok(()), Err)
    }

    /// Whether giving work away now would put an idle worker to use.
    pub(crate) fn is_hungry(&self) -> bool {
        self.hungry.load(Ordering::Relaxed) > 0
    }

    /// Gives a task to an idle worker, or hands it back when there is none.
    pub(crate) fn give(&self, task: T) -> Result<(), T> {
        let mut state = self.lock();
        if state.idle <= state.queue.len() {
            return Err(task);
        }
        state.queue.push_back(task);
        self.update_hunger(&state);
        self.changed.notify_all();
        Ok(())
    }

    /// Whether a worker failed, so that the others should stop too.
    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    /// Waits until `pending` is zero; fails when the crew stops meanwhile.
    pub(crate) fn wait_for(&self, pending: &AtomicUsize) -> Result<()> {
        let mut state = self.lock();
        while pending.load(Ordering::Acquire) > 0 {
            if self.is_stopped() {
                return Err(Error::cancelled());
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        Ok(())
    }

    /// Counts one piece of work that was given away as done.
    pub(crate) fn done(&self, pending: &AtomicUsize) {
        let _state = self.lock();
        pending.fetch_sub(1, Ordering::Release);
        self.changed.notify_all();
    }

    fn next(&self) -> Option<T> {
        let mut state = self.lock();
        state.idle += 1;
        loop {
            if state.finished || self.is_stopped() {
                return None;
            }
            if let Some(task) = state.queue.pop_front() {
                state.idle -= 1;
                self.update_hunger(&state);
                return Some(task);
            }
            if state.idle == state.workers {
                state.finished = true;
                self.changed.notify_all();
                return None;
            }
            self.update_hunger(&state);
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn stop(&self, error: Option<Error>) {
        let mut state = self.lock();
        if !self.is_stopped() {
            state.error = error;
        }
        self.stopped.store(true, Ordering::Relaxed);
        self.changed.notify_all();
    }

    fn update_hunger(&self, state: &State<T>) {
        self.hungry.store(state.idle.saturating_sub(state.queue.len()), Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Wakes the others when a worker panics, so that the panic reaches the caller instead of a wait without end.
struct StopOnPanic<'a, T: Send>(&'a Crew<T>);

impl<T: Send> Drop for StopOnPanic<'_, T> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.stop(None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU64;

    /// Sums 1..=n by halving ranges and giving halves away.
    fn sum(workers: usize, n: u64) -> u64 {
        let total = AtomicU64::new(0);
        Crew::run(
            workers,
            1..=n,
            || (),
            |(), crew, mut range: std::ops::RangeInclusive<u64>| {
                while range.end() - range.start() > 10 {
                    let middle = range.start() + (range.end() - range.start()) / 2;
                    let (left, right) = (*range.start()..=middle, middle + 1..=*range.end());
                    if crew.give(right.clone()).is_err() {
                        total.fetch_add(right.sum(), Ordering::Relaxed);
                    }
                    range = left;
                }
                total.fetch_add(range.sum(), Ordering::Relaxed);
                Ok(())
            },
        )
        .unwrap();
        total.into_inner()
    }

    #[test]
    fn all_work_is_done_once_by_any_crew() {
        for workers in [0, 1, 2, 7] {
            assert_eq!(sum(workers, 100_000), 5_000_050_000, "{workers} workers");
        }
    }

    #[test]
    fn the_first_error_ends_the_run() {
        let result = Crew::run(3, 0u32, || (), |(), _, _| Err(Error::os("x", rustix::io::Errno::IO)));
        assert_eq!(result.unwrap_err().errno(), Some(rustix::io::Errno::IO));
    }
}
