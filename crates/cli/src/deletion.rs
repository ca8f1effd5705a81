//! Deletion in the background: what a command left for later is worked off by a process of its own.
//!
//! The process is `hull --reclaim`, in a session of its own, nice to all others. Of several one does the work; killed,
//! it leaves the rest to the one that the next command starts.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use hull_storage::{Doomed, Effort, Observer, Reclaim, Reclaimed, Record, Resource, Seen, Store};

use super::hull::volumes;
use crate::environment::Environment;
use crate::errors::Failure;
use crate::session::{Purpose, Session};

/// A command deletes itself what is small, so that it is gone when the command returns: a clone, an image, a subvolume, a
/// container of busybox, which has some four hundred files, with its snapshots.
pub(crate) const LATER: Reclaim = Reclaim::Later(Effort { entries: 2000, time: Duration::from_millis(2) });

/// If `store` has left something for later, has a process of its own delete it. The store is that of the containers in
/// `lxcpath`, or of volumes without containers.
pub(crate) fn hand_over(store: &Store, lxcpath: Option<&Path>) {
    if !store.has_pending() {
        return;
    }
    let mut worker = Command::new("/proc/self/exe");
    worker.arg0("hull").arg("--reclaim").args(lxcpath);
    let [stdin, stdout, stderr] = [(); 3].map(|()| Stdio::null());
    worker.stdin(stdin).stdout(stdout).stderr(stderr).current_dir("/");
    if worker.spawn().is_err() {
        // Then it takes its time. What fails stays in the journal for the next command.
        let _ = store.reclaim_pending(&());
    }
}

/// What the process in the background does.
pub(crate) fn work(environment: &Environment, lxcpath: Option<PathBuf>) -> Result<(), Failure> {
    // Whoever waits for a descriptor of the command's to be closed (a lock of a shell script, a pipe) must not wait for
    // this process. Each of these fails only where it makes no difference.
    let _ = hull_sys::process::close_all_from(3);
    let _ = rustix::process::setsid();
    let _ = rustix::process::setpriority_process(None, 10);
    let _ = hull_sys::process::set_idle_io_priority();
    let done = match lxcpath {
        Some(lxcpath) => {
            let session = Session::open(environment, lxcpath, Purpose::Look, true)?;
            session.containers().store().reclaim_pending(&())?
        }
        None => volumes::open(environment, Purpose::Look, true)?.reclaim_pending(&())?,
    };
    match done.failed.into_iter().next() {
        Some(e) => Err(e.into()),
        None => Ok(()),
    }
}

/// Deletes all that is left for later and returns when it is gone, whoever deleted it.
pub(crate) fn finish(store: &Store, observer: &dyn Observer) -> Result<Reclaimed, Failure> {
    loop {
        let done = store.reclaim_pending(observer)?;
        if !done.elsewhere {
            return Ok(done);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// What is left to be deleted, and whether a process is at it; where that may not be looked at, nothing.
pub(crate) fn under_way(store: &Store) -> Vec<Seen> {
    let mut all = store.unfinished().unwrap_or_default();
    all.retain(|seen| seen.record.reclaiming);
    all
}

/// What `record` doomed, by the names it had.
pub(crate) fn doomed_names(record: &Record) -> Vec<String> {
    let all = &record.plan.doomed;
    let homes: Vec<&Resource> =
        all.iter().filter_map(|d| if let Doomed::Home(home) = d { Some(home) } else { None }).collect();
    let inside = |part: &Resource| homes.iter().any(|home| part.path().starts_with(home.path()));
    let volumes = all.iter().filter_map(|d| match d {
        Doomed::Volume(layout) => layout.parts.first().filter(|part| !inside(part)),
        Doomed::Home(_) => None,
    });
    let volumes: Vec<&Resource> = volumes.collect();
    homes.iter().chain(&volumes).map(|r| r.unmarked().display().to_string()).collect()
}
