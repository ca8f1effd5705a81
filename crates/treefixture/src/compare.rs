//! Comparing two trees, however deep.

use std::collections::{BTreeMap, HashMap};
use std::ffi::{CString, OsStr};
use std::io::Result;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, SeekFrom, Statx, StatxFlags};
use rustix::io::Errno;

use crate::difference::{Difference, What};

/// What counts as a difference.
#[derive(Debug, Clone)]
pub struct CompareOptions {
    /// Access times, except those of symlinks, which reading changes and nobody can read otherwise.
    pub access_times: bool,
    /// Modification times.
    pub modification_times: bool,
    /// Where regular files have holes. Needs file systems with the same block size.
    pub holes: bool,
    /// User and group ids.
    pub owners: bool,
    /// Extended attributes whose names begin like this do not count.
    pub ignored_xattrs: Vec<String>,
    /// Stop after so many differences.
    pub most: usize,
}

impl Default for CompareOptions {
    fn default() -> Self {
        Self {
            access_times: false,
            modification_times: true,
            holes: true,
            owners: true,
            ignored_xattrs: vec![
                "security.selinux".to_owned(),
                "user.hull.".to_owned(),
                "trusted.hull.".to_owned(),
                "btrfs.".to_owned(),
                // XFS shows root its ACLs twice.
                "trusted.SGI_ACL_".to_owned(),
            ],
            most: 100,
        }
    }
}

/// Compares the trees below two directories, the roots' own attributes included.
///
/// Compares type, owner, mode, device number, times, extended attributes (ACLs and capabilities among them),
/// content, holes, symlink targets and which names share an inode. Follows no symlink; what is mounted
/// inside counts as part of the tree. Requires permission to read everything and a mounted /proc. Fails when an entry cannot be read.
pub fn compare(first: impl AsFd, second: impl AsFd, options: &CompareOptions) -> Result<Vec<Difference>> {
    let mut comparison = Comparison {
        options,
        differences: Vec::new(),
        path: Vec::new(),
        links: [HashMap::new(), HashMap::new()],
    };
    let roots = [open_dir(first, c".")?, open_dir(second, c".")?];
    comparison.compare_attributes([&roots[0], &roots[1]])?;
    comparison.walk(roots)?;
    Ok(comparison.differences)
}

/// How many levels stay open: few, so that a test may set a low limit on open files.
const WINDOW: usize = 8;

struct Level {
    open: Option<[OwnedFd; 2]>,
    inodes: [u64; 2],
    /// The names still to come, the next one last.
    names: Vec<CString>,
    path_length: usize,
}

struct Comparison<'a> {
    options: &'a CompareOptions,
    differences: Vec<Difference>,
    path: Vec<u8>,
    /// The first path at which each inode with several names was met.
    links: [HashMap<(u32, u32, u64), PathBuf>; 2],
}

impl Comparison<'_> {
    fn walk(&mut self, roots: [OwnedFd; 2]) -> Result<()> {
        let mut levels = vec![self.level(roots)?];
        while let Some(level) = levels.last_mut() {
            if self.differences.len() >= self.options.most {
                return Ok(());
            }
            self.path.truncate(level.path_length);
            let Some(name) = level.names.pop() else {
                let below = levels.pop().and_then(|level| level.open);
                if let (Some(above), Some(below)) = (levels.last_mut(), below)
                    && above.open.is_none()
                {
                    let parents = [open_dir(&below[0], c"..")?, open_dir(&below[1], c"..")?];
                    if [status(&parents[0])?.stx_ino, status(&parents[1])?.stx_ino] != above.inodes {
                        return Err(std::io::Error::other("a directory was moved while it was compared"));
                    }
                    above.open = Some(parents);
                }
                continue;
            };
            let dirs = level.open.as_ref().expect("the lowest level is open: only those above are closed");
            if !self.path.is_empty() {
                self.path.push(b'/');
            }
            self.path.extend_from_slice(name.to_bytes());
            let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let entries = [
                rustix::fs::openat(&dirs[0], &name, flags, Mode::empty())?,
                rustix::fs::openat(&dirs[1], &name, flags, Mode::empty())?,
            ];
            if self.compare_attributes([&entries[0], &entries[1]])? == Some(FileType::Directory) {
                let children = [open_dir(&entries[0], c".")?, open_dir(&entries[1], c".")?];
                let level = self.level(children)?;
                levels.push(level);
                if let Some(outside) = levels.len().checked_sub(WINDOW + 1) {
                    levels[outside].open = None;
                }
            }
        }
        Ok(())
    }

    /// Reads both directories and notes which names only one has.
    fn level(&mut self, dirs: [OwnedFd; 2]) -> Result<Level> {
        let mut sides = BTreeMap::<CString, [bool; 2]>::new();
        for (side, dir) in dirs.iter().enumerate() {
            for entry in Dir::read_from(dir)? {
                let name = entry?.file_name().to_owned();
                if name.as_bytes() != b"." && name.as_bytes() != b".." {
                    sides.entry(name).or_default()[side] = true;
                }
            }
        }
        let mut names = Vec::new();
        for (name, on) in sides.into_iter().rev() {
            match on {
                [true, true] => names.push(name),
                [true, false] => self.differ_at(&name, What::Missing),
                _ => self.differ_at(&name, What::Extra),
            }
        }
        let inodes = [status(&dirs[0])?.stx_ino, status(&dirs[1])?.stx_ino];
        Ok(Level { open: Some(dirs), inodes, names, path_length: self.path.len() })
    }

    /// Compares two entries; returns their type when they have the same one.
    fn compare_attributes(&mut self, entries: [&OwnedFd; 2]) -> Result<Option<FileType>> {
        let [a, b] = [status(entries[0])?, status(entries[1])?];
        let [kind, other] = [&a, &b].map(|s| FileType::from_raw_mode(s.stx_mode.into()));
        if kind != other {
            self.differ(What::Type(kind, other));
            return Ok(None);
        }
        let owner = |s: &Statx| (s.stx_uid, s.stx_gid);
        if self.options.owners {
            self.check(owner(&a), owner(&b), What::Owner);
        }
        if kind != FileType::Symlink {
            let mode = |s: &Statx| u32::from(s.stx_mode) & 0o7777;
            self.check(mode(&a), mode(&b), What::Mode);
        }
        if matches!(kind, FileType::CharacterDevice | FileType::BlockDevice) {
            let device = |s: &Statx| (s.stx_rdev_major, s.stx_rdev_minor);
            self.check(device(&a), device(&b), What::Device);
        }
        if self.options.modification_times {
            let time = |s: &Statx| (s.stx_mtime.tv_sec, s.stx_mtime.tv_nsec);
            self.check(time(&a), time(&b), What::Modified);
        }
        if self.options.access_times && kind != FileType::Symlink {
            let time = |s: &Statx| (s.stx_atime.tv_sec, s.stx_atime.tv_nsec);
            self.check(time(&a), time(&b), What::Accessed);
        }
        if kind == FileType::Symlink {
            let target = |fd| rustix::fs::readlinkat(fd, c"", Vec::new());
            let [a, b] = [target(entries[0])?, target(entries[1])?];
            if a != b {
                self.differ(What::Target(a.to_string_lossy().into_owned(), b.to_string_lossy().into_owned()));
            }
        }
        if kind != FileType::Directory {
            self.compare_links(&a, &b);
        }
        self.compare_xattrs(entries)?;
        if kind == FileType::RegularFile {
            self.compare_content(entries, a.stx_size, b.stx_size)?;
        }
        Ok(Some(kind))
    }

    fn compare_links(&mut self, a: &Statx, b: &Statx) {
        self.check(a.stx_nlink, b.stx_nlink, What::LinkCount);
        let path = self.here();
        let [a, b] = [(0, a), (1, b)].map(|(side, s)| {
            if s.stx_nlink < 2 {
                return None;
            }
            let key = (s.stx_dev_major, s.stx_dev_minor, s.stx_ino);
            Some(self.links[side].entry(key).or_insert_with(|| path.clone()).clone())
        });
        if a != b {
            self.differ(What::LinkedTo(a, b));
        }
    }

    fn compare_xattrs(&mut self, entries: [&OwnedFd; 2]) -> Result<()> {
        let [a, b] = [self.xattrs(entries[0])?, self.xattrs(entries[1])?];
        for name in a.keys().chain(b.keys().filter(|name| !a.contains_key(*name))) {
            let (one, two) = (a.get(name).cloned(), b.get(name).cloned());
            if one != two {
                self.differ(What::Xattr(name.clone(), one, two));
            }
        }
        Ok(())
    }

    fn xattrs(&self, entry: &OwnedFd) -> Result<BTreeMap<String, Vec<u8>>> {
        let path = proc_path(entry);
        let mut buffer = vec![0; 65536];
        let length = match rustix::fs::listxattr(&*path, &mut buffer[..]) {
            Err(Errno::OPNOTSUPP) => 0,
            result => result?,
        };
        let names: Vec<String> =
            buffer[..length].split(|b| *b == 0).map(|n| String::from_utf8_lossy(n).into_owned()).collect();
        let mut values = BTreeMap::new();
        for name in names {
            if name.is_empty() || self.options.ignored_xattrs.iter().any(|prefix| name.starts_with(prefix)) {
                continue;
            }
            let length = rustix::fs::getxattr(&*path, &*name, &mut buffer[..])?;
            values.insert(name, buffer[..length].to_vec());
        }
        Ok(values)
    }

    fn compare_content(&mut self, entries: [&OwnedFd; 2], first: u64, second: u64) -> Result<()> {
        self.check(first, second, What::Size);
        if first != second {
            return Ok(());
        }
        let [a, b] = [open_file(entries[0])?, open_file(entries[1])?];
        let [data_a, data_b] = [data(&a, first)?, data(&b, first)?];
        // Holes read as zeros, so reading where either has data finds every difference.
        let mut buffers = [vec![0; 1 << 16], vec![0; 1 << 16]];
        for (mut position, end) in data_a.iter().chain(&data_b).copied() {
            while position < end {
                let length = usize::try_from(end - position).unwrap_or(usize::MAX).min(1 << 16);
                let one = rustix::io::pread(&a, &mut buffers[0][..length], position)?;
                let two = rustix::io::pread(&b, &mut buffers[1][..length], position)?;
                let both = one.min(two);
                let same = buffers[0][..both].iter().zip(&buffers[1][..both]).position(|(x, y)| x != y);
                if let Some(offset) = same {
                    self.differ(What::Content(position + offset as u64));
                    return Ok(());
                }
                if both == 0 {
                    break;
                }
                position += both as u64;
            }
        }
        if self.options.holes && data_a != data_b {
            self.differ(What::Data(data_a, data_b));
        }
        Ok(())
    }

    fn check<T: PartialEq>(&mut self, a: T, b: T, what: impl FnOnce(T, T) -> What) {
        if a != b {
            self.differ(what(a, b));
        }
    }

    fn differ(&mut self, what: What) {
        let path = self.here();
        self.differences.push(Difference { path, what });
    }

    fn differ_at(&mut self, name: &CString, what: What) {
        let path = self.here().join(OsStr::from_bytes(name.to_bytes()));
        self.differences.push(Difference { path, what });
    }

    fn here(&self) -> PathBuf {
        PathBuf::from(OsStr::from_bytes(&self.path))
    }
}

/// The parts of a file that are not holes.
fn data(file: &OwnedFd, size: u64) -> Result<Vec<(u64, u64)>> {
    let mut parts = Vec::new();
    let mut position = 0;
    while position < size {
        let begin = match rustix::fs::seek(file, SeekFrom::Data(position)) {
            Err(Errno::NXIO) => break,
            result => result?,
        };
        let end = rustix::fs::seek(file, SeekFrom::Hole(begin))?;
        parts.push((begin, end));
        position = end;
    }
    Ok(parts)
}

fn status(fd: &OwnedFd) -> Result<Statx> {
    Ok(rustix::fs::statx(fd, c"", AtFlags::EMPTY_PATH, StatxFlags::BASIC_STATS)?)
}

fn open_dir(dir: impl AsFd, name: &std::ffi::CStr) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match rustix::fs::openat(dir.as_fd(), name, flags | OFlags::NOATIME, Mode::empty()) {
        Err(Errno::PERM) => Ok(rustix::fs::openat(dir, name, flags, Mode::empty())?),
        result => Ok(result?),
    }
}

fn open_file(entry: &OwnedFd) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    match rustix::fs::open(proc_path(entry), flags | OFlags::NOATIME, Mode::empty()) {
        Err(Errno::PERM) => Ok(rustix::fs::open(proc_path(entry), flags, Mode::empty())?),
        result => Ok(result?),
    }
}

fn proc_path(entry: &OwnedFd) -> String {
    format!("/proc/thread-self/fd/{}", entry.as_raw_fd())
}
