//! The suite that every driver passes, on volume groups of their own: thin and thick, with several file systems.

mod ground;

use std::process::ExitCode;

use hull_driver_lvm::REGISTRATION;
use hull_storage_testkit::conformance;

fn main() -> ExitCode {
    // A size that the file system takes, and that the suite's content fits in.
    let grounds = vec![
        ground::thin("thin-ext4", "ext4", 32 << 20),
        ground::thin("thin-xfs", "xfs", 300 << 20),
        ground::thin("thin-btrfs", "btrfs", 128 << 20),
        ground::thick("thick-ext4", "ext4", 32 << 20),
    ];
    conformance::run_one_by_one(&REGISTRATION, grounds)
}
