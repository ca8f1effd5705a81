//! Deletion in the background: real commands, real workers, and what kills them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use hull_container::{DestroyRequest, ErrorKind};
use hull_integration_tests::command::eventually;
use hull_integration_tests::grounds::{Ground, Lxcpath};
use hull_integration_tests::operation;
use hull_integration_tests::programs::Commands;
use hull_storage::{Effort, Reclaim};

/// No deletion of these tests takes longer.
const PATIENCE: Duration = Duration::from_secs(120);

fn commands(test: &str) -> Option<Commands> {
    Commands::new().map_err(|why| hull_testskip::skip(test, why)).ok()
}

/// Makes a container with so many files, in directories of 500: links to one file each, which are made sooner.
fn make(commands: &Commands, name: &str, files: usize) {
    commands.hull(&["create", name, "--empty", "--quiet"]).good();
    let rootfs = commands.lxcpath().join(name).join("rootfs");
    for dir in 0..files / 500 {
        let dir = rootfs.join(format!("dir{dir}"));
        fs::create_dir(&dir).expect("made");
        fs::write(dir.join("file0"), "x").expect("written");
        for file in 1..500 {
            fs::hard_link(dir.join("file0"), dir.join(format!("file{file}"))).expect("linked");
        }
    }
}

/// Names that transactions have left in the lxcpath.
fn marked(lxcpath: &Path) -> Vec<String> {
    let entries = fs::read_dir(lxcpath).into_iter().flatten().flatten();
    let names = entries.map(|e| e.file_name().to_string_lossy().into_owned());
    names.filter(|n| n.starts_with(".old-") || n.starts_with(".new-")).collect()
}

fn records(lxcpath: &Path) -> usize {
    let entries = fs::read_dir(lxcpath.join(".hull/journal")).into_iter().flatten().flatten();
    entries.filter(|e| e.file_name().to_string_lossy().ends_with(".record")).count()
}

/// The processes in the background that delete what lies in this lxcpath.
fn workers(lxcpath: &Path) -> Vec<rustix::process::Pid> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = processes.filter_map(|e| {
        let words = fs::read(e.path().join("cmdline")).ok()?;
        let words: Vec<&[u8]> = words.split(|b| *b == 0).collect();
        let ours = words.get(1..3)? == [b"--reclaim", lxcpath.as_os_str().as_encoded_bytes()];
        let pid = e.file_name().to_str()?.parse().ok()?;
        ours.then(|| rustix::process::Pid::from_raw(pid)).flatten()
    });
    pids.collect()
}

fn is_clean(lxcpath: &Path) -> bool {
    marked(lxcpath).is_empty() && records(lxcpath) == 0 && workers(lxcpath).is_empty()
}

#[track_caller]
fn becomes_clean(lxcpath: &Path) {
    let clean = eventually(PATIENCE, || is_clean(lxcpath));
    assert!(clean, "left: {:?}, {} records, {:?}", marked(lxcpath), records(lxcpath), workers(lxcpath));
}

/// What is measured is printed: `cargo test -- --nocapture`.
#[test]
fn destroying_a_hundred_thousand_files_does_not_wait_for_them() {
    let Some(commands) = commands("destroying_a_hundred_thousand_files_does_not_wait_for_them") else {
        return;
    };
    let lxcpath = commands.lxcpath();
    make(&commands, "big", 100_000);
    let began = Instant::now();
    // Not even whoever waits for a descriptor that the command had from the shell.
    let script = "exec 3>&1; \"$0\" destroy -P \"$1\" big";
    let hull = hull_integration_tests::programs::program("hull").expect("Commands found it");
    let output = Command::new("/bin/sh").args(["-c", script]).args([hull.as_path(), lxcpath]).output();
    let output = output.expect("a shell");
    println!("destroyed 100,000 files in {:?}", began.elapsed());
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    assert!(!lxcpath.join("big").exists(), "it is gone for everybody");
    assert_eq!(marked(lxcpath).len(), 1, "it is still being deleted");
    let said = commands.hull(&["ls"]).stderr;
    assert!(said.contains("/big is destroyed, and its files are being deleted"), "{said}");
    let table = commands.hull(&["recover", "--dry-run"]).good();
    assert!(table.contains("being deleted") && table.contains("/big"), "{table}");
    // The name is free, and other commands do not wait.
    let began = Instant::now();
    commands.hull(&["create", "big", "--empty", "--quiet"]).good();
    commands.hull(&["clone", "big", "other", "--quiet"]).good();
    println!("two commands meanwhile took {:?}", began.elapsed());
    assert_eq!(marked(lxcpath).len(), 1, "they have not waited for the deletion");
    let began = Instant::now();
    commands.hull(&["recover", "--reclaim"]).good();
    println!("and the rest of the deletion {:?}", began.elapsed());
    becomes_clean(lxcpath);
    assert_eq!(commands.run("lxc-ls", &["-1"]).good(), "big\nother");

    make(&commands, "waited", 100_000);
    let began = Instant::now();
    commands.hull(&["destroy", "--wait", "waited"]).good();
    println!("destroyed 100,000 files and waited for them in {:?}", began.elapsed());
    assert!(is_clean(lxcpath), "all is gone when it returns");
}

#[test]
fn what_is_small_is_gone_when_the_command_returns() {
    let Some(commands) = commands("what_is_small_is_gone_when_the_command_returns") else { return };
    commands.hull(&["create", "small", "--empty", "--quiet"]).good();
    commands.run("lxc-destroy", &["small"]).good();
    assert!(is_clean(commands.lxcpath()));
}

#[test]
fn a_worker_that_is_killed_again_and_again_is_followed_by_others() {
    let Some(commands) = commands("a_worker_that_is_killed_again_and_again_is_followed_by_others") else {
        return;
    };
    let lxcpath = commands.lxcpath();
    make(&commands, "big", 40_000);
    commands.run("lxc-destroy", &["big"]).good();
    let (mut kills, mut rounds) = (0, 0);
    while kills < 6 && records(lxcpath) > 0 {
        // A round may find no worker: the one before it was killed and the next not started yet.
        rounds += 1;
        for worker in workers(lxcpath) {
            kills +=
                usize::from(rustix::process::kill_process(worker, rustix::process::Signal::KILL).is_ok());
        }
        assert!(eventually(PATIENCE, || workers(lxcpath).is_empty()), "killed processes go");
        if records(lxcpath) > 0 {
            assert!(!lxcpath.join("big").exists());
            // Any command that changes something starts the next one.
            commands.hull(&["create", &format!("c{rounds}"), "--empty", "--quiet"]).good();
        }
    }
    println!("killed {kills} workers");
    assert!(kills > 0, "no worker was met");
    commands.hull(&["recover"]).good();
    becomes_clean(lxcpath);
}

#[test]
fn eight_destroys_at_once() {
    let Some(commands) = commands("eight_destroys_at_once") else { return };
    let lxcpath = commands.lxcpath();
    for n in 0..8 {
        make(&commands, &format!("c{n}"), 4_000);
    }
    make(&commands, "stays", 500);
    let began = Instant::now();
    std::thread::scope(|scope| {
        for n in 0..8 {
            let commands = &commands;
            scope.spawn(move || commands.hull(&["destroy", &format!("c{n}")]).good());
        }
    });
    println!("eight destroys of 4,000 files each returned within {:?}", began.elapsed());
    assert_eq!(commands.run("lxc-ls", &["-1"]).good(), "stays");
    becomes_clean(lxcpath);
    let left = fs::read_dir(lxcpath.join("stays/rootfs/dir0")).expect("there").count();
    assert_eq!(left, 500, "another container is not touched");
}

fn run(at: &Lxcpath, words: &[&str]) -> hull_container::Result<()> {
    operation::run(&operation::containers(&at.lxcpath, &at.rundir, None)?, words)
}

/// Leaves no free block, nor room in a file's last one.
fn fill_up(dir: &Path) {
    for size in [8 << 20, 64 << 10, 1 << 10] {
        for n in 0.. {
            let path = dir.join(format!("filler-{size}-{n}"));
            if fs::write(&path, vec![7; size]).is_err() {
                break;
            }
        }
    }
}

#[test]
fn a_full_disk_can_be_emptied() {
    const TEST: &str = "a_full_disk_can_be_emptied";
    for kind in ["ext4", "xfs"] {
        let ground = match Ground::new(kind) {
            Ok(ground) => ground,
            Err(why) => return hull_testskip::skip(TEST, why),
        };
        let elsewhere = tempfile::tempdir().expect("a scratch directory");
        let mut at = ground.lxcpath();
        at.rundir = elsewhere.path().to_path_buf();
        for name in ["c0", "c1"] {
            run(&at, &["create", name, "dir"]).expect("made");
            fs::write(at.rootfs(name).join("data"), vec![7; 1 << 20]).expect("written");
        }
        fill_up(&at.lxcpath);
        let error = run(&at, &["create", "new", "dir"]).expect_err("the disk is full");
        assert_eq!(error.kind(), ErrorKind::NoSpace, "{error}");
        run(&at, &["destroy", "c0"]).unwrap_or_else(|e| panic!("{kind}: {e}"));
        assert!(!at.home("c0").exists() && marked(&at.lxcpath).is_empty());
        // The reserve comes back with the space, for the next time.
        run(&at, &["create", "new", "dir"]).expect("there is room");
        assert!(at.lxcpath.join(".hull/journal/.reserve").exists(), "{kind}");
        fill_up(&at.lxcpath);
        // Without it, nothing can be deleted.
        for reserve in [".reserve", ".spare"] {
            fs::remove_file(at.lxcpath.join(".hull/journal").join(reserve)).expect("removed");
        }
        fill_up(&at.lxcpath.join("c1"));
        match run(&at, &["destroy", "c1"]) {
            Err(e) => assert_eq!(e.kind(), ErrorKind::NoSpace, "{kind}: {e}"),
            Ok(()) => println!("{kind} had room for a record all the same"),
        }
    }
}

/// The library starts no process: whoever opened it says when.
#[test]
fn a_library_user_works_off_what_is_left() {
    let dir = tempfile::tempdir().expect("a scratch directory");
    let at = Lxcpath { lxcpath: dir.path().join("lxc"), rundir: dir.path().join("run") };
    run(&at, &["create", "c0", "dir"]).expect("made");
    let all = operation::containers(&at.lxcpath, &at.rundir, None).expect("an lxcpath");
    let all = all.with_reclaim(Reclaim::Later(Effort::NONE));
    let request = DestroyRequest::default();
    all.existing("c0").and_then(|c| c.destroy(&request)).expect("destroyed");
    assert_eq!(marked(&at.lxcpath).len(), 1);
    assert!(all.store().has_pending());
    assert_eq!(all.store().reclaim_pending(&()).expect("deleted").records, 1);
    assert!(is_clean(&at.lxcpath) && !all.store().has_pending());
}

/// A worker that died with its machine, years ago: what it left is found by the next command.
#[test]
fn a_command_starts_the_worker_for_what_another_left() {
    let Some(commands) = commands("a_command_starts_the_worker_for_what_another_left") else { return };
    let lxcpath: PathBuf = commands.lxcpath().to_path_buf();
    make(&commands, "c0", 20_000);
    let all = operation::containers(&lxcpath, Path::new("/run"), None).expect("an lxcpath");
    let all = all.with_reclaim(Reclaim::Later(Effort::NONE));
    all.existing("c0").and_then(|c| c.destroy(&DestroyRequest::default())).expect("destroyed");
    drop(all);
    assert_eq!((records(&lxcpath), workers(&lxcpath).len()), (1, 0));
    commands.hull(&["create", "c1", "--empty", "--quiet"]).good();
    becomes_clean(&lxcpath);
}
