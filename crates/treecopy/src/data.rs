//! The content of a regular file: shared where possible, copied extent by extent otherwise.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::SeekFrom;
use rustix::io::Errno;

use crate::dir::status;
use crate::error::{Context, Error, Result};

/// What was done with one file's content.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Content {
    /// The destination shares all its blocks with the source.
    pub(crate) cloned: bool,
    /// The source's size changed meanwhile.
    pub(crate) changed: bool,
}

/// What this pair of file systems turned out not to do, so that it is not tried for every file.
#[derive(Debug, Default)]
pub(crate) struct Refused {
    /// Devices that FICLONE from failed.
    clone_from: Mutex<Vec<(u32, u32)>>,
    any_clone: AtomicBool,
    range: AtomicBool,
}

impl Refused {
    fn clones(&self, device: (u32, u32)) -> bool {
        self.any_clone.load(Ordering::Relaxed)
            && self.clone_from.lock().unwrap_or_else(PoisonError::into_inner).contains(&device)
    }

    fn remember_clone(&self, device: (u32, u32)) {
        let mut devices = self.clone_from.lock().unwrap_or_else(PoisonError::into_inner);
        if !devices.contains(&device) {
            devices.push(device);
        }
        self.any_clone.store(true, Ordering::Relaxed);
    }
}

/// The most that one kernel call copies, so that a stop is noticed.
const STEP: u64 = 16 << 20;

/// Copies `size` bytes of `source`, which lives on `device`, into the new and empty `target`.
///
/// Holes stay holes, also unwritten preallocated blocks become one. `step` hears how many bytes were dealt with,
/// `size` in the end, and may stop the copy. A source that shrinks meanwhile gives a copy that ends where the source ended;
/// what is appended meanwhile is not copied.
pub(crate) fn copy_content(
    source: BorrowedFd<'_>,
    target: BorrowedFd<'_>,
    size: u64,
    device: (u32, u32),
    refused: &Refused,
    buffer: &mut [u8],
    step: &mut dyn FnMut(u64) -> Result<()>,
) -> Result<Content> {
    if size == 0 {
        return Ok(Content { cloned: false, changed: false });
    }
    if clone(source, target, device, refused)? {
        let now = status(target).call("statx")?.stx_size;
        if now > size {
            // It grew before it was cloned: the size read at first is the copy's.
            rustix::fs::ftruncate(target, size).call("ftruncate")?;
        }
        step(size)?;
        return Ok(Content { cloned: true, changed: now != size });
    }
    let mut told = 0;
    let mut position = 0;
    while let Some((start, end)) = next_extent(source, position, size)? {
        copy_extent(source, target, start, end, refused, buffer, &mut |bytes| {
            told += bytes;
            step(bytes)
        })?;
        position = end;
    }
    let now = status(source).call("statx")?.stx_size;
    // Also makes the hole at the end, if there is one.
    rustix::fs::ftruncate(target, size.min(now)).call("ftruncate")?;
    step(size.saturating_sub(told))?;
    Ok(Content { cloned: false, changed: now != size })
}

fn clone(
    source: BorrowedFd<'_>,
    target: BorrowedFd<'_>,
    device: (u32, u32),
    refused: &Refused,
) -> Result<bool> {
    if refused.clones(device) {
        return Ok(false);
    }
    match rustix::fs::ioctl_ficlone(target, source) {
        Ok(()) => Ok(true),
        Err(Errno::OPNOTSUPP | Errno::XDEV | Errno::NOTTY | Errno::NOSYS) => {
            refused.remember_clone(device);
            Ok(false)
        }
        // EINVAL and the others can be a matter of one file: a swap file (ETXTBSY), btrfs checksums on one
        // side only (EINVAL). XFS on a device without reflink says EOPNOTSUPP.
        Err(Errno::INVAL | Errno::TXTBSY | Errno::PERM | Errno::ACCESS) => Ok(false),
        Err(errno) => Err(Error::os("ioctl(FICLONE)", errno)),
    }
}

/// The next extent of `file` that may hold data, between `from` and `size`.
pub(crate) fn next_extent(file: BorrowedFd<'_>, from: u64, size: u64) -> Result<Option<(u64, u64)>> {
    if from >= size {
        return Ok(None);
    }
    let start = match rustix::fs::seek(file, SeekFrom::Data(from)) {
        Ok(start) => start,
        Err(Errno::NXIO) => return Ok(None),
        // A file system that knows no holes: all is data.
        Err(Errno::INVAL | Errno::OPNOTSUPP) => return Ok(Some((from, size))),
        Err(errno) => return Err(Error::os("lseek(SEEK_DATA)", errno)),
    };
    let end = match rustix::fs::seek(file, SeekFrom::Hole(start)) {
        Ok(end) => end,
        // It shrank between the two calls.
        Err(Errno::NXIO) => return Ok(None),
        Err(errno) => return Err(Error::os("lseek(SEEK_HOLE)", errno)),
    };
    let end = end.min(size);
    Ok((start < end).then_some((start, end)))
}

pub(crate) fn copy_extent(
    source: BorrowedFd<'_>,
    target: BorrowedFd<'_>,
    start: u64,
    end: u64,
    refused: &Refused,
    buffer: &mut [u8],
    step: &mut dyn FnMut(u64) -> Result<()>,
) -> Result<()> {
    let mut position = start;
    while position < end && !refused.range.load(Ordering::Relaxed) {
        let (mut from, mut to) = (position, position);
        let length = usize::try_from(STEP.min(end - position)).unwrap_or(usize::MAX);
        match rustix::fs::copy_file_range(source, Some(&mut from), target, Some(&mut to), length) {
            // The source shrank, or is one of those files that copy_file_range finds empty: reading tells.
            Ok(0) => break,
            Ok(done) => {
                position += done as u64;
                step(done as u64)?;
            }
            Err(Errno::INTR) => {}
            Err(Errno::XDEV | Errno::INVAL | Errno::OPNOTSUPP | Errno::NOSYS) => {
                refused.range.store(true, Ordering::Relaxed);
            }
            Err(Errno::PERM | Errno::TXTBSY) => break,
            Err(errno) => return Err(Error::os("copy_file_range", errno)),
        }
    }
    while position < end {
        let length = usize::try_from(end - position).unwrap_or(usize::MAX).min(buffer.len());
        let read = rustix::io::retry_on_intr(|| rustix::io::pread(source, &mut buffer[..length], position))
            .call("pread")?;
        if read == 0 {
            return Ok(());
        }
        write_all(target, &buffer[..read], position)?;
        position += read as u64;
        step(read as u64)?;
    }
    Ok(())
}

pub(crate) fn write_all(file: impl AsFd, mut bytes: &[u8], mut position: u64) -> Result<()> {
    while !bytes.is_empty() {
        let written =
            rustix::io::retry_on_intr(|| rustix::io::pwrite(&file, bytes, position)).call("pwrite")?;
        if written == 0 {
            return Err(Error::os("pwrite", Errno::IO));
        }
        bytes = &bytes[written..];
        position += written as u64;
    }
    Ok(())
}
