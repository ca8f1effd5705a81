//! What went wrong with a cgroup, and what to do about it.

use rustix::io::Errno;

/// The result of this crate's calls.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failure, in one line: the file or group, the reason, the remedy.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    message: String,
    errno: Errno,
}

impl Error {
    pub(crate) fn new(errno: Errno, message: impl Into<String>) -> Self {
        Self { message: message.into(), errno }
    }

    /// `what` failed with `errno`; says what usually helps.
    pub(crate) fn call(what: &str, errno: Errno) -> Self {
        let reason = std::io::Error::from(errno).to_string();
        let reason = reason.split(" (os error").next().unwrap_or(&reason).to_owned();
        let remedy = match errno {
            Errno::PERM | Errno::ACCESS => "; run as root or have the parent group delegated to you",
            Errno::ROFS => "; mount the cgroup file system writable",
            Errno::BUSY => "; something still runs in the group or uses it",
            Errno::NOSPC => "; raise cgroup.max.descendants or remove unused groups",
            _ => "",
        };
        Self { message: format!("{what}: {reason}{remedy}"), errno }
    }

    /// The error number.
    pub fn errno(&self) -> Errno {
        self.errno
    }
}
