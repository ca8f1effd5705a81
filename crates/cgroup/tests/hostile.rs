//! What a container may make in its groups. A file of its own, as the test process does with few descriptors.
#![allow(clippy::unwrap_used, reason = "helpers of tests may panic, too")]

mod support;

use hull_cgroup::Cgroups;
use support::{Ground, soon};

#[test]
fn groups_however_named_and_nested_go_away() {
    use std::os::unix::ffi::OsStrExt;
    let Some(mut ground) = Ground::new("hostile") else { return };
    // One hierarchy is enough; any will do.
    ground.view.hierarchies.truncate(1);
    let cgroups = Cgroups::create(&ground.view, &ground.plan("c")).unwrap();
    let payload = ground.directories()[0].join("lxc.payload.c");
    std::fs::create_dir(payload.join(std::ffi::OsStr::from_bytes(b"\xff\xfe not text"))).unwrap();
    for i in 0..50 {
        std::fs::create_dir_all(payload.join(format!("wide{i}/a"))).unwrap();
    }
    // Deeper than descriptors go, were one held per level.
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let few = rustix::process::Rlimit { current: Some(64), ..limit };
    let deep = payload.join("d/".repeat(300));
    let made = std::fs::create_dir_all(&deep);
    rustix::process::setrlimit(rustix::process::Resource::Nofile, few).unwrap();
    let populated = cgroups.is_populated();
    let removed = cgroups.remove(soon());
    rustix::process::setrlimit(rustix::process::Resource::Nofile, limit).unwrap();
    made.unwrap();
    assert!(!populated.unwrap());
    removed.unwrap();
    assert!(!payload.exists());
}
