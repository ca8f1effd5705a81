//! What a container may be called.

use hull_storage::{Error, ErrorKind, Result};

/// Refuses a name that cannot be a container's: it is a directory's name, a host name, part of a cgroup's name
/// and of a socket's, and stands in files of one name a line.
pub fn check(name: &str) -> Result<()> {
    let why = if name.is_empty() {
        "it is empty"
    } else if name.starts_with('.') {
        "names that begin with a dot are hidden"
    } else if name.contains('/') {
        "it holds a slash; the directory goes into --lxcpath"
    } else if name.chars().any(char::is_control) {
        "it holds a control character"
    } else if name.starts_with('-') {
        "it begins with a dash and would be read as an option"
    } else if name.len() > 200 {
        "it is longer than 200 bytes"
    } else {
        return Ok(());
    };
    Err(Error::new(ErrorKind::InvalidInput, format!("{name:?} cannot be a container's name: {why}")))
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn names() {
        for good in ["c1", "a b", "c:x", "ü", "a.b"] {
            assert!(check(good).is_ok(), "{good}");
        }
        for bad in ["", ".", "..", ".x", "a/b", "a\nb", "-n", &"x".repeat(201)] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }
}
