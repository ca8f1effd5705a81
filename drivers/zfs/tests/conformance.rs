//! The suite that every driver passes, on a pool of its own: with the library, and with the program alone.

use std::process::ExitCode;

use hull_storage_testkit::conformance;
use hull_storage_testkit::grounds::{failing_zpool, zpool};

fn main() -> ExitCode {
    let backends = ["library", "program"];
    let grounds = backends.map(zpool::ground).into_iter().chain(backends.map(failing_zpool::ground));
    conformance::run_one_by_one(&hull_driver_zfs::REGISTRATION, grounds.collect())
}
