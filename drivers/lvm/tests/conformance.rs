//! The suite that every driver passes, on volume groups of their own: thin and thick, with several file systems, and on disks that fail.

use std::process::ExitCode;

use hull_driver_lvm::REGISTRATION;
use hull_storage_testkit::conformance;
use hull_storage_testkit::grounds::failing_group;
use hull_storage_testkit::grounds::volume_group::{thick, thin, thin_full};

fn main() -> ExitCode {
    // A size that the file system takes, and that the suite's content fits in.
    let grounds = vec![
        thin("thin-ext4", "ext4", 32 << 20),
        thin("thin-xfs", "xfs", 300 << 20),
        thin("thin-btrfs", "btrfs", 272 << 20),
        thick("thick-ext4", "ext4", 32 << 20),
        thin_full("thin-full", "ext4", 32 << 20),
        failing_group::thin("thin-ext4-on-a-failing-disk", "ext4", 32 << 20),
        failing_group::thick("thick-ext4-on-a-failing-disk", "ext4", 32 << 20),
    ];
    conformance::run_one_by_one(&REGISTRATION, grounds)
}
