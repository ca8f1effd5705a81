//! What went wrong: a kind to decide on, one line to read, a source to follow.

use std::borrow::Cow;
use std::fmt::{self, Display};

use rustix::io::Errno;

/// The result of a storage operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What a caller may decide on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The request itself is wrong.
    InvalidInput,
    /// What was named is not there.
    NotFound,
    /// The name is taken. Nothing was changed.
    AlreadyExists,
    /// Somebody is using it: a mount, a running container, another command.
    InUse,
    /// Other volumes need it.
    HasDependents,
    /// It cannot be made that small.
    CannotShrink,
    /// The store, kernel or file system cannot do this.
    Unsupported,
    /// The caller may not.
    PermissionDenied,
    /// No space, no inodes or no quota left.
    NoSpace,
    /// A program that is needed is not installed.
    ToolMissing,
    /// A program that was run failed.
    ToolFailed,
    /// What is on disk contradicts itself.
    Corrupt,
    /// The caller asked to stop.
    Cancelled,
    /// Any other refusal of the operating system.
    Os,
}

impl ErrorKind {
    /// The kind that fits an error number.
    pub fn of(errno: Errno) -> Self {
        match errno {
            Errno::NOENT | Errno::NOTDIR | Errno::NODEV | Errno::NXIO => Self::NotFound,
            Errno::EXIST | Errno::NOTEMPTY => Self::AlreadyExists,
            Errno::BUSY | Errno::TXTBSY | Errno::AGAIN => Self::InUse,
            Errno::PERM | Errno::ACCESS | Errno::ROFS => Self::PermissionDenied,
            Errno::NOSPC | Errno::DQUOT => Self::NoSpace,
            Errno::INVAL | Errno::NAMETOOLONG => Self::InvalidInput,
            Errno::OPNOTSUPP | Errno::NOSYS | Errno::XDEV | Errno::NOTTY => Self::Unsupported,
            Errno::CANCELED | Errno::INTR => Self::Cancelled,
            _ => Self::Os,
        }
    }
}

/// A failed storage operation.
///
/// `Display` is one line for people, the chain of sources included; `kind` is for deciding, `errno` for C.
#[derive(Debug)]
pub struct Error(Box<Inner>);

#[derive(Debug)]
struct Inner {
    kind: ErrorKind,
    errno: Option<Errno>,
    message: Cow<'static, str>,
    operation: &'static str,
    context: Vec<(&'static str, String)>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
    left_behind: Vec<Error>,
}

impl Error {
    /// A failure of `kind`; `message` names the thing and the reason, and the remedy if there is one.
    pub fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner {
            kind,
            errno: None,
            message: message.into(),
            operation: "",
            context: Vec::new(),
            source: None,
            left_behind: Vec::new(),
        }))
    }

    /// The failure of a system call; `message` says what was attempted, on what.
    pub fn os(message: impl Into<Cow<'static, str>>, errno: Errno) -> Self {
        let mut error = Self::new(ErrorKind::of(errno), message);
        error.0.errno = Some(errno);
        error.because(std::io::Error::from(errno))
    }

    /// The failure of a tree operation; `message` says what was attempted, on what.
    pub fn tree(message: impl Into<Cow<'static, str>>, cause: hull_treecopy::Error) -> Self {
        use hull_treecopy::ErrorKind as Tree;
        let kind = match cause.kind() {
            Tree::Cancelled => ErrorKind::Cancelled,
            Tree::NoSpace => ErrorKind::NoSpace,
            Tree::PermissionDenied => ErrorKind::PermissionDenied,
            Tree::AlreadyExists => ErrorKind::AlreadyExists,
            Tree::Changed | Tree::MountPoint => ErrorKind::InUse,
            Tree::Corrupt => ErrorKind::Corrupt,
            Tree::Unsupported | Tree::IdNotMapped => ErrorKind::Unsupported,
            _ => ErrorKind::Os,
        };
        let mut error = Self::new(kind, message);
        error.0.errno = cause.errno();
        error.because(cause)
    }

    /// What a caller may decide on.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The error number the C interface reports; every kind has one.
    pub fn errno(&self) -> Errno {
        self.0.errno.unwrap_or(match self.0.kind {
            ErrorKind::InvalidInput => Errno::INVAL,
            ErrorKind::NotFound => Errno::NOENT,
            ErrorKind::AlreadyExists => Errno::EXIST,
            ErrorKind::InUse | ErrorKind::HasDependents => Errno::BUSY,
            ErrorKind::NoSpace => Errno::NOSPC,
            ErrorKind::PermissionDenied => Errno::PERM,
            ErrorKind::Unsupported | ErrorKind::CannotShrink => Errno::OPNOTSUPP,
            ErrorKind::Cancelled => Errno::CANCELED,
            ErrorKind::ToolMissing | ErrorKind::ToolFailed | ErrorKind::Corrupt | ErrorKind::Os => Errno::IO,
        })
    }

    /// Says which operation failed; the outermost name stays.
    #[must_use]
    pub fn during(mut self, operation: &'static str) -> Self {
        self.0.operation = operation;
        self
    }

    /// Adds what the message lacks: a key and its value.
    #[must_use]
    pub fn with(mut self, key: &'static str, value: impl Display) -> Self {
        self.0.context.push((key, value.to_string()));
        self
    }

    /// Adds the cause.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Adds what could not be undone afterwards; the journal keeps it for `recover`.
    #[must_use]
    pub(crate) fn left_behind(mut self, failures: impl IntoIterator<Item = Error>) -> Self {
        self.0.left_behind.extend(failures);
        self
    }

    /// What could not be undone after the failure; `recover` tries again.
    pub fn leftovers(&self) -> &[Error] {
        &self.0.left_behind
    }
}

impl Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let e = &self.0;
        if !e.operation.is_empty() {
            write!(f, "{}: ", e.operation)?;
        }
        f.write_str(&e.message)?;
        for (key, value) in &e.context {
            write!(f, ", {key} {value}")?;
        }
        let mut source: Option<&(dyn std::error::Error + 'static)> =
            e.source.as_deref().map(|s| s as &(dyn std::error::Error + 'static));
        // std's text for an errno ends in " (os error N)", which people need not read. An `Error` in the
        // chain prints its own sources.
        while let Some(s) = source {
            let text = s.to_string();
            write!(f, ": {}", text.split(" (os error").next().unwrap_or(&text))?;
            source = if s.is::<Error>() { None } else { s.source() };
        }
        if !e.left_behind.is_empty() {
            let all: Vec<String> = e.left_behind.iter().map(ToString::to_string).collect();
            write!(f, "; not undone yet, `hull recover` tries again: {}", all.join("; "))?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|e| e as &(dyn std::error::Error + 'static))
    }
}

impl From<hull_sys::Error> for Error {
    fn from(e: hull_sys::Error) -> Self {
        let mut error = Self::new(ErrorKind::of(e.errno()), e.to_string());
        error.0.errno = Some(e.errno());
        error
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_with_operation_context_and_cause() {
        let e = Error::os("cannot rename /a", Errno::XDEV).during("rename").with("to", "/b");
        assert_eq!(e.to_string(), "rename: cannot rename /a, to /b: Invalid cross-device link");
        assert_eq!((e.kind(), e.errno()), (ErrorKind::Unsupported, Errno::XDEV));
        let e = e.left_behind([Error::new(ErrorKind::InUse, "x is busy")]);
        assert!(e.to_string().ends_with("; not undone yet, `hull recover` tries again: x is busy"));
        assert_eq!(e.leftovers().len(), 1);
    }

    #[test]
    fn every_kind_has_an_errno() {
        for kind in [ErrorKind::HasDependents, ErrorKind::Corrupt, ErrorKind::Cancelled] {
            assert_ne!(Error::new(kind, "x").errno().raw_os_error(), 0);
        }
    }
}
