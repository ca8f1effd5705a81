//! Packing a tree: everything that a copy keeps, as a sequence of records ([`crate::record`]).
//!
//! The walk is that of a copy by one thread: depth first, on a stack of levels of which few are open.

use std::collections::HashMap;
use std::ffi::CStr;
use std::io::Write;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{FileType, OFlags, Statx};
use rustix::io::Errno;

use crate::data::next_extent;
use crate::dir::{
    Entries, Identity, Mounts, ProcDescriptors, SCRATCH, file_type, open_dir, open_entry, push_name,
    reopen_dir, reopen_parent, seek, status,
};
use crate::error::{Context, Error, ErrorKind, Result};
use crate::limits::Budget;
use crate::observe::{Observer, Progress, Tally};
use crate::record::{LARGEST_DATA, Link, Node, Record};
use crate::xattr::{Inode, XattrBuffers};

/// What was packed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Packed {
    /// Entries, not counting the root.
    pub entries: u64,
    /// The bytes of regular files that are not holes.
    pub bytes: u64,
}

/// Writes the content and the attributes of the directory `from` to `to`, for [`unpack_tree`](crate::unpack_tree).
///
/// Keeps what [`copy_tree`](crate::copy_tree) keeps, and looks at a tree that changes meanwhile as that does. What is
/// mounted inside is left out; an empty directory or file stays in its place. Takes memory for inodes with several
/// links of which not all were met yet.
///
/// Requires that the caller may read everything, Linux 5.8 and a mounted /proc. Fails on the first entry that cannot
/// be read, and when `to` cannot be written to.
pub fn pack_tree(from: BorrowedFd<'_>, to: &mut dyn Write, observer: &dyn Observer) -> Result<Packed> {
    let root = reopen_dir(from)?;
    let progress = Progress::new(observer);
    let mut packer = Packer {
        to,
        proc: ProcDescriptors::open()?,
        tally: Tally::new(&progress),
        xattrs: XattrBuffers::new(),
        scratch: vec![MaybeUninit::uninit(); SCRATCH],
        buffer: vec![0; LARGEST_DATA],
        window: Budget::new(1, 1).window,
        levels: Vec::new(),
        path: Vec::new(),
        links: HashMap::new(),
        next_link: 1,
    };
    progress.report()?;
    packer.pack(root).map_err(|e| e.at(&packer.path))?;
    packer.tally.flush()?;
    Ok(Packed { entries: progress.entries(), bytes: progress.bytes() })
}

/// A directory on the way down.
struct Level {
    /// `None` when it fell out of the window.
    open: Option<OwnedFd>,
    /// What was read and not dealt with yet; empty when not open.
    entries: Entries,
    /// Where the entries not dealt with begin.
    position: u64,
    status: Statx,
    path_length: usize,
}

struct Packer<'a> {
    to: &'a mut dyn Write,
    proc: ProcDescriptors,
    tally: Tally<'a>,
    xattrs: XattrBuffers,
    scratch: Vec<MaybeUninit<u8>>,
    buffer: Vec<u8>,
    window: usize,
    levels: Vec<Level>,
    path: Vec<u8>,
    /// Inodes with several links: their number in the stream, and how many links are yet to be met.
    links: HashMap<(u32, u32, u64), (u64, u32)>,
    next_link: u64,
}

impl Packer<'_> {
    fn pack(&mut self, root: OwnedFd) -> Result<()> {
        let status = status(&root).call("statx")?;
        self.push(root, status);
        while let Some(level) = self.levels.last_mut() {
            self.path.truncate(level.path_length);
            let dir = level.open.as_ref().expect("the lowest level is open: only those above are closed");
            if let Some((name, kind, position)) = level.entries.take() {
                level.position = position;
                let name = name.to_owned();
                push_name(&mut self.path, &name);
                let dir = dir.try_clone().map_err(|e| Error::os("dup", errno(&e)))?;
                self.entry(&dir, &name, kind)?;
            } else if !level.entries.refill(dir, &mut self.scratch).call("getdents64")? {
                self.ascend()?;
            }
        }
        Ok(())
    }

    fn push(&mut self, dir: OwnedFd, status: Statx) {
        let path_length = self.path.len();
        self.levels.push(Level {
            open: Some(dir),
            entries: Entries::default(),
            position: 0,
            status,
            path_length,
        });
        if let Some(outside) = self.levels.len().checked_sub(self.window + 1) {
            let level = &mut self.levels[outside];
            level.open = None;
            level.entries = Entries::default();
        }
    }

    /// Leaves the lowest level.
    fn ascend(&mut self) -> Result<()> {
        let Some(Level { open: Some(dir), status, .. }) = self.levels.pop() else { return Ok(()) };
        if let Some(above) = self.levels.last_mut()
            && above.open.is_none()
        {
            let parent = reopen_parent(&dir, Identity::of(&above.status), Mounts::Refuse)?;
            seek(&parent, above.position).call("lseek")?;
            above.open = Some(parent);
        }
        self.attributes(Inode::Open(dir.as_fd()), &status)
    }

    fn entry(&mut self, dir: &OwnedFd, name: &CStr, kind: FileType) -> Result<()> {
        if kind == FileType::Directory {
            match open_dir(dir, name, Mounts::Refuse) {
                Ok(child) => return self.descend(child, name),
                // Mounted upon, or something else by now.
                Err(Errno::XDEV | Errno::NOTDIR | Errno::LOOP) => {}
                Err(Errno::NOENT | Errno::STALE) => return Ok(()),
                Err(errno) => return Err(Error::os("openat2(O_DIRECTORY)", errno)),
            }
        }
        let source = match open_entry(dir, name, OFlags::PATH, Mounts::Refuse) {
            Ok(source) => source,
            Err(Errno::XDEV) => return self.mount_point(dir, name),
            Err(Errno::NOENT | Errno::STALE) => return Ok(()),
            Err(errno) => return Err(Error::os("openat2(O_PATH)", errno)),
        };
        let status = status(&source).call("statx")?;
        match file_type(&status) {
            FileType::Directory => {
                let child = open_dir(&source, c".", Mounts::Cross).call("openat2(O_DIRECTORY)")?;
                self.descend(child, name)
            }
            kind => self.leaf(&source, &status, kind, name),
        }
    }

    fn descend(&mut self, child: OwnedFd, name: &CStr) -> Result<()> {
        let status = status(&child).call("statx")?;
        self.write(&Record::Directory { name: name.to_bytes() })?;
        self.tally.add(1, 0)?;
        self.push(child, status);
        Ok(())
    }

    /// What is mounted there is not the tree's; a place to mount on is.
    fn mount_point(&mut self, dir: &OwnedFd, name: &CStr) -> Result<()> {
        let status = match open_entry(dir, name, OFlags::PATH, Mounts::Cross) {
            Ok(mounted) => status(&mounted).call("statx")?,
            Err(Errno::NOENT | Errno::STALE) => return Ok(()),
            Err(errno) => return Err(Error::os("openat2(O_PATH)", errno)),
        };
        if file_type(&status) == FileType::Directory {
            self.write(&Record::Directory { name: name.to_bytes() })?;
        } else {
            self.write(&Record::File { name: name.to_bytes(), link: Link::NONE })?;
            self.write(&Record::Size { size: 0 })?;
        }
        self.tally.add(1, 0)?;
        self.owner_and_rest(&status)
    }

    fn leaf(&mut self, source: &OwnedFd, status: &Statx, kind: FileType, name: &CStr) -> Result<()> {
        let name = name.to_bytes();
        let (link, first) = self.link_of(status);
        self.tally.add(1, 0)?;
        if !first {
            return self.write(&Record::Link { name, link });
        }
        match kind {
            FileType::RegularFile => {
                let flags = OFlags::RDONLY | OFlags::NOCTTY;
                let file = match self.proc.reopen(source, flags | OFlags::NOATIME) {
                    Err(Errno::PERM) => self.proc.reopen(source, flags),
                    result => result,
                }
                .call("open(O_RDONLY)")?;
                self.write(&Record::File { name, link })?;
                self.content(&file, status.stx_size)?;
                return self.attributes(Inode::Open(file.as_fd()), status);
            }
            FileType::Symlink => {
                let text = rustix::fs::readlinkat(source, c"", Vec::new()).call("readlinkat")?;
                self.write(&Record::Symlink { name, link, target: text.to_bytes() })?;
            }
            FileType::Fifo | FileType::Socket | FileType::CharacterDevice | FileType::BlockDevice => {
                let node = Node::of(kind).unwrap_or(Node::Fifo);
                let (major, minor) = (status.stx_rdev_major, status.stx_rdev_minor);
                self.write(&Record::Node { name, link, node, major, minor })?;
            }
            _ => {
                return Err(Error::found(
                    ErrorKind::Unsupported,
                    "an entry of unknown type",
                    "remove it first",
                ));
            }
        }
        self.attributes(Inode::PathOnly(source.as_fd()), status)
    }

    /// By which number the stream knows the inode, if it has several links, and whether this is its first.
    fn link_of(&mut self, status: &Statx) -> (Link, bool) {
        if status.stx_nlink <= 1 {
            return (Link::NONE, true);
        }
        let key = (status.stx_dev_major, status.stx_dev_minor, status.stx_ino);
        if let Some((number, left)) = self.links.get_mut(&key) {
            let link = Link { number: *number, links: status.stx_nlink };
            *left -= 1;
            if *left == 0 {
                self.links.remove(&key);
            }
            return (link, false);
        }
        let number = self.next_link;
        self.next_link += 1;
        self.links.insert(key, (number, status.stx_nlink - 1));
        (Link { number, links: status.stx_nlink }, true)
    }

    fn content(&mut self, file: &OwnedFd, size: u64) -> Result<()> {
        let mut position = 0;
        while let Some((start, end)) = next_extent(file.as_fd(), position, size)? {
            position = start;
            while position < end {
                let most = usize::try_from(end - position).unwrap_or(usize::MAX).min(self.buffer.len());
                let read =
                    rustix::io::retry_on_intr(|| rustix::io::pread(file, &mut self.buffer[..most], position))
                        .call("pread")?;
                if read == 0 {
                    break;
                }
                // Borrowed apart from the rest of `self`.
                Record::Data { offset: position, data: &self.buffer[..read] }.write(self.to)?;
                self.tally.add(0, read as u64)?;
                position += read as u64;
            }
            position = end;
        }
        // A file that shrank meanwhile ends where it ended; what was appended is left out.
        let now = status(file).call("statx")?.stx_size;
        self.write(&Record::Size { size: size.min(now) })
    }

    fn attributes(&mut self, source: Inode<'_>, status: &Statx) -> Result<()> {
        self.write(&Record::Owner { uid: status.stx_uid, gid: status.stx_gid })?;
        let to = &mut *self.to;
        self.xattrs
            .each(source, &mut |name, value| Record::Xattr { name: name.to_bytes(), value }.write(to))?;
        self.close(status)
    }

    fn owner_and_rest(&mut self, status: &Statx) -> Result<()> {
        self.write(&Record::Owner { uid: status.stx_uid, gid: status.stx_gid })?;
        self.close(status)
    }

    fn close(&mut self, status: &Statx) -> Result<()> {
        let time = |stamp: rustix::fs::StatxTimestamp| (stamp.tv_sec, stamp.tv_nsec);
        self.write(&Record::Close {
            mode: u32::from(status.stx_mode) & 0o7777,
            accessed: time(status.stx_atime),
            modified: time(status.stx_mtime),
        })
    }

    fn write(&mut self, record: &Record<'_>) -> Result<()> {
        record.write(self.to)
    }
}

fn errno(e: &std::io::Error) -> Errno {
    Errno::from_io_error(e).unwrap_or(Errno::IO)
}
