//! The frames that a volume travels in: header, data, end; each with its length and checksum.
//!
//! ```text
//! stream:  magic (14 bytes)  version (2)  frame…
//! frame:   kind (1)  length (4)  that many bytes  CRC32C (4) of all frames up to here
//! kinds:   H, once, first: JSON      D: data      E, once, last: how many bytes of data there were (8)
//! ```
//!
//! Numbers are little-endian. Each checksum continues the one before, so that a frame left out, doubled or moved is
//! noticed, too. It guards against accidents, not against people. `docs/stream-format.md` says it at length.

use std::io::{self, Read, Write};
use std::ops::ControlFlow;

use hull_treecopy::Observer;
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result};
use crate::volume::Bytes;

/// What a stream begins with. The line ends and the control character are there to be mangled by whatever takes a
/// stream for text, so that this is noticed at once.
const MAGIC: &[u8; 14] = b"hull volume\r\n\x1a";
const VERSION: u16 = 1;
/// How many bytes of data are put into one frame.
const CHUNK: usize = 256 << 10;
/// How many are read from one, and how large a header can be.
const LARGEST: usize = 1 << 20;
const LARGEST_HEADER: usize = 64 << 10;

/// What a stream says of itself before its data. Members may be added; unknown ones are passed over.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Header {
    /// The format of the data: [`TREE`], or that of a store's own streams.
    pub format: String,
    /// The store that the volume was in.
    pub store: String,
    /// Whether the volume could only be read.
    #[serde(default)]
    pub read_only: bool,
    /// Its size or limit, where it had one.
    #[serde(default)]
    pub size: Option<Bytes>,
    /// The file system that was the volume's own, where it had one.
    #[serde(default)]
    pub fstype: Option<String>,
    /// What the sender calls the snapshot that the receiver must have, where only the difference to it is sent.
    #[serde(default)]
    pub since: Option<String>,
}

/// The format that every store can send and receive: a packed tree.
pub const TREE: &str = "tree";

/// Puts data into frames.
pub(crate) struct Sender<'a> {
    to: &'a mut dyn Write,
    observer: &'a dyn Observer,
    sum: u32,
    total: u64,
    chunk: Vec<u8>,
    failed: Option<Error>,
}

impl<'a> Sender<'a> {
    /// Begins a stream. `observer` hears of the bytes.
    pub(crate) fn new(to: &'a mut dyn Write, header: &Header, observer: &'a dyn Observer) -> Result<Self> {
        let text = serde_json::to_vec(header)
            .map_err(|e| Error::new(ErrorKind::Os, "cannot write the header of the stream").because(e))?;
        let mut sender =
            Self { to, observer, sum: 0, total: 0, chunk: Vec::with_capacity(CHUNK), failed: None };
        sender.put(&[&MAGIC[..], &VERSION.to_le_bytes()].concat())?;
        sender.frame(b'H', &text)?;
        Ok(sender)
    }

    /// Ends the stream; returns how many bytes of data it has.
    pub(crate) fn finish(mut self) -> Result<u64> {
        self.send_chunk()?;
        self.frame(b'E', &self.total.to_le_bytes())?;
        self.to.flush().map_err(|e| writing(&e))?;
        Ok(self.total)
    }

    /// Why writing failed, where that was more than an error number can say.
    pub(crate) fn take_failure(&mut self) -> Option<Error> {
        self.failed.take()
    }

    fn send_chunk(&mut self) -> Result<()> {
        if self.chunk.is_empty() {
            return Ok(());
        }
        if self.observer.progress(0, self.total) == ControlFlow::Break(()) {
            return Err(Error::new(ErrorKind::Cancelled, "cancelled"));
        }
        let chunk = std::mem::take(&mut self.chunk);
        self.frame(b'D', &chunk)?;
        self.total += chunk.len() as u64;
        self.chunk = chunk;
        self.chunk.clear();
        Ok(())
    }

    fn frame(&mut self, kind: u8, content: &[u8]) -> Result<()> {
        let mut head = [kind, 0, 0, 0, 0];
        head[1..].copy_from_slice(&(content.len() as u32).to_le_bytes());
        self.sum = crc32c::crc32c_append(crc32c::crc32c_append(self.sum, &head), content);
        self.put(&head)?;
        self.put(content)?;
        self.put(&self.sum.to_le_bytes())
    }

    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.to.write_all(bytes).map_err(|e| writing(&e))
    }
}

impl Write for Sender<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let part = &bytes[..bytes.len().min(CHUNK - self.chunk.len())];
        self.chunk.extend_from_slice(part);
        if self.chunk.len() == CHUNK
            && let Err(e) = self.send_chunk()
        {
            let errno = e.errno();
            self.failed = Some(e);
            return Err(errno.into());
        }
        Ok(part.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Takes data out of frames.
pub(crate) struct Receiver<'a> {
    from: &'a mut dyn Read,
    observer: &'a dyn Observer,
    sum: u32,
    total: u64,
    chunk: Vec<u8>,
    /// How much of the chunk has been taken.
    taken: usize,
    ended: bool,
    failed: Option<Error>,
}

impl<'a> Receiver<'a> {
    /// Begins to read a stream.
    pub(crate) fn new(from: &'a mut dyn Read, observer: &'a dyn Observer) -> Result<(Header, Self)> {
        let mut receiver = Self {
            from,
            observer,
            sum: 0,
            total: 0,
            chunk: Vec::new(),
            taken: 0,
            ended: false,
            failed: None,
        };
        let mut head = [0; MAGIC.len() + 2];
        receiver.fill(&mut head)?;
        let (magic, version) = head.split_at(MAGIC.len());
        if magic != MAGIC {
            return Err(Error::new(
                ErrorKind::InvalidInput,
                "what comes in is not a stream of a Hull volume: send one with `hull volume send`",
            ));
        }
        if version != VERSION.to_le_bytes() {
            let version = version.iter().rev().fold(0u16, |n, &byte| n << 8 | u16::from(byte));
            return Err(Error::new(
                ErrorKind::Unsupported,
                format!("the stream has version {version}, and this Hull reads {VERSION}: update it"),
            ));
        }
        if receiver.frame()? != b'H' || receiver.chunk.len() > LARGEST_HEADER {
            return Err(damaged("it has no header"));
        }
        let header =
            serde_json::from_slice(&receiver.chunk).map_err(|_| damaged("its header cannot be read"))?;
        receiver.taken = receiver.chunk.len();
        Ok((header, receiver))
    }

    /// Leaves it to whoever takes the data to tell the observer, and to ask him.
    pub(crate) fn be_silent(&mut self) {
        self.observer = &();
    }

    /// Requires that all data has been taken, and that it was all there is.
    pub(crate) fn finish(&mut self) -> Result<u64> {
        if self.taken < self.chunk.len() {
            return Err(damaged("it goes on after its volume is complete"));
        }
        if !self.ended {
            self.advance()?;
            if !self.ended {
                return Err(damaged("it goes on after its volume is complete"));
            }
        }
        Ok(self.total)
    }

    /// Why reading failed, where that was more than an error number can say.
    pub(crate) fn take_failure(&mut self) -> Option<Error> {
        self.failed.take()
    }

    /// Reads the next chunk, or the end.
    fn advance(&mut self) -> Result<()> {
        if self.observer.progress(0, self.total) == ControlFlow::Break(()) {
            return Err(Error::new(ErrorKind::Cancelled, "cancelled"));
        }
        match self.frame()? {
            b'D' => {
                self.total += self.chunk.len() as u64;
                self.taken = 0;
                Ok(())
            }
            b'E' if self.chunk == self.total.to_le_bytes() => {
                self.ended = true;
                self.taken = self.chunk.len();
                Ok(())
            }
            b'E' => Err(damaged("it does not have as much data as it says at its end")),
            _ => Err(damaged("it has a frame that no stream has there")),
        }
    }

    /// Reads one frame into the chunk, and returns its kind.
    fn frame(&mut self) -> Result<u8> {
        let mut head = [0; 5];
        self.fill(&mut head)?;
        let [kind, l0, l1, l2, l3] = head;
        let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
        if length > LARGEST {
            return Err(damaged(format!("a frame says that it has {length} bytes, more than one can have")));
        }
        let mut chunk = std::mem::take(&mut self.chunk);
        chunk.resize(length, 0);
        self.fill(&mut chunk)?;
        let mut sum = [0; 4];
        self.fill(&mut sum)?;
        self.sum = crc32c::crc32c_append(crc32c::crc32c_append(self.sum, &head), &chunk);
        if self.sum != u32::from_le_bytes(sum) {
            return Err(damaged("a checksum is wrong"));
        }
        self.chunk = chunk;
        Ok(kind)
    }

    fn fill(&mut self, into: &mut [u8]) -> Result<()> {
        self.from.read_exact(into).map_err(|e| match e.kind() {
            io::ErrorKind::UnexpectedEof => damaged("it ends too early"),
            _ => {
                let errno = Errno::from_io_error(&e).unwrap_or(Errno::IO);
                match ErrorKind::of(errno) {
                    ErrorKind::Cancelled => Error::new(ErrorKind::Cancelled, "cancelled"),
                    _ => Error::os("cannot read the stream", errno),
                }
            }
        })
    }
}

impl Read for Receiver<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.taken == self.chunk.len() && !self.ended && !into.is_empty() {
            if let Err(e) = self.advance() {
                let errno = e.errno();
                self.failed = Some(e);
                return Err(errno.into());
            }
        }
        if self.ended {
            return Ok(0);
        }
        let rest = &self.chunk[self.taken..];
        let count = rest.len().min(into.len());
        into[..count].copy_from_slice(&rest[..count]);
        self.taken += count;
        Ok(count)
    }
}

fn writing(e: &io::Error) -> Error {
    let errno = Errno::from_io_error(e).unwrap_or(Errno::IO);
    match errno {
        Errno::CANCELED | Errno::INTR => Error::new(ErrorKind::Cancelled, "cancelled"),
        Errno::PIPE => Error::os("cannot write the stream, as nobody reads it any more", errno),
        _ => Error::os("cannot write the stream", errno),
    }
}

fn damaged(why: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Corrupt, format!("the stream is damaged, {why}: send it again"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        Header { format: TREE.into(), store: "sim".into(), size: Some(Bytes(5)), ..Header::default() }
    }

    fn sent(data: &[u8]) -> Vec<u8> {
        let mut to = Vec::new();
        let mut sender = Sender::new(&mut to, &header(), &()).unwrap();
        sender.write_all(data).unwrap();
        assert_eq!(sender.finish().unwrap(), data.len() as u64);
        to
    }

    fn received(mut bytes: &[u8]) -> Result<Vec<u8>> {
        let (head, mut receiver) = Receiver::new(&mut bytes, &())?;
        assert_eq!(head, header());
        let mut data = Vec::new();
        if let Err(e) = receiver.read_to_end(&mut data) {
            return Err(receiver.take_failure().unwrap_or_else(|| panic!("{e}")));
        }
        receiver.finish().map(|_| data)
    }

    #[test]
    fn what_goes_in_comes_out() {
        for length in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK] {
            let data: Vec<u8> = (0..length).map(|i| (i * 7) as u8).collect();
            assert_eq!(received(&sent(&data)).unwrap(), data);
        }
    }

    #[test]
    fn nothing_can_be_lost_or_changed_unnoticed() {
        let whole = sent(b"some data");
        for end in 0..whole.len() {
            assert_eq!(received(&whole[..end]).unwrap_err().kind(), ErrorKind::Corrupt, "cut off at {end}");
        }
        for at in 0..whole.len() {
            for bit in 0..8 {
                let mut bytes = whole.clone();
                bytes[at] ^= 1 << bit;
                let e = received(&bytes).expect_err("a bit is flipped");
                assert_eq!(e.to_string().lines().count(), 1);
            }
        }
        // A frame that is doubled, or left out.
        let mut data = vec![0; 2 * CHUNK];
        data[CHUNK] = 1;
        let two = sent(&data);
        let length = CHUNK + 9;
        let first =
            two.windows(5).position(|w| w[0] == b'D' && w[1..] == (CHUNK as u32).to_le_bytes()).unwrap();
        let frames = (
            &two[first..first + length],
            &two[first + length..first + 2 * length],
            &two[first + 2 * length..],
        );
        for order in [vec![frames.0, frames.0, frames.1], vec![frames.1], vec![frames.1, frames.0], vec![]] {
            let bytes = [&two[..first], &order.concat(), frames.2].concat();
            assert_eq!(received(&bytes).unwrap_err().kind(), ErrorKind::Corrupt);
        }
    }

    #[test]
    fn what_follows_is_left_alone() {
        let both = [sent(b"one"), sent(b"two")].concat();
        let mut from = &both[..];
        for expected in [b"one", b"two"] {
            let (_, mut receiver) = Receiver::new(&mut from, &()).unwrap();
            let mut data = Vec::new();
            receiver.read_to_end(&mut data).unwrap();
            receiver.finish().unwrap();
            assert_eq!(data, expected);
        }
        assert!(from.is_empty());
    }

    #[test]
    fn what_is_no_stream_says_so() {
        let e = received(b"btrfs-stream\0 and more").unwrap_err();
        assert!(e.to_string().contains("hull volume send"), "{e}");
    }
}
