//! The suite that every driver passes, on real file systems; where the kernel has no aufs, each is one skip.

use std::process::ExitCode;

use libtest_mimic::{Arguments, Completion, Trial};

const GROUNDS: [&str; 4] = ["ext4", "xfs", "btrfs", "tmpfs"];

fn main() -> ExitCode {
    if hull_driver_aufs::has_aufs() {
        return hull_storage_testkit::scratch::run(&hull_driver_aufs::REGISTRATION, &GROUNDS, &[]);
    }
    let skip = |ground: &'static str| {
        let name = format!("aufs::{ground}");
        Trial::ignorable_test(name.clone(), move || {
            let reason = "this kernel has no aufs";
            hull_testskip::skip(&name, reason);
            Ok(Completion::ignored_with(reason))
        })
    };
    libtest_mimic::run(&Arguments::from_args(), GROUNDS.map(skip).into()).exit_code()
}
