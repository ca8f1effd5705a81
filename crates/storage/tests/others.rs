//! Other processes: takers of names, live transactions, recoverers at the same time.
#![allow(clippy::unwrap_used, reason = "helpers of tests may panic, too")]

use std::path::Path;
use std::sync::{Arc, Barrier};

use hull_storage::{
    Access, CloneMode, Durability, Error, ErrorKind, FileJournal, Journal, Locator, Placement, Plan, Record,
    Result, Store, TxId, VolumeSpec,
};
use hull_storage_testkit::sim::{Disk, Lab, Machine, SimDriver};

const OLD: &[(&str, &str)] = &[("hostname", "old"), ("bin/sh", "shell")];
const NEW: &[(&str, &str)] = &[("hostname", "new"), ("bin/sh", "shell")];

fn at(path: &str) -> Placement {
    Placement::exactly(path.as_ref()).unwrap()
}

/// Somebody makes a directory called `name` before each effect of `op` in turn, unless the name is taken
/// then. `op` must fail with `AlreadyExists` and change nothing, or succeed because it was there first; what
/// somebody made stays as it is. Returns how often the name was taken from it.
fn name_is_taken(name: &str, before: &Disk, after: &Disk, op: impl Fn(&Store) -> Result<()>) -> usize {
    let lab = Lab::new().unwrap();
    let theirs = Path::new(name).join("theirs");
    let mut refused = 0;
    for moment in 0.. {
        let machine = Machine::new(before.clone());
        machine.fuel(None);
        let (path, file) = (Path::new(name).to_path_buf(), theirs.clone());
        machine.foreign(moment, move |disk| {
            if !disk.has(&path) {
                disk.make_dir(&path).unwrap();
                disk.make_file(&file, b"theirs").unwrap();
            }
        });
        let result = op(&lab.store(&machine));
        if machine.spent() <= moment {
            return refused;
        }
        let disk = machine.disk();
        let taken = disk.has(&theirs);
        let with_theirs = |disk: &Disk| disk.clone().file(&theirs, "theirs");
        match result {
            Ok(()) if taken => assert_eq!(disk, with_theirs(after), "succeeded at {moment}"),
            Ok(()) => assert_eq!(&disk, after, "succeeded at {moment}"),
            Err(e) => {
                assert_eq!(e.kind(), ErrorKind::AlreadyExists, "at {moment}: {e}");
                assert!(e.to_string().contains(name), "the error names what is taken: {e}");
                assert!(taken, "refused, but nobody took the name, at {moment}: {e}");
                if before.has(Path::new(name)) {
                    comes_back_once_the_name_is_free(&lab, &machine, name, before, &e);
                } else {
                    assert_eq!(disk, with_theirs(before), "refused at {moment}: {e}");
                    assert!(machine.records().is_empty(), "a clean rollback leaves no record");
                }
                refused += 1;
            }
        }
    }
    unreachable!()
}

/// What was moved away from a name that somebody took since cannot be put back. It must not be forgotten: the
/// record stays, the error says so, and recovery puts it back once the name is free.
fn comes_back_once_the_name_is_free(lab: &Lab, machine: &Machine, name: &str, before: &Disk, error: &Error) {
    assert_eq!(
        machine.records().len(),
        1,
        "the volume is forgotten under another name: {:?}",
        machine.disk()
    );
    assert_eq!(error.leftovers().len(), 1, "{error}");
    assert_eq!(lab.store(machine).recover().unwrap().failed.len(), 1, "the name is not free yet");
    machine.remove_tree(name.as_ref()).unwrap();
    let recovered = lab.store(machine).recover().unwrap();
    assert!(recovered.failed.is_empty(), "{:?}", recovered.failed);
    assert_eq!(&machine.disk(), before);
    assert!(machine.records().is_empty());
}

#[test]
fn create_onto_a_name_taken_meanwhile() {
    let before = Disk::default().dir("/v");
    let after = SimDriver::volume(before.clone(), "/v/a", &[]);
    let refused = name_is_taken("/v/a", &before, &after, |s| {
        s.create(Lab::PLAIN, &at("/v/a"), &VolumeSpec::default()).map(drop)
    });
    assert!(refused > 3, "{refused}");
}

#[test]
fn copy_and_clone_onto_a_name_taken_meanwhile() {
    for store in [Lab::PLAIN, Lab::FREE] {
        let before = SimDriver::volume(Disk::default(), "/v/a", OLD);
        let after = SimDriver::volume(before.clone(), "/v/b", OLD);
        let from = Locator::new(store, "/v/a");
        let refused = name_is_taken("/v/b", &before, &after, |s| {
            let mode = CloneMode::SnapshotElseCopy;
            s.clone_volume(&from, Some(store), &at("/v/b"), mode, Access::ReadWrite).map(drop)
        });
        assert!(refused > 3, "{refused}");
    }
}

#[test]
fn rename_onto_a_name_taken_meanwhile() {
    let before = SimDriver::volume(Disk::default(), "/v/a", OLD);
    let after = SimDriver::volume(Disk::default(), "/v/b", OLD);
    let from = Locator::new(Lab::PLAIN, "/v/a");
    for part in ["/v/b", "/v/b.meta"] {
        let refused = name_is_taken(part, &before, &after, |s| s.rename(&from, &at("/v/b")).map(drop));
        assert!(refused > 1, "{refused}");
    }
}

#[test]
fn restore_onto_a_name_taken_meanwhile() {
    let snapshot = SimDriver::snapshot(Disk::default(), "/v/s", OLD);
    let before = SimDriver::volume(snapshot.clone(), "/v/a", NEW);
    let after = SimDriver::volume(snapshot, "/v/a", OLD);
    let (snapshot, current) = (Locator::new(Lab::FREE, "/v/s"), Locator::new(Lab::FREE, "/v/a"));
    let refused = name_is_taken("/v/a", &before, &after, |s| s.restore(&snapshot, &current).map(drop));
    assert!(refused > 0, "{refused}");
}

#[test]
fn destroy_of_a_name_taken_meanwhile() {
    let before = SimDriver::volume(Disk::default(), "/v/a", OLD);
    let after = Disk::default().dir("/v");
    let current = Locator::new(Lab::PLAIN, "/v/a");
    name_is_taken("/v/a", &before, &after, |s| s.destroy(&current));
}

#[test]
fn a_home_taken_meanwhile() {
    let before = Disk::default().dir("/lxc");
    let after = SimDriver::volume(before.clone(), "/lxc/c1/rootfs", &[]).file("/lxc/c1/config", "c");
    let refused = name_is_taken("/lxc/c1", &before, &after, |s| {
        s.transact("create", |tx| {
            let mut plan = Plan::default();
            let home = Path::new("/lxc/c1");
            plan.make_home(home, 0o770, None);
            let content = hull_storage::Content::Empty(&VolumeSpec::default());
            plan.make(s.driver(Lab::PLAIN)?, &Placement::in_home(home, "c1"), content, tx.id())?;
            plan.write(&home.join("config"), None, Some(b"c".to_vec()));
            tx.perform(plan)
        })
    });
    assert!(refused > 2, "{refused}");
}

#[test]
fn a_renamed_home_whose_name_is_taken_meanwhile() {
    let before = SimDriver::volume(Disk::default(), "/lxc/c1/rootfs", OLD).file("/lxc/c1/config", "c1");
    let after = SimDriver::volume(Disk::default(), "/lxc/c2/rootfs", OLD).file("/lxc/c2/config", "c2");
    let refused = name_is_taken("/lxc/c2", &before, &after, |s| {
        s.transact("rename", |tx| {
            let mut plan = Plan::default();
            plan.move_home(Path::new("/lxc/c1"), Path::new("/lxc/c2"));
            plan.write(Path::new("/lxc/c2/config"), Some(b"c1".to_vec()), Some(b"c2".to_vec()));
            tx.perform(plan)
        })
    });
    assert!(refused > 1, "{refused}");
}

/// Nobody is interrupted: a record whose process lives is nobody else's, on either journal.
#[test]
fn live_transactions_are_left_alone() {
    let machine = Machine::new(SimDriver::volume(Disk::default(), "/v/a", OLD));
    let lab = Lab::new().unwrap();
    let (working, other) = (lab.store(&machine), lab.store(&machine));
    let current = Locator::new(Lab::PLAIN, "/v/a");
    working
        .transact("rename", |tx| {
            tx.perform(working.plan_rename(&current, &at("/v/b"))?.plan)?;
            let disk = machine.disk();
            assert!(other.recover()?.settled.is_empty(), "its process lives");
            assert_eq!(machine.disk(), disk);
            Ok(())
        })
        .unwrap();
    assert_eq!(machine.disk(), SimDriver::volume(Disk::default(), "/v/b", OLD));
}

fn record(id: u64) -> Record {
    Record::new(TxId(id), "test")
}

#[test]
fn an_orphan_is_adopted_by_one_of_many() {
    const RECORDS: u64 = 50;
    const RECOVERERS: usize = 8;
    let dir = tempfile::tempdir().unwrap();
    let journal = || FileJournal::new(dir.path(), Durability::Crash);
    let dead = journal();
    let living = journal();
    for id in 0..RECORDS {
        dead.save(&record(id)).unwrap();
        living.save(&record(id + RECORDS)).unwrap();
    }
    drop(dead);
    let start = Arc::new(Barrier::new(RECOVERERS));
    let threads: Vec<_> = (0..RECOVERERS)
        .map(|_| {
            let (start, journal) = (Arc::clone(&start), journal());
            std::thread::spawn(move || {
                start.wait();
                let adopted = journal.orphans().unwrap();
                (adopted.iter().map(|r| r.id).collect::<Vec<_>>(), journal)
            })
        })
        .collect();
    let results: Vec<_> = threads.into_iter().map(|t| t.join().unwrap()).collect();
    let mut all: Vec<TxId> = results.iter().flat_map(|(ids, _)| ids.clone()).collect();
    all.sort();
    assert_eq!(all, (0..RECORDS).map(TxId).collect::<Vec<_>>(), "each once, and none of the living");
}

#[test]
fn two_recoverers_at_once_do_the_work_once() {
    let lab = Lab::new().unwrap();
    let snapshot = SimDriver::snapshot(Disk::default(), "/v/s", OLD);
    let before = SimDriver::volume(snapshot.clone(), "/v/a", NEW);
    let after = SimDriver::volume(snapshot, "/v/a", OLD);
    for fuel in 1..18 {
        let machine = Machine::new(before.clone());
        machine.fuel(Some(fuel));
        let store = lab.store(&machine);
        let _ = store.restore(&Locator::new(Lab::FREE, "/v/s"), &Locator::new(Lab::FREE, "/v/a"));
        drop(store);
        let machine = machine.rebooted();
        let (one, other) = (lab.store(&machine), lab.store(&machine));
        let settled = std::thread::scope(|scope| {
            let other = scope.spawn(|| other.recover().unwrap());
            let one = one.recover().unwrap();
            let other = other.join().unwrap();
            assert!(one.failed.is_empty() && other.failed.is_empty());
            one.settled.len() + other.settled.len()
        });
        assert_eq!(settled, 1, "after {fuel} effects");
        assert!(machine.disk() == before || machine.disk() == after, "{:?}", machine.disk());
    }
}
