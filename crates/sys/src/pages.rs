//! Pages of a file in the page cache.

use std::os::fd::{AsFd, AsRawFd};

use crate::{Error, Result, fd};

/// Writes out the pages of `file` that are dirty now, and waits until they are (sync_file_range(2)). The next write to one
/// of them through a mapping is noticed again, and changes the file's times.
///
/// Nothing is said to the disk, and the file's size and blocks are not written out. Fails with `ESPIPE` for what has no
/// pages, and with `EIO` or `ENOSPC` when writing fails.
pub fn write_out(file: impl AsFd) -> Result<()> {
    let flags =
        libc::SYNC_FILE_RANGE_WAIT_BEFORE | libc::SYNC_FILE_RANGE_WRITE | libc::SYNC_FILE_RANGE_WAIT_AFTER;
    // SAFETY: takes a descriptor and integers; a length of 0 means up to the end.
    let result = unsafe { libc::sync_file_range(file.as_fd().as_raw_fd(), 0, 0, flags) };
    if result < 0 { Err(Error::last(format!("sync_file_range({})", fd::name(&file)))) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    #[test]
    fn a_file_has_pages_and_a_pipe_has_none() {
        let mut file =
            std::fs::File::from(rustix::fs::memfd_create("x", rustix::fs::MemfdFlags::CLOEXEC).unwrap());
        file.write_all(b"x").unwrap();
        super::write_out(&file).unwrap();
        let (read, _write) = std::io::pipe().unwrap();
        assert_eq!(super::write_out(&read).unwrap_err().errno(), rustix::io::Errno::SPIPE);
    }
}
