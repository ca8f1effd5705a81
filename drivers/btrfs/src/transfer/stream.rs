//! Reading btrfs send streams, version 1: bytes in, checked commands out. Nothing is looked up.
//!
//! A stream is a magic word, a version, and commands. A command is its length, number and checksum, and attributes,
//! each with a number and a length. Whoever wrote it may be hostile: what is not exactly as it should be is refused.

use std::io::Read;

use hull_storage::{Error, ErrorKind, Result};

use super::path::StreamPath;

/// What a stream begins with, its version after it.
pub(super) const MAGIC: &[u8; 13] = b"btrfs-stream\0";
pub(super) const VERSION: u32 = 1;
/// Length, number and checksum of a command.
pub(super) const HEAD: usize = 10;
/// The largest command with its head: what the kernel's buffer holds (`BTRFS_SEND_BUF_SIZE_V1`).
pub(super) const LARGEST: usize = 64 << 10;
/// XATTR_NAME_MAX and XATTR_SIZE_MAX.
const LONGEST_NAME: usize = 255;
const LONGEST_VALUE: usize = 64 << 10;
/// How long the target of a symlink can be: PATH_MAX less its NUL.
const LONGEST_TARGET: usize = 4095;

/// A subvolume's UUID.
pub type Uuid = [u8; 16];

/// Seconds and nanoseconds since 1970.
pub type Time = (i64, u32);

/// One thing to do. Paths are below the subvolume that the stream makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the fields are those of the system calls that the variants name")]
pub enum Command<'a> {
    /// Begins a whole volume: the sender's UUID, and the transaction it last changed in.
    Subvolume { uuid: Uuid, generation: u64 },
    /// Begins what is different from an earlier volume.
    Snapshot { uuid: Uuid, generation: u64, base: Uuid, base_generation: u64 },
    /// open(2), exclusively.
    MakeFile { path: StreamPath<'a> },
    /// mkdir(2).
    MakeDirectory { path: StreamPath<'a> },
    /// mknod(2) of a device; the mode says of which type.
    MakeDevice { path: StreamPath<'a>, mode: u32, major: u32, minor: u32 },
    /// mkfifo(3).
    MakeFifo { path: StreamPath<'a> },
    /// mknod(2) of a socket.
    MakeSocket { path: StreamPath<'a> },
    /// symlink(2).
    Symlink { path: StreamPath<'a>, target: &'a [u8] },
    /// rename(2).
    Rename { path: StreamPath<'a>, to: StreamPath<'a> },
    /// link(2) of `existing`.
    Link { path: StreamPath<'a>, existing: StreamPath<'a> },
    /// unlink(2).
    Unlink { path: StreamPath<'a> },
    /// rmdir(2).
    RemoveDirectory { path: StreamPath<'a> },
    /// setxattr(2).
    SetXattr { path: StreamPath<'a>, name: &'a [u8], value: &'a [u8] },
    /// removexattr(2).
    RemoveXattr { path: StreamPath<'a>, name: &'a [u8] },
    /// pwrite(2).
    Write { path: StreamPath<'a>, offset: u64, data: &'a [u8] },
    /// Shares a range of a file of this volume or of the earlier one.
    Clone {
        path: StreamPath<'a>,
        offset: u64,
        length: u64,
        source: Uuid,
        source_path: StreamPath<'a>,
        source_offset: u64,
    },
    /// truncate(2).
    Truncate { path: StreamPath<'a>, size: u64 },
    /// chmod(2).
    Chmod { path: StreamPath<'a>, mode: u32 },
    /// chown(2).
    Chown { path: StreamPath<'a>, uid: u32, gid: u32 },
    /// utimensat(2).
    SetTimes { path: StreamPath<'a>, accessed: Time, modified: Time },
    /// What stands for data in a stream that was made without any.
    NoData { path: StreamPath<'a> },
    /// The stream is complete.
    End,
}

/// Reads the commands of a stream.
#[derive(Debug)]
pub struct Reader<R> {
    from: R,
    buffer: Vec<u8>,
}

impl<R: Read> Reader<R> {
    /// Begins to read.
    ///
    /// Fails with [`ErrorKind::Corrupt`] for what is no stream, and with [`ErrorKind::Unsupported`] for a version
    /// that is not read.
    pub fn new(mut from: R) -> Result<Self> {
        let mut head = [0; MAGIC.len() + 4];
        fill(&mut from, &mut head)?;
        let (magic, version) = head.split_at(MAGIC.len());
        if magic != MAGIC {
            return Err(corrupt("it does not begin as a btrfs stream does"));
        }
        match version.try_into().map(u32::from_le_bytes) {
            Ok(VERSION) => Ok(Self { from, buffer: Vec::new() }),
            Ok(other) => Err(Error::new(
                ErrorKind::Unsupported,
                format!(
                    "a btrfs stream of version {other} is not read, only of version {VERSION}: ask the sender for that"
                ),
            )),
            Err(_) => Err(corrupt("its version is cut off")),
        }
    }

    /// The next command. After [`Command::End`] nothing may come, which [`Reader::finish`] looks at.
    ///
    /// Fails with [`ErrorKind::Corrupt`] for a stream that ends early or is damaged, and with
    /// [`ErrorKind::Unsupported`] for a command that version 1 has not.
    pub fn read(&mut self) -> Result<Command<'_>> {
        let mut head = [0; HEAD];
        fill(&mut self.from, &mut head)?;
        let [l0, l1, l2, l3, n0, n1, c0, c1, c2, c3] = head;
        let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
        let number = u16::from_le_bytes([n0, n1]);
        if length > LARGEST - HEAD {
            return Err(corrupt(&format!(
                "a command says that it has {length} bytes, more than one can have"
            )));
        }
        self.buffer.resize(length, 0);
        fill(&mut self.from, &mut self.buffer)?;
        // Computed with the checksum's own place zero.
        head[6..].fill(0);
        let sum = raw_crc32c(raw_crc32c(0, &head), &self.buffer);
        if sum != u32::from_le_bytes([c0, c1, c2, c3]) {
            return Err(corrupt("a command's checksum is wrong"));
        }
        interpret(number, &self.buffer)
    }

    /// Fails unless the stream has ended.
    pub fn finish(mut self) -> Result<()> {
        let mut more = [0; 1];
        match self.from.read(&mut more) {
            Ok(0) => Ok(()),
            Ok(_) => Err(corrupt("something comes after its end")),
            Err(e) => Err(failed(&e)),
        }
    }
}

/// CRC32C without the inversion before and after it, as btrfs has it.
pub(super) fn raw_crc32c(seed: u32, bytes: &[u8]) -> u32 {
    !crc32c::crc32c_append(!seed, bytes)
}

fn interpret(number: u16, data: &[u8]) -> Result<Command<'_>> {
    let a = Attributes::read(data)?;
    Ok(match number {
        1 => Command::Subvolume { uuid: a.uuid(UUID)?, generation: a.u64(GENERATION)? },
        2 => Command::Snapshot {
            uuid: a.uuid(UUID)?,
            generation: a.u64(GENERATION)?,
            base: a.uuid(CLONE_UUID)?,
            base_generation: a.u64(CLONE_GENERATION)?,
        },
        3 => Command::MakeFile { path: a.entry(PATH)? },
        4 => Command::MakeDirectory { path: a.entry(PATH)? },
        5 => {
            let device = a.u64(RDEV)?;
            let device = u32::try_from(device).map_err(|_| corrupt("a device number is too large"))?;
            // The kernel's new_encode_dev.
            let (major, minor) = ((device & 0xf_ff00) >> 8, (device & 0xff) | ((device >> 12) & 0xf_ff00));
            Command::MakeDevice { path: a.entry(PATH)?, mode: a.u32(MODE)?, major, minor }
        }
        6 => Command::MakeFifo { path: a.entry(PATH)? },
        7 => Command::MakeSocket { path: a.entry(PATH)? },
        8 => Command::Symlink { path: a.entry(PATH)?, target: a.text(PATH_LINK, LONGEST_TARGET)? },
        9 => Command::Rename { path: a.entry(PATH)?, to: a.entry(PATH_TO)? },
        10 => Command::Link { path: a.entry(PATH)?, existing: a.entry(PATH_LINK)? },
        11 => Command::Unlink { path: a.entry(PATH)? },
        12 => Command::RemoveDirectory { path: a.entry(PATH)? },
        13 => {
            let value = a.bytes(XATTR_DATA)?;
            if value.len() > LONGEST_VALUE {
                return Err(corrupt("an extended attribute is too large"));
            }
            Command::SetXattr { path: a.path(PATH)?, name: a.text(XATTR_NAME, LONGEST_NAME)?, value }
        }
        14 => Command::RemoveXattr { path: a.path(PATH)?, name: a.text(XATTR_NAME, LONGEST_NAME)? },
        15 => {
            let (offset, data) = (a.u64(OFFSET)?, a.bytes(DATA)?);
            file_range(offset, data.len() as u64)?;
            Command::Write { path: a.entry(PATH)?, offset, data }
        }
        16 => {
            let (offset, length, source_offset) =
                (a.u64(OFFSET)?, a.u64(CLONE_LENGTH)?, a.u64(CLONE_OFFSET)?);
            file_range(offset, length)?;
            file_range(source_offset, length)?;
            let (source, source_path) = (a.uuid(CLONE_UUID)?, a.entry(CLONE_PATH)?);
            Command::Clone { path: a.entry(PATH)?, offset, length, source, source_path, source_offset }
        }
        17 => {
            let size = a.u64(SIZE)?;
            file_range(size, 0)?;
            Command::Truncate { path: a.entry(PATH)?, size }
        }
        18 => Command::Chmod { path: a.path(PATH)?, mode: a.u32(MODE)? },
        19 => match (a.u32(UID)?, a.u32(GID)?) {
            // chown(2) takes that for no change; nobody has it.
            (u32::MAX, _) | (_, u32::MAX) => return Err(corrupt("an owner is nobody")),
            (uid, gid) => Command::Chown { path: a.path(PATH)?, uid, gid },
        },
        20 => Command::SetTimes { path: a.path(PATH)?, accessed: a.time(ATIME)?, modified: a.time(MTIME)? },
        21 => Command::End,
        22 => Command::NoData { path: a.entry(PATH)? },
        other => {
            return Err(Error::new(
                ErrorKind::Unsupported,
                format!("the btrfs stream has a command number {other}, which version {VERSION} has not"),
            ));
        }
    })
}

/// No file reaches beyond this (loff_t).
fn file_range(offset: u64, length: u64) -> Result<()> {
    match offset.checked_add(length) {
        Some(end) if i64::try_from(end).is_ok() => Ok(()),
        _ => Err(corrupt("a file reaches further than files can")),
    }
}

// The numbers of attributes (btrfs_send_a_*).
const UUID: u16 = 1;
const GENERATION: u16 = 2;
const SIZE: u16 = 4;
const MODE: u16 = 5;
const UID: u16 = 6;
const GID: u16 = 7;
const RDEV: u16 = 8;
const MTIME: u16 = 10;
const ATIME: u16 = 11;
const XATTR_NAME: u16 = 13;
const XATTR_DATA: u16 = 14;
const PATH: u16 = 15;
const PATH_TO: u16 = 16;
const PATH_LINK: u16 = 17;
const OFFSET: u16 = 18;
const DATA: u16 = 19;
const CLONE_UUID: u16 = 20;
const CLONE_GENERATION: u16 = 21;
const CLONE_PATH: u16 = 22;
const CLONE_OFFSET: u16 = 23;
const CLONE_LENGTH: u16 = 24;

/// The attributes of one command, by number.
struct Attributes<'a>([Option<&'a [u8]>; CLONE_LENGTH as usize + 1]);

impl<'a> Attributes<'a> {
    fn read(mut data: &'a [u8]) -> Result<Self> {
        let mut all = Self([None; CLONE_LENGTH as usize + 1]);
        while !data.is_empty() {
            let [n0, n1, l0, l1, rest @ ..] = data else {
                return Err(corrupt("an attribute is cut off"));
            };
            let (number, length) =
                (u16::from_le_bytes([*n0, *n1]), usize::from(u16::from_le_bytes([*l0, *l1])));
            let Some((value, rest)) = rest.split_at_checked(length) else {
                return Err(corrupt("an attribute is longer than its command"));
            };
            match all.0.get_mut(usize::from(number)) {
                Some(slot @ None) => *slot = Some(value),
                Some(Some(_)) => return Err(corrupt("an attribute comes twice in a command")),
                None => return Err(corrupt(&format!("there is no attribute number {number}"))),
            }
            data = rest;
        }
        Ok(all)
    }

    fn bytes(&self, number: u16) -> Result<&'a [u8]> {
        let value = self.0.get(usize::from(number)).copied().flatten();
        value.ok_or_else(|| corrupt(&format!("a command lacks its attribute number {number}")))
    }

    fn array<const N: usize>(&self, number: u16) -> Result<[u8; N]> {
        let bytes = self.bytes(number)?;
        bytes
            .try_into()
            .map_err(|_| corrupt(&format!("the attribute number {number} has {} bytes", bytes.len())))
    }

    fn u64(&self, number: u16) -> Result<u64> {
        self.array(number).map(u64::from_le_bytes)
    }

    /// A number that the stream has 64 bits for and the system 32.
    fn u32(&self, number: u16) -> Result<u32> {
        u32::try_from(self.u64(number)?)
            .map_err(|_| corrupt(&format!("the attribute number {number} is too large a number")))
    }

    fn uuid(&self, number: u16) -> Result<Uuid> {
        self.array(number)
    }

    fn time(&self, number: u16) -> Result<Time> {
        let [s0, s1, s2, s3, s4, s5, s6, s7, n @ ..]: [u8; 12] = self.array(number)?;
        let nanoseconds = u32::from_le_bytes(n);
        if nanoseconds >= 1_000_000_000 {
            return Err(corrupt("a time has too many nanoseconds"));
        }
        Ok((i64::from_le_bytes([s0, s1, s2, s3, s4, s5, s6, s7]), nanoseconds))
    }

    /// What becomes a C string: not empty, without a NUL.
    fn text(&self, number: u16, longest: usize) -> Result<&'a [u8]> {
        let text = self.bytes(number)?;
        match text.is_empty() || text.len() > longest || text.contains(&0) {
            true => Err(corrupt(&format!("the attribute number {number} is no name"))),
            false => Ok(text),
        }
    }

    fn path(&self, number: u16) -> Result<StreamPath<'a>> {
        let text = self.bytes(number)?;
        StreamPath::new(text).ok_or_else(|| {
            let text = String::from_utf8_lossy(&text[..text.len().min(100)]).into_owned();
            corrupt(&format!("its path {text:?} does not stay below the volume"))
        })
    }

    /// A path that is not the volume's root.
    fn entry(&self, number: u16) -> Result<StreamPath<'a>> {
        let path = self.path(number)?;
        if path.is_root() { Err(corrupt("it treats the root as an entry")) } else { Ok(path) }
    }
}

fn fill(from: &mut impl Read, buffer: &mut [u8]) -> Result<()> {
    from.read_exact(buffer).map_err(|e| match e.kind() {
        std::io::ErrorKind::UnexpectedEof => corrupt("it ends too early"),
        _ => failed(&e),
    })
}

fn failed(e: &std::io::Error) -> Error {
    Error::os(
        "cannot read the btrfs stream",
        rustix::io::Errno::from_io_error(e).unwrap_or(rustix::io::Errno::IO),
    )
}

/// The stream is not as it should be.
pub(super) fn corrupt(why: &str) -> Error {
    Error::new(ErrorKind::Corrupt, format!("the btrfs stream is damaged, {why}: send it again"))
}
