//! What the kernel sends, handed on whole, however often it begins anew.
//!
//! BTRFS_IOC_SEND writes to a pipe. When the process is stopped (Ctrl-Z), frozen or suspended while that pipe is full,
//! the kernel gives up in the middle of a command and, once the process goes on, begins the stream again from its
//! head. A read-only subvolume is sent the same way each time, so what was handed on already is passed over, compared
//! by its checksum, and the stream goes on where it was.

use std::io::Read;

use hull_storage::{Error, ErrorKind, Result};
use rustix::fd::BorrowedFd;

use super::stream::{HEAD, LARGEST, MAGIC, VERSION, raw_crc32c};

/// Hands the stream that comes out of `from` on to `to`, until it ends.
pub(super) fn forward(mut from: impl Read, to: BorrowedFd<'_>) -> Result<()> {
    let mut forwarder = Forwarder { to, forwarded: 0, sum: 0, again: None };
    let mut pending: Vec<u8> = Vec::new();
    let mut buffer = vec![0; 128 << 10];
    let mut at_head = true;
    loop {
        let mut done = 0;
        loop {
            match look(&pending[done..], at_head) {
                Look::Whole(length) => {
                    forwarder.emit(&pending[done..done + length])?;
                    done += length;
                    at_head = false;
                }
                Look::BegunAgain(skipped) => {
                    forwarder.again = (forwarder.forwarded > 0).then_some((0, 0));
                    done += skipped;
                    at_head = true;
                }
                Look::TooLittle => break,
                Look::Damaged => return Err(damaged()),
            }
        }
        pending.drain(..done);
        match from.read(&mut buffer) {
            Ok(0) if pending.is_empty() && forwarder.again.is_none() => return Ok(()),
            Ok(0) => return Err(damaged()),
            Ok(count) => pending.extend_from_slice(&buffer[..count]),
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(Error::new(ErrorKind::Os, "cannot read what the kernel sends").because(e)),
        }
    }
}

/// What stands at the beginning of some bytes.
#[derive(Debug, PartialEq, Eq)]
enum Look {
    /// The head of the stream, or a command, of so many bytes.
    Whole(usize),
    /// After so many bytes of a command that was given up, the head of the stream.
    BegunAgain(usize),
    /// More must come before it can be told.
    TooLittle,
    Damaged,
}

fn look(bytes: &[u8], at_head: bool) -> Look {
    if at_head {
        return if bytes.len() < head().len() {
            Look::TooLittle
        } else if bytes.starts_with(&head()) {
            Look::Whole(head().len())
        } else {
            Look::Damaged
        };
    }
    match command(bytes) {
        Some(Some(length)) => Look::Whole(length),
        None => Look::TooLittle,
        Some(None) => {
            // A file may hold a stream: only one that begins with a volume is the kernel's.
            let heads = bytes.windows(head().len()).enumerate().filter(|(_, window)| *window == head());
            for (at, _) in heads {
                let first = &bytes[at + head().len()..];
                match command(first) {
                    Some(Some(_)) if matches!(first[4..6], [1 | 2, 0]) => return Look::BegunAgain(at),
                    None if first.len() < LARGEST => return Look::TooLittle,
                    _ => {}
                }
            }
            // The head itself may not have come wholly.
            if bytes.len() < LARGEST + head().len() { Look::TooLittle } else { Look::Damaged }
        }
    }
}

/// The length of the command that `bytes` begin with: `None` if there is not enough of it, `Some(None)` if it is none.
fn command(bytes: &[u8]) -> Option<Option<usize>> {
    let head: [u8; HEAD] = bytes.get(..HEAD)?.try_into().ok()?;
    let length = HEAD + u32::from_le_bytes([head[0], head[1], head[2], head[3]]) as usize;
    if length > LARGEST {
        return Some(None);
    }
    let content = bytes.get(HEAD..length)?;
    let mut plain = head;
    plain[6..].fill(0);
    let sum = raw_crc32c(raw_crc32c(0, &plain), content);
    Some((sum.to_le_bytes() == head[6..]).then_some(length))
}

fn head() -> [u8; MAGIC.len() + 4] {
    let mut head = [0; MAGIC.len() + 4];
    head[..MAGIC.len()].copy_from_slice(MAGIC);
    head[MAGIC.len()..].copy_from_slice(&VERSION.to_le_bytes());
    head
}

struct Forwarder<'a> {
    to: BorrowedFd<'a>,
    /// How many bytes were handed on, and their checksum.
    forwarded: u64,
    sum: u32,
    /// The same of what has come since the stream began again; `None` once it has caught up.
    again: Option<(u64, u32)>,
}

impl Forwarder<'_> {
    fn emit(&mut self, bytes: &[u8]) -> Result<()> {
        if let Some((passed, sum)) = &mut self.again {
            *passed += bytes.len() as u64;
            *sum = raw_crc32c(*sum, bytes);
            if *passed > self.forwarded || (*passed == self.forwarded && *sum != self.sum) {
                return Err(Error::new(
                    ErrorKind::InUse,
                    "sending was interrupted, and the volume was not the same afterwards: send it again",
                ));
            }
            if *passed == self.forwarded {
                self.again = None;
            }
            return Ok(());
        }
        self.forwarded += bytes.len() as u64;
        self.sum = raw_crc32c(self.sum, bytes);
        let mut rest = bytes;
        while !rest.is_empty() {
            let written = rustix::io::retry_on_intr(|| rustix::io::write(self.to, rest))
                .map_err(|e| Error::os("cannot write the btrfs stream", e))?;
            rest = &rest[written..];
        }
        Ok(())
    }
}

fn damaged() -> Error {
    Error::new(ErrorKind::Os, "the kernel has not sent the volume to its end: send it again")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Seek, SeekFrom};
    use std::os::fd::AsFd;

    fn made(number: u16, content: &[u8]) -> Vec<u8> {
        let mut all =
            [&(content.len() as u32).to_le_bytes()[..], &number.to_le_bytes(), &[0; 4], content].concat();
        let sum = raw_crc32c(0, &all);
        all[6..10].copy_from_slice(&sum.to_le_bytes());
        all
    }

    fn forwarded(bytes: &[u8]) -> Result<Vec<u8>> {
        let mut file = tempfile::tempfile().unwrap();
        forward(bytes, file.as_fd())?;
        file.seek(SeekFrom::Start(0)).unwrap();
        let mut all = Vec::new();
        file.read_to_end(&mut all).unwrap();
        Ok(all)
    }

    #[test]
    fn a_stream_that_begins_again_goes_on() {
        // A file's content that looks like a stream in part must not confuse it.
        let stored = [&head()[..], b"and more"].concat();
        let whole =
            [&head()[..], &made(1, b"volume"), &made(15, &stored), &made(15, &[9; 500]), &made(21, b"")]
                .concat();
        assert_eq!(forwarded(&whole).unwrap(), whole);
        for cut in head().len()..whole.len() {
            let again = [&whole[..cut], &whole].concat();
            assert_eq!(forwarded(&again).unwrap(), whole, "begun again at {cut}");
            let thrice = [&whole[..cut], &whole[..cut / 2 + head().len()], &whole].concat();
            assert_eq!(forwarded(&thrice).unwrap(), whole, "begun again twice at {cut}");
            assert!(forwarded(&whole[..cut]).is_err() || is_boundary(&whole, cut), "cut off at {cut}");
        }
    }

    /// Whether a command begins there: the kernel itself says whether that was all.
    fn is_boundary(whole: &[u8], cut: usize) -> bool {
        let mut at = head().len();
        while at < cut {
            at += command(&whole[at..]).flatten().unwrap();
        }
        at == cut
    }

    #[test]
    fn another_stream_after_the_first_is_refused() {
        let one = [&head()[..], &made(1, b"volume"), &made(15, b"data")].concat();
        let other = [&head()[..], &made(1, b"volume"), &made(15, b"DATA"), &made(21, b"")].concat();
        assert_eq!(forwarded(&[one, other].concat()).unwrap_err().kind(), ErrorKind::InUse);
    }
}
