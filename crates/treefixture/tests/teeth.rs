//! The comparison finds each single attribute that differs, and the builder makes the same tree twice.

#![allow(clippy::unwrap_used, reason = "a test may end here")]

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt, lchown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use hull_treefixture::{CompareOptions, RandomShape, ScratchFs, Shape, What, build, compare};
use rustix::fs::{Mode, OFlags, XattrFlags};

fn open(path: &Path) -> OwnedFd {
    rustix::fs::open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).unwrap()
}

/// What a mutation must show as: the path and a test of the difference.
type Expected = (&'static str, fn(&What) -> bool);

/// One change to the second tree, and all differences it makes beside times.
type Mutation = (&'static str, fn(&Path), Vec<Expected>);

fn mutations() -> Vec<Mutation> {
    fn xattr(path: &Path, name: &str, value: &[u8]) {
        rustix::fs::lsetxattr(path, name, value, XattrFlags::empty()).unwrap();
    }
    fn unxattr(path: &Path, name: &str) {
        rustix::fs::lremovexattr(path, name).unwrap();
    }
    fn one(path: &'static str, what: fn(&What) -> bool) -> Vec<Expected> {
        vec![(path, what)]
    }
    let is_xattr: fn(&What) -> bool = |w| matches!(w, What::Xattr(..));
    vec![
        (
            "owner",
            |t| lchown(t.join("content/empty"), Some(5), None).unwrap(),
            one("content/empty", |w| matches!(w, What::Owner((0, 0), (5, 0)))),
        ),
        (
            "group of a symlink",
            |t| lchown(t.join("links/loop"), None, Some(5)).unwrap(),
            one("links/loop", |w| matches!(w, What::Owner((0, 0), (0, 5)))),
        ),
        (
            "set-user-id bit",
            |t| mode(&t.join("attributes/setuid"), 0o755),
            one("attributes/setuid", |w| matches!(w, What::Mode(0o4755, 0o755))),
        ),
        (
            "mode of a directory",
            |t| mode(&t.join("attributes/tmp"), 0o777),
            one("attributes/tmp", |w| matches!(w, What::Mode(0o1777, 0o777))),
        ),
        (
            "mode of a socket",
            |t| mode(&t.join("special/socket"), 0o770),
            one("special/socket", |w| matches!(w, What::Mode(..))),
        ),
        (
            "user attribute",
            |t| xattr(&t.join("attributes/user xattrs"), "user.text", b"valuE"),
            one("attributes/user xattrs", is_xattr),
        ),
        (
            "lost empty attribute",
            |t| unxattr(&t.join("attributes/user xattrs"), "user.empty"),
            one("attributes/user xattrs", is_xattr),
        ),
        (
            "extra attribute",
            |t| xattr(&t.join("content/large"), "user.new", b""),
            one("content/large", is_xattr),
        ),
        (
            "attribute of a fifo",
            |t| xattr(&t.join("special/fifo"), "trusted.new", b"x"),
            one("special/fifo", is_xattr),
        ),
        (
            "opaque directory",
            |t| unxattr(&t.join("attributes/opaque"), "trusted.overlay.opaque"),
            one("attributes/opaque", is_xattr),
        ),
        (
            "capability",
            |t| unxattr(&t.join("attributes/capable"), "security.capability"),
            one("attributes/capable", is_xattr),
        ),
        (
            "default ACL",
            |t| unxattr(&t.join("attributes/default acl"), "system.posix_acl_default"),
            one("attributes/default acl", is_xattr),
        ),
        (
            "one byte",
            |t| edit(&t.join("content/large"), 1_000_000, b"\0"),
            one("content/large", |w| matches!(w, What::Content(1_000_000))),
        ),
        (
            "a byte in a hole",
            |t| edit(&t.join("content/hole only"), 100_000, b"x"),
            one("content/hole only", |w| matches!(w, What::Content(_))),
        ),
        (
            "a hole filled with zeros",
            |t| edit(&t.join("content/hole at end"), 131_072, &[0; 65536]),
            one("content/hole at end", |w| matches!(w, What::Data(..))),
        ),
        (
            "size",
            |t| edit(&t.join("content/one byte"), 1, b"2"),
            one("content/one byte", |w| matches!(w, What::Size(1, 2))),
        ),
        (
            "missing",
            |t| std::fs::remove_file(t.join("names/-rf")).unwrap(),
            one("names/-rf", |w| matches!(w, What::Missing)),
        ),
        (
            "extra",
            |t| std::fs::write(t.join("names/new"), "").unwrap(),
            one("names/new", |w| matches!(w, What::Extra)),
        ),
        (
            "symlink target",
            |t| {
                std::fs::remove_file(t.join("links/absolute")).unwrap();
                symlink("/etc/passwD", t.join("links/absolute")).unwrap();
            },
            one("links/absolute", |w| matches!(w, What::Target(..))),
        ),
        (
            "type",
            |t| {
                std::fs::remove_file(t.join("special/fifo")).unwrap();
                std::fs::write(t.join("special/fifo"), "").unwrap();
            },
            one("special/fifo", |w| matches!(w, What::Type(..))),
        ),
        (
            "device number",
            |t| {
                let null = t.join("special/null");
                std::fs::remove_file(&null).unwrap();
                let made = Command::new("mknod")
                    .args(["-m", "640"])
                    .arg(&null)
                    .args(["c", "1", "5"])
                    .status()
                    .unwrap();
                assert!(made.success());
            },
            one("special/null", |w| matches!(w, What::Device((1, 3), (1, 5)))),
        ),
        // "two" and "other" changed places.
        (
            "links exchanged",
            |t| {
                for (name, old) in [("two", "other"), ("other", "one")] {
                    std::fs::remove_file(t.join("hard/a").join(name)).unwrap();
                    let old = if old == "other" { t.join("hard/b/other") } else { t.join("hard/a/one") };
                    std::fs::hard_link(old, t.join("hard/a").join(name)).unwrap();
                }
            },
            vec![
                ("hard/a/other", |w| matches!(w, What::LinkCount(2, 3))),
                ("hard/a/other", |w| matches!(w, What::LinkedTo(..))),
                ("hard/a/two", |w| matches!(w, What::LinkCount(3, 2))),
                ("hard/a/two", |w| matches!(w, What::LinkedTo(..))),
                ("hard/b/other", |w| matches!(w, What::LinkedTo(..))),
            ],
        ),
        (
            "a link that became a copy",
            |t| {
                std::fs::copy(t.join("hard/a/other"), t.join("hard/x")).unwrap();
                std::fs::rename(t.join("hard/x"), t.join("hard/a/other")).unwrap();
            },
            vec![
                ("hard/a/other", |w| matches!(w, What::LinkCount(2, 1))),
                ("hard/a/other", |w| matches!(w, What::LinkedTo(..))),
                ("hard/b/other", |w| matches!(w, What::LinkCount(2, 1))),
                ("hard/b/other", |w| matches!(w, What::LinkedTo(..))),
            ],
        ),
    ]
}

fn mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
}

fn edit(path: &Path, position: u64, bytes: &[u8]) {
    let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, bytes, position).unwrap();
}

#[test]
fn every_single_mutation_is_found_and_nothing_else() {
    let fs = match ScratchFs::new("ext4", 1 << 30) {
        Ok(fs) => fs,
        Err(skip) => return eprintln!("SKIPPED: {skip}"),
    };
    let shape = Shape {
        random: Some(RandomShape { directories: 5, files: 20, largest: 9000 }),
        ..Shape::privileged()
    };
    let first = fs.directory("first");
    build(&first, &shape).unwrap();
    let options = CompareOptions { modification_times: false, ..CompareOptions::default() };
    let (second, kept) = (fs.path().join("second"), fs.directory("kept"));
    build(&kept, &shape).unwrap();
    assert_eq!(compare(&first, &kept, &CompareOptions::default()).unwrap(), [], "two builds differ");
    for (name, mutate, expected) in mutations() {
        drop(fs.directory("second"));
        build(open(&second), &shape).unwrap();
        mutate(&second);
        let found = compare(&first, open(&second), &options).unwrap();
        let paths: Vec<PathBuf> = found.iter().map(|d| d.path.clone()).collect();
        let wanted: Vec<PathBuf> = expected.iter().map(|(path, _)| PathBuf::from(path)).collect();
        assert_eq!(paths, wanted, "{name}: {found:?}");
        for (difference, (_, test)) in found.iter().zip(&expected) {
            assert!(test(&difference.what), "{name}: {difference}");
        }
        std::fs::remove_dir_all(&second).unwrap();
    }
}

#[test]
fn times_are_compared_to_the_nanosecond() {
    let dir = tempfile::tempdir().unwrap();
    let trees = ["first", "second"].map(|name| {
        std::fs::create_dir(dir.path().join(name)).unwrap();
        std::fs::write(dir.path().join(name).join("file"), "x").unwrap();
        open(&dir.path().join(name))
    });
    let set = |tree: &OwnedFd, name: &str, access: i64, modification: i64| {
        let times = rustix::fs::Timestamps {
            last_access: rustix::fs::Timespec { tv_sec: -5, tv_nsec: access },
            last_modification: rustix::fs::Timespec { tv_sec: 9, tv_nsec: modification },
        };
        rustix::fs::utimensat(tree.as_fd(), name, &times, rustix::fs::AtFlags::empty()).unwrap();
    };
    let options = CompareOptions { access_times: true, ..CompareOptions::default() };
    for (access, modification) in [(1, 2), (2, 2), (1, 3)] {
        for name in ["file", "."] {
            set(&trees[0], name, 1, 2);
            set(&trees[1], name, access, modification);
        }
        let found = compare(&trees[0], &trees[1], &options).unwrap();
        let expected = if access != 1 { Some(What::Accessed((-5, 1), (-5, 2))) } else { None };
        let expected = if modification != 2 { Some(What::Modified((9, 2), (9, 3))) } else { expected };
        let found: Vec<Option<What>> = found.into_iter().map(|d| Some(d.what)).collect();
        assert_eq!(found, if expected.is_some() { vec![expected.clone(), expected] } else { vec![] });
    }
}

#[test]
fn a_scratch_file_system_leaves_nothing() {
    let fs = match ScratchFs::new("ext4", 16 << 20) {
        Ok(fs) => fs,
        Err(skip) => return eprintln!("SKIPPED: {skip}"),
    };
    let path = fs.path().to_owned();
    assert_ne!(path.metadata().unwrap().dev(), path.parent().unwrap().metadata().unwrap().dev());
    drop(fs);
    assert!(!path.parent().unwrap().exists());
    assert!(!std::fs::read_to_string("/proc/self/mounts").unwrap().contains(path.to_str().unwrap()));
    assert!(ScratchFs::new("ntfs", 1).unwrap_err().to_string().contains("ntfs"));
}
