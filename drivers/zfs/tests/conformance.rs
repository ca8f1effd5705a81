//! The suite that every driver passes, on a pool of its own: with the library, and with the program alone.

use std::process::ExitCode;

use hull_storage_testkit::conformance;
use hull_storage_testkit::grounds::zpool;

fn main() -> ExitCode {
    let grounds = ["library", "program"].map(zpool::ground).to_vec();
    conformance::run_one_by_one(&hull_driver_zfs::REGISTRATION, grounds)
}
