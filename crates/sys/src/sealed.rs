//! The running program, out of reach of whoever it is about to join (CVE-2019-5736).
//!
//! A process in a container can open another's `/proc/PID/exe`. If that is a program of the host, a
//! privileged container can overwrite it. So a program that enters containers first executes itself again
//! from a copy nobody can write to: a file on a read-only overlay that is attached nowhere (no copy, the page
//! cache is shared), or else a sealed memfd.

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{CWD, MemfdFlags, Mode, OFlags, SealFlags};
use rustix::io::Errno;
use rustix::mount::MountAttrFlags;
use std::convert::Infallible;
use std::ffi::{CString, OsStr};

use crate::mount::FsContext;
use crate::{Error, Result, process};

/// Opens the program `path` such that what is opened, and what runs from it, can be written to by nobody.
pub fn open(path: &std::path::Path) -> Result<OwnedFd> {
    overlay(path).or_else(|_| memfd(path))
}

/// Executes the running program again, from where nobody can write to it, with `argv` and `environment`.
/// Returns only what failed. Requires `/proc`.
pub fn reexec(argv: &[CString], environment: &[CString]) -> Result<Infallible> {
    let path = std::fs::read_link("/proc/self/exe").map_err(|_| Error::last("readlink(/proc/self/exe)"))?;
    // The link reads "… (deleted)" after an upgrade, and must not then be taken for a path.
    let same = rustix::fs::stat(&path).ok().zip(rustix::fs::stat("/proc/self/exe").ok());
    let program = match same {
        Some((a, b)) if (a.st_dev, a.st_ino) == (b.st_dev, b.st_ino) => open(&path)?,
        _ => memfd(std::path::Path::new("/proc/self/exe"))?,
    };
    process::exec_fd(program, argv, environment)
}

fn overlay(path: &std::path::Path) -> Result<OwnedFd> {
    let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(Error::new(format!("open({})", path.display()), Errno::INVAL));
    };
    // Two layers are the least the kernel takes without an upper one.
    let empty = FsContext::open("tmpfs")?.mount(MountAttrFlags::MOUNT_ATTR_RDONLY)?;
    let directory =
        rustix::fs::openat(CWD, directory, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
            .map_err(|e| Error::new(format!("open({})", directory.display()), e))?;
    let context = FsContext::open("overlay")?;
    context.set("source", OsStr::new("overlay"))?;
    context.set_fd("lowerdir+", directory.as_fd())?;
    context.set_fd("lowerdir+", empty.as_fd())?;
    context.flag("ro")?;
    let attributes = MountAttrFlags::MOUNT_ATTR_RDONLY
        | MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NODEV;
    let mount = context.mount(attributes)?;
    rustix::fs::openat(&mount, name, OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW, Mode::empty())
        .map_err(|e| Error::new(format!("open({}, in an overlay)", path.display()), e))
}

fn memfd(path: &std::path::Path) -> Result<OwnedFd> {
    let describe = |what: &str| format!("{what}({})", path.display());
    let source = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .map_err(|e| Error::new(describe("open"), e))?;
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let copy = rustix::fs::memfd_create("hull", flags | MemfdFlags::EXEC)
        // MFD_EXEC is of Linux 6.3; before, every memfd could be executed.
        .or_else(|_| rustix::fs::memfd_create("hull", flags))
        .map_err(|e| Error::new(describe("memfd_create"), e))?;
    while rustix::fs::sendfile(&copy, &source, None, 1 << 30)
        .map_err(|e| Error::new(describe("sendfile"), e))?
        > 0
    {}
    rustix::fs::fcntl_add_seals(
        &copy,
        SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL,
    )
    .map_err(|e| Error::new(describe("fcntl(F_ADD_SEALS)"), e))?;
    // A program cannot run from a descriptor that is open for writing.
    crate::fd::reopen(&copy, OFlags::RDONLY)
}
