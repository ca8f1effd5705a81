//! Paths in a stream: relative, and without anything that could lead out of the volume.

use std::fmt;

/// A path below a volume's root, of components that are plain names; empty for the root itself.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct StreamPath<'a>(&'a [u8]);

impl<'a> StreamPath<'a> {
    /// PATH_MAX less the NUL, and NAME_MAX.
    const LONGEST: usize = 4095;
    const LONGEST_NAME: usize = 255;

    /// The path `text`; `None` for one that is absolute, too long, or has a component that is no plain name.
    pub fn new(text: &'a [u8]) -> Option<Self> {
        let plain = |name: &[u8]| {
            !(name.is_empty() || name == b"." || name == b".." || name.contains(&0))
                && name.len() <= Self::LONGEST_NAME
        };
        let fine = text.len() <= Self::LONGEST && (text.is_empty() || text.split(|&b| b == b'/').all(plain));
        fine.then_some(Self(text))
    }

    /// Whether it is the root.
    pub fn is_root(self) -> bool {
        self.0.is_empty()
    }

    /// Its bytes.
    pub fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// The directory it is in, and its name there.
    pub(crate) fn split(self) -> (StreamPath<'a>, &'a [u8]) {
        match self.0.iter().rposition(|&b| b == b'/') {
            Some(slash) => (StreamPath(&self.0[..slash]), &self.0[slash + 1..]),
            None => (StreamPath(b""), self.0),
        }
    }
}

impl fmt::Debug for StreamPath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", String::from_utf8_lossy(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_leads_out() {
        for fine in [&b""[..], b"a", b"a/b", b"...", b"a/..b", b"\xff\n"] {
            assert!(StreamPath::new(fine).is_some(), "{fine:?}");
        }
        for wrong in [&b"/"[..], b"/a", b"..", b"a/..", b"../a", b"a/../b", b".", b"a//b", b"a/", b"a\0b"] {
            assert!(StreamPath::new(wrong).is_none(), "{wrong:?}");
        }
        assert!(StreamPath::new(&[b'a'; 256]).is_none());
        assert!(StreamPath::new(&b"a/".repeat(2048)[..4095]).is_some());
        assert!(StreamPath::new(&[&b"a/".repeat(2048)[..], b"b"].concat()).is_none());
        let path = StreamPath::new(b"a/b/c").unwrap();
        assert_eq!(path.split(), (StreamPath(b"a/b"), &b"c"[..]));
    }
}
