//! What the aufs mounts of this machine are made of, in whichever mount namespace they are: `/sys/fs/aufs`.
//!
//! `/proc/PID/mountinfo` names an aufs by a number only (`si=1f`); the directory `si_1f` in sysfs has one file a
//! branch, `br0` uppermost, that reads `PATH=rw`.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::table::unescape;

/// Where aufs shows its mounts.
pub(crate) const SYSFS: &str = "/sys/fs/aufs";

/// A directory that an aufs shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Branch {
    /// Its path, in the mount namespace of whoever mounted the aufs.
    pub path: PathBuf,
    /// Whether changes go there.
    pub writable: bool,
}

/// The branches of all aufs mounts there are. Looked up now; none where sysfs is not mounted.
pub fn everywhere() -> Vec<Branch> {
    let mounts = std::fs::read_dir(SYSFS).into_iter().flatten().flatten();
    mounts.flat_map(|mount| of(&mount.path())).collect()
}

/// The branches of the aufs that the directory `dir` in sysfs speaks of, uppermost first.
pub(crate) fn of(dir: &Path) -> Vec<Branch> {
    let texts = (0..).map_while(|n| std::fs::read(dir.join(format!("br{n}"))).ok());
    texts.filter_map(|text| read(text.trim_ascii_end())).collect()
}

/// Reads `PATH=PERMISSION`, the path escaped as in mountinfo.
fn read(text: &[u8]) -> Option<Branch> {
    let end = text.iter().rposition(|&b| b == b'=')?;
    let path = PathBuf::from(unescape(&text[..end]));
    Some(Branch { path, writable: text[end + 1..].starts_with(b"rw") })
}

/// The branch as an option of the mount would name it, with all that would end it there escaped.
pub(crate) fn spell(branch: &Branch) -> String {
    let mut text = String::new();
    for c in String::from_utf8_lossy(branch.path.as_os_str().as_bytes()).chars() {
        match c {
            ',' | ':' | '\\' => text.push_str(&format!("\\{:03o}", u32::from(c))),
            other => text.push(other),
        }
    }
    text + if branch.writable { "=rw" } else { "=ro" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sysfs_says_what_a_mount_is_made_of() {
        let dir = tempfile::tempdir().unwrap();
        let files = [("br0", "/c:1/delta\\0400=rw+nolwh\n"), ("br1", "/a,b=c=ro\n"), ("brid0", "64\n")];
        for (file, text) in files {
            std::fs::write(dir.path().join(file), text).unwrap();
        }
        let branches = of(dir.path());
        let branch = |path: &str, writable| Branch { path: path.into(), writable };
        assert_eq!(branches, [branch("/c:1/delta 0", true), branch("/a,b=c", false)]);
        assert_eq!(spell(&branches[0]), "/c\\0721/delta 0=rw");
        assert_eq!(read(b"nonsense"), None);
    }
}
