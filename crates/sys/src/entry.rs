//! Where a program begins, without what Rust's standard library does before `main`.
//!
//! It looks for the main thread's guard page, and for that has the C library read and parse `/proc/self/maps`; and
//! it makes a second stack to report an overflow on. That is a tenth of a millisecond, of less than one that a short
//! command takes. Without it, a stack that overflows ends the program by SIGSEGV all the same, without a line
//! that says why. What else it does is done here.

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::ffi::c_int;
use std::io::Write;
use std::os::fd::IntoRawFd;

use crate::signal;

/// What a program tells whoever waits for it: [`std::process::ExitCode`], whose number cannot be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExitCode(u8);

impl ExitCode {
    /// 0.
    pub const SUCCESS: Self = Self(0);
    /// 1.
    pub const FAILURE: Self = Self(1);
}

impl From<u8> for ExitCode {
    fn from(code: u8) -> Self {
        Self(code)
    }
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(ExitCode(code): ExitCode) -> Self {
        Self::from(code)
    }
}

/// Makes a function, of no arguments, that returns an [`ExitCode`] the one a program begins with. With glibc
/// (`target_env = "gnu"`) the crate says `#![no_main]`.
///
/// Arguments and environment are in [`mod@std::env`], as ever: glibc hands them to the standard library before `main`.
/// Other C libraries do not, and there the program begins as usual.
#[macro_export]
macro_rules! entry {
    ($begin:path) => {
        #[cfg(target_env = "gnu")]
        #[allow(unsafe_code)]
        // SAFETY: a program has one `main`, and nothing else by that name: the linker refuses a second one.
        #[unsafe(no_mangle)]
        extern "C" fn main(_: ::std::ffi::c_int, _: *const *const ::std::ffi::c_char) -> ::std::ffi::c_int {
            $crate::entry::run($begin)
        }

        #[cfg(not(target_env = "gnu"))]
        fn main() -> ::std::process::ExitCode {
            $begin().into()
        }
    };
}

/// Runs `begin` as the standard library runs a `main`: no standard descriptor is closed, and writing to a pipe
/// that nobody reads from fails instead of ending the program.
#[doc(hidden)]
pub fn run(begin: fn() -> ExitCode) -> c_int {
    if let Err(e) = open_standard() {
        // There may be nowhere to say it.
        let _ = writeln!(std::io::stderr(), "{e}");
        return 1;
    }
    let _ = signal::ignore(libc::SIGPIPE);
    let ExitCode(code) = begin();
    // Flushes what was printed, which returning from here would not.
    std::process::exit(code.into())
}

/// Opens `/dev/null` in place of standard descriptors that are closed: the next file opened would be taken for one.
fn open_standard() -> crate::Result<()> {
    for number in 0..=2 {
        // SAFETY: fcntl checks the number, and changes nothing.
        if unsafe { libc::fcntl(number, libc::F_GETFD) } != -1 {
            continue;
        }
        let opened = rustix::fs::open("/dev/null", OFlags::RDWR, Mode::empty())
            .map_err(|e| crate::Error::new("open(/dev/null)", e))?;
        // The lowest number that is free is the one found closed.
        let raw = opened.into_raw_fd();
        if raw != number {
            return Err(crate::Error::new(format!("open(/dev/null) as descriptor {number}"), Errno::BADF));
        }
    }
    Ok(())
}
