//! `hull bench` from outside: every workload on every store, and nothing left behind, whatever ends it.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use hull_bench::{Reason, Results};
use rustix::process::{Pid, Signal};

const TINY: &str = "generate:files=30,bytes=100K,seed=3";
/// Longer than anything takes, so that no test hangs.
const PATIENCE: Duration = Duration::from_secs(120);

/// A directory for everything, not on a tmpfs: loop devices shall go past its cache.
fn scratch() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("hull-bench-test-").tempdir_in("/var/tmp").expect("a scratch directory")
}

fn bench(work: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hull"));
    command.args(["bench", "--rootfs", TINY, "--work"]).arg(work).args(words);
    // Who runs this may have settings of his own.
    command.env("HOME", work).env("XDG_STATE_HOME", work).stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn ran(mut command: Command) -> Output {
    command.output().expect("hull runs")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn results(text: &str) -> Results {
    Results::from_json("the output", text).expect("the output is results")
}

/// Fails unless nothing that has to do with `work` is mounted or attached, and it holds nothing but `files`.
fn require_nothing_left(work: &Path, files: &[&str]) {
    let text = work.display().to_string();
    let deadline = Instant::now() + PATIENCE;
    // A device goes a moment after the last that used it.
    while !attached(&text).is_empty() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(attached(&text), Vec::<String>::new(), "loop devices are left");
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").expect("a mount table");
    assert!(!mounts.contains(&text), "mounts are left:\n{mounts}");
    let left: BTreeSet<String> = names(work).into_iter().filter(|name| name != ".config").collect();
    assert_eq!(left, files.iter().map(|f| (*f).to_owned()).collect(), "files are left");
}

/// The files below `text` that loop devices show.
fn attached(text: &str) -> Vec<String> {
    let devices = names(Path::new("/sys/block")).into_iter().filter(|name| name.starts_with("loop"));
    devices
        .filter_map(|name| std::fs::read_to_string(format!("/sys/block/{name}/loop/backing_file")).ok())
        .filter(|file| file.contains(text))
        .collect()
}

fn names(dir: &Path) -> Vec<String> {
    let entries =
        dir.read_dir().map(|all| all.filter_map(Result::ok).collect::<Vec<_>>()).unwrap_or_default();
    entries.iter().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

/// Why there can be no scratch stores here.
fn skipped(test: &str) -> bool {
    let reason = hull_bench::lacking(hull_bench::FsKind::Ext4);
    let is_skipped = reason.is_some();
    reason.into_iter().for_each(|reason| hull_testskip::skip(test, reason));
    is_skipped
}

#[test]
fn every_workload_is_measured_on_every_scratch_store_and_nothing_is_left() {
    if skipped("every_workload_is_measured_on_every_scratch_store_and_nothing_is_left") {
        return;
    }
    let dir = scratch();
    let work = dir.path();
    let (json, html) = (work.join("r.json"), work.join("r.html"));
    let files = ["--save", json.to_str().expect("text"), "--html", html.to_str().expect("text")];
    let output = ran(bench(
        work,
        &[&["--scratch", "--quick", "--rounds", "1", "--warmup", "0", "--json"][..], &files].concat(),
    ));
    assert!(output.status.success(), "{}", said(&output));
    let results = results(&String::from_utf8_lossy(&output.stdout));
    assert!(results.complete && !results.has_failures(), "{:?}", results.absent);
    let saved = std::fs::read_to_string(&json).expect("the results are saved");
    assert_eq!(saved.trim_end(), String::from_utf8_lossy(&output.stdout).trim_end());
    assert!(std::fs::read_to_string(&html).expect("the report is written").contains("</html>"));

    let ids: Vec<&str> = results.workloads.iter().map(|w| w.id.as_str()).collect();
    assert_eq!(ids, hull_bench::workload_ids());
    assert!(!results.stores.is_empty());
    for store in &results.stores {
        for workload in &results.workloads {
            for row in &workload.rows {
                let measured = results.of(&row.id, &store.name).any(|m| !m.samples.is_empty());
                let absent = results.absent.iter().any(|a| {
                    a.store == store.name
                        && a.workload == workload.id
                        && a.row.as_ref().is_none_or(|r| *r == row.id)
                        && a.reason == Reason::NotApplicable
                        && !a.why.is_empty()
                });
                assert!(
                    measured != absent,
                    "{} on {}: measured {measured}, absent {absent}",
                    row.id,
                    store.name
                );
                // Only what lies over another volume cannot be made empty, and only where the monitor is not built can
                // no container be started.
                let may_be_absent = match workload.id.as_str() {
                    "create" => store.driver == "overlay" || store.driver == "aufs",
                    "start" => true,
                    _ => row.id.ends_with("direct"),
                };
                assert!(measured || may_be_absent, "{} on {}: {:?}", row.id, store.name, results.absent);
            }
        }
    }
    require_nothing_left(work, &["r.json", "r.html"]);
}

#[test]
fn a_store_that_is_given_is_left_as_it_was() {
    let dir = scratch();
    let (work, place) = (dir.path().join("work"), dir.path().join("place"));
    for path in [&work, &place] {
        std::fs::create_dir(path).expect("a directory");
    }
    std::fs::write(place.join("precious"), "precious").expect("a file");
    let store = format!("dir:{}", place.display());
    // The directory of the run itself, too.
    let own = format!("dir:{}", work.display());
    let words = ["--quick", "--rounds", "2", "--warmup", "0", "--json", "--store", &store, "--store", &own];
    let only = ["--only", "create,clone,snapshot,restore,rename,destroy,depth,metadata,space"];
    let output = ran(bench(&work, &[&words[..], &only].concat()));
    assert!(output.status.success(), "{}", said(&output));
    let results = results(&String::from_utf8_lossy(&output.stdout));
    assert_eq!(results.stores[0].name, store);
    assert_eq!(results.rootfs.bytes, 100 << 10);
    assert!(results.one("clone", &store, hull_bench::Cache::Warm).is_some_and(|m| m.samples.len() == 2));
    assert_eq!(names(&place), ["precious"]);
    assert_eq!(std::fs::read_to_string(place.join("precious")).expect("it is there"), "precious");
    require_nothing_left(&work, &[]);
}

/// A run that would go on for long, once it has taken samples that count. The clones of one of its stores appear in the
/// directory `below` of the run's own directory in `dir`.
fn under_way(work: &Path, words: &[&str], (dir, below): (&Path, &str)) -> Child {
    let endless = ["--quick", "--only", "clone,fan-out", "--rounds", "10000", "--json"];
    let child = bench(work, &[&endless[..], words].concat()).spawn().expect("hull runs");
    // The mounts of scratch stores are the process's own.
    let seen = || {
        let root = PathBuf::from(format!("/proc/{}/root", child.id())).join(dir.strip_prefix("/").ok()?);
        let run = names(&root).into_iter().find(|name| name.starts_with("hull-bench-"))?;
        let clone = root.join(run).join(below).join("cloned");
        std::fs::metadata(clone).ok().map(|meta| (meta.ino(), meta.ctime_nsec()))
    };
    let deadline = Instant::now() + PATIENCE;
    let mut clones = BTreeSet::new();
    while clones.len() < 6 {
        assert!(Instant::now() < deadline, "the run never began");
        clones.extend(seen());
        std::thread::sleep(Duration::from_millis(1));
    }
    child
}

#[test]
fn ctrl_c_keeps_what_was_measured_and_cleans_up() {
    if skipped("ctrl_c_keeps_what_was_measured_and_cleans_up") {
        return;
    }
    let dir = scratch();
    interrupted(dir.path(), &["--scratch=dir@ext4,loop@ext4"], (dir.path(), "scratch0/volumes"));
}

#[test]
fn ctrl_c_takes_everything_out_of_stores_that_were_given() {
    let dir = scratch();
    let [work, place, other] = ["work", "place", "other"].map(|name| dir.path().join(name));
    for path in [&work, &place, &other] {
        std::fs::create_dir(path).expect("a directory");
    }
    let mut stores = vec![format!("dir:{}", place.display())];
    if rustix::process::geteuid().is_root() {
        // Mounting takes root.
        stores.push(format!("overlay:{}", other.display()));
    }
    let words: Vec<&str> = stores.iter().flat_map(|store| ["--store", store]).collect();
    interrupted(&work, &words, (&place, ""));
    assert!(names(&place).is_empty() && names(&other).is_empty());
}

/// Interrupts a run, and looks at what it kept and what it left.
fn interrupted(work: &Path, stores: &[&str], clones: (&Path, &str)) {
    let json = work.join("r.json");
    let words = [stores, &["--save", json.to_str().expect("text")]].concat();
    let child = under_way(work, &words, clones);
    rustix::process::kill_process(Pid::from_child(&child), Signal::INT).expect("the signal is sent");
    let output = child.wait_with_output().expect("hull ends");
    assert_eq!(output.status.code(), Some(130), "{}", said(&output));
    let results = results(&std::fs::read_to_string(&json).expect("the results are saved"));
    assert!(!results.complete);
    assert!(results.measurements.iter().any(|m| m.row == "clone"), "what was measured is kept");
    let interrupted = |workload: &str| {
        let mut all = results.absent.iter().filter(|a| a.workload == workload);
        all.any(|a| a.reason == Reason::Interrupted)
    };
    assert!(interrupted("clone") && interrupted("fan-out"), "{:?}", results.absent);
    assert!(!results.has_failures(), "{:?}", results.absent);
    require_nothing_left(work, &["r.json"]);
}

#[test]
fn even_sigkill_leaves_no_mount_and_no_device() {
    if skipped("even_sigkill_leaves_no_mount_and_no_device") {
        return;
    }
    let dir = scratch();
    let work = dir.path();
    let mut child = under_way(work, &["--scratch=dir@ext4,loop@ext4"], (work, "scratch0/volumes"));
    child.kill().expect("the signal is sent");
    child.wait().expect("hull ends");
    let run = names(work);
    let left: Vec<&str> = run.iter().map(String::as_str).filter(|name| *name != ".config").collect();
    require_nothing_left(work, &left);
    assert!(left.iter().all(|name| name.starts_with("hull-bench-")), "{left:?}");
}

#[test]
fn a_store_without_room_is_refused_and_stays_as_it_was() {
    let test = "a_store_without_room_is_refused_and_stays_as_it_was";
    let small = match hull_treefixture::ScratchFs::new("ext4", 40 << 20) {
        Ok(small) => small,
        Err(reason) => return hull_testskip::skip(test, reason),
    };
    let dir = scratch();
    let before = names(small.path());
    let store = format!("dir:{}", small.path().display());
    let output = ran(bench(dir.path(), &["--quick", "--store", &store]));
    let line = said(&output);
    assert!(output.status.code() == Some(1) && line.lines().count() == 1, "{line}");
    assert!(line.contains(&store) && line.contains("needs about") && line.contains("make room"), "{line}");
    assert_eq!(names(small.path()), before);
    require_nothing_left(dir.path(), &[]);
}

#[test]
fn a_workload_that_fails_on_one_store_is_told_and_the_others_go_on() {
    use std::os::unix::fs::{PermissionsExt, chown};
    use std::os::unix::process::CommandExt;
    const NOBODY: u32 = 65534;
    let dir = scratch();
    let work = dir.path();
    // To look into an overlay it must be mounted, which a user may not; to clone one he may.
    let stores = [format!("dir:{}", work.display()), format!("overlay:{}", work.display())];
    let words = ["--quick", "--rounds", "1", "--json", "--only", "clone,snapshot,restore,copy-up,rename"];
    let words = [&words[..], &["--store", &stores[0], "--store", &stores[1]]].concat();
    let mut command = bench(work, &words);
    if rustix::process::geteuid().is_root() {
        // Where it was built, others may not look.
        let program = work.join("hull");
        std::fs::copy(env!("CARGO_BIN_EXE_hull"), &program).expect("a copy");
        chown(work, Some(NOBODY), Some(NOBODY)).expect("it is given away");
        std::fs::set_permissions(work, PermissionsExt::from_mode(0o755)).expect("it is opened");
        let arguments: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
        let mut other = Command::new(program);
        other.args(arguments).uid(NOBODY).gid(NOBODY).env("HOME", work).env("XDG_STATE_HOME", work);
        other.env("XDG_RUNTIME_DIR", work).current_dir("/").stdin(Stdio::null());
        command = other;
    }
    let output = ran(command);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    let results = results(&String::from_utf8_lossy(&output.stdout));
    let failed: Vec<(&str, &str)> = results
        .absent
        .iter()
        .filter(|a| a.reason == Reason::Failed)
        .map(|a| (a.store.as_str(), a.workload.as_str()))
        .collect();
    let overlay = stores[1].as_str();
    assert_eq!(
        failed,
        [(overlay, "snapshot"), (overlay, "restore"), (overlay, "copy-up")],
        "{:?}",
        results.absent
    );
    // What failed left nothing in the way of the next one.
    assert!(results.absent.iter().all(|a| !a.why.contains("is there already")), "{:?}", results.absent);
    for row in ["clone", "rename"] {
        assert!(stores.iter().all(|store| results.of(row, store).next().is_some()), "{row}");
    }
    assert!(results.of("copy-up-large", &stores[0]).next().is_some());
    let left: BTreeSet<String> = names(work).into_iter().filter(|n| n.starts_with("hull-bench-")).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn results_are_compared_and_shown_again() {
    let dir = scratch();
    let work = dir.path();
    let (place, json, html) = (work.join("place"), work.join("r.json"), work.join("r.html"));
    std::fs::create_dir(&place).expect("a directory");
    let (store, saved) = (format!("dir:{}", place.display()), json.display().to_string());
    let words = ["--quick", "--rounds", "1", "--only", "rename", "--store", &store, "--save", &saved];
    assert!(ran(bench(work, &words)).status.success());
    let hull = |words: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hull"));
        command.arg("bench").args(words).env("HOME", work);
        ran(command)
    };
    let output = hull(&["--from", &saved, "--compare", &saved, "--html", &html.display().to_string()]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && text.contains("0 of 1 measurements moved"), "{text}{}", said(&output));
    assert!(html.is_file());
    // With another root file system there is nothing to compare, which is known before anything is measured.
    let other = [
        "--quick",
        "--rootfs",
        "generate:files=9",
        "--only",
        "rename",
        "--store",
        &store,
        "--compare",
        &saved,
    ];
    let output = hull(&other);
    let line = said(&output);
    assert!(output.status.code() == Some(1) && line.lines().count() == 1, "{line}");
    assert!(line.contains("cannot be compared") && output.stdout.is_empty(), "{line}");
    assert!(names(&place).is_empty());
}
