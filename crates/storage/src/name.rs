//! What things are called: drivers, volumes, their parts, transactions.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::encode;

/// A backing store's name, as written before the colon in `lxc.rootfs.path`: at most 15 bytes, without a colon.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DriverName {
    bytes: [u8; 15],
    length: u8,
}

impl DriverName {
    /// The name `text`. Panics, at compile time in a constant, when it is longer than 15 bytes.
    pub const fn new(text: &'static str) -> Self {
        match Self::from_bytes(text.as_bytes()) {
            Some(name) => name,
            None => panic!("a driver's name has 1 to 15 bytes and no colon"),
        }
    }

    /// The name `text`; `None` when no driver can be called that.
    pub fn parse(text: &str) -> Option<Self> {
        Self::from_bytes(text.as_bytes())
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..usize::from(self.length)]).unwrap_or_default()
    }

    const fn from_bytes(text: &[u8]) -> Option<Self> {
        let mut bytes = [0; 15];
        if text.is_empty() || text.len() > bytes.len() {
            return None;
        }
        let mut i = 0;
        while i < text.len() {
            if text[i] == b':' {
                return None;
            }
            bytes[i] = text[i];
            i += 1;
        }
        Some(Self { bytes, length: text.len() as u8 })
    }
}

impl fmt::Display for DriverName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for DriverName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DriverName({self})")
    }
}

/// Where a volume is, exactly as `lxc.rootfs.path` persists it: a driver's name, a colon, and what only that
/// driver reads.
///
/// A locator is the volume's identity; there is no other database. [`crate::Registry::locate`] makes one
/// from text.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Locator {
    driver: DriverName,
    at: OsString,
}

impl Locator {
    /// Names the volume that `driver` finds at `at`.
    pub fn new(driver: DriverName, at: impl Into<OsString>) -> Self {
        Self { driver, at: at.into() }
    }

    /// The driver that can read the rest.
    pub fn driver(&self) -> DriverName {
        self.driver
    }

    /// What follows the colon.
    pub fn at(&self) -> &OsStr {
        &self.at
    }

    /// What follows the colon, for drivers whose volumes are paths.
    pub fn path(&self) -> &Path {
        Path::new(&self.at)
    }

    /// The text that goes into `lxc.rootfs.path`.
    pub fn to_os_string(&self) -> OsString {
        let mut text = OsString::from(self.driver.as_str());
        text.push(":");
        text.push(&self.at);
        text
    }
}

/// For people; bytes that are not UTF-8 are shown as U+FFFD.
impl fmt::Display for Locator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.driver, Path::new(&self.at).display())
    }
}

/// One thing a driver can rename and reclaim by name: a directory, subvolume, dataset, logical volume, image file.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Resource {
    /// The driver that can rename and reclaim it.
    pub driver: DriverName,
    /// Its name: an absolute path, or a name in a pool.
    pub name: OsString,
}

impl Resource {
    /// Names a thing.
    pub fn new(driver: DriverName, name: impl Into<OsString>) -> Self {
        Self { driver, name: name.into() }
    }

    /// Its name, for drivers whose resources are paths.
    pub fn path(&self) -> &Path {
        Path::new(&self.name)
    }

    /// Whether the name itself proves that `tx` made or condemned it.
    pub fn carries(&self, tx: TxId) -> bool {
        let name = self.name.as_bytes();
        [Mark::New, Mark::Old].iter().any(|mark| {
            let stamp = mark.stamp(tx);
            name.windows(stamp.len()).any(|w| w == stamp.as_bytes())
        })
    }

    /// Its name without the mark of a transaction that it carries.
    pub fn unmarked(&self) -> PathBuf {
        let name = self.name.as_bytes();
        let found = (0..name.len()).rev().find(|at| Mark::read(&name[*at..]).is_some());
        let Some(at) = found else { return self.path().to_path_buf() };
        // The mark and the point after it; what follows is the name.
        let rest = name.get(at + MARK_LENGTH + 1..).unwrap_or_default();
        PathBuf::from(OsString::from_vec([&name[..at], rest].concat()))
    }

    /// The transaction that made or condemned it, as its name tells, and which of both; the innermost, if several.
    pub fn stamped(&self) -> Option<(Mark, TxId)> {
        let name = self.name.as_bytes();
        (0..name.len()).rev().find_map(|at| Mark::read(&name[at..]))
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Path::new(&self.name).display())
    }
}

/// A volume's name and everything it consists of, in creation order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layout {
    /// The volume.
    pub at: Locator,
    /// Its parts. Each is renamed and reclaimed on its own, so a crash may come between any two.
    pub parts: Vec<Resource>,
}

/// A transaction's id: random, so that a name that carries it can have been chosen by nobody else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct TxId(pub u64);

impl fmt::Display for TxId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl From<TxId> for String {
    fn from(id: TxId) -> Self {
        id.to_string()
    }
}

impl TryFrom<String> for TxId {
    type Error = std::num::ParseIntError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        u64::from_str_radix(&text, 16).map(Self)
    }
}

/// Why a name carries a transaction's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// The transaction is making it.
    New,
    /// The transaction has condemned it.
    Old,
}

/// How long `.new-` and an id are.
const MARK_LENGTH: usize = 21;

impl Mark {
    /// The part of a name that proves whose it is.
    pub fn stamp(self, tx: TxId) -> String {
        match self {
            Self::New => format!(".new-{tx}"),
            Self::Old => format!(".old-{tx}"),
        }
    }

    /// The mark that `text` begins with, as [`Mark::sibling`] spells it.
    fn read(text: &[u8]) -> Option<(Self, TxId)> {
        let (mark, rest) = match (text.strip_prefix(b".new-"), text.strip_prefix(b".old-")) {
            (Some(rest), _) => (Self::New, rest),
            (_, Some(rest)) => (Self::Old, rest),
            (None, None) => return None,
        };
        let digits = std::str::from_utf8(rest.get(..16)?).ok()?;
        let spelled = digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let id = u64::from_str_radix(digits, 16).ok().filter(|_| spelled)?;
        rest.get(16).is_none_or(|b| *b == b'.').then_some((mark, TxId(id)))
    }

    /// The sibling of `path` that carries the mark; hidden, as LXC passes over names that begin with a dot.
    pub fn sibling(self, path: &Path, tx: TxId) -> PathBuf {
        // NAME_MAX is 255 bytes; the stamp alone makes the name unique, the rest is for people.
        let leaf = path.file_name().unwrap_or_default().as_bytes();
        let mut name = OsString::from(self.stamp(tx));
        name.push(".");
        name.push(OsStr::from_bytes(&leaf[..leaf.len().min(200)]));
        path.with_file_name(name)
    }
}

/// A driver's name, a colon, and a name of any bytes, as the journal spells them.
fn spell(driver: DriverName, name: &OsStr) -> String {
    format!("{driver}:{}", encode::spell(name))
}

fn read(text: &str) -> Result<(DriverName, OsString), String> {
    text.split_once(':')
        .and_then(|(driver, name)| Some((DriverName::parse(driver)?, encode::read(name)?)))
        .ok_or_else(|| format!("{text:?} is not a driver, a colon and a name"))
}

impl From<Locator> for String {
    fn from(l: Locator) -> Self {
        spell(l.driver, &l.at)
    }
}

impl TryFrom<String> for Locator {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        read(&text).map(|(driver, at)| Self { driver, at })
    }
}

impl From<Resource> for String {
    fn from(r: Resource) -> Self {
        spell(r.driver, &r.name)
    }
}

impl TryFrom<String> for Resource {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        read(&text).map(|(driver, name)| Self { driver, name })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_stamped_name_proves_ownership() {
        let tx = TxId(0xabc);
        let made = Mark::New.sibling(Path::new("/lxc/c1/rootfs"), tx);
        assert_eq!(made, Path::new("/lxc/c1/.new-0000000000000abc.rootfs"));
        let driver = DriverName::new("sim");
        assert!(Resource::new(driver, made.clone()).carries(tx));
        assert!(Resource::new(driver, made.join("below")).carries(tx));
        assert!(!Resource::new(driver, made).carries(TxId(0xabd)));
        assert!(!Resource::new(driver, "/lxc/c1/rootfs").carries(tx));
        let unmarked = Resource::new(driver, "/lxc/.old-0000000000000abc.c1/rootfs").unmarked();
        assert_eq!(unmarked, Path::new("/lxc/c1/rootfs"));
        for (name, stamped) in [
            ("/lxc/.new-0000000000000abc.c1", Some((Mark::New, tx))),
            ("/lxc/.old-0000000000000abc.c1/rootfs", Some((Mark::Old, tx))),
            ("vg/.old-0000000000000abc", Some((Mark::Old, tx))),
            ("/lxc/.new-0000000000000ABC.c1", None),
            ("/lxc/.new-abc.c1", None),
            ("/lxc/c1", None),
        ] {
            assert_eq!(Resource::new(driver, name).stamped(), stamped, "{name}");
        }
    }

    #[test]
    fn a_marked_name_fits_in_name_max() {
        let long = PathBuf::from("/").join("x".repeat(255));
        let marked = Mark::Old.sibling(&long, TxId(1));
        assert!(marked.file_name().unwrap().len() <= 255);
    }
}
