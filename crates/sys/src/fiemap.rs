//! Where the blocks of a file are, as far as it matters here: how many of them other files have, too.

use std::os::fd::{AsFd, AsRawFd};

use crate::{Error, Result, fd};

/// `_IOWR('f', 11, struct fiemap)` (linux/fs.h), the same on every architecture that numbers requests as most do.
const FS_IOC_FIEMAP: u32 = 0xc020_660b;
/// Write delayed data out first.
const SYNC: u32 = 1;
const LAST: u32 = 1;
const SHARED: u32 = 0x2000;
const AT_ONCE: usize = 256;

/// `struct fiemap` of linux/fiemap.h with room for extents.
#[repr(C)]
struct Request {
    start: u64,
    length: u64,
    flags: u32,
    mapped: u32,
    room: u32,
    reserved: u32,
    extents: [Extent; AT_ONCE],
}

/// `struct fiemap_extent`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Extent {
    logical: u64,
    physical: u64,
    length: u64,
    reserved: [u64; 2],
    flags: u32,
    reserved_too: [u32; 3],
}

/// How many bytes of `file` lie in extents that other files, or other places of this one, share: `FS_IOC_FIEMAP`.
///
/// Fails with `EOPNOTSUPP` or `ENOTTY` on file systems without it, whose files share nothing (tmpfs).
pub fn shared_bytes(file: impl AsFd) -> Result<u64> {
    let mut shared = 0;
    let mut start = 0;
    loop {
        let mut request = Request {
            start,
            length: u64::MAX - start,
            flags: SYNC,
            mapped: 0,
            room: u32::try_from(AT_ONCE).expect("a small constant"),
            reserved: 0,
            extents: [Extent::default(); AT_ONCE],
        };
        let number = FS_IOC_FIEMAP as libc::Ioctl;
        // SAFETY: this request reads a `fiemap` and writes at most `room` extents behind it, which are there; it lives
        // and is ours alone.
        let result = unsafe { libc::ioctl(file.as_fd().as_raw_fd(), number, &raw mut request) };
        if result < 0 {
            return Err(Error::last(format!("ioctl({}, FS_IOC_FIEMAP)", fd::name(&file))));
        }
        let extents = &request.extents[..(request.mapped as usize).min(AT_ONCE)];
        shared += extents.iter().filter(|e| e.flags & SHARED != 0).map(|e| e.length).sum::<u64>();
        match extents.last() {
            Some(last) if last.flags & LAST == 0 && last.length > 0 => start = last.logical + last.length,
            _ => return Ok(shared),
        }
    }
}
