//! A short form of `hull-soak scale` with a fixed seed, and both forms for stores in pools.

use hull_integration_tests::grounds::{self, Lxcpath};
use hull_integration_tests::scale::{self, Scale};
use hull_storage::Settings;
use hull_storage_testkit::Ground;
use hull_storage_testkit::grounds::{volume_group, zpool};

const FEW: Scale = Scale { snapshots: 8, depth: 4, seed: 1 };
const HUNDREDS: Scale = Scale { snapshots: 500, depth: 30, seed: 1 };

#[test]
fn snapshots_and_chains_go_in_any_order() {
    for (kind, store) in [("ext4", "dir"), ("ext4", "overlay"), ("btrfs", "btrfs"), ("xfs", "loop")] {
        let ground = match grounds::Ground::of_size(kind, 4 << 30) {
            Ok(ground) => ground,
            Err(reason) => return hull_testskip::skip("snapshots_and_chains_go_in_any_order", reason),
        };
        run(&ground.lxcpath(), store, &Settings::default(), FEW);
    }
}

fn run(at: &Lxcpath, store: &str, settings: &Settings, scale: Scale) {
    let times = scale::run(at, store, settings, scale).unwrap_or_else(|why| panic!("{store}: {why}"));
    println!("{store}\n{times}");
    let counts = (times.create.len(), times.delete.len(), times.clone.len());
    assert_eq!(counts, (scale.snapshots, scale.snapshots, scale.depth));
    // The container, its clones, and the directory below an overlay.
    assert!(times.destroy.len() > scale.depth, "{} were destroyed", times.destroy.len());
}

fn in_pool(test: &str, store: &str, ground: &Ground, scale: Scale) {
    if let Some(reason) = ground.lacking() {
        return hull_testskip::skip(test, reason.to_string());
    }
    let ground = ground.make().unwrap_or_else(|reason| panic!("the ground cannot be made: {reason}"));
    let at = Lxcpath { lxcpath: ground.dir().join("lxc"), rundir: ground.dir().join("run") };
    for dir in [&at.lxcpath, &at.rundir] {
        std::fs::create_dir(dir).expect("a new directory");
    }
    let all = ground.settings().iter().fold(Settings::default(), |all, (key, value)| all.with(key, value));
    run(&at, store, &all, scale);
    let mut left = ground.pool().expect("it has a pool").names("").expect("the pool can be listed");
    left.retain(|name| name != "pool" && name != "lvol0_pmspare");
    assert_eq!(left, [""; 0]);
}

#[test]
fn few_on_logical_volumes() {
    in_pool("few_on_logical_volumes", "lvm", &volume_group::thin("few", "ext4", 64 << 20), FEW);
}

#[test]
fn few_on_datasets() {
    in_pool("few_on_datasets", "zfs", &zpool::ground("library"), FEW);
}

#[test]
fn hundreds_on_logical_volumes() {
    in_pool("hundreds_on_logical_volumes", "lvm", &volume_group::thin("many", "ext4", 64 << 20), HUNDREDS);
}

#[test]
fn hundreds_on_datasets() {
    in_pool("hundreds_on_datasets", "zfs", &zpool::ground("library"), HUNDREDS);
}
