//! Operations side by side: each succeeds or fails with a clear error, and nothing is left behind.

use std::fs;
use std::process::Command;
use std::sync::Barrier;
use std::time::Duration;

use hull_container::ErrorKind;
use hull_integration_tests::grounds::{Ground, Lxcpath};
use hull_integration_tests::operation;
use hull_storage::lock::{Kind, Wait};

fn run(at: &Lxcpath, words: &[&str]) -> hull_container::Result<()> {
    operation::run(&operation::containers(&at.lxcpath, &at.rundir, None)?, words)
}

fn base(at: &Lxcpath, store: &str) {
    run(at, &["create", "c0", store]).expect("made");
    for n in 0..200 {
        fs::write(at.rootfs("c0").join(format!("file{n}")), vec![n as u8; 4000]).expect("written");
    }
}

/// Names in the lxcpath that are no whole containers, and records in its journal.
fn leftovers(at: &Lxcpath) -> Vec<String> {
    let list = |dir: &std::path::Path| -> Vec<String> {
        let entries = fs::read_dir(dir).into_iter().flatten().filter_map(Result::ok);
        entries.map(|e| e.file_name().to_string_lossy().into_owned()).collect()
    };
    let mut left: Vec<String> =
        list(&at.lxcpath.join(".hull/journal")).into_iter().filter(|n| n.ends_with(".record")).collect();
    for name in list(&at.lxcpath).into_iter().filter(|n| n != ".hull") {
        let home = at.lxcpath.join(&name);
        if name.starts_with('.') || home.join("partial").exists() || !home.join("config").exists() {
            left.push(name);
            continue;
        }
        left.extend(list(&home).into_iter().filter(|n| n.starts_with('.')).map(|n| format!("{name}/{n}")));
    }
    left
}

fn grounds(test: &str) -> Vec<(Ground, &'static str)> {
    let mut grounds = Vec::new();
    for (kind, store) in [("ext4", "dir"), ("btrfs", "btrfs"), ("xfs", "dir")] {
        match Ground::new(kind) {
            Ok(ground) => grounds.push((ground, store)),
            Err(why) => hull_testskip::skip(&format!("{test} on {kind}"), why),
        }
    }
    grounds
}

#[test]
fn eight_clones_of_one_source() {
    for (ground, store) in grounds("eight_clones_of_one_source") {
        for operation in ["copy", "clone"] {
            let at = ground.lxcpath();
            base(&at, store);
            let start = Barrier::new(8);
            std::thread::scope(|scope| {
                for n in 0..8 {
                    let (at, start) = (&at, &start);
                    scope.spawn(move || {
                        start.wait();
                        run(at, &[operation, "c0", &format!("n{n}"), "-"])
                            .expect("clones do not hinder each other");
                    });
                }
            });
            assert_eq!(leftovers(&at), [""; 0]);
            if let Ok(list) = fs::read_to_string(at.home("c0").join("lxc_snapshots")) {
                assert_eq!(list.lines().count(), 16, "every clone is on the list: {list}");
            }
            for n in 0..8 {
                run(&at, &["destroy", &format!("n{n}")]).expect("it is whole");
            }
            assert!(!at.home("c0").join("lxc_snapshots").exists(), "all eight were recorded and struck off");
            run(&at, &["destroy", "c0"]).expect("nobody needs it");
            assert_eq!(leftovers(&at), [""; 0]);
        }
    }
}

#[test]
fn clones_while_the_source_is_destroyed() {
    for (ground, store) in grounds("clones_while_the_source_is_destroyed") {
        for round in 0..6 {
            let at = ground.lxcpath();
            base(&at, store);
            let operation = if round % 2 == 0 { "copy" } else { "clone" };
            let start = Barrier::new(5);
            let outcomes: Vec<_> = std::thread::scope(|scope| {
                let clones = (0..4).map(|n| {
                    let (at, start) = (&at, &start);
                    scope.spawn(move || {
                        start.wait();
                        run(at, &[operation, "c0", &format!("n{n}"), "-"])
                    })
                });
                let threads: Vec<_> = clones.collect();
                start.wait();
                let destroyed = run(&at, &["destroy", "c0"]);
                threads.into_iter().map(|t| t.join().expect("no panic")).chain([destroyed]).collect()
            });
            for error in outcomes.into_iter().filter_map(Result::err) {
                let expected = [ErrorKind::NotFound, ErrorKind::HasDependents, ErrorKind::InUse];
                assert!(expected.contains(&error.kind()), "{error}");
                assert_eq!(error.to_string().lines().count(), 1, "{error}");
            }
            assert_eq!(leftovers(&at), [""; 0]);
            for n in 0..4 {
                let rootfs = at.home(&format!("n{n}"));
                assert!(!rootfs.exists() || rootfs.join("config").exists(), "wholly there or not at all");
            }
        }
    }
}

/// Two commands want the same name: one gets it.
#[test]
fn one_name_for_two() {
    for (ground, store) in grounds("one_name_for_two") {
        for _ in 0..5 {
            let at = ground.lxcpath();
            base(&at, store);
            let made: usize = std::thread::scope(|scope| {
                let threads: Vec<_> =
                    (0..4).map(|_| scope.spawn(|| run(&at, &["copy", "c0", "new", "-"]).is_ok())).collect();
                threads.into_iter().map(|t| usize::from(t.join().expect("no panic"))).sum()
            });
            assert_eq!(made, 1);
            assert_eq!(leftovers(&at), [""; 0]);
        }
    }
}

/// Carries `words` out while somebody else has `c0` locked, who does `meanwhile` and lets go of it.
fn waiting(at: &Lxcpath, words: &[&str], meanwhile: impl FnOnce()) -> hull_container::Result<()> {
    let lock = hull_container::lock_container(&at.rundir, &at.lxcpath, "c0", Kind::Exclusive, Wait::No);
    let lock = lock.expect("nobody else has it");
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| run(at, words));
        // Time to find everything in order and to come to the lock.
        std::thread::sleep(Duration::from_millis(150));
        meanwhile();
        drop(lock);
        waits.join().expect("no panic")
    })
}

fn in_a_directory() -> (tempfile::TempDir, Lxcpath) {
    let dir = tempfile::tempdir().expect("a scratch directory");
    let at = Lxcpath { lxcpath: dir.path().join("lxc"), rundir: dir.path().join("run") };
    run(&at, &["create", "c0", "dir"]).expect("made");
    (dir, at)
}

/// Found by a kill storm: who has the lock may die before it is passed on, and what it had half made of the
/// container is undone by whoever comes next. A clone of that would be one of a container that never was.
#[test]
fn what_a_dead_command_had_locked_is_settled_before_it_is_used() {
    for moment in 0.. {
        let (dir, at) = in_a_directory();
        // With locks elsewhere, the crasher acts as the one who has the lock.
        let other = dir.path().join("other");
        let crasher = |moment: &str, words: &[&str]| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_hull-crasher"));
            let status = command.args([&at.lxcpath, &other]).arg(moment).args(words).status();
            status.expect("the crasher runs").success()
        };
        let mut ended = false;
        let cloned = waiting(&at, &["copy", "c0", "new", "-"], || {
            assert!(crasher("never", &["destroy", "c0"]));
            ended = crasher(&moment.to_string(), &["create", "c0", "dir"]);
        });
        run(&at, &["recover"]).expect("all is settled");
        assert_eq!(leftovers(&at), [""; 0], "killed at {moment}");
        let there = at.home("c0").join("config").exists();
        match cloned {
            Ok(()) => assert!(there, "killed at {moment}: it was cloned and never made"),
            Err(e) => {
                assert_eq!(e.kind(), ErrorKind::NotFound, "killed at {moment}: {e}");
                assert!(!there, "killed at {moment}: it is there: {e}");
            }
        }
        if ended {
            break;
        }
    }
}

/// Found by a kill storm: the snapshot was only looked for before the container was locked.
#[test]
fn a_snapshot_deleted_before_its_restore_gets_the_lock_is_not_found() {
    let (dir, at) = in_a_directory();
    run(&at, &["snapshot", "c0"]).expect("made");
    let error = waiting(&at, &["restore", "c0", "snap0"], || {
        fs::rename(at.home("c0").join("snaps/snap0"), dir.path().join("gone")).expect("it is there");
    })
    .expect_err("nothing is there to be restored");
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
}
