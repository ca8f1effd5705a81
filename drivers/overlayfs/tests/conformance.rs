//! The suite that every driver passes, on real file systems, as root and in a user namespace.

use std::process::ExitCode;

fn main() -> ExitCode {
    hull_storage_testkit::scratch::run(
        &hull_driver_overlayfs::REGISTRATION,
        &["ext4", "xfs", "btrfs", "tmpfs"],
        &["ext4"],
    )
}
