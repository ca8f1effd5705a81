//! A configuration that cannot be used, told in one line.

use std::fmt;
use std::path::{Path, PathBuf};

/// The result of reading or changing a configuration.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What is wrong with a configuration, where, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    file: PathBuf,
    line: Option<usize>,
    key: Option<String>,
    reason: String,
    remedy: String,
}

impl Error {
    /// Describes a fault in `file`; [`Error::at`] and [`Error::key`] narrow it down.
    pub fn new(file: &Path, fault: Fault) -> Self {
        Self { file: file.into(), line: None, key: None, reason: fault.reason, remedy: fault.remedy }
    }

    /// Names the line, counted from 1.
    #[must_use]
    pub fn at(mut self, line: usize) -> Self {
        self.line = Some(line);
        self
    }

    /// Names the key.
    #[must_use]
    pub fn key(mut self, key: &str) -> Self {
        self.key = Some(shorten(key));
        self
    }

    /// The file the fault is in.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// The line the fault is in, counted from 1.
    pub fn line(&self) -> Option<usize> {
        self.line
    }

    /// The key the fault is about.
    pub fn key_name(&self) -> Option<&str> {
        self.key.as_deref()
    }

    /// What is wrong.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// What to do about it.
    pub fn remedy(&self) -> &str {
        &self.remedy
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", one_line(&self.file.to_string_lossy()))?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if let Some(key) = &self.key {
            write!(f, ": {}", one_line(key))?;
        }
        write!(f, ": {}; {}", one_line(&self.reason), one_line(&self.remedy))
    }
}

impl std::error::Error for Error {}

/// Why a value is refused and what would be accepted, before anyone knows where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What is wrong.
    pub reason: String,
    /// What to do about it.
    pub remedy: String,
}

impl Fault {
    /// Pairs a reason with its remedy.
    pub fn new(reason: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { reason: reason.into(), remedy: remedy.into() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", one_line(&self.reason), one_line(&self.remedy))
    }
}

/// Quotes a value for a message: control characters escaped, long values cut.
pub(crate) fn quoted(value: &str) -> String {
    format!("{:?}", shorten(value))
}

fn shorten(text: &str) -> String {
    const LONGEST: usize = 80;
    match text.char_indices().nth(LONGEST) {
        Some((cut, _)) => format!("{}…", &text[..cut]),
        None => text.to_owned(),
    }
}

/// Escapes control characters, so that a hostile file name or value cannot forge a second line.
fn one_line(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut out, c| {
        if c.is_control() {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
        out
    })
}
