//! What owners of volumes compose: homes, volumes and small files in one transaction.

use super::*;
use hull_storage::{Content, Plan, Source, VolumeSpec};
use std::path::Path;

/// What a container's config holds, as far as it matters here.
fn config(home: &str) -> String {
    format!("lxc.rootfs.path = sim:{home}/rootfs\n")
}

fn container(disk: Disk, home: &str, content: &[(&str, &str)]) -> Disk {
    with(disk, &format!("{home}/rootfs"), content).file(format!("{home}/config"), config(home))
}

fn text(home: &str) -> Option<Vec<u8>> {
    Some(config(home).into_bytes())
}

fn in_home(home: &str) -> Placement {
    Placement::in_home(home, Path::new(home).file_name().unwrap())
}

#[test]
fn create_a_home() {
    let before = Disk::default().dir("/lxc");
    let scene = Scene { after: container(before.clone(), "/lxc/c1", &[]), before, ..Scene::default() };
    crash("create a home", &scene, [17, 128, 771], |s| {
        s.transact("create", |tx| {
            let mut plan = Plan::default();
            plan.make_home(Path::new("/lxc/c1"), 0o770, None);
            let spec = VolumeSpec::default();
            plan.make(s.driver(Lab::PLAIN)?, &in_home("/lxc/c1"), Content::Empty(&spec), tx.id())?;
            plan.write(Path::new("/lxc/c1/config"), None, text("/lxc/c1"));
            tx.perform(plan)
        })
    });
}

#[test]
fn create_a_home_in_two_plans() {
    // The volume's name is known only after the first part, as with templates that fill it.
    let before = Disk::default().dir("/lxc");
    let scene = Scene { after: container(before.clone(), "/lxc/c1", &[]), before, ..Scene::default() };
    crash("create a home in two plans", &scene, [20, 182, 1308], |s| {
        s.transact("create", |tx| {
            let mut plan = Plan::default();
            plan.make_home(Path::new("/lxc/c1"), 0o770, None);
            plan.write(Path::new("/lxc/c1/config"), None, Some(b"being made".to_vec()));
            tx.perform(plan)?;
            let mut plan = Plan::default();
            let spec = VolumeSpec::default();
            plan.make(s.driver(Lab::PLAIN)?, &in_home("/lxc/c1"), Content::Empty(&spec), tx.id())?;
            plan.write(Path::new("/lxc/c1/config"), Some(b"being made".to_vec()), text("/lxc/c1"));
            tx.perform(plan)
        })
    });
}

fn clone_home(name: &str, driver: DriverName, mark: bool, expected: [usize; 3]) {
    let before = container(Disk::default(), "/lxc/c0", OLD);
    let mut after = container(before.clone(), "/lxc/c1", OLD);
    if mark {
        after = after.file(SimDriver::mark("/lxc/c0/rootfs", "/lxc/c1/rootfs"), "mark");
    }
    let untouched = ["rootfs", "rootfs.meta", "config"].map(|n| Path::new("/lxc/c0").join(n)).to_vec();
    let scene = Scene { before, after, untouched };
    crash(name, &scene, expected, |s| {
        s.transact("clone", |tx| {
            let mut plan = Plan::default();
            plan.make_home(Path::new("/lxc/c1"), 0o770, None);
            let (from, to) = (loc(driver, "/lxc/c0/rootfs"), in_home("/lxc/c1"));
            let access = Access::ReadWrite;
            let mode = CloneMode::SnapshotElseCopy;
            let (driver, method) = s.method(&from, Some(driver), &to, mode, access)?;
            let from = Source { driver: s.driver(from.driver())?, at: &from };
            let content = Content::Of { from, method, access };
            plan.make(driver, &to, content, tx.id())?;
            plan.write(Path::new("/lxc/c1/config"), None, text("/lxc/c1"));
            tx.perform(plan)
        })
    });
}

#[test]
fn clone_into_a_new_home() {
    clone_home("clone into a new home", Lab::FREE, false, [17, 155, 1137]);
}

#[test]
fn marked_clone_into_a_new_home() {
    clone_home("clone into a new home, marked", Lab::MARKED, true, [20, 213, 1779]);
}

#[test]
fn copy_into_a_new_home() {
    clone_home("copy into a new home", Lab::PLAIN, false, [21, 198, 1441]);
}

#[test]
fn rename_a_home() {
    let scene = Scene {
        before: container(Disk::default(), "/lxc/c1", OLD),
        after: container(Disk::default(), "/lxc/c2", OLD),
        ..Scene::default()
    };
    crash("rename a home", &scene, [7, 26, 91], |s| {
        s.transact("rename", |tx| {
            let mut plan = Plan::default();
            plan.move_home(Path::new("/lxc/c1"), Path::new("/lxc/c2"));
            plan.write(Path::new("/lxc/c2/config"), text("/lxc/c1"), text("/lxc/c2"));
            tx.perform(plan)
        })
    });
}

#[test]
fn destroy_a_home() {
    let scene = Scene {
        before: container(Disk::default(), "/lxc/c1", OLD),
        after: Disk::default().dir("/lxc"),
        ..Scene::default()
    };
    crash("destroy a home", &scene, [11, 43, 135], |s| destroy_home(s, &["/lxc/c1/rootfs"]));
}

fn destroy_home(store: &Store, volumes: &[&str]) -> Result<()> {
    store.transact("destroy", |tx| {
        let driver = store.driver(Lab::FREE)?;
        let layouts: Result<Vec<_>> =
            volumes.iter().map(|v| Ok((driver, driver.layout(&loc(Lab::FREE, v))?))).collect();
        let mut plan = Plan::default();
        plan.doom_home(Path::new("/lxc/c1"), layouts?, tx.id())?;
        tx.perform(plan)
    })
}

#[test]
fn destroy_a_home_with_snapshots() {
    let home = container(Disk::default(), "/lxc/c1", NEW).file("/lxc/c1/snaps/snap0/comment", "first");
    let home = SimDriver::snapshot(home, "/lxc/c1/snaps/snap0/rootfs", OLD);
    let home = SimDriver::snapshot(home, "/lxc/c1/snaps/snap1/rootfs", NEW);
    let scene = Scene { before: home, after: Disk::default().dir("/lxc"), ..Scene::default() };
    crash("destroy a home with snapshots", &scene, [25, 260, 2039], |s| {
        let snapshots = ["/lxc/c1/rootfs", "/lxc/c1/snaps/snap0/rootfs", "/lxc/c1/snaps/snap1/rootfs"];
        destroy_home(s, &snapshots)
    });
}

#[test]
fn destroy_a_home_whose_volume_is_in_a_pool() {
    let rest = with(Disk::default(), "/pool/c0", OLD).dir("/lxc");
    let home = with(rest.clone(), "/pool/c1", OLD).file("/lxc/c1/config", config("/lxc/c1"));
    let scene = Scene {
        before: home.file(SimDriver::mark("/pool/c0", "/pool/c1"), "mark"),
        after: rest,
        untouched: vec!["/pool/c0".into(), "/pool/c0.meta".into()],
    };
    crash("destroy a home with a volume in a pool", &scene, [18, 94, 374], |s| {
        s.transact("destroy", |tx| {
            let mut plan = Plan::default();
            plan.doom_volume(s.driver(Lab::MARKED)?, &loc(Lab::MARKED, "/pool/c1"), tx.id())?;
            plan.doom_home(Path::new("/lxc/c1"), [], tx.id())?;
            tx.perform(plan)
        })
    });
}

#[test]
fn restore_with_its_config() {
    let home = |content, config: &str| {
        let disk = with(Disk::default(), "/lxc/c1/rootfs", content);
        let disk = SimDriver::snapshot(disk, "/lxc/c1/snaps/snap0/rootfs", OLD);
        disk.file("/lxc/c1/config", config).file("/lxc/c1/snaps/snap0/config", "old")
    };
    let scene =
        Scene { before: home(NEW, "new"), after: home(OLD, "old"), untouched: vec!["/lxc/c1/snaps".into()] };
    crash("restore with its config", &scene, [21, 187, 1307], |s| {
        s.transact("restore", |tx| {
            let snapshot = loc(Lab::FREE, "/lxc/c1/snaps/snap0/rootfs");
            let mut plan = s.plan_restore(&snapshot, &loc(Lab::FREE, "/lxc/c1/rootfs"), tx.id())?.plan;
            let content = |text: &str| Some(text.as_bytes().to_vec());
            plan.write(Path::new("/lxc/c1/config"), content("new"), content("old"));
            tx.perform(plan)
        })
    });
}
