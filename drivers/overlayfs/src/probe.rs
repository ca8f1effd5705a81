//! Whether overlayfs can be used here, for `hull doctor`: found out by mounting one that nobody sees.

use hull_mount::{DetachedMount, Union};
use hull_storage::Availability;
use hull_unionfs::{is_known, trial};
use rustix::io::Errno;

use crate::upper;

/// Mounts an overlay of two directories, attached nowhere, and lets it go.
pub(crate) fn probe() -> Availability {
    let missing = |why: String, remedy: &str| Availability::Missing { why, remedy: remedy.into() };
    if !is_known("overlay") {
        return missing(
            "this kernel does not know overlayfs (/proc/filesystems does not list it)".into(),
            "load it with `modprobe overlay`, or boot a kernel that has CONFIG_OVERLAY_FS",
        );
    }
    let mut plan = trial(Union::Overlay);
    if upper::needs_userxattr() {
        plan = plan.option("userxattr");
    }
    match DetachedMount::build(&plan, None) {
        Ok(_) => Availability::Ready { notes: Vec::new() },
        Err(e) if e.errno() == Errno::NOSYS => missing(
            format!("this kernel lacks the mount calls of Linux 5.2: {e}"),
            "use Linux 5.2 or later",
        ),
        Err(e) if matches!(e.errno(), Errno::PERM | Errno::ACCESS) && !upper::in_user_namespace() => {
            Availability::Ready {
                notes: vec![
                    "mounting needs root, or a user namespace of its own (Linux 5.11), in which containers of \
                     normal users run anyway"
                        .into(),
                ],
            }
        }
        Err(e) if upper::in_user_namespace() => missing(
            format!("this user namespace may not mount overlayfs: {e}"),
            "use Linux 5.11 or later, and see that no security module forbids it",
        ),
        Err(e) => missing(format!("mounting one failed: {e}"), "look into the kernel's log (dmesg)"),
    }
}
