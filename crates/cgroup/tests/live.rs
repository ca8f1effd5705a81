//! The groups of made-up containers in this machine's real hierarchies.
#![allow(clippy::unwrap_used, reason = "helpers of tests may panic, too")]

mod support;

use hull_cgroup::{Base, Cgroups, GroupOf, Limit, Plan, Version, View};
use rustix::io::Errno;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use support::{Ground, groups_of, soon};

fn limit(version: Version, file: &str, value: &str) -> Limit {
    Limit { version, file: file.into(), value: value.into() }
}

#[test]
fn a_process_is_placed_in_every_hierarchy_and_all_goes_again() {
    let Some(mut ground) = Ground::new("place") else { return };
    let cgroups = Cgroups::create(&ground.view, &ground.plan("c")).unwrap();
    assert_eq!(cgroups.skipped(), []);
    let pid = ground.process();
    cgroups.place(pid).unwrap();
    let path = format!("/{}/lxc.payload.c", ground.dir);
    let groups = groups_of(pid);
    for line in groups.lines() {
        assert!(line.ends_with(&path), "{line} is not in {path}");
    }
    assert_eq!(groups.lines().count(), ground.view.hierarchies.len());
    assert_eq!(cgroups.path(GroupOf::Processes, None), Some(path.clone()));
    assert_eq!(cgroups.directories().unwrap().len(), ground.view.hierarchies.len());
    // What the container makes within must go, too.
    for directory in ground.directories() {
        std::fs::create_dir_all(directory.join("lxc.payload.c/made/deep")).unwrap();
    }
    assert!(cgroups.is_populated().unwrap());
    ground.reaping(|| cgroups.kill(soon())).unwrap();
    cgroups.remove(soon()).unwrap();
    for directory in ground.directories() {
        let left: Vec<_> = std::fs::read_dir(&directory)
            .unwrap()
            .flatten()
            .filter(|e| e.file_type().unwrap().is_dir())
            .collect();
        assert!(left.is_empty(), "{left:?} left in {}", directory.display());
    }
}

#[test]
fn only_empty_groups_go_at_once() {
    let Some(mut ground) = Ground::new("empty") else { return };
    let mut empty = Cgroups::create(&ground.view, &ground.plan("a")).unwrap();
    assert!(empty.remove_empty());
    empty.remove(soon()).unwrap();
    let mut used = Cgroups::create(&ground.view, &ground.plan("b")).unwrap();
    used.place(ground.process()).unwrap();
    let mut nested = Cgroups::create(&ground.view, &ground.plan("c")).unwrap();
    std::fs::create_dir(ground.directories()[0].join("lxc.payload.c/made")).unwrap();
    assert!(!used.remove_empty() && !nested.remove_empty());
    ground.reaping(|| used.kill(soon())).unwrap();
    nested.kill(soon()).unwrap();
    for cgroups in [used, nested] {
        cgroups.remove(soon()).unwrap();
    }
    for directory in ground.directories() {
        let groups = std::fs::read_dir(&directory).unwrap().flatten();
        let left: Vec<_> = groups.filter(|e| e.file_type().unwrap().is_dir()).collect();
        assert!(left.is_empty(), "{left:?} left in {}", directory.display());
    }
}

#[test]
fn a_taken_name_gets_a_suffix_everywhere() {
    let Some(ground) = Ground::new("suffix") else { return };
    let first = Cgroups::create(&ground.view, &ground.plan("c")).unwrap();
    let second = Cgroups::create(&ground.view, &ground.plan("c")).unwrap();
    let path = |c: &Cgroups| c.path(GroupOf::Limits, Some("pids")).or(c.path(GroupOf::Limits, None)).unwrap();
    assert_eq!(path(&second), format!("{}-1", path(&first)));
    // Taken in one hierarchy only: nothing is left in those tried before it.
    first.remove(soon()).unwrap();
    second.remove(soon()).unwrap();
    let last = ground.directories().pop().unwrap();
    std::fs::create_dir(last.join("lxc.payload.c")).unwrap();
    let third = Cgroups::create(&ground.view, &ground.plan("c")).unwrap();
    assert!(path(&third).ends_with("lxc.payload.c-1"));
    for directory in ground.directories().iter().filter(|d| **d != last) {
        assert!(!directory.join("lxc.payload.c").exists(), "left in {}", directory.display());
    }
    third.remove(soon()).unwrap();
    assert!(last.join("lxc.payload.c").exists(), "what is not ours stays");
}

#[test]
fn fixed_and_inner_names() {
    let Some(mut ground) = Ground::new("fixed") else { return };
    let plan = Plan {
        dir_container: Some(format!("{}/payload", ground.dir)),
        dir_container_inner: Some("ns/deep".into()),
        dir_monitor: Some(format!("{}/monitor", ground.dir)),
        dir_monitor_pivot: Some(format!("{}/pivot", ground.dir)),
        ..Plan::new("c")
    };
    let cgroups = Cgroups::create(&ground.view, &plan).unwrap();
    let pid = ground.process();
    cgroups.place(pid).unwrap();
    assert!(groups_of(pid).lines().all(|l| l.ends_with("/payload/ns/deep")), "{}", groups_of(pid));
    assert!(cgroups.path(GroupOf::Limits, None).unwrap().ends_with("/payload"));
    let error = Cgroups::create(&ground.view, &plan).unwrap_err();
    assert_eq!(error.errno(), Errno::BUSY, "{error}");
    let bad = Plan { dir_container: Some("../up".into()), ..Plan::new("c") };
    let error = Cgroups::create(&ground.view, &bad).unwrap_err();
    assert!(error.to_string().contains("\"../up\" is not the name of a cgroup"), "{error}");
    for directory in ground.directories() {
        assert!(!directory.join("lxc.monitor.c").exists());
    }
}

#[test]
fn limits_of_version_one_are_set_and_read_back() {
    let Some(ground) = Ground::new("limits") else { return };
    if !(ground.has("pids") && ground.has("memory") && ground.has("cpuset")) {
        return;
    }
    let cgroups = Cgroups::create(&ground.view, &ground.plan("c")).unwrap();
    let one = |file, value| limit(Version::One, file, value);
    cgroups
        .apply_limits(&[one("pids.max", "17"), one("memory.limit_in_bytes", "64M"), one("cpuset.cpus", "0")])
        .unwrap();
    assert_eq!(cgroups.get("pids.max").unwrap(), "17");
    assert_eq!(cgroups.get("memory.limit_in_bytes").unwrap(), (64 << 20).to_string());
    assert_eq!(cgroups.get("cpuset.cpus").unwrap(), "0");
    cgroups.set("pids.max", "18").unwrap();
    assert_eq!(cgroups.get("pids.max").unwrap(), "18");
    let check = |limits: &[Limit], expect: &[&str]| {
        let error = cgroups.apply_limits(limits).unwrap_err().to_string();
        for part in expect {
            assert!(error.contains(part), "{error:?} does not say {part:?}");
        }
        assert!(!error.contains('\n'));
    };
    check(&[one("pids.max", "many")], &["lxc.cgroup.pids.max = many", "does not take this value"]);
    check(&[one("pids.nonsense", "1")], &["pids.nonsense", "no such file", "check its name"]);
    check(&[one("magic.max", "1")], &["lxc.cgroup.magic.max", "magic is not mounted", "mount it"]);
    check(&[one("pids/../x", "1")], &["is not the name of a cgroup file"]);
    // This host's cgroup2 has no memory controller: alone an error, excused beside its counterpart.
    let two = limit(Version::Two, "memory.max", "64M");
    let v2 = ground.view.hierarchies.iter().find(|h| h.version == Version::Two);
    if v2.is_some_and(|h| h.controllers.iter().all(|c| c != "memory")) {
        check(
            std::slice::from_ref(&two),
            &["lxc.cgroup2.memory.max", "no controller memory", "cgroup_no_v1"],
        );
        let excused = cgroups.apply_limits(&[one("memory.limit_in_bytes", "64M"), two.clone()]).unwrap();
        assert_eq!(excused.len(), 1);
        assert_eq!(excused[0].limit, two);
        let neither = [limit(Version::Two, "magic.max", "1"), one("magic.limit", "1")];
        check(&neither, &["lxc.cgroup2.magic.max", "no controller magic"]);
    }
}

#[test]
fn limits_of_version_two_enable_their_controllers() {
    let Some(ground) = Ground::new("two") else { return };
    let v2 = ground.view.hierarchies.iter().find(|h| h.version == Version::Two);
    if !v2.is_some_and(|h| h.controllers.iter().any(|c| c == "hugetlb")) {
        eprintln!("skipped: cgroup2 has no hugetlb controller here");
        return;
    }
    let cgroups = Cgroups::create(&ground.view, &ground.plan("c")).unwrap();
    cgroups
        .apply_limits(&[
            limit(Version::Two, "hugetlb.2MB.max", "4194304"),
            limit(Version::Two, "cgroup.max.depth", "7"),
        ])
        .unwrap();
    assert_eq!(cgroups.get("hugetlb.2MB.max").unwrap(), "4194304");
    assert_eq!(cgroups.get("cgroup.max.depth").unwrap(), "7");
}

#[test]
fn freezing_stops_and_thawing_goes_on() {
    let Some(mut ground) = Ground::new("freeze") else { return };
    let cgroups = Cgroups::create(&ground.view, &ground.plan("c")).unwrap();
    let pid = ground.process();
    cgroups.place(pid).unwrap();
    cgroups.freeze(Some(soon())).unwrap();
    assert!(cgroups.is_frozen().unwrap());
    cgroups.thaw(Some(soon())).unwrap();
    assert!(!cgroups.is_frozen().unwrap());
    // Killing reaches frozen processes.
    cgroups.freeze(Some(soon())).unwrap();
    ground.reaping(|| cgroups.kill(soon())).unwrap();
    assert!(!cgroups.is_populated().unwrap());
}

#[test]
fn version_two_alone_places_freezes_and_kills() {
    let Some(mut ground) = Ground::new("only-two") else { return };
    ground.view.hierarchies.retain(|h| h.version == Version::Two);
    if ground.view.hierarchies.is_empty() {
        eprintln!("skipped: cgroup2 is not mounted");
        return;
    }
    let cgroups = Cgroups::create(&ground.view, &ground.plan("c")).unwrap();
    assert!(cgroups.freezes_by_version_two() && cgroups.doors().unwrap().birth_group().is_some());
    let pid = ground.process();
    cgroups.place(pid).unwrap();
    assert!(groups_of(pid).contains(&format!("0::/{}/lxc.payload.c", ground.dir)));
    cgroups.freeze(Some(soon())).unwrap();
    assert!(cgroups.is_frozen().unwrap());
    assert!(cgroups.statistics().cpu.is_some());
    ground.reaping(|| cgroups.kill(soon())).unwrap();
    let error = cgroups.apply_limits(&[limit(Version::One, "pids.max", "1")]).unwrap_err().to_string();
    assert!(error.contains("cgroup v2 only") && error.contains("lxc.cgroup2"), "{error}");
    cgroups.remove(soon()).unwrap();
}

/// Whether a process of the container can open `path`.
fn can_open(cgroups: &Cgroups, ground: &mut Ground, path: &str) -> bool {
    // The shell waits until it has been placed.
    let script = format!("read go; exec 3<{path}");
    let mut child =
        Command::new("sh").args(["-c", &script]).stdin(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let placed = cgroups.place(i32::try_from(child.id()).unwrap());
    drop(std::io::Write::write_all(child.stdin.as_mut().unwrap(), b"go\n"));
    let status = child.wait().unwrap();
    ground.children.push(child);
    placed.unwrap();
    status.success()
}

fn device_rules(version: Version) -> Vec<Limit> {
    vec![
        limit(version, "devices.deny", "a"),
        limit(version, "devices.allow", "c 1:3 rwm"),
        limit(version, "devices.allow", "c 1:5 rw"),
        limit(version, "devices.deny", "c 1:5 r"),
        limit(version, "devices.allow", "c *:* m"),
    ]
}

#[test]
fn device_rules_bind_on_both_versions_whichever_keys_say_them() {
    let Some(mut ground) = Ground::new("devices") else { return };
    let all = ground.view.clone();
    for only in [Version::One, Version::Two] {
        ground.view.hierarchies = all.hierarchies.iter().filter(|h| h.version == only).cloned().collect();
        if ground.view.hierarchies.is_empty() {
            eprintln!("skipped: {only:?} is not mounted");
            continue;
        }
        for keys in [Version::One, Version::Two] {
            let mut cgroups = Cgroups::create(&ground.view, &ground.plan("c")).unwrap();
            assert!(can_open(&cgroups, &mut ground, "/dev/zero"), "without rules all is allowed");
            cgroups.apply_devices(&device_rules(keys)).unwrap();
            assert!(can_open(&cgroups, &mut ground, "/dev/null"), "{keys:?} on {only:?}");
            assert!(!can_open(&cgroups, &mut ground, "/dev/zero"), "{keys:?} on {only:?}");
            assert!(!can_open(&cgroups, &mut ground, "/dev/urandom"), "{keys:?} on {only:?}");
            let rule = hull_cgroup::devices::Rule::parse(true, "c 1:9 r").unwrap();
            cgroups.change_device(rule).unwrap();
            assert!(can_open(&cgroups, &mut ground, "/dev/urandom"), "{keys:?} on {only:?}, changed");
            assert!(!can_open(&cgroups, &mut ground, "/dev/zero"), "{keys:?} on {only:?}, changed");
            cgroups.remove(soon()).unwrap();
        }
    }
}

#[test]
fn delegation_gives_the_group_but_not_its_limits() {
    use std::os::unix::fs::MetadataExt;
    let Some(ground) = Ground::new("delegate") else { return };
    let cgroups = Cgroups::create(&ground.view, &ground.plan("c")).unwrap();
    cgroups.delegate(100_000, 100_001).unwrap();
    for directory in ground.directories() {
        let group = directory.join("lxc.payload.c");
        let owner = |path: PathBuf| path.metadata().map(|m| (m.uid(), m.gid())).unwrap();
        assert_eq!(owner(group.clone()), (100_000, 100_001));
        assert_eq!(owner(group.join("cgroup.procs")), (100_000, 100_001));
        for limit in ["pids.max", "memory.limit_in_bytes", "cgroup.max.depth", "devices.deny"] {
            if group.join(limit).exists() {
                assert_eq!(owner(group.join(limit)).0, 0, "{limit} stays root's");
            }
        }
    }
}

#[test]
fn a_running_container_is_found_by_its_paths() {
    let Some(mut ground) = Ground::new("running") else { return };
    let made = Cgroups::create(&ground.view, &ground.plan("c")).unwrap();
    let pid = ground.process();
    made.place(pid).unwrap();
    let found =
        Cgroups::of_running(&ground.view, |controller| made.path(GroupOf::Limits, controller)).unwrap();
    assert!(found.is_populated().unwrap());
    assert_eq!(found.path(GroupOf::Limits, None), made.path(GroupOf::Limits, None));
    let statistics = found.statistics();
    assert!(statistics.cpu.is_some());
    if ground.has("pids") {
        assert_eq!(statistics.tasks, Some(1));
    }
    assert_eq!(found.remove(soon()).unwrap_err().errno(), Errno::INVAL, "only the monitor removes");
}

#[test]
fn a_host_without_hierarchies_places_but_does_not_limit() {
    let cgroups = Cgroups::create(&View::default(), &Plan { base: Base::Own, ..Plan::new("c") }).unwrap();
    cgroups.place(1).unwrap();
    cgroups.apply_limits(&[]).unwrap();
    for version in [Version::One, Version::Two] {
        assert!(cgroups.apply_limits(&[limit(version, "pids.max", "1")]).is_err());
    }
    let mut cgroups = cgroups;
    let error = cgroups.apply_devices(&device_rules(Version::Two)).unwrap_err().to_string();
    assert!(error.contains("device rules are set but"), "{error}");
    assert!(cgroups.freeze(None).is_err());
    cgroups.remove(soon()).unwrap();
}

#[test]
fn the_root_of_a_hierarchy_is_nobodys_container() {
    let Some(ground) = Ground::new("root") else { return };
    for path in ["/", "", "/.."] {
        let found = Cgroups::of_running(&ground.view, |_| Some(path.into())).unwrap();
        assert_eq!(found.skipped().len(), ground.view.hierarchies.len(), "{path:?}");
        assert!(!found.is_populated().unwrap());
    }
}
