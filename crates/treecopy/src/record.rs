//! The records that a packed tree is made of, and their bytes.
//!
//! An entry is what it is and its name (`Directory`, `File`, `Symlink`, `Node`), then what it holds (`Data` and `Size`
//! of a file, the entries of a directory), then `Owner`, any `Xattr`, and `Close`. A further link to an inode is one
//! record. The tree's root is a directory that needs no opening; its `Close` ends the tree. No record has a path, so
//! none can lead anywhere. Numbers are little-endian, names and data begin with their length in four bytes.

use std::io::{Read, Write};

use rustix::fs::FileType;
use rustix::io::Errno;

use crate::error::{Error, ErrorKind, Result};

/// How much data one record has at most.
pub(crate) const LARGEST_DATA: usize = 256 << 10;
/// NAME_MAX, XATTR_NAME_MAX.
const LONGEST_NAME: usize = 255;
/// PATH_MAX less its NUL.
const LONGEST_TARGET: usize = 4095;
/// XATTR_SIZE_MAX.
const LARGEST_XATTR: usize = 64 << 10;

/// By which number the stream knows an inode with several links.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Link {
    /// 0 for an inode with one link.
    pub(crate) number: u64,
    /// How many it has.
    pub(crate) links: u32,
}

impl Link {
    pub(crate) const NONE: Self = Self { number: 0, links: 1 };
}

/// What is neither file nor directory nor symlink.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Node {
    Fifo,
    Socket,
    CharacterDevice,
    BlockDevice,
}

impl Node {
    const ALL: [(u8, Self, FileType); 4] = [
        (b'p', Self::Fifo, FileType::Fifo),
        (b's', Self::Socket, FileType::Socket),
        (b'c', Self::CharacterDevice, FileType::CharacterDevice),
        (b'b', Self::BlockDevice, FileType::BlockDevice),
    ];

    pub(crate) fn of(kind: FileType) -> Option<Self> {
        Self::ALL.into_iter().find(|(_, _, k)| *k == kind).map(|(_, node, _)| node)
    }

    pub(crate) fn file_type(self) -> FileType {
        Self::ALL.into_iter().find(|(_, node, _)| *node == self).map_or(FileType::Fifo, |(_, _, kind)| kind)
    }

    fn byte(self) -> u8 {
        Self::ALL.into_iter().find(|(_, node, _)| *node == self).map_or(b'p', |(byte, _, _)| byte)
    }
}

/// One record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Record<'a> {
    Directory { name: &'a [u8] },
    File { name: &'a [u8], link: Link },
    Symlink { name: &'a [u8], link: Link, target: &'a [u8] },
    Node { name: &'a [u8], link: Link, node: Node, major: u32, minor: u32 },
    Link { name: &'a [u8], link: Link },
    Data { offset: u64, data: &'a [u8] },
    Size { size: u64 },
    Owner { uid: u32, gid: u32 },
    Xattr { name: &'a [u8], value: &'a [u8] },
    Close { mode: u32, accessed: (i64, u32), modified: (i64, u32) },
}

impl Record<'_> {
    pub(crate) fn write(&self, to: &mut dyn Write) -> Result<()> {
        let mut head = Bytes(Vec::with_capacity(64));
        let mut data: &[u8] = &[];
        match *self {
            Self::Directory { name } => head.tag(b'd').text(name),
            Self::File { name, link } => head.tag(b'f').text(name).link(link),
            Self::Symlink { name, link, target } => head.tag(b'l').text(name).link(link).text(target),
            Self::Node { name, link, node, major, minor } => {
                head.tag(b'n').text(name).link(link).tag(node.byte()).u32(major).u32(minor)
            }
            Self::Link { name, link } => head.tag(b'h').text(name).link(link),
            Self::Data { offset, data: bytes } => {
                data = bytes;
                head.tag(b'=').u64(offset).u32(bytes.len() as u32)
            }
            Self::Size { size } => head.tag(b'z').u64(size),
            Self::Owner { uid, gid } => head.tag(b'o').u32(uid).u32(gid),
            Self::Xattr { name, value } => head.tag(b'x').text(name).text(value),
            Self::Close { mode, accessed, modified } => {
                head.tag(b'.').u32(mode).time(accessed).time(modified)
            }
        };
        let written = to.write_all(&head.0).and_then(|()| to.write_all(data));
        written.map_err(|e| Error::os("write", Errno::from_io_error(&e).unwrap_or(Errno::IO)))
    }
}

/// A record being written.
struct Bytes(Vec<u8>);

impl Bytes {
    fn tag(&mut self, tag: u8) -> &mut Self {
        self.0.push(tag);
        self
    }

    fn u32(&mut self, number: u32) -> &mut Self {
        self.0.extend(number.to_le_bytes());
        self
    }

    fn u64(&mut self, number: u64) -> &mut Self {
        self.0.extend(number.to_le_bytes());
        self
    }

    fn text(&mut self, text: &[u8]) -> &mut Self {
        self.u32(text.len() as u32).0.extend(text);
        self
    }

    fn link(&mut self, link: Link) -> &mut Self {
        self.u64(link.number).u32(link.links)
    }

    fn time(&mut self, (seconds, nanoseconds): (i64, u32)) -> &mut Self {
        self.0.extend(seconds.to_le_bytes());
        self.u32(nanoseconds)
    }
}

/// Reads records.
pub(crate) struct Records<'a> {
    from: &'a mut dyn Read,
    name: Vec<u8>,
    data: Vec<u8>,
}

impl<'a> Records<'a> {
    pub(crate) fn new(from: &'a mut dyn Read) -> Self {
        Self { from, name: Vec::new(), data: Vec::new() }
    }

    /// The next record.
    pub(crate) fn read(&mut self) -> Result<Record<'_>> {
        let [tag] = array(self.from)?;
        match tag {
            b'd' | b'f' | b'l' | b'n' | b'h' => {
                text(self.from, &mut self.name, LONGEST_NAME)?;
                let name = &self.name[..];
                if name.is_empty()
                    || name == b"."
                    || name == b".."
                    || name.iter().any(|b| matches!(b, 0 | b'/'))
                {
                    return Err(damaged("an entry's name is none"));
                }
                if tag == b'd' {
                    return Ok(Record::Directory { name });
                }
                let link = Link { number: u64(self.from)?, links: u32(self.from)? };
                match tag {
                    b'f' => Ok(Record::File { name, link }),
                    b'l' => {
                        text(self.from, &mut self.data, LONGEST_TARGET)?;
                        match self.data.is_empty() || self.data.contains(&0) {
                            true => Err(damaged("a symlink leads nowhere")),
                            false => Ok(Record::Symlink { name, link, target: &self.data }),
                        }
                    }
                    b'n' => {
                        let [byte] = array(self.from)?;
                        let (major, minor) = (u32(self.from)?, u32(self.from)?);
                        match Node::ALL.into_iter().find(|(b, _, _)| *b == byte) {
                            Some((_, node, _)) => Ok(Record::Node { name, link, node, major, minor }),
                            None => Err(damaged("an entry is of no known type")),
                        }
                    }
                    _ if link.number == 0 => Err(damaged("a link is to nothing")),
                    _ => Ok(Record::Link { name, link }),
                }
            }
            b'=' => {
                let offset = u64(self.from)?;
                text(self.from, &mut self.data, LARGEST_DATA)?;
                within_a_file(offset, self.data.len() as u64)?;
                Ok(Record::Data { offset, data: &self.data })
            }
            b'z' => {
                let size = u64(self.from)?;
                within_a_file(size, 0)?;
                Ok(Record::Size { size })
            }
            b'o' => match (u32(self.from)?, u32(self.from)?) {
                // chown(2) takes that for no change; nobody has it.
                (u32::MAX, _) | (_, u32::MAX) => Err(damaged("an owner is nobody")),
                (uid, gid) => Ok(Record::Owner { uid, gid }),
            },
            b'x' => {
                text(self.from, &mut self.name, LONGEST_NAME)?;
                text(self.from, &mut self.data, LARGEST_XATTR)?;
                match self.name.is_empty() || self.name.contains(&0) {
                    true => Err(damaged("an extended attribute has no name")),
                    false => Ok(Record::Xattr { name: &self.name, value: &self.data }),
                }
            }
            b'.' => {
                let mode = u32(self.from)?;
                if mode > 0o7777 {
                    return Err(damaged("a mode has bits that modes have not"));
                }
                Ok(Record::Close { mode, accessed: time(self.from)?, modified: time(self.from)? })
            }
            _ => Err(damaged(format!("there is no record {tag:#04x}"))),
        }
    }
}

fn array<const N: usize>(from: &mut dyn Read) -> Result<[u8; N]> {
    let mut bytes = [0; N];
    fill(from, &mut bytes)?;
    Ok(bytes)
}

fn u32(from: &mut dyn Read) -> Result<u32> {
    array(from).map(u32::from_le_bytes)
}

fn u64(from: &mut dyn Read) -> Result<u64> {
    array(from).map(u64::from_le_bytes)
}

fn time(from: &mut dyn Read) -> Result<(i64, u32)> {
    let (seconds, nanoseconds) = (i64::from_le_bytes(array(from)?), u32(from)?);
    match nanoseconds < 1_000_000_000 {
        true => Ok((seconds, nanoseconds)),
        false => Err(damaged("a time has too many nanoseconds")),
    }
}

fn text(from: &mut dyn Read, into: &mut Vec<u8>, longest: usize) -> Result<()> {
    let length = u32(from)? as usize;
    if length > longest {
        return Err(damaged(format!("{length} bytes stand where there can be at most {longest}")));
    }
    into.resize(length, 0);
    fill(from, into)
}

fn fill(from: &mut dyn Read, into: &mut [u8]) -> Result<()> {
    from.read_exact(into).map_err(|e| match e.kind() {
        std::io::ErrorKind::UnexpectedEof => damaged("it ends too early"),
        _ => Error::os("read", Errno::from_io_error(&e).unwrap_or(Errno::IO)),
    })
}

/// No file reaches beyond this (loff_t).
fn within_a_file(offset: u64, length: u64) -> Result<()> {
    match offset.checked_add(length).map(i64::try_from) {
        Some(Ok(_)) => Ok(()),
        _ => Err(damaged("a file reaches further than files can")),
    }
}

/// The packed tree is not as it should be.
pub(crate) fn damaged(why: impl std::fmt::Display) -> Error {
    Error::found(ErrorKind::Corrupt, format!("the packed tree is damaged, {why}"), "send it again")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let link = Link { number: 7, links: 2 };
        let records = [
            Record::Directory { name: b"d" },
            Record::File { name: b"\xff\n", link },
            Record::Data { offset: 1 << 40, data: b"data" },
            Record::Size { size: 1 << 41 },
            Record::Owner { uid: u32::MAX - 1, gid: 5 },
            Record::Xattr { name: b"user.x", value: b"" },
            Record::Close { mode: 0o4755, accessed: (-1, 999_999_999), modified: (1 << 40, 0) },
            Record::Link { name: b"h", link },
            Record::Symlink { name: b"l", link: Link::NONE, target: b"../.." },
            Record::Node { name: b"n", link: Link::NONE, node: Node::BlockDevice, major: 8, minor: 1 << 19 },
        ];
        let mut bytes = Vec::new();
        records.iter().for_each(|record| record.write(&mut bytes).unwrap());
        let mut rest = &bytes[..];
        for expected in records {
            assert_eq!(Records::new(&mut rest).read().unwrap(), expected);
        }
        assert!(rest.is_empty());
    }

    #[test]
    fn what_is_wrong_is_refused() {
        let name = |text: &[u8]| [&b"d"[..], &(text.len() as u32).to_le_bytes(), text].concat();
        let mut wrong: Vec<Vec<u8>> =
            [&b""[..], b".", b"..", b"a/b", b"/", b"a\0", &[b'x'; 256]].map(name).to_vec();
        wrong.push(b"?".to_vec());
        // Found by the fuzzer: a panic in debug builds, and the wrong owner in others.
        wrong.push([&b"o"[..], &u32::MAX.to_le_bytes(), &0u32.to_le_bytes()].concat());
        wrong.push([&b"o"[..], &0u32.to_le_bytes(), &u32::MAX.to_le_bytes()].concat());
        wrong.push([&b"="[..], &u64::MAX.to_le_bytes(), &1u32.to_le_bytes(), b"x"].concat());
        wrong.push([&b"="[..], &0u64.to_le_bytes(), &u32::MAX.to_le_bytes()].concat());
        wrong.push([&b"z"[..], &u64::MAX.to_le_bytes()].concat());
        wrong.push([&b"."[..], &0o10000u32.to_le_bytes(), &[0; 24]].concat());
        wrong.push([&b"."[..], &0u32.to_le_bytes(), &[0xff; 24]].concat());
        for bytes in wrong {
            let mut from = &bytes[..];
            let error = Records::new(&mut from).read().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{bytes:?}: {error}");
            assert_eq!(error.to_string().lines().count(), 1);
        }
    }
}
