//! A copy made while the tree changed is brought up to date, whatever happened meanwhile.

#![allow(clippy::unwrap_used, reason = "a test may end here")]

mod common;

use std::fs;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use common::drafts::{SETTLED, draft, remove, set_mtime, update};
use common::{assert_same, is_root, scratch};
use hull_sys::inode;
use hull_treecopy::{CopyOptions, Draft, ErrorKind, update_tree};
use hull_treefixture::{Shape, build};
use rustix::fs::{AtFlags, CWD, Gid, Mode, RenameFlags, Timespec, Timestamps, Uid, XattrFlags};

/// What a tree holds before, and what happens to it between the passes.
struct Case {
    name: &'static str,
    before: fn(&Path),
    between: fn(&Path),
    /// How many of its entries stay as they are in the copy, its own directory not counted.
    unchanged: u64,
}

fn write(path: impl AsRef<Path>, content: impl AsRef<[u8]>) {
    let path = path.as_ref();
    fs::write(path, content).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
}

fn set_xattr(path: PathBuf, name: &str, value: &[u8]) {
    rustix::fs::setxattr(path, name, value, XattrFlags::empty()).unwrap();
}

/// An access ACL for one more user.
fn acl(permissions: u16) -> Vec<u8> {
    let mut value = 2u32.to_le_bytes().to_vec();
    let none = u32::MAX;
    for (tag, permissions, id) in
        [(1u16, 6u16, none), (2, permissions, 1000), (4, 4, none), (16, 7, none), (32, 4, none)]
    {
        value.extend(tag.to_le_bytes());
        value.extend(permissions.to_le_bytes());
        value.extend(id.to_le_bytes());
    }
    value
}

fn exchange(one: PathBuf, other: PathBuf) {
    rustix::fs::renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE).unwrap();
}

const CASES: &[Case] = &[
    Case {
        name: "nothing happens",
        before: |d| {
            fs::create_dir_all(d.join("a/b")).unwrap();
            write(d.join("a/b/file"), "old");
            symlink("a", d.join("link")).unwrap();
        },
        between: |_| (),
        unchanged: 4,
    },
    Case {
        name: "made and removed",
        before: |d| {
            fs::create_dir_all(d.join("goes/deep/down")).unwrap();
            write(d.join("goes/deep/down/file"), "old");
            write(d.join("file goes"), "old");
        },
        between: |d| {
            fs::remove_dir_all(d.join("goes")).unwrap();
            fs::remove_file(d.join("file goes")).unwrap();
            fs::create_dir_all(d.join("comes/deep/down")).unwrap();
            write(d.join("comes/deep/down/file"), "new");
            write(d.join("file comes"), "new");
        },
        unchanged: 0,
    },
    Case {
        name: "same size and time",
        before: |d| {
            write(d.join("file"), "one");
            set_mtime(d.join("file"), 1000);
        },
        between: |d| {
            fs::File::options()
                .write(true)
                .truncate(true)
                .open(d.join("file"))
                .unwrap()
                .write_all(b"two")
                .unwrap();
            set_mtime(d.join("file"), 1000);
        },
        unchanged: 0,
    },
    Case {
        name: "appended",
        before: |d| write(d.join("log"), "one\n"),
        between: |d| {
            fs::File::options().append(true).open(d.join("log")).unwrap().write_all(b"two\n").unwrap();
        },
        unchanged: 0,
    },
    Case {
        name: "an old file in its place",
        before: |d| {
            for name in ["one", "two"] {
                write(d.join(name), name);
                set_mtime(d.join(name), 1000);
            }
        },
        between: |d| fs::rename(d.join("one"), d.join("two")).unwrap(),
        unchanged: 0,
    },
    Case {
        // xfs changes no change time then.
        name: "files exchanged",
        before: |d| {
            for name in ["one", "two", "stays"] {
                write(d.join(name), &name[..3]);
                set_mtime(d.join(name), 1000);
            }
        },
        between: |d| exchange(d.join("one"), d.join("two")),
        unchanged: 1,
    },
    Case {
        name: "link added",
        before: |d| {
            for name in ["alone", "two", "stays"] {
                write(d.join(name), name);
            }
            fs::hard_link(d.join("two"), d.join("two more")).unwrap();
            fs::hard_link(d.join("stays"), d.join("stays, too")).unwrap();
        },
        between: |d| {
            fs::hard_link(d.join("alone"), d.join("a")).unwrap();
            fs::hard_link(d.join("two"), d.join("z")).unwrap();
        },
        unchanged: 2,
    },
    Case {
        name: "link removed",
        before: |d| {
            for name in ["two", "three"] {
                write(d.join(name), name);
                fs::hard_link(d.join(name), d.join(format!("{name} more"))).unwrap();
            }
            fs::hard_link(d.join("three"), d.join("third")).unwrap();
        },
        between: |d| {
            fs::remove_file(d.join("two more")).unwrap();
            fs::remove_file(d.join("three")).unwrap();
        },
        unchanged: 0,
    },
    Case {
        name: "link inside a moved directory",
        before: |d| {
            fs::create_dir_all(d.join("moves")).unwrap();
            fs::create_dir_all(d.join("stays")).unwrap();
            for n in 0..9 {
                write(d.join(format!("stays/{n}")), "linked");
                fs::hard_link(d.join(format!("stays/{n}")), d.join(format!("moves/{n}"))).unwrap();
            }
        },
        // Some walks meet the new name first, others the old one.
        between: |d| {
            fs::rename(d.join("moves"), d.join("a moved one")).unwrap();
            fs::create_dir_all(d.join("stays/inner")).unwrap();
        },
        unchanged: 1,
    },
    Case {
        name: "directory renamed",
        before: |d| {
            fs::create_dir_all(d.join("one/in")).unwrap();
            write(d.join("one/in/file"), "one");
        },
        between: |d| fs::rename(d.join("one"), d.join("two")).unwrap(),
        unchanged: 0,
    },
    Case {
        name: "directories exchanged",
        before: |d| {
            for name in ["one", "two"] {
                fs::create_dir_all(d.join(name).join("in")).unwrap();
                write(d.join(name).join("in/file"), name);
                set_mtime(d.join(name).join("in/file"), 1000);
                set_mtime(d.join(name).join("in"), 1000);
                set_mtime(d.join(name), 1000);
            }
        },
        between: |d| exchange(d.join("one"), d.join("two")),
        unchanged: 0,
    },
    Case {
        name: "directory exchanged and written to",
        before: |d| {
            for name in ["one", "two"] {
                fs::create_dir_all(d.join(name)).unwrap();
                write(d.join(name).join("file"), name);
                set_mtime(d.join(name).join("file"), 1000);
            }
        },
        between: |d| {
            exchange(d.join("one"), d.join("two"));
            write(d.join("one/new"), "");
            write(d.join("two/new"), "");
        },
        unchanged: 0,
    },
    Case {
        name: "types change",
        before: |d| {
            fs::create_dir_all(d.join("directory/full")).unwrap();
            write(d.join("file"), "file");
            symlink("file", d.join("link")).unwrap();
        },
        between: |d| {
            fs::remove_dir_all(d.join("directory")).unwrap();
            write(d.join("directory"), "a file");
            fs::remove_file(d.join("file")).unwrap();
            fs::create_dir_all(d.join("file/full")).unwrap();
            write(d.join("file/full/of"), "things");
            fs::remove_file(d.join("link")).unwrap();
            write(d.join("link"), "file");
        },
        unchanged: 0,
    },
    Case {
        name: "symlink retargeted",
        before: |d| {
            symlink("one", d.join("link")).unwrap();
            set_mtime(d.join("link"), 1000);
        },
        between: |d| {
            fs::remove_file(d.join("link")).unwrap();
            symlink("two", d.join("link")).unwrap();
            set_mtime(d.join("link"), 1000);
        },
        unchanged: 0,
    },
    Case {
        name: "attributes only",
        before: |d| {
            for name in ["xattr", "xattr goes", "acl", "mode", "owner", "mtime", "set-id"] {
                write(d.join(name), name);
                fs::create_dir_all(d.join(format!("{name} of a directory"))).unwrap();
                for name in [name.to_owned(), format!("{name} of a directory")] {
                    set_xattr(d.join(&name), "user.old", b"old");
                    set_xattr(d.join(&name), "system.posix_acl_access", &acl(4));
                }
            }
            set_xattr(d.join("acl of a directory"), "system.posix_acl_default", &acl(4));
            write(d.join("acl of a directory/inside"), "old");
        },
        between: |d| {
            for of in ["", " of a directory"] {
                let at = |name: &str| d.join(format!("{name}{of}"));
                set_xattr(at("xattr"), "user.old", b"new");
                rustix::fs::removexattr(at("xattr goes"), "user.old").unwrap();
                rustix::fs::removexattr(at("xattr goes"), "system.posix_acl_access").unwrap();
                set_xattr(at("acl"), "system.posix_acl_access", &acl(7));
                rustix::fs::chmodat(CWD, at("mode"), Mode::from_raw_mode(0o500), AtFlags::empty()).unwrap();
                let (uid, gid) = (Uid::from_raw(1234), Gid::from_raw(77));
                rustix::fs::chownat(CWD, at("owner"), Some(uid), Some(gid), AtFlags::empty()).unwrap();
                set_mtime(at("mtime"), -5);
                rustix::fs::chmodat(CWD, at("set-id"), Mode::from_raw_mode(0o6755), AtFlags::empty())
                    .unwrap();
            }
            // In the copy, too, it must not inherit what its directory has had since the draft.
            rustix::fs::removexattr(d.join("acl of a directory"), "system.posix_acl_default").unwrap();
            write(d.join("acl of a directory/new"), "new");
            set_xattr(d.join("acl of a directory"), "system.posix_acl_default", &acl(7));
        },
        unchanged: 8,
    },
    Case {
        name: "holes",
        before: |d| {
            let file = fs::File::create(d.join("sparse")).unwrap();
            file.write_all_at(b"end", 10 << 20).unwrap();
        },
        between: |d| {
            let file = fs::File::options().write(true).open(d.join("sparse")).unwrap();
            file.write_all_at(&[7; 65536], 5 << 20).unwrap();
            file.set_len(9 << 20).unwrap();
        },
        unchanged: 0,
    },
    Case {
        name: "immutable",
        before: |d| {
            fs::create_dir_all(d.join("locked")).unwrap();
            for name in ["comes", "stays", "locked/inside"] {
                write(d.join(name), name);
            }
            for name in ["stays", "locked"] {
                let file = fs::File::open(d.join(name)).unwrap();
                inode::set_flags(&file, inode::flags(&file).unwrap() | inode::IMMUTABLE).unwrap();
            }
        },
        between: |d| {
            let file = fs::File::open(d.join("comes")).unwrap();
            inode::set_flags(&file, inode::flags(&file).unwrap() | inode::IMMUTABLE).unwrap();
        },
        unchanged: 3,
    },
    Case {
        name: "special files",
        before: |d| {
            let private = Mode::RUSR;
            let device = rustix::fs::makedev(1, 3);
            for name in ["null", "stays"] {
                rustix::fs::mknodat(
                    CWD,
                    d.join(name),
                    rustix::fs::FileType::CharacterDevice,
                    private,
                    device,
                )
                .unwrap();
                set_mtime(d.join(name), 1000);
            }
            rustix::fs::mknodat(CWD, d.join("fifo"), rustix::fs::FileType::Fifo, private, 0).unwrap();
        },
        between: |d| {
            fs::remove_file(d.join("null")).unwrap();
            let device = rustix::fs::makedev(1, 5);
            let kind = rustix::fs::FileType::CharacterDevice;
            rustix::fs::mknodat(CWD, d.join("null"), kind, Mode::RUSR, device).unwrap();
            set_mtime(d.join("null"), 1000);
        },
        unchanged: 2,
    },
    Case {
        name: "read meanwhile",
        before: |d| write(d.join("file"), "read"),
        between: |d| {
            let times = Timestamps {
                last_access: Timespec { tv_sec: 5, tv_nsec: 0 },
                last_modification: Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_OMIT },
            };
            rustix::fs::utimensat(CWD, d.join("file"), &times, AtFlags::empty()).unwrap();
        },
        unchanged: 0,
    },
];

/// Runs all cases from one kind of file system to another.
fn check(from: &str, to: &str) {
    if !is_root() {
        return;
    }
    let Some(one) = scratch(from) else { return };
    let other = if from == to { None } else { scratch(to) };
    let target = match &other {
        Some(fs) => fs,
        None if from == to => &one,
        None => return,
    };
    for threads in [1, 3] {
        let source = one.directory("source");
        let root = one.path().join("source");
        for case in CASES {
            fs::create_dir(root.join(case.name)).unwrap();
            (case.before)(&root.join(case.name));
        }
        std::thread::sleep(SETTLED);
        let copy = target.directory("copy");
        let draft = draft(&source, &copy);
        for case in CASES {
            (case.between)(&root.join(case.name));
        }
        let updated = update(&source, &copy, &draft, threads);
        assert_same(&source, &copy);
        // Once more: now everything that is not of this second stays.
        let again = update(&source, &copy, &draft, threads);
        assert_same(&source, &copy);
        assert_eq!(
            updated.copied.entries + updated.unchanged,
            again.copied.entries + again.unchanged,
            "{updated:?} {again:?}"
        );
        let least: u64 = CASES.iter().map(|case| 1 + case.unchanged).sum();
        assert!(updated.unchanged >= least, "{updated:?}, {least} at least could stay");
        assert!(updated.removed > 20 && updated.copied.entries > 20, "{updated:?}");
        remove(target, "copy");
        remove(&one, "source");
    }
}

#[test]
fn ext4_to_ext4() {
    check("ext4", "ext4");
}

#[test]
fn xfs_to_xfs() {
    check("xfs", "xfs");
}

#[test]
fn btrfs_to_btrfs() {
    check("btrfs", "btrfs");
}

#[test]
fn ext4_to_btrfs() {
    check("ext4", "btrfs");
}

#[test]
fn xfs_to_tmpfs() {
    check("xfs", "tmpfs");
}

#[test]
fn what_cannot_be_relied_upon_is_copied_in_the_second_pass() {
    let Some(fs) = scratch("tmpfs") else { return };
    let (source, copy) = (fs.directory("source"), fs.directory("copy"));
    build(&source, &Shape { user_xattrs: false, ..Shape::privileged() }).unwrap();
    let draft = draft(&source, &copy);
    assert_eq!(std::fs::read_dir(fs.path().join("copy")).unwrap().count(), 0);
    let updated = update(&source, &copy, &draft, 0);
    assert_same(&source, &copy);
    assert!(updated.unchanged == 0 && updated.copied.entries > 50, "{updated:?}");
}

#[test]
fn the_awkward_tree_stays_as_it_is() {
    let Some(fs) = scratch("ext4") else { return };
    let source = fs.directory("source");
    let shape = Shape { immutable: true, deep: 300, large: 2000, ..Shape::privileged() };
    build(&source, &shape).unwrap();
    std::thread::sleep(SETTLED);
    for threads in [1, 4] {
        let copy = fs.directory("copy");
        let draft = draft(&source, &copy);
        let updated = update(&source, &copy, &draft, threads);
        assert_same(&source, &copy);
        assert_eq!((updated.copied.entries, updated.removed), (0, 0), "{updated:?}");
        remove(&fs, "copy");
    }
    // Without its draft, the copy is made anew.
    let copy = fs.directory("copy");
    drop(draft(&source, &copy));
    let updated = update(&source, &copy, &Draft::default(), 0);
    assert_same(&source, &copy);
    assert_eq!(updated.unchanged, 0, "{updated:?}");
}

/// Maps the first page of a file and writes a byte to it for each line it is sent.
const MAPPING: &str = "
import mmap, sys
file = open(sys.argv[1], 'r+b')
page = mmap.mmap(file.fileno(), 4096)
for line in sys.stdin:
    page[0] = int(line)
    print(flush=True)
";

#[test]
fn a_mapped_page_that_was_dirty_is_seen_to_change() {
    let Some(fs) = scratch("ext4") else { return };
    let (source, copy) = (fs.directory("source"), fs.directory("copy"));
    let path = fs.path().join("source/mapped");
    write(&path, [0; 4096]);
    let mut python = Command::new("python3");
    let python = python.args(["-c", MAPPING]).arg(&path).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let Ok(mut python) = python else { return eprintln!("SKIPPED: this test takes python3") };
    let (mut to, mut from) = (python.stdin.take().unwrap(), python.stdout.take().unwrap());
    let mut write = |line: &[u8]| {
        to.write_all(line).unwrap();
        from.read_exact(&mut [0]).unwrap();
    };
    write(b"1\n");
    std::thread::sleep(SETTLED);
    let draft = draft(&source, &copy);
    write(b"2\n");
    update(&source, &copy, &draft, 1);
    assert_eq!(fs::read(fs.path().join("copy/mapped")).unwrap()[0], 2);
    drop(to);
    python.wait().unwrap();
}

#[test]
fn an_update_is_cancelled_and_repeated() {
    let Some(fs) = scratch("ext4") else { return };
    let (source, copy) = (fs.directory("source"), fs.directory("copy"));
    build(&source, &Shape { large: 1000, ..Shape::privileged() }).unwrap();
    std::thread::sleep(SETTLED);
    let draft = draft(&source, &copy);
    write(fs.path().join("source/new"), "new");
    let stop = |entries: u64, _: u64| match entries > 300 {
        true => std::ops::ControlFlow::Break(()),
        false => std::ops::ControlFlow::Continue(()),
    };
    let options = CopyOptions { observer: &stop, ..CopyOptions::default() };
    let error = update_tree(source.as_fd(), copy.as_fd(), &draft, &options).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled, "{error}");
    update(&source, &copy, &draft, 0);
    assert_same(&source, &copy);
}

#[test]
fn an_update_leaves_links_out_of_the_copy_alone() {
    let Some(fs) = scratch("ext4") else { return };
    let (source, copy) = (fs.directory("source"), fs.directory("copy"));
    let outside = fs.directory("outside");
    write(fs.path().join("outside/secret"), "secret");
    write(fs.path().join("source/place"), "harmless");
    let draft = draft(&source, &copy);
    fs::remove_file(fs.path().join("source/place")).unwrap();
    symlink("../outside", fs.path().join("source/place")).unwrap();
    update(&source, &copy, &draft, 1);
    fs::remove_file(fs.path().join("source/place")).unwrap();
    fs::create_dir(fs.path().join("source/place")).unwrap();
    write(fs.path().join("source/place/secret"), "mine");
    update(&source, &copy, &draft, 1);
    assert_same(&source, &copy);
    assert_eq!(fs::read(fs.path().join("outside/secret")).unwrap(), b"secret");
    drop(outside);
}

#[test]
fn a_mount_point_stays_one() {
    let Some(fs) = scratch("ext4") else { return };
    let (source, copy) = (fs.directory("source"), fs.directory("copy"));
    let places =
        ["mounted", "unmounted later", "mounted later"].map(|name| fs.path().join("source").join(name));
    for place in &places {
        fs::create_dir(place).unwrap();
        write(place.join("covered"), "covered");
    }
    let mount = |place: &Path| {
        let done = Command::new("mount").args(["-t", "tmpfs", "none"]).arg(place).status().unwrap();
        assert!(done.success());
        write(place.join("elsewhere"), "");
    };
    let unmount = |place: &Path| assert!(Command::new("umount").arg(place).status().unwrap().success());
    mount(&places[0]);
    mount(&places[1]);
    std::thread::sleep(SETTLED);
    let draft = draft(&source, &copy);
    unmount(&places[1]);
    mount(&places[2]);
    update(&source, &copy, &draft, 1);
    let names = |name: &str| -> Vec<_> {
        fs::read_dir(fs.path().join("copy").join(name)).unwrap().map(|e| e.unwrap().file_name()).collect()
    };
    unmount(&places[0]);
    unmount(&places[2]);
    assert!(names("mounted").is_empty() && names("mounted later").is_empty());
    assert_eq!(names("unmounted later"), ["covered"]);
    assert_eq!(
        fs::metadata(fs.path().join("copy/mounted")).unwrap().mode() & 0o7777,
        0o1777,
        "that of the tmpfs"
    );
}
