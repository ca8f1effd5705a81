//! `hull bench` on stores that are pools: they need a kernel that has them, so this runs in the guest.

use std::process::Command;

use hull_bench::{Cache, Results};
use hull_storage_testkit::grounds::volume_group::{self, VolumeGroup};
use hull_storage_testkit::grounds::zpool::{self, TestPool};

/// Operations on whole volumes; curves take too long where every act of a pool takes a second.
const OPERATIONS: [&str; 7] = ["create", "clone", "snapshot", "restore", "rename", "destroy", "mount"];

/// Measures the workloads on the store, and fails unless each was. What is left in its pool is for the caller to see.
fn measured(store: &str, workloads: &[&str]) {
    let work = tempfile::tempdir_in("/var/tmp").expect("a scratch directory");
    let output = Command::new(env!("CARGO_BIN_EXE_hull"))
        .args(["bench", "--quick", "--rounds", "1", "--rootfs", "generate:files=20,bytes=50K", "--json"])
        .args(["--only", &workloads.join(","), "--store", store, "--work"])
        .arg(work.path())
        .env("HOME", work.path())
        .output()
        .expect("hull runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{store}: {said}{}", String::from_utf8_lossy(&output.stdout));
    let results =
        Results::from_json("the output", &String::from_utf8_lossy(&output.stdout)).expect("results");
    assert_eq!(results.stores[0].name, store);
    for row in workloads {
        assert!(results.one(row, store, Cache::Warm).is_some(), "{row}: {:?}", results.absent);
    }
    assert_eq!(work.path().read_dir().expect("it is there").filter_map(Result::ok).count(), 0);
}

#[test]
fn logical_volumes() {
    let group = match volume_group::machine().and_then(|()| VolumeGroup::new()) {
        Ok(group) => group,
        Err(reason) => return hull_testskip::skip("bench_pools::logical_volumes", reason),
    };
    group
        .run("lvcreate", &["--type", "thin-pool", "--size", "8g", "--name", "pool"], &[])
        .expect("a thin pool");
    let before = VolumeGroup::volumes(group.name()).expect("they are listed");
    measured(&format!("lvm:{}/pool", group.name()), &OPERATIONS);
    assert_eq!(VolumeGroup::volumes(group.name()).expect("they are listed"), before);
    measured(&format!("lvm:{}", group.name()), &["clone"]);
    assert_eq!(VolumeGroup::volumes(group.name()).expect("they are listed"), before);
}

#[test]
fn datasets() {
    let pool = match zpool::possible().and_then(|()| TestPool::new()) {
        Ok(pool) => pool,
        Err(reason) => return hull_testskip::skip("bench_pools::datasets", reason),
    };
    let list =
        || zpool::run("zfs", ["list", "-H", "-r", "-t", "all", "-o", "name", &pool.root()]).expect("a list");
    let before = list();
    measured(&format!("zfs:{}", pool.root()), &OPERATIONS);
    assert_eq!(list(), before);
}
