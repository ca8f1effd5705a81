//! An attached mount that goes when dropped.

use hull_sys::mount as call;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::Result;

/// An attached mount. Dropping it unmounts (`MNT_DETACH`: what is still in use keeps the file system, not the
/// name). A guard does not cross fork(2); only descriptors do.
#[derive(Debug)]
#[must_use = "the tree is unmounted when the guard is dropped"]
pub struct MountGuard {
    root: Option<OwnedFd>,
}

impl MountGuard {
    pub(crate) fn new(root: OwnedFd) -> Self {
        Self { root: Some(root) }
    }

    /// The root of the mounted tree.
    pub fn root(&self) -> BorrowedFd<'_> {
        self.root.as_ref().expect("the root is taken only by methods that consume the guard").as_fd()
    }

    /// Unmounts now and reports what dropping could not.
    pub fn unmount(mut self) -> Result<()> {
        self.root.take().map_or(Ok(()), call::detach)
    }

    /// Leaves the mount to its mount namespace, and returns its root.
    pub fn keep(mut self) -> OwnedFd {
        self.root.take().expect("the root is taken only by methods that consume the guard")
    }
}

impl Drop for MountGuard {
    fn drop(&mut self) {
        if let Some(root) = self.root.take() {
            // Nobody is left to tell; `unmount` is for callers who want to know.
            let _ = call::detach(root);
        }
    }
}
