//! Carrying a stream's commands out on the subvolume being made of it, and nowhere else.
//!
//! Every path is opened from the subvolume's root with openat2(2), through no symlink, no mount and no `..`. What is
//! written to is looked at first: a stream may have made a device of that name.

use std::ffi::CString;
use std::os::fd::{AsRawFd, OwnedFd};

use hull_storage::{Error, ErrorKind, Result};
use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, ResolveFlags, Timespec, Timestamps, Uid, XattrFlags, makedev,
};
use rustix::io::Errno;

use super::path::StreamPath;
use super::stream::{Command, Time, Uuid, corrupt};

/// The subvolume being made.
#[derive(Debug)]
pub(super) struct Target {
    root: OwnedFd,
    /// The UUID by which the stream calls it.
    uuid: Uuid,
    /// The earlier volume, and the UUID by which the stream calls it.
    base: Option<(OwnedFd, Uuid)>,
    /// The file written to last: data comes in many pieces.
    writing: Option<(Vec<u8>, OwnedFd)>,
}

type Attempt<T> = rustix::io::Result<T>;

impl Target {
    pub(super) fn new(root: OwnedFd, uuid: Uuid, base: Option<(OwnedFd, Uuid)>) -> Self {
        Self { root, uuid, base, writing: None }
    }

    /// Carries one command out.
    pub(super) fn apply(&mut self, command: &Command<'_>) -> Result<()> {
        let failed = |what: &str, path: StreamPath<'_>, errno| {
            Error::os(format!("cannot {what} {path:?} as the btrfs stream asks"), errno)
        };
        match *command {
            Command::Write { path, offset, data } => {
                return self.write(path, offset, data).map_err(|e| failed("write", path, e));
            }
            Command::Clone { path, offset, length, source, source_path, source_offset } => {
                let from = self.clone_source(source, source_path)?;
                return self
                    .share(path, offset, length, &from, source_offset)
                    .map_err(|e| failed("clone a range of", path, e));
            }
            _ => {}
        }
        // Whatever comes may change what the name means.
        self.writing = None;
        match *command {
            Command::MakeFile { path } => self.make_file(path).map_err(|e| failed("make the file", path, e)),
            Command::MakeDirectory { path } => self
                .at(path, |dir, name| rustix::fs::mkdirat(dir, name, Mode::RWXU))
                .map_err(|e| failed("make the directory", path, e)),
            Command::MakeDevice { path, mode, major, minor } => {
                let kind = FileType::from_raw_mode(mode);
                if !matches!(kind, FileType::CharacterDevice | FileType::BlockDevice) {
                    return Err(corrupt("a device is of no type that devices have"));
                }
                self.make_node(path, kind, makedev(major, minor))
                    .map_err(|e| failed("make the device", path, e))
            }
            Command::MakeFifo { path } => {
                self.make_node(path, FileType::Fifo, 0).map_err(|e| failed("make the fifo", path, e))
            }
            Command::MakeSocket { path } => {
                self.make_node(path, FileType::Socket, 0).map_err(|e| failed("make the socket", path, e))
            }
            Command::Symlink { path, target } => {
                let target = c_string(target)?;
                self.at(path, |dir, name| rustix::fs::symlinkat(&*target, dir, name))
                    .map_err(|e| failed("make the symlink", path, e))
            }
            Command::Rename { path, to } => self
                .at(path, |from, name| {
                    self.at(to, |dir, new_name| rustix::fs::renameat(from, name, dir, new_name))
                })
                .map_err(|e| failed("rename", path, e)),
            Command::Link { path, existing } => self
                .at(existing, |from, name| {
                    self.at(path, |dir, new_name| {
                        rustix::fs::linkat(from, name, dir, new_name, AtFlags::empty())
                    })
                })
                .map_err(|e| failed("link", path, e)),
            Command::Unlink { path } => self
                .at(path, |dir, name| rustix::fs::unlinkat(dir, name, AtFlags::empty()))
                .map_err(|e| failed("remove", path, e)),
            Command::RemoveDirectory { path } => self
                .at(path, |dir, name| rustix::fs::unlinkat(dir, name, AtFlags::REMOVEDIR))
                .map_err(|e| failed("remove the directory", path, e)),
            Command::SetXattr { name, .. } | Command::RemoveXattr { name, .. } if is_mark(name) => Ok(()),
            Command::SetXattr { path, name, value } => {
                let name = c_string(name)?;
                self.by_path(path, |at| rustix::fs::setxattr(at, &*name, value, XattrFlags::empty()))
                    .map_err(|e| failed(&format!("set {name:?} of"), path, e))
            }
            Command::RemoveXattr { path, name } => {
                let name = c_string(name)?;
                match self.by_path(path, |at| rustix::fs::removexattr(at, &*name)) {
                    // Giving a file away has removed its capabilities before.
                    Ok(()) | Err(Errno::NODATA) => Ok(()),
                    Err(e) => Err(failed(&format!("remove {name:?} of"), path, e)),
                }
            }
            Command::Truncate { path, size } => self
                .open_file(path, OFlags::WRONLY)
                .and_then(|file| rustix::fs::ftruncate(file, size))
                .map_err(|e| failed("truncate", path, e)),
            Command::Chmod { path, mode } => {
                let mode = Mode::from_raw_mode(mode & 0o7777);
                self.by_path(path, |at| rustix::fs::chmod(at, mode)).map_err(|e| failed("chmod", path, e))
            }
            Command::Chown { path, uid, gid } => {
                let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
                self.open(path)
                    .and_then(|at| rustix::fs::chownat(&at, c"", Some(uid), Some(gid), AtFlags::EMPTY_PATH))
                    .map_err(|e| failed("chown", path, e))
            }
            Command::SetTimes { path, accessed, modified } => {
                let times = Timestamps { last_access: time(accessed), last_modification: time(modified) };
                self.open(path)
                    .and_then(|at| rustix::fs::utimensat(&at, c"", &times, AtFlags::EMPTY_PATH))
                    .map_err(|e| failed("set the times of", path, e))
            }
            Command::NoData { .. } => Err(Error::new(
                ErrorKind::InvalidInput,
                "the btrfs stream was made without the content of files: ask the sender for all of it",
            )),
            Command::Subvolume { .. } | Command::Snapshot { .. } => {
                Err(corrupt("a second volume begins in it"))
            }
            Command::Write { .. } | Command::Clone { .. } | Command::End => Ok(()),
        }
    }

    fn make_file(&self, path: StreamPath<'_>) -> Attempt<()> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        self.at(path, |dir, name| rustix::fs::openat(dir, name, flags, Mode::RUSR | Mode::WUSR).map(drop))
    }

    fn make_node(&self, path: StreamPath<'_>, kind: FileType, device: u64) -> Attempt<()> {
        self.at(path, |dir, name| rustix::fs::mknodat(dir, name, kind, Mode::RUSR | Mode::WUSR, device))
    }

    fn write(&mut self, path: StreamPath<'_>, mut offset: u64, mut data: &[u8]) -> Attempt<()> {
        let file = self.writable(path)?;
        while !data.is_empty() {
            let written = rustix::io::retry_on_intr(|| rustix::io::pwrite(file, data, offset))?;
            if written == 0 {
                return Err(Errno::IO);
            }
            data = &data[written..];
            offset += written as u64;
        }
        Ok(())
    }

    /// The file at `path`, which stays open for what is written to it next.
    fn writable(&mut self, path: StreamPath<'_>) -> Attempt<&OwnedFd> {
        if self.writing.as_ref().is_none_or(|(open, _)| open != path.as_bytes()) {
            self.writing = Some((path.as_bytes().to_vec(), self.open_file(path, OFlags::WRONLY)?));
        }
        self.writing.as_ref().map(|(_, file)| file).ok_or(Errno::BADF)
    }

    /// What a range is shared from.
    fn clone_source(&self, source: Uuid, path: StreamPath<'_>) -> Result<OwnedFd> {
        let root = match &self.base {
            _ if source == self.uuid => &self.root,
            Some((base, uuid)) if source == *uuid => base,
            _ => return Err(corrupt("it shares blocks with a volume that it has not named")),
        };
        open_below(root, path).and_then(|entry| reopen_file(&entry, OFlags::RDONLY)).map_err(|e| {
            Error::os(format!("cannot open {path:?}, which the btrfs stream shares blocks of"), e)
        })
    }

    fn share(
        &mut self,
        path: StreamPath<'_>,
        mut offset: u64,
        mut length: u64,
        from: &OwnedFd,
        mut from_offset: u64,
    ) -> Attempt<()> {
        let file = self.writable(path)?;
        while length > 0 {
            // On one btrfs this shares, and copies what cannot be shared.
            let step = usize::try_from(length.min(1 << 30)).unwrap_or(usize::MAX);
            let done = rustix::io::retry_on_intr(|| {
                rustix::fs::copy_file_range(from, Some(&mut from_offset), file, Some(&mut offset), step)
            })?;
            if done == 0 {
                // The source is shorter than the stream says.
                return Err(Errno::INVAL);
            }
            length = length.saturating_sub(done as u64);
        }
        Ok(())
    }

    /// Does something to the entry `path` by its directory and name.
    fn at<T>(&self, path: StreamPath<'_>, act: impl FnOnce(&OwnedFd, &[u8]) -> Attempt<T>) -> Attempt<T> {
        let (parent, name) = path.split();
        act(&open_below(&self.root, parent)?, name)
    }

    /// Does something to the entry `path` by a path that leads to that very inode, be it a symlink.
    fn by_path<T>(&self, path: StreamPath<'_>, act: impl FnOnce(&str) -> Attempt<T>) -> Attempt<T> {
        let entry = self.open(path)?;
        act(&format!("/proc/thread-self/fd/{}", entry.as_raw_fd()))
    }

    fn open(&self, path: StreamPath<'_>) -> Attempt<OwnedFd> {
        open_below(&self.root, path)
    }

    fn open_file(&self, path: StreamPath<'_>, flags: OFlags) -> Attempt<OwnedFd> {
        reopen_file(&self.open(path)?, flags)
    }

    /// The subvolume's root, everything having been applied.
    pub(super) fn into_root(self) -> OwnedFd {
        self.root
    }
}

/// Opens an entry without opening what it stands for: no device wakes up and no fifo waits.
fn open_below(root: &OwnedFd, path: StreamPath<'_>) -> Attempt<OwnedFd> {
    let path = if path.is_root() { &b"."[..] } else { path.as_bytes() };
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH
        | ResolveFlags::NO_MAGICLINKS
        | ResolveFlags::NO_XDEV
        | ResolveFlags::NO_SYMLINKS;
    // A symlink as the last component is opened itself, not followed: O_PATH and O_NOFOLLOW together.
    rustix::io::retry_on_intr(|| rustix::fs::openat2(root, path, flags, Mode::empty(), resolve))
}

/// Opens a regular file that is open as an entry.
fn reopen_file(entry: &OwnedFd, flags: OFlags) -> Attempt<OwnedFd> {
    if !FileType::from_raw_mode(rustix::fs::fstat(entry)?.st_mode).is_file() {
        return Err(Errno::INVAL);
    }
    let path = format!("/proc/thread-self/fd/{}", entry.as_raw_fd());
    rustix::io::retry_on_intr(|| rustix::fs::open(&*path, flags | OFlags::CLOEXEC, Mode::empty()))
}

/// Hull's own marks say whose a volume is; one made of a stream gets its own.
fn is_mark(name: &[u8]) -> bool {
    name.starts_with(b"user.hull.") || name.starts_with(b"trusted.hull.")
}

fn c_string(text: &[u8]) -> Result<CString> {
    CString::new(text).map_err(|_| corrupt("a name holds a NUL"))
}

fn time((seconds, nanoseconds): Time) -> Timespec {
    Timespec { tv_sec: seconds, tv_nsec: nanoseconds.into() }
}
