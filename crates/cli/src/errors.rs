//! Failures as the commands report them: one line, and an exit code.

use std::fmt::{self, Display};
use std::path::Path;

use hull_sys::entry::ExitCode;

/// The result of a command: the exit code when it did what it was asked.
pub(crate) type Outcome = Result<ExitCode, Failure>;

/// The exit code of what Ctrl-C ended: 128 and SIGINT, as shells have it.
pub(crate) const CANCELLED: u8 = 130;

/// Why a command did not do what it was asked.
#[derive(Debug)]
pub(crate) struct Failure {
    message: String,
    code: u8,
}

impl Failure {
    /// A failure to be told in one line; exit code 1.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), code: 1 }
    }

    /// A command line that cannot be understood; exit code 2.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(message).code(2)
    }

    /// A failure of a call on `path`.
    pub(crate) fn io(what: &str, path: &Path, error: &std::io::Error) -> Self {
        Self::new(format!("cannot {what} {}: {}", path.display(), reason(error)))
    }

    /// The same failure with another exit code.
    pub(crate) fn code(mut self, code: u8) -> Self {
        self.code = code;
        self
    }

    /// The same failure, said to concern `what`.
    pub(crate) fn about(mut self, what: impl Display) -> Self {
        self.message = format!("{what}: {}", self.message);
        self
    }

    /// The exit code.
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.code)
    }
}

/// One line, whatever names and values it is about.
impl Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&one_line(&self.message))
    }
}

impl From<hull_storage::Error> for Failure {
    fn from(error: hull_storage::Error) -> Self {
        // Who pressed Ctrl-C wants to know only that nothing is left of it.
        if error.kind() == hull_storage::ErrorKind::Cancelled && error.leftovers().is_empty() {
            return Self::new("cancelled; nothing was changed").code(CANCELLED);
        }
        Self::new(error.to_string())
    }
}

impl From<hull_config::Error> for Failure {
    fn from(error: hull_config::Error) -> Self {
        Self::new(error.to_string())
    }
}

impl From<hull_ipc::client::Error> for Failure {
    fn from(error: hull_ipc::client::Error) -> Self {
        Self::new(error.to_string())
    }
}

impl From<hull_mount::Error> for Failure {
    fn from(error: hull_mount::Error) -> Self {
        Self::new(error.to_string())
    }
}

/// What the operating system says, without the number in parentheses.
pub(crate) fn reason(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_owned()
}

/// Escapes control characters, so that a hostile name cannot forge a second line or drive the terminal.
pub(crate) fn one_line(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut out, c| {
        if c.is_control() {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_one_line() {
        let failure = Failure::new("no \"a\nb\u{1b}[2J\"").about("c1");
        assert_eq!(failure.to_string(), "c1: no \"a\\nb\\u{1b}[2J\"");
        let error = std::io::Error::from_raw_os_error(2);
        assert_eq!(
            Failure::io("read", Path::new("/x"), &error).to_string(),
            "cannot read /x: No such file or directory"
        );
    }
}
