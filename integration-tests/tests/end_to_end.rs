//! Hull's programs from a container's making to its end on each store, and what they must not change.

use std::path::Path;

use hull_integration_tests::command;
use hull_integration_tests::house::{self, House, text};

fn write(house: &House, name: &str, below: &str, content: &str) {
    std::fs::write(house.at(name, below), content).expect("a file in a root file system");
}

fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}: {text}"))
}

/// Starts `name`, expects `said` of a shell line in it, and stops it.
#[track_caller]
fn says(house: &House, name: &str, line: &str, said: &str) {
    house.hull(&["start", name]).ok();
    assert_eq!(house.inside(name, line), said, "in {name}");
    house.hull(&["stop", name]).ok();
}

/// Make, run, keep, change, restore, clone, rename, destroy; nothing is left.
fn life(house: &House, store: &str) {
    house.hull_creates("c1", &["--store", store]);
    says(house, "c1", "echo first > /state; hostname", "c1\n");
    house.hull(&["snapshot", "c1", "--comment", "the first state"]).ok();
    says(house, "c1", "echo second > /state; cat /state", "second\n");
    house.hull(&["snapshot", "c1"]).ok();
    house.hull(&["restore", "c1", "snap0"]).ok();
    says(house, "c1", "cat /state", "first\n");
    house.hull(&["restore", "c1", "snap1", "--as", "later"]).ok();
    says(house, "later", "cat /state; hostname", "second\nlater\n");
    house.hull(&["clone", "c1", "copied", "--copy"]).ok();
    says(house, "copied", "echo third > /state; hostname", "copied\n");
    house.hull(&["clone", "c1", "shared", "--snapshot"]).ok();
    says(house, "shared", "cat /state; echo fourth > /state", "first\n");
    says(house, "c1", "cat /state", "first\n");
    house.hull(&["rename", "copied", "renamed"]).ok();
    assert!(!house.at("copied", "").exists());
    says(house, "renamed", "cat /state; hostname", "third\nrenamed\n");
    house.hull(&["rename", "shared", "other"]).ok();
    says(house, "other", "cat /state", "fourth\n");
    house.hull(&["destroy", "c1"]).fails(1);
    for words in [
        ["destroy", "later", "other", "renamed"].as_slice(),
        &["snapshot", "c1", "--delete", "snap0"],
        &["destroy", "--snapshots", "c1"],
    ] {
        let ran = house.hull(words);
        // What could not be deleted at once is a warning.
        assert!(ran.code() == 0 && ran.stderr.is_empty(), "{ran}");
    }
    let left: Vec<String> = house.listing();
    assert!(left.iter().all(|line| line.starts_with(" d ") || line.starts_with(' ')), "{left:?}");
    assert_eq!(house.mounts(), Vec::<std::path::PathBuf>::new());
    assert_eq!(house.hull(&["recover"]).ok(), "nothing was left unsettled\n");
}

#[test]
fn a_life_in_a_directory() {
    let Some(house) = house::plain("end_to_end::a_life_in_a_directory") else { return };
    life(&house, "dir");
}

#[test]
fn a_life_on_overlay() {
    let Some(house) = house::on("end_to_end::a_life_on_overlay", "ext4") else { return };
    life(&house, "overlay");
}

#[test]
fn a_life_on_btrfs() {
    let Some(house) = house::on("end_to_end::a_life_on_btrfs", "btrfs") else { return };
    life(&house, "btrfs");
    assert_eq!(command::run("/bin/btrfs", &["subvolume", "list", text(house.root())]).ok(), "");
}

#[test]
fn a_life_in_an_image() {
    let Some(house) = house::on("end_to_end::a_life_in_an_image", "xfs") else { return };
    life(&house, "loop");
    let attached = command::run("/sbin/losetup", &["--list", "--noheadings", "--output", "BACK-FILE"]).ok();
    assert!(!attached.contains(text(&house.lxcpath())), "{attached}");
}

#[test]
fn clones_between_stores() {
    let Some(house) = house::on("end_to_end::clones_between_stores", "btrfs") else { return };
    house.hull_creates("d", &["--store", "dir"]);
    house.hull_creates("b", &["--store", "btrfs"]);
    for name in ["d", "b"] {
        write(&house, name, "rootfs/mark", name);
        for (store, how) in [("dir", "--copy"), ("btrfs", "--copy"), ("overlay", "--snapshot")] {
            let new = format!("{name}-{store}");
            house.hull(&["clone", name, &new, "--store", store, how]).ok();
            let info = json(&house.hull(&["info", &new, "--json"]).ok());
            assert_eq!(info["store"], store);
            says(&house, &new, "cat /mark", name);
        }
        house.hull(&["destroy", name]).fails(1);
        let clones = ["dir", "btrfs", "overlay"].map(|store| format!("{name}-{store}"));
        house.hull(&["destroy", &clones[0], &clones[1], &clones[2], name]).ok();
    }
    assert_eq!(command::run("/bin/btrfs", &["subvolume", "list", text(house.root())]).ok(), "");
}

#[test]
fn a_dry_run_changes_nothing() {
    let Some(house) = house::plain("end_to_end::a_dry_run_changes_nothing") else { return };
    house.hull_creates("c1", &[]);
    house.hull(&["snapshot", "c1"]).ok();
    house.hull(&["clone", "c1", "o1", "--snapshot"]).ok();
    house.hull_creates("free", &[]);
    house.hull(&["snapshot", "free"]).ok();
    let (config, template) = (house.root().join("empty.conf"), house::template());
    let before = house.listing();
    for words in [
        ["create", "new", "--config", text(&config), "--template", text(&template)].as_slice(),
        &["clone", "c1", "new"],
        &["clone", "c1", "new", "--snapshot"],
        &["clone", "o1", "new"],
        &["snapshot", "c1"],
        &["snapshot", "free", "--delete", "snap0"],
        &["restore", "free", "snap0"],
        &["restore", "c1", "snap0", "--as", "new"],
        &["rename", "o1", "new"],
        &["destroy", "o1"],
        &["destroy", "--snapshots", "free"],
    ] {
        let plan = house.hull(&[words, &["--dry-run"]].concat()).ok();
        assert!(!plan.trim().is_empty(), "{words:?} has no plan");
        assert_eq!(house.listing(), before, "{words:?} changed something");
    }
    // What would be refused is refused in a dry run, too.
    house.hull(&["destroy", "c1", "--snapshots", "--dry-run"]).fails(1);
    house.hull(&["clone", "c1", "o1", "--dry-run"]).fails(1);
}

#[test]
fn what_is_listed_is_json_on_demand() {
    let Some(house) = house::plain("end_to_end::what_is_listed_is_json_on_demand") else { return };
    house.hull_creates("c1", &[]);
    house.hull(&["snapshot", "c1", "--comment", "with \"quotes\" and\nlines"]).ok();
    house.hull(&["clone", "c1", "o1", "--snapshot"]).ok();
    house.hull(&["start", "o1"]).ok();
    let list = json(&house.hull(&["ls", "--json"]).ok());
    assert_eq!(
        (&list[0]["name"], &list[0]["state"], &list[0]["pid"]),
        (&"c1".into(), &"STOPPED".into(), &().into())
    );
    assert_eq!((&list[1]["name"], &list[1]["store"]), (&"o1".into(), &"overlay".into()));
    assert_eq!(list[1]["pid"].as_i64(), Some(house.pid("o1").into()));
    let info = json(&house.hull(&["info", "c1", "--json", "--usage"]).ok());
    assert_eq!(info["dependents"], serde_json::json!([text(&house.lxcpath().join("o1"))]));
    assert!(info["volume"].is_object(), "{info}");
    let snapshots = json(&house.hull(&["snapshot", "c1", "--list", "--json"]).ok());
    assert_eq!(snapshots[0]["comment"], "with \"quotes\" and\nlines");
    let stores = json(&house.hull(&["doctor", "--json"]).ok());
    assert!(stores.to_string().contains("overlay"), "{stores}");
    json(&house.hull(&["doctor", "o1", "--json"]).ok());
    let volumes = json(
        &house.hull(&["volume", "info", &format!("dir:{}", text(&house.at("c1", "rootfs"))), "--json"]).ok(),
    );
    assert!(volumes.is_object(), "{volumes}");
}

#[test]
fn copies_that_fail_say_why() {
    let Some(house) = house::plain("end_to_end::copies_that_fail_say_why") else { return };
    house.hull_creates("c1", &[]);
    house.hull_creates("taken", &[]);
    house.hull(&["clone", "c1", "o1", "--snapshot"]).ok();
    house.hull(&["start", "c1"]).ok();
    house.hull(&["start", "o1"]).ok();
    let before: Vec<String> = house.listing().into_iter().filter(|line| line.contains("/config ")).collect();
    for (words, why) in [
        (["lxc-copy", "-n", "absent", "-N", "new"].as_slice(), "absent"),
        (&["lxc-copy", "-n", "c1", "-N", "taken"], "taken"),
        (&["lxc-copy", "-n", "c1", "-N", "new"], "RUNNING"),
        (&["lxc-copy", "-n", "taken", "-N", "new", "-B", "nosuch"], "nosuch"),
        (&["lxc-copy", "-n", "taken", "-N", "new", "-s", "-B", "btrfs"], "btrfs"),
        (&["lxc-copy", "-n", "taken", "-N", "a/b"], "a/b"),
        (&["lxc-copy", "-n", "taken"], "new"),
    ] {
        let ran = house.ours(words);
        assert_ne!(ran.code(), 0, "{ran}");
        assert!(ran.stderr.contains(why) && ran.stderr.lines().count() == 1, "{ran}");
    }
    let after: Vec<String> = house.listing().into_iter().filter(|line| line.contains("/config ")).collect();
    assert_eq!(after, before);
    assert!(!house.at("new", "").exists());
}

#[test]
fn a_running_container_is_not_changed_below_its_processes() {
    let name = "end_to_end::a_running_container_is_not_changed_below_its_processes";
    let Some(house) = house::plain(name) else { return };
    house.hull_creates("c1", &[]);
    house.hull(&["snapshot", "c1"]).ok();
    house.hull(&["start", "c1"]).ok();
    let pid = house.pid("c1");
    for words in [
        ["destroy", "--snapshots", "c1"].as_slice(),
        &["rename", "c1", "new"],
        &["restore", "c1", "snap0"],
        &["snapshot", "c1"],
        &["clone", "c1", "new"],
        &["start", "c1"],
    ] {
        let said = house.hull(words).fails(1).to_lowercase();
        assert!(said.contains("running") && said.lines().count() == 1, "{words:?}: {said}");
    }
    assert_eq!(house.pid("c1"), pid);
    house.hull(&["clone", "c1", "torn", "--allow-running"]).ok();
    house.hull(&["destroy", "--snapshots", "--force", "c1"]).ok();
    assert!(!Path::new(&format!("/proc/{pid}")).exists());
    assert!(!house.at("c1", "").exists());
}
