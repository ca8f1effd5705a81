//! Deletion that is left for later: killed before the hand-over, during it, while it is worked off, and by two at once.

use std::path::Path;

use super::*;
use hull_storage::{Effort, Patch, Plan, Reclaim};
use hull_storage_testkit::sim::Machine;

const LATER: Reclaim = Reclaim::Later(Effort::NONE);

/// [`crash`] where nothing is deleted before an operation returns, and all of it afterwards.
fn crash_later(name: &str, scene: &Scene, expected: [usize; 3], op: impl Fn(&Store) -> Result<()>) {
    let lab = Lab::new().unwrap().with_reclaim(LATER);
    let living = lab.store(&Machine::new(scene.before.clone()));
    op(&living).unwrap();
    assert!(living.has_pending(), "{name} leaves something for later");
    let points = crash_everywhere(&lab, scene, |s| {
        op(s)?;
        s.reclaim_pending(&()).map(drop)
    });
    let points = points.unwrap_or_else(|torn| panic!("{name}: {torn}"));
    println!("{name}: {points}");
    let [operation, recovery, second_recovery] = expected;
    let expected = CrashPoints { operation, recovery, second_recovery };
    assert_eq!(points, expected, "{name}: the number of effects has changed");
}

#[test]
fn destroy() {
    let before = with(Disk::default(), "/v/a", OLD);
    let scene = Scene { before, after: Disk::default().dir("/v"), ..Scene::default() };
    crash_later("destroy", &scene, [13, 57, 189], |s| s.destroy(&loc(Lab::PLAIN, "/v/a")));
}

#[test]
fn destroy_of_a_marked_clone() {
    let source = with(Disk::default(), "/v/z", OLD);
    let before = with(source.clone(), "/v/a", OLD).file(SimDriver::mark("/v/z", "/v/a"), "mark");
    let scene = Scene { before, after: source, untouched: vec!["/v/z".into(), "/v/z.meta".into()] };
    crash_later("destroy, marked", &scene, [16, 82, 312], |s| s.destroy(&loc(Lab::MARKED, "/v/a")));
}

#[test]
fn restore() {
    let snapshot = SimDriver::snapshot(Disk::default(), "/v/s", OLD);
    let before = with(snapshot.clone(), "/v/a", NEW);
    let after = with(snapshot, "/v/a", OLD);
    let scene = Scene { before, after, untouched: vec!["/v/s".into(), "/v/s.meta".into()] };
    crash_later("restore", &scene, [20, 159, 959], |s| {
        s.restore(&loc(Lab::FREE, "/v/s"), &loc(Lab::FREE, "/v/a")).map(drop)
    });
}

#[test]
fn destroy_a_home_with_a_snapshot() {
    let home = with(Disk::default(), "/lxc/c1/rootfs", NEW).file("/lxc/c1/config", "c1");
    let home = SimDriver::snapshot(home, "/lxc/c1/snaps/snap0/rootfs", OLD);
    let scene = Scene { before: home, after: Disk::default().dir("/lxc"), ..Scene::default() };
    crash_later("destroy a home", &scene, [20, 162, 992], |s| {
        s.transact("destroy", |tx| {
            let driver = s.driver(Lab::FREE)?;
            let volumes = ["/lxc/c1/rootfs", "/lxc/c1/snaps/snap0/rootfs"];
            let volumes: Result<Vec<_>> =
                volumes.iter().map(|v| Ok((driver, driver.layout(&loc(Lab::FREE, v))?))).collect();
            let mut plan = Plan::default();
            plan.doom_home(Path::new("/lxc/c1"), volumes?, tx.id())?;
            tx.perform(plan)
        })
    });
}

/// A volume is replaced, which dooms the old one and patches the new one; then others come and go.
fn stale_patch(lab: &Lab) -> Option<Vec<u8>> {
    let disk = with(with(Disk::default(), "/v/a", OLD), "/v/b", OLD);
    let machine = Machine::new(disk);
    let store = lab.store(&machine);
    store
        .transact("replace", |tx| {
            let mut plan = Plan::default();
            plan.doom_volume(store.driver(Lab::PLAIN)?, &loc(Lab::PLAIN, "/v/a"), tx.id())?;
            plan.patches.push(Patch {
                at: loc(Lab::PLAIN, "/v/b"),
                dir: ".".into(),
                name: "hostname".into(),
                content: "patched".into(),
            });
            tx.perform(plan)
        })
        .unwrap();
    let file = Path::new("/v/b/./hostname");
    assert_eq!(machine.read(file).unwrap().unwrap(), b"patched");
    store.rename(&loc(Lab::PLAIN, "/v/b"), &at("/v/c")).unwrap();
    clone(&store, &loc(Lab::PLAIN, "/v/c"), "/v/b", CloneMode::Copy, Access::ReadWrite).unwrap();
    machine.effect(|d| d.put(file, b"another's")).unwrap();
    drop(store);
    assert!(lab.store(&machine).recover().unwrap().failed.is_empty());
    machine.read(file).unwrap()
}

#[test]
fn what_came_after_is_not_patched_again() {
    let lab = Lab::new().unwrap().with_reclaim(LATER);
    assert_eq!(stale_patch(&lab).unwrap(), b"another's");
    let forgetful = Lab::new()
        .unwrap()
        .with_reclaim(LATER)
        .with_journal(|inner| teeth::mutant(inner, teeth::Without::Reclaiming));
    assert_eq!(stale_patch(&forgetful).unwrap(), b"patched", "a journal that does not say so is caught");
}

#[test]
fn two_workers_do_the_work_once() {
    let lab = Lab::new().unwrap().with_reclaim(LATER);
    let names = ["/v/a", "/v/b", "/v/c", "/v/d"];
    let disk = names.iter().fold(Disk::default(), |disk, name| with(disk, name, OLD));
    for round in 0..20 {
        let machine = Machine::new(disk.clone());
        let (one, other) = (lab.store(&machine), lab.store(&machine));
        names.iter().for_each(|name| one.destroy(&loc(Lab::PLAIN, name)).unwrap());
        let done = std::thread::scope(|scope| {
            let other = scope.spawn(|| other.reclaim_pending(&()).unwrap());
            [one.reclaim_pending(&()).unwrap(), other.join().unwrap()]
        });
        assert!(done.iter().all(|d| d.failed.is_empty()), "round {round}: {done:?}");
        assert_eq!(done.iter().map(|d| d.records).sum::<usize>(), names.len(), "round {round}: {done:?}");
        assert_eq!(machine.disk(), Disk::default().dir("/v"));
        assert!(machine.records().is_empty());
    }
}

/// A command that comes by while something is being deleted neither waits for it nor does it.
#[test]
fn recovery_passes_over_what_is_only_to_be_deleted() {
    let lab = Lab::new().unwrap().with_reclaim(LATER);
    let machine = Machine::new(with(with(Disk::default(), "/v/a", OLD), "/v/b", OLD));
    let first = lab.store(&machine);
    first.destroy(&loc(Lab::PLAIN, "/v/a")).unwrap();
    let disk = machine.disk();
    let next = lab.store(&machine);
    let recovered = next.recover().unwrap();
    assert!(recovered.settled.is_empty() && recovered.failed.is_empty(), "{recovered:?}");
    assert_eq!(machine.disk(), disk);
    assert!(next.has_pending(), "somebody is to be told");
    assert_eq!(next.unfinished().unwrap().iter().map(|seen| seen.held).collect::<Vec<_>>(), [false]);
    // One that does not leave things for later finishes the work of those that do.
    assert_eq!(Lab::new().unwrap().store(&machine).recover().unwrap().settled, ["destroy"]);
    assert_eq!(machine.disk(), with(Disk::default(), "/v/b", OLD));
}

#[test]
fn one_that_cannot_be_deleted_does_not_keep_the_others() {
    let lab = Lab::new().unwrap().with_reclaim(LATER);
    let machine = Machine::new(with(with(Disk::default(), "/v/a", OLD), "/v/b", OLD));
    let store = lab.store(&machine);
    ["/v/a", "/v/b"].iter().for_each(|name| store.destroy(&loc(Lab::MARKED, name)).unwrap());
    let records = machine.records();
    let stuck = Path::new("/v").join(format!(".old-{}.a", records[0].id));
    machine.effect(|d| d.make_file(&SimDriver::mark(&stuck, "/x"), b"mark")).unwrap();
    let done = store.reclaim_pending(&()).unwrap();
    assert_eq!((done.records, done.failed.len()), (1, 1), "{done:?}");
    machine.effect(|d| d.remove(&SimDriver::mark(&stuck, "/x"))).unwrap();
    // The same process may try again.
    assert_eq!(store.reclaim_pending(&()).unwrap().records, 1);
    assert_eq!(machine.disk(), Disk::default().dir("/v"));
}
