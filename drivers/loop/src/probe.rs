//! Whether images can be used here, for `hull doctor`.

use hull_command::System;
use hull_storage::Availability;
use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;

/// Looks whether loop devices can be had, and which file systems can be made.
pub(crate) fn probe() -> Availability {
    let missing = |why: &str, remedy: &str| Availability::Missing { why: why.into(), remedy: remedy.into() };
    match rustix::fs::openat(CWD, "/dev/loop-control", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty()) {
        Ok(_) => Availability::Ready { notes: hull_blockfs::missing(&System) },
        Err(Errno::NOENT | Errno::NODEV | Errno::NXIO) => missing(
            "there are no loop devices (/dev/loop-control is not there)",
            "load them with `modprobe loop`; in a container, let it have /dev/loop-control and /dev/loop*",
        ),
        Err(Errno::ACCESS | Errno::PERM) => {
            missing("loop devices may not be used by this user (/dev/loop-control)", "become root")
        }
        Err(e) => missing(&format!("/dev/loop-control cannot be opened: {e}"), "look at the kernel's log"),
    }
}
