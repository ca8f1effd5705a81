//! Project quotas of ext4, xfs and f2fs: quotactl(2), by a descriptor of anything on the file system.
//!
//! All of it asks quotactl_fd(2) (Linux 5.14), and before that quotactl(2) about the device, which udev names by its
//! number. xfs answers the requests of the VFS, too, so one set serves all.

use std::ffi::{CString, c_int, c_long};
use std::os::fd::{AsFd, AsRawFd};

use rustix::io::Errno;

use crate::{Error, Result, fd};

// The requests and structures of linux/quota.h and linux/dqblk_xfs.h, the same on every architecture.
const PRJQUOTA: u32 = 2;
const Q_GETQUOTA: u32 = 0x0080_0007;
const Q_SETQUOTA: u32 = 0x0080_0008;
const Q_XGETQSTATV: u32 = 0x5808;
/// Only the limits on blocks are meant.
const QIF_BLIMITS: u32 = 1;
const FS_QUOTA_PDQ_ACCT: u16 = 1 << 4;
const FS_QUOTA_PDQ_ENFD: u16 = 1 << 5;
/// The unit of limits, in bytes, whatever the file system's blocks are.
const UNIT: u64 = 1024;

/// `struct if_dqblk`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
struct Record {
    hard_blocks: u64,
    soft_blocks: u64,
    bytes: u64,
    hard_inodes: u64,
    soft_inodes: u64,
    inodes: u64,
    block_time: u64,
    inode_time: u64,
    valid: u32,
    padding: u32,
}

/// `struct fs_quota_statv`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
struct State {
    version: i8,
    padding: u8,
    flags: u16,
    in_core: u32,
    files: [[u64; 3]; 3],
    times: [i32; 3],
    warnings: [u16; 3],
    more_padding: [u16; 3],
    reserved: [u64; 7],
}

/// What a file system does about project quotas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enforcement {
    /// It has none, or they are off.
    Absent,
    /// It counts, and lets everybody go beyond the limits.
    Counted,
    /// It counts, and refuses what goes beyond a limit.
    Enforced,
}

/// What is kept of one project.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// What its inodes may occupy, in bytes; the file system rounds it up to a block.
    pub limit: Option<u64>,
    /// What they occupy, in bytes; blocks that are shared count in each file.
    pub bytes: u64,
    /// How many there are.
    pub inodes: u64,
    /// Whether there is any other limit on it: a soft one, or one on the number of inodes.
    pub limited_otherwise: bool,
}

impl Account {
    /// Whether nobody uses the id, or has set anything for it.
    pub fn is_free(&self) -> bool {
        *self == Self::default()
    }
}

/// What the file system of `file` does about project quotas (`Q_XGETQSTATV`). Anybody may ask.
pub fn enforcement(file: impl AsFd) -> Result<Enforcement> {
    // The version of the structure.
    let mut state = State { version: 1, ..State::default() };
    match call(&file, Q_XGETQSTATV, 0, &mut state) {
        Ok(()) if state.flags & FS_QUOTA_PDQ_ENFD != 0 => Ok(Enforcement::Enforced),
        Ok(()) if state.flags & FS_QUOTA_PDQ_ACCT != 0 => Ok(Enforcement::Counted),
        Ok(()) => Ok(Enforcement::Absent),
        // No quotas in the file system or the kernel, or no device (tmpfs), or nothing is switched on.
        Err(e) if is_absent(e.errno()) => Ok(Enforcement::Absent),
        Err(e) => Err(e),
    }
}

/// What is kept of the project `id` on the file system of `file` (`Q_GETQUOTA`); of one that nobody has used, nothing.
///
/// Requires `CAP_SYS_ADMIN` in the first user namespace (`EPERM`). Fails with `ESRCH`, `ENOSYS` or `ENOTBLK` where
/// [`enforcement`] says that there are none.
pub fn account(file: impl AsFd, id: u32) -> Result<Account> {
    let mut record = Record::default();
    match call(&file, Q_GETQUOTA, id, &mut record) {
        Ok(()) => {}
        // How xfs says that it has no record.
        Err(e) if e.errno() == Errno::NOENT => return Ok(Account::default()),
        Err(e) => return Err(e),
    }
    Ok(Account {
        limit: (record.hard_blocks > 0).then(|| record.hard_blocks.saturating_mul(UNIT)),
        bytes: record.bytes,
        inodes: record.inodes,
        limited_otherwise: record.hard_inodes > 0 || record.soft_inodes > 0 || record.soft_blocks > 0,
    })
}

/// Limits what the inodes of the project `id` may occupy, in bytes, rounded up to whole KiB; `None` lifts the limit. A
/// soft limit goes (`Q_SETQUOTA`).
///
/// As [`account`]. Of whoever has `CAP_SYS_RESOURCE` in the first user namespace, ext4 asks no limit to be kept; xfs
/// does.
pub fn set_limit(file: impl AsFd, id: u32, bytes: Option<u64>) -> Result<()> {
    // No limit is a limit of 0, so nothing allowed is the least that can be said.
    let hard_blocks = bytes.map_or(0, |bytes| bytes.div_ceil(UNIT).max(1));
    let mut record = Record { hard_blocks, valid: QIF_BLIMITS, ..Record::default() };
    call(&file, Q_SETQUOTA, id, &mut record)
}

fn is_absent(errno: Errno) -> bool {
    matches!(
        errno,
        Errno::NOSYS
            | Errno::SRCH
            | Errno::NODEV
            | Errno::NOTBLK
            | Errno::INVAL
            | Errno::NOENT
            | Errno::OPNOTSUPP
    )
}

/// Structures that a request takes.
///
/// # Safety
/// They are those of the kernel's headers for the requests that are made with them, of integers only.
unsafe trait Argument {}
// SAFETY: `struct if_dqblk` of linux/quota.h, for `Q_GETQUOTA` and `Q_SETQUOTA`.
unsafe impl Argument for Record {}
// SAFETY: `struct fs_quota_statv` of linux/dqblk_xfs.h, for `Q_XGETQSTATV`.
unsafe impl Argument for State {}

fn call<T: Argument>(file: &impl AsFd, request: u32, id: u32, argument: &mut T) -> Result<()> {
    let described = || {
        let name = match request {
            Q_GETQUOTA => "Q_GETQUOTA",
            Q_SETQUOTA => "Q_SETQUOTA",
            _ => "Q_XGETQSTATV",
        };
        format!("quotactl({}, {name}, project {id})", fd::name(file))
    };
    let command = (request << 8 | PRJQUOTA) as c_int;
    let id = id as c_int;
    let number = file.as_fd().as_raw_fd();
    // SAFETY: `argument` is a live, exclusive reference to the structure of this request, which the kernel reads or
    // writes and keeps no pointer to; the other arguments are integers.
    let result = unsafe {
        libc::syscall(
            libc::SYS_quotactl_fd,
            c_long::from(number),
            c_long::from(command),
            c_long::from(id),
            &raw mut *argument,
        )
    };
    if result == 0 {
        return Ok(());
    }
    let failed = Error::last(described());
    if failed.errno() != Errno::NOSYS {
        return Err(failed);
    }
    // Either the kernel is older, or the file system has no quotas; then the older call says the same.
    let Some(device) = device(file) else { return Err(failed) };
    // SAFETY: as above; `device` is a string that ends in NUL and outlives the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_quotactl,
            c_long::from(command),
            device.as_ptr(),
            c_long::from(id),
            &raw mut *argument,
        )
    };
    if result == 0 { Ok(()) } else { Err(Error::last(described())) }
}

/// The name that udev gives the device of the file system of `file`, if there is one: of a name that leads nowhere the
/// call would say what it says of a project without a record.
fn device(file: &impl AsFd) -> Option<CString> {
    let device = rustix::fs::fstat(file).ok()?.st_dev;
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    let name = format!("/dev/block/{major}:{minor}");
    rustix::fs::stat(name.as_str()).ok()?;
    CString::new(name).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn structures_are_as_large_as_the_kernels() {
        assert_eq!(size_of::<Record>(), 72);
        assert_eq!(size_of::<State>(), 160);
    }

    #[test]
    fn a_file_system_without_quotas_has_none() {
        let proc = std::fs::File::open("/proc").unwrap();
        assert_eq!(enforcement(&proc).unwrap(), Enforcement::Absent);
        assert!(account(&proc, 1).is_err());
    }

    #[test]
    fn what_is_counted_or_limited_is_not_free() {
        assert!(Account::default().is_free());
        assert!(!Account { inodes: 1, ..Account::default() }.is_free());
        assert!(!Account { limit: Some(1024), ..Account::default() }.is_free());
    }
}
