//! A failed kernel call, printed as it was made.

use std::fmt;

/// The result of a kernel call.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A kernel call that failed: its name and arguments, and the error number.
#[derive(Debug, Clone)]
pub struct Error {
    call: String,
    errno: rustix::io::Errno,
}

impl Error {
    /// Describes the failure of `call`, written as a person would read it: `fsopen("overlay")`.
    pub fn new(call: impl Into<String>, errno: rustix::io::Errno) -> Self {
        Self { call: call.into(), errno }
    }

    /// Describes the failure of `call` with the calling thread's current `errno`.
    pub fn last(call: impl Into<String>) -> Self {
        let raw = std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO);
        Self::new(call, rustix::io::Errno::from_raw_os_error(raw))
    }

    /// The error number.
    pub fn errno(&self) -> rustix::io::Errno {
        self.errno
    }

    /// The call as it was made.
    pub fn call(&self) -> &str {
        &self.call
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // std's text for an errno ends in " (os error N)", which people need not read.
        let text = std::io::Error::from(self.errno).to_string();
        let text = text.split(" (os error").next().unwrap_or(&text);
        write!(f, "{}: {text}", self.call)
    }
}

impl std::error::Error for Error {}

impl From<Error> for std::io::Error {
    fn from(e: Error) -> Self {
        Self::new(std::io::Error::from(e.errno).kind(), e)
    }
}
