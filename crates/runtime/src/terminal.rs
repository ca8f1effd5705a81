//! The caller's terminal while it belongs to a container: raw, and put back however things end.

use rustix::fd::{AsFd, OwnedFd};
use rustix::termios::{OptionalActions, Termios};

use crate::error::{Named, Result};

/// Keeps a terminal raw; dropping it restores what was.
#[derive(Debug)]
pub(crate) struct Raw {
    terminal: OwnedFd,
    before: Termios,
}

impl Raw {
    /// Makes `terminal` raw. `None` if it is no terminal.
    pub(crate) fn enter(terminal: impl AsFd) -> Result<Option<Self>> {
        if !rustix::termios::isatty(&terminal) {
            return Ok(None);
        }
        let before = rustix::termios::tcgetattr(&terminal).named(|| "tcgetattr(terminal)".into())?;
        let mut raw = before.clone();
        raw.make_raw();
        rustix::termios::tcsetattr(&terminal, OptionalActions::Drain, &raw)
            .named(|| "tcsetattr(terminal, raw)".into())?;
        let terminal = rustix::io::fcntl_dupfd_cloexec(&terminal, 3).named(|| "dup(terminal)".into())?;
        Ok(Some(Self { terminal, before }))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // A terminal that is gone needs no restoring.
        let _ = rustix::termios::tcsetattr(&self.terminal, OptionalActions::Drain, &self.before);
    }
}

/// Gives the pty `to` the size of the terminal `from`, if that is one.
pub(crate) fn copy_size(from: impl AsFd, to: impl AsFd) {
    if let Ok(size) = rustix::termios::tcgetwinsize(from) {
        let _ = rustix::termios::tcsetwinsize(to, size);
    }
}

/// Writes all of `bytes`, waiting as needed. A reader that is gone swallows the rest.
pub(crate) fn write_all(to: impl AsFd, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        match rustix::io::write(&to, bytes) {
            Ok(n) => bytes = &bytes[n..],
            Err(rustix::io::Errno::INTR) => {}
            Err(rustix::io::Errno::AGAIN) => {
                let mut fds = [rustix::event::PollFd::new(&to, rustix::event::PollFlags::OUT)];
                if rustix::event::poll(&mut fds, None).is_err() {
                    return;
                }
            }
            Err(_) => return,
        }
    }
}
