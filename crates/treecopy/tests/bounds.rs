//! Few open files, little memory, few privileges.

#![allow(clippy::unwrap_used, reason = "a test may end here")]

mod common;

use std::ffi::OsStr;
use std::ops::ControlFlow;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU64, Ordering};

use common::{assert_same, copy_exactly, in_child, is_root, open, scratch, sized};
use hull_treecopy::{CopyOptions, ErrorKind, Keep, RemoveOptions, copy_tree, measure_tree, remove_tree};
use hull_treefixture::{RandomShape, Shape, build};

#[test]
fn sixty_four_open_files_are_enough() {
    if !is_root() || !in_child("sixty_four_open_files_are_enough", &["prlimit", "--nofile=64:64"]) {
        return;
    }
    let Some(fs) = scratch("ext4") else { return };
    let source = fs.directory("source");
    let random = RandomShape { directories: 300, files: 1000, largest: 1000 };
    build(&source, &Shape { deep: 3000, large: 2000, random: Some(random), ..Shape::privileged() }).unwrap();
    for threads in [1, 2, 16] {
        let copy = fs.directory("copy");
        copy_exactly(&source, &copy, &CopyOptions { threads, ..CopyOptions::default() });
        let (a, b) = (measure_tree(source.as_fd()).unwrap(), measure_tree(copy.as_fd()).unwrap());
        assert_eq!((a.entries, a.apparent_bytes), (b.entries, b.apparent_bytes));
        drop(copy);
        let options = RemoveOptions { threads, ..RemoveOptions::default() };
        remove_tree(open(fs.path()).as_fd(), OsStr::new("copy"), &options).unwrap();
    }
}

#[test]
fn a_deep_and_wide_tree_is_copied_exactly() {
    let Some(fs) = scratch("ext4") else { return };
    let (source, copy) = (fs.directory("source"), fs.directory("copy"));
    let random = RandomShape { directories: 2000, files: 4000, largest: 100 };
    build(&source, &Shape { deep: 500, random: Some(random), ..Shape::privileged() }).unwrap();
    copy_exactly(&source, &copy, &CopyOptions { threads: 4, ..CopyOptions::default() });
}

#[test]
fn nobody_copies_what_nobody_may() {
    let wrapper = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
    if !is_root_or_child() || !in_child("nobody_copies_what_nobody_may", &wrapper) {
        return;
    }
    assert!(!rustix::process::geteuid().is_root());
    let dir = tempfile::tempdir().unwrap();
    let make = |name: &str| {
        std::fs::create_dir(dir.path().join(name)).unwrap();
        open(dir.path().join(name))
    };
    let (source, copy) = (make("source"), make("copy"));
    let random = RandomShape { directories: 20, files: 100, largest: 1000 };
    build(&source, &Shape { random: Some(random), ..Shape::unprivileged() }).unwrap();
    // Its owner may not write into it, nor, in the copy, before it is complete.
    std::fs::create_dir_all(dir.path().join("source/closed/inner")).unwrap();
    std::fs::write(dir.path().join("source/closed/inner/file"), "x").unwrap();
    for name in ["source/closed/inner", "source/closed"] {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o555);
        std::fs::set_permissions(dir.path().join(name), mode).unwrap();
    }
    copy_exactly(&source, &copy, &CopyOptions { threads: 2, ..CopyOptions::default() });
    // A directory of mode 0 can be removed by its owner.
    std::fs::create_dir(dir.path().join("copy/shut")).unwrap();
    std::fs::write(dir.path().join("copy/shut/file"), "x").unwrap();
    let shut = std::os::unix::fs::PermissionsExt::from_mode(0o0);
    std::fs::set_permissions(dir.path().join("copy/shut"), shut).unwrap();
    for name in ["copy", "source"] {
        remove_tree(open(dir.path()).as_fd(), OsStr::new(name), &RemoveOptions::default()).unwrap();
        assert!(!dir.path().join(name).exists());
    }
}

#[test]
fn what_nobody_cannot_keep_is_an_error_or_counted() {
    let wrapper = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
    const TEST: &str = "what_nobody_cannot_keep_is_an_error_or_counted";
    if !is_root_or_child() {
        return;
    }
    let place = std::env::temp_dir().join(format!("hull-nobody-{}", std::process::id()));
    let is_child = !rustix::process::geteuid().is_root();
    if !is_child {
        std::fs::create_dir(&place).unwrap();
        let _guard = RemoveOnDrop(place.clone());
        std::fs::create_dir(place.join("source")).unwrap();
        build(open(place.join("source")), &Shape { locked: false, ..Shape::privileged() }).unwrap();
        // Nobody may look into it, and then nothing helps.
        std::fs::remove_dir_all(place.join("source/attributes/search only for others")).unwrap();
        std::fs::create_dir(place.join("copies")).unwrap();
        std::os::unix::fs::chown(place.join("copies"), Some(65_534), Some(65_534)).unwrap();
        let path = place.as_os_str().to_str().unwrap();
        let wrapper =
            [&["env".to_owned(), format!("HULL_PLACE={path}")][..], &wrapper.map(str::to_owned)].concat();
        in_child(TEST, &wrapper.iter().map(String::as_str).collect::<Vec<_>>());
        return;
    }
    let place = std::path::PathBuf::from(std::env::var_os("HULL_PLACE").unwrap());
    let source = open(place.join("source"));
    let copies = place.join("copies");
    let make = |name: &str| {
        std::fs::create_dir(copies.join(name)).unwrap();
        open(copies.join(name))
    };
    let error = copy_tree(source.as_fd(), make("strict").as_fd(), &CopyOptions::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
    assert!(error.path().is_some());
    let lenient = CopyOptions {
        devices: Keep::WherePermitted,
        owners: Keep::WherePermitted,
        xattrs: Keep::WherePermitted,
        ..CopyOptions::default()
    };
    let copied = copy_tree(source.as_fd(), make("lenient").as_fd(), &lenient).unwrap();
    assert_eq!(copied.devices_left_out, 3, "{copied:?}");
    assert!(copied.owners_lost > 10 && copied.xattrs_lost > 0, "{copied:?}");
    let mode = |name: &str| {
        use std::os::unix::fs::MetadataExt;
        std::fs::metadata(copies.join("lenient/attributes").join(name)).unwrap().mode() & 0o7777
    };
    assert_eq!(mode("setuid"), 0o755, "set-id bits must not name another user");
}

#[test]
fn a_taken_name_is_an_error_and_is_not_touched() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["from", "to"] {
        std::fs::create_dir(dir.path().join(name)).unwrap();
    }
    std::fs::write(dir.path().join("from/file"), "new").unwrap();
    std::fs::write(dir.path().join("to/file"), "old").unwrap();
    let (from, to) = (open(dir.path().join("from")), open(dir.path().join("to")));
    let error = copy_tree(from.as_fd(), to.as_fd(), &CopyOptions::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
    assert_eq!(error.path(), Some(std::path::Path::new("file")));
    assert_eq!(std::fs::read(dir.path().join("to/file")).unwrap(), b"old");
    // And a tree is not copied into itself.
    let top = open(dir.path());
    let error = copy_tree(top.as_fd(), to.as_fd(), &CopyOptions::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
}

#[test]
fn cancelling_ends_with_a_clear_error() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["from", "to"] {
        std::fs::create_dir(dir.path().join(name)).unwrap();
    }
    let (from, to) = (open(dir.path().join("from")), open(dir.path().join("to")));
    build(&from, &Shape { large: 2000, user_xattrs: false, acls: false, ..Shape::unprivileged() }).unwrap();
    for after in [0, 1, 500] {
        let last = AtomicU64::new(0);
        let observer = |entries: u64, _: u64| {
            last.fetch_max(entries, Ordering::Relaxed);
            if entries >= after { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let options = CopyOptions { observer: &observer, ..CopyOptions::default() };
        let error = copy_tree(from.as_fd(), to.as_fd(), &options).unwrap_err();
        assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::Cancelled, "cancelled"));
        assert!(last.load(Ordering::Relaxed) < 2000, "it went on after it was cancelled");
        let left = std::fs::read_dir(dir.path().join("to")).unwrap();
        let names: Vec<_> = left.map(|e| e.unwrap().file_name()).collect();
        assert!(!names.iter().any(|n| n.to_string_lossy().starts_with(".hull-links")), "{names:?}");
        for name in names {
            remove_tree(to.as_fd(), &name, &RemoveOptions::default()).unwrap();
        }
    }
    let stop = |_: u64, _: u64| ControlFlow::Break(());
    let options = RemoveOptions { observer: &stop, ..RemoveOptions::default() };
    let error = remove_tree(open(dir.path()).as_fd(), OsStr::new("from"), &options).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
    assert!(dir.path().join("from/large").exists());
}

#[test]
fn removing_nothing_is_fine_and_bad_names_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let top = open(dir.path());
    let options = RemoveOptions::default();
    assert_eq!(remove_tree(top.as_fd(), OsStr::new("gone"), &options).unwrap().entries, 0);
    for name in ["", ".", "..", "a/b", "/", "a\0b"] {
        assert!(remove_tree(top.as_fd(), OsStr::new(name), &options).is_err(), "{name:?}");
    }
    std::os::unix::fs::symlink("/etc", dir.path().join("link")).unwrap();
    assert_eq!(remove_tree(top.as_fd(), OsStr::new("link"), &options).unwrap().entries, 1);
    assert!(std::path::Path::new("/etc").exists());
}

#[test]
fn a_full_file_system_says_so() {
    let (Some(big), Some(small)) = (scratch("tmpfs"), sized("tmpfs", 1 << 20)) else { return };
    let (source, copy) = (big.directory("source"), small.directory("copy"));
    std::fs::write(big.path().join("source/file"), vec![1; 4 << 20]).unwrap();
    let error = copy_tree(source.as_fd(), copy.as_fd(), &CopyOptions::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoSpace, "{error}");
    assert!(error.to_string().starts_with("\"file\": "), "{error}");
}

/// A million entries: `cargo nextest run -p hull-treecopy --run-ignored only million --no-capture`.
#[test]
#[ignore = "takes a minute; prints the memory used"]
fn a_million_entries_in_little_memory() {
    if !is_root() || !in_child("a_million_entries_in_little_memory", &["prlimit", "--nofile=256:256"]) {
        return;
    }
    let Some(fs) = sized("ext4", 16 << 30) else { return };
    let source = fs.directory("source");
    build(&source, &Shape { large: 400_000, ..Shape::privileged() }).unwrap();
    let large = open(fs.path().join("source/large"));
    let directory = open(fs.path().join("source"));
    for i in 0..600u32 {
        let name = format!("many-{i}");
        rustix::fs::mkdirat(&directory, name.as_str(), rustix::fs::Mode::RWXU).unwrap();
        let inner = open(fs.path().join("source").join(name));
        for j in 0..1000u32 {
            let old = format!("entry-{:07}", i * 500 + j / 2);
            let new = format!("link-{j}");
            rustix::fs::linkat(&large, old, &inner, new, rustix::fs::AtFlags::empty()).unwrap();
        }
    }
    let peak = || {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        status.lines().find(|l| l.starts_with("VmHWM")).unwrap().to_owned()
    };
    eprintln!("before the copy: {}", peak());
    let copy = fs.directory("copy");
    let start = std::time::Instant::now();
    let copied = copy_tree(source.as_fd(), copy.as_fd(), &CopyOptions::default()).unwrap();
    eprintln!("copied in {:?}, {copied:?}: {}", start.elapsed(), peak());
    let start = std::time::Instant::now();
    drop(copy);
    remove_tree(open(fs.path()).as_fd(), OsStr::new("copy"), &RemoveOptions::default()).unwrap();
    eprintln!("removed in {:?}: {}", start.elapsed(), peak());
    let measured = measure_tree(source.as_fd()).unwrap();
    eprintln!("{measured:?}: {}", peak());
    assert_eq!(measured.entries, copied.entries);
}

struct RemoveOnDrop(std::path::PathBuf);

impl Drop for RemoveOnDrop {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn is_root_or_child() -> bool {
    std::env::var_os("HULL_TREECOPY_TEST_CHILD").is_some() || is_root()
}

#[test]
fn a_copy_of_a_copy_is_the_same() {
    let Some(fs) = scratch("btrfs") else { return };
    let (source, one, two) = (fs.directory("source"), fs.directory("one"), fs.directory("two"));
    build(&source, &Shape::privileged()).unwrap();
    copy_exactly(&source, &one, &CopyOptions::default());
    copy_exactly(&one, &two, &CopyOptions::default());
    assert_same(&source, &two);
}
