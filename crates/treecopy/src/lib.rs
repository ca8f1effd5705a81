//! The interface of the copy engine, which lands separately.
#![allow(missing_docs, missing_debug_implementations)]
use rustix::fd::BorrowedFd;
use std::ffi::OsStr;
use std::ops::ControlFlow;
pub trait Observer: Sync {
    fn progress(&self, entries: u64, bytes: u64) -> ControlFlow<()>;
}
impl Observer for () {
    fn progress(&self, _: u64, _: u64) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}
pub struct RemoveOptions<'a> {
    pub observer: &'a dyn Observer,
}
impl<'a> RemoveOptions<'a> {
    pub fn new(observer: &'a dyn Observer) -> Self {
        Self { observer }
    }
}
pub struct CopyOptions<'a> {
    pub observer: &'a dyn Observer,
}
impl<'a> CopyOptions<'a> {
    pub fn new(observer: &'a dyn Observer) -> Self {
        Self { observer }
    }
}
#[derive(Debug, Clone)]
pub struct Error;
impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the copy engine is not merged yet")
    }
}
impl std::error::Error for Error {}
impl Error {
    pub fn kind(&self) -> ErrorKind {
        ErrorKind::Os
    }
    pub fn errno(&self) -> Option<rustix::io::Errno> {
        None
    }
}
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    Cancelled,
    NoSpace,
    PermissionDenied,
    AlreadyExists,
    Changed,
    MountPoint,
    Unsupported,
    IdNotMapped,
    TooManyOpenFiles,
    Os,
}
pub struct Copied;
pub struct Removed;
pub fn copy_tree(_: BorrowedFd<'_>, _: BorrowedFd<'_>, _: &CopyOptions<'_>) -> Result<Copied, Error> {
    Err(Error)
}
pub fn remove_tree(_: BorrowedFd<'_>, _: &OsStr, _: &RemoveOptions<'_>) -> Result<Removed, Error> {
    Err(Error)
}
