//! The text of a locator: `/LOWER[:/LOWER2…]:/UPPER`, any byte in any path.
//!
//! A colon separates two paths only where a slash follows it, as LXC reads it, so `/srv/a:b` needs no care. A
//! path of which a component ends in a colon is written `/srv/a\:/b`, which LXC cannot have meant: it would have
//! seen two paths. A backslash is itself unless a colon or another backslash follows; before those it is written
//! twice.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use hull_storage::{DriverName, Error, ErrorKind, Locator, Result, paths};

/// The layers of a volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    /// The trees below, uppermost first; at least one.
    pub lower: Vec<PathBuf>,
    /// The directory that changes go to.
    pub upper: PathBuf,
}

impl Chain {
    /// Reads a locator. Fails with [`ErrorKind::InvalidInput`] when it is not at least two absolute paths.
    pub fn read(at: &Locator) -> Result<Self> {
        let mut layers = split(at.at().as_bytes());
        let invalid = |why: &str| {
            Error::new(
                ErrorKind::InvalidInput,
                format!("the locator {at} {why}: write {}:/LOWER[:/LOWER2…]:/UPPER", at.driver()),
            )
        };
        if layers.iter().any(|path| !path.is_absolute()) {
            return Err(invalid("names a path that is not absolute"));
        }
        match layers.pop() {
            Some(upper) if !layers.is_empty() => Ok(Self { lower: layers, upper }),
            _ => Err(invalid("names one layer only")),
        }
    }

    /// The locator of the volume in the store `driver`.
    pub fn locator(&self, driver: DriverName) -> Locator {
        let mut text = Vec::new();
        for path in self.lower.iter().chain([&self.upper]) {
            if !text.is_empty() {
                text.push(b':');
            }
            escape(path.as_os_str(), &mut text);
        }
        Locator::new(driver, OsString::from_vec(text))
    }

    /// The chain once the directory `from` is called `to`.
    pub fn rebased(&self, from: &Path, to: &Path) -> Self {
        let new = |path: &PathBuf| paths::rebased(path, from, to).unwrap_or_else(|| path.clone());
        Self { lower: self.lower.iter().map(new).collect(), upper: new(&self.upper) }
    }
}

/// Splits before each unescaped `:/` and takes the escapes away.
fn split(text: &[u8]) -> Vec<PathBuf> {
    let mut layers = Vec::new();
    let mut path = Vec::new();
    let mut rest = text;
    loop {
        match rest {
            [] => break,
            [b'\\', b @ (b'\\' | b':'), after @ ..] => {
                path.push(*b);
                rest = after;
            }
            [b':', b'/', ..] => {
                layers.push(std::mem::take(&mut path));
                rest = &rest[1..];
            }
            [b, after @ ..] => {
                path.push(*b);
                rest = after;
            }
        }
    }
    layers.push(path);
    // What a path may have twice (`//`, a slash at its end) is not part of its name.
    layers.into_iter().map(|p| Path::new(&OsString::from_vec(p)).components().collect()).collect()
}

/// Escapes only what would read as something else, so that LXC reads the same in all other cases.
fn escape(path: &OsStr, out: &mut Vec<u8>) {
    let bytes = path.as_bytes();
    for (i, &byte) in bytes.iter().enumerate() {
        // At the end, a separating colon may follow.
        let next = bytes.get(i + 1);
        let special = matches!((byte, next), (b':', Some(b'/')) | (b'\\', None | Some(b':' | b'\\')));
        if special {
            out.push(b'\\');
        }
        out.push(byte);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NAME: DriverName = DriverName::new("some");

    fn read(text: &[u8]) -> Option<Vec<PathBuf>> {
        let chain = Chain::read(&Locator::new(NAME, OsStr::from_bytes(text))).ok()?;
        Some(chain.lower.into_iter().chain([chain.upper]).collect())
    }

    #[test]
    fn what_lxc_writes_reads_as_lxc_means_it() {
        for (text, expected) in [
            ("/lxc/c0/rootfs:/lxc/c1/overlay/delta", Some(vec!["/lxc/c0/rootfs", "/lxc/c1/overlay/delta"])),
            ("/a:/b:/c", Some(vec!["/a", "/b", "/c"])),
            ("/lxc/c:x/rootfs:/lxc/d/delta0", Some(vec!["/lxc/c:x/rootfs", "/lxc/d/delta0"])),
            ("/a,b:/c d", Some(vec!["/a,b", "/c d"])),
            ("/a\\b:/c", Some(vec!["/a\\b", "/c"])),
            ("/a::/b", Some(vec!["/a:", "/b"])),
            ("/a\\:/b:/c", Some(vec!["/a:/b", "/c"])),
            ("/a\\\\:/b", Some(vec!["/a\\", "/b"])),
            ("/a/:/b//", Some(vec!["/a", "/b"])),
            ("/a", None),
            ("", None),
            ("a:/b", None),
            (":/a:/b", None),
            ("/a\\:/b", None),
        ] {
            let expected = expected.map(|p| p.into_iter().map(PathBuf::from).collect::<Vec<_>>());
            assert_eq!(read(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn plain_paths_are_written_as_lxc_writes_them() {
        let chain = Chain { lower: vec!["/c:x/a,b".into(), "/d e\\f".into()], upper: "/u".into() };
        assert_eq!(chain.locator(NAME).at(), "/c:x/a,b:/d e\\f:/u");
    }

    #[test]
    fn a_rename_reaches_every_layer() {
        let chain = Chain { lower: vec!["/l/c1/a".into(), "/l/c10".into()], upper: "/l/c1/u".into() };
        let new = chain.rebased(Path::new("/l/c1"), Path::new("/l/c2"));
        assert_eq!(new.locator(NAME).at(), "/l/c2/a:/l/c10:/l/c2/u");
    }

    fn path() -> impl Strategy<Value = PathBuf> {
        // The bytes that matter, often; others, sometimes; never NUL.
        let byte = prop_oneof![Just(b':'), Just(b'\\'), Just(b'/'), Just(b'.'), 1u8..=255];
        proptest::collection::vec(byte, 1..12).prop_map(|bytes| {
            let text = OsString::from_vec([b"/".as_slice(), &bytes].concat());
            Path::new(&text).components().collect()
        })
    }

    proptest! {
        #[test]
        fn any_paths_come_back(lower in proptest::collection::vec(path(), 1..5), upper in path()) {
            let chain = Chain { lower, upper };
            prop_assert_eq!(Chain::read(&chain.locator(NAME)).unwrap(), chain);
        }

        #[test]
        fn any_text_is_read_or_refused(text in proptest::collection::vec(any::<u8>(), 0..40)) {
            if let Ok(chain) = Chain::read(&Locator::new(NAME, OsString::from_vec(text))) {
                prop_assert_eq!(Chain::read(&chain.locator(NAME)).unwrap(), chain);
            }
        }
    }
}
