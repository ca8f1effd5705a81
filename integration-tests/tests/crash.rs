//! Real processes killed by SIGKILL at every step of their journal, on real file systems: each container is
//! wholly as before or wholly as after, nothing is left over, and sources are never altered.

use std::fs;
use std::path::Path;
use std::process::Command;

use hull_integration_tests::grounds::{Ground, Lxcpath};
use hull_integration_tests::manifest::{self, Manifest};
use hull_integration_tests::operation;

/// A scenario: what is made first, then the operation that is killed.
struct Scenario {
    store: &'static str,
    before: fn(&Lxcpath, &'static str),
    operation: &'static [&'static str],
}

fn run(at: &Lxcpath, words: &[&str]) {
    let all = operation::containers(&at.lxcpath, &at.rundir, None).expect("an lxcpath");
    operation::run(&all, words).unwrap_or_else(|e| panic!("{words:?}: {e}"));
}

/// A container `c0` with a few files, among them a hook of its own.
fn base(at: &Lxcpath, store: &'static str) {
    run(at, &["create", "c0", store]);
    let rootfs = at.rootfs("c0");
    fs::create_dir_all(rootfs.join("etc")).expect("made");
    fs::write(rootfs.join("etc/hostname"), "c0\n").expect("written");
    fs::write(rootfs.join("data"), "original").expect("written");
    std::os::unix::fs::symlink("data", rootfs.join("link")).expect("made");
}

/// `c0`, and its overlay clone `c1` with changes of its own.
fn cloned(at: &Lxcpath, store: &'static str) {
    base(at, store);
    run(at, &["clone", "c0", "c1", "-"]);
    if store == "btrfs" {
        fs::write(at.rootfs("c1").join("data"), "changed").expect("written");
    } else {
        fs::write(at.home("c1").join("overlay/delta/data"), "changed").expect("written");
    }
}

/// `c0` with a snapshot, changed since.
fn snapshotted(at: &Lxcpath, store: &'static str) {
    base(at, store);
    run(at, &["snapshot", "c0"]);
    fs::write(at.rootfs("c0").join("data"), "broken").expect("written");
}

/// The clone `c1` with a snapshot, changed since.
fn clone_snapshotted(at: &Lxcpath, store: &'static str) {
    cloned(at, store);
    run(at, &["snapshot", "c1"]);
    fs::write(at.home("c1").join("overlay/delta/data"), "broken").expect("written");
}

/// The clone `c1` with a snapshot and a clone `c2` of its own.
fn family(at: &Lxcpath, store: &'static str) {
    clone_snapshotted(at, store);
    run(at, &["clone", "c1", "c2", "-"]);
}

/// Carries `operation` out in a process that dies at `moment`. Whether it ended before that.
fn crash(at: &Lxcpath, moment: usize, words: &[&str]) -> bool {
    let status = Command::new(env!("CARGO_BIN_EXE_hull-crasher"))
        .args([&at.lxcpath, &at.rundir])
        .arg(moment.to_string())
        .args(words)
        .status()
        .expect("the crasher runs");
    assert!(
        status.success() || std::os::unix::process::ExitStatusExt::signal(&status) == Some(9),
        "{words:?}: {status}"
    );
    status.success()
}

fn setup(ground: &Ground, scenario: &Scenario) -> Lxcpath {
    let at = ground.lxcpath();
    (scenario.before)(&at, scenario.store);
    at
}

fn check(at: &Lxcpath, before: &Manifest, after: &Manifest, what: &str) {
    let now = manifest::of(&at.lxcpath);
    if now != *before && now != *after {
        let (a, b) = (manifest::differences(&now, before), manifest::differences(&now, after));
        panic!("{what}: neither before\n{}\nnor after\n{}", a.join("\n"), b.join("\n"));
    }
    let journal = at.lxcpath.join(".hull/journal");
    let left: Vec<_> = fs::read_dir(&journal)
        .map(|d| {
            d.filter_map(Result::ok)
                .map(|e| e.file_name())
                .filter(|n| n.to_string_lossy().ends_with(".record"))
                .collect()
        })
        .unwrap_or_default();
    assert!(left.is_empty(), "{what}: the journal still holds {left:?}");
}

/// Kills the operation at every moment, and with `twice` the recovery, too, at every moment of its own.
fn crash_everywhere(ground: &Ground, scenario: &Scenario, twice: bool) -> usize {
    let at = setup(ground, scenario);
    let before = manifest::of(&at.lxcpath);
    run(&at, scenario.operation);
    let after = manifest::of(&at.lxcpath);
    assert_ne!(before, after, "the operation does something");
    remove(&at);
    let mut points = 0;
    for moment in 0.. {
        let mut ended = false;
        for moment_of_recovery in 0.. {
            let at = setup(ground, scenario);
            ended = crash(&at, moment, scenario.operation);
            let recovered = !twice || crash(&at, moment_of_recovery, &["recover"]);
            run(&at, &["recover"]);
            let what =
                format!("{:?} killed at {moment}, recovery at {moment_of_recovery}", scenario.operation);
            check(&at, &before, &after, &what);
            if ended {
                assert_eq!(manifest::of(&at.lxcpath), after, "an operation that ended stays");
            }
            remove(&at);
            points += 1;
            if recovered {
                break;
            }
        }
        if ended {
            return points;
        }
    }
    unreachable!()
}

/// Keeps the scratch file system small.
fn remove(at: &Lxcpath) {
    let root = at.lxcpath.parent().expect("an lxcpath has a parent");
    // Subvolumes are emptied and removed like directories (Linux 4.18).
    fs::remove_dir_all(root).unwrap_or_else(|e| panic!("{}: {e}", root.display()));
}

/// What is made first, and the operation.
type Row = (fn(&Lxcpath, &'static str), &'static [&'static str]);

const OPERATIONS: &[Row] = &[
    (base, &["create", "new", "STORE"]),
    (base, &["copy", "c0", "new", "-"]),
    (base, &["clone", "c0", "new", "-"]),
    (base, &["snapshot", "c0"]),
    (snapshotted, &["unsnapshot", "c0", "snap0"]),
    (snapshotted, &["restore", "c0", "snap0"]),
    (base, &["rename", "c0", "new"]),
    (snapshotted, &["rename", "c0", "new"]),
    (base, &["destroy", "c0"]),
    (snapshotted, &["destroy", "c0"]),
];

const ON_CLONES: &[Row] = &[
    (cloned, &["copy", "c1", "new", "-"]),
    (cloned, &["clone", "c1", "new", "-"]),
    (cloned, &["snapshot", "c1"]),
    (clone_snapshotted, &["restore", "c1", "snap0"]),
    (cloned, &["rename", "c1", "new"]),
    (clone_snapshotted, &["destroy", "c1"]),
    (clone_snapshotted, &["rename", "c1", "new"]),
    (family, &["destroy-all", "c0"]),
    (family, &["destroy-all", "c1"]),
    (base, &["create", "new", "overlay"]),
];

fn all(test: &str, kind: &str, store: &'static str, table: &[Row]) {
    let ground = match Ground::new(kind) {
        Ok(ground) => ground,
        Err(why) => return hull_testskip::skip(test, why),
    };
    let mut points = 0;
    for (before, words) in table {
        let words: Vec<&'static str> = words.iter().map(|w| if *w == "STORE" { store } else { w }).collect();
        let scenario = Scenario { store, before: *before, operation: Box::leak(words.into_boxed_slice()) };
        // Killing the recovery, too, squares the work; the operations with the longest undo have it.
        let twice = matches!(scenario.operation[0], "restore" | "rename" | "clone");
        let here = crash_everywhere(&ground, &scenario, twice);
        println!("{store} on {kind}: {:?}: {here} crash points", scenario.operation);
        points += here;
    }
    println!("{store} on {kind}: {points} crash points in all");
}

#[test]
fn dir_on_ext4() {
    all("dir_on_ext4", "ext4", "dir", OPERATIONS);
}

#[test]
fn btrfs() {
    all("btrfs", "btrfs", "btrfs", OPERATIONS);
}

#[test]
fn overlay_on_ext4() {
    all("overlay_on_ext4", "ext4", "dir", ON_CLONES);
}

/// A half-made container of another program is none of recovery's business.
#[test]
fn recovery_touches_nothing_that_is_not_its_own() {
    let dir = tempfile::tempdir().expect("a scratch directory");
    let at = Lxcpath { lxcpath: dir.path().join("lxc"), rundir: dir.path().join("run") };
    for foreign in ["lxc/.new-0123456789abcdef.c9/rootfs", "lxc/c8/rootfs", "lxc/.old-0123456789abcdef.x"] {
        fs::create_dir_all(dir.path().join(foreign)).expect("made");
    }
    fs::write(dir.path().join("lxc/c8/config"), "lxc.rootfs.path = dir:/\n").expect("written");
    let before = manifest::of(&at.lxcpath);
    run(&at, &["recover"]);
    assert_eq!(manifest::of(Path::new(&at.lxcpath)), before);
}
