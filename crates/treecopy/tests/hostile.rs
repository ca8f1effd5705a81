//! A tree whose owner changes it while it is copied or removed, to reach what lies outside.

#![allow(clippy::unwrap_used, reason = "a test may end here")]

mod common;

use std::ffi::OsStr;
use std::ops::ControlFlow;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use common::open;
use hull_treecopy::{CopyOptions, ErrorKind, RemoveOptions, copy_tree, remove_tree};
use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, RenameFlags, ResolveFlags, mknodat, openat2, renameat_with,
};

const SECRET: &str = "what lies outside";

/// A place with a secret outside and a tree full of bait.
struct Ground {
    dir: tempfile::TempDir,
}

impl Ground {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let outside = dir.path().join("outside");
        std::fs::create_dir_all(outside.join("inner/more")).unwrap();
        for name in ["secret", "inner/secret", "inner/more/secret"] {
            std::fs::write(outside.join(name), SECRET).unwrap();
        }
        Self { dir }
    }

    fn build(&self, name: &str) {
        let tree = self.dir.path().join(name);
        for i in 0..8 {
            let place = tree.join(format!("place-{i}"));
            std::fs::create_dir_all(place.join("dir/inner/more")).unwrap();
            for file in ["dir/secret", "dir/inner/secret", "dir/inner/more/secret", "file"] {
                std::fs::write(place.join(file), "harmless").unwrap();
            }
            for j in 0..40 {
                std::fs::write(place.join(format!("filler-{j}")), "harmless").unwrap();
            }
            let outside = self.dir.path().join("outside");
            std::os::unix::fs::symlink(&outside, place.join("to-dir")).unwrap();
            std::os::unix::fs::symlink(outside.join("secret"), place.join("to-file")).unwrap();
            let fifo = Mode::RUSR | Mode::WUSR;
            mknodat(rustix::fs::CWD, place.join("fifo"), FileType::Fifo, fifo, 0).unwrap();
        }
    }

    fn assert_outside_untouched(&self) {
        for name in ["secret", "inner/secret", "inner/more/secret"] {
            let content = std::fs::read_to_string(self.dir.path().join("outside").join(name));
            assert_eq!(content.ok().as_deref(), Some(SECRET), "outside/{name} was touched");
        }
        let mut names: Vec<_> = std::fs::read_dir(self.dir.path().join("outside"))
            .unwrap()
            .map(|e| e.unwrap().file_name())
            .collect();
        names.sort();
        assert_eq!(names, ["inner", "secret"], "something was made outside");
    }
}

/// Swaps entries until told to stop; counts how often it did.
fn swap(tree: &OwnedFd, stop: &AtomicBool, swaps: &AtomicU64) {
    let pairs =
        [("dir", "to-dir"), ("file", "to-file"), ("file", "fifo"), ("dir", "file"), ("dir/inner", "to-file")];
    let mut turn = 0usize;
    while !stop.load(Ordering::Relaxed) {
        let place = format!("place-{}", turn % 8);
        let (a, b) = pairs[turn / 8 % pairs.len()];
        // The hostile owner has no power outside: their own paths may lead through no symlink.
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        let open = |path: &str| openat2(tree, path, OFlags::PATH | OFlags::DIRECTORY, Mode::empty(), resolve);
        let (from, a) =
            a.rsplit_once('/').map_or((place.clone(), a), |(dir, a)| (format!("{place}/{dir}"), a));
        if let (Ok(from), Ok(to)) = (open(&from), open(&place))
            && renameat_with(&from, a, &to, b, RenameFlags::EXCHANGE).is_ok()
        {
            swaps.fetch_add(1, Ordering::Relaxed);
        }
        if turn.is_multiple_of(64) {
            // Names that come and go, files that grow and shrink.
            let _ = rustix::fs::unlinkat(tree, format!("{place}/filler-{}", turn % 40), AtFlags::empty());
            let path = format!(
                "/proc/self/fd/{}/{place}/filler-{}",
                std::os::fd::AsRawFd::as_raw_fd(tree),
                turn % 39
            );
            if std::fs::symlink_metadata(&path).is_ok_and(|m| m.is_file()) {
                let _ = std::fs::write(path, "harmless".repeat(turn % 100));
            }
        }
        turn += 1;
    }
}

fn assert_no_secret(dir: &Path) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            assert_no_secret(&entry.path());
        } else if kind.is_file() {
            let content = std::fs::read_to_string(entry.path()).unwrap();
            assert!(!content.contains(SECRET), "{} holds the secret", entry.path().display());
        }
    }
}

#[test]
fn a_copy_never_reads_or_writes_outside() {
    let ground = Ground::new();
    ground.build("tree");
    let tree = open(ground.dir.path().join("tree"));
    let (stop, swaps) = (AtomicBool::new(false), AtomicU64::new(0));
    let mut copies = 0;
    std::thread::scope(|scope| {
        let _stop = StopOnDrop(&stop);
        scope.spawn(|| swap(&tree, &stop, &swaps));
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(2)
            || copies < 5 && start.elapsed() < Duration::from_secs(60)
        {
            let path = ground.dir.path().join("copy");
            std::fs::create_dir(&path).unwrap();
            let copy = open(&path);
            let options = CopyOptions { threads: 2, ..CopyOptions::default() };
            match copy_tree(tree.as_fd(), copy.as_fd(), &options) {
                Ok(_) => copies += 1,
                Err(error) => assert_eq!(error.kind(), ErrorKind::Changed, "{error}"),
            }
            assert_no_secret(&path);
            remove_tree(open(ground.dir.path()).as_fd(), OsStr::new("copy"), &RemoveOptions::default())
                .unwrap();
            ground.assert_outside_untouched();
        }
    });
    let swaps = swaps.into_inner();
    eprintln!("{copies} copies, {swaps} swaps");
    assert!(copies >= 5 && swaps > 100, "the test did not test: {copies} copies, {swaps} swaps");
}

#[test]
fn a_removal_never_removes_outside() {
    let ground = Ground::new();
    let start = Instant::now();
    let swaps = AtomicU64::new(0);
    let mut removals = 0;
    while start.elapsed() < Duration::from_secs(2)
        || removals < 5 && start.elapsed() < Duration::from_secs(60)
    {
        ground.build("tree");
        let tree = open(ground.dir.path().join("tree"));
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let _stop = StopOnDrop(&stop);
            scope.spawn(|| swap(&tree, &stop, &swaps));
            let top = open(ground.dir.path());
            let options = RemoveOptions { threads: 2, ..RemoveOptions::default() };
            match remove_tree(top.as_fd(), OsStr::new("tree"), &options) {
                Ok(_) => assert!(!ground.dir.path().join("tree").exists()),
                Err(error) => assert_eq!(error.kind(), ErrorKind::Changed, "{error}"),
            }
            removals += 1;
        });
        ground.assert_outside_untouched();
        remove_tree(open(ground.dir.path()).as_fd(), OsStr::new("tree"), &RemoveOptions::default()).unwrap();
    }
    let swaps = swaps.into_inner();
    eprintln!("{removals} removals, {swaps} swaps");
    assert!(removals >= 5 && swaps > 100, "the test did not test: {removals} removals, {swaps} swaps");
}

/// A chain of 200 directories, the middle of which somebody moves outside while the operation is at its end.
///
/// The place it is moved to lies deeper than the levels above it. So an operation that climbs there by mistake
/// runs out of levels inside the temporary directory, and can never reach `/tmp` or `/`.
struct Chain {
    ground: Ground,
    moved: AtomicBool,
}

impl Chain {
    const LEVELS: usize = 200;
    const MOVED: usize = 100;
    const PADDING: usize = 120;

    fn new() -> Self {
        let ground = Ground::new();
        let root = ground.dir.path();
        std::fs::create_dir_all(root.join("tree").join("level/".repeat(Self::LEVELS))).unwrap();
        for depth in 1..=Self::PADDING {
            let pad = root.join("padding").join("pad/".repeat(depth));
            std::fs::create_dir_all(&pad).unwrap();
            std::fs::write(pad.join("secret"), SECRET).unwrap();
        }
        Self { ground, moved: AtomicBool::new(false) }
    }

    /// Moves level 100 outside, where `..` leads to what must not be touched.
    fn move_out(&self) {
        let root = self.ground.dir.path();
        const {
            assert!(
                Self::PADDING > Self::MOVED + 10,
                "a broken check must stay inside the temporary directory"
            );
        }
        let middle = root.join("tree").join("level/".repeat(Self::MOVED));
        if !self.moved.swap(true, Ordering::Relaxed) {
            std::fs::rename(middle, root.join("padding").join("pad/".repeat(Self::PADDING)).join("level"))
                .unwrap();
        }
    }

    fn assert_outside_untouched(&self) {
        assert!(self.moved.load(Ordering::Relaxed), "the test did not test: nothing was moved");
        self.ground.assert_outside_untouched();
        for depth in 1..=Self::PADDING {
            let secret = self.ground.dir.path().join("padding").join("pad/".repeat(depth)).join("secret");
            assert!(secret.exists(), "the secret {depth} levels outside was removed");
        }
    }
}

#[test]
fn a_directory_moved_out_does_not_lead_a_removal_out() {
    let chain = Chain::new();
    let observer = |entries: u64, _: u64| {
        if entries >= 64 {
            chain.move_out();
        }
        ControlFlow::Continue(())
    };
    let options = RemoveOptions { threads: 1, observer: &observer, ..RemoveOptions::default() };
    let top = open(chain.ground.dir.path());
    let error = remove_tree(top.as_fd(), OsStr::new("tree"), &options).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Changed, "{error}");
    chain.assert_outside_untouched();
}

#[test]
fn a_directory_moved_out_does_not_lead_a_copy_out() {
    let chain = Chain::new();
    let observer = |entries: u64, _: u64| {
        if entries >= 128 {
            chain.move_out();
        }
        ControlFlow::Continue(())
    };
    let options = CopyOptions { threads: 1, observer: &observer, ..CopyOptions::default() };
    let root = chain.ground.dir.path();
    std::fs::create_dir(root.join("copy")).unwrap();
    let (tree, copy) = (open(root.join("tree")), open(root.join("copy")));
    let error = copy_tree(tree.as_fd(), copy.as_fd(), &options).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Changed, "{error}");
    assert!(error.to_string().contains("level/level"), "{error}");
    assert_no_secret(&root.join("copy"));
    chain.assert_outside_untouched();
}

/// Ends the swapping also when an assertion fails.
struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
