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
    exit_code: u8,
}

/// What a program ends with that failed for a reason of its own.
const FAILURE: u8 = 1;

impl Error {
    /// An error that is not a kernel call's: `message` names the thing, the reason and the remedy.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), errno: None, exit_code: FAILURE }
    }

    /// The error of the kernel call `call`, which failed with `errno`.
    pub fn call(call: impl Into<String>, errno: Errno) -> Self {
        hull_sys::Error::new(call, errno).into()
    }

    /// The same error with a message that crossed a process boundary.
    pub(crate) fn received(message: String, errno: i32) -> Self {
        let errno = (errno != 0).then(|| Errno::from_raw_os_error(errno));
        Self { message, errno, exit_code: FAILURE }
    }

    /// The program `name` cannot be executed, for `errno`; `path` is where it was looked for, if anywhere.
    pub(crate) fn executing(name: &str, path: Option<&str>, errno: Errno) -> Self {
        let why = match (errno, path) {
            (Errno::NOENT, Some(path)) => format!("it is not in {path}"),
            (Errno::NOENT, None) => "No such file in the container, or its interpreter is missing".to_owned(),
            (Errno::ACCESS, _) => "it is no program, or its user may not execute it".to_owned(),
            (Errno::NOEXEC, _) => "it is no program of this machine's kind".to_owned(),
            _ => return Self::call(format!("execve({name:?})"), errno),
        };
        Self { errno: Some(errno), ..Self::new(format!("cannot execute {name:?}: {why}")) }
    }

    /// The error number, if a kernel call failed.
    pub fn errno(&self) -> Option<Errno> {
        self.errno
    }

    /// What a program that fails for this error ends with: as a shell, 127 for a command that is not there, 126 for one
    /// that cannot be executed; 1 for all else.
    pub fn exit_code(&self) -> u8 {
        self.exit_code
    }

    /// The error of executing the user's command.
    pub(crate) fn of_command(self) -> Self {
        Self { exit_code: if self.errno == Some(Errno::NOENT) { 127 } else { 126 }, ..self }
    }

    /// The error of a process that ended with `exit_code` because of it.
    pub(crate) fn ending_with(self, exit_code: u8) -> Self {
        Self { exit_code, ..self }
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
        Self { errno: Some(e.errno()), message: e.to_string(), exit_code: FAILURE }
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
