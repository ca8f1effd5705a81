//! The awkward tree is copied exactly, on and between real file systems, and removed without a trace.

#![allow(clippy::unwrap_used, reason = "a test may end here")]

mod common;

use std::ffi::OsStr;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::process::Command;

use common::{assert_same, copy_exactly, is_root, open, scratch};
use hull_treecopy::{
    CopyOptions, ErrorKind, IdRange, IdShift, RemoveOptions, copy_tree, measure_tree, remove_tree,
};
use hull_treefixture::{CompareOptions, RandomShape, Shape, What, build, compare};

fn shape() -> Shape {
    let random = RandomShape { directories: 60, files: 600, largest: 50_000 };
    Shape { seed: 42, random: Some(random), large: 1000, ..Shape::privileged() }
}

/// Copies the awkward tree from one kind of file system to another, and removes the copy.
fn check(from: &str, to: &str, clones: bool) {
    let Some(one) = scratch(from) else { return };
    let other = if from == to { None } else { scratch(to) };
    let target = match &other {
        Some(fs) => fs,
        None if from == to => &one,
        None => return,
    };
    let source = one.directory("source");
    build(&source, &shape()).unwrap();
    for threads in [1, 3] {
        let copy = target.directory("copy");
        let copied = copy_exactly(&source, &copy, &CopyOptions { threads, ..CopyOptions::default() });
        let measured = measure_tree(source.as_fd()).unwrap();
        assert_eq!(copied.entries, measured.entries, "{copied:?} {measured:?}");
        assert_eq!(copied.bytes, measured.apparent_bytes);
        assert_eq!((copied.vanished, copied.changed), (0, 0));
        assert_eq!(copied.cloned_files > 0, clones, "{copied:?}");
        assert!(copied.hard_links >= 5, "{copied:?}");
        let top = open(target.path());
        let options = RemoveOptions { threads, ..RemoveOptions::default() };
        let removed = remove_tree(top.as_fd(), OsStr::new("copy"), &options).unwrap();
        assert_eq!(removed.entries, measured.entries + 1);
        assert!(!target.path().join("copy").exists());
    }
}

#[test]
fn ext4_to_ext4() {
    check("ext4", "ext4", false);
}

#[test]
fn xfs_to_xfs_shares_blocks() {
    check("xfs", "xfs", true);
}

#[test]
fn btrfs_to_btrfs_shares_blocks() {
    check("btrfs", "btrfs", true);
}

#[test]
fn ext4_to_btrfs() {
    check("ext4", "btrfs", false);
}

#[test]
fn btrfs_to_xfs() {
    check("btrfs", "xfs", false);
}

#[test]
fn xfs_to_tmpfs() {
    check("xfs", "tmpfs", false);
}

#[test]
fn a_clone_takes_no_space_and_its_extents_are_shared() {
    let Some(fs) = scratch("xfs") else { return };
    let (source, copy) = (fs.directory("source"), fs.directory("copy"));
    std::fs::write(fs.path().join("source/file"), vec![7; 40 << 20]).unwrap();
    rustix::fs::syncfs(&source).unwrap();
    let free = || rustix::fs::fstatvfs(&source).unwrap().f_bfree * 4096;
    let before = free();
    let copied = copy_exactly(&source, &copy, &CopyOptions::default());
    rustix::fs::syncfs(&source).unwrap();
    assert_eq!(copied.cloned_files, 1);
    assert!(before.saturating_sub(free()) < 2 << 20, "a clone took {} bytes", before.saturating_sub(free()));
    let map = Command::new("filefrag").arg("-v").arg(fs.path().join("copy/file")).output().unwrap();
    let map = String::from_utf8_lossy(&map.stdout).into_owned();
    assert!(map.contains("shared"), "{map}");
}

#[test]
fn nested_subvolumes_are_copied_and_removed() {
    let Some(fs) = scratch("btrfs") else { return };
    let source = fs.directory("source");
    let inner = fs.path().join("source/inner");
    let made = Command::new("btrfs").args(["subvolume", "create"]).arg(&inner).output().unwrap();
    assert!(made.status.success(), "{made:?}");
    std::fs::create_dir(inner.join("dir")).unwrap();
    std::fs::write(inner.join("dir/file"), "in a subvolume").unwrap();
    let copy = fs.directory("copy");
    copy_exactly(&source, &copy, &CopyOptions::default());
    let top = open(fs.path());
    drop(source);
    for name in ["source", "copy"] {
        remove_tree(top.as_fd(), OsStr::new(name), &RemoveOptions::default()).unwrap();
        assert!(!fs.path().join(name).exists());
    }
}

#[test]
fn immutable_files_are_removed_and_other_links_keep_their_flag() {
    let Some(fs) = scratch("ext4") else { return };
    let tree = fs.directory("tree");
    build(&tree, &Shape { immutable: true, ..Shape::privileged() }).unwrap();
    // A protected file that also has a name outside.
    let (outside, inside) = (fs.path().join("outside"), fs.path().join("tree/inside"));
    std::fs::write(&outside, "kept").unwrap();
    std::fs::hard_link(&outside, &inside).unwrap();
    let file = std::fs::File::open(&outside).unwrap();
    hull_sys::inode::set_flags(&file, hull_sys::inode::IMMUTABLE).unwrap();
    let top = open(fs.path());
    let keep = RemoveOptions { clear_immutable: false, ..RemoveOptions::default() };
    let error = remove_tree(top.as_fd(), OsStr::new("tree"), &keep).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
    remove_tree(top.as_fd(), OsStr::new("tree"), &RemoveOptions::default()).unwrap();
    assert!(!fs.path().join("tree").exists());
    assert_ne!(hull_sys::inode::flags(&file).unwrap() & hull_sys::inode::IMMUTABLE, 0);
    assert_eq!(file.metadata().unwrap().nlink(), 1);
    hull_sys::inode::set_flags(&file, 0).unwrap();
}

#[test]
fn five_thousand_levels() {
    for kind in ["ext4", "xfs", "btrfs"] {
        let Some(fs) = scratch(kind) else { return };
        let source = fs.directory("source");
        build(&source, &Shape { deep: 5200, ..Shape::privileged() }).unwrap();
        let copy = fs.directory("copy");
        let copied = copy_exactly(&source, &copy, &CopyOptions { threads: 2, ..CopyOptions::default() });
        assert!(copied.entries > 5200);
        let top = open(fs.path());
        drop((source, copy));
        for name in ["source", "copy"] {
            let removed = remove_tree(top.as_fd(), OsStr::new(name), &RemoveOptions::default()).unwrap();
            assert_eq!(removed.entries, copied.entries + 1);
            assert!(!fs.path().join(name).exists());
        }
    }
}

#[test]
fn mounts_inside_are_left_out_of_a_copy_and_stop_a_removal() {
    let (Some(fs), Some(other)) = (scratch("ext4"), scratch("tmpfs")) else { return };
    let source = fs.directory("source");
    std::fs::create_dir_all(fs.path().join("source/a/mounted")).unwrap();
    std::fs::write(fs.path().join("source/a/file"), "x").unwrap();
    std::fs::write(fs.path().join("source/a/file mount"), "").unwrap();
    std::fs::write(other.path().join("behind"), "must stay").unwrap();
    let mount = |from: &std::path::Path, to: &str| {
        let to = fs.path().join("source/a").join(to);
        let done = Command::new("mount").arg("--bind").arg(from).arg(&to).output().unwrap();
        assert!(done.status.success(), "{done:?}");
        Unmount(to)
    };
    let guards = [mount(other.path(), "mounted"), mount(&other.path().join("behind"), "file mount")];
    let copy = fs.directory("copy");
    let copied = copy_tree(source.as_fd(), copy.as_fd(), &CopyOptions::default()).unwrap();
    assert_eq!(copied.mount_points, 2);
    assert_eq!(std::fs::read_dir(fs.path().join("copy/a/mounted")).unwrap().count(), 0);
    assert_eq!(std::fs::read(fs.path().join("copy/a/file mount")).unwrap(), b"");
    let all = fs.directory("all");
    let options = CopyOptions { one_file_system: false, ..CopyOptions::default() };
    copy_tree(source.as_fd(), all.as_fd(), &options).unwrap();
    assert_eq!(std::fs::read(fs.path().join("all/a/mounted/behind")).unwrap(), b"must stay");

    let top = open(fs.path());
    let error = remove_tree(top.as_fd(), OsStr::new("source"), &RemoveOptions::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::MountPoint, "{error}");
    assert!(error.to_string().contains("source/a/"), "{error}");
    assert_eq!(std::fs::read(other.path().join("behind")).unwrap(), b"must stay");
    drop(guards);
    remove_tree(top.as_fd(), OsStr::new("source"), &RemoveOptions::default()).unwrap();
}

struct Unmount(std::path::PathBuf);

impl Drop for Unmount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

#[test]
fn ids_are_shifted_everywhere_and_back_again() {
    let Some(fs) = scratch("ext4") else { return };
    let (source, shifted, back) = (fs.directory("source"), fs.directory("shifted"), fs.directory("back"));
    build(&source, &Shape::privileged()).unwrap();
    let error = |ranges: Vec<IdRange>| {
        let shift = Some(IdShift::new(ranges.clone(), ranges).unwrap());
        let options = CopyOptions { shift, ..CopyOptions::default() };
        let to = fs.directory("failed");
        let error = copy_tree(source.as_fd(), to.as_fd(), &options).unwrap_err();
        std::fs::remove_dir_all(fs.path().join("failed")).unwrap();
        error
    };
    let failure = error(vec![IdRange { from: 0, to: 300_000, count: 500 }]);
    assert_eq!(failure.kind(), ErrorKind::IdNotMapped, "{failure}");
    assert!(failure.path().is_some(), "{failure}");
    // The tree has owners as high as 4000000000, so two ranges are needed.
    let ranges = [
        IdRange { from: 0, to: 300_000, count: 200_000 },
        IdRange { from: 4_000_000_000, to: 1_000_000, count: 10 },
    ];
    let there = IdShift::new(ranges.to_vec(), ranges.to_vec()).unwrap();
    let reverse = ranges.map(|r| IdRange { from: r.to, to: r.from, count: r.count });
    let again = IdShift::new(reverse.to_vec(), reverse.to_vec()).unwrap();
    copy_tree(source.as_fd(), shifted.as_fd(), &CopyOptions { shift: Some(there), ..CopyOptions::default() })
        .unwrap();
    let options = CompareOptions { owners: false, most: 1000, ..CompareOptions::default() };
    let differences = compare(&source, &shifted, &options).unwrap();
    let names: Vec<&str> = differences
        .iter()
        .map(|d| match &d.what {
            What::Xattr(name, Some(_), Some(_)) => name.as_str(),
            other => panic!("more than ids changed: {other:?}"),
        })
        .collect();
    for expected in ["system.posix_acl_access", "system.posix_acl_default", "security.capability"] {
        assert!(names.contains(&expected), "{expected} was not shifted: {names:?}");
    }
    copy_tree(shifted.as_fd(), back.as_fd(), &CopyOptions { shift: Some(again), ..CopyOptions::default() })
        .unwrap();
    assert_same(&source, &back);
}

/// XFS shows root its ACLs a second time as `trusted.SGI_ACL_*`, with ids of their own.
#[test]
fn an_acl_on_xfs_is_copied_once_and_shifted() {
    let (Some(xfs), Some(ext4)) = (scratch("xfs"), scratch("ext4")) else { return };
    let source = xfs.directory("source");
    let acl: Vec<u8> =
        [[2u8, 0, 0, 0].as_slice(), &entry(1, 6, u32::MAX), &entry(2, 4, 1000), &entry(4, 4, u32::MAX)]
            .into_iter()
            .chain([entry(16, 6, u32::MAX).as_slice(), &entry(32, 0, u32::MAX)])
            .flatten()
            .copied()
            .collect();
    let file = std::fs::File::create(xfs.path().join("source/file")).unwrap();
    let flags = rustix::fs::XattrFlags::empty();
    rustix::fs::fsetxattr(&file, "system.posix_acl_access", &acl, flags).unwrap();
    let plain = ext4.directory("plain");
    copy_exactly(&source, &plain, &CopyOptions::default());
    let mut buffer = [0; 200];
    let copied = std::fs::File::open(ext4.path().join("plain/file")).unwrap();
    assert!(rustix::fs::fgetxattr(&copied, "trusted.SGI_ACL_FILE", &mut buffer[..]).is_err());
    let ranges = vec![IdRange { from: 0, to: 100_000, count: 65_536 }];
    let options =
        CopyOptions { shift: Some(IdShift::new(ranges.clone(), ranges).unwrap()), ..CopyOptions::default() };
    copy_tree(source.as_fd(), xfs.directory("shifted").as_fd(), &options).unwrap();
    let shifted = std::fs::File::open(xfs.path().join("shifted/file")).unwrap();
    let length = rustix::fs::fgetxattr(&shifted, "system.posix_acl_access", &mut buffer[..]).unwrap();
    assert!(
        buffer[..length].windows(8).any(|window| window == entry(2, 4, 101_000)),
        "{:?}",
        &buffer[..length]
    );
}

/// One entry of an ACL.
fn entry(tag: u8, permissions: u8, id: u32) -> [u8; 8] {
    let id = id.to_le_bytes();
    [tag, 0, permissions, 0, id[0], id[1], id[2], id[3]]
}

#[test]
fn overlay_whiteouts_and_marks_are_copied_and_hulls_own_are_not() {
    if !is_root() {
        return;
    }
    let Some(fs) = scratch("ext4") else { return };
    let (source, copy) = (fs.directory("source"), fs.directory("copy"));
    for (name, value) in [("user.hull.owner", "x"), ("trusted.hull.mark", "y"), ("user.kept", "z")] {
        let flags = rustix::fs::XattrFlags::empty();
        rustix::fs::fsetxattr(&source, name, value.as_bytes(), flags).unwrap();
    }
    copy_exactly(&source, &copy, &CopyOptions::default());
    let mut buffer = [0; 10];
    assert!(rustix::fs::fgetxattr(&copy, "user.hull.owner", &mut buffer[..]).is_err());
    assert!(rustix::fs::fgetxattr(&copy, "trusted.hull.mark", &mut buffer[..]).is_err());
    assert_eq!(rustix::fs::fgetxattr(&copy, "user.kept", &mut buffer[..]), Ok(1));
}
