//! Whether overlayfs can be used here, for `hull doctor`: found out by mounting one that nobody sees.

use std::path::Path;

use hull_mount::{Access, DetachedMount, MountPlan, MountSource, Union};
use hull_storage::{Availability, files};
use rustix::io::Errno;

use crate::upper;

/// Two directories that every system has and that do not contain each other.
const LAYERS: [&str; 2] = ["/usr", "/etc"];

/// Mounts an overlay of two directories, attached nowhere, and lets it go.
pub(crate) fn probe() -> Availability {
    let missing = |why: String, remedy: &str| Availability::Missing { why, remedy: remedy.into() };
    let known = std::fs::read_to_string("/proc/filesystems").unwrap_or_default();
    if !known.lines().any(|line| line.split_whitespace().next_back() == Some("overlay")) {
        return missing(
            "this kernel does not know overlayfs (/proc/filesystems does not list it)".into(),
            "load it with `modprobe overlay`, or boot a kernel that has CONFIG_OVERLAY_FS",
        );
    }
    let lower = LAYERS.iter().map(|path| Path::new(path).to_path_buf()).filter(|path| files::is_dir(path));
    let source = MountSource::Union { flavour: Union::Overlay, lower: lower.collect(), upper: None };
    let mut plan = MountPlan::new(source, Access::ReadOnly);
    if upper::needs_userxattr() {
        plan = plan.option("userxattr");
    }
    match DetachedMount::build(&plan, None) {
        Ok(_) => Availability::Ready { notes: Vec::new() },
        Err(e) if matches!(e.errno(), Errno::PERM | Errno::ACCESS) && !upper::in_user_namespace() => {
            Availability::Ready {
                notes: vec![
                    "mounting needs root, or a user namespace of its own (Linux 5.11), in which containers of \
                     normal users run anyway"
                        .into(),
                ],
            }
        }
        Err(e) if matches!(e.errno(), Errno::PERM | Errno::ACCESS | Errno::INVAL) => missing(
            format!("this user namespace may not mount overlayfs: {e}"),
            "use Linux 5.11 or later, and let no security module forbid it",
        ),
        Err(e) if e.errno() == Errno::NOSYS => missing(
            format!("this kernel lacks the mount calls of Linux 5.2: {e}"),
            "use Linux 5.2 or later",
        ),
        Err(e) => missing(format!("mounting one failed: {e}"), "look into the kernel's log (dmesg)"),
    }
}
