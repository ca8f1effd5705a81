//! What the device mapper says of its devices: `/dev/mapper/control`, `<linux/dm-ioctl.h>`.

use std::ffi::CStr;
use std::os::fd::AsRawFd;

use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;

use crate::{Error, Result};

const CONTROL: &str = "/dev/mapper/control";
/// `_IOWR(DM_IOCTL, DM_TABLE_STATUS_CMD, struct dm_ioctl)`.
const TABLE_STATUS: u32 = 0xc138_fd0c;
/// The interface of Linux 2.6, which every later kernel takes.
const VERSION: u32 = 4;
/// Thin pools need not commit their metadata first.
const NO_FLUSH: u32 = 1 << 11;
/// There was more to say than fits.
const BUFFER_FULL: u32 = 1 << 8;

/// Where the fields of `struct dm_ioctl` are, and how long it is.
const DATA_SIZE: usize = 12;
const DATA_START: usize = 16;
const TARGETS: usize = 20;
const FLAGS: usize = 28;
const NAME: usize = 48;
const NAME_LENGTH: usize = 128;
const HEAD: usize = 312;
/// Room for the head and one target's answer, of some hundred bytes.
const ROOM: u32 = 4096;
/// `struct dm_target_spec`: two sectors, a status, where the next one begins, a type.
const SPEC: usize = 40;
const KIND: usize = 24;

/// What the first target of a device says of itself, as in the kernel's documentation of its kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// The kind of the target, as `thin-pool`.
    pub kind: String,
    /// How it is.
    pub text: String,
}

/// Asks for the status of the device called `name`, without having it written out first; `None` for a device of no target.
///
/// Requires `CAP_SYS_ADMIN`. No such device: `ENXIO`.
pub fn status(name: &str) -> Result<Option<Status>> {
    let describe = || format!("ioctl({CONTROL}, DM_TABLE_STATUS, {name:?})");
    let mut buffer = [0_u8; ROOM as usize];
    let put = |buffer: &mut [u8], at: usize, number: u32| {
        buffer[at..at + 4].copy_from_slice(&number.to_ne_bytes());
    };
    put(&mut buffer, 0, VERSION);
    put(&mut buffer, DATA_SIZE, ROOM);
    put(&mut buffer, DATA_START, HEAD as u32);
    put(&mut buffer, FLAGS, NO_FLUSH);
    if name.is_empty() || name.len() >= NAME_LENGTH || name.contains('\0') {
        return Err(Error::new(describe(), Errno::INVAL));
    }
    buffer[NAME..NAME + name.len()].copy_from_slice(name.as_bytes());
    let control = rustix::fs::openat(CWD, CONTROL, OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
        .map_err(|e| Error::new(format!("open({CONTROL})"), e))?;
    // SAFETY: the buffer is live, is as long as it says, and begins with a `struct dm_ioctl`, which has no alignment that
    // the kernel asks for: it copies it.
    let result =
        unsafe { libc::ioctl(control.as_raw_fd(), TABLE_STATUS as libc::Ioctl, buffer.as_mut_ptr()) };
    if result < 0 {
        return Err(Error::last(describe()));
    }
    parse(&buffer).ok_or_else(|| Error::new(describe(), Errno::PROTO))
}

/// Reads the answer; `None` for one that cannot be.
fn parse(answer: &[u8]) -> Option<Option<Status>> {
    let number = |at: usize| answer.get(at..at + 4)?.try_into().ok().map(u32::from_ne_bytes);
    if number(FLAGS)? & BUFFER_FULL != 0 {
        return None;
    }
    if number(TARGETS)? == 0 {
        return Some(None);
    }
    let targets = answer.get(usize::try_from(number(DATA_START)?).ok()?..)?;
    let text = |bytes: &[u8]| Some(CStr::from_bytes_until_nul(bytes).ok()?.to_string_lossy().into_owned());
    Some(Some(Status { kind: text(targets.get(KIND..SPEC)?)?, text: text(targets.get(SPEC..)?)? }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(flags: u32, targets: u32, start: u32, kind: &str, text: &str) -> Vec<u8> {
        let mut bytes = vec![0; 1024];
        for (at, number) in [(FLAGS, flags), (TARGETS, targets), (DATA_START, start)] {
            bytes[at..at + 4].copy_from_slice(&number.to_ne_bytes());
        }
        bytes[HEAD + KIND..HEAD + KIND + kind.len()].copy_from_slice(kind.as_bytes());
        bytes[HEAD + SPEC..HEAD + SPEC + text.len()].copy_from_slice(text.as_bytes());
        bytes
    }

    #[test]
    fn answers_are_read_to_their_end_and_not_beyond() {
        let said = Status { kind: "thin-pool".into(), text: "1 141/3072 2000/163840 - rw".into() };
        let start = HEAD as u32;
        let read = |flags, targets, start| parse(&answer(flags, targets, start, &said.kind, &said.text));
        assert_eq!(read(0, 1, start), Some(Some(said.clone())));
        assert_eq!(read(0, 0, start), Some(None), "no target");
        assert_eq!(read(BUFFER_FULL, 1, start), None, "cut off");
        assert_eq!(read(0, 1, 1020), None, "a target beyond the end");
        assert_eq!(read(0, 1, u32::MAX), None, "far beyond the end");
        let mut endless = answer(0, 1, start, &said.kind, "");
        endless[HEAD + SPEC..].fill(b'x');
        assert_eq!(parse(&endless), None, "a text without an end");
    }

    #[test]
    fn names_that_cannot_be_are_refused() {
        for name in ["", "a\0b", &"x".repeat(NAME_LENGTH)] {
            assert_eq!(status(name).expect_err("no name").errno(), Errno::INVAL);
        }
    }
}
