//! Btrfs subvolumes by ioctl(2): what `btrfs subvolume` does, on descriptors and without the program.
//!
//! All of it works without privileges where the kernel allows: creating and snapshotting need only what
//! mkdir(2) needs and that the source is the caller's, the listing calls are those of Linux 4.18 that look
//! through the caller's own eyes, and only deletion may ask for more ([`delete_subvolume`]).

use std::ffi::{OsStr, OsString, c_char};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use linux_raw_sys::btrfs::{
    BTRFS_SUBVOL_RDONLY, btrfs_ioctl_fs_info_args, btrfs_ioctl_get_subvol_info_args,
    btrfs_ioctl_get_subvol_rootref_args, btrfs_ioctl_ino_lookup_user_args, btrfs_ioctl_qgroup_limit_args,
    btrfs_ioctl_received_subvol_args, btrfs_ioctl_send_args, btrfs_ioctl_vol_args, btrfs_ioctl_vol_args_v2,
};
use linux_raw_sys::ioctl as request;
use rustix::io::Errno;

use crate::{Error, Result, fd};

/// The file system's magic number in statfs(2).
const BTRFS_SUPER_MAGIC: u64 = 0x9123_683e;
/// The inode number of every subvolume's root directory (`BTRFS_FIRST_FREE_OBJECTID`).
const ROOT_INODE: u64 = 256;

/// Whether `dir` is on btrfs.
pub fn is_btrfs(dir: impl AsFd) -> Result<bool> {
    let status =
        rustix::fs::fstatfs(&dir).map_err(|e| Error::new(format!("fstatfs({})", fd::name(&dir)), e))?;
    // The field's type differs between architectures; the magic number fits all of them.
    Ok(status.f_type as u64 & 0xffff_ffff == BTRFS_SUPER_MAGIC)
}

/// Whether `dir` is the root directory of a subvolume (or of the whole file system, which is one).
pub fn is_subvolume(dir: impl AsFd) -> Result<bool> {
    let status = rustix::fs::fstat(&dir).map_err(|e| Error::new(format!("fstat({})", fd::name(&dir)), e))?;
    let directory = rustix::fs::FileType::from_raw_mode(status.st_mode).is_dir();
    Ok(directory && status.st_ino == ROOT_INODE && is_btrfs(dir)?)
}

/// The id of the file system that holds `file`. Fails with `ENOTTY` when it is not btrfs.
pub fn filesystem_id(file: impl AsFd) -> Result<[u8; 16]> {
    let mut args = zeroed::<btrfs_ioctl_fs_info_args>();
    call(&file, request::BTRFS_IOC_FS_INFO, &mut args, || {
        format!("ioctl({}, BTRFS_IOC_FS_INFO)", fd::name(&file))
    })?;
    Ok(args.fsid)
}

/// Makes the empty subvolume `name` in the directory `parent`, exclusively; its mode is 0777 less the umask.
pub fn create_subvolume(parent: impl AsFd, name: &OsStr) -> Result<()> {
    let mut args = zeroed::<btrfs_ioctl_vol_args>();
    let described = || format!("ioctl({}, BTRFS_IOC_SUBVOL_CREATE, {name:?})", fd::name(&parent));
    put_name(&mut args.name, name).map_err(|e| Error::new(described(), e))?;
    call(&parent, request::BTRFS_IOC_SUBVOL_CREATE, &mut args, described)
}

/// Makes the writable snapshot `name` of the subvolume `source` in the directory `parent`, exclusively.
///
/// Subvolumes inside the source are empty directories in the snapshot. Requires that the caller owns the
/// source's root or has `CAP_FOWNER` over it (`EPERM`), and that both are on one file system (`EXDEV`).
pub fn snapshot(source: impl AsFd, parent: impl AsFd, name: &OsStr) -> Result<()> {
    let mut args = zeroed::<btrfs_ioctl_vol_args_v2>();
    let described = || {
        let (source, parent) = (fd::name(&source), fd::name(&parent));
        format!("ioctl({parent}, BTRFS_IOC_SNAP_CREATE_V2, {name:?} of {source})")
    };
    args.fd = i64::from(source.as_fd().as_raw_fd());
    // SAFETY: both variants of the union are plain bytes; zeroed bytes are a valid array of characters.
    let field = unsafe { &mut args.__bindgen_anon_2.name };
    put_name(field, name).map_err(|e| Error::new(described(), e))?;
    call(&parent, request::BTRFS_IOC_SNAP_CREATE_V2, &mut args, described)
}

/// Deletes the subvolume `name` of the directory `parent` with all it holds, at once.
///
/// Fails with `ENOTEMPTY` when other subvolumes lie inside, with `EROFS` or `EPERM` when it is read-only,
/// and, without `CAP_SYS_ADMIN`, with `EPERM` or `EACCES` unless the file system is mounted with
/// `user_subvol_rm_allowed` and the caller owns it. An empty subvolume is also a directory for
/// rmdir(2) (Linux 4.18).
pub fn delete_subvolume(parent: impl AsFd, name: &OsStr) -> Result<()> {
    let mut args = zeroed::<btrfs_ioctl_vol_args>();
    let described = || format!("ioctl({}, BTRFS_IOC_SNAP_DESTROY, {name:?})", fd::name(&parent));
    put_name(&mut args.name, name).map_err(|e| Error::new(described(), e))?;
    call(&parent, request::BTRFS_IOC_SNAP_DESTROY, &mut args, described)
}

/// Whether the subvolume `root` is read-only.
pub fn is_read_only(root: impl AsFd) -> Result<bool> {
    let mut flags = 0u64;
    call(&root, request::BTRFS_IOC_SUBVOL_GETFLAGS, &mut flags, || {
        format!("ioctl({}, BTRFS_IOC_SUBVOL_GETFLAGS)", fd::name(&root))
    })?;
    Ok(flags & u64::from(BTRFS_SUBVOL_RDONLY) != 0)
}

/// Makes the subvolume `root` read-only or writable. Requires that the caller owns it or has `CAP_FOWNER`
/// over it; making it read-only waits for writers (`ETXTBSY` when there are some).
pub fn set_read_only(root: impl AsFd, read_only: bool) -> Result<()> {
    let mut flags = if read_only { u64::from(BTRFS_SUBVOL_RDONLY) } else { 0 };
    call(&root, request::BTRFS_IOC_SUBVOL_SETFLAGS, &mut flags, || {
        format!("ioctl({}, BTRFS_IOC_SUBVOL_SETFLAGS, read_only={read_only})", fd::name(&root))
    })
}

/// What the file system keeps about a subvolume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubvolumeInfo {
    /// Its id, unique in the file system and never given again.
    pub id: u64,
    /// Its UUID, which a snapshot does not share.
    pub uuid: [u8; 16],
    /// The UUID of the subvolume it is a snapshot of; zeros otherwise.
    pub parent_uuid: [u8; 16],
    /// The UUID of the subvolume elsewhere whose stream it was made of; zeros otherwise.
    pub received_uuid: [u8; 16],
    /// The transaction in which its content last changed.
    pub changed: u64,
    /// The same of the subvolume elsewhere, when it was sent; 0 otherwise.
    pub sent: u64,
}

/// Looks the subvolume that holds `file` up (`BTRFS_IOC_GET_SUBVOL_INFO`, Linux 4.18).
pub fn subvolume_info(file: impl AsFd) -> Result<SubvolumeInfo> {
    let mut args = zeroed::<btrfs_ioctl_get_subvol_info_args>();
    call(&file, request::BTRFS_IOC_GET_SUBVOL_INFO, &mut args, || {
        format!("ioctl({}, BTRFS_IOC_GET_SUBVOL_INFO)", fd::name(&file))
    })?;
    Ok(SubvolumeInfo {
        id: args.treeid,
        uuid: args.uuid,
        parent_uuid: args.parent_uuid,
        received_uuid: args.received_uuid,
        changed: args.ctransid,
        sent: args.stransid,
    })
}

/// Writes the read-only subvolume `root` to `to` as a stream of version 1; with `since`, an earlier read-only
/// subvolume's id, only what is different there.
///
/// Requires `CAP_SYS_ADMIN` in the first user namespace (`EPERM`). Fails with `EPERM` also for a subvolume that may
/// be written to, with `EPIPE` when nobody reads `to` any more, and with `ENAMETOOLONG` for a tree so deep that a path
/// in it has more than 4,095 bytes.
pub fn send(root: impl AsFd, since: Option<u64>, to: impl AsFd) -> Result<()> {
    let mut sources = [since.unwrap_or(0)];
    let mut args = zeroed::<btrfs_ioctl_send_args>();
    args.send_fd = i64::from(to.as_fd().as_raw_fd());
    if let Some(id) = since {
        args.parent_root = id;
        args.clone_sources = sources.as_mut_ptr();
        args.clone_sources_count = 1;
    }
    call(&root, request::BTRFS_IOC_SEND, &mut args, || format!("ioctl({}, BTRFS_IOC_SEND)", fd::name(&root)))
}

/// Limits how many bytes the subvolume `root` may refer to; `None` lifts the limit.
///
/// Requires `CAP_SYS_ADMIN` (`EPERM`) and quota groups that are on (`ENOTCONN`).
pub fn set_limit(root: impl AsFd, bytes: Option<u64>) -> Result<()> {
    /// BTRFS_QGROUP_LIMIT_MAX_RFER
    const REFERENCED: u64 = 1;
    let mut args = zeroed::<btrfs_ioctl_qgroup_limit_args>();
    // No id is the group of the subvolume itself; a limit of all ones is none.
    args.lim.flags = REFERENCED;
    args.lim.max_rfer = bytes.unwrap_or(u64::MAX);
    call(&root, request::BTRFS_IOC_QGROUP_LIMIT, &mut args, || {
        format!("ioctl({}, BTRFS_IOC_QGROUP_LIMIT)", fd::name(&root))
    })
}

/// Notes on the subvolume `root`, which is still writable, that it was made of the stream of the subvolume `uuid`
/// elsewhere, as that was in its transaction `sent`.
///
/// Requires that the caller owns `root` (`EPERM`).
pub fn set_received(root: impl AsFd, uuid: [u8; 16], sent: u64) -> Result<()> {
    let mut args = zeroed::<btrfs_ioctl_received_subvol_args>();
    args.uuid = uuid.map(|byte| byte as c_char);
    args.stransid = sent;
    call(&root, request::BTRFS_IOC_SET_RECEIVED_SUBVOL, &mut args, || {
        format!("ioctl({}, BTRFS_IOC_SET_RECEIVED_SUBVOL)", fd::name(&root))
    })
}

/// A subvolume inside another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nested {
    /// Its id.
    pub id: u64,
    /// The directory it lies in, below the one that was asked; empty for that one itself.
    pub dir: PathBuf,
    /// Its name there.
    pub name: OsString,
}

/// The subvolumes that lie below `dir` in `dir`'s own subvolume, not those inside them.
///
/// Those in directories that the caller may not search, or whose names changed meanwhile, are left out.
/// Uses `BTRFS_IOC_GET_SUBVOL_ROOTREF` and `BTRFS_IOC_INO_LOOKUP_USER` (Linux 4.18). Fails with
/// `ENAMETOOLONG` for one that lies deeper than 3,823 bytes of path.
pub fn nested_subvolumes(dir: impl AsFd) -> Result<Vec<Nested>> {
    let mut found = Vec::new();
    let mut args = zeroed::<btrfs_ioctl_get_subvol_rootref_args>();
    loop {
        let asked = args.min_treeid;
        let described =
            || format!("ioctl({}, BTRFS_IOC_GET_SUBVOL_ROOTREF, min_treeid={asked})", fd::name(&dir));
        let more = match call(&dir, request::BTRFS_IOC_GET_SUBVOL_ROOTREF, &mut args, described) {
            Ok(()) => false,
            // The answer is full; `min_treeid` has become where to go on.
            Err(e) if e.errno() == Errno::OVERFLOW => true,
            Err(e) => return Err(e),
        };
        for reference in args.rootref.iter().take(usize::from(args.num_items)) {
            if let Some(nested) = lookup(&dir, reference.treeid, reference.dirid)? {
                found.push(nested);
            }
        }
        if !more {
            return Ok(found);
        }
    }
}

/// Where the subvolume `id` lies, whose entry is in the directory with the inode number `inode`.
fn lookup(dir: &impl AsFd, id: u64, inode: u64) -> Result<Option<Nested>> {
    let mut args = zeroed::<btrfs_ioctl_ino_lookup_user_args>();
    args.treeid = id;
    args.dirid = inode;
    let described = || format!("ioctl({}, BTRFS_IOC_INO_LOOKUP_USER, {id}, {inode})", fd::name(dir));
    match call(dir, request::BTRFS_IOC_INO_LOOKUP_USER, &mut args, described) {
        Ok(()) => {
            let path = bytes(&args.path);
            Ok(Some(Nested { id, dir: PathBuf::from(path), name: bytes(&args.name) }))
        }
        // It is not below `dir`, or not to be seen, or gone.
        Err(e) if matches!(e.errno(), Errno::ACCESS | Errno::NOENT | Errno::NOTDIR) => Ok(None),
        Err(e) => Err(e),
    }
}

/// Makes one request whose argument the kernel reads and overwrites.
fn call<T>(file: &impl AsFd, number: u32, args: &mut T, described: impl Fn() -> String) -> Result<()> {
    // SAFETY: `args` is a live, exclusive reference to the structure that this request takes, which every
    // caller in this file pairs with it; the kernel keeps no pointer to it, and follows only the one that `send` put
    // in it, to an array that outlives the call.
    let result = unsafe { libc::ioctl(file.as_fd().as_raw_fd(), number as libc::Ioctl, &raw mut *args) };
    if result < 0 { Err(Error::last(described())) } else { Ok(()) }
}

/// An argument of zero bytes.
fn zeroed<T: Argument>() -> T {
    // SAFETY: `Argument` promises that zero bytes are a value of `T`.
    unsafe { MaybeUninit::zeroed().assume_init() }
}

/// Structures for which zero bytes are a value.
///
/// # Safety
/// Every field is an integer, a raw pointer, an array of them, or a union of such.
unsafe trait Argument {}
// SAFETY: integers and arrays of them (linux/btrfs.h).
unsafe impl Argument for btrfs_ioctl_fs_info_args {}
// SAFETY: as above.
unsafe impl Argument for btrfs_ioctl_vol_args {}
// SAFETY: as above, and two unions of them.
unsafe impl Argument for btrfs_ioctl_vol_args_v2 {}
// SAFETY: as above.
unsafe impl Argument for btrfs_ioctl_get_subvol_info_args {}
// SAFETY: as above.
unsafe impl Argument for btrfs_ioctl_get_subvol_rootref_args {}
// SAFETY: as above.
unsafe impl Argument for btrfs_ioctl_ino_lookup_user_args {}

// SAFETY: as above.
unsafe impl Argument for btrfs_ioctl_qgroup_limit_args {}
// SAFETY: as above.
unsafe impl Argument for btrfs_ioctl_received_subvol_args {}
// SAFETY: as above, and a pointer, which may be null where the count beside it is 0.
unsafe impl Argument for btrfs_ioctl_send_args {}

/// Puts `name` into a field, NUL-terminated. Only a single component is a name: the kernel would take the
/// part before a NUL, so one is refused here.
fn put_name(field: &mut [c_char], name: &OsStr) -> Result<(), Errno> {
    let name = name.as_bytes();
    if name.is_empty() || name == b"." || name == b".." || name.contains(&b'/') || name.contains(&0) {
        return Err(Errno::INVAL);
    }
    if name.len() > 255 {
        return Err(Errno::NAMETOOLONG);
    }
    field.iter_mut().zip(name).for_each(|(to, &from)| *to = from as c_char);
    Ok(())
}

/// The bytes of a field up to its NUL.
fn bytes(field: &[c_char]) -> OsString {
    let text: Vec<u8> = field.iter().take_while(|&&c| c != 0).map(|&c| c as u8).collect();
    OsString::from_vec(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_component_that_fits() {
        let mut field = [0; 4040];
        for (name, expected) in [
            (&b"rootfs"[..], Ok(())),
            (b"\xff\n:", Ok(())),
            (b"", Err(Errno::INVAL)),
            (b"..", Err(Errno::INVAL)),
            (b"a/b", Err(Errno::INVAL)),
            (b"a\0b", Err(Errno::INVAL)),
            (&[b'x'; 255], Ok(())),
            (&[b'x'; 256], Err(Errno::NAMETOOLONG)),
        ] {
            field.fill(0);
            assert_eq!(put_name(&mut field, OsStr::from_bytes(name)), expected, "{name:?}");
            if expected.is_ok() {
                assert_eq!(bytes(&field), OsStr::from_bytes(name));
            }
        }
    }

    #[test]
    fn other_file_systems_have_no_subvolumes() {
        let proc = std::fs::File::open("/proc").unwrap();
        assert!(!is_btrfs(&proc).unwrap());
        assert!(!is_subvolume(&proc).unwrap());
        assert_eq!(filesystem_id(&proc).unwrap_err().errno(), Errno::NOTTY);
    }
}
