//! What can go wrong, with the entry it went wrong on.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

/// The result of a tree operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What a caller can decide on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The observer said stop.
    Cancelled,
    /// The destination's file system or quota is full.
    NoSpace,
    /// The caller lacks a permission or capability.
    PermissionDenied,
    /// The destination already holds an entry of that name.
    AlreadyExists,
    /// The tree changed under the operation in a way that leaves no sensible outcome.
    Changed,
    /// Something is mounted inside a tree that was to be removed.
    MountPoint,
    /// The destination's file system or the kernel cannot do what is needed.
    Unsupported,
    /// The id shift has no range for an owner, ACL entry or file capability.
    IdNotMapped,
    /// What was packed is damaged, or not all there.
    Corrupt,
    /// The process or the machine has no free file descriptors left.
    TooManyOpenFiles,
    /// Any other failure of a kernel call; see [`Error::errno`].
    Os,
}

/// A failed tree operation: the kind, the entry, the call, the error number.
///
/// Displays as one line; control characters in the entry's name are escaped and long paths are
/// shortened in the middle.
#[derive(Clone)]
pub struct Error(Box<Inner>);

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    path: Option<PathBuf>,
    call: String,
    errno: Option<Errno>,
    remedy: &'static str,
}

impl Error {
    /// What a caller can decide on.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The entry, relative to the tree's root; `None` when no entry is to blame, empty for the root.
    pub fn path(&self) -> Option<&Path> {
        self.0.path.as_deref()
    }

    /// The call that failed, or what was found.
    pub fn call(&self) -> &str {
        &self.0.call
    }

    /// The error number, where a kernel call failed.
    pub fn errno(&self) -> Option<Errno> {
        self.0.errno
    }

    pub(crate) fn os(call: impl Into<String>, errno: Errno) -> Self {
        let (kind, remedy) = judge(errno);
        Self(Box::new(Inner { kind, path: None, call: call.into(), errno: Some(errno), remedy }))
    }

    pub(crate) fn found(kind: ErrorKind, what: impl Into<String>, remedy: &'static str) -> Self {
        Self(Box::new(Inner { kind, path: None, call: what.into(), errno: None, remedy }))
    }

    pub(crate) fn cancelled() -> Self {
        Self::found(ErrorKind::Cancelled, "cancelled", "")
    }

    /// Names the entry, unless one is named already.
    pub(crate) fn at(mut self, path: &[u8]) -> Self {
        if self.0.path.is_none() && self.0.kind != ErrorKind::Cancelled {
            self.0.path = Some(PathBuf::from(OsStr::from_bytes(path)));
        }
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(path) = &self.0.path {
            write!(f, "{}: ", Shown(path.as_os_str().as_bytes()))?;
        }
        f.write_str(&self.0.call)?;
        if let Some(errno) = self.0.errno {
            let text = std::io::Error::from(errno).to_string();
            write!(f, ": {}", text.split(" (os error").next().unwrap_or(&text))?;
        }
        if !self.0.remedy.is_empty() {
            write!(f, "; {}", self.0.remedy)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}({self})", self.0.kind)
    }
}

impl std::error::Error for Error {}

/// Names the call that a kernel result came from.
pub(crate) trait Context<T> {
    fn call(self, call: &'static str) -> Result<T>;
}

impl<T> Context<T> for rustix::io::Result<T> {
    fn call(self, call: &'static str) -> Result<T> {
        self.map_err(|errno| Error::os(call, errno))
    }
}

fn judge(errno: Errno) -> (ErrorKind, &'static str) {
    match errno {
        Errno::NOSPC => (ErrorKind::NoSpace, "free some space or use a larger file system"),
        Errno::DQUOT => (ErrorKind::NoSpace, "raise the quota or free some space"),
        Errno::PERM | Errno::ACCESS => (
            ErrorKind::PermissionDenied,
            "run as root, or as the owner in a user namespace that maps these ids",
        ),
        Errno::EXIST => (ErrorKind::AlreadyExists, "copy into an empty directory"),
        Errno::OPNOTSUPP | Errno::NOSYS => (ErrorKind::Unsupported, ""),
        Errno::MFILE => (ErrorKind::TooManyOpenFiles, "raise the limit on open files (ulimit -n)"),
        Errno::NFILE => (ErrorKind::TooManyOpenFiles, "raise fs.file-max"),
        Errno::STALE => (ErrorKind::Changed, "stop what changes the tree and try again"),
        Errno::ROFS => (ErrorKind::Os, "the file system or subvolume is read-only: make it writable first"),
        _ => (ErrorKind::Os, ""),
    }
}

/// Prints a path between quotes on one line, of bounded length.
struct Shown<'a>(&'a [u8]);

impl Shown<'_> {
    const LONGEST: usize = 240;
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = if self.0.is_empty() { b"." } else { self.0 };
        let part = |f: &mut fmt::Formatter<'_>, bytes: &[u8]| {
            let text = String::from_utf8_lossy(bytes);
            text.chars().try_for_each(|c| {
                if c.is_control() || c == '"' || c == '\\' {
                    write!(f, "{}", c.escape_default())
                } else {
                    write!(f, "{c}")
                }
            })
        };
        f.write_str("\"")?;
        if path.len() <= Self::LONGEST {
            part(f, path)?;
        } else {
            part(f, &path[..Self::LONGEST / 2])?;
            f.write_str("…")?;
            part(f, &path[path.len() - Self::LONGEST / 2..])?;
        }
        f.write_str("\"")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_naming_entry_call_reason_and_remedy() {
        let error = Error::os("fchown(0:0)", Errno::PERM).at(b"etc/pass\nwd\xff");
        let line = error.to_string();
        assert!(
            line.starts_with("\"etc/pass\\nwd\u{fffd}\": fchown(0:0): Operation not permitted; "),
            "{line}"
        );
        assert_eq!(line.lines().count(), 1);
        assert_eq!(error.kind(), ErrorKind::PermissionDenied);
        assert_eq!(error.errno(), Some(Errno::PERM));
    }

    #[test]
    fn long_paths_are_shortened_in_the_middle() {
        let path = [b"head/".as_slice(), &b"d/".repeat(9000), b"tail"].concat();
        let line = Error::os("openat2", Errno::NOENT).at(&path).to_string();
        assert!(line.len() < 400 && line.contains("head/") && line.contains("tail\""), "{line}");
    }

    #[test]
    fn the_first_entry_named_stays() {
        let error = Error::os("openat2", Errno::IO).at(b"deep/entry").at(b"");
        assert_eq!(error.path(), Some(Path::new("deep/entry")));
        assert_eq!(Error::cancelled().at(b"x").to_string(), "cancelled");
    }
}
