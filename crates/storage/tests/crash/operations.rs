//! Operations on single volumes.

use super::*;
use hull_storage::VolumeSpec;
use hull_storage_testkit::sim::Machine;

#[test]
fn create() {
    let before = Disk::default().dir("/v");
    let scene = Scene { after: with(before.clone(), "/v/a", &[]), before, ..Scene::default() };
    crash("create", &scene, [9, 39, 141], |s| {
        s.create(Lab::PLAIN, &at("/v/a"), &VolumeSpec::default()).map(drop)
    });
}

#[test]
fn copy() {
    let before = with(Disk::default(), "/v/a", OLD);
    let after = with(before.clone(), "/v/b", OLD);
    let scene = Scene { before, after, untouched: vec!["/v/a".into(), "/v/a.meta".into()] };
    let from = loc(Lab::PLAIN, "/v/a");
    crash("copy", &scene, [13, 81, 393], |s| clone(s, &from, "/v/b", CloneMode::Copy, Access::ReadWrite));
}

#[test]
fn clone_that_shares() {
    let before = with(Disk::default(), "/v/a", OLD);
    let after = with(before.clone(), "/v/b", OLD);
    let scene = Scene { before, after, untouched: vec!["/v/a".into(), "/v/a.meta".into()] };
    let from = loc(Lab::FREE, "/v/a");
    crash("clone", &scene, [9, 57, 282], |s| clone(s, &from, "/v/b", CloneMode::Snapshot, Access::ReadWrite));
}

#[test]
fn clone_that_marks_its_source() {
    let before = with(Disk::default(), "/v/a", OLD);
    let after = with(before.clone(), "/v/b", OLD).file(SimDriver::mark("/v/a", "/v/b"), "mark");
    let scene = Scene { before, after, untouched: vec!["/v/a".into(), "/v/a.meta".into()] };
    let from = loc(Lab::MARKED, "/v/a");
    crash("clone, marked", &scene, [12, 94, 563], |s| {
        clone(s, &from, "/v/b", CloneMode::Snapshot, Access::ReadWrite)
    });
}

#[test]
fn clone_that_is_tagged_and_sealed() {
    let before = with(Disk::default(), "/v/a", OLD);
    let after = with(before.clone(), "/v/b", OLD).file(SimDriver::mark("/v/a", "/v/b"), "sealed");
    let scene = Scene { before, after, untouched: vec!["/v/a".into(), "/v/a.meta".into()] };
    let from = loc(Lab::TAGGED, "/v/a");
    crash("clone, tagged", &scene, [7, 30, 111], |s| {
        clone(s, &from, "/v/b", CloneMode::Snapshot, Access::ReadWrite)
    });
}

#[test]
fn a_tagged_clone_leaves_what_has_its_name_alone() {
    let theirs = with(with(Disk::default(), "/v/a", OLD), "/v/b", NEW);
    let machine = Machine::new(theirs.clone());
    let store = Lab::new().unwrap().store(&machine);
    let from = loc(Lab::TAGGED, "/v/a");
    let refused = clone(&store, &from, "/v/b", CloneMode::Snapshot, Access::ReadWrite).unwrap_err();
    assert_eq!(refused.kind(), hull_storage::ErrorKind::AlreadyExists, "{refused}");
    assert!(refused.leftovers().is_empty(), "{refused}");
    assert_eq!(machine.disk(), theirs);
}

#[test]
fn clone_of_another_stores_volume() {
    let before = with(Disk::default(), "/v/a", OLD);
    let after = with(before.clone(), "/v/b", OLD);
    let scene = Scene { before, after, untouched: vec!["/v/a".into(), "/v/a.meta".into()] };
    let from = loc(Lab::PLAIN, "/v/a");
    crash("clone into a dependent store", &scene, [9, 57, 282], |s| {
        let mode = CloneMode::Snapshot;
        s.clone_volume(&from, Some(Lab::DELTA), &at("/v/b"), mode, Access::ReadWrite).map(drop)
    });
}

#[test]
fn snapshot() {
    let before = with(Disk::default(), "/v/a", OLD);
    let after = SimDriver::snapshot(before.clone(), "/v/s", OLD);
    let scene = Scene { before, after, untouched: vec!["/v/a".into(), "/v/a.meta".into()] };
    let from = loc(Lab::FREE, "/v/a");
    crash("snapshot", &scene, [9, 57, 282], |s| {
        clone(s, &from, "/v/s", CloneMode::Snapshot, Access::ReadOnly)
    });
}

#[test]
fn restore_by_clone() {
    let snapshot = SimDriver::snapshot(Disk::default(), "/v/s", OLD);
    let before = with(snapshot.clone(), "/v/a", NEW);
    let after = with(snapshot, "/v/a", OLD);
    let scene = Scene { before, after, untouched: vec!["/v/s".into(), "/v/s.meta".into()] };
    crash("restore", &scene, [18, 133, 773], |s| {
        s.restore(&loc(Lab::FREE, "/v/s"), &loc(Lab::FREE, "/v/a")).map(drop)
    });
}

#[test]
fn restore_by_clone_that_marks_its_source() {
    let snapshot = SimDriver::snapshot(Disk::default(), "/v/s", OLD);
    let before = with(snapshot.clone(), "/v/a", NEW).file(SimDriver::mark("/v/s", "/v/a"), "mark");
    let after = with(snapshot, "/v/a", OLD).file(SimDriver::mark("/v/s", "/v/a"), "mark");
    let scene = Scene { before, after, untouched: vec!["/v/s".into(), "/v/s.meta".into()] };
    crash("restore, marked", &scene, [24, 229, 1710], |s| {
        s.restore(&loc(Lab::MARKED, "/v/s"), &loc(Lab::MARKED, "/v/a")).map(drop)
    });
}

#[test]
fn restore_by_copy() {
    let snapshot = with(Disk::default(), "/v/s", OLD);
    let before = with(snapshot.clone(), "/v/a", NEW);
    let after = with(snapshot, "/v/a", OLD);
    let scene = Scene { before, after, untouched: vec!["/v/s".into(), "/v/s.meta".into()] };
    crash("restore by copy", &scene, [22, 161, 944], |s| {
        s.restore(&loc(Lab::PLAIN, "/v/s"), &loc(Lab::PLAIN, "/v/a")).map(drop)
    });
}

#[test]
fn rename() {
    let before = with(Disk::default(), "/v/a", OLD);
    let after = with(Disk::default(), "/v/b", OLD);
    let scene = Scene { before, after, ..Scene::default() };
    crash("rename", &scene, [6, 18, 50], |s| s.rename(&loc(Lab::PLAIN, "/v/a"), &at("/v/b")).map(drop));
}

#[test]
fn rename_of_a_marked_clone() {
    let source = with(Disk::default(), "/v/z", OLD);
    let before = with(source.clone(), "/v/a", OLD).file(SimDriver::mark("/v/z", "/v/a"), "mark");
    let after = with(source, "/v/b", OLD).file(SimDriver::mark("/v/z", "/v/b"), "mark");
    let scene = Scene { before, after, untouched: vec!["/v/z".into(), "/v/z.meta".into()] };
    crash("rename, marked", &scene, [8, 32, 112], |s| {
        s.rename(&loc(Lab::MARKED, "/v/a"), &at("/v/b")).map(drop)
    });
}

#[test]
fn destroy() {
    let before = with(Disk::default(), "/v/a", OLD);
    let scene = Scene { before, after: Disk::default().dir("/v"), ..Scene::default() };
    crash("destroy", &scene, [11, 38, 105], |s| s.destroy(&loc(Lab::PLAIN, "/v/a")));
}

#[test]
fn destroy_of_a_marked_clone() {
    let source = with(Disk::default(), "/v/z", OLD);
    let before = with(source.clone(), "/v/a", OLD).file(SimDriver::mark("/v/z", "/v/a"), "mark");
    let scene = Scene { before, after: source, untouched: vec!["/v/z".into(), "/v/z.meta".into()] };
    crash("destroy, marked", &scene, [14, 59, 195], |s| s.destroy(&loc(Lab::MARKED, "/v/a")));
}
