//! Opening entries and reading directories, never following a symlink.

use std::ffi::{CStr, CString};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, PROC_SUPER_MAGIC, RawDir, ResolveFlags, SeekFrom, Statx, StatxFlags,
};
use rustix::io::{Errno, Result};

use crate::error::{self, Context, Error, ErrorKind};

/// Whether opening an entry may step onto something mounted there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mounts {
    Cross,
    /// Fail with `EXDEV`.
    Refuse,
}

/// Opens the entry `name` of `dir` itself, not what it may link to (openat2(2), Linux 5.6).
pub(crate) fn open_entry(dir: impl AsFd, name: &CStr, flags: OFlags, mounts: Mounts) -> Result<OwnedFd> {
    let mut resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    if mounts == Mounts::Refuse {
        resolve |= ResolveFlags::NO_XDEV;
    }
    let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::io::retry_on_intr(|| rustix::fs::openat2(dir.as_fd(), name, flags, Mode::empty(), resolve))
}

/// Opens the directory `name` of `dir` for reading, without touching its access time where allowed.
///
/// Fails with `ENOTDIR` or `ELOOP` for anything else, before it is opened.
pub(crate) fn open_dir(dir: impl AsFd, name: &CStr, mounts: Mounts) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY;
    match open_entry(dir.as_fd(), name, flags | OFlags::NOATIME, mounts) {
        // Only the owner may ask for O_NOATIME.
        Err(Errno::PERM) => open_entry(dir, name, flags, mounts),
        result => result,
    }
}

/// Opens `dir` anew for reading, so that it has a file position of its own and is not `O_PATH`.
pub(crate) fn reopen_dir(dir: impl AsFd) -> error::Result<OwnedFd> {
    open_dir(dir, c".", Mounts::Cross).call("openat2(\".\")")
}

/// Opens the parent of `dir`, which must be the directory `expected`.
///
/// Somebody may have moved `dir` meanwhile; then its parent is another directory and this fails. This check is all
/// that keeps a walk from climbing up to `/`; a walk that stays in one mount has the kernel refuse to leave it as well.
pub(crate) fn reopen_parent(dir: impl AsFd, expected: Identity, mounts: Mounts) -> error::Result<OwnedFd> {
    let mut resolve = ResolveFlags::NO_SYMLINKS;
    if mounts == Mounts::Refuse {
        resolve |= ResolveFlags::NO_XDEV;
    }
    let open = |flags| {
        rustix::io::retry_on_intr(|| rustix::fs::openat2(dir.as_fd(), c"..", flags, Mode::empty(), resolve))
    };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let parent = match open(flags | OFlags::NOATIME) {
        Err(Errno::PERM) => open(flags),
        result => result,
    }
    .call("openat2(\"..\")")?;
    if Identity::of(&status(&parent).call("statx")?) == expected {
        Ok(parent)
    } else {
        Err(Error::found(
            ErrorKind::Changed,
            "the directory was moved meanwhile",
            "stop what changes the tree and try again",
        ))
    }
}

/// Reads the attributes of what `fd` is open on; works on `O_PATH` descriptors.
pub(crate) fn status(fd: impl AsFd) -> Result<Statx> {
    rustix::fs::statx(
        fd,
        c"",
        AtFlags::EMPTY_PATH,
        StatxFlags::BASIC_STATS | StatxFlags::BTIME | StatxFlags::MNT_ID,
    )
}

/// Reads the attributes of the entry `name` of `dir` itself, or of what is mounted there.
pub(crate) fn statx_entry(dir: impl AsFd, name: &CStr) -> Result<Statx> {
    rustix::fs::statx(
        dir,
        name,
        AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT,
        StatxFlags::BASIC_STATS | StatxFlags::BTIME | StatxFlags::MNT_ID,
    )
}

pub(crate) fn file_type(status: &Statx) -> FileType {
    FileType::from_raw_mode(status.stx_mode.into())
}

/// Which inode, and through which mount it is seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity {
    device: (u32, u32),
    inode: u64,
    mount: u64,
}

impl Identity {
    pub(crate) fn of(status: &Statx) -> Self {
        Self {
            device: (status.stx_dev_major, status.stx_dev_minor),
            inode: status.stx_ino,
            // Kernels before 5.8 do not tell; then it is 0 on both sides.
            mount: status.stx_mnt_id,
        }
    }

    /// Its number in its file system.
    pub(crate) fn inode(self) -> u64 {
        self.inode
    }

    /// Whether both are the same inode, however they are mounted.
    pub(crate) fn same_inode(self, other: Self) -> bool {
        self.device == other.device && self.inode == other.inode
    }
}

/// The names of open descriptors under /proc, for the calls that take no `O_PATH` descriptor.
pub(crate) struct ProcDescriptors(OwnedFd);

impl ProcDescriptors {
    /// Opens the calling thread's table; the thread must outlive the value, and share its table with those
    /// that use it.
    pub(crate) fn open() -> error::Result<Self> {
        let fd = rustix::fs::open(
            "/proc/thread-self/fd",
            OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        )
        .call("open(\"/proc/thread-self/fd\")")?;
        if rustix::fs::fstatfs(&fd).call("fstatfs(\"/proc\")")?.f_type != PROC_SUPER_MAGIC {
            return Err(Error::found(
                ErrorKind::Unsupported,
                "/proc is not a proc file system",
                "mount one there",
            ));
        }
        Ok(Self(fd))
    }

    /// Opens the inode of `fd` once more, with other flags.
    pub(crate) fn reopen(&self, fd: impl AsFd, flags: OFlags) -> Result<OwnedFd> {
        let name = fd.as_fd().as_raw_fd().to_string();
        rustix::io::retry_on_intr(|| {
            rustix::fs::openat(&self.0, name.as_str(), flags | OFlags::CLOEXEC, Mode::empty())
        })
    }

    /// Changes the mode of the inode of `fd`.
    pub(crate) fn chmod(&self, fd: impl AsFd, mode: Mode) -> Result<()> {
        rustix::fs::chmodat(&self.0, fd.as_fd().as_raw_fd().to_string(), mode, AtFlags::empty())
    }

    /// A path that leads to the inode of `fd`, also to a symlink itself, for the calling thread.
    pub(crate) fn path(fd: BorrowedFd<'_>) -> String {
        format!("/proc/thread-self/fd/{}", fd.as_raw_fd())
    }
}

/// A buffer that the kernel writes directory entries into.
pub(crate) type Scratch = [MaybeUninit<u8>];

/// How large a [`Scratch`] is: glibc's size, about a thousand entries.
pub(crate) const SCRATCH: usize = 32 * 1024;

/// Part of a directory: the entries of one call of getdents64(2), without `.` and `..`.
#[derive(Debug, Default)]
pub(crate) struct Entries {
    names: Vec<u8>,
    list: Vec<Entry>,
    next: usize,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    name: usize,
    kind: FileType,
    position: u64,
}

impl Entries {
    /// Reads the next part of `dir`; false at its end. What was left of the last part is dropped.
    pub(crate) fn refill(&mut self, dir: impl AsFd, scratch: &mut Scratch) -> Result<bool> {
        self.names.clear();
        self.list.clear();
        self.next = 0;
        let mut raw = RawDir::new(dir.as_fd(), scratch);
        loop {
            match raw.next() {
                // A directory that was removed while open reads as ENOENT: it has nothing left.
                None | Some(Err(Errno::NOENT)) => return Ok(false),
                Some(Err(Errno::INTR)) => continue,
                Some(Err(errno)) => return Err(errno),
                Some(Ok(entry)) => self.push(entry.file_name(), entry.file_type(), entry.next_entry_cookie()),
            }
            // A part may hold nothing but the dots.
            if raw.is_buffer_empty() && !self.list.is_empty() {
                return Ok(true);
            }
        }
    }

    /// Takes the next entry: its name, its type if the file system tells, the position after it.
    pub(crate) fn take(&mut self) -> Option<(&CStr, FileType, u64)> {
        let entry = *self.list.get(self.next)?;
        self.next += 1;
        Some((self.name(entry), entry.kind, entry.position))
    }

    /// How many entries are left.
    pub(crate) fn len(&self) -> usize {
        self.list.len() - self.next
    }

    /// Splits off up to half of the entries that come next, as long as none of them can be a directory;
    /// `None` if there are too few to be worth it. Also tells the position after them.
    pub(crate) fn split_run(&mut self) -> Option<(Self, u64)> {
        const LEAST: usize = 32;
        let run = self.list[self.next..]
            .iter()
            .take_while(|e| !matches!(e.kind, FileType::Directory | FileType::Unknown))
            .count();
        if run < LEAST {
            return None;
        }
        let mut part = Self::default();
        for entry in &self.list[self.next..self.next + run / 2] {
            part.push(self.name(*entry), entry.kind, entry.position);
        }
        self.next += run / 2;
        let position = part.list.last()?.position;
        Some((part, position))
    }

    fn push(&mut self, name: &CStr, kind: FileType, position: u64) {
        if name == c"." || name == c".." {
            return;
        }
        self.list.push(Entry { name: self.names.len(), kind, position });
        self.names.extend_from_slice(name.to_bytes_with_nul());
    }

    fn name(&self, entry: Entry) -> &CStr {
        CStr::from_bytes_until_nul(&self.names[entry.name..]).unwrap_or_default()
    }
}

/// Moves the file position of an open directory to where an [`Entries`] said it was.
pub(crate) fn seek(dir: impl AsFd, position: u64) -> Result<()> {
    rustix::fs::seek(dir, SeekFrom::Start(position)).map(drop)
}

/// Whether a directory has no entries.
pub(crate) fn is_empty(dir: impl AsFd) -> Result<bool> {
    let mut scratch = Vec::with_capacity(SCRATCH);
    let empty = !Entries::default().refill(dir.as_fd(), scratch.spare_capacity_mut())?;
    seek(dir, 0)?;
    Ok(empty)
}

/// Appends `name` to the printable path of its directory.
pub(crate) fn push_name(path: &mut Vec<u8>, name: &CStr) {
    if !path.is_empty() {
        path.push(b'/');
    }
    path.extend_from_slice(name.to_bytes());
}

/// The last component of a path built by [`push_name`].
pub(crate) fn last_name(path: &[u8]) -> CString {
    let start = path.iter().rposition(|b| *b == b'/').map_or(0, |slash| slash + 1);
    CString::new(&path[start..]).unwrap_or_default()
}
