//! Containers, snapshots and clones that one side made in the hands of the other, and the locks both keep.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use hull_integration_tests::command::{self, eventually};
use hull_integration_tests::house::{self, House, text};

fn house(test: &str) -> Option<House> {
    house::plain(&format!("interop_made::{test}"))
}

/// Starts a container with stock LXC, runs a shell line in it, and stops it.
#[track_caller]
fn runs_in_stock(house: &House, name: &str, line: &str) -> String {
    house.stock(&["lxc-start", "-n", name]).ok();
    let said = house.stock(&["lxc-attach", "-n", name, "--", "/bin/sh", "-c", line]).ok();
    house.stock(&["lxc-stop", "-n", name, "-k"]).ok();
    said
}

/// Starts a container with Hull, runs a shell line in it, and stops it.
#[track_caller]
fn runs_in_hull(house: &House, name: &str, line: &str) -> String {
    house.hull(&["start", name]).ok();
    let said = house.inside(name, line);
    house.hull(&["stop", "--kill", name]).ok();
    said
}

#[track_caller]
fn rootfs(house: &House, name: &str) -> String {
    let config = std::fs::read_to_string(house.at(name, "config")).expect("a configuration");
    let line = config.lines().find_map(|line| line.strip_prefix("lxc.rootfs.path"));
    line.expect("a root file system").trim_start_matches([' ', '=']).to_owned()
}

#[test]
fn stocks_container_runs_under_hull() {
    let Some(house) = house("stocks_container_runs_under_hull") else { return };
    house.stock_creates("s1", &[]);
    assert_eq!(
        runs_in_hull(&house, "s1", "hostname; ls /dev/tty5 /dev/pts/ptmx"),
        "s1\n/dev/pts/ptmx\n/dev/tty5\n"
    );
    house.hull(&["start", "s1"]).ok();
    let mounts = |table: String| {
        let words = table.lines().map(|line| line.split(' ').collect::<Vec<_>>());
        let mut points: Vec<String> = words.map(|words| format!("{} {}", words[1], words[2])).collect();
        // Stock LXC hides the host's boot_id, and makes ptmx a mount instead of a link.
        points.retain(|line| !line.contains("boot_id") && !line.contains("ptmx"));
        points.sort();
        points.join("\n")
    };
    let ours = mounts(house.inside("s1", "cat /proc/mounts"));
    house.hull(&["stop", "s1"]).ok();
    assert_eq!(ours, mounts(runs_in_stock(&house, "s1", "cat /proc/mounts")));
}

#[test]
fn hulls_container_runs_under_stock() {
    let Some(house) = house("hulls_container_runs_under_stock") else { return };
    house.hull_creates("c1", &[]);
    let identity = "id; hostname; cat /proc/1/comm; echo kept > /kept";
    assert_eq!(runs_in_stock(&house, "c1", identity), runs_in_hull(&house, "c1", identity));
    house.stock(&["lxc-destroy", "-n", "c1"]).ok();
    assert!(!house.at("c1", "").exists());
    assert_eq!(house.hull(&["ls", "--json"]).ok().trim(), "[]");
}

#[test]
fn our_lxc_create_uses_stocks_template() {
    let Some(house) = house("our_lxc_create_uses_stocks_template") else { return };
    let config = house.root().join("empty.conf");
    let template = "/usr/share/lxc/templates/lxc-busybox";
    house.ours(&["lxc-create", "-n", "c1", "-t", template, "-f", text(&config)]).ok();
    assert_eq!(runs_in_stock(&house, "c1", "hostname"), "c1\n");
    assert_eq!(runs_in_hull(&house, "c1", "hostname"), "c1\n");
    house.stock(&["lxc-create", "-n", "c2", "-t", text(&house::template()), "-f", text(&config)]).ok();
    assert_eq!(runs_in_stock(&house, "c2", "hostname"), "c2\n");
    assert_eq!(runs_in_hull(&house, "c2", "hostname"), "c2\n");
}

#[test]
fn overlay_clones_cross() {
    let Some(house) = house("overlay_clones_cross") else { return };
    house.hull_creates("c1", &[]);
    house.hull(&["clone", "c1", "ours", "--snapshot"]).ok();
    house.stock(&["lxc-copy", "-n", "c1", "-N", "theirs", "-s"]).ok();
    for name in ["ours", "theirs"] {
        assert!(rootfs(&house, name).starts_with("overlay:"), "{}", rootfs(&house, name));
        runs_in_stock(&house, name, "echo stock > /stock");
        assert_eq!(runs_in_hull(&house, name, "cat /stock; echo hull > /hull"), "stock\n");
        assert_eq!(runs_in_stock(&house, name, "cat /hull"), "hull\n");
    }
    assert!(!house.at("c1", "rootfs/stock").exists() && !house.at("c1", "rootfs/hull").exists());
    // A clone of a clone takes the other's changes along.
    house.hull(&["clone", "theirs", "second", "--snapshot"]).ok();
    assert_eq!(runs_in_stock(&house, "second", "cat /stock /hull"), "stock\nhull\n");
    house.stock(&["lxc-copy", "-n", "ours", "-N", "third", "-s"]).ok();
    assert_eq!(runs_in_hull(&house, "third", "cat /stock /hull"), "stock\nhull\n");
}

#[test]
fn loop_containers_cross() {
    let Some(house) = house("loop_containers_cross") else { return };
    house.stock_creates("theirs", &["-B", "loop", "--fssize", "64M"]);
    house.hull_creates("ours", &["--store", "loop", "--size", "64M"]);
    for name in ["theirs", "ours"] {
        assert!(rootfs(&house, name).starts_with("loop:"), "{}", rootfs(&house, name));
        assert_eq!(runs_in_stock(&house, name, "hostname; echo stock > /stock"), format!("{name}\n"));
        assert_eq!(runs_in_hull(&house, name, "cat /stock; echo hull > /hull"), "stock\n");
        assert_eq!(runs_in_stock(&house, name, "cat /hull"), "hull\n");
        // Unlike stock's, a clone has the size of its source.
        let copy = format!("{name}2");
        house.hull(&["clone", name, &copy]).ok();
        let size = |name: &str| std::fs::metadata(house.at(name, "rootdev")).expect("an image").len();
        assert_eq!(size(&copy), size(name));
        assert_eq!(runs_in_stock(&house, &copy, "cat /hull; hostname"), format!("hull\n{copy}\n"));
        house.hull(&["snapshot", &copy]).ok();
        runs_in_hull(&house, &copy, "echo spoilt > /hull");
        house.stock(&["lxc-snapshot", "-n", &copy, "-L"]).ok();
        house.hull(&["restore", &copy, "snap0"]).ok();
        assert_eq!(runs_in_stock(&house, &copy, "cat /hull"), "hull\n");
        house.hull(&["destroy", "--snapshots", &copy]).ok();
    }
    // What one of them runs, the other does not touch.
    house.stock(&["lxc-start", "-n", "ours"]).ok();
    let said = house.hull(&["volume", "rm", &rootfs(&house, "ours")]).fails(1);
    assert!(said.contains("is used by the loop device"), "{said}");
    house.stock(&["lxc-stop", "-n", "ours", "-k"]).ok();
    house.stock(&["lxc-destroy", "-n", "ours"]).ok();
    house.hull(&["destroy", "theirs"]).ok();
    assert!(!house.at("ours", "").exists() && !house.at("theirs", "").exists());
}

#[test]
fn hull_respects_stocks_clones() {
    let Some(house) = house("hull_respects_stocks_clones") else { return };
    house.hull_creates("c1", &[]);
    house.stock(&["lxc-copy", "-n", "c1", "-N", "o1", "-s"]).ok();
    house.stock(&["lxc-copy", "-n", "c1", "-N", "o2", "-s"]).ok();
    let before = house.listing();
    for words in [
        ["destroy", "c1"].as_slice(),
        &["destroy", "--force", "--snapshots", "--foreign", "c1"],
        &["rename", "c1", "d1"],
    ] {
        let said = house.hull(words).fails(1);
        for name in ["o1", "o2"] {
            assert!(
                said.contains(text(&house.at(name, "").components().collect::<std::path::PathBuf>())),
                "{said}"
            );
        }
        assert_eq!(said.lines().count(), 1, "{said}");
    }
    assert_ne!(house.ours(&["lxc-destroy", "-n", "c1"]).code(), 0);
    assert_eq!(house.listing(), before);
    house.stock(&["lxc-destroy", "-n", "o1"]).ok();
    house.hull(&["destroy", "c1"]).fails(1);
    house.hull(&["destroy", "o2"]).ok();
    assert!(!house.at("c1", "lxc_snapshots").exists());
    house.hull(&["destroy", "c1"]).ok();
}

#[test]
fn stock_respects_hulls_clones() {
    let Some(house) = house("stock_respects_hulls_clones") else { return };
    house.stock_creates("s1", &[]);
    house.hull(&["clone", "s1", "o1", "--snapshot"]).ok();
    house.hull(&["clone", "o1", "o2", "--snapshot"]).ok();
    let said = house.stock(&["lxc-destroy", "-n", "s1"]);
    assert!(said.code() == 1 && said.stderr.contains("has clones"), "{said}");
    house.stock(&["lxc-destroy", "-n", "o2"]).ok();
    house.stock(&["lxc-destroy", "-n", "s1"]).fails(1);
    house.hull(&["rename", "o1", "o3"]).ok();
    house.stock(&["lxc-destroy", "-n", "s1"]).fails(1);
    house.hull(&["destroy", "o3"]).ok();
    house.stock(&["lxc-destroy", "-n", "s1"]).ok();
}

#[test]
fn snapshots_are_known_to_both() {
    let Some(house) = house("snapshots_are_known_to_both") else { return };
    house.hull_creates("c1", &[]);
    house.hull(&["snapshot", "c1", "--comment", "before the change"]).ok();
    std::fs::write(house.at("c1", "rootfs/change"), "").expect("a new file");
    house.stock(&["lxc-snapshot", "-n", "c1"]).ok();
    let stock = house.stock(&["lxc-snapshot", "-n", "c1", "-L"]).ok();
    let listed = |text: &str| {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(listed(&stock).len(), 2, "{stock}");
    assert_eq!(listed(&house.ours(&["lxc-snapshot", "-n", "c1", "-L"]).ok()), listed(&stock));
    let comment = house.stock(&["lxc-snapshot", "-n", "c1", "-L", "-C"]).ok();
    assert!(comment.contains("before the change"), "{comment}");
    let json = house.hull(&["snapshot", "c1", "--list", "--json"]).ok();
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!((&json[0]["name"], &json[1]["name"]), (&"snap0".into(), &"snap1".into()));
    assert_eq!(json[0]["comment"], "before the change");
    // Each restores what the other kept.
    house.stock(&["lxc-snapshot", "-n", "c1", "-r", "snap0", "-N", "old"]).ok();
    assert!(house.at("old", "rootfs/bin").exists() && !house.at("old", "rootfs/change").exists());
    house.hull(&["restore", "c1", "snap0"]).ok();
    assert!(!house.at("c1", "rootfs/change").exists());
    house.hull(&["restore", "c1", "snap1"]).ok();
    assert!(house.at("c1", "rootfs/change").exists());
    assert_eq!(runs_in_stock(&house, "c1", "hostname"), "c1\n");
    // Each deletes what the other kept, and neither destroys what has snapshots.
    house.stock(&["lxc-destroy", "-n", "c1"]).fails(1);
    house.stock(&["lxc-snapshot", "-n", "c1", "-d", "snap0"]).ok();
    house.hull(&["destroy", "c1"]).fails(1);
    house.hull(&["snapshot", "c1", "--delete", "snap1"]).ok();
    assert_eq!(house.stock(&["lxc-snapshot", "-n", "c1", "-L"]).ok(), "No snapshots\n");
    house.stock(&["lxc-destroy", "-n", "c1"]).ok();
}

#[test]
fn btrfs_containers_cross() {
    let Some(house) = house::on("interop_made::btrfs_containers_cross", "btrfs") else { return };
    house.hull_creates("c1", &["--store", "btrfs"]);
    house.stock_creates("s1", &["-B", "btrfs"]);
    house.hull(&["clone", "c1", "c2", "--snapshot"]).ok();
    house.hull(&["clone", "s1", "s2", "--snapshot"]).ok();
    house.stock(&["lxc-copy", "-n", "c1", "-N", "c3", "-s"]).ok();
    house.stock(&["lxc-copy", "-n", "s1", "-N", "s3", "-s"]).ok();
    house.hull(&["clone", "c1", "over", "--store", "overlay", "--snapshot"]).ok();
    for name in ["c1", "c2", "c3", "s1", "s2", "s3", "over"] {
        assert_eq!(runs_in_stock(&house, name, "hostname > /said; cat /said"), format!("{name}\n"));
        assert_eq!(runs_in_hull(&house, name, "cat /said; hostname"), format!("{name}\n{name}\n"));
    }
    house.hull(&["snapshot", "c2"]).ok();
    house.stock(&["lxc-snapshot", "-n", "c2"]).ok();
    assert_eq!(house.stock(&["lxc-snapshot", "-n", "c2", "-L"]).ok().lines().count(), 2);
    house.stock(&["lxc-destroy", "-n", "c1"]).fails(1);
    house.hull(&["rename", "s3", "s4"]).ok();
    house.hull(&["destroy", "over"]).ok();
    for name in ["c1", "s2", "s4"] {
        house.stock(&["lxc-destroy", "-n", name]).ok();
    }
    for name in ["c3", "s1"] {
        house.hull(&["destroy", name]).ok();
    }
    house.hull(&["destroy", "--snapshots", "c2"]).ok();
    let left = command::run("/bin/btrfs", &["subvolume", "list", text(house.root())]).ok();
    assert_eq!(left, "", "subvolumes are left");
}

/// A program that says in the file `started` that it began, then goes on when `go` is there.
fn gate(house: &House, then: &str) -> std::path::PathBuf {
    let program = house.root().join("lxc-gate");
    let root = house.root().display();
    let script = format!(
        "#!/bin/sh\n: > {root}/started\nn=0\nwhile ! [ -e {root}/go ] && [ $n -lt 200 ]; do sleep 0.1; n=$((n+1)); done\n{then}\n"
    );
    std::fs::write(&program, script).expect("a new file");
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).expect("our file's mode");
    program
}

fn open(house: &House) {
    std::fs::write(house.root().join("go"), "").expect("a new file");
}

/// Starts a command that will stand at the gate, and waits until it does.
fn at_gate(house: &House, mut command: std::process::Command) -> Child {
    use std::os::unix::process::CommandExt;
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
    let child = command.spawn().expect("the command");
    let started = house.root().join("started");
    assert!(eventually(Duration::from_secs(20), || started.exists()), "{command:?} did not come to the gate");
    std::fs::remove_file(started).expect("our file");
    child
}

fn ends(mut child: Child) {
    let status = command::wait(&mut child, command::PATIENCE).expect("it ends when it may go on");
    assert!(status.success(), "{status}");
}

#[test]
fn what_stock_is_creating_is_left_alone() {
    let Some(house) = house("what_stock_is_creating_is_left_alone") else { return };
    let template = gate(&house, &format!("exec {} \"$@\"", house::template().display()));
    let config = house.root().join("empty.conf");
    let words = ["lxc-create", "-n", "p1", "-t", text(&template), "-f", text(&config)];
    let creating = at_gate(&house, house.stock_command(&words));
    assert!(house.at("p1", "partial").exists());
    let before = house.listing();
    for words in [
        ["start", "p1"].as_slice(),
        &["destroy", "p1"],
        &["destroy", "--force", "p1"],
        &["snapshot", "p1"],
        &["clone", "p1", "p2"],
        &["rename", "p1", "p2"],
    ] {
        let said = house.hull(words).fails(1);
        assert!(said.contains("creat"), "{words:?}: {said}");
    }
    house.hull(&["create", "p1", "--empty"]).fails(1);
    house.ours(&["lxc-execute", "-n", "p1", "--", "/bin/true"]).fails(1);
    house.hull(&["recover"]).ok();
    house.hull(&["info", "p1"]).ok();
    assert_eq!(house.listing(), before);
    open(&house);
    ends(creating);
    assert_eq!(runs_in_hull(&house, "p1", "hostname"), "p1\n");
    house.hull(&["destroy", "p1"]).ok();
}

#[test]
fn what_hull_is_creating_is_left_alone() {
    let Some(house) = house("what_hull_is_creating_is_left_alone") else { return };
    let template = gate(&house, &format!("exec {} \"$@\"", house::template().display()));
    let config = house.root().join("empty.conf");
    let words = ["lxc-create", "-n", "p1", "-t", text(&template), "-f", text(&config)];
    let creating = at_gate(&house, house.ours_command(&words));
    let said = house.hull(&["start", "p1"]).fails(1);
    assert!(said.contains("not finished"), "{said}");
    // LXC waits for the container's lock.
    let destroying = house.stock_command(&["lxc-destroy", "-n", "p1"]).stdin(Stdio::null()).spawn();
    let mut destroying = destroying.expect("lxc-destroy");
    std::thread::sleep(Duration::from_millis(700));
    assert!(destroying.try_wait().expect("a child").is_none(), "LXC did not wait");
    assert!(house.at("p1", "partial").exists());
    open(&house);
    ends(creating);
    ends(destroying);
    assert!(!house.at("p1", "").exists());
}

/// Whether anybody holds the lock file `path`, as the kernel tells (proc(5), `/proc/locks`).
fn is_locked(path: &Path) -> bool {
    let Ok(meta) = path.metadata() else { return false };
    let file = format!(
        "{:02x}:{:02x}:{} ",
        rustix::fs::major(meta.dev()),
        rustix::fs::minor(meta.dev()),
        meta.ino()
    );
    std::fs::read_to_string("/proc/locks").unwrap_or_default().contains(&file)
}

#[test]
fn both_take_the_same_lock() {
    let Some(house) = house("both_take_the_same_lock") else { return };
    let hook = gate(&house, "exit 0");
    let lock = Path::new("/run/lxc/lock").join(house.lxcpath().strip_prefix("/").expect("an absolute path"));
    let (stock, ours) = (["lxc-destroy", "-n", "c1"], ["lxc-destroy", "-n", "c2"]);
    for (name, first) in [("c1", house.stock_command(&stock)), ("c2", house.ours_command(&ours))] {
        let _ = std::fs::remove_file(house.root().join("go"));
        house.hull_creates(name, &[]);
        house.configure(name, &format!("lxc.hook.destroy = {}", hook.display()));
        assert!(!is_locked(&lock.join(format!(".{name}"))));
        let first = at_gate(&house, first);
        assert!(is_locked(&lock.join(format!(".{name}"))), "{name} is not locked");
        let second = match name {
            "c1" => house.ours_command(&["lxc-snapshot", "-n", name]),
            _ => house.stock_command(&["lxc-snapshot", "-n", name]),
        };
        let mut second = { second }.stdin(Stdio::null()).stderr(Stdio::null()).spawn().expect("lxc-snapshot");
        std::thread::sleep(Duration::from_millis(700));
        assert!(second.try_wait().expect("a child").is_none(), "the other did not wait for {name}");
        open(&house);
        ends(first);
        let late = Instant::now() + command::PATIENCE;
        let ended = command::wait(&mut second, late - Instant::now()).expect("it goes on");
        assert!(!ended.success(), "a snapshot of a container that is gone");
        assert!(!house.at(name, "snaps").exists());
    }
}
