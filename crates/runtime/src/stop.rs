//! Ending a running container: asking it to shut down or reboot, and killing it.

use hull_config::Config;
use hull_ipc::{Client, State};
use hull_sys::signal;
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::error::{Error, Named, Result};

/// Whether the container ended in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It has.
    Yes,
    /// It still runs.
    No,
}

/// How long a monitor may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// What systemd takes as the order to halt: `SIGRTMIN+3`.
const SYSTEMD_HALT: i32 = 3;

/// Asks the container's init to halt (`lxc.signal.halt`) and waits until it has, or `deadline`; with a deadline
/// in the past it does not wait.
///
/// Without the key, an init that blocks the signals systemd blocks is asked as systemd wants. Fails when the
/// container does not run.
pub fn shutdown(lxcpath: &Path, name: &str, config: &Config, deadline: Option<Instant>) -> Result<Ended> {
    let client = Client::new(lxcpath, name, PATIENCE);
    let (pid, pidfd) = init(&client, name)?;
    let signals = config.signals().map_err(|e| Error::new(e.to_string()))?;
    let minimum = signal::real_time_minimum();
    let as_systemd = !signals.halt_is_set && blocks(pid, minimum + SYSTEMD_HALT);
    let number = if as_systemd { minimum + SYSTEMD_HALT } else { signals.halt.number() };
    signal::send(&pidfd, number)?;
    wait(&client, name, deadline)
}

/// Asks the container's init to reboot (`lxc.signal.reboot`), and does not wait.
pub fn reboot(lxcpath: &Path, name: &str, config: &Config) -> Result<()> {
    let client = Client::new(lxcpath, name, PATIENCE);
    let (_, pidfd) = init(&client, name)?;
    let signals = config.signals().map_err(|e| Error::new(e.to_string()))?;
    Ok(signal::send(&pidfd, signals.reboot.number())?)
}

/// Has the monitor kill the container (`lxc.signal.stop`), and waits until it has cleaned up, or `deadline`.
pub fn kill(lxcpath: &Path, name: &str, deadline: Option<Instant>) -> Result<Ended> {
    let client = Client::new(lxcpath, name, PATIENCE);
    init(&client, name)?;
    match client.stop() {
        Ok(()) => {}
        Err(e) if e.is_stopped() => return Ok(Ended::Yes),
        // The monitor answers by its end, which may take longer than our patience: what counts is the state.
        Err(e) if e.errno() == Errno::TIMEDOUT => {}
        Err(e) => return Err(Error::new(e.to_string())),
    }
    wait(&client, name, deadline)
}

fn init(client: &Client, name: &str) -> Result<(i32, OwnedFd)> {
    let pid = client.init_pid().map_err(|e| Error::new(e.to_string()))?;
    let pid = pid.and_then(Pid::from_raw);
    let pid = pid.ok_or_else(|| match client.state() {
        Ok(state) if state != State::Stopped => Error::new(format!(
            "container {name} is {state} and has no process to signal; wait for its start"
        )),
        _ => Error::new(format!("container {name} is not running")),
    })?;
    let number = pid.as_raw_nonzero();
    // Monitors before LXC 4 have no such answer.
    let pidfd = client.init_pidfd().or_else(|_| rustix::process::pidfd_open(pid, PidfdFlags::empty()));
    Ok((number.get(), pidfd.named(|| format!("pidfd_open({number})"))?))
}

fn wait(client: &Client, name: &str, deadline: Option<Instant>) -> Result<Ended> {
    match client.wait(&[State::Stopped], deadline) {
        Ok(Some(_)) => Ok(Ended::Yes),
        Ok(None) => Ok(Ended::No),
        Err(e) => Err(Error::new(format!("waiting for the end of container {name}: {e}"))),
    }
}

/// Whether process `pid` blocks signal `number`: the `SigBlk` line of proc_pid_status(5).
fn blocks(pid: i32, number: i32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let mask = status.lines().find_map(|l| l.strip_prefix("SigBlk:"));
    let mask = mask.and_then(|m| u64::from_str_radix(m.trim(), 16).ok()).unwrap_or(0);
    (1..=64).contains(&number) && mask >> (number - 1) & 1 == 1
}
