//! A tree with everything awkward in it.

use std::ffi::OsStr;
use std::io::Result;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use hull_sys::inode;
use rustix::fs::{FileType, Mode, OFlags};

use crate::make::Maker;
use crate::random::{RandomShape, build_random};

/// What a tree holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape {
    /// Decides the content of files and the random part.
    pub seed: u64,
    /// Character and block devices. Takes `CAP_MKNOD`.
    pub devices: bool,
    /// Owners other than the caller. Takes `CAP_CHOWN`.
    pub owners: bool,
    /// Extended attributes `trusted.*` and file capabilities. Takes `CAP_SYS_ADMIN` and `CAP_SETFCAP`.
    pub privileged_xattrs: bool,
    /// Extended attributes `user.*`, which tmpfs has since Linux 6.6.
    pub user_xattrs: bool,
    /// Access and default ACLs.
    pub acls: bool,
    /// A directory and a file of mode 0. A copy takes reading them, which only root can.
    pub locked: bool,
    /// Whiteouts (character devices 0:0) and overlayfs' attributes, which hide things when the tree becomes the layer of
    /// a union.
    pub union_marks: bool,
    /// An immutable file, an append-only file and an immutable directory. Takes `CAP_LINUX_IMMUTABLE`.
    pub immutable: bool,
    /// Files with holes, one of them of a tebibyte. To compare them takes a file system that tells holes: lseek(2).
    pub holes: bool,
    /// How long the longest name is: 255 bytes on most file systems, fewer on unions that put marks before names.
    pub longest_name: usize,
    /// How many directories lie inside each other in `deep`; 0 for none.
    pub deep: u32,
    /// How many empty files lie in `large`; 0 for no such directory.
    pub large: u32,
    /// A random part.
    pub random: Option<RandomShape>,
}

impl Shape {
    /// Everything that root can make on any file system of rank; no immutable, deep, large or random part.
    pub fn privileged() -> Self {
        Self {
            seed: 0,
            devices: true,
            owners: true,
            privileged_xattrs: true,
            user_xattrs: true,
            acls: true,
            locked: true,
            union_marks: true,
            immutable: false,
            holes: true,
            longest_name: 255,
            deep: 0,
            large: 0,
            random: None,
        }
    }

    /// What a normal user can make, and copy.
    pub fn unprivileged() -> Self {
        Self { devices: false, owners: false, privileged_xattrs: false, locked: false, ..Self::privileged() }
    }
}

/// Builds a tree in the directory `dir`, which should be empty. The same shape gives the same tree.
///
/// Fails when the caller lacks a privilege the shape needs, or the file system a feature; part of the
/// tree is left then.
pub fn build(dir: impl AsFd, shape: &Shape) -> Result<()> {
    let top =
        rustix::fs::openat(dir, c".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let maker = Maker;
    names(&maker, &top, shape)?;
    contents(&maker, &top, shape)?;
    symlinks(&maker, &top)?;
    specials(&maker, &top, shape)?;
    attributes(&maker, &top, shape)?;
    hard_links(&maker, &top)?;
    // A minute's grace: file systems take the time from a coarser clock.
    maker.settle(&top, rustix::time::clock_gettime(rustix::time::ClockId::Realtime).tv_sec - 60)?;
    times(&maker, &top)?;
    if shape.deep > 0 {
        deep(&maker, &top, shape.deep)?;
    }
    if shape.large > 0 {
        let large = maker.directory(&top, "large")?;
        for i in 0..shape.large {
            drop(maker.file(&large, format!("entry-{i:07}"), b"")?);
        }
        maker.times(&large, 1_600_000_000, 1)?;
    }
    if let Some(random) = shape.random {
        build_random(&maker, &top, shape.seed, random)?;
    }
    if shape.immutable {
        immutable(&maker, &top)?;
    }
    for name in ["names", "content", "links", "special", "attributes", "hard", "times"] {
        maker.times_of(&top, name, 1_500_000_000, 123_456_789)?;
    }
    maker.times(&top, 1_400_000_000, 987_654_321)
}

fn names(maker: &Maker, top: &OwnedFd, shape: &Shape) -> Result<()> {
    let dir = maker.directory(top, "names")?;
    let longest = "n".repeat(shape.longest_name);
    let odd: [&[u8]; 12] = [
        longest.as_bytes(),
        b"not utf-8 \xff\xfe\x80",
        b"new\nline",
        b" leading and trailing ",
        b"...",
        b"-rf",
        b"back\\slash",
        b"colon:comma,equals=",
        b"\x01\x1b[31m\x7f",
        "übergröße-日本語".as_bytes(),
        b".hidden",
        b"*?[a]",
    ];
    for name in odd {
        let file = maker.file(&dir, OsStr::from_bytes(name), name)?;
        maker.times(&file, 1_234_567_890, 1)?;
    }
    let inner = maker.directory(&dir, OsStr::from_bytes(&vec![0xfe; shape.longest_name]))?;
    drop(maker.file(&inner, "inside", b"x")?);
    drop(maker.directory(&dir, "empty directory")?);
    Ok(())
}

/// Data where `pieces` say, holes elsewhere; blocks of 64 KiB fit every file system's block size.
fn sparse(maker: &Maker, dir: &OwnedFd, name: &str, size: u64, pieces: &[(u64, &[u8])]) -> Result<()> {
    let file = maker.file(dir, name, b"")?;
    for (position, bytes) in pieces {
        maker.write(&file, *position, bytes)?;
    }
    rustix::fs::ftruncate(&file, size)?;
    maker.times(&file, 1_300_000_000, 500)
}

fn contents(maker: &Maker, top: &OwnedFd, shape: &Shape) -> Result<()> {
    const BLOCK: u64 = 64 * 1024;
    let dir = maker.directory(top, "content")?;
    let mut random = crate::Random::new(shape.seed);
    let mut block = Vec::new();
    while block.len() < BLOCK as usize {
        block.extend_from_slice(&random.next().to_le_bytes());
    }
    drop(maker.file(&dir, "empty", b"")?);
    drop(maker.file(&dir, "one byte", b"1")?);
    drop(maker.file(&dir, "odd size", &block[..12_345])?);
    drop(maker.file(&dir, "large", &block.repeat(20))?);
    drop(maker.file(&dir, "zeros are data", &[0; BLOCK as usize])?);
    if !shape.holes {
        return Ok(());
    }
    sparse(maker, &dir, "hole at start", 3 * BLOCK, &[(2 * BLOCK, &block)])?;
    sparse(maker, &dir, "hole in the middle", 4 * BLOCK, &[(0, &block), (3 * BLOCK, &block)])?;
    sparse(maker, &dir, "hole at end", 5 * BLOCK, &[(0, &block)])?;
    sparse(maker, &dir, "hole only", 9 * BLOCK + 1, &[])?;
    sparse(maker, &dir, "huge hole", 1 << 40, &[(1 << 39, &block)])?;
    let comb: Vec<(u64, &[u8])> = (0..16).map(|i| (2 * i * BLOCK, &block[..])).collect();
    sparse(maker, &dir, "comb", 33 * BLOCK, &comb)
}

fn symlinks(maker: &Maker, top: &OwnedFd) -> Result<()> {
    let dir = maker.directory(top, "links")?;
    // XFS keeps at most 1024 bytes.
    let long = "component/".repeat(102);
    for (name, text) in [
        ("absolute", "/etc/passwd"),
        ("relative", "../content/large"),
        ("dangling", "nowhere/at all"),
        ("loop", "loop"),
        ("to a directory", "../names"),
        ("long", long.trim_end_matches('/')),
        ("up and out", "../../../../../../../../etc"),
    ] {
        maker.symlink(&dir, text, name)?;
        maker.times_of(&dir, name, 1_111_111_111, 42)?;
    }
    Ok(())
}

fn specials(maker: &Maker, top: &OwnedFd, shape: &Shape) -> Result<()> {
    let dir = maker.directory(top, "special")?;
    maker.node(&dir, "fifo", FileType::Fifo, (0, 0))?;
    maker.node(&dir, "socket", FileType::Socket, (0, 0))?;
    if shape.union_marks {
        maker.node(&dir, "whiteout", FileType::CharacterDevice, (0, 0))?;
        maker.times_of(&dir, "whiteout", 999_999_999, 999_999_999)?;
    }
    if shape.devices {
        maker.node(&dir, "null", FileType::CharacterDevice, (1, 3))?;
        // XFS keeps 9 bits of the major number and 18 of the minor.
        maker.node(&dir, "no such character device", FileType::CharacterDevice, (500, 200_000))?;
        maker.node(&dir, "no such block device", FileType::BlockDevice, (501, 77))?;
    }
    if shape.owners {
        maker.owner(&dir, "fifo", 1000, 1001)?;
        maker.owner(&dir, "socket", 4_000_000_000, 1)?;
    }
    maker.mode(&dir, "fifo", 0o626)?;
    maker.mode(&dir, "socket", 0o777)?;
    for name in ["fifo", "socket"] {
        maker.times_of(&dir, name, 999_999_999, 999_999_999)?;
    }
    Ok(())
}

fn attributes(maker: &Maker, top: &OwnedFd, shape: &Shape) -> Result<()> {
    let dir = maker.directory(top, "attributes")?;
    for (name, mode) in [
        ("setuid", 0o4755),
        ("setgid", 0o2755),
        ("sticky", 0o1644),
        ("all bits", 0o7777),
        ("read only", 0o444),
        ("write for all", 0o666),
    ] {
        drop(maker.file(&dir, name, name.as_bytes())?);
        if shape.owners {
            maker.owner(&dir, name, 65_534, 12_345)?;
        }
        maker.mode(&dir, name, mode)?;
    }
    for (name, mode) in [("shared", 0o2775), ("tmp", 0o1777), ("search only for others", 0o711)] {
        let inner = maker.directory(&dir, name)?;
        drop(maker.file(&inner, "inside", b"i")?);
        maker.mode(&dir, name, mode)?;
    }
    if shape.owners {
        maker.symlink(&dir, "setuid", "owned link")?;
        maker.owner(&dir, "owned link", 7, 8)?;
        let inner = maker.directory(&dir, "owned directory")?;
        drop(maker.file(&inner, "inside", b"i")?);
        maker.owner(&dir, "owned directory", 100_000, 165_535)?;
    }
    if shape.user_xattrs {
        let file = maker.file(&dir, "user xattrs", b"u")?;
        maker.xattr(&file, "user.text", b"value")?;
        maker.xattr(&file, "user.empty", b"")?;
        maker.xattr(&file, "user.binary", &[0, 255, 10, 0])?;
        maker.xattr(&file, "user.long", &[b'v'; 1000])?;
        if shape.union_marks {
            maker.xattr(&file, "user.overlay.origin", b"\x00\xfb")?;
            let inner = maker.directory(&dir, "opaque for users")?;
            maker.xattr(&inner, "user.overlay.opaque", b"y")?;
        }
    }
    if shape.privileged_xattrs {
        let file = maker.file(&dir, "trusted xattrs", b"t")?;
        maker.xattr(&file, "trusted.other", b"x")?;
        if shape.union_marks {
            maker.xattr(&file, "trusted.overlay.metacopy", b"")?;
            let inner = maker.directory(&dir, "opaque")?;
            maker.xattr(&inner, "trusted.overlay.opaque", b"y")?;
        }
        let file = maker.file(&dir, "capable", b"c")?;
        maker.xattr(&file, "security.capability", &capability(1 << 13))?;
    }
    if shape.acls {
        let file = maker.file(&dir, "acl", b"a")?;
        maker.xattr(&file, "system.posix_acl_access", &acl(0o6, 0o4))?;
        let inner = maker.directory(&dir, "default acl")?;
        drop(maker.file(&inner, "without an acl", b"made before")?);
        maker.xattr(&inner, "system.posix_acl_default", &acl(0o7, 0o5))?;
        drop(maker.file(&inner, "inherits", b"made after")?);
        drop(maker.directory(&inner, "inherits too")?);
    }
    if shape.locked {
        let inner = maker.directory(&dir, "locked directory")?;
        drop(maker.file(&inner, "inside", b"l")?);
        maker.mode(&dir, "locked directory", 0)?;
        drop(maker.file(&dir, "locked file", b"l")?);
        maker.mode(&dir, "locked file", 0)?;
    }
    Ok(())
}

fn hard_links(maker: &Maker, top: &OwnedFd) -> Result<()> {
    let dir = maker.directory(top, "hard")?;
    let (a, b) = (maker.directory(&dir, "a")?, maker.directory(&dir, "b")?);
    drop(maker.file(&a, "one", b"three names")?);
    maker.link(&a, "one", &a, "two")?;
    maker.link(&a, "one", &b, "three")?;
    drop(maker.file(&b, "other", b"three names")?);
    maker.link(&b, "other", &a, "other")?;
    maker.symlink(&a, "one", "symlink")?;
    maker.link(&a, "symlink", &b, "symlink")?;
    maker.node(&a, "fifo", FileType::Fifo, (0, 0))?;
    maker.link(&a, "fifo", &b, "fifo")?;
    maker.times_of(&dir, "a", 77, 7)?;
    maker.times_of(&dir, "b", 78, 8)
}

fn times(maker: &Maker, top: &OwnedFd) -> Result<()> {
    let dir = maker.directory(top, "times")?;
    for (name, seconds, nanoseconds) in [
        ("epoch", 0, 0),
        ("before the epoch", -86_400 * 365 * 40, 123_456_789),
        ("just before the epoch", -1, 999_999_999),
        ("after 2038", 1 << 32, 1),
        // The last that ext4 can hold is in May 2446, xfs with bigtime in July 2486.
        ("far in the future", 15_000_000_000, 999_999_999),
    ] {
        let file = maker.file(&dir, name, b"")?;
        maker.times(&file, seconds, nanoseconds)?;
        let inner = maker.directory(&dir, format!("{name} (directory)"))?;
        maker.times(&inner, seconds, nanoseconds)?;
    }
    Ok(())
}

fn deep(maker: &Maker, top: &OwnedFd, levels: u32) -> Result<()> {
    let mut dir = maker.directory(top, "deep")?;
    for level in 0..levels {
        if level % 1000 == 0 {
            drop(maker.file(&dir, "file", level.to_string().as_bytes())?);
        }
        let inner = maker.directory(&dir, "level")?;
        maker.times(&dir, 1_650_000_000, i64::from(level))?;
        dir = inner;
    }
    drop(maker.file(&dir, "bottom", b"here")?);
    maker.times(&dir, 1_700_000_000, 0)
}

fn immutable(maker: &Maker, top: &OwnedFd) -> Result<()> {
    let dir = maker.directory(top, "immutable")?;
    let (file, log) = (maker.file(&dir, "file", b"i")?, maker.file(&dir, "log", b"a")?);
    let inner = maker.directory(&dir, "directory")?;
    drop(maker.file(&inner, "inside", b"i")?);
    maker.times(&inner, 1_100_000_000, 3)?;
    maker.times(&dir, 1_100_000_000, 4)?;
    for (fd, flag) in [(&file, inode::IMMUTABLE), (&log, inode::APPEND), (&inner, inode::IMMUTABLE)] {
        inode::set_flags(fd, inode::flags(fd)? | flag)?;
    }
    Ok(())
}

/// A value of `system.posix_acl_*` with a named user and a named group.
fn acl(user: u16, group: u16) -> Vec<u8> {
    let mut value = 2u32.to_le_bytes().to_vec();
    let none = u32::MAX;
    for (tag, permissions, id) in
        [(1u16, 7u16, none), (2, user, 1000), (4, 4, none), (8, group, 2000), (16, 7, none), (32, 4, none)]
    {
        value.extend(tag.to_le_bytes());
        value.extend(permissions.to_le_bytes());
        value.extend(id.to_le_bytes());
    }
    value
}

/// A value of `security.capability`, version 2, effective.
fn capability(permitted: u32) -> Vec<u8> {
    [0x0200_0001, permitted, 0, 0, 0].iter().flat_map(|word: &u32| word.to_le_bytes()).collect()
}
