//! Copies one image, or block device, into another: blocks shared where possible, holes and zeroes left out.

use std::os::fd::BorrowedFd;

use rustix::fs::SeekFrom;
use rustix::io::Errno;

use crate::data::{Refused, copy_extent, next_extent, write_all};
use crate::dir::status;
use crate::error::{Context, Error, Result};
use crate::observe::{Observer, Progress, Tally};

/// How [`copy_image`] shall copy.
#[derive(Clone, Copy, Debug)]
pub struct ImageOptions<'a> {
    /// The target reads as zeroes so far, so that holes and zeroes need not be written.
    pub zeroed: bool,
    /// Blocks may be shared between two files of one file system (`FICLONE`, ioctl_ficlone(2)).
    pub share: bool,
    /// Hears of one entry and the bytes dealt with.
    pub observer: &'a dyn Observer,
}

/// Large enough for the device, small enough to notice long runs of zeroes between data.
const BLOCK: usize = 1 << 20;
/// What is left out when it is all zeroes.
const PIECE: usize = 64 << 10;

/// Copies the first `size` bytes of `source` to the beginning of `target`, each a regular file or a block device.
///
/// Of a file only the extents that may hold data are read (lseek(2), `SEEK_DATA`); what is read as zeroes is not
/// written to a zeroed target. A shorter target file grows to `size`. Returns whether all blocks are shared.
pub fn copy_image(
    source: BorrowedFd<'_>,
    target: BorrowedFd<'_>,
    size: u64,
    options: &ImageOptions<'_>,
) -> Result<bool> {
    let progress = Progress::new(options.observer);
    progress.report()?;
    let files = is_file(source)? && is_file(target)?;
    if files && options.share && options.zeroed && clone(source, target, size)? {
        return Ok(true);
    }
    let mut tally = Tally::new(&progress);
    let (mut buffer, refused) = (vec![0; BLOCK], Refused::default());
    let mut position = 0;
    while let Some((start, end)) = next_extent(source, position, size)? {
        if !options.zeroed {
            write_zeroes(target, position, start, &mut tally)?;
        }
        if files && options.zeroed {
            copy_extent(source, target, start, end, &refused, &mut buffer, &mut |done| tally.add(0, done))?;
        } else {
            copy_pieces(source, target, start, end, options.zeroed, &mut buffer, &mut tally)?;
        }
        position = end;
    }
    if !options.zeroed {
        write_zeroes(target, position, size, &mut tally)?;
    }
    if is_file(target)? && status(target).call("statx")?.stx_size < size {
        rustix::fs::ftruncate(target, size).call("ftruncate")?;
    }
    tally.add(1, 0)?;
    tally.flush()?;
    Ok(false)
}

/// The size of a regular file or block device in bytes.
pub fn image_size(file: BorrowedFd<'_>) -> Result<u64> {
    let size = rustix::fs::seek(file, SeekFrom::End(0)).call("lseek(SEEK_END)")?;
    rustix::fs::seek(file, SeekFrom::Start(0)).call("lseek(SEEK_SET)")?;
    Ok(size)
}

fn is_file(fd: BorrowedFd<'_>) -> Result<bool> {
    let mode = status(fd).call("statx")?.stx_mode;
    Ok(rustix::fs::FileType::from_raw_mode(u32::from(mode)).is_file())
}

/// Shares all blocks, if the file systems can; the target is an empty file.
fn clone(source: BorrowedFd<'_>, target: BorrowedFd<'_>, size: u64) -> Result<bool> {
    match rustix::fs::ioctl_ficlone(target, source) {
        Ok(()) => {
            if status(target).call("statx")?.stx_size != size {
                rustix::fs::ftruncate(target, size).call("ftruncate")?;
            }
            Ok(true)
        }
        Err(Errno::NOSPC) => Err(Error::os("ioctl(FICLONE)", Errno::NOSPC)),
        Err(_) => Ok(false),
    }
}

fn copy_pieces(
    source: BorrowedFd<'_>,
    target: BorrowedFd<'_>,
    start: u64,
    end: u64,
    zeroed: bool,
    buffer: &mut [u8],
    tally: &mut Tally<'_>,
) -> Result<()> {
    let mut position = start;
    while position < end {
        let length = usize::try_from(end - position).unwrap_or(usize::MAX).min(buffer.len());
        let read = rustix::io::retry_on_intr(|| rustix::io::pread(source, &mut buffer[..length], position))
            .call("pread")?;
        if read == 0 {
            return Err(Error::os("pread: the source ends too early", Errno::IO));
        }
        for (number, piece) in buffer[..read].chunks(PIECE).enumerate() {
            if !zeroed || piece.iter().any(|&byte| byte != 0) {
                write_all(target, piece, position + (number * PIECE) as u64)?;
            }
        }
        position += read as u64;
        tally.add(0, read as u64)?;
    }
    Ok(())
}

/// Writes zeroes from `start` to `end`: by the device where it can (fallocate(2), `FALLOC_FL_ZERO_RANGE`).
fn write_zeroes(target: BorrowedFd<'_>, start: u64, end: u64, tally: &mut Tally<'_>) -> Result<()> {
    if start >= end {
        return Ok(());
    }
    if rustix::fs::fallocate(target, rustix::fs::FallocateFlags::ZERO_RANGE, start, end - start).is_ok() {
        return tally.add(0, end - start);
    }
    let zeroes = vec![0; BLOCK];
    let mut position = start;
    while position < end {
        let length = usize::try_from(end - position).unwrap_or(usize::MAX).min(BLOCK);
        write_all(target, &zeroes[..length], position)?;
        position += length as u64;
        tally.add(0, length as u64)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::{Read, Seek, Write};
    use std::ops::ControlFlow;
    use std::os::fd::AsFd;
    use std::os::unix::fs::MetadataExt;

    /// Data, a hole of 8 MiB, data.
    fn holey() -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&[7; 70_000]).unwrap();
        file.seek(std::io::SeekFrom::Start(8 << 20)).unwrap();
        file.write_all(b"end").unwrap();
        file
    }

    fn content(mut file: &File) -> Vec<u8> {
        let mut all = Vec::new();
        file.rewind().unwrap();
        file.read_to_end(&mut all).unwrap();
        all
    }

    #[test]
    fn holes_stay_holes_and_stale_bytes_do_not_stay() {
        let source = holey();
        let size = image_size(source.as_fd()).unwrap();
        for (zeroed, share) in [(true, true), (true, false), (false, false)] {
            let target = tempfile::tempfile().unwrap();
            if !zeroed {
                (&target).write_all(&vec![9; 9 << 20]).unwrap();
            }
            let options = ImageOptions { zeroed, share, observer: &() };
            copy_image(source.as_fd(), target.as_fd(), size, &options).unwrap();
            let copied = content(&target);
            assert!(copied[..size as usize] == content(&source), "zeroed {zeroed}, share {share}");
            if zeroed {
                assert_eq!(copied.len() as u64, size);
                assert!(target.metadata().unwrap().blocks() * 512 < 1 << 20, "the hole was filled");
            }
        }
    }

    #[test]
    fn it_can_be_stopped() {
        let (source, target) = (holey(), tempfile::tempfile().unwrap());
        let stop = |_: u64, _: u64| ControlFlow::Break(());
        let options = ImageOptions { zeroed: true, share: false, observer: &stop };
        let stopped = copy_image(source.as_fd(), target.as_fd(), 100, &options).unwrap_err();
        assert_eq!(stopped.kind(), crate::ErrorKind::Cancelled);
    }
}
