//! Containers that run while they are copied: frozen meanwhile, whole in the copy, and thawed whatever happens.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use hull_integration_tests::command::{self, Ran, eventually};
use hull_integration_tests::house::{self, House};
use hull_ipc::server::Group;
use hull_ipc::{Client, State};
use hull_storage_testkit::Ground;
use hull_storage_testkit::grounds::{volume_group, zpool};
use hull_treefixture::ScratchFs;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};

const SOON: Duration = Duration::from_secs(10);

/// What the container does from now on: it makes one file longer by a byte and then another, far from it.
fn write_in_step(house: &House, name: &str) {
    let line =
        "mkdir -p /a /z; (while :; do echo >>/a/count; echo >>/z/count; done) </dev/null >/dev/null 2>&1 &";
    house.inside(name, line);
    assert!(eventually(SOON, || house.inside(name, "ls /z") == "count\n"), "the writer begins");
}

/// How long the two files are, in the tree `root`.
fn lengths(root: &Path) -> Option<(u64, u64)> {
    let length = |dir: &str| root.join(dir).join("count").metadata().ok().map(|found| found.len());
    Some((length("a")?, length("z")?))
}

/// Fails when the tree `root` is not of one moment.
#[track_caller]
fn assert_whole(root: &Path) {
    let (a, z) = lengths(root).unwrap_or_else(|| panic!("the files are not in {}", root.display()));
    assert!(a > 0 && (a == z || a == z + 1), "a torn copy in {}: {a} and {z} bytes", root.display());
}

/// A house with the container `c1`, which runs and writes, and has some hundred files between those it writes.
fn writing(test: &str) -> Option<House> {
    let house = house::plain(&format!("live_sources::{test}"))?;
    house.hull_creates("c1", &[]);
    set_out(&house, 300);
    Some(house)
}

/// Starts `c1` and its writer, after `files` files have been laid between the two that are written.
fn set_out(house: &House, files: usize) {
    house.hull(&["start", "c1"]).ok();
    house.inside(
        "c1",
        &format!("mkdir /m; cd /m; i=0; while [ $i -lt {files} ]; do echo >$i; i=$((i+1)); done"),
    );
    write_in_step(house, "c1");
}

/// That the container runs and goes on writing.
#[track_caller]
fn assert_runs_on(house: &House, name: &str) {
    assert_eq!(house.state(name), "RUNNING");
    let length = || house.inside(name, "cat /a/count | wc -c");
    let before = length();
    assert!(eventually(SOON, || length() != before), "{name} writes no more");
}

/// What a command said of how long the container was frozen; the only thing it may say besides its result.
#[track_caller]
fn assert_says_frozen(ran: Ran, what: &str) {
    let said = ran.stderr.clone();
    ran.ok();
    let line = said.strip_prefix("hull: c1 was frozen for ").unwrap_or_else(|| panic!("{said:?}"));
    let time = line.strip_suffix(&format!(" while {what}\n"));
    assert!(time.is_some_and(|time| time.ends_with(" ms") || time.ends_with(" s")), "{said:?}");
}

/// What is in the lxcpath beside `c1`, and what its journal holds.
fn left(house: &House) -> Vec<String> {
    let list = |dir: PathBuf| -> Vec<String> {
        let entries = std::fs::read_dir(dir).into_iter().flatten().filter_map(Result::ok);
        entries.map(|e| e.file_name().to_string_lossy().into_owned()).collect()
    };
    let mut left: Vec<String> = list(house.lxcpath().join(".hull/journal"));
    left.retain(|name| name.ends_with(".record"));
    left.extend(list(house.lxcpath()).into_iter().filter(|name| name != "c1" && name != ".hull"));
    left
}

/// Begins to copy `c1`, in a process group of its own, and returns when it is frozen.
///
/// All that [`make_big`] made changes until then, so it is copied once more then, and there is time to interfere.
fn copying(house: &House) -> Child {
    let mut hull = Command::new(house::hull());
    hull.arg("--lxcpath").arg(house.lxcpath()).args(["clone", "c1", "c2", "--copy", "--allow-running"]);
    let copying = hull.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).process_group(0);
    let copying = copying.spawn().expect("hull can be run");
    let is_frozen = || {
        touch_big(house);
        told(house) == Some(State::Frozen)
    };
    assert!(eventually(2 * command::PATIENCE, is_frozen), "c1 is frozen while it is copied");
    copying
}

/// Gives all that [`make_big`] made a new change time.
fn touch_big(house: &House) {
    for dir in house.at("c1", "rootfs/big").read_dir().expect("it is big") {
        for file in dir.expect("a directory").path().read_dir().expect("a directory") {
            let file = file.expect("a file").path();
            std::fs::set_permissions(file, Permissions::from_mode(0o600)).expect("a new change time");
        }
    }
}

/// Thaws `c1` behind the back of who copies it.
fn thaw(house: &House) {
    let client = Client::new(&house.lxcpath(), "c1", SOON);
    if client.unfreeze(Some(SOON)).is_ok() {
        return;
    }
    // The monitor leaves it to its clients where cgroup v1's freezer does it.
    let group = client.cgroup(Group::Limit, Some("freezer")).expect("c1 has a group that is frozen");
    let table = hull_mount::table::read().expect("a mount table");
    let freezer = table.iter().find(|e| e.super_options.split(',').any(|option| option == "freezer"));
    let dir = freezer.expect("the freezer is mounted").point.join(group.trim_start_matches('/'));
    std::fs::write(dir.join("freezer.state"), "THAWED").expect("c1 can be thawed");
}

/// What the monitor of `c1` says it does. Stock LXC's commands wait for the copy before they ask, as it has the lock.
fn told(house: &House) -> Option<State> {
    Client::new(&house.lxcpath(), "c1", SOON).state().ok()
}

/// The process that holds a container of this house frozen.
fn holder(house: &House) -> Option<Pid> {
    let lxcpath = house.lxcpath();
    let processes = std::fs::read_dir("/proc").ok()?.filter_map(|e| e.ok()?.file_name().into_string().ok());
    let mut pids = processes.filter_map(|name| name.parse().ok());
    pids.find(|pid: &i32| {
        let words = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let words: Vec<&[u8]> = words.split(|b| *b == 0).collect();
        words.contains(&b"--hold-frozen".as_slice()) && words.contains(&house::text(&lxcpath).as_bytes())
    })
    .and_then(Pid::from_raw)
}

#[test]
fn copies_of_what_writes_in_step_are_whole() {
    let Some(house) = writing("copies_of_what_writes_in_step_are_whole") else { return };
    for _ in 0..20 {
        let ran = house.hull(&["clone", "c1", "c2", "--copy", "--allow-running"]);
        assert_says_frozen(ran, "its files were copied");
        assert_whole(&house.at("c2", "rootfs"));
        assert_runs_on(&house, "c1");
        house.hull(&["destroy", "--wait", "c2"]).ok();
    }
    let quiet = house.hull(&["-q", "clone", "c1", "c2", "--copy", "--allow-running"]);
    assert_eq!((&*quiet.stdout, &*quiet.stderr), ("", ""), "{quiet}");
    let plan = house.hull(&["clone", "c1", "c3", "--copy", "--allow-running", "--dry-run"]);
    assert_eq!(plan.stderr, "hull: c1 runs, and would be frozen while its files are copied\n");
    house.hull(&["clone", "c1", "c3", "--copy"]).fails(1);
    assert_runs_on(&house, "c1");
}

#[test]
fn a_large_directory_is_copied_before_it_is_held() {
    let Some(house) = writing("a_large_directory_is_copied_before_it_is_held") else { return };
    let rootfs = house.at("c1", "rootfs");
    if !on_file_system_that_tells_changes(&rootfs) {
        let why = "its change times are not relied upon";
        return hull_testskip::skip("live_sources::a_large_directory_is_copied_before_it_is_held", why);
    }
    make_larger(&house, 150);
    // What is not on the disk yet is written out file by file as it is copied, which would be all of it.
    std::fs::File::open(&rootfs).and_then(|dir| Ok(rustix::fs::syncfs(dir)?)).expect("it is written out");
    // What changed within the last second counts as changed during the copy.
    std::thread::sleep(Duration::from_secs(2));
    let (before, _) = lengths(&rootfs).expect("the files are there");
    let began = Instant::now();
    let ran = house.hull(&["clone", "c1", "c2", "--copy", "--allow-running"]);
    let whole = began.elapsed();
    let frozen = frozen_for(&ran.stderr);
    assert_says_frozen(ran, "its files were copied");
    // By how much depends on what else the machine does.
    assert!(frozen < whole, "frozen for {frozen:?} of {whole:?}");
    let copy = house.at("c2", "rootfs");
    assert_whole(&copy);
    // It wrote on while the first pass went by, and that is in the copy.
    let (after, _) = lengths(&copy).expect("the files are there");
    assert!(after > before + 10, "{before} bytes before, {after} in the copy, after {:?}", whole - frozen);
    let files = copy.join("big").read_dir().expect("a copy").flatten();
    let files = files.flat_map(|dir| dir.path().read_dir().expect("a directory"));
    assert_eq!(files.count(), 15_000);
    assert_runs_on(&house, "c1");
}

/// Whether copies are made in two passes there: ext2/3/4, xfs, btrfs, f2fs, zfs, by their magic numbers (statfs(2)).
fn on_file_system_that_tells_changes(dir: &Path) -> bool {
    let found = rustix::fs::statfs(dir).expect("a file system");
    let known = [0xef53, 0x5846_5342, 0x9123_683e, 0xf2f5_2010, 0x2fc1_2fc1];
    known.contains(&(found.f_type as u64 & 0xffff_ffff))
}

/// For how long a command said that `c1` was frozen.
#[track_caller]
fn frozen_for(said: &str) -> Duration {
    let words: Vec<&str> =
        said.split_whitespace().skip_while(|word| *word != "for").skip(1).take(2).collect();
    match words[..] {
        [millis, "ms"] => Duration::from_millis(millis.parse().expect("a number")),
        [seconds, "s"] => Duration::from_secs_f64(seconds.parse().expect("a number")),
        _ => panic!("{said:?}"),
    }
}

#[test]
fn snapshots_of_what_writes_in_step_are_whole() {
    let Some(house) = writing("snapshots_of_what_writes_in_step_are_whole") else { return };
    for n in 0..5 {
        assert_says_frozen(house.hull(&["snapshot", "c1", "--allow-running"]), "its files were copied");
        assert_whole(&house.at("c1", &format!("snaps/snap{n}/rootfs")));
        assert_runs_on(&house, "c1");
    }
    // The container is as free as before.
    house.hull(&["stop", "-k", "c1"]).ok();
    house.hull(&["restore", "c1", "snap3"]).ok();
    assert_whole(&house.at("c1", "rootfs"));
}

#[test]
fn a_subvolume_is_held_for_its_snapshot_only() {
    let test = "live_sources::a_subvolume_is_held_for_its_snapshot_only";
    let Some(house) = house::on(test, "btrfs") else { return };
    house.hull_creates("c1", &["--store", "btrfs"]);
    set_out(&house, 300);
    for _ in 0..10 {
        let ran = house.hull(&["clone", "c1", "c2", "--allow-running"]);
        assert_says_frozen(ran, "a snapshot of it was taken");
        assert_whole(&house.at("c2", "rootfs"));
        assert_runs_on(&house, "c1");
        house.hull(&["destroy", "c2"]).ok();
    }
    assert_says_frozen(house.hull(&["snapshot", "c1", "--allow-running"]), "a snapshot of it was taken");
    assert_whole(&house.at("c1", "snaps/snap0/rootfs"));
}

#[test]
fn an_image_that_shares_blocks_is_whole() {
    let test = "live_sources::an_image_that_shares_blocks_is_whole";
    let Some(house) = house::on(test, "xfs") else { return };
    house.hull_creates("c1", &["--store", "loop", "--size", "64M", "--fstype", "ext4"]);
    set_out(&house, 300);
    clones_are_whole(&house, 5);
}

/// Clones `c1` so many times by a snapshot of its volume, which each clone sees as it was at one moment.
#[track_caller]
fn clones_are_whole(house: &House, times: usize) {
    for _ in 0..times {
        let ran = house.hull(&["clone", "c1", "c2", "--allow-running"]);
        assert_says_frozen(ran, "a snapshot of it was taken");
        // By its own eyes: the host does not see into an image.
        house.hull(&["start", "c2"]).ok();
        let counts = house.inside("c2", "cat /a/count | wc -c; cat /z/count | wc -c");
        let counts: Vec<u64> = counts.split_whitespace().filter_map(|n| n.parse().ok()).collect();
        let &[a, z] = &counts[..] else { panic!("{counts:?}") };
        assert!(a > 0 && (a == z || a == z + 1), "a torn copy: {a} and {z} bytes");
        assert_runs_on(house, "c1");
        house.hull(&["destroy", "--force", "c2"]).ok();
    }
}

#[test]
fn a_thin_logical_volume_is_whole() {
    let ground = volume_group::thin("thin", "ext4", 64 << 20);
    in_a_pool("live_sources::a_thin_logical_volume_is_whole", "lvm", &ground);
}

#[test]
fn a_dataset_is_whole() {
    in_a_pool("live_sources::a_dataset_is_whole", "zfs", &zpool::ground("library"));
}

fn in_a_pool(test: &str, store: &str, ground: &Ground) {
    if let Some(reason) = ground.lacking() {
        return hull_testskip::skip(test, reason.to_string());
    }
    // The house goes first, and with it what has the pool's volumes mounted.
    let pool = ground.make().unwrap_or_else(|reason| panic!("the ground cannot be made: {reason}"));
    let Some(house) = house::plain(test) else { return };
    // What concerns the driver alone stays as it is by itself.
    let of_volumes = |key: &str| key.starts_with("lxc.bdev.") || key.starts_with("hull.volume.");
    let settings = pool.settings().iter().filter(|(key, _)| of_volumes(key));
    let settings: Vec<String> = settings.map(|(key, value)| format!("{key}={value}")).collect();
    let mut words = vec!["--store", store];
    for setting in &settings {
        words.extend(["--store-setting", setting]);
    }
    house.hull_creates("c1", &words);
    set_out(&house, 50);
    clones_are_whole(&house, 2);
}

#[test]
fn the_changes_of_an_overlay_are_copied_whole() {
    let Some(house) = house::plain("live_sources::the_changes_of_an_overlay_are_copied_whole") else {
        return;
    };
    house.hull_creates("base", &[]);
    house.hull(&["clone", "base", "c1", "--snapshot", "--store", "overlayfs"]).ok();
    set_out(&house, 300);
    for _ in 0..5 {
        let ran = house.hull(&["clone", "c1", "c2", "--snapshot", "--allow-running"]);
        assert_says_frozen(ran, "its files were copied");
        assert_whole(&house.at("c2", "overlay/delta"));
        assert_runs_on(&house, "c1");
        house.hull(&["destroy", "--wait", "c2"]).ok();
    }
}

#[test]
fn a_clone_that_lies_over_what_runs_is_warned_of() {
    let Some(house) = writing("a_clone_that_lies_over_what_runs_is_warned_of") else { return };
    let made = house.hull(&["clone", "c1", "c2", "--snapshot", "--store", "overlayfs", "--allow-running"]);
    assert!(made.stderr.starts_with("hull: c2 lies over the files of c1, which runs: "), "{made}");
    assert_eq!(made.stderr.lines().count(), 1, "nothing is frozen for what no stillness helps: {made}");
    made.ok();
    assert_runs_on(&house, "c1");
}

#[test]
fn what_was_frozen_stays_frozen() {
    let Some(house) = writing("what_was_frozen_stays_frozen") else { return };
    house.stock(&["lxc-freeze", "-n", "c1"]).ok();
    for words in [
        ["clone", "c1", "c2", "--copy", "--allow-running"].as_slice(),
        &["snapshot", "c1", "--allow-running"],
    ] {
        let ran = house.hull(words);
        assert_eq!(ran.stderr, "hull: c1 was frozen before, and still is\n", "{ran}");
        ran.ok();
        assert_eq!(house.state("c1"), "FROZEN");
    }
    assert_whole(&house.at("c2", "rootfs"));
    house.stock(&["lxc-unfreeze", "-n", "c1"]).ok();
    assert_runs_on(&house, "c1");
}

#[test]
fn containers_of_stock_lxc_are_frozen_too() {
    let Some(house) = house::plain("live_sources::containers_of_stock_lxc_are_frozen_too") else { return };
    house.stock_creates("c1", &[]);
    house.stock(&["lxc-start", "-n", "c1"]).ok();
    write_in_step(&house, "c1");
    let log = house.root().join("log");
    for n in 0..5 {
        let name = format!("c2-{n}");
        let words = ["lxc-copy", "-n", "c1", "-N", &name, "-a", "-o", house::text(&log), "-l", "INFO"];
        let ran = house.ours(&words);
        assert_eq!((&*ran.stdout, &*ran.stderr), ("", ""), "LXC's command says nothing of success: {ran}");
        ran.ok();
        assert_whole(&house.at(&name, "rootfs"));
        assert_runs_on(&house, "c1");
    }
    let said = std::fs::read_to_string(&log).expect("a log");
    assert_eq!(said.matches("NOTICE   hull - c1 was frozen for ").count(), 5, "{said}");
}

#[test]
fn a_killed_copy_leaves_nothing_frozen() {
    let Some(house) = writing("a_killed_copy_leaves_nothing_frozen") else { return };
    make_big(&house);
    for whole_group in [false, true] {
        let mut child = copying(&house);
        let pid = Pid::from_child(&child);
        let kill = if whole_group { kill_process_group } else { kill_process };
        kill(pid, Signal::KILL).expect("our own child");
        child.wait().expect("our own child");
        let killed = Instant::now();
        assert!(eventually(SOON, || told(&house) == Some(State::Running)), "c1 stays frozen");
        assert!(killed.elapsed() < Duration::from_secs(5), "thawed after {:?}", killed.elapsed());
        assert_runs_on(&house, "c1");
        assert!(eventually(SOON, || holder(&house).is_none()), "who held it goes");
        house.hull(&["recover", "--reclaim"]).ok();
        assert_eq!(left(&house), [""; 0], "recovery leaves nothing of it");
    }
}

#[test]
fn an_interrupted_copy_leaves_nothing_frozen() {
    let Some(house) = writing("an_interrupted_copy_leaves_nothing_frozen") else { return };
    make_big(&house);
    for signal in [Signal::INT, Signal::TERM] {
        let child = copying(&house);
        kill_process_group(Pid::from_child(&child), signal).expect("our own child");
        let done = child.wait_with_output().expect("our own child");
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        assert_eq!(done.status.code(), Some(130), "{said}");
        assert!(said.contains("cancelled; nothing was changed"), "{said}");
        assert_runs_on(&house, "c1");
        house.hull(&["recover", "--reclaim"]).ok();
        assert_eq!(left(&house), [""; 0], "nothing is half-made");
    }
}

#[test]
fn a_copy_thaws_what_its_helper_cannot() {
    let Some(house) = writing("a_copy_thaws_what_its_helper_cannot") else { return };
    make_big(&house);
    let mut child = copying(&house);
    kill_process(holder(&house).expect("somebody holds c1 frozen"), Signal::KILL)
        .expect("our own grandchild");
    let status = command::wait(&mut child, command::PATIENCE).expect("the copy ends in time");
    assert!(status.success(), "{status}");
    assert_whole(&house.at("c2", "rootfs"));
    assert_runs_on(&house, "c1");
}

#[test]
fn who_thaws_it_meanwhile_is_told_of() {
    let Some(house) = writing("who_thaws_it_meanwhile_is_told_of") else { return };
    make_big(&house);
    let child = copying(&house);
    thaw(&house);
    let said = child.wait_with_output().expect("our own child");
    let said = String::from_utf8_lossy(&said.stderr).into_owned();
    // What was being written just then may also be refused by the copy itself.
    assert!(
        said.contains("somebody thawed c1 while its files were copied") || said.contains("changed"),
        "{said}"
    );
    assert_runs_on(&house, "c1");
}

#[test]
fn what_cannot_be_frozen_in_time_is_left_alone() {
    let test = "live_sources::what_cannot_be_frozen_in_time_is_left_alone";
    let Some(house) = house::plain(test) else { return };
    let scratch = match ScratchFs::new("ext4", 64 << 20) {
        Ok(scratch) => scratch,
        Err(skip) => return hull_testskip::skip(test, skip),
    };
    house.hull_creates("c1", &[]);
    let mut stuck = Stuck::new(&house, scratch.path());
    let from = house::text(&stuck.mounted);
    house.configure("c1", &format!("lxc.mount.entry = {from} mnt none bind,create=dir 0 0"));
    house.hull(&["start", "c1"]).ok();
    stuck.freeze();
    // A process that waits for its disk is not frozen.
    house.inside("c1", "(echo >/mnt/file; sync) </dev/null >/dev/null 2>&1 &");
    std::thread::sleep(Duration::from_secs(1));
    let began = Instant::now();
    let said = house.hull(&["clone", "c1", "c2", "--copy", "--allow-running"]).fails(1);
    assert!((8..20).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
    assert!(
        said.contains("container c1 could not be frozen within 10 s") && said.lines().count() == 1,
        "{said}"
    );
    assert_eq!(house.state("c1"), "RUNNING");
    assert_eq!(house.inside("c1", "echo still here"), "still here\n");
    assert_eq!(left(&house), [""; 0], "nothing was changed");
    drop(stuck);
    house.hull(&["stop", "-k", "c1"]).ok();
}

/// A file system whose disk, an image on another one, does nothing from some moment on, until this is dropped.
struct Stuck {
    mounted: PathBuf,
    below: PathBuf,
}

impl Stuck {
    fn new(house: &House, below: &Path) -> Self {
        let (image, mounted) = (below.join("image"), house.root().join("stuck"));
        std::fs::create_dir(&mounted).expect("a new directory");
        command::run("truncate", &["-s", "32M", house::text(&image)]).ok();
        command::run("mkfs.ext4", &["-q", house::text(&image)]).ok();
        command::run("mount", &["-o", "loop", house::text(&image), house::text(&mounted)]).ok();
        Self { mounted, below: below.to_path_buf() }
    }

    fn freeze(&mut self) {
        command::run("fsfreeze", &["-f", house::text(&self.below)]).ok();
    }
}

impl Drop for Stuck {
    fn drop(&mut self) {
        let _ = Command::new("fsfreeze").arg("-u").arg(&self.below).status();
        // Not before the container has gone, who has it mounted, too.
        let _ = Command::new("umount").arg("-l").arg(&self.mounted).status();
    }
}

/// Makes `c1` so big that there is time to kill who copies it.
fn make_big(house: &House) {
    make_larger(house, 60);
}

/// Gives `c1` so many directories of a hundred files.
fn make_larger(house: &House, directories: u32) {
    let big = house.at("c1", "rootfs/big");
    for dir in 0..directories {
        let dir = big.join(dir.to_string());
        std::fs::create_dir_all(&dir).expect("a new directory");
        for file in 0..100 {
            std::fs::write(dir.join(file.to_string()), b"big").expect("a new file");
        }
    }
}
