//! Waiting for the command: relaying its terminal, passing signals on.

use hull_sys::signal::{self, SignalFd};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, WaitOptions};
use std::path::Path;

use crate::error::{Error, Named, Result};
use crate::supervise::ExitStatus;
use crate::terminal::{Raw, copy_size, write_all};

/// HUP, INT, QUIT, USR1, USR2, TERM and WINCH.
pub(super) const SIGNALS: [i32; 7] = [1, 2, 3, 10, 12, 15, SIGWINCH];
const SIGWINCH: i32 = 28;

/// Relays between the caller's terminal and `pty`, if there is one, until the command ends.
pub(super) fn run(
    command: Pid,
    pidfd: &OwnedFd,
    pty: Option<&OwnedFd>,
    log: Option<&OwnedFd>,
    signals: &SignalFd,
) -> Result<ExitStatus> {
    let raw = pty.map(|_| Raw::enter(std::io::stdin())).transpose()?.flatten();
    let mut input_open = raw.is_some();
    let mut output_open = pty.is_some();
    if let Some(pty) = pty {
        copy_size(std::io::stdin(), pty);
    }
    loop {
        let stdin = std::io::stdin();
        let mut fds = vec![PollFd::new(pidfd, PollFlags::IN), PollFd::new(signals, PollFlags::IN)];
        let output = pty.filter(|_| output_open);
        let input = pty.filter(|_| input_open);
        fds.extend(output.map(|p| PollFd::new(p, PollFlags::IN)));
        fds.extend(input.map(|_| PollFd::from_borrowed_fd(stdin.as_fd(), PollFlags::IN)));
        match poll(&mut fds, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(e).named(|| "poll(command)".into()),
        }
        let mut ready = fds.iter().map(|f| !f.revents().is_empty());
        let (ended, signalled) = (ready.next() == Some(true), ready.next() == Some(true));
        let readable = output.is_some() && ready.next() == Some(true);
        let typed = input.is_some() && ready.next() == Some(true);
        drop(ready);
        drop(fds);
        if signalled {
            while let Some(arrived) = signals.next()? {
                match (arrived.number, pty) {
                    (SIGWINCH, Some(pty)) => copy_size(&stdin, pty),
                    (SIGWINCH, None) => {}
                    (number, _) => {
                        let _ = signal::send(pidfd, number);
                    }
                }
            }
        }
        if let Some(pty) = pty {
            if readable {
                output_open = copy_out(pty, log);
            }
            if typed {
                let mut buffer = [0; 4096];
                match rustix::io::read(&stdin, &mut buffer) {
                    Ok(n @ 1..) => write_all(pty, &buffer[..n]),
                    _ => input_open = false,
                }
            }
        }
        if ended {
            if let Some(pty) = pty {
                let flags = rustix::fs::fcntl_getfl(pty).unwrap_or(OFlags::empty());
                let _ = rustix::fs::fcntl_setfl(pty, flags | OFlags::NONBLOCK);
                while output_open && copy_out(pty, log) {}
            }
            let waited = rustix::process::waitpid(Some(command), WaitOptions::empty())
                .named(|| "waitpid(command)".into())?;
            let (_, status) =
                waited.ok_or_else(|| Error::new("the command ended but cannot be waited for"))?;
            return Ok(match status.exit_status() {
                Some(code) => ExitStatus::Code(code),
                None => ExitStatus::Signal(status.terminating_signal().unwrap_or(0)),
            });
        }
    }
}

/// Opens the file that gets a copy.
pub(super) fn open_log(path: &Path) -> Result<OwnedFd> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::APPEND | OFlags::CLOEXEC | OFlags::NOCTTY;
    rustix::fs::open(path, flags, Mode::from_raw_mode(0o600))
        .named(|| format!("open({}, to log)", path.display()))
}

/// Shows what the terminal has; `false` when nobody writes to it any more (or nothing is there).
fn copy_out(pty: &OwnedFd, log: Option<&OwnedFd>) -> bool {
    let mut buffer = [0; 4096];
    match rustix::io::read(pty, &mut buffer) {
        Ok(n @ 1..) => {
            write_all(std::io::stdout(), &buffer[..n]);
            if let Some(log) = log {
                write_all(log, &buffer[..n]);
            }
            true
        }
        Err(rustix::io::Errno::INTR) => true,
        _ => false,
    }
}
