//! Process 1 of a container that runs one command: passes signals on, reaps orphans, and ends as it ends.

use hull_sys::process;
use hull_sys::signal::{self, SignalFd};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::AsFd;
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus};

use crate::error::{Named, Result};

/// Signals passed on to the command.
const PASSED: [i32; 10] = [1, 2, 3, 10, 12, 15, 28, 30, 18, 20];
const SIGCHLD: i32 = 17;
/// How long what the command left behind has between SIGTERM and SIGKILL.
const GRACE: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };

/// Waits for the command `pid` and everything it leaves behind; returns its exit code, or 128 and the signal
/// that ended it. Closes every descriptor but the standard ones: the caller must not use or drop any after.
pub(crate) fn run(pid: Pid) -> Result<i32> {
    // Whoever is root in the container can look into this process (CVE-2016-9962): nothing of the host's may
    // be left in it.
    process::close_all_from(3)?;
    let signals = SignalFd::block(&[&PASSED[..], &[SIGCHLD]].concat())?;
    let mut status = None;
    loop {
        // Before the first wait, too: the command may have ended before its signal was blocked.
        while let Some((ended, how)) = reap() {
            if ended == pid {
                status = Some(code(how));
            }
        }
        if status.is_some() {
            break;
        }
        wait_readable(&signals, None)?;
        while let Some(arrived) = signals.next()? {
            if arrived.number != SIGCHLD
                && let Some(signal) = Signal::from_named_raw(arrived.number)
            {
                let _ = rustix::process::kill_process(pid, signal);
            }
        }
    }
    // The kernel kills what is left when process 1 ends; a moment before, it is asked to end by itself.
    if rustix::process::getpid().is_init() && signal::send_to_all(Signal::TERM.as_raw()).is_ok() {
        while rustix::process::wait(WaitOptions::NOHANG).is_ok() {
            if !wait_readable(&signals, Some(&GRACE))? {
                break;
            }
            while signals.next()?.is_some() {}
            while reap().is_some() {}
        }
    }
    Ok(status.unwrap_or(0))
}

fn reap() -> Option<(Pid, WaitStatus)> {
    rustix::process::wait(WaitOptions::NOHANG).ok().flatten()
}

/// The code by which shells report a status.
pub(crate) fn code(status: WaitStatus) -> i32 {
    status.exit_status().unwrap_or_else(|| 128 + status.terminating_signal().unwrap_or(0))
}

fn wait_readable(fd: impl AsFd, timeout: Option<&Timespec>) -> Result<bool> {
    let mut fds = [PollFd::new(&fd, PollFlags::IN)];
    match poll(&mut fds, timeout) {
        Ok(ready) => Ok(ready > 0),
        Err(rustix::io::Errno::INTR) => Ok(true),
        Err(e) => Err(e).named(|| "poll(signals)".into()),
    }
}
