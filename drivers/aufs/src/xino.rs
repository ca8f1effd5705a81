//! Where aufs keeps its table of inode numbers (xino), a file that it deletes as soon as it has it open.
//!
//! By itself aufs makes it in the root of the writable branch, if the file system there can hold one, which xfs, btrfs
//! and network file systems cannot, and else in `/tmp`, wherever that is. LXC always mounts with
//! `xino=/dev/shm/aufs.xino`. Here aufs has its way where it can, and gets a name of the volume's own in a tmpfs
//! elsewhere, so that no two mounts wait for or trip over each other.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use hull_mount::Access;
use hull_storage::{Error, ErrorKind, Result};
use hull_unionfs::layer::{Kind, kind_among};

/// File systems that keep the size and the blocks of a deleted file as aufs needs them.
const ABLE: [Kind; 3] = [(0xef53, "ext4"), (0x0102_1994, "tmpfs"), (0xf2f5_2010, "f2fs")];

/// Where else the table may lie, in order of preference: directories that are a tmpfs on most systems.
const ELSEWHERE: [&str; 3] = ["/dev/shm", "/run", "/tmp"];

/// The file to name to aufs for a mount of the volume whose changes are in `upper`; `None` leaves it to aufs.
pub(crate) fn place(upper: &Path, access: Access) -> Result<Option<PathBuf>> {
    // A branch that is only read gets no file.
    if access == Access::ReadWrite && kind_among(upper, &ABLE).is_some() {
        return Ok(None);
    }
    elsewhere(upper, &ELSEWHERE.map(Path::new)).map(Some)
}

fn elsewhere(upper: &Path, places: &[&Path]) -> Result<PathBuf> {
    let status = std::fs::metadata(upper)
        .map_err(|e| Error::new(ErrorKind::Os, format!("cannot look at {}", upper.display())).because(e))?;
    let name = format!(".hull-aufs-{:x}-{:x}.xino", status.dev(), status.ino());
    match places.iter().find(|dir| kind_among(dir, &ABLE).is_some()) {
        Some(dir) => Ok(dir.join(name)),
        None => Err(Error::new(
            ErrorKind::Unsupported,
            format!(
                "aufs finds no place for its inode numbers (xino): neither {} nor /dev/shm, /run or /tmp is on \
                 ext4, f2fs or tmpfs; mount a tmpfs on /dev/shm",
                upper.display()
            ),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_named_after_the_volume() {
        let dir = tempfile::tempdir().unwrap();
        let status = std::fs::metadata(dir.path()).unwrap();
        let name = format!(".hull-aufs-{:x}-{:x}.xino", status.dev(), status.ino());
        let found = place(dir.path(), Access::ReadOnly).unwrap().unwrap();
        assert_eq!(found.file_name().unwrap().to_str().unwrap(), name);
        assert!(ELSEWHERE.iter().any(|dir| found.parent() == Some(Path::new(dir))), "{found:?}");
    }

    #[test]
    fn without_a_place_the_remedy_is_named() {
        let e = elsewhere(Path::new("/"), &[Path::new("/proc"), Path::new("/gone")]).unwrap_err();
        assert_eq!(e.kind(), ErrorKind::Unsupported);
        assert!(e.to_string().contains("mount a tmpfs on /dev/shm"), "{e}");
    }
}
