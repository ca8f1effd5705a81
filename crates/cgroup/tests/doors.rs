//! Threads that move themselves to a container's groups.
#![allow(clippy::unwrap_used, reason = "helpers of tests may panic, too")]

mod support;

use hull_cgroup::{Cgroups, Doors, Moving, Plan, Version};
use support::{Ground, soon};

/// The groups of the calling thread, one line for each hierarchy.
fn own_groups() -> Vec<String> {
    let text = std::fs::read_to_string("/proc/thread-self/cgroup").unwrap();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn a_thread_goes_through_the_doors() {
    let Some(ground) = Ground::new("doors") else { return };
    let cgroups = Cgroups::create(&ground.view, &ground.plan("c")).unwrap();
    let doors = cgroups.doors().unwrap();
    let first = ground.view.hierarchies.iter().filter(|h| h.version == Version::One).count();
    let path = format!("/{}/lxc.payload.c", ground.dir);
    let inside = std::thread::spawn(move || {
        doors.enter().unwrap();
        own_groups()
    });
    let inside = inside.join().unwrap();
    assert_eq!(inside.iter().filter(|line| line.ends_with(&path)).count(), first, "{inside:?}");
    assert!(own_groups().iter().all(|line| !line.ends_with(&path)), "the others stay where they are");
    cgroups.remove(soon()).unwrap();
}

#[test]
fn doors_are_found_by_directories_alone() {
    let Some(ground) = Ground::new("directories") else { return };
    let cgroups = Cgroups::create(&ground.view, &ground.plan("c")).unwrap();
    let doors = Doors::to(cgroups.directories().unwrap()).unwrap();
    let versions: Vec<Version> = ground.view.hierarchies.iter().map(|h| h.version).collect();
    assert_eq!(doors.birth_group().is_some(), versions.contains(&Version::Two));
    let path = format!("/{}/lxc.payload.c", ground.dir);
    let inside = std::thread::spawn(move || {
        doors.enter().unwrap();
        own_groups()
    });
    let first = versions.iter().filter(|v| **v == Version::One).count();
    assert_eq!(inside.join().unwrap().iter().filter(|line| line.ends_with(&path)).count(), first);
    cgroups.remove(soon()).unwrap();
    let elsewhere = rustix::fs::open("/", rustix::fs::OFlags::RDONLY, rustix::fs::Mode::empty()).unwrap();
    let refused = Doors::to(vec![elsewhere]).unwrap_err().to_string();
    assert!(refused.contains("is none"), "{refused}");
}

#[test]
fn a_monitor_that_stays_has_no_group() {
    let Some(mut ground) = Ground::new("stays") else { return };
    // Where version 2's groups begin below the root of all, we may be in the way.
    ground
        .view
        .hierarchies
        .retain(|h| h.version == Version::One || !h.mount_point.join("cgroup.type").exists());
    let plan = Plan { monitor_moves: Moving::Stays, ..ground.plan("c") };
    let before = own_groups();
    let cgroups = Cgroups::create(&ground.view, &plan).unwrap();
    cgroups.enter_monitor().unwrap();
    assert_eq!(own_groups(), before);
    for directory in ground.directories() {
        assert!(directory.join("lxc.payload.c").is_dir() && !directory.join("lxc.monitor.c").exists());
    }
    cgroups.remove(soon()).unwrap();
    assert_eq!(own_groups(), before);
    for directory in ground.directories() {
        assert!(!directory.join("lxc.payload.c").exists() && !directory.join("lxc.pivot").exists());
    }
}
