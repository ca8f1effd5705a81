//! Signals as a program without threads handles them: blocked, and read from a descriptor.

use rustix::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use rustix::io::Errno;
use std::mem::MaybeUninit;

use crate::{Error, Result};

/// A signal that arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrived {
    /// The signal's number.
    pub number: i32,
    /// The process that sent it, or 0 for the kernel.
    pub sender: u32,
}

/// Blocked signals, delivered through a descriptor: `signalfd(2)`.
#[derive(Debug)]
pub struct SignalFd(OwnedFd);

impl SignalFd {
    /// Blocks `signals` for this thread and opens a descriptor that delivers them; reading does not wait.
    pub fn block(signals: &[i32]) -> Result<Self> {
        let describe = || format!("signalfd({signals:?})");
        let set = set_of(signals).map_err(|e| Error::new(describe(), e))?;
        // SAFETY: `set` is initialised; the old mask is not wanted.
        if unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()) } != 0 {
            return Err(Error::new(describe(), Errno::INVAL));
        }
        // SAFETY: `set` is initialised; -1 asks for a new descriptor.
        let raw = unsafe { libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) };
        if raw == -1 {
            return Err(Error::last(describe()));
        }
        // SAFETY: the descriptor is new and nobody else owns it.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(raw) }))
    }

    /// The next signal that arrived, if any.
    pub fn next(&self) -> Result<Option<Arrived>> {
        let mut info = MaybeUninit::<libc::signalfd_siginfo>::zeroed();
        let size = size_of::<libc::signalfd_siginfo>();
        // SAFETY: the buffer is as long as stated.
        let got = unsafe { libc::read(self.0.as_raw_fd(), info.as_mut_ptr().cast(), size) };
        if got == -1 {
            let failed = Error::last("read(signalfd)");
            return if failed.errno() == Errno::AGAIN { Ok(None) } else { Err(failed) };
        }
        // SAFETY: the structure consists of integers, for which zeroes or what the kernel wrote are values.
        let info = unsafe { info.assume_init() };
        Ok(Some(Arrived { number: info.ssi_signo as i32, sender: info.ssi_pid }))
    }
}

impl AsFd for SignalFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Gives every signal its default effect and blocks none: what a new program expects to be started with.
pub fn reset() -> Result<()> {
    for signal in 1..=libc::SIGRTMAX() {
        // SAFETY: resetting to the default installs no handler. It fails for SIGKILL, SIGSTOP and the numbers
        // libc keeps for itself, which have their default effect anyway.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    // SAFETY: an all-zero set is the empty set; sigemptyset makes it so.
    let mut set: libc::sigset_t = unsafe { std::mem::zeroed() };
    // SAFETY: `set` is live.
    unsafe { libc::sigemptyset(&raw mut set) };
    // SAFETY: `set` is initialised; the old mask is not wanted.
    match unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const set, std::ptr::null_mut()) } {
        0 => Ok(()),
        code => Err(Error::new("pthread_sigmask(SIG_SETMASK, [])", Errno::from_raw_os_error(code))),
    }
}

/// Has the kernel drop `number` wherever it would be sent to this process: `SIG_IGN`.
pub fn ignore(number: i32) -> Result<()> {
    // SAFETY: ignoring a signal installs no handler.
    match unsafe { libc::signal(number, libc::SIG_IGN) } {
        libc::SIG_ERR => Err(Error::last(format!("signal({number}, SIG_IGN)"))),
        _ => Ok(()),
    }
}

/// Keeps all signals from this thread; the process's other threads get them. For system calls that an interruption
/// would make begin anew in the middle of what they write.
pub fn keep_from_this_thread() -> Result<()> {
    // SAFETY: sigfillset(3) makes the set whatever it was before, and pthread_sigmask(3) only reads it.
    let result = unsafe {
        let mut all: libc::sigset_t = std::mem::zeroed();
        libc::sigfillset(&raw mut all);
        libc::pthread_sigmask(libc::SIG_BLOCK, &raw const all, std::ptr::null_mut())
    };
    match result {
        0 => Ok(()),
        errno => Err(Error::new("pthread_sigmask(SIG_BLOCK)", Errno::from_raw_os_error(errno))),
    }
}

/// Sends `signal` to the process behind `pidfd`: `pidfd_send_signal(2)` (Linux 5.1). Takes real-time signals.
pub fn send(pidfd: impl AsFd, signal: i32) -> Result<()> {
    // SAFETY: no pointer but NULL is passed.
    let result = unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            pidfd.as_fd().as_raw_fd(),
            signal,
            std::ptr::null::<libc::siginfo_t>(),
            0,
        )
    };
    if result == 0 { Ok(()) } else { Err(Error::last(format!("pidfd_send_signal({signal})"))) }
}

/// Sends `signal` to every process the caller may signal, itself excepted; within a pid namespace that is the
/// whole namespace: `kill(-1)`. Meant for process 1 of a namespace; any other is refused with `EPERM`.
pub fn send_to_all(signal: i32) -> Result<()> {
    let describe = || format!("kill(-1, {signal})");
    if !rustix::process::getpid().is_init() {
        return Err(Error::new(describe(), Errno::PERM));
    }
    // SAFETY: kill touches no memory.
    if unsafe { libc::kill(-1, signal) } == 0 { Ok(()) } else { Err(Error::last(describe())) }
}

/// The first real-time signal that programs may use, `SIGRTMIN`.
pub fn real_time_minimum() -> i32 {
    libc::SIGRTMIN()
}

fn set_of(signals: &[i32]) -> Result<libc::sigset_t, Errno> {
    // SAFETY: all-zero is a value of the type; sigemptyset then makes it the empty set.
    let mut set: libc::sigset_t = unsafe { std::mem::zeroed() };
    // SAFETY: `set` is live.
    unsafe { libc::sigemptyset(&raw mut set) };
    for &signal in signals {
        // SAFETY: `set` is initialised; a number out of range is refused.
        if unsafe { libc::sigaddset(&raw mut set, signal) } != 0 {
            return Err(Errno::INVAL);
        }
    }
    Ok(set)
}
