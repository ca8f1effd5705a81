//! Work in a mount namespace of its own, for mounts nobody else shall see.

use rustix::mount::MountPropagationFlags;
use rustix::thread::UnshareFlags;

use crate::{Error, Result};

/// Runs `work` on a thread of its own in a private copy of the mount namespace: what it mounts is seen by it
/// and by the programs it starts, and goes with the last of them. Mounts of the host still come in.
///
/// Needs `CAP_SYS_ADMIN`. A panic in `work` is passed on.
pub fn with_private_mounts<T: Send>(work: impl FnOnce() -> T + Send) -> Result<T> {
    let run = || {
        // SAFETY: only CLONE_FILES makes descriptors vanish from under other code; it is not among the flags.
        // The thread is new, so nothing on it relies on the shared root and working directory.
        unsafe { rustix::thread::unshare_unsafe(UnshareFlags::FS | UnshareFlags::NEWNS) }
            .map_err(|e| Error::new("unshare(CLONE_FS | CLONE_NEWNS)", e))?;
        let downstream = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
        rustix::mount::mount_change("/", downstream)
            .map_err(|e| Error::new("mount(/, MS_SLAVE | MS_REC)", e))?;
        Ok(work())
    };
    std::thread::scope(|scope| match scope.spawn(run).join() {
        Ok(result) => result,
        Err(panic) => std::panic::resume_unwind(panic),
    })
}
