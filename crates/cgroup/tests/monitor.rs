//! The monitor's own groups. A file of its own, as the whole test process moves.
#![allow(clippy::unwrap_used, reason = "helpers of tests may panic, too")]

mod support;

use hull_cgroup::Cgroups;
use std::path::PathBuf;
use support::{Ground, groups_of, soon};

#[test]
fn the_monitor_enters_and_leaves_by_the_pivot() {
    let Some(ground) = Ground::new("monitor") else { return };
    // The test's own process is the monitor, so it goes back afterwards.
    struct Back(Vec<(PathBuf, u32)>);
    impl Drop for Back {
        fn drop(&mut self) {
            for (procs, pid) in &self.0 {
                let _ = std::fs::write(procs, pid.to_string());
            }
        }
    }
    let own = |h: &hull_cgroup::Hierarchy| {
        let group = h.own_group.strip_prefix(&h.mount_root).unwrap();
        (h.mount_point.join(group).join("cgroup.procs"), std::process::id())
    };
    let _back = Back(ground.view.hierarchies.iter().map(own).collect());
    let cgroups = Cgroups::create(&ground.view, &ground.plan("c")).unwrap();
    cgroups.enter_monitor().unwrap();
    let pid = i32::try_from(std::process::id()).unwrap();
    for line in groups_of(pid).lines() {
        assert!(line.ends_with(&format!("/{}/lxc.monitor.c", ground.dir)), "{line}");
    }
    cgroups.remove(soon()).unwrap();
    for line in groups_of(pid).lines() {
        assert!(line.ends_with(&format!("/{}/lxc.pivot", ground.dir)), "{line}");
    }
}
