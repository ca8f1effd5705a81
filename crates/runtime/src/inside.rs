//! Names inside a container's root file system, resolved so that no symlink in it leads out.
//!
//! Every step goes through `openat2(2)` with `RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS` (Linux 5.6) on the
//! root's descriptor (CVE-2015-1335 and its many kin).

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use crate::error::{Named, Result};

/// A root file system, by the descriptor of its topmost directory.
#[derive(Debug)]
pub(crate) struct Inside(OwnedFd);

impl Inside {
    pub(crate) fn new(root: OwnedFd) -> Self {
        Self(root)
    }

    /// Opens `path` as a name only (`O_PATH`), following symlinks within the root.
    pub(crate) fn open(&self, path: &Path) -> Result<OwnedFd> {
        self.open_with(path, OFlags::PATH)
    }

    /// Opens `path` with `flags`, following symlinks within the root.
    pub(crate) fn open_with(&self, path: &Path, flags: OFlags) -> Result<OwnedFd> {
        self.resolve(path, flags).named(|| format!("openat2({} in the root file system)", path.display()))
    }

    /// Opens the directory `path`, making it and those above it as needed, with mode 0755.
    pub(crate) fn directory(&self, path: &Path) -> Result<OwnedFd> {
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        let mut done = PathBuf::new();
        let mut at = self.open_with(Path::new("."), flags)?;
        for part in path.components().filter(|c| matches!(c, Component::Normal(_) | Component::ParentDir)) {
            let above = done.clone();
            done.push(part);
            at = match self.resolve(&done, flags) {
                Err(Errno::NOENT) => {
                    let above = self.open_with(&above, flags)?;
                    match rustix::fs::mkdirat(&above, part.as_os_str(), Mode::from_raw_mode(0o755)) {
                        Ok(()) | Err(Errno::EXIST) => {}
                        Err(e) => {
                            Err(e).named(|| format!("mkdir({} in the root file system)", done.display()))?;
                        }
                    }
                    self.open_with(&done, flags)?
                }
                other => other.named(|| format!("openat2({} in the root file system)", done.display()))?,
            };
        }
        Ok(at)
    }

    /// Opens the top-level directory `name`, making it as needed. It must be a directory itself: a symlink in
    /// place of `/proc` or `/sys` would fool whoever trusts what is mounted there (CVE-2023-27561).
    pub(crate) fn plain_directory(&self, name: &str) -> Result<OwnedFd> {
        match rustix::fs::mkdirat(&self.0, name, Mode::from_raw_mode(0o755)) {
            Ok(()) | Err(Errno::EXIST | Errno::ROFS | Errno::ACCESS | Errno::PERM) => {}
            Err(e) => Err(e).named(|| format!("mkdir({name} in the root file system)"))?,
        }
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        rustix::fs::openat2(&self.0, name, flags, Mode::empty(), resolve)
            .named(|| format!("openat2({name} in the root file system, which must be a directory there)"))
    }

    /// Opens the file `path` as a name, making it (empty, mode 0644) and the directories above it as needed.
    pub(crate) fn file(&self, path: &Path) -> Result<OwnedFd> {
        if let Ok(there) = self.resolve(path, OFlags::PATH) {
            return Ok(there);
        }
        let above = self.directory(path.parent().unwrap_or(Path::new("")))?;
        let name = path.file_name().unwrap_or_default();
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::WRONLY | OFlags::CLOEXEC;
        match rustix::fs::openat(&above, name, flags, Mode::from_raw_mode(0o644)) {
            Ok(_) | Err(Errno::EXIST) => {}
            Err(e) => {
                Err(e).named(|| format!("open({} in the root file system, O_CREAT)", path.display()))?;
            }
        }
        self.open(path)
    }

    /// Replaces `path`, whose directory must exist, by a symlink to `target`, unless it already is one.
    pub(crate) fn symlink(&self, target: &str, path: &Path) -> Result<()> {
        let above =
            self.open_with(path.parent().unwrap_or(Path::new("")), OFlags::PATH | OFlags::DIRECTORY)?;
        let name = path.file_name().unwrap_or_default();
        if rustix::fs::readlinkat(&above, name, Vec::new()).is_ok_and(|t| t.as_bytes() == target.as_bytes()) {
            return Ok(());
        }
        match rustix::fs::symlinkat(target, &above, name) {
            Err(Errno::EXIST) => Ok(()),
            other => other.named(|| format!("symlink({target}, {} in the root file system)", path.display())),
        }
    }

    fn resolve(&self, path: &Path, flags: OFlags) -> rustix::io::Result<OwnedFd> {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        // EAGAIN: a rename somewhere above made the kernel unsure; it is meant to be tried again.
        for _ in 0..128 {
            match rustix::fs::openat2(&self.0, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve) {
                Err(Errno::AGAIN) => {}
                other => return other,
            }
        }
        Err(Errno::AGAIN)
    }
}

impl AsFd for Inside {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// `path` without the root's name on the host, as old configurations write mount targets.
pub(crate) fn strip_root<'a>(path: &'a Path, roots: &[&Path]) -> &'a Path {
    roots
        .iter()
        .filter(|r| r.as_os_str().as_bytes().len() > 1)
        .find_map(|root| path.strip_prefix(root).ok())
        .unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch() -> (tempfile::TempDir, Inside) {
        let dir = tempfile::tempdir().expect("a directory");
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        let fd = rustix::fs::open(dir.path(), flags, Mode::empty()).expect("it is there");
        (dir, Inside::new(fd))
    }

    #[test]
    fn symlinks_do_not_lead_out() {
        let (dir, inside) = scratch();
        std::fs::create_dir(dir.path().join("host")).expect("mkdir");
        std::os::unix::fs::symlink("/etc", dir.path().join("out")).expect("symlink");
        std::os::unix::fs::symlink("../../../../host", dir.path().join("up")).expect("symlink");
        assert!(inside.open(Path::new("out/passwd")).is_err(), "an absolute symlink starts at the root");
        inside.directory(Path::new("up/made")).expect("made inside");
        assert!(dir.path().join("host/made").is_dir());
        inside.directory(Path::new("out/made")).expect_err("a dangling symlink is not made");
        assert!(!Path::new("/etc/made").exists());
    }

    #[test]
    fn places_are_made_as_asked() {
        let (dir, inside) = scratch();
        inside.file(Path::new("/a/b/file")).expect("a file");
        inside.directory(Path::new("/a/c/../../../../d")).expect("a directory, and c on the way");
        assert!(
            dir.path().join("a/c").is_dir() && dir.path().join("d").is_dir(),
            "the root is its own parent"
        );
        inside.symlink("pts/ptmx", Path::new("a/ptmx")).expect("a link");
        inside.symlink("pts/ptmx", Path::new("a/ptmx")).expect("twice");
        assert!(dir.path().join("a/b/file").is_file());
    }

    #[test]
    fn old_targets_lose_the_root() {
        let roots = [Path::new("/srv/c1"), Path::new("/")];
        assert_eq!(strip_root(Path::new("/srv/c1/proc"), &roots), Path::new("proc"));
        assert_eq!(strip_root(Path::new("/proc"), &roots), Path::new("/proc"));
    }
}
