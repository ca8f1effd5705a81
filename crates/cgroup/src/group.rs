//! One group of one hierarchy, held by a descriptor of its directory.

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, CWD, Dir, FileType, Gid, Mode, OFlags, ResolveFlags, Uid};
use rustix::io::Errno;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::{Error, Result, Version};

/// How often what the kernel does in its own time is looked at.
pub(crate) const INTERVAL: Duration = Duration::from_millis(5);

/// A group's directory.
#[derive(Debug)]
pub(crate) struct Group {
    fd: OwnedFd,
    /// For messages only.
    path: PathBuf,
}

/// Whether a group was made.
#[derive(Debug)]
pub(crate) enum Made {
    New(Group),
    Existing(Group),
}

impl Group {
    /// Opens the directory `path`, which the caller trusts.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::open(path, flags, Mode::empty())
            .map_err(|e| Error::call(&format!("open {}", path.display()), e))?;
        Ok(Self { fd, path: path.to_owned() })
    }

    /// The group whose directory `fd` is, called `path` in messages.
    pub(crate) fn of_directory(fd: OwnedFd, path: &Path) -> Self {
        Self { fd, path: path.to_owned() }
    }

    /// Opens the group `name` directly below.
    pub(crate) fn child(&self, name: impl AsRef<OsStr>) -> Result<Self> {
        let path = self.path.join(name.as_ref());
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let fd = rustix::fs::openat2(&self.fd, name.as_ref(), flags, Mode::empty(), ResolveFlags::BENEATH)
            .map_err(|e| Error::call(&format!("open {}", path.display()), e))?;
        Ok(Self { fd, path })
    }

    /// Makes the group `name` directly below, or opens it if it exists.
    pub(crate) fn make(&self, name: &str) -> Result<Made> {
        let mode = Mode::RWXU | Mode::RGRP | Mode::XGRP | Mode::ROTH | Mode::XOTH;
        match rustix::fs::mkdirat(&self.fd, name, mode) {
            Ok(()) => self.child(name).map(Made::New),
            Err(Errno::EXIST) => self.child(name).map(Made::Existing),
            Err(e) => Err(Error::call(&format!("mkdir {}", self.path.join(name).display()), e)),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn try_clone(&self) -> Result<OwnedFd> {
        rustix::io::fcntl_dupfd_cloexec(&self.fd, 3)
            .map_err(|e| Error::call(&format!("dup {}", self.path.display()), e))
    }

    /// Which version's hierarchy it is in, by its file system; none if in neither.
    pub(crate) fn version(&self) -> Option<Version> {
        const CGROUP_SUPER_MAGIC: u64 = 0x27_e0eb;
        const CGROUP2_SUPER_MAGIC: u64 = 0x6367_7270;
        let found = rustix::fs::fstatfs(&self.fd).ok()?;
        match u64::try_from(found.f_type).ok()? {
            CGROUP_SUPER_MAGIC => Some(Version::One),
            CGROUP2_SUPER_MAGIC => Some(Version::Two),
            _ => None,
        }
    }

    /// Whether the caller may make groups below.
    pub(crate) fn is_writable(path: &Path) -> Result<(), Errno> {
        let writable = rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK;
        rustix::fs::accessat(CWD, path, writable, AtFlags::EACCESS)
    }

    pub(crate) fn has(&self, file: &str) -> bool {
        rustix::fs::accessat(&self.fd, file, rustix::fs::Access::EXISTS, AtFlags::empty()).is_ok()
    }

    /// The content of `file`, without blanks at its end.
    pub(crate) fn read(&self, file: &str) -> Result<String> {
        let failed = |e| Error::call(&format!("read {}", self.path.join(file).display()), e);
        let fd = self.open_file(file, OFlags::RDONLY).map_err(failed)?;
        let mut bytes = Vec::new();
        loop {
            bytes.reserve(4096);
            match rustix::io::read(&fd, rustix::buffer::spare_capacity(&mut bytes)) {
                Ok(0) => return Ok(String::from_utf8_lossy(&bytes).trim_end().to_owned()),
                Ok(_) | Err(Errno::INTR) => {}
                Err(e) => return Err(failed(e)),
            }
        }
    }

    /// Writes `value` to `file` in one call, as cgroup files want it.
    pub(crate) fn write(&self, file: &str, value: &str) -> Result<()> {
        self.write_raw(file, value).map_err(|e| {
            let what = format!("write {value:?} to {}", self.path.join(file).display());
            match e {
                Errno::INVAL | Errno::RANGE => {
                    Error::new(e, format!("{what}: the kernel does not take this value; correct it"))
                }
                Errno::NOENT => Error::new(
                    e,
                    format!(
                        "{what}: there is no such file; check its name and that its controller is enabled"
                    ),
                ),
                e => Error::call(&what, e),
            }
        })
    }

    pub(crate) fn write_raw(&self, file: &str, value: &str) -> Result<(), Errno> {
        let fd = self.open_file(file, OFlags::WRONLY)?;
        rustix::io::retry_on_intr(|| rustix::io::write(&fd, value.as_bytes())).map(drop)
    }

    /// Moves process `pid` (0 is the caller) here.
    pub(crate) fn add(&self, pid: i32) -> Result<()> {
        moved(pid, &self.path, self.write_raw("cgroup.procs", &pid.to_string()))
    }

    /// The file by which threads move here, in version 1.
    pub(crate) fn open_for_threads(&self) -> Result<OwnedFd> {
        self.open_file("tasks", OFlags::WRONLY)
            .map_err(|e| Error::call(&format!("open {}", self.path.join("tasks").display()), e))
    }

    /// The processes in this group and all below, as numbered here. Processes unseen from here count as 0.
    pub(crate) fn processes(&self) -> Result<Vec<i32>> {
        let mut all = Vec::new();
        let mut visit = |group: &Self| {
            match group.read("cgroup.procs") {
                Ok(text) => all.extend(text.lines().filter_map(|l| l.parse::<i32>().ok())),
                // The members of threaded groups are listed in their domain; a removed group has none.
                Err(e) if matches!(e.errno(), Errno::OPNOTSUPP | Errno::NODEV | Errno::NOENT) => {}
                Err(e) => return Err(e),
            }
            Ok(())
        };
        self.traverse(&mut visit, &mut |_, _| {})?;
        Ok(all)
    }

    /// Removes the group `name` below with all in it, waiting until `deadline` for processes that are ending.
    ///
    /// Gone already is success.
    pub(crate) fn remove(&self, name: &str, deadline: Instant) -> Result<()> {
        let remove = || rustix::fs::unlinkat(&self.fd, name, AtFlags::REMOVEDIR);
        loop {
            match remove() {
                Ok(()) | Err(Errno::NOENT) => return Ok(()),
                // The kernel says BUSY for groups with groups below them, too.
                Err(Errno::BUSY | Errno::NOTEMPTY) => {}
                Err(e) => return Err(self.not_removed(name, e)),
            }
            if let Ok(group) = self.child(name) {
                // What cannot be removed, or changes meanwhile, keeps its parents from going, which we see.
                let _ = group.traverse(&mut |_| Ok(()), &mut |parent, name| {
                    let _ = rustix::fs::unlinkat(&parent.fd, name, AtFlags::REMOVEDIR);
                });
            }
            match remove() {
                Ok(()) | Err(Errno::NOENT) => return Ok(()),
                Err(e) if Instant::now() >= deadline => return Err(self.not_removed(name, e)),
                Err(_) => sleep(INTERVAL),
            }
        }
    }

    /// Removes the group at `path` below if nothing is in it; whether it did. Only for paths that nobody but us writes to.
    pub(crate) fn remove_empty(&self, path: &str) -> bool {
        rustix::fs::unlinkat(&self.fd, path, AtFlags::REMOVEDIR).is_ok()
    }

    fn not_removed(&self, name: &str, errno: Errno) -> Error {
        Error::call(&format!("rmdir {}", self.path.join(name).display()), errno)
    }

    /// Calls `visit` for this group and all below, parents first, and `leave` for those below, with their
    /// parents and names, children first.
    ///
    /// Containers make groups, so depth, number and names are theirs: this needs two descriptors however deep
    /// they nest.
    fn traverse(
        &self,
        visit: &mut dyn FnMut(&Self) -> Result<()>,
        leave: &mut dyn FnMut(&Self, &OsStr),
    ) -> Result<()> {
        visit(self)?;
        // The names yet to be visited at each level, and that of the level itself.
        let mut levels = vec![(self.children()?, OsString::new())];
        let mut below: Option<Self> = None;
        while let Some((names, _)) = levels.last_mut() {
            let here = below.as_ref().unwrap_or(self);
            if let Some(name) = names.pop() {
                match here.child(&name) {
                    Ok(child) => {
                        visit(&child)?;
                        levels.push((child.children()?, name));
                        below = Some(child);
                    }
                    Err(e) if e.errno() == Errno::NOENT => {}
                    Err(e) => return Err(e),
                }
                continue;
            }
            let name = levels.pop().map(|(_, name)| name).unwrap_or_default();
            if levels.is_empty() {
                break;
            }
            let parent = if levels.len() == 1 { None } else { Some(here.parent()?) };
            leave(parent.as_ref().unwrap_or(self), &name);
            below = parent;
        }
        Ok(())
    }

    /// The group above. In these file systems nobody can move a directory elsewhere, so it is the one we came from.
    fn parent(&self) -> Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(&self.fd, "..", flags, Mode::empty())
            .map_err(|e| Error::call(&format!("open {}/..", self.path.display()), e))?;
        Ok(Self { fd, path: self.path.parent().unwrap_or(&self.path).to_owned() })
    }

    fn children(&self) -> Result<Vec<OsString>> {
        let failed = |e| Error::call(&format!("list {}", self.path.display()), e);
        let mut names = Vec::new();
        for entry in Dir::read_from(&self.fd).map_err(failed)? {
            let entry = match entry {
                Ok(entry) => entry,
                // The group was removed meanwhile.
                Err(Errno::NOENT) => break,
                Err(e) => return Err(failed(e)),
            };
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if entry.file_type() == FileType::Directory && name != "." && name != ".." {
                names.push(name.to_owned());
            }
        }
        Ok(names)
    }

    /// Gives the group to `uid` and `gid` as far as delegation goes: they may move processes and make groups
    /// within, but not change the limits of this group.
    pub(crate) fn delegate(&self, uid: u32, gid: u32, files: &[&str]) -> Result<()> {
        let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
        let own = |name: &str, flags| {
            rustix::fs::chownat(&self.fd, name, Some(uid), Some(gid), flags).map_err(|e| {
                let path = self.path.join(name);
                Error::call(&format!("chown {} to {uid:?}:{gid:?}", path.display()), e)
            })
        };
        own("", AtFlags::EMPTY_PATH)?;
        for file in files {
            match own(file, AtFlags::SYMLINK_NOFOLLOW) {
                Err(e) if e.errno() == Errno::NOENT => {}
                result => result?,
            }
        }
        Ok(())
    }

    fn open_file(&self, file: &str, access: OFlags) -> Result<OwnedFd, Errno> {
        let flags = access | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        rustix::fs::openat2(&self.fd, file, flags, Mode::empty(), ResolveFlags::BENEATH)
    }
}

impl AsFd for Group {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// What came of moving process `pid` to the group `path`, in words.
pub(crate) fn moved(pid: i32, path: &Path, result: Result<(), Errno>) -> Result<()> {
    let Err(e) = result else { return Ok(()) };
    let what = format!("move process {pid} to {}", path.display());
    Err(match e {
        Errno::NOSPC => Error::new(
            e,
            format!("{what}: its cpuset has no cpus or memory nodes; set cpuset.cpus and cpuset.mems"),
        ),
        Errno::BUSY => Error::new(
            e,
            format!(
                "{what}: cgroup2 allows no processes beside enabled controllers; move it to a group without children"
            ),
        ),
        Errno::SRCH => Error::new(e, format!("{what}: it has ended")),
        e => Error::call(&what, e),
    })
}
