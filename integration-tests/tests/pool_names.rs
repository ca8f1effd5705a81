//! Containers whose root file systems lie in a pool of names: a container's name is its volumes', and all go with it.

use std::path::Path;

use hull_container::{Containers, DestroyRequest, Why};
use hull_integration_tests::operation;
use hull_storage::{Durability, Mark, Settings, TxId};
use hull_storage_testkit::grounds::{volume_group, zpool};
use hull_storage_testkit::{Ground, GroundInstance};

/// The names of the volumes in the ground's pool.
fn volumes(ground: &GroundInstance) -> Vec<String> {
    let mut names = ground.pool().expect("it has a pool").names("").expect("the pool can be listed");
    names.retain(|name| name != "pool" && name != "lvol0_pmspare");
    names.sort();
    names
}

fn archive(dir: &Path) -> String {
    let (tree, archive) = (dir.join("tree"), dir.join("tree.tar"));
    std::fs::create_dir_all(tree.join("etc")).expect("a new directory");
    std::fs::write(tree.join("etc/hostname"), "a\n").expect("a new file");
    let tar =
        std::process::Command::new("tar").arg("-cf").arg(&archive).arg("-C").arg(&tree).arg(".").status();
    assert!(tar.is_ok_and(|status| status.success()), "tar packs {}", tree.display());
    archive.display().to_string()
}

fn follow_the_container(test: &str, store: &str, ground: &Ground) {
    if let Some(reason) = ground.lacking() {
        return hull_testskip::skip(test, reason.to_string());
    }
    let ground = ground.make().unwrap_or_else(|reason| panic!("the ground cannot be made: {reason}"));
    let (lxcpath, rundir) = (ground.dir().join("lxc"), ground.dir().join("run"));
    for dir in [&lxcpath, &rundir] {
        std::fs::create_dir(dir).expect("a new directory");
    }
    let settings =
        ground.settings().iter().fold(Settings::default(), |all, (key, value)| all.with(key, value));
    let all = operation::containers_with(&lxcpath, &rundir, &settings, Durability::Power)
        .expect("the containers can be opened");
    let run = |words: &[&str]| operation::run(&all, words).unwrap_or_else(|e| panic!("{words:?}: {e}"));
    let archive = archive(ground.dir());

    run(&["unpack", "a", store, &archive]);
    run(&["snapshot", "a"]);
    run(&["snapshot", "a"]);
    assert_eq!(volumes(&ground), ["a", "a-snap0", "a-snap1"]);
    run(&["rename", "a", "b"]);
    assert_eq!(volumes(&ground), ["b", "b-snap0", "b-snap1"]);
    // The name is free again, and the other's snapshots still are its own.
    run(&["unpack", "a", store, &archive]);
    run(&["restore-as", "b", "snap0", "c"]);
    for name in ["a", "c"] {
        all.existing(name).and_then(|c| c.destroy(&DestroyRequest::default())).expect("nothing needs it");
    }
    assert_eq!(volumes(&ground), ["b", "b-snap0", "b-snap1"]);
    let request = DestroyRequest { snapshots: true, ..DestroyRequest::default() };
    all.existing("b").and_then(|b| b.destroy(&request)).expect("its snapshots go with it");
    assert_eq!(volumes(&ground), [""; 0]);
    orphans_are_found(&all, &ground, &|words| run(words), &archive, store);
}

/// Volumes whose containers' directories are lost, and what a transaction left whose journal is.
fn orphans_are_found(
    all: &Containers,
    ground: &GroundInstance,
    run: &dyn Fn(&[&str]),
    archive: &str,
    store: &str,
) {
    for name in ["stays", "lost", "aside"] {
        run(&["unpack", name, store, archive]);
    }
    let scan = || all.scan(&[]).expect("all journals can be read");
    assert_eq!(scan().orphans, []);
    let aside =
        all.existing("aside").and_then(|c| c.rootfs()).expect("it has a volume").expect("it has a volume");
    for name in ["lost", "aside"] {
        std::fs::remove_dir_all(all.lxcpath().join(name)).expect("its directory can be removed");
    }
    let driver = all.store().driver(aside.driver()).expect("it is known");
    let from = driver.layout(&aside).expect("it is there").parts.pop().expect("it has a part");
    let mut to = from.clone();
    to.name.push(Mark::Old.stamp(TxId(0xfeed)));
    driver.rename(&from, &to).expect("the name is free");
    let found = scan();
    assert_eq!(found.notes, [""; 0]);
    match &found.orphans[..] {
        [old, unnamed] => {
            assert!(matches!(old.why, Why::Forgotten(Some(Mark::Old), TxId(0xfeed))), "{old:?}");
            assert!(matches!(unnamed.why, Why::Unnamed(_)), "{unnamed:?}");
            assert!(unnamed.what.to_string().ends_with("/lost"), "{unnamed:?}");
        }
        other => panic!("expected two orphans, not {other:?}"),
    }
    for orphan in &found.orphans {
        all.delete_orphan(orphan, &[], &()).expect("nobody needs it");
    }
    assert_eq!((scan().orphans, volumes(ground)), (Vec::new(), vec!["stays".to_owned()]));
}

#[test]
fn follow_the_container_on_lvm_thin() {
    follow_the_container(
        "follow_the_container_on_lvm_thin",
        "lvm",
        &volume_group::thin("thin", "ext4", 64 << 20),
    );
}

#[test]
fn follow_the_container_on_lvm_thick() {
    follow_the_container(
        "follow_the_container_on_lvm_thick",
        "lvm",
        &volume_group::thick("thick", "ext4", 64 << 20),
    );
}

#[test]
fn follow_the_container_on_zfs() {
    follow_the_container("follow_the_container_on_zfs", "zfs", &zpool::ground("library"));
}
