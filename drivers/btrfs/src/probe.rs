//! Whether btrfs can be used here, for `hull doctor`.

use hull_mount::table;
use hull_storage::Availability;

/// Looks whether the kernel knows btrfs and whether one is mounted.
pub(crate) fn probe() -> Availability {
    let known = std::fs::read_to_string("/proc/filesystems").unwrap_or_default();
    if !known.lines().any(|line| line.split_whitespace().next_back() == Some("btrfs")) {
        return Availability::Missing {
            why: "this kernel does not know btrfs (/proc/filesystems does not list it)".into(),
            remedy: "load it with `modprobe btrfs`, or boot a kernel that has CONFIG_BTRFS_FS".into(),
        };
    }
    let mounts = table::read().unwrap_or_default();
    let mut notes = Vec::new();
    if !mounts.iter().any(|m| m.fstype == "btrfs") {
        notes.push("no btrfs is mounted: volumes can be made once their directory is on one".into());
    } else if !rustix::process::geteuid().is_root()
        && !mounts.iter().any(|m| m.fstype == "btrfs" && m.super_options.contains("user_subvol_rm_allowed"))
    {
        notes.push(
            "without privileges, deleting a volume takes as long as deleting its files: \
             mount with user_subvol_rm_allowed to make it instant"
                .into(),
        );
    }
    Availability::Ready { notes }
}
