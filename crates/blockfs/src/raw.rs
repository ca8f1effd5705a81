//! Bytes of a device, and numbers and texts out of them, which may be anything: every read is checked against their end.

use std::os::fd::BorrowedFd;

use rustix::io::Errno;

/// Fills `bytes` from byte `at` of `file` on, as far as it goes; how many there were.
pub(crate) fn read_at(file: BorrowedFd<'_>, at: u64, bytes: &mut [u8]) -> Result<usize, Errno> {
    let mut filled = 0;
    while filled < bytes.len() {
        // Nothing lies beyond what the kernel counts.
        let Some(position) = at.checked_add(filled as u64).filter(|at| i64::try_from(*at).is_ok()) else {
            break;
        };
        match rustix::io::pread(file, &mut bytes[filled..], position) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(Errno::INTR) => {}
            Err(e) => return Err(e),
        }
    }
    Ok(filled)
}

/// Some bytes of a device.
pub(crate) struct Raw<'a>(pub(crate) &'a [u8]);

impl Raw<'_> {
    pub(crate) fn bytes<const N: usize>(&self, at: usize) -> Option<[u8; N]> {
        self.0.get(at..at.checked_add(N)?)?.try_into().ok()
    }

    pub(crate) fn is(&self, at: usize, magic: &[u8]) -> bool {
        self.0.get(at..).is_some_and(|rest| rest.starts_with(magic))
    }

    pub(crate) fn u16(&self, at: usize) -> Option<u16> {
        self.bytes(at).map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&self, at: usize) -> Option<u32> {
        self.bytes(at).map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&self, at: usize) -> Option<u64> {
        self.bytes(at).map(u64::from_le_bytes)
    }

    pub(crate) fn label(&self, at: usize, length: usize) -> Option<String> {
        let field = self.0.get(at..at.checked_add(length)?)?;
        let text = field.split(|&b| b == 0).next().unwrap_or_default();
        (!text.is_empty()).then(|| String::from_utf8_lossy(text).into_owned())
    }
}
