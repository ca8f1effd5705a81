//! What stock LXC gets wrong on these stores, each as a case that passes here. The numbers are those of the list
//! in docs/compat.md's companion, the defects that storage was built to end.

use std::fs;
use std::os::unix::fs::MetadataExt;

use hull_container::ErrorKind;
use hull_integration_tests::grounds::{Ground, Lxcpath};
use hull_integration_tests::manifest;
use hull_integration_tests::operation;

fn ground(test: &str, kind: &str) -> Option<Ground> {
    Ground::new(kind).map_err(|why| hull_testskip::skip(test, why)).ok()
}

fn run(at: &Lxcpath, words: &[&str]) {
    try_run(at, words).unwrap_or_else(|e| panic!("{words:?}: {e}"));
}

fn try_run(at: &Lxcpath, words: &[&str]) -> hull_container::Result<()> {
    operation::run(&operation::containers(&at.lxcpath, &at.rundir, None).expect("an lxcpath"), words)
}

fn config(at: &Lxcpath, name: &str) -> String {
    fs::read_to_string(at.home(name).join("config")).expect("a config")
}

/// LXC makes an overlay on the old root file system, then deletes that.
#[test]
fn rename_of_a_bare_path_btrfs_container_keeps_its_data() {
    let Some(ground) = ground("rename_of_a_bare_path_btrfs_container_keeps_its_data", "btrfs") else {
        return;
    };
    let at = ground.lxcpath();
    run(&at, &["create", "c0", "btrfs"]);
    fs::write(at.rootfs("c0").join("data"), "precious").expect("written");
    let bare = config(&at, "c0").replace("btrfs:", "");
    assert!(!bare.contains("btrfs:"));
    fs::write(at.home("c0").join("config"), bare).expect("written");
    run(&at, &["rename", "c0", "c1"]);
    assert_eq!(fs::read_to_string(at.rootfs("c1").join("data")).expect("kept"), "precious");
    assert_eq!(at.rootfs("c1").metadata().expect("there").ino(), 256, "it is the same subvolume");
    assert!(!at.home("c0").exists());
}

/// LXC's plain copy of the same container silently becomes an overlay.
#[test]
fn copy_of_a_bare_path_btrfs_container_is_btrfs() {
    let Some(ground) = ground("copy_of_a_bare_path_btrfs_container_is_btrfs", "btrfs") else { return };
    let at = ground.lxcpath();
    run(&at, &["create", "c0", "btrfs"]);
    fs::write(at.home("c0").join("config"), config(&at, "c0").replace("btrfs:", "")).expect("written");
    run(&at, &["copy", "c0", "c1", "-"]);
    assert!(config(&at, "c1").contains("lxc.rootfs.path = btrfs:"), "{}", config(&at, "c1"));
}

/// LXC records a plain directory as a subvolume, which it then cannot delete.
#[test]
fn a_dir_to_btrfs_copy_is_a_subvolume_and_can_be_destroyed() {
    let Some(ground) = ground("a_dir_to_btrfs_copy_is_a_subvolume_and_can_be_destroyed", "btrfs") else {
        return;
    };
    let at = ground.lxcpath();
    run(&at, &["create", "c0", "dir"]);
    fs::write(at.rootfs("c0").join("data"), "x").expect("written");
    run(&at, &["copy", "c0", "c1", "btrfs"]);
    assert_eq!(at.rootfs("c1").metadata().expect("there").ino(), 256);
    assert_eq!(fs::read_to_string(at.rootfs("c1").join("data")).expect("copied"), "x");
    run(&at, &["destroy", "c1"]);
    assert!(!at.home("c1").exists());
}

/// LXC takes its own marker for locked for ever: the container can be neither used nor made again.
#[test]
fn what_an_interrupted_creation_of_stock_lxc_left_does_not_block_the_name() {
    let dir = tempfile::tempdir().expect("a scratch directory");
    let at = Lxcpath { lxcpath: dir.path().join("lxc"), rundir: dir.path().join("run") };
    let home = at.home("c0");
    fs::create_dir_all(home.join("rootfs/etc")).expect("made");
    fs::write(home.join("partial"), "").expect("written");
    fs::write(home.join("config"), format!("lxc.rootfs.path = dir:{}\n", home.join("rootfs").display()))
        .expect("written");
    run(&at, &["create", "c0", "dir"]);
    assert!(!home.join("partial").exists() && !home.join("rootfs/etc").exists(), "it is a new container");
    // Somebody at work holds the marker locked; that is no leftover.
    fs::create_dir_all(at.home("c1")).expect("made");
    let marker = fs::File::create(at.home("c1").join("partial")).expect("made");
    let locked = hull_storage::lock::FileLock::acquire(
        &at.home("c1").join("partial"),
        hull_storage::lock::Kind::Exclusive,
        hull_storage::lock::Wait::No,
        &"it",
    );
    let error = try_run(&at, &["create", "c1", "dir"]).expect_err("the name is taken");
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
    drop((marker, locked));
}

/// LXC destroys first, then clones the snapshot: a failure loses the container.
#[test]
fn a_restore_that_fails_keeps_the_original() {
    let Some(ground) = ground("a_restore_that_fails_keeps_the_original", "ext4") else { return };
    let at = ground.lxcpath();
    run(&at, &["create", "c0", "dir"]);
    fs::write(at.rootfs("c0").join("data"), "snapshotted").expect("written");
    run(&at, &["snapshot", "c0"]);
    fs::write(at.rootfs("c0").join("data"), "current").expect("written");
    let before = manifest::of(&at.lxcpath);
    let error = try_run(&at, &["restore", "c0", "snap7"]).expect_err("there is no such snapshot");
    assert!(error.to_string().contains("it has snap0"), "{error}");
    assert_eq!(manifest::of(&at.lxcpath), before);
    // The snapshot's root file system has vanished.
    fs::rename(at.home("c0").join("snaps/snap0/rootfs"), at.home("c0").join("snaps/gone")).expect("moved");
    let before = manifest::of(&at.lxcpath);
    assert!(try_run(&at, &["restore", "c0", "snap0"]).is_err());
    assert_eq!(manifest::of(&at.lxcpath), before);
    // There is no space for the restored one.
    fs::rename(at.home("c0").join("snaps/gone"), at.home("c0").join("snaps/snap0/rootfs")).expect("moved");
    fs::write(at.home("c0").join("snaps/snap0/rootfs/big"), vec![7; 200 << 20]).expect("written");
    fs::write(at.lxcpath.join("filler"), vec![7; 150 << 20]).expect("written");
    let before = fs::read(at.rootfs("c0").join("data")).expect("there");
    let error = try_run(&at, &["restore", "c0", "snap0"]).expect_err("no space");
    assert_eq!(error.kind(), ErrorKind::NoSpace, "{error}");
    assert!(error.to_string().contains("No space left"), "{error}");
    assert_eq!(fs::read(at.rootfs("c0").join("data")).expect("there"), before);
    let names: Vec<_> =
        fs::read_dir(at.home("c0")).expect("there").map(|e| e.expect("an entry").file_name()).collect();
    assert!(names.iter().all(|n| !n.to_string_lossy().starts_with('.')), "nothing half-made: {names:?}");
}

/// LXC says nothing at all by default.
#[test]
fn copies_that_fail_say_why() {
    let dir = tempfile::tempdir().expect("a scratch directory");
    let at = Lxcpath { lxcpath: dir.path().join("lxc"), rundir: dir.path().join("run") };
    run(&at, &["create", "c0", "dir"]);
    for (words, why) in [
        (vec!["copy", "none", "c1", "-"], "there is no container none"),
        (vec!["copy", "c0", "c0", "-"], "is there already"),
        (vec!["copy", "c0", "a/b", "-"], "holds a slash"),
        (vec!["clone", "c0", "c1", "btrfs"], "cannot share the blocks of"),
    ] {
        let error = try_run(&at, &words).expect_err("it fails").to_string();
        assert!(error.contains(why) && error.lines().count() == 1, "{words:?}: {error}");
    }
}

/// LXC refuses to copy an overlay container, and to rename one.
#[test]
fn overlay_containers_are_copied_and_renamed() {
    let Some(ground) = ground("overlay_containers_are_copied_and_renamed", "ext4") else { return };
    let at = ground.lxcpath();
    run(&at, &["create", "c0", "dir"]);
    fs::write(at.rootfs("c0").join("low"), "low").expect("written");
    run(&at, &["clone", "c0", "c1", "overlay"]);
    fs::write(at.home("c1").join("overlay/delta/up"), "up").expect("written");
    run(&at, &["copy", "c1", "full", "-"]);
    for (file, content) in [("low", "low"), ("up", "up")] {
        assert_eq!(fs::read_to_string(at.rootfs("full").join(file)).expect("copied"), content);
    }
    assert!(config(&at, "full").contains("dir:"), "it stands alone");
    run(&at, &["rename", "c1", "c2"]);
    let list = fs::read_to_string(at.home("c0").join("lxc_snapshots")).expect("a list");
    assert!(list.contains("c2") && !list.contains("c1"), "{list}");
    // The parent stays as long as the clone needs it.
    let error = try_run(&at, &["destroy", "c0"]).expect_err("c2 needs it");
    assert_eq!(error.kind(), ErrorKind::HasDependents);
    assert!(error.to_string().contains("c2"), "{error}");
    run(&at, &["destroy", "c2"]);
    assert!(!at.home("c0").join("lxc_snapshots").exists());
    run(&at, &["destroy", "c0"]);
}

/// LXC deletes whatever the config names, another container's root file system included.
#[test]
fn destroy_deletes_only_what_is_the_containers_own() {
    let dir = tempfile::tempdir().expect("a scratch directory");
    let at = Lxcpath { lxcpath: dir.path().join("lxc"), rundir: dir.path().join("run") };
    run(&at, &["create", "victim", "dir"]);
    fs::write(at.rootfs("victim").join("data"), "precious").expect("written");
    run(&at, &["create", "evil", "dir"]);
    let elsewhere = dir.path().join("elsewhere");
    fs::create_dir(&elsewhere).expect("made");
    for foreign in [at.rootfs("victim"), elsewhere.clone()] {
        fs::write(at.home("evil").join("config"), format!("lxc.rootfs.path = dir:{}\n", foreign.display()))
            .expect("written");
        let before = manifest::of(dir.path());
        let error = try_run(&at, &["destroy", "evil"]).expect_err("it is not its own");
        assert!(error.to_string().contains("lxc.rootfs.managed = 0"), "{error}");
        let now = manifest::of(dir.path());
        assert!(before.iter().all(|(path, what)| now.get(path) == Some(what)), "nothing is touched");
    }
    // With managed = 0 the container goes and the directory stays.
    let text = format!("lxc.rootfs.path = dir:{}\nlxc.rootfs.managed = 0\n", elsewhere.display());
    fs::write(at.home("evil").join("config"), text).expect("written");
    run(&at, &["destroy", "evil"]);
    assert!(elsewhere.is_dir() && !at.home("evil").exists());
}

/// LXC cannot destroy a container whose root file system has vanished.
#[test]
fn a_container_without_its_root_file_system_can_be_destroyed() {
    let dir = tempfile::tempdir().expect("a scratch directory");
    let at = Lxcpath { lxcpath: dir.path().join("lxc"), rundir: dir.path().join("run") };
    run(&at, &["create", "c0", "dir"]);
    fs::remove_dir_all(at.rootfs("c0")).expect("removed");
    run(&at, &["destroy", "c0"]);
    assert!(!at.home("c0").exists());
}

/// LXC matches stores by prefix: `o` is overlay, `b:` is btrfs.
#[test]
fn stores_are_known_by_their_whole_names() {
    for short in ["o", "b", "d", "over", "btrf"] {
        let error = operation::store_name(short).expect_err("it is no store's name").to_string();
        assert!(error.contains("this build has zfs, lvm, btrfs, dir, overlay"), "{error}");
    }
}
