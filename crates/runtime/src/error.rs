//! One line for people, and the error number for programs.

use rustix::io::Errno;
use std::fmt;

/// The result of anything here.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What could not be done and why, as one line.
#[derive(Clone, Debug)]
pub struct Error {
    message: String,
    errno: Option<Errno>,
}

impl Error {
    /// An error that is not a kernel call's: `message` names the thing, the reason and the remedy.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), errno: None }
    }

    /// The error of the kernel call `call`, which failed with `errno`.
    pub fn call(call: impl Into<String>, errno: Errno) -> Self {
        hull_sys::Error::new(call, errno).into()
    }

    /// The same error with a message that crossed a process boundary.
    pub(crate) fn received(message: String, errno: i32) -> Self {
        Self { message, errno: (errno != 0).then(|| Errno::from_raw_os_error(errno)) }
    }

    /// The error number, if a kernel call failed.
    pub fn errno(&self) -> Option<Errno> {
        self.errno
    }

    /// The error, told what was being done.
    #[must_use]
    pub fn during(self, what: impl fmt::Display) -> Self {
        Self { message: format!("{what}: {}", self.message), ..self }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

impl From<hull_sys::Error> for Error {
    fn from(e: hull_sys::Error) -> Self {
        Self { errno: Some(e.errno()), message: e.to_string() }
    }
}

/// Adds what was being done to an error.
pub(crate) trait During<T> {
    /// The result, its error told what was being done.
    fn during(self, what: impl fmt::Display) -> Result<T>;
}

impl<T, E: Into<Error>> During<T> for Result<T, E> {
    fn during(self, what: impl fmt::Display) -> Result<T> {
        self.map_err(|e| e.into().during(what))
    }
}

/// Names the call of a bare error number.
pub(crate) trait Named<T> {
    /// The result, its error named after the call that failed.
    fn named(self, call: impl FnOnce() -> String) -> Result<T>;
}

impl<T> Named<T> for rustix::io::Result<T> {
    fn named(self, call: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|e| Error::call(call(), e))
    }
}

impl<T> Named<T> for std::io::Result<T> {
    fn named(self, call: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|e| {
            let errno = e.raw_os_error().map_or(Errno::IO, Errno::from_raw_os_error);
            Error::call(call(), errno)
        })
    }
}
