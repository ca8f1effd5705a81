//! A copy made while a tree changes at random is brought up to date.

#![allow(clippy::unwrap_used, reason = "a test may end here")]

mod common;

use std::fs;
use std::os::fd::AsFd;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use common::drafts::{SETTLED, draft, remove, set_mtime, update};
use common::{assert_same, scratch};
use hull_treecopy::{CopyOptions, draft_tree};
use hull_treefixture::{Random, RandomShape, Shape, build};
use rustix::fs::{AtFlags, CWD, Mode, RenameFlags};

/// Changes the tree in some way at some place.
fn mutate(root: &Path, random: &mut Random, turn: u64) {
    let (mut dirs, mut files) = (vec![root.to_path_buf()], Vec::new());
    let mut next = 0;
    while let Some(dir) = dirs.get(next).cloned() {
        next += 1;
        let mut entries: Vec<_> = fs::read_dir(dir).unwrap().map(|e| e.unwrap()).collect();
        // As file systems list them in an order of their own.
        entries.sort_by_key(std::fs::DirEntry::file_name);
        for entry in entries {
            if entry.file_type().unwrap().is_dir() {
                dirs.push(entry.path());
            } else {
                files.push(entry.path());
            }
        }
    }
    let mut pick = |from: &[PathBuf]| from[usize::try_from(random.below(from.len() as u64)).unwrap()].clone();
    let (dir, other_dir, file, other) = (pick(&dirs), pick(&dirs), pick(&files), pick(&files));
    let new = dir.join(format!("new-{turn}"));
    let is_file = fs::symlink_metadata(&file).unwrap().is_file();
    // What cannot be done just here, as one lies in the other, is not done.
    let _ = match random.below(14) {
        0 => fs::remove_file(file),
        1 if dir != root && dirs.len() > 10 => fs::remove_dir_all(dir),
        2 => fs::write(new, "new"),
        3 => fs::create_dir(new),
        4 if is_file => fs::write(file, vec![b'x'; usize::try_from(random.below(9000)).unwrap()]),
        5 => fs::hard_link(file, new),
        6 => fs::rename(file, new),
        7 => fs::rename(file, other),
        8 if other_dir != root => fs::rename(other_dir, new),
        9 => rustix::fs::renameat_with(CWD, dir, CWD, other_dir, RenameFlags::EXCHANGE).map_err(Into::into),
        10 => rustix::fs::renameat_with(CWD, dir, CWD, file, RenameFlags::EXCHANGE).map_err(Into::into),
        11 => symlink("somewhere", new),
        12 => {
            set_mtime(file, i64::try_from(turn).unwrap());
            Ok(())
        }
        _ => rustix::fs::chmodat(CWD, dir, Mode::from_raw_mode(0o750), AtFlags::empty()).map_err(Into::into),
    };
}

fn check_random(kind: &str) {
    let Some(fs) = scratch(kind) else { return };
    let source = fs.directory("source");
    let root = fs.path().join("source");
    let random = RandomShape { directories: 40, files: 400, largest: 5000 };
    build(&source, &Shape { random: Some(random), ..Shape::privileged() }).unwrap();
    let mut random = Random::new(7);
    for round in 0..8 {
        std::thread::sleep(SETTLED);
        let copy = fs.directory("copy");
        let draft = draft(&source, &copy);
        for turn in 0..30 {
            mutate(&root.join("random"), &mut random, round * 100 + turn);
        }
        let updated = update(&source, &copy, &draft, 1 + usize::try_from(round % 3).unwrap());
        assert_same(&source, &copy);
        assert!(updated.unchanged > 100, "round {round}: {updated:?}");
        remove(&fs, "copy");
    }
}

#[test]
fn random_changes_on_ext4() {
    check_random("ext4");
}

#[test]
fn random_changes_on_xfs() {
    check_random("xfs");
}

#[test]
fn random_changes_on_btrfs() {
    check_random("btrfs");
}

#[test]
fn a_tree_that_changes_all_the_time_is_drafted() {
    let Some(fs) = scratch("ext4") else { return };
    let source = fs.directory("source");
    let root = fs.path().join("source");
    let random = RandomShape { directories: 60, files: 3000, largest: 2000 };
    build(&source, &Shape { random: Some(random), deep: 100, ..Shape::privileged() }).unwrap();
    std::thread::sleep(SETTLED);
    let mut turns_meanwhile = 0;
    for round in 0..6 {
        let copy = fs.directory("copy");
        let stop = AtomicBool::new(false);
        let (started, start) = std::sync::mpsc::channel();
        let draft = std::thread::scope(|scope| {
            let busy = scope.spawn(|| {
                let mut random = Random::new(round);
                let mut turns = 0;
                while !stop.load(Ordering::Relaxed) {
                    mutate(&root.join("random"), &mut random, round * 1_000_000 + turns);
                    // The deep chain breaks in the middle, and is whole again.
                    let (level, aside) = (root.join("deep").join("level/".repeat(50)), root.join("aside"));
                    let _ = fs::rename(&level, &aside);
                    let _ = fs::rename(&aside, &level);
                    turns += 1;
                    let _ = started.send(());
                }
                turns
            });
            start.recv().unwrap();
            let draft = draft_tree(source.as_fd(), copy.as_fd(), &CopyOptions::default());
            stop.store(true, Ordering::Relaxed);
            turns_meanwhile += busy.join().unwrap() - 1;
            draft.unwrap_or_else(|e| panic!("draft: {e}"))
        });
        update(&source, &copy, &draft, 2);
        assert_same(&source, &copy);
        remove(&fs, "copy");
    }
    // A busy machine may let the other thread wait for a whole round.
    assert!(turns_meanwhile > 0, "the test did not test");
}
