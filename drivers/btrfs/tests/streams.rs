//! Streams from strangers: what is not exactly right is refused, and nothing outside the new subvolume is touched.
#![allow(clippy::unwrap_used, reason = "what cannot be set up fails the test")]

use std::fs::{self, File};
use std::io::{Seek, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use hull_driver_btrfs::stream::{Command, Reader};
use hull_driver_btrfs::{BtrfsDriver, NAME, REGISTRATION};
use hull_storage::{
    Access, CloneMode, Driver, Error, ErrorKind, Locator, Method, Placement, Registry, Result, Settings,
    TxId, VolumeSpec, open,
};
use hull_treefixture::{CompareOptions, ScratchFs, Shape, build, compare};
use proptest::prelude::*;

/// A stream being written.
#[derive(Clone)]
struct Sent(Vec<u8>);

const SUBVOL: u16 = 1;
const MKFILE: u16 = 3;
const MKDIR: u16 = 4;
const MKNOD: u16 = 5;
const MKFIFO: u16 = 6;
const SYMLINK: u16 = 8;
const RENAME: u16 = 9;
const LINK: u16 = 10;
const UNLINK: u16 = 11;
const SET_XATTR: u16 = 13;
const WRITE: u16 = 15;
const CLONE: u16 = 16;
const TRUNCATE: u16 = 17;
const CHMOD: u16 = 18;
const CHOWN: u16 = 19;
const UTIMES: u16 = 20;
const END: u16 = 21;
const UPDATE_EXTENT: u16 = 22;

const PATH: u16 = 15;
const PATH_TO: u16 = 16;
const PATH_LINK: u16 = 17;

const UUID: [u8; 16] = [7; 16];

/// A number as streams have it.
fn n(number: u64) -> Vec<u8> {
    number.to_le_bytes().to_vec()
}

fn raw_crc32c(bytes: &[u8]) -> u32 {
    !crc32c::crc32c_append(!0, bytes)
}

impl Sent {
    fn new() -> Self {
        Self([&b"btrfs-stream\0"[..], &1u32.to_le_bytes()].concat())
    }

    /// A stream whose volume has begun.
    fn begun() -> Self {
        Self::new().with(SUBVOL, &[(PATH, b"v"), (1, &UUID), (2, &n(9))])
    }

    fn with(mut self, command: u16, attributes: &[(u16, &[u8])]) -> Self {
        let mut data = Vec::new();
        for (number, value) in attributes {
            data.extend(number.to_le_bytes());
            data.extend((value.len() as u16).to_le_bytes());
            data.extend(*value);
        }
        let mut whole =
            [&(data.len() as u32).to_le_bytes()[..], &command.to_le_bytes(), &[0; 4], &data].concat();
        let sum = raw_crc32c(&whole).to_le_bytes();
        whole[6..10].copy_from_slice(&sum);
        self.0.extend(whole);
        self
    }

    fn file(self, path: &[u8]) -> Self {
        self.with(MKFILE, &[(PATH, path)])
    }

    fn write(self, path: &[u8], offset: u64, data: &[u8]) -> Self {
        self.with(WRITE, &[(PATH, path), (18, &n(offset)), (19, data)])
    }

    fn end(self) -> Self {
        self.with(END, &[])
    }
}

/// Reads all commands of a stream; how many there were.
fn read_all(bytes: &[u8]) -> Result<usize> {
    let mut reader = Reader::new(bytes)?;
    let mut count = 0;
    loop {
        count += 1;
        if reader.read()? == Command::End {
            reader.finish()?;
            return Ok(count);
        }
    }
}

fn one_line(e: &Error) {
    let text = e.to_string();
    assert!(!text.is_empty() && !text.chars().any(char::is_control), "{text:?}");
}

fn sample() -> Sent {
    let time = [&1_500_000_000u64.to_le_bytes()[..], &9u32.to_le_bytes()].concat();
    Sent::begun()
        .with(MKDIR, &[(PATH, b"d"), (3, &n(257))])
        .file(b"d/f")
        .write(b"d/f", 3, b"data")
        .with(SYMLINK, &[(PATH, b"l"), (PATH_LINK, b"/etc/passwd")])
        .with(MKNOD, &[(PATH, b"null"), (5, &n(0o20666)), (8, &n(0x103))])
        .with(MKFIFO, &[(PATH, b"p")])
        .with(RENAME, &[(PATH, b"d/f"), (PATH_TO, b"d/g")])
        .with(LINK, &[(PATH, b"h"), (PATH_LINK, b"d/g")])
        .with(SET_XATTR, &[(PATH, b"l"), (13, b"trusted.x"), (14, b"y")])
        .with(SET_XATTR, &[(PATH, b""), (13, b"user.hull.volume"), (14, b"subvolume 00")])
        .with(CHMOD, &[(PATH, b""), (5, &n(0o711))])
        .with(CHOWN, &[(PATH, b"d/g"), (6, &n(10)), (7, &n(20))])
        .with(UTIMES, &[(PATH, b"d/g"), (11, &time), (10, &time), (9, &time)])
        .end()
}

#[test]
fn what_is_damaged_is_refused_by_the_parser() {
    let whole = sample().0;
    assert_eq!(read_all(&whole).unwrap(), 14 + 1);
    for end in 0..whole.len() {
        let e = read_all(&whole[..end]).expect_err("it is cut off");
        assert_eq!(e.kind(), ErrorKind::Corrupt, "cut off at {end}: {e}");
    }
    for at in 0..whole.len() {
        for bit in 0..8 {
            let mut damaged = whole.clone();
            damaged[at] ^= 1 << bit;
            let e = read_all(&damaged).expect_err("a bit is flipped");
            assert!(matches!(e.kind(), ErrorKind::Corrupt | ErrorKind::Unsupported), "{at}.{bit}: {e}");
            one_line(&e);
        }
    }
    assert_eq!(read_all(&[&whole[..], b"x"].concat()).unwrap_err().kind(), ErrorKind::Corrupt);
    let huge = [&Sent::begun().0[..], &u32::MAX.to_le_bytes(), &[0; 6]].concat();
    assert!(read_all(&huge).unwrap_err().to_string().contains("4294967295 bytes"));
    let unknown = Sent::begun().with(24, &[]).end();
    assert_eq!(read_all(&unknown.0).unwrap_err().kind(), ErrorKind::Unsupported);
    let mut second = Sent::new().0;
    second[13] = 2;
    assert_eq!(read_all(&second).unwrap_err().kind(), ErrorKind::Unsupported);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn reading_never_panics(
        commands in prop::collection::vec(
            (0u16..30, prop::collection::vec((0u16..28, prop::collection::vec(any::<u8>(), 0..24)), 0..8)),
            0..8,
        ),
    ) {
        let mut stream = Sent::new();
        for (command, attributes) in &commands {
            let attributes: Vec<(u16, &[u8])> = attributes.iter().map(|(number, value)| (*number, &value[..])).collect();
            stream = stream.with(*command, &attributes);
        }
        if let Err(e) = read_all(&stream.0) {
            one_line(&e);
        }
    }

    #[test]
    fn rubbish_is_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        one_line(&read_all(&bytes).unwrap_err());
        one_line(&read_all(&[&Sent::new().0[..], &bytes].concat()).unwrap_err());
    }
}

/// A directory on a scratch btrfs with a file that no stream may touch.
struct Ground {
    top: PathBuf,
    _scratch: ScratchFs,
}

impl Ground {
    fn new(test: &str) -> Option<Self> {
        match ScratchFs::new("btrfs", 256 << 20) {
            Ok(scratch) => {
                let top = scratch.path().to_path_buf();
                fs::write(top.join("victim"), "the host's").unwrap();
                Some(Self { top, _scratch: scratch })
            }
            Err(reason) => {
                hull_testskip::skip(&format!("streams::{test}"), reason.to_string());
                None
            }
        }
    }

    /// Receives `stream` as the volume `name`.
    fn receive(&self, name: &str, stream: &Sent) -> Result<PathBuf> {
        let mut file: File = tempfile::tempfile().unwrap();
        file.write_all(&stream.0).unwrap();
        file.rewind().unwrap();
        let at = self.top.join(name);
        let to = BtrfsDriver.new_layout(&Placement::exactly(&at).unwrap(), None)?;
        let transfer = BtrfsDriver.transfer().expect("btrfs has streams");
        transfer.receive(file.as_fd(), None, &to, Access::ReadWrite, TxId(1)).map(|()| at)
    }

    fn require_victim(&self, what: &str) {
        assert_eq!(fs::read_to_string(self.top.join("victim")).unwrap(), "the host's", "{what}");
        let mode = self.top.join("victim").metadata().unwrap().permissions().mode() & 0o7777;
        assert_eq!(mode, 0o644, "{what}");
    }
}

#[test]
fn a_stream_becomes_what_it_says() {
    let Some(ground) = Ground::new("a_stream_becomes_what_it_says") else { return };
    let at = ground.receive("v", &sample()).unwrap();
    let file = at.join("d/g");
    assert_eq!(fs::read(&file).unwrap(), b"\0\0\0data");
    let status = file.metadata().unwrap();
    assert_eq!((status.uid(), status.gid(), status.nlink(), status.mtime()), (10, 20, 2, 1_500_000_000));
    assert_eq!(fs::read_link(at.join("l")).unwrap(), Path::new("/etc/passwd"));
    let mut value = [0; 8];
    assert_eq!(rustix::fs::lgetxattr(at.join("l"), "trusted.x", &mut value), Ok(1), "the symlink's own");
    let null = at.join("null").metadata().unwrap();
    assert!(null.file_type().is_char_device() && null.rdev() == 0x103);
    assert_eq!(at.metadata().unwrap().permissions().mode() & 0o7777, 0o711);
    let info = BtrfsDriver.inspect(&Locator::new(NAME, at)).unwrap();
    assert!(info.ours, "it bears its own mark, not the stream's");
}

#[test]
fn a_hostile_stream_touches_nothing_else() {
    let Some(ground) = Ground::new("a_hostile_stream_touches_nothing_else") else { return };
    fs::create_dir(ground.top.join("lure")).unwrap();
    let victim = ground.top.join("victim");
    let victim = victim.to_str().unwrap().as_bytes();
    let top = ground.top.to_str().unwrap().as_bytes();
    let link = |path: &[u8], target: &[u8]| Sent::begun().with(SYMLINK, &[(PATH, path), (PATH_LINK, target)]);
    let other = [9; 16];
    // One that nobody is hurt by, should it be written to after all.
    let null = 0x103;
    let streams: Vec<(&str, Sent)> = vec![
        ("a path upwards", Sent::begun().write(b"../victim", 0, b"x")),
        (
            "a path upwards inside",
            Sent::begun().with(MKDIR, &[(PATH, b"d")]).write(b"d/../../victim", 0, b"x"),
        ),
        ("an absolute path", Sent::begun().write(victim, 0, b"x")),
        ("a symlink that is written to", link(b"l", b"../victim").write(b"l", 0, b"x")),
        ("a symlink on the way", link(b"l", b"..").write(b"l/victim", 0, b"x")),
        ("an absolute symlink on the way", link(b"l", top).write(b"l/victim", 0, b"x")),
        ("a file made behind a symlink", link(b"l", b"..").file(b"l/new")),
        ("a symlink that is truncated", link(b"l", b"../victim").with(TRUNCATE, &[(PATH, b"l"), (4, &n(0))])),
        (
            "a symlink whose mode is set",
            link(b"l", b"../victim").with(CHMOD, &[(PATH, b"l"), (5, &n(0o777))]),
        ),
        ("a rename upwards", Sent::begun().file(b"f").with(RENAME, &[(PATH, b"f"), (PATH_TO, b"../victim")])),
        ("a link upwards", Sent::begun().with(LINK, &[(PATH, b"h"), (PATH_LINK, b"../victim")])),
        ("an unlink behind a symlink", link(b"l", b"..").with(UNLINK, &[(PATH, b"l/victim")])),
        (
            "a link that is swapped after it was opened",
            Sent::begun()
                .file(b"f")
                .write(b"f", 0, b"x")
                .with(UNLINK, &[(PATH, b"f")])
                .with(SYMLINK, &[(PATH, b"f"), (PATH_LINK, b"../victim")])
                .write(b"f", 0, b"x"),
        ),
        ("a fifo that is written to", Sent::begun().with(MKFIFO, &[(PATH, b"p")]).write(b"p", 0, b"x")),
        (
            "a device that is written to",
            Sent::begun().with(MKNOD, &[(PATH, b"b"), (5, &n(0o20600)), (8, &n(null))]).write(b"b", 0, b"x"),
        ),
        (
            "a node that is no device",
            Sent::begun().with(MKNOD, &[(PATH, b"b"), (5, &n(0o100600)), (8, &n(0))]),
        ),
        (
            "blocks of a stranger",
            Sent::begun().file(b"f").with(
                CLONE,
                &[
                    (PATH, b"f"),
                    (18, &n(0)),
                    (24, &n(4096)),
                    (20, &other),
                    (21, &n(1)),
                    (22, b"victim"),
                    (23, &n(0)),
                ],
            ),
        ),
        (
            "blocks of a fifo",
            Sent::begun().file(b"f").with(MKFIFO, &[(PATH, b"p")]).with(
                CLONE,
                &[
                    (PATH, b"f"),
                    (18, &n(0)),
                    (24, &n(4096)),
                    (20, &UUID),
                    (21, &n(1)),
                    (22, b"p"),
                    (23, &n(0)),
                ],
            ),
        ),
        ("the end of the world", Sent::begun().file(b"f").write(b"f", u64::MAX - 1, b"xx")),
        ("a file too large", Sent::begun().file(b"f").with(TRUNCATE, &[(PATH, b"f"), (4, &n(u64::MAX))])),
        ("a second volume", Sent::begun().with(SUBVOL, &[(PATH, b"w"), (1, &UUID), (2, &n(9))])),
        ("no data", Sent::begun().file(b"f").with(UPDATE_EXTENT, &[(PATH, b"f"), (18, &n(0)), (4, &n(9))])),
        (
            "an owner that is nobody",
            Sent::begun().with(CHOWN, &[(PATH, b""), (6, &n(u64::from(u32::MAX))), (7, &n(0))]),
        ),
        ("the root as a file", Sent::begun().write(b"", 0, b"x")),
        ("no volume", Sent::new().file(b"f")),
    ];
    for (number, (what, stream)) in streams.into_iter().enumerate() {
        let e = ground.receive(&format!("v{number}"), &stream.end()).expect_err(what);
        one_line(&e);
        ground.require_victim(what);
        assert!(!ground.top.join("new").exists(), "{what}");
    }
}

#[test]
fn what_has_subvolumes_inside_is_not_sent() {
    let Some(ground) = Ground::new("what_has_subvolumes_inside_is_not_sent") else { return };
    let make = |name: &str| {
        let to = Placement::exactly(&ground.top.join(name)).unwrap();
        let layout = BtrfsDriver.new_layout(&to, None).unwrap();
        BtrfsDriver.create(&layout, &VolumeSpec::default(), TxId(1)).unwrap();
        layout.at
    };
    let (outer, plain) = (make("outer"), Locator::new(NAME, ground.top.join("plain")));
    fs::create_dir(ground.top.join("plain")).unwrap();
    let can_send = |at: &Locator| BtrfsDriver.transfer().unwrap().can_send(at);
    assert!(can_send(&outer) && !can_send(&plain));
    make("outer/inner");
    assert!(!can_send(&outer));
}

#[test]
fn a_copy_between_file_systems_is_a_stream() {
    let (Some(here), Some(there)) = (
        Ground::new("a_copy_between_file_systems_is_a_stream"),
        Ground::new("a_copy_between_file_systems_is_a_stream"),
    ) else {
        return;
    };
    let registry = Registry::default().with(REGISTRATION);
    let store = open(&registry, &Settings::default(), &here.top.join("state")).unwrap();
    let place = |ground: &Ground, name: &str| Placement::exactly(&ground.top.join(name)).unwrap();
    let from = store.create(NAME, &place(&here, "from"), &VolumeSpec::default()).unwrap();
    build(File::open(from.path()).unwrap(), &Shape::privileged()).unwrap();
    let mode = CloneMode::SnapshotElseCopy;
    let made = store.clone_volume(&from, None, &place(&there, "to"), mode, Access::ReadWrite).unwrap();
    assert!(matches!(made.method, Some(Method::Stream(_))), "{:?}", made.method);
    let ignored_xattrs = vec!["user.hull.".to_owned()];
    let options = CompareOptions { ignored_xattrs, ..CompareOptions::default() };
    let trees = [&from, &made.at].map(|at| File::open(at.path()).unwrap());
    assert_eq!(compare(&trees[0], &trees[1], &options).unwrap(), []);
    for (ground, expected) in [(&here, vec!["from", "state", "victim"]), (&there, vec!["to", "victim"])] {
        let mut names: Vec<_> =
            fs::read_dir(&ground.top).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, expected, "no snapshot stays");
    }
    // A full disk on the other side: nothing stays there, and no snapshot here.
    let data = std::iter::repeat_n(b'x', 400 << 20).collect::<Vec<u8>>();
    let written = fs::write(there.top.join("ballast"), &data);
    assert!(written.is_err(), "the scratch file system is smaller");
    fs::write(from.path().join("large"), &data[..8 << 20]).unwrap();
    let e = store.clone_volume(&from, None, &place(&there, "more"), mode, Access::ReadWrite).unwrap_err();
    assert_eq!(e.kind(), ErrorKind::NoSpace, "{e}");
    assert!(e.leftovers().is_empty(), "{e}");
    assert!(
        !fs::read_dir(&there.top).unwrap().any(|e| e
            .unwrap()
            .file_name()
            .to_string_lossy()
            .starts_with(".new"))
    );
    assert!(
        !fs::read_dir(&here.top).unwrap().any(|e| e
            .unwrap()
            .file_name()
            .to_string_lossy()
            .starts_with(".new"))
    );
}
