//! Making single entries, with errors that name them.

use std::ffi::OsStr;
use std::io::{Error, Result};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{
    AtFlags, Dir, FileType, Gid, Mode, OFlags, Timespec, Timestamps, Uid, XattrFlags, fsetxattr, makedev,
};
use rustix::io::Errno;

/// Makes entries; it has no state, only ways.
pub(crate) struct Maker;

impl Maker {
    /// When everything was made, unless something else is asked for.
    const TIME: i64 = 1_200_000_000;

    pub(crate) fn directory(&self, dir: &OwnedFd, name: impl AsRef<OsStr>) -> Result<OwnedFd> {
        let name = name.as_ref();
        rustix::fs::mkdirat(dir, name, Mode::from_raw_mode(0o755)).map_err(|e| failed("mkdirat", name, e))?;
        self.open(dir, name, OFlags::RDONLY | OFlags::DIRECTORY)
    }

    pub(crate) fn open(&self, dir: &OwnedFd, name: impl AsRef<OsStr>, flags: OFlags) -> Result<OwnedFd> {
        let name = name.as_ref();
        rustix::fs::openat(dir, name, flags | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
            .map_err(|e| failed("openat", name, e))
    }

    pub(crate) fn file(&self, dir: &OwnedFd, name: impl AsRef<OsStr>, content: &[u8]) -> Result<OwnedFd> {
        let name = name.as_ref();
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(dir, name, flags, Mode::from_raw_mode(0o644))
            .map_err(|e| failed("openat(O_CREAT)", name, e))?;
        self.write(&file, 0, content)?;
        self.times(&file, Self::TIME, 0)?;
        Ok(file)
    }

    /// Gives all directories below `dir` that were changed since `start` a time that does not depend on the
    /// clock. Not for deep trees: it holds a descriptor per level.
    pub(crate) fn settle(&self, dir: &OwnedFd, start: i64) -> Result<()> {
        for entry in Dir::read_from(dir)? {
            let entry = entry?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") || entry.file_type() != FileType::Directory {
                continue;
            }
            let inner =
                self.open(dir, OsStr::from_bytes(name.to_bytes()), OFlags::RDONLY | OFlags::DIRECTORY)?;
            self.settle(&inner, start)?;
            if rustix::fs::fstat(&inner)?.st_mtime >= start {
                self.times(&inner, Self::TIME, 1)?;
            }
        }
        Ok(())
    }

    pub(crate) fn write(&self, file: &OwnedFd, mut position: u64, mut content: &[u8]) -> Result<()> {
        while !content.is_empty() {
            let written = rustix::io::pwrite(file, content, position)?;
            content = &content[written..];
            position += written as u64;
        }
        Ok(())
    }

    pub(crate) fn link(&self, from: &OwnedFd, old: &str, dir: &OwnedFd, name: &str) -> Result<()> {
        rustix::fs::linkat(from, old, dir, name, AtFlags::empty()).map_err(|e| failed("linkat", name, e))
    }

    pub(crate) fn symlink(&self, dir: &OwnedFd, text: &str, name: &str) -> Result<()> {
        rustix::fs::symlinkat(text, dir, name).map_err(|e| failed("symlinkat", name, e))?;
        self.times_of(dir, name, Self::TIME, 0)
    }

    pub(crate) fn node(&self, dir: &OwnedFd, name: &str, kind: FileType, number: (u32, u32)) -> Result<()> {
        let device = makedev(number.0, number.1);
        rustix::fs::mknodat(dir, name, kind, Mode::from_raw_mode(0o640), device)
            .map_err(|e| failed("mknodat", name, e))?;
        self.times_of(dir, name, Self::TIME, 0)
    }

    pub(crate) fn owner(&self, dir: &OwnedFd, name: impl AsRef<OsStr>, uid: u32, gid: u32) -> Result<()> {
        let name = name.as_ref();
        let (uid, gid) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
        rustix::fs::chownat(dir, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|e| failed("fchownat", name, e))
    }

    pub(crate) fn mode(&self, dir: &OwnedFd, name: &str, mode: u32) -> Result<()> {
        rustix::fs::chmodat(dir, name, Mode::from_raw_mode(mode), AtFlags::empty())
            .map_err(|e| failed("fchmodat", name, e))
    }

    pub(crate) fn xattr(&self, file: impl AsFd, name: &str, value: &[u8]) -> Result<()> {
        fsetxattr(file, name, value, XattrFlags::empty()).map_err(|e| failed("fsetxattr", name, e))
    }

    pub(crate) fn times(&self, file: &OwnedFd, seconds: i64, nanoseconds: i64) -> Result<()> {
        rustix::fs::futimens(file, &stamps(seconds, nanoseconds)).map_err(Into::into)
    }

    pub(crate) fn times_of(
        &self,
        dir: &OwnedFd,
        name: impl AsRef<OsStr>,
        seconds: i64,
        nanoseconds: i64,
    ) -> Result<()> {
        let name = name.as_ref();
        rustix::fs::utimensat(dir, name, &stamps(seconds, nanoseconds), AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|e| failed("utimensat", name, e))
    }
}

/// Access a second before modification, so that a mix-up shows.
fn stamps(seconds: i64, nanoseconds: i64) -> Timestamps {
    Timestamps {
        last_access: Timespec { tv_sec: seconds - 1, tv_nsec: nanoseconds as _ },
        last_modification: Timespec { tv_sec: seconds, tv_nsec: nanoseconds as _ },
    }
}

fn failed(call: &str, name: impl AsRef<OsStr>, errno: Errno) -> Error {
    let name = String::from_utf8_lossy(name.as_ref().as_bytes()).into_owned();
    Error::new(Error::from(errno).kind(), format!("{call}({name:?}): {}", Error::from(errno)))
}
