//! The mount calls of kernels 5.2 and later: rustix's, with errors that print the call, and the one it lacks.

use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags};
use std::ffi::CStr;
use std::path::Path;

use crate::{Error, Result, fd};

/// Attributes to change on a mount, as `mount_setattr(2)` takes them (Linux 5.12).
#[derive(Clone, Copy, Debug, Default)]
pub struct SetAttr<'fd> {
    /// Attributes to set.
    pub set: u64,
    /// Attributes to clear.
    pub clear: u64,
    /// One of `MS_SHARED`, `MS_SLAVE`, `MS_PRIVATE`, `MS_UNBINDABLE`; 0 leaves it.
    pub propagation: u64,
    /// Map owners through this user namespace. Only a mount that is attached nowhere can be mapped.
    pub userns: Option<BorrowedFd<'fd>>,
    /// Change the mounts below, too.
    pub recursive: bool,
}

const MOUNT_ATTR_IDMAP: u64 = 0x0010_0000;

/// Changes the attributes of the mount whose root is `mount`: `mount_setattr(2)`.
pub fn set_attributes(mount: impl AsFd, change: &SetAttr<'_>) -> Result<()> {
    let mut attr = libc::mount_attr {
        attr_set: change.set,
        attr_clr: change.clear,
        propagation: change.propagation,
        userns_fd: 0,
    };
    if let Some(userns) = change.userns {
        attr.attr_set |= MOUNT_ATTR_IDMAP;
        attr.userns_fd = u64::try_from(userns.as_raw_fd()).expect("a borrowed descriptor is not negative");
    }
    let flags = libc::AT_EMPTY_PATH | if change.recursive { libc::AT_RECURSIVE } else { 0 };
    let empty: &CStr = c"";
    // SAFETY: the path is a NUL-terminated constant, `attr` is a live `mount_attr` of the size given, and
    // the call keeps neither.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_fd().as_raw_fd(),
            empty.as_ptr(),
            flags,
            &raw const attr,
            size_of::<libc::mount_attr>(),
        )
    };
    if result == 0 {
        return Ok(());
    }
    let idmap = change.userns.map_or(String::new(), |u| format!(", userns {}", fd::name(u)));
    Err(Error::last(format!(
        "mount_setattr({}, set {:#x}, clear {:#x}{idmap})",
        fd::name(mount),
        attr.attr_set,
        attr.attr_clr
    )))
}

/// Copies the mount that holds the directory `dir`, from there down, to a mount attached nowhere:
/// `open_tree(2)` with `OPEN_TREE_CLONE` (Linux 5.2).
pub fn clone_tree(dir: impl AsFd, recursive: bool) -> Result<OwnedFd> {
    let mut flags =
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
    if recursive {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    rustix::mount::open_tree(&dir, c"", flags)
        .map_err(|e| Error::new(format!("open_tree({}, OPEN_TREE_CLONE)", fd::name(&dir)), e))
}

/// Attaches the detached mount `mount` at `path` below `dir`; an empty `path` names `dir` itself: `move_mount(2)`.
pub fn attach(mount: impl AsFd, dir: impl AsFd, path: &Path) -> Result<()> {
    let mut flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    if path.as_os_str().is_empty() {
        flags |= MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    }
    rustix::mount::move_mount(&mount, c"", &dir, path, flags)
        .map_err(|e| Error::new(format!("move_mount({}, {:?})", fd::name(&dir), path), e))
}

/// Detaches the mount whose root is `mount` from where it is attached; what still uses it keeps it.
pub fn detach(mount: impl AsFd) -> Result<()> {
    rustix::mount::unmount(fd::proc_path(&mount), UnmountFlags::DETACH)
        .map_err(|e| Error::new(format!("umount2({}, MNT_DETACH)", fd::name(&mount)), e))
}

/// A file system being configured: `fsopen(2)` (Linux 5.2).
#[derive(Debug)]
pub struct FsContext {
    fstype: String,
    fd: OwnedFd,
}

impl FsContext {
    /// Starts configuring a file system of type `fstype`.
    pub fn open(fstype: &str) -> Result<Self> {
        let fd = rustix::mount::fsopen(fstype, FsOpenFlags::FSOPEN_CLOEXEC)
            .map_err(|e| Error::new(format!("fsopen({fstype:?})"), e))?;
        Ok(Self { fstype: fstype.into(), fd })
    }

    /// Sets a text option. The kernel takes at most 255 bytes a value.
    pub fn set(&self, key: &str, value: &std::ffi::OsStr) -> Result<()> {
        rustix::mount::fsconfig_set_string(self.fd.as_fd(), key, value)
            .map_err(|e| self.error(&format!("{key}={value:?}"), e))
    }

    /// Sets an option that is a descriptor (overlayfs layers, Linux 6.13).
    pub fn set_fd(&self, key: &str, value: impl AsFd) -> Result<()> {
        rustix::mount::fsconfig_set_fd(self.fd.as_fd(), key, value.as_fd())
            .map_err(|e| self.error(&format!("{key}={}", fd::name(value)), e))
    }

    /// Sets an option without a value.
    pub fn flag(&self, key: &str) -> Result<()> {
        rustix::mount::fsconfig_set_flag(self.fd.as_fd(), key).map_err(|e| self.error(key, e))
    }

    /// Creates (or finds) the superblock and returns a mount of it that is attached nowhere.
    pub fn mount(self, attributes: MountAttrFlags) -> Result<OwnedFd> {
        rustix::mount::fsconfig_create(self.fd.as_fd()).map_err(|e| self.error("FSCONFIG_CMD_CREATE", e))?;
        rustix::mount::fsmount(self.fd.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes)
            .map_err(|e| Error::new(format!("fsmount({})", self.fstype), e))
    }

    /// What the kernel has to say about the last failure, one line a message (fsopen(2), "message retrieval").
    fn messages(&self) -> Vec<String> {
        let mut said = Vec::new();
        let mut buffer = [0u8; 512];
        while let Ok(n @ 1..) = rustix::io::read(&self.fd, &mut buffer) {
            let text = String::from_utf8_lossy(&buffer[..n]);
            // Messages read "e text", "w text" or "i text".
            said.push(text.trim_end().get(2..).unwrap_or_default().to_owned());
            if said.len() == 8 {
                break;
            }
        }
        said
    }

    fn error(&self, what: &str, errno: rustix::io::Errno) -> Error {
        let said = self.messages();
        let said = if said.is_empty() { String::new() } else { format!(" [{}]", said.join("; ")) };
        Error::new(format!("fsconfig({}, {what}){said}", self.fstype), errno)
    }
}
