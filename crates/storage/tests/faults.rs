//! Every operation fails at every act, with every error.
#![allow(clippy::unwrap_used, reason = "helpers of tests may panic, too")]

use std::path::Path;
use std::sync::Arc;

use hull_storage::{
    Access, CloneMode, Driver, Error, ErrorKind, Locator, Placement, Plan, Result, Store, VolumeSpec,
};
use hull_storage_testkit::faulty::{
    COMMIT, Counted, Faults, FaultyDriver, FaultyHost, FaultyJournal, Lasting, Moment,
};
use hull_storage_testkit::sim::{Disk, Lab, Machine, SimDriver};
use rustix::io::Errno;

const ERRORS: [Errno; 3] = [Errno::NOSPC, Errno::IO, Errno::ACCESS];
const OLD: &[(&str, &str)] = &[("hostname", "old"), ("bin/sh", "shell")];
const NEW: &[(&str, &str)] = &[("hostname", "new"), ("bin/sh", "shell")];

fn at(path: &str) -> Placement {
    Placement::exactly(path.as_ref()).unwrap()
}

fn lab(faults: &Faults) -> Lab {
    let [drivers, journal, host] = [faults.clone(), faults.clone(), faults.clone()];
    Lab::new()
        .unwrap()
        .with_drivers(move |m| {
            let faulty = |d: SimDriver| -> Arc<dyn Driver> {
                Arc::new(FaultyDriver::new(Arc::new(d), drivers.clone()))
            };
            let (cost, tie) = (hull_storage::Cost::Constant, hull_storage::Tie::None);
            vec![
                faulty(SimDriver::new(Lab::PLAIN, m.clone())),
                faulty(SimDriver::new(Lab::FREE, m.clone()).with_clones(cost, tie, true)),
            ]
        })
        .with_journal(move |j| Box::new(FaultyJournal::new(j, journal.clone())))
        .with_host(move |h| Box::new(FaultyHost::new(h, host.clone())))
}

/// Lets every act of `op` fail with every error, before and after it, once and from then on.
fn fail_everywhere(before: &Disk, after: &Disk, op: impl Fn(&Store) -> Result<()>) -> usize {
    let mut cases = 0;
    for errno in ERRORS {
        for moment in [Moment::Before, Moment::After] {
            for lasting in [Lasting::Once, Lasting::FromThenOn] {
                for act in 0.. {
                    let faults = Faults::fail(Counted::All, act, moment, lasting, errno);
                    let machine = Machine::new(before.clone());
                    // It has the locks' directory, which a store on its own would make again.
                    let lab = lab(&faults);
                    let store = lab.store(&machine);
                    let result = op(&store);
                    drop(store);
                    if !faults.struck() {
                        result.unwrap();
                        assert_eq!(&machine.disk(), after);
                        break;
                    }
                    cases += 1;
                    let struck = faults.acts()[act];
                    let case = format!("{errno:?} {moment:?} act {act}, {struck}, {lasting:?}");
                    verify(&case, struck, lasting, errno, result, &machine, before, after);
                }
            }
        }
    }
    cases
}

#[allow(clippy::too_many_arguments)]
fn verify(
    case: &str,
    struck: &str,
    lasting: Lasting,
    errno: Errno,
    result: Result<()>,
    machine: &Machine,
    before: &Disk,
    after: &Disk,
) {
    let disk = machine.disk();
    let failed = result.is_err();
    if let Err(e) = result {
        assert_eq!(e.kind(), ErrorKind::of(errno), "{case}: {e}");
        assert_eq!(e.to_string().lines().count(), 1, "{case}: {e}");
        assert!(e.to_string().contains("the fault at"), "the cause is in the message: {case}: {e}");
        // Until a record is recovered, the operation may be half done, and only then.
        if lasting == Lasting::Once && struck != COMMIT {
            assert_eq!(&disk, before, "{case}: {e}");
            assert!(machine.records().is_empty(), "{case}: {e}");
        } else if machine.records().is_empty() {
            assert_eq!(&disk, before, "{case}: {e}");
        }
    } else if machine.records().is_empty() {
        assert_eq!(&disk, after, "{case}: succeeded and left no record");
    }
    let next = machine.rebooted();
    let recovered = Lab::new().unwrap();
    let recovered = recovered
        .with_drivers(|m| {
            let (cost, tie) = (hull_storage::Cost::Constant, hull_storage::Tie::None);
            vec![
                Arc::new(SimDriver::new(Lab::PLAIN, m.clone())),
                Arc::new(SimDriver::new(Lab::FREE, m.clone()).with_clones(cost, tie, true)),
            ]
        })
        .store(&next)
        .recover()
        .unwrap();
    let errors: Vec<&Error> = recovered.failed.iter().collect();
    assert!(errors.is_empty(), "{case}: {errors:?}");
    let disk = next.disk();
    match failed {
        // Whether a commit whose saving failed counts is for the journal to say.
        true if struck == COMMIT => assert!(&disk == before || &disk == after, "{case}:\n{disk:?}"),
        true => assert_eq!(&disk, before, "{case}"),
        false => assert_eq!(&disk, after, "{case}"),
    }
}

#[test]
fn create() {
    let before = Disk::default().dir("/v");
    let after = SimDriver::volume(before.clone(), "/v/a", &[]);
    let cases = fail_everywhere(&before, &after, |s| {
        s.create(Lab::PLAIN, &at("/v/a"), &VolumeSpec::default()).map(drop)
    });
    println!("create: {cases} failures");
}

#[test]
fn copy() {
    let before = SimDriver::volume(Disk::default(), "/v/a", OLD);
    let after = SimDriver::volume(before.clone(), "/v/b", OLD);
    let from = Locator::new(Lab::PLAIN, "/v/a");
    let cases = fail_everywhere(&before, &after, |s| {
        let mode = CloneMode::Copy;
        s.clone_volume(&from, Some(Lab::PLAIN), &at("/v/b"), mode, Access::ReadWrite).map(drop)
    });
    println!("copy: {cases} failures");
}

#[test]
fn clone() {
    let before = SimDriver::volume(Disk::default(), "/v/a", OLD);
    let after = SimDriver::volume(before.clone(), "/v/b", OLD).file(SimDriver::mark("/v/a", "/v/b"), "mark");
    let from = Locator::new(Lab::FREE, "/v/a");
    let cases = fail_everywhere(&before, &after, |s| {
        let mode = CloneMode::Snapshot;
        s.clone_volume(&from, Some(Lab::FREE), &at("/v/b"), mode, Access::ReadWrite).map(drop)
    });
    println!("clone: {cases} failures");
}

#[test]
fn restore() {
    let snapshot = SimDriver::snapshot(Disk::default(), "/v/s", OLD);
    let before = SimDriver::volume(snapshot.clone(), "/v/a", NEW);
    let after = SimDriver::volume(snapshot, "/v/a", OLD).file(SimDriver::mark("/v/s", "/v/a"), "mark");
    let (snapshot, current) = (Locator::new(Lab::FREE, "/v/s"), Locator::new(Lab::FREE, "/v/a"));
    let cases = fail_everywhere(&before, &after, |s| s.restore(&snapshot, &current).map(drop));
    println!("restore: {cases} failures");
}

#[test]
fn rename() {
    let before = SimDriver::volume(Disk::default(), "/v/a", OLD);
    let after = SimDriver::volume(Disk::default(), "/v/b", OLD);
    let from = Locator::new(Lab::PLAIN, "/v/a");
    let cases = fail_everywhere(&before, &after, |s| s.rename(&from, &at("/v/b")).map(drop));
    println!("rename: {cases} failures");
}

#[test]
fn destroy() {
    let before = SimDriver::volume(Disk::default(), "/v/a", OLD);
    let after = Disk::default().dir("/v");
    let cases = fail_everywhere(&before, &after, |s| s.destroy(&Locator::new(Lab::PLAIN, "/v/a")));
    println!("destroy: {cases} failures");
}

#[test]
fn a_home_with_volume_and_config() {
    let before = Disk::default().dir("/lxc");
    let after = SimDriver::volume(before.clone(), "/lxc/c1/rootfs", &[]).file("/lxc/c1/config", "c");
    let cases = fail_everywhere(&before, &after, |s| {
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
    println!("create a home: {cases} failures");
}

#[test]
fn a_home_that_is_renamed_and_destroyed() {
    let before = SimDriver::volume(Disk::default(), "/lxc/c1/rootfs", OLD).file("/lxc/c1/config", "c1");
    let after = SimDriver::volume(Disk::default(), "/lxc/c2/rootfs", OLD).file("/lxc/c2/config", "c2");
    let cases = fail_everywhere(&before, &after, |s| {
        s.transact("rename", |tx| {
            let mut plan = Plan::default();
            plan.move_home(Path::new("/lxc/c1"), Path::new("/lxc/c2"));
            plan.write(Path::new("/lxc/c2/config"), Some(b"c1".to_vec()), Some(b"c2".to_vec()));
            tx.perform(plan)
        })
    });
    println!("rename a home: {cases} failures");
    let after = Disk::default().dir("/lxc");
    let cases = fail_everywhere(&before, &after, |s| {
        s.transact("destroy", |tx| {
            let driver = s.driver(Lab::PLAIN)?;
            let layout = driver.layout(&Locator::new(Lab::PLAIN, "/lxc/c1/rootfs"))?;
            let mut plan = Plan::default();
            plan.doom_home(Path::new("/lxc/c1"), [(driver, layout)], tx.id())?;
            tx.perform(plan)
        })
    });
    println!("destroy a home: {cases} failures");
}
