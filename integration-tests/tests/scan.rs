//! Orphans are found without a journal, and nothing else is taken for one.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use hull_container::{Containers, Orphan, Scan, Why};
use hull_integration_tests::grounds::{Ground, Lxcpath};
use hull_integration_tests::manifest;
use hull_integration_tests::operation;
use hull_integration_tests::programs::Commands;
use hull_storage::lock::{VolumeLocks, Wait};
use hull_storage::*;

fn open(at: &Lxcpath) -> Containers {
    operation::containers(&at.lxcpath, &at.rundir, None).expect("an lxcpath")
}

fn run(at: &Lxcpath, words: &[&str]) {
    operation::run(&open(at), words).unwrap_or_else(|e| panic!("{words:?}: {e}"));
}

fn scan(at: &Lxcpath) -> Scan {
    open(at).scan(&[]).expect("all journals can be read")
}

fn names(scan: &Scan) -> Vec<String> {
    scan.orphans.iter().map(|o| o.what.to_string()).collect()
}

fn delete_all(at: &Lxcpath, orphans: &[Orphan]) {
    for orphan in orphans {
        open(at).delete_orphan(orphan, &[], &()).unwrap_or_else(|e| panic!("{orphan:?}: {e}"));
    }
}

fn records(at: &Lxcpath) -> Vec<PathBuf> {
    let all = fs::read_dir(at.lxcpath.join(".hull/journal")).into_iter().flatten().flatten();
    all.map(|e| e.path()).filter(|p| p.extension().is_some_and(|e| e == "record")).collect()
}

fn directory() -> (tempfile::TempDir, Lxcpath) {
    let dir = tempfile::tempdir().expect("a scratch directory");
    let at = Lxcpath { lxcpath: dir.path().join("lxc"), rundir: dir.path().join("run") };
    (dir, at)
}

/// Every operation is killed at every moment and its record lost: what it left is found and can be deleted, and all
/// that configs name stays.
#[test]
fn what_a_lost_journal_leaves() {
    let operations: [&[&str]; 7] = [
        &["create", "new", "STORE"],
        &["copy", "c0", "new", "-"],
        &["clone", "c0", "new", "-"],
        &["snapshot", "c0"],
        &["restore", "c0", "snap0"],
        &["rename", "c0", "new"],
        &["destroy", "c0"],
    ];
    for (kind, store) in [("ext4", "dir"), ("btrfs", "btrfs")] {
        let ground = match Ground::new(kind) {
            Ok(ground) => ground,
            Err(why) => return hull_testskip::skip("what_a_lost_journal_leaves", why),
        };
        let (mut deaths, mut orphans) = (0, 0);
        for words in operations {
            let words: Vec<&str> = words.iter().map(|w| if *w == "STORE" { store } else { w }).collect();
            for moment in 0.. {
                let at = ground.lxcpath();
                run(&at, &["create", "c0", store]);
                fs::write(at.rootfs("c0").join("data"), "x").expect("written");
                run(&at, &["snapshot", "c0"]);
                run(&at, &["create", "other", store]);
                let mut crasher = Command::new(env!("CARGO_BIN_EXE_hull-crasher"));
                crasher.args([&at.lxcpath, &at.rundir]).arg(moment.to_string()).args(&words);
                if crasher.status().expect("the crasher runs").success() {
                    break;
                }
                deaths += 1;
                assert_eq!(names(&scan(&at)), [""; 0], "{words:?} at {moment}: the journal knows of all");
                records(&at).iter().for_each(|path| fs::remove_file(path).expect("removed"));
                let found = scan(&at);
                orphans += found.orphans.len();
                let before = configs(&at);
                delete_all(&at, &found.orphans);
                assert_eq!(configs(&at), before, "{words:?} at {moment}: what configs name has changed");
                assert_eq!(names(&scan(&at)), [""; 0], "{words:?} at {moment}");
                let marked = manifest::of(&at.lxcpath).into_keys().map(|p| p.display().to_string());
                let marked: Vec<_> = marked.filter(|p| p.contains(".new-") || p.contains(".old-")).collect();
                assert_eq!(marked, [""; 0], "{words:?} at {moment}");
                fs::remove_dir_all(at.lxcpath.parent().expect("a parent")).expect("removed");
            }
        }
        println!("{store} on {kind}: {orphans} orphans of {deaths} deaths");
        assert!(orphans > 20, "hardly anything was left: {orphans}");
    }
}

/// All whole containers and snapshots, and whether their root file systems are there.
fn configs(at: &Lxcpath) -> BTreeSet<(PathBuf, bool)> {
    let all = manifest::of(&at.lxcpath).into_keys();
    all.filter(|path| path.ends_with("config") && !path.to_string_lossy().contains("/."))
        .filter(|path| !path.to_string_lossy().starts_with('.'))
        .filter_map(|path| {
            let home = at.lxcpath.join(path).parent()?.to_path_buf();
            let partial = home.join("partial").exists();
            (!partial).then(|| (home.clone(), home.join("rootfs").is_dir()))
        })
        .collect()
}

#[test]
fn what_is_somebodys_is_not_listed() {
    let (dir, at) = directory();
    run(&at, &["create", "c0", "dir"]);
    run(&at, &["create", "c1", "dir"]);
    // Stock LXC's, half made, with and without somebody at it; and names that only look like ours.
    for name in ["theirs", ".new-123.x", ".old-0123456789ABCDEF.x", "x.new-0123456789abcdef"] {
        fs::create_dir_all(at.lxcpath.join(name).join("rootfs")).expect("made");
    }
    fs::write(at.lxcpath.join("theirs/partial"), "").expect("written");
    // Volumes of Hull's: one that a config mounts, one in another container that a config names.
    let store = hull_storage::open(&hull_drivers::builtin(), &Settings::default(), &dir.path().join("state"));
    let store = store.expect("a store");
    let spec = VolumeSpec::default();
    let create = |path: &Path| {
        let to = Placement::exactly(path).expect("it has a name");
        store.create(operation::store_name("dir").expect("it is built in"), &to, &spec).expect("made");
    };
    for path in [at.home("c0").join("data"), at.home("c0").join("unknown"), at.lxcpath.join("base")] {
        create(&path);
    }
    let config = at.home("c1").join("config");
    let text = fs::read_to_string(&config).expect("a config");
    let mount = format!("lxc.mount.entry = {}/data mnt none bind 0 0\n", at.home("c0").display());
    fs::write(&config, text.clone() + &mount).expect("written");
    let found = scan(&at);
    assert_eq!(
        names(&found),
        [at.lxcpath.join("base"), at.home("c0").join("unknown")].map(|p| p.display().to_string())
    );
    assert!(found.orphans.iter().all(|o| matches!(o.why, Why::Unnamed(_))), "{found:?}");
    // A config that cannot be read may name anything.
    fs::write(&config, "lxc.rootfs.path = nonsense\n").expect("written");
    let dark = scan(&at);
    assert_eq!(dark.notes.len(), 1, "{dark:?}");
    fs::write(&config, text).expect("written");
    let orphan = found.orphans.last().expect("two were found").clone();
    delete_all(&at, &[orphan]);
    assert!(!at.home("c0").join("unknown").exists() && at.rootfs("c0").is_dir());
    assert!(at.home("c0").join("data").is_dir() && at.lxcpath.join("base").is_dir());
    assert!(at.lxcpath.join("theirs/partial").exists());
}

/// What a transaction has done so far is its own, also in another lxcpath than its journal's.
#[test]
fn a_live_transaction_is_left_alone() {
    let (_dir, at) = directory();
    run(&at, &["create", "c0", "dir"]);
    let there = Lxcpath { lxcpath: at.lxcpath.with_file_name("there"), rundir: at.rundir.clone() };
    fs::create_dir(&there.lxcpath).expect("made");
    let all = open(&at);
    let _lock = hull_container::lock_container(
        &at.rundir,
        &at.lxcpath,
        "c0",
        hull_storage::lock::Kind::Shared,
        Wait::No,
    );
    let made: Result<()> = all.store().transact("make", |tx| {
        let mut plan = Plan::default();
        plan.make_home(&there.home("new"), 0o770, None);
        plan.move_home(&at.home("c0"), &Mark::Old.sibling(&at.home("c0"), tx.id()));
        tx.perform(plan)?;
        for at in [&at, &there] {
            assert_eq!(names(&scan(at)), [""; 0]);
        }
        Err(Error::new(ErrorKind::Cancelled, "that was all"))
    });
    made.expect_err("it was stopped");
    assert!(at.home("c0").join("config").is_file() && !there.home("new").exists());
}

/// A dir store that says it has a pool: what it lists lies in a directory.
#[derive(Debug)]
struct Pooled(Arc<dyn Driver>, PathBuf);

impl Driver for Pooled {
    fn name(&self) -> DriverName {
        self.0.name()
    }
    fn capabilities(&self) -> Capabilities {
        self.0.capabilities()
    }
    fn new_layout(&self, to: &Placement, from: Option<&Locator>) -> Result<Layout> {
        self.0.new_layout(to, from)
    }
    fn moved(&self, layout: &Layout, to: &Placement) -> Result<Layout> {
        self.0.moved(layout, to)
    }
    fn placement(&self, at: &Locator) -> Result<Placement> {
        self.0.placement(at)
    }
    fn rebased(&self, at: &Locator, from: &Path, to: &Path) -> Result<Locator> {
        self.0.rebased(at, from, to)
    }
    fn layout(&self, at: &Locator) -> Result<Layout> {
        self.0.layout(at)
    }
    fn inspect(&self, at: &Locator) -> Result<VolumeInfo> {
        self.0.inspect(at)
    }
    fn usage(&self, at: &Locator) -> Result<Usage> {
        self.0.usage(at)
    }
    fn activate(&self, at: &Locator, access: Access) -> Result<Activation> {
        self.0.activate(at, access)
    }
    fn create(&self, at: &Layout, spec: &VolumeSpec, by: TxId) -> Result<()> {
        self.0.create(at, spec, by)
    }
    fn rename(&self, from: &Resource, to: &Resource) -> Result<Outcome> {
        self.0.rename(from, to)
    }
    fn reclaim(&self, what: &Resource, by: TxId) -> Result<Outcome> {
        self.0.reclaim(what, by)
    }
    fn enumerate(&self) -> Option<&dyn Enumerate> {
        Some(self)
    }
}

impl Enumerate for Pooled {
    fn list(&self) -> Result<Vec<Listed>> {
        let entries = fs::read_dir(&self.1).expect("the pool is there").flatten();
        let listed = entries.map(|entry| {
            let what = Resource::new(self.name(), entry.path());
            let by = what.stamped().map(|(_, id)| id);
            let at = by.is_none().then(|| Locator::new(self.name(), entry.path()));
            Listed { what, at, by, size: Some(Bytes(7)) }
        });
        Ok(listed.collect())
    }
}

#[test]
fn pools_take_part() {
    let (dir, at) = directory();
    let pool = dir.path().join("pool");
    fs::create_dir(&pool).expect("made");
    let registry = hull_drivers::builtin();
    let name = operation::store_name("dir").expect("it is built in");
    let inner = (registry.resolve("dir").expect("it is built in").open)(&Settings::default());
    let journal = FileJournal::new(at.lxcpath.join(".hull/journal"), Durability::Crash);
    let store = Store::new(
        vec![Arc::new(Pooled(inner, pool.clone()))],
        Box::new(journal),
        Box::new(RealHost::new(Box::new(()), Durability::Crash)),
        VolumeLocks::new(at.rundir.join("hull/lock"), Wait::UpTo(Duration::from_secs(20))),
    );
    let settings = (registry, name, Wait::No);
    let all = Containers::with_store(&at.lxcpath, at.rundir.clone(), settings, store).expect("an lxcpath");
    operation::run(&all, &["create", "c0", "dir"]).expect("made");
    let make = |volume: &str| {
        let to = Placement::exactly(&pool.join(volume)).expect("it has a name");
        all.store().create(name, &to, &VolumeSpec::default()).expect("made")
    };
    let [used, _] = ["used", "unused"].map(make);
    fs::create_dir(pool.join(".old-0123456789abcdef.x")).expect("made");
    let config = at.home("c0").join("config");
    fs::write(&config, format!("lxc.rootfs.path = {used}\n")).expect("written");
    let scan = all.scan(&[]).expect("all can be read");
    let in_pool: Vec<OsString> = scan
        .orphans
        .iter()
        .filter(|o| o.what.path().starts_with(&pool))
        .map(|o| o.what.path().file_name().expect("a name").to_owned())
        .collect();
    assert_eq!(in_pool, [".old-0123456789abcdef.x", "unused"]);
    assert!(scan.orphans.iter().filter(|o| o.what.driver == name).all(|o| o.size == Some(Bytes(7))));
    for orphan in &scan.orphans {
        all.delete_orphan(orphan, &[], &()).unwrap_or_else(|e| panic!("{orphan:?}: {e}"));
    }
    let left: Vec<_> = fs::read_dir(&pool).expect("there").flatten().map(|e| e.file_name()).collect();
    assert_eq!(left, ["used"]);
}

#[test]
fn the_command_deletes_only_what_it_is_told() {
    let commands = match Commands::new() {
        Ok(commands) => commands,
        Err(why) => return hull_testskip::skip("the_command_deletes_only_what_it_is_told", why),
    };
    commands.hull(&["create", "c0", "--empty", "--quiet"]).good();
    let garbage = commands.lxcpath().join(".old-0123456789abcdef.gone");
    fs::create_dir(&garbage).expect("made");
    fs::write(garbage.join("file"), vec![7; 10_000]).expect("written");
    let volume = commands.lxcpath().join("base");
    let volume = volume.to_str().expect("a temporary path is text");
    commands.hull(&["volume", "create", volume, "--quiet"]).good();
    let listed = commands.hull(&["recover", "--scan"]).good();
    assert!(listed.contains(".old-0123456789abcdef.gone") && listed.contains("/base"), "{listed}");
    assert!(listed.contains("no journal knows") && listed.contains("KiB"), "{listed}");
    assert!(garbage.exists());
    assert_eq!(commands.hull(&["recover", "--delete"]).code, Some(2), "only with --scan");
    let json = commands.hull(&["recover", "--scan", "--delete", "--json"]).good();
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    let deleted: Vec<bool> =
        json["orphans"].as_array().expect("a list").iter().map(|o| o["deleted"] == true).collect();
    assert_eq!(deleted, [true, false], "{json}");
    assert!(!garbage.exists() && Path::new(volume).is_dir());
    let said = commands.hull(&["recover", "--scan", "--delete-unnamed"]).good();
    assert!(said.starts_with("deleted ") && said.contains("/base"), "{said}");
    assert!(!Path::new(volume).exists());
    assert_eq!(commands.hull(&["recover", "--scan"]).good(), "nothing is left that nobody answers for");
}
