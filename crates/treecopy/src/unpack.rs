//! Unpacking a tree: the records of [`crate::record`] become entries, below one directory and nowhere else.
//!
//! Whoever packed the tree may be hostile. A record names an entry of the directory at hand, never a path; each is
//! made exclusively, opened without following anything, and looked at before it gets content or attributes.

use std::ffi::{CStr, CString};
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{FileType, Gid, Mode, OFlags, Timespec, Timestamps, Uid, makedev};
use rustix::io::Errno;

use crate::attributes::{chown, set_times};
use crate::data::write_all;
use crate::dir::{
    Identity, Mounts, ProcDescriptors, file_type, open_dir, open_entry, push_name, reopen_dir, reopen_parent,
    status,
};
use crate::error::{Context, Error, ErrorKind, Result};
use crate::limits::Budget;
use crate::links::{Linked, Staging};
use crate::observe::{Observer, Progress, Tally};
use crate::pack::Packed;
use crate::record::{Link, Record, Records, damaged};
use crate::xattr::{Inode, remove_default_acl, set_kept};

/// Makes what [`pack_tree`](crate::pack_tree) wrote, read from `from`, in the empty directory `to`.
///
/// Reads to the end of the tree and not beyond. Nothing is synced to disk.
///
/// Requires what [`copy_tree`](crate::copy_tree) requires of a destination. Fails with [`ErrorKind::Corrupt`] for
/// what is no packed tree, or not all of one, and on the first entry that cannot be made as it was; then `to` holds
/// part of the tree, for the caller to remove.
pub fn unpack_tree(from: &mut dyn Read, to: BorrowedFd<'_>, observer: &dyn Observer) -> Result<Packed> {
    let root = reopen_dir(to)?;
    remove_default_acl(root.as_fd())?;
    let progress = Progress::new(observer);
    let identity = Identity::of(&status(&root).call("statx")?);
    let mut unpacker = Unpacker {
        proc: ProcDescriptors::open()?,
        staging: Staging::new(&root, &root)?,
        tally: Tally::new(&progress),
        window: Budget::new(1, 1).window,
        levels: vec![Level { open: Some(root), identity, path_length: 0, closing: false }],
        leaf: None,
        path: Vec::new(),
        root_last: None,
    };
    progress.report()?;
    let mut records = Records::new(from);
    let done = unpacker.unpack(&mut records).map_err(|e| e.at(&unpacker.path));
    // Also after a failure: what is left in `to` should be the tree's own.
    let removed = unpacker.staging.remove();
    done.and(removed)?;
    unpacker.finish_root()?;
    unpacker.tally.flush()?;
    Ok(Packed { entries: progress.entries(), bytes: progress.bytes() })
}

/// A directory on the way down.
struct Level {
    /// `None` when it fell out of the window.
    open: Option<OwnedFd>,
    identity: Identity,
    path_length: usize,
    /// Its owner is set: nothing is made in it any more.
    closing: bool,
}

/// An entry other than a directory, which is not closed yet.
struct Leaf {
    fd: OwnedFd,
    kind: FileType,
    /// A file's size is set: it gets no more data.
    sized: bool,
    /// Its owner is set.
    closing: bool,
}

impl Leaf {
    fn inode(&self) -> Inode<'_> {
        match self.kind {
            FileType::RegularFile => Inode::Open(self.fd.as_fd()),
            _ => Inode::PathOnly(self.fd.as_fd()),
        }
    }
}

/// Mode and times, set last.
struct Last {
    mode: u32,
    times: Timestamps,
}

struct Unpacker<'a> {
    proc: ProcDescriptors,
    staging: Staging,
    tally: Tally<'a>,
    window: usize,
    levels: Vec<Level>,
    leaf: Option<Leaf>,
    path: Vec<u8>,
    /// The root's, which everything made in it would change again.
    root_last: Option<Last>,
}

impl Unpacker<'_> {
    /// Unpacks all but the root's mode and times.
    fn unpack(&mut self, records: &mut Records<'_>) -> Result<()> {
        loop {
            let record = records.read()?;
            if let Record::Close { mode, accessed, modified } = record {
                let time =
                    |(tv_sec, nanoseconds): (i64, u32)| Timespec { tv_sec, tv_nsec: nanoseconds.into() };
                let times = Timestamps { last_access: time(accessed), last_modification: time(modified) };
                if self.close(Last { mode, times })? {
                    return Ok(());
                }
                continue;
            }
            self.take(&record)?;
        }
    }

    fn take(&mut self, record: &Record<'_>) -> Result<()> {
        match *record {
            Record::Directory { name } => self.make_directory(name),
            Record::File { name, link } => self.make(name, link, FileType::RegularFile, &|dir, name| {
                rustix::fs::openat(dir, name, Staging::CREATE, Mode::RUSR | Mode::WUSR).map(Some)
            }),
            Record::Symlink { name, link, target } => {
                let target = CString::new(target).map_err(|_| damaged("a symlink leads nowhere"))?;
                self.make(name, link, FileType::Symlink, &|dir, name| {
                    rustix::fs::symlinkat(&*target, dir, name).map(|()| None)
                })
            }
            Record::Node { name, link, node, major, minor } => {
                let (kind, device) = (node.file_type(), makedev(major, minor));
                self.make(name, link, kind, &|dir, name| {
                    rustix::fs::mknodat(dir, name, kind, Mode::RUSR | Mode::WUSR, device).map(|()| None)
                })
            }
            Record::Link { name, link } => self.make_link(name, link),
            Record::Data { offset, data } => match &self.leaf {
                Some(leaf) if leaf.kind == FileType::RegularFile && !leaf.sized && !leaf.closing => {
                    write_all(&leaf.fd, data, offset)?;
                    self.tally.add(0, data.len() as u64)
                }
                _ => Err(damaged("data comes where there is no file")),
            },
            Record::Size { size } => match &mut self.leaf {
                Some(leaf) if leaf.kind == FileType::RegularFile && !leaf.sized && !leaf.closing => {
                    leaf.sized = true;
                    rustix::fs::ftruncate(&leaf.fd, size).call("ftruncate")
                }
                _ => Err(damaged("a size comes where there is no file")),
            },
            Record::Owner { uid, gid } => {
                let closing = match &mut self.leaf {
                    Some(leaf) => &mut leaf.closing,
                    None => &mut self.level()?.closing,
                };
                if std::mem::replace(closing, true) {
                    return Err(damaged("an entry has two owners"));
                }
                let owner = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
                chown(self.current()?, owner.0, owner.1)
                    .map_err(|errno| Error::os(format!("fchown({uid}:{gid})"), errno))
            }
            Record::Xattr { name, value } => {
                let closing =
                    self.leaf.as_ref().map_or(self.levels.last().is_some_and(|l| l.closing), |l| l.closing);
                if !closing {
                    return Err(damaged("an attribute comes before its entry is complete"));
                }
                let name = CString::new(name).map_err(|_| damaged("an attribute has no name"))?;
                set_kept(self.current()?, &name, value)
            }
            Record::Close { .. } => Ok(()),
        }
    }

    /// The directory at hand.
    fn level(&mut self) -> Result<&mut Level> {
        self.levels.last_mut().ok_or_else(|| damaged("something comes after its end"))
    }

    /// The entry at hand.
    fn current(&self) -> Result<Inode<'_>> {
        match &self.leaf {
            Some(leaf) => Ok(leaf.inode()),
            None => self.directory().map(|dir| Inode::Open(dir.as_fd())),
        }
    }

    fn directory(&self) -> Result<&OwnedFd> {
        let open = self.levels.last().and_then(|level| level.open.as_ref());
        open.ok_or_else(|| damaged("something comes after its end"))
    }

    /// Begins an entry: there must be a directory to hold it.
    fn begin(&mut self, name: &[u8]) -> Result<CString> {
        if self.leaf.is_some() {
            return Err(damaged("an entry begins in what is no directory"));
        }
        let level = self.level()?;
        if level.closing {
            return Err(damaged("an entry comes after its directory is complete"));
        }
        let length = level.path_length;
        self.path.truncate(length);
        let name = CString::new(name).map_err(|_| damaged("a name holds a NUL"))?;
        push_name(&mut self.path, &name);
        self.tally.add(1, 0)?;
        Ok(name)
    }

    fn make_directory(&mut self, name: &[u8]) -> Result<()> {
        let name = self.begin(name)?;
        let dir = self.directory()?;
        // Nobody else may look in until the owner and the mode are set.
        rustix::fs::mkdirat(dir, &name, Mode::RWXU).call("mkdirat")?;
        let made = open_dir(dir, &name, Mounts::Refuse).call("openat2(O_DIRECTORY)")?;
        let identity = Identity::of(&status(&made).call("statx")?);
        let path_length = self.path.len();
        self.levels.push(Level { open: Some(made), identity, path_length, closing: false });
        if let Some(outside) = self.levels.len().checked_sub(self.window + 1) {
            self.levels[outside].open = None;
        }
        Ok(())
    }

    /// Makes an entry by `act`, which opens it if it is a file; one with several links in the staging directory first.
    fn make(&mut self, name: &[u8], link: Link, kind: FileType, act: &Act<'_>) -> Result<()> {
        let name = self.begin(name)?;
        let fd = if link.number == 0 {
            let dir = self.directory()?;
            opened(dir, &name, kind, act)?
        } else {
            let staged = staged(link);
            let fd = opened(self.staging.directory()?, &staged, kind, act)?;
            self.link(&staged, link, &name)?;
            fd
        };
        self.leaf = Some(Leaf { fd, kind, sized: false, closing: false });
        Ok(())
    }

    fn make_link(&mut self, name: &[u8], link: Link) -> Result<()> {
        let name = self.begin(name)?;
        self.link(&staged(link), link, &name)
    }

    fn link(&self, staged: &CStr, link: Link, name: &CStr) -> Result<()> {
        match self.staging.link(staged, link.links, self.directory()?, name)? {
            Linked::Done => Ok(()),
            Linked::Absent => Err(damaged("a link is to what has not come")),
            Linked::Occupied => Err(Error::os("linkat", Errno::EXIST)),
        }
    }

    /// Closes the entry at hand; true if that was the root, whose mode and times are for later.
    fn close(&mut self, last: Last) -> Result<bool> {
        if let Some(leaf) = self.leaf.take() {
            if !leaf.closing || (leaf.kind == FileType::RegularFile && !leaf.sized) {
                return Err(damaged("an entry ends before it is complete"));
            }
            self.finish(leaf.inode(), leaf.kind, &last)?;
            return Ok(false);
        }
        if !self.level()?.closing {
            return Err(damaged("a directory ends before it is complete"));
        }
        if self.levels.len() == 1 {
            self.root_last = Some(last);
            return Ok(true);
        }
        let Some(Level { open: Some(dir), path_length, .. }) = self.levels.pop() else { return Ok(false) };
        self.path.truncate(path_length);
        // Before the mode is set: without permission to search it, `..` could not be opened.
        if let Some(above) = self.levels.last_mut()
            && above.open.is_none()
        {
            above.open = Some(reopen_parent(&dir, above.identity, Mounts::Refuse)?);
        }
        self.finish(Inode::Open(dir.as_fd()), FileType::Directory, &last)?;
        Ok(false)
    }

    fn finish(&self, inode: Inode<'_>, kind: FileType, last: &Last) -> Result<()> {
        let mode = Mode::from_raw_mode(last.mode);
        match (kind, inode) {
            (FileType::Symlink, _) => {}
            (_, Inode::Open(fd)) => rustix::fs::fchmod(fd, mode).call("fchmod")?,
            (_, Inode::PathOnly(fd)) => self.proc.chmod(fd, mode).call("fchmodat")?,
        }
        set_times(inode, &last.times)
    }

    /// Sets the root's mode and times, once nothing is made or removed in it any more.
    fn finish_root(&mut self) -> Result<()> {
        let Some(last) = self.root_last.take() else { return Ok(()) };
        self.path.clear();
        let root = self.directory()?;
        self.finish(Inode::Open(root.as_fd()), FileType::Directory, &last).map_err(|e| e.at(b""))
    }
}

/// Makes an entry called so in a directory.
type Act<'a> = dyn Fn(&OwnedFd, &CStr) -> rustix::io::Result<Option<OwnedFd>> + 'a;

fn opened(dir: &OwnedFd, name: &CStr, kind: FileType, act: &Act<'_>) -> Result<OwnedFd> {
    let call = match kind {
        FileType::RegularFile => "openat(O_CREAT)",
        FileType::Symlink => "symlinkat",
        _ => "mknodat",
    };
    if let Some(file) = act(dir, name).call(call)? {
        return Ok(file);
    }
    let entry = open_entry(dir, name, OFlags::PATH, Mounts::Refuse).call("openat2(O_PATH)")?;
    if file_type(&status(&entry).call("statx")?) != kind {
        return Err(Error::found(
            ErrorKind::Changed,
            "somebody replaced it",
            "keep others out of the destination and try again",
        ));
    }
    Ok(entry)
}

/// What an inode with several links is called in the staging directory.
fn staged(link: Link) -> CString {
    CString::new(format!("{:x}", link.number)).unwrap_or_default()
}
