//! A packed tree is unpacked exactly; what is damaged or hostile makes nothing elsewhere.

#![allow(clippy::unwrap_used, reason = "a test may end here")]

mod common;

use std::os::fd::AsFd;

use common::{assert_same, is_root, open, scratch};
use hull_treecopy::{CopyOptions, ErrorKind, copy_tree, measure_tree, pack_tree, unpack_tree};
use hull_treefixture::{CompareOptions, RandomShape, Shape, build, compare};

fn check(from: &str, to: &str) {
    let (Some(one), Some(other)) = (scratch(from), scratch(to)) else { return };
    let source = one.directory("source");
    let random = RandomShape { directories: 60, files: 600, largest: 700_000 };
    build(&source, &Shape { seed: 42, random: Some(random), large: 1000, deep: 3000, ..Shape::privileged() })
        .unwrap();
    let mut packed = Vec::new();
    let sent = pack_tree(source.as_fd(), &mut packed, &()).unwrap();
    assert_eq!(sent.entries, measure_tree(source.as_fd()).unwrap().entries);
    let target = other.directory("target");
    let mut from = &packed[..];
    let received = unpack_tree(&mut from, target.as_fd(), &()).unwrap();
    assert_eq!((received, from.len()), (sent, 0));
    assert_same(&source, &target);
}

#[test]
fn ext4_to_btrfs() {
    check("ext4", "btrfs");
}

#[test]
fn btrfs_to_ext4() {
    check("btrfs", "ext4");
}

#[test]
fn tmpfs_to_xfs() {
    check("tmpfs", "xfs");
}

/// A small tree, packed.
fn small() -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let shape = if is_root() { Shape::privileged() } else { Shape::unprivileged() };
    build(open(dir.path()), &shape).unwrap();
    let mut packed = Vec::new();
    pack_tree(open(dir.path()).as_fd(), &mut packed, &()).unwrap();
    packed
}

#[test]
fn what_is_cut_off_is_refused() {
    let packed = small();
    let places = (0..40).chain((0..200).map(|i| packed.len() * i / 200)).chain([packed.len() - 1]);
    for end in places {
        let dir = tempfile::tempdir().unwrap();
        let error = unpack_tree(&mut &packed[..end], open(dir.path()).as_fd(), &()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "cut off at {end}: {error}");
        assert_eq!(error.to_string().lines().count(), 1);
        let staging = std::fs::read_dir(dir.path()).unwrap();
        let left =
            staging.filter(|e| e.as_ref().unwrap().file_name().to_string_lossy().starts_with(".hull-links"));
        assert_eq!(left.count(), 0, "the staging directory goes");
    }
}

/// Whatever bit is wrong, nothing panics, and nothing is made outside.
#[test]
fn what_is_damaged_stays_inside() {
    let packed = small();
    let top = tempfile::tempdir().unwrap();
    let victim = top.path().join("victim");
    std::fs::write(&victim, "the host's").unwrap();
    for i in 0..100 {
        let mut damaged = packed.clone();
        let at = i * packed.len() / 100;
        damaged[at] ^= 1 << (i % 8);
        let dir = top.path().join("target");
        std::fs::create_dir(&dir).unwrap();
        let _whatever = unpack_tree(&mut &damaged[..], open(&dir).as_fd(), &());
        let options = hull_treecopy::RemoveOptions::default();
        hull_treecopy::remove_tree(open(top.path()).as_fd(), "target".as_ref(), &options).unwrap();
        assert_eq!(std::fs::read_to_string(&victim).unwrap(), "the host's");
        assert_eq!(std::fs::read_dir(top.path()).unwrap().count(), 1);
    }
}

fn text(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u32).to_le_bytes()[..], bytes].concat()
}

fn one_link() -> Vec<u8> {
    [&0u64.to_le_bytes()[..], &1u32.to_le_bytes()].concat()
}

#[test]
fn records_out_of_order_are_refused() {
    let owner = [&b"o"[..], &0u32.to_le_bytes(), &0u32.to_le_bytes()].concat();
    let close = [&b"."[..], &0o755u32.to_le_bytes(), &[0; 24]].concat();
    let file = |name: &[u8]| [&b"f"[..], &text(name), &one_link()].concat();
    let dir = |name: &[u8]| [&b"d"[..], &text(name)].concat();
    let symlink = |name: &[u8], to: &[u8]| [&b"l"[..], &text(name), &one_link(), &text(to)].concat();
    let data = [&b"="[..], &0u64.to_le_bytes(), &text(b"x")].concat();
    let size = [&b"z"[..], &1u64.to_le_bytes()].concat();
    let xattr = [&b"x"[..], &text(b"user.x"), &text(b"y")].concat();
    let link = [&b"h"[..], &text(b"h"), &7u64.to_le_bytes(), &2u32.to_le_bytes()].concat();
    let fifo = [&b"n"[..], &text(b"p"), &one_link(), b"p", &[0; 8]].concat();
    for (what, records) in [
        ("data for a symlink", vec![symlink(b"l", b"/etc/passwd"), data.clone()]),
        ("data for a fifo", vec![fifo, data.clone()]),
        ("data for the root", vec![data.clone()]),
        ("a directory through a symlink", vec![symlink(b"l", b"/"), owner.clone(), close.clone(), dir(b"l")]),
        ("a file in a file", vec![file(b"f"), file(b"g")]),
        ("data after the size", vec![file(b"f"), size.clone(), data.clone()]),
        ("data after the owner", vec![file(b"f"), owner.clone(), data]),
        ("no size", vec![file(b"f"), owner.clone(), close.clone()]),
        ("no owner", vec![file(b"f"), size.clone(), close.clone()]),
        ("two owners", vec![owner.clone(), owner.clone()]),
        ("an attribute too early", vec![file(b"f"), xattr]),
        ("an entry after the owner", vec![owner.clone(), dir(b"d")]),
        ("a link to nothing", vec![link]),
        ("a name twice", vec![file(b"f"), size, owner, close, file(b"f")]),
        ("a name upwards", vec![dir(b"..")]),
    ] {
        let top = tempfile::tempdir().unwrap();
        let error = unpack_tree(&mut &records.concat()[..], open(top.path()).as_fd(), &()).expect_err(what);
        assert!(matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::AlreadyExists), "{what}: {error}");
        assert!(!error.to_string().contains("too early"), "{what}: {error}");
    }
}

/// What the observer stops is cancelled, and a reader that goes away is said.
#[test]
fn packing_can_be_stopped() {
    let dir = tempfile::tempdir().unwrap();
    build(open(dir.path()), &Shape::unprivileged()).unwrap();
    let stop = |_: u64, _: u64| std::ops::ControlFlow::Break(());
    let error = pack_tree(open(dir.path()).as_fd(), &mut Vec::new(), &stop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
    let full = &mut [0u8; 100][..];
    let mut full = full;
    assert!(pack_tree(open(dir.path()).as_fd(), &mut full, &()).is_err());
}

/// Packing and unpacking is the same as copying.
#[test]
fn as_a_copy_would_be() {
    let dir = tempfile::tempdir().unwrap();
    let shape = if is_root() { Shape::privileged() } else { Shape::unprivileged() };
    build(open(dir.path()), &shape).unwrap();
    let (copied, unpacked) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    copy_tree(open(dir.path()).as_fd(), open(copied.path()).as_fd(), &CopyOptions::default()).unwrap();
    let mut packed = Vec::new();
    pack_tree(open(dir.path()).as_fd(), &mut packed, &()).unwrap();
    unpack_tree(&mut &packed[..], open(unpacked.path()).as_fd(), &()).unwrap();
    let differences =
        compare(open(copied.path()), open(unpacked.path()), &CompareOptions::default()).unwrap();
    assert_eq!(differences, []);
}
