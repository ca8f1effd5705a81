//! Hosts this machine is not: cgroup v2 alone with all controllers, subtrees, hierarchies that cannot be written to.
//!
//! A directory stands in for the file system, so groups are directories and files are what the test puts there.
#![allow(clippy::unwrap_used, reason = "helpers of tests may panic, too")]

use hull_cgroup::{Base, Cgroups, GroupOf, Hierarchy, Layout, Limit, Plan, Version, View};
use std::fs;
use std::path::Path;
use std::time::Instant;

fn hierarchy(version: Version, controllers: &[&str], mount_point: &Path, own: &str) -> Hierarchy {
    Hierarchy {
        version,
        controllers: controllers.iter().map(|c| (*c).to_owned()).collect(),
        mount_point: mount_point.to_owned(),
        mount_root: "/".into(),
        init_group: "/init.scope".into(),
        own_group: own.into(),
    }
}

fn two(file: &str, value: &str) -> Limit {
    Limit { version: Version::Two, file: file.into(), value: value.into() }
}

#[test]
fn controllers_are_enabled_from_the_root_to_the_payloads_parent() {
    let root = tempfile::tempdir().unwrap();
    let own = root.path().join("user.slice");
    for group in [root.path(), &own, &own.join("box")] {
        fs::create_dir_all(group).unwrap();
        fs::write(group.join("cgroup.subtree_control"), "").unwrap();
    }
    let view =
        View { hierarchies: vec![hierarchy(Version::Two, &["cpu", "memory"], root.path(), "/user.slice")] };
    assert_eq!(view.layout(), Layout::Unified);
    let plan = Plan { base: Base::Own, dir: Some("box".into()), ..Plan::new("c") };
    let cgroups = Cgroups::create(&view, &plan).unwrap();
    assert_eq!(cgroups.path(GroupOf::Limits, None).unwrap(), "/user.slice/box/lxc.payload.c");
    // There is no kernel to make memory.max, so the write fails after the way has been prepared.
    let error = cgroups.apply_limits(&[two("memory.max", "1G")]).unwrap_err().to_string();
    assert!(error.contains("lxc.cgroup2.memory.max = 1G") && error.contains("no such file"), "{error}");
    for group in [root.path(), &own, &own.join("box")] {
        assert_eq!(fs::read_to_string(group.join("cgroup.subtree_control")).unwrap(), "+memory");
    }
    assert!(!own.join("box/lxc.payload.c/cgroup.subtree_control").exists(), "not within the payload");
    let error = cgroups.apply_limits(&[two("io.max", "1")]).unwrap_err().to_string();
    assert!(error.contains("no controller io"), "{error}");
    let written = own.join("box/lxc.payload.c/memory.max");
    fs::write(&written, "").unwrap();
    cgroups.apply_limits(&[two("memory.max", "1G")]).unwrap();
    assert_eq!(fs::read_to_string(&written).unwrap(), "1G");
}

#[test]
fn statistics_of_version_two() {
    let root = tempfile::tempdir().unwrap();
    let view = View { hierarchies: vec![hierarchy(Version::Two, &["memory", "io"], root.path(), "/")] };
    let cgroups = Cgroups::create(&view, &Plan::new("c")).unwrap();
    let group = root.path().join("lxc.payload.c");
    let files = [
        ("cpu.stat", "usage_usec 2500000\nuser_usec 1\n"),
        ("memory.current", "4096\n"),
        ("memory.swap.current", "8192\n"),
        ("memory.stat", "anon 1\nkernel 512\nkernel_stack 7\n"),
        ("io.stat", "8:0 rbytes=10 wbytes=20 rios=1 wios=1\n"),
        ("pids.current", "3\n"),
    ];
    for (file, text) in files {
        fs::write(group.join(file), text).unwrap();
    }
    let s = cgroups.statistics();
    assert_eq!(s.cpu.unwrap().as_millis(), 2500);
    let rest = (s.memory, s.swap, s.kernel_memory, s.block_io, s.tasks);
    assert_eq!(rest, (Some(4096), Some(8192), Some(512), Some(30), Some(3)));
}

#[test]
fn hierarchies_that_cannot_be_used_are_skipped_with_the_reason_and_limits_there_refused() {
    let good = tempfile::tempdir().unwrap();
    let gone = good.path().join("gone");
    let mut outside = hierarchy(Version::One, &["pids"], good.path(), "/");
    outside.mount_root = "/docker/x".into();
    let view = View {
        hierarchies: vec![
            hierarchy(Version::One, &["memory"], &gone, "/"),
            outside,
            hierarchy(Version::One, &["name=systemd"], good.path(), "/"),
        ],
    };
    let cgroups = Cgroups::create(&view, &Plan::new("c")).unwrap();
    let skipped: Vec<_> = cgroups.skipped().iter().map(|s| s.hierarchy.as_str()).collect();
    assert_eq!(skipped, ["memory", "pids"]);
    assert!(good.path().join("lxc.payload.c").is_dir(), "init.scope is no base");
    let limit = |file: &str| Limit { version: Version::One, file: file.into(), value: "1".into() };
    let check = |file: &str, expect: &str| {
        let error = cgroups.apply_limits(&[limit(file)]).unwrap_err().to_string();
        assert!(error.contains(expect) && error.contains(file), "{error}");
    };
    check("memory.limit_in_bytes", "memory is not usable");
    check("pids.max", "outside of what is mounted");
    check("blkio.weight", "blkio is not mounted");
    assert_eq!(cgroups.path(GroupOf::Limits, Some("systemd")).unwrap(), "/lxc.payload.c");
    let only = Plan { only: vec!["cpu".into()], ..Plan::new("d") };
    assert_eq!(Cgroups::create(&view, &only).unwrap().skipped().len(), 3);
    cgroups.remove(Instant::now()).unwrap();
    assert!(!good.path().join("lxc.payload.c").exists());
}
