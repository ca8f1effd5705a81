//! Ending or rebooting a running container, Hull's or stock LXC's.

use std::time::{Duration, Instant};

use hull_config::Config;
use hull_container::Container;
use hull_ipc::State;
use rustix::fd::OwnedFd;

use crate::errors::Failure;

/// How a container shall end.
#[derive(Debug, Clone, Copy)]
pub(crate) enum How {
    /// At once.
    Kill,
    /// Its init is asked to halt.
    Halt {
        /// How long it may take; `None` is as long as it likes.
        patience: Option<Duration>,
        /// Whether it is killed when time is up.
        then_kill: bool,
    },
    /// Its init is asked to halt, and nobody waits.
    Ask,
    /// Its init is asked to reboot.
    Reboot {
        /// How long to wait for the new init; `None` is not at all.
        patience: Option<Duration>,
    },
}

/// The signal LXC sends to inits that, like systemd, take no SIGPWR: SIGRTMIN+3.
const HALT_OF_SYSTEMD: i32 = 37;

/// Ends or reboots `container`, which runs. Fails when time is up.
pub(crate) fn shut_down(container: &Container<'_>, how: How) -> Result<(), Failure> {
    let client = container.client();
    let name = container.name();
    match how {
        How::Kill => Ok(client.stop()?),
        How::Ask => ask(container, Wish::Halt),
        How::Halt { patience, then_kill } => {
            ask(container, Wish::Halt)?;
            let deadline = patience.and_then(|p| Instant::now().checked_add(p));
            if client.wait(&[State::Stopped], deadline)?.is_some() {
                return Ok(());
            }
            if then_kill {
                return Ok(client.stop()?);
            }
            Err(Failure::new(format!("{name} has not halted in time: give it longer, or kill it")))
        }
        How::Reboot { patience } => {
            let before = client.init_pid()?;
            ask(container, Wish::Reboot)?;
            let Some(patience) = patience else { return Ok(()) };
            let deadline = Instant::now().checked_add(patience);
            while deadline.is_none_or(|d| Instant::now() < d) {
                let now = client.init_pid()?;
                if now.is_some() && now != before && client.state()? == State::Running {
                    return Ok(());
                }
                std::thread::sleep(Duration::from_millis(50));
            }
            Err(Failure::new(format!("{name} has not rebooted in time")))
        }
    }
}

/// What init is asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wish {
    Halt,
    Reboot,
}

fn ask(container: &Container<'_>, wish: Wish) -> Result<(), Failure> {
    let client = container.client();
    let gone = || Failure::new(format!("{} is not running", container.name()));
    let pid = client.init_pid()?.ok_or_else(gone)?;
    let init = match client.init_pidfd() {
        Ok(fd) => fd,
        // LXC before 4.0 does not hand it out.
        Err(_) => pidfd(pid).ok_or_else(gone)?,
    };
    let config = if container.is_defined() { container.config()? } else { Config::empty() };
    let signals = config.signals()?;
    let signal = match wish {
        Wish::Reboot => signals.reboot.number(),
        Wish::Halt if !signals.halt_is_set && blocks(pid, HALT_OF_SYSTEMD) => HALT_OF_SYSTEMD,
        Wish::Halt => signals.halt.number(),
    };
    hull_sys::signal::send(&init, signal)
        .map_err(|e| Failure::new(format!("cannot signal the init of {}: {e}", container.name())))
}

fn pidfd(pid: i32) -> Option<OwnedFd> {
    let pid = rustix::process::Pid::from_raw(pid)?;
    rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).ok()
}

/// Whether process `pid` blocks `signal`, which it then reads by signalfd(2), as systemd does.
fn blocks(pid: i32, signal: i32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigBlk:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    mask & (1 << (signal - 1)) != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_blocks_nothing_does_not() {
        let pid = i32::try_from(std::process::id()).unwrap();
        assert!(!blocks(pid, HALT_OF_SYSTEMD));
        assert!(!blocks(-1, HALT_OF_SYSTEMD));
    }
}
