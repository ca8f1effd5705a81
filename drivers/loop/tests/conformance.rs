//! The suite that every driver passes: images of each file system, on hosts that share blocks and on one that does not.

use std::process::ExitCode;

use hull_storage_testkit::grounds::failing;
use hull_storage_testkit::{Ground, GroundInstance, conformance};
use hull_treefixture::ScratchFs;

/// The file system in the images (btrfs takes no new size below 256 MiB), its size in MiB, and the one that holds the images.
const GROUNDS: [(&str, u32, &str); 4] =
    [("ext4", 32, "ext4"), ("ext4", 32, "xfs"), ("xfs", 300, "xfs"), ("btrfs", 272, "ext4")];

fn main() -> ExitCode {
    let failing = ["ext4", "xfs"].map(|host| {
        let settings = &[("hull.volume.fstype", "ext4"), ("hull.volume.size", "32M")];
        failing::named(&format!("ext4-on-{host}-on-a-failing-disk"), host, settings)
    });
    let grounds = GROUNDS.map(ground).into_iter().chain(failing).collect();
    conformance::run_one_by_one(&hull_driver_loop::REGISTRATION, grounds)
}

fn ground((inner, mebibytes, host): (&'static str, u32, &'static str)) -> Ground {
    Ground::new(format!("{inner}-on-{host}"), move || {
        let scratch = ScratchFs::new(host, 16 << 30)?;
        Ok(GroundInstance::new(scratch.path().to_path_buf(), scratch)
            .with_setting("hull.volume.fstype", inner)
            .with_setting("hull.volume.size", format!("{mebibytes}M")))
    })
}
