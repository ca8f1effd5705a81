//! Containers that need each other: they go together or not at all, and keep each other when one is renamed.

use std::fs;
use std::path::Path;

use hull_container::{CloneMode, CloneRequest, ErrorKind, RunningMark};
use hull_integration_tests::grounds::{Ground, Lxcpath};
use hull_integration_tests::manifest;
use hull_integration_tests::operation;

fn run(at: &Lxcpath, words: &[&str]) {
    try_run(at, words).unwrap_or_else(|e| panic!("{words:?}: {e}"));
}

fn try_run(at: &Lxcpath, words: &[&str]) -> hull_container::Result<()> {
    operation::run(&operation::containers(&at.lxcpath, &at.rundir, None)?, words)
}

fn ground(test: &str) -> Option<Ground> {
    Ground::new("ext4").map_err(|why| hull_testskip::skip(test, why)).ok()
}

/// `c0`, its clone `c1` with a snapshot, and `c1`'s clone `c2`.
fn family(at: &Lxcpath) {
    run(at, &["create", "c0", "dir"]);
    fs::write(at.rootfs("c0").join("data"), "original").expect("written");
    run(at, &["clone", "c0", "c1", "-"]);
    run(at, &["snapshot", "c1"]);
    run(at, &["clone", "c1", "c2", "-"]);
    run(at, &["create", "other", "dir"]);
}

fn names(at: &Lxcpath) -> Vec<String> {
    operation::containers(&at.lxcpath, &at.rundir, None).and_then(|all| all.list()).expect("a list")
}

/// Names that transactions have left.
fn leftovers(at: &Lxcpath) -> Vec<String> {
    let all = manifest::of(&at.lxcpath).into_keys();
    let all = all.map(|path| path.display().to_string());
    all.filter(|path| path.contains(".new-") || path.contains(".old-") || path.ends_with(".record")).collect()
}

#[test]
fn a_family_goes_at_once_or_not_at_all() {
    let Some(ground) = ground("a_family_goes_at_once_or_not_at_all") else { return };
    let at = ground.lxcpath();
    family(&at);
    let before = manifest::of(&at.lxcpath);
    let error = try_run(&at, &["destroy", "c0"]).expect_err("others need it");
    assert_eq!(error.kind(), ErrorKind::HasDependents);
    for name in ["c1", "c2", "snap0"] {
        assert!(error.to_string().contains(name), "all are named: {error}");
    }
    // The last of the family runs.
    let mark = RunningMark::set(&at.lxcpath, "c2").expect("a mark");
    let error = try_run(&at, &["destroy-all", "c0"]).expect_err("one of them runs");
    assert_eq!(error.kind(), ErrorKind::InUse, "{error}");
    assert_eq!(manifest::of(&at.lxcpath), before, "nothing has happened");
    drop(mark);
    // One has a root file system that is not known to be its own.
    let config = at.home("c2").join("config");
    let whole = fs::read_to_string(&config).expect("a config");
    let elsewhere = at.rootfs("other");
    fs::write(&config, format!("lxc.rootfs.path = dir:{}\n", elsewhere.display())).expect("written");
    let before = manifest::of(&at.lxcpath);
    let error = try_run(&at, &["destroy-all", "c0"]).expect_err("it is another's");
    assert!(error.to_string().contains("not known to be its own"), "{error}");
    assert_eq!(manifest::of(&at.lxcpath), before, "nothing has happened");
    fs::write(&config, whole).expect("written");
    run(&at, &["destroy-all", "c1"]);
    assert_eq!(names(&at), ["c0", "other"]);
    assert!(!at.home("c0").join("lxc_snapshots").exists(), "nobody needs it any more");
    run(&at, &["clone", "c0", "c3", "-"]);
    run(&at, &["destroy-all", "c0"]);
    assert_eq!(names(&at), ["other"]);
    assert_eq!(leftovers(&at), [""; 0]);
}

#[test]
fn a_clone_in_another_lxcpath_goes_too() {
    let Some(ground) = ground("a_clone_in_another_lxcpath_goes_too") else { return };
    let at = ground.lxcpath();
    family(&at);
    let there = at.lxcpath.with_file_name("there");
    fs::create_dir(&there).expect("made");
    let all = operation::containers(&at.lxcpath, &at.rundir, None).expect("an lxcpath");
    let request =
        CloneRequest { mode: CloneMode::Snapshot, lxcpath: Some(there.clone()), ..CloneRequest::new("far") };
    all.existing("c2").and_then(|c| c.clone_to(&request)).expect("cloned");
    let dependents = all.existing("c0").and_then(|c| c.all_dependents()).expect("a list");
    let mut homes: Vec<_> = dependents.iter().map(hull_container::Container::home).collect();
    let position = |home: &Path, homes: &[std::path::PathBuf]| homes.iter().position(|h| h == home);
    assert!(
        position(&there.join("far"), &homes) < position(&at.home("c2"), &homes),
        "each before its source"
    );
    homes.sort();
    assert_eq!(homes, [at.home("c1"), at.home("c2"), there.join("far")]);
    run(&at, &["destroy-all", "c0"]);
    assert!(!there.join("far").exists());
    assert_eq!(names(&at), ["other"]);
}

/// The snapshots of a container were deleted with it although a container made of one needed it.
#[test]
fn a_snapshot_that_is_needed_keeps_its_container() {
    let Some(ground) = ground("a_snapshot_that_is_needed_keeps_its_container") else { return };
    let at = ground.lxcpath();
    run(&at, &["create", "c0", "dir"]);
    fs::write(at.rootfs("c0").join("data"), "original").expect("written");
    run(&at, &["snapshot", "c0"]);
    let all = operation::containers(&at.lxcpath, &at.rundir, None).expect("an lxcpath");
    run(&at, &["restore-as", "c0", "snap0", "new"]);
    let shares = all.existing("new").and_then(|c| c.rootfs()).expect("a config").expect("a root file system");
    if shares.driver().as_str() != "overlay" {
        fs::write(at.home("c0").join("snaps/snap0/lxc_snapshots"), format!("{}\nnew\n", at.text()))
            .expect("written");
    }
    for words in [["destroy", "c0"].as_slice(), &["rename", "c0", "c9"], &["unsnapshot", "c0", "snap0"]] {
        let error = try_run(&at, words).expect_err("new needs the snapshot");
        assert_eq!(error.kind(), ErrorKind::HasDependents, "{words:?}: {error}");
        assert!(error.to_string().contains("/new"), "{words:?}: {error}");
    }
    run(&at, &["destroy-all", "c0"]);
    assert_eq!(names(&at), [""; 0]);
}

#[test]
fn a_container_is_renamed_with_its_snapshots() {
    let Some(ground) = ground("a_container_is_renamed_with_its_snapshots") else { return };
    let at = ground.lxcpath();
    family(&at);
    run(&at, &["destroy", "c2"]);
    fs::create_dir_all(at.home("c1").join("overlay/delta")).expect("there");
    fs::write(at.home("c1").join("overlay/delta/data"), "changed").expect("written");
    run(&at, &["snapshot", "c1"]);
    run(&at, &["rename", "c1", "new"]);
    for file in ["c0/lxc_snapshots", "new/config", "new/lxc_snapshots", "new/lxc_rdepends"] {
        let text = fs::read_to_string(at.lxcpath.join(file)).unwrap_or_default();
        assert!(!text.contains("c1"), "{file}: {text}");
    }
    for snapshot in ["snap0", "snap1"] {
        for file in ["config", "lxc_rdepends"] {
            let text =
                fs::read_to_string(at.home("new").join("snaps").join(snapshot).join(file)).expect("there");
            assert!(text.contains("/c0") || text.contains("\nc0\n"), "{snapshot}/{file}: {text}");
            assert!(!text.contains("c1"), "{snapshot}/{file}: {text}");
        }
    }
    let list = fs::read_to_string(at.home("c0").join("lxc_snapshots")).expect("there");
    assert!(list.contains(&format!("{}/new/snaps\nsnap0", at.text())), "{list}");
    // All is as usable as before.
    run(&at, &["restore", "new", "snap0"]);
    assert!(!at.home("new").join("overlay/delta/data").exists());
    run(&at, &["restore", "new", "snap1"]);
    run(&at, &["rename", "new", "c1"]);
    run(&at, &["unsnapshot", "c1", "snap0"]);
    run(&at, &["destroy", "c1"]);
    assert!(!at.home("c0").join("lxc_snapshots").exists());
    run(&at, &["destroy", "c0"]);
    assert_eq!(names(&at), ["other"]);
    assert_eq!(leftovers(&at), [""; 0]);
}

#[test]
fn a_dir_container_is_renamed_with_its_snapshots() {
    let dir = tempfile::tempdir().expect("a scratch directory");
    let at = Lxcpath { lxcpath: dir.path().join("lxc"), rundir: dir.path().join("run") };
    run(&at, &["create", "c0", "dir"]);
    fs::write(at.rootfs("c0").join("data"), "kept").expect("written");
    run(&at, &["snapshot", "c0"]);
    fs::write(at.rootfs("c0").join("data"), "later").expect("written");
    run(&at, &["rename", "c0", "new"]);
    assert_eq!(fs::read_to_string(at.rootfs("new").join("data")).expect("there"), "later");
    run(&at, &["restore", "new", "snap0"]);
    assert_eq!(fs::read_to_string(at.rootfs("new").join("data")).expect("there"), "kept");
    let config = fs::read_to_string(at.home("new").join("snaps/snap0/config")).expect("there");
    assert!(config.contains("/lxc/new/snaps/snap0/rootfs") && !config.contains("c0"), "{config}");
    run(&at, &["destroy", "new"]);
    assert_eq!(leftovers(&at), [""; 0]);
}
