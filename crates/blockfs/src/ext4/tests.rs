//! What is written, what is left to the kernel, and that nothing else changes, on file systems that mke2fs made.

use super::*;
use crate::FsKind;
use crate::testing::image;
use hull_command::{Runner, System, Tool, ToolCommand};
use proptest::prelude::*;
use std::fs;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, symlink};
use std::path::Path;
use tempfile::{NamedTempFile, TempDir};

const CHECK: Tool = Tool { program: "e2fsck", package: "e2fsprogs" };
const LOOK: Tool = Tool { program: "debugfs", package: "e2fsprogs" };
const OLD: &str = "a-rather-long-old-name\n";

/// A tree with `etc/hostname` and much else in `etc`.
fn tree(entries: usize) -> TempDir {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let etc = dir.path().join("etc");
    fs::create_dir(&etc).expect("a directory");
    for n in 0..entries {
        fs::write(etc.join(format!("entry-number-{n:04}")), format!("content {n}\n")).expect("a file");
    }
    fs::write(etc.join("hostname"), OLD).expect("a file");
    dir
}

/// An ext4 with that tree on it, or `None` after `test` was said to be skipped.
fn ext4(test: &str, tree: &Path, arguments: &[&str]) -> Option<NamedTempFile> {
    let tree = tree.to_string_lossy();
    image(test, FsKind::Ext4, 16 << 20, &[&["-q", "-F", "-d", &tree], arguments].concat())
}

fn write(image: &NamedTempFile, content: &str) -> Overwritten {
    overwrite(image.as_file().as_fd(), "etc", "hostname", content.as_bytes()).expect("it can be read")
}

/// What e2fsck finds, all of it.
fn check(image: &Path) {
    System.run(&ToolCommand::new(CHECK).args(["-f", "-n"]).arg(image)).expect("nothing to mend");
}

fn debugfs(image: &Path, request: &str) -> String {
    let command = ToolCommand::new(LOOK).args(["-R", request]).arg(image);
    String::from_utf8(System.run(&command).expect("debugfs runs").stdout).expect("text")
}

/// Makes debugfs change the file system.
fn change(image: &Path, request: &str) {
    System.run(&ToolCommand::new(LOOK).args(["-w", "-R", request]).arg(image)).expect("debugfs runs");
}

fn differing_blocks(a: &[u8], b: &[u8]) -> usize {
    assert_eq!(a.len(), b.len());
    a.chunks(1024).zip(b.chunks(1024)).filter(|(a, b)| a != b).count()
}

#[test]
fn the_file_is_overwritten_and_nothing_else() {
    const TEST: &str = "the_file_is_overwritten_and_nothing_else";
    let makes: [&[&str]; 9] = [
        &[],
        &["-O", "^metadata_csum"],
        &["-O", "^metadata_csum,^64bit"],
        &["-O", "metadata_csum_seed"],
        &["-O", "^has_journal"],
        &["-O", "^flex_bg"],
        &["-b", "1024"],
        &["-b", "2048", "-I", "128"],
        &["-I", "512", "-O", "project"],
    ];
    for make in makes {
        // 400 names take several blocks, with hashes once the kernel or e2fsck has made them.
        for entries in [3, 400] {
            let tree = tree(entries);
            let Some(image) = ext4(TEST, tree.path(), make) else { return };
            if entries > 100 {
                // Exits with 1 for what it changed.
                let _ = System.attempt(&ToolCommand::new(CHECK).args(["-f", "-y", "-D"]).arg(image.path()));
            }
            for content in ["n\n", "another-name-that-is-longer-than-the-one-that-was-there\n", ""] {
                let before = fs::read(image.path()).expect("the image");
                assert_eq!(write(&image, content), Overwritten::Done, "{make:?}, {entries} entries");
                assert_eq!(debugfs(image.path(), "cat /etc/hostname"), content, "{make:?}");
                let after = fs::read(image.path()).expect("the image");
                let changed = differing_blocks(&before, &after);
                assert!((1..=2).contains(&changed), "{make:?}: {changed} KiB changed: one and the inode's");
                check(image.path());
            }
            assert_eq!(debugfs(image.path(), "cat /etc/entry-number-0001"), "content 1\n");
            let times = debugfs(image.path(), "stat /etc/hostname");
            let year = times.lines().find(|l| l.contains("mtime")).and_then(|l| l.split_whitespace().last());
            assert!(year.is_some_and(|year| year.parse::<u32>().is_ok_and(|year| year >= 2024)), "{times}");
        }
    }
}

#[test]
fn what_is_not_there_is_not_made() {
    const TEST: &str = "what_is_not_there_is_not_made";
    let prepare: [fn(&Path); 3] = [
        |root| fs::remove_dir_all(root.join("etc")).expect("removed"),
        |root| fs::remove_file(root.join("etc/hostname")).expect("removed"),
        |root| {
            fs::remove_file(root.join("etc/hostname")).expect("removed");
            fs::create_dir(root.join("etc/hostname")).expect("a directory");
        },
    ];
    for prepare in prepare {
        let tree = tree(3);
        prepare(tree.path());
        let Some(image) = ext4(TEST, tree.path(), &[]) else { return };
        let before = fs::read(image.path()).expect("the image");
        assert_eq!(write(&image, "n\n"), Overwritten::NoFile);
        assert!(before == fs::read(image.path()).expect("the image"), "changed");
    }
}

#[test]
fn the_unusual_is_left_to_the_kernel() {
    const TEST: &str = "the_unusual_is_left_to_the_kernel";
    type Case = (&'static str, &'static [&'static str], fn(&Path), fn(&Path));
    let nothing: fn(&Path) = |_| {};
    let cases: [Case; 12] = [
        ("a symlink", &[], |t| planted(t, "etc/hostname", "name"), nothing),
        (
            "a symlink on the way",
            &[],
            |t| {
                fs::rename(t.join("etc"), t.join("real")).expect("renamed");
                symlink("real", t.join("etc")).expect("a symlink");
            },
            nothing,
        ),
        ("a file of several blocks", &[], |t| fill(t, 9000), nothing),
        ("an empty file", &[], |t| fill(t, 0), nothing),
        ("data in the inode", &["-O", "inline_data"], nothing, nothing),
        ("big clusters", &["-O", "bigalloc"], nothing, nothing),
        ("no extents", &["-O", "^extents,^64bit"], nothing, nothing),
        ("protection from a second mount", &["-O", "mmp"], nothing, nothing),
        ("a journal to replay", &[], nothing, |i| change(i, "feature needs_recovery")),
        ("not clean", &[], nothing, |i| change(i, "set_super_value state 0")),
        ("an orphan", &[], nothing, |i| change(i, "set_super_value last_orphan 12")),
        ("immutable", &[], nothing, |i| change(i, "set_inode_field /etc/hostname flags 0x80010")),
    ];
    for (what, make, plant, spoil) in cases {
        let tree = tree(3);
        plant(tree.path());
        let Some(image) = ext4(TEST, tree.path(), make) else { return };
        spoil(image.path());
        let before = fs::read(image.path()).expect("the image");
        assert_eq!(write(&image, "n\n"), Overwritten::Unable, "{what}");
        assert!(before == fs::read(image.path()).expect("the image"), "{what}: changed");
    }
    let tree = tree(3);
    let Some(image) = ext4(TEST, tree.path(), &["-b", "1024"]) else { return };
    image.as_file().set_len((16 << 20) - 1024).expect("shorter");
    assert_eq!(write(&image, "n\n"), Overwritten::Unable, "its last block is missing");
    image.as_file().set_len(16 << 20).expect("as long as it was");
    assert_eq!(write(&image, &"n".repeat(1025)), Overwritten::Unable, "more than the block holds");
}

fn planted(tree: &Path, at: &str, target: &str) {
    fs::remove_file(tree.join(at)).expect("removed");
    symlink(target, tree.join(at)).expect("a symlink");
}

fn fill(tree: &Path, length: usize) {
    fs::write(tree.join("etc/hostname"), vec![b'n'; length]).expect("a file");
}

/// A damaged entry could lead to somebody else's file: every structure on the way there is checked.
#[test]
fn damage_on_the_way_is_noticed() {
    const TEST: &str = "damage_on_the_way_is_noticed";
    let tree = tree(3);
    let Some(image) = ext4(TEST, tree.path(), &[]) else { return };
    let find = |needle: &[u8]| {
        let all = fs::read(image.path()).expect("the image");
        all.windows(needle.len()).position(|w| w == needle).expect("it is there") as u64
    };
    let inode = debugfs(image.path(), "imap /etc/hostname");
    let (block, offset) =
        inode.split_once("located at block ").expect("where it is").1.split_once(", offset ").expect("both");
    let block: u64 = block.parse().expect("a number");
    let offset = u64::from_str_radix(offset.trim().trim_start_matches("0x"), 16).expect("a number");
    let at = [
        ("the superblock", 1024 + 0x78),
        ("an entry's number", find(b"hostname") - 8),
        ("an entry's name", find(b"hostname")),
        ("the length in the inode", block * 1024 + offset + 4),
        ("the block in the inode", block * 1024 + offset + 0x28 + 12 + 8),
    ];
    for (what, at) in at {
        let mut byte = [0];
        image.as_file().read_exact_at(&mut byte, at).expect("read");
        image.as_file().write_all_at(&[byte[0] ^ 1], at).expect("written");
        let before = fs::read(image.path()).expect("the image");
        assert_eq!(write(&image, "n\n"), Overwritten::Unable, "{what}");
        assert!(before == fs::read(image.path()).expect("the image"), "{what}: changed");
        image.as_file().write_all_at(&byte, at).expect("written");
    }
    assert_eq!(write(&image, "n\n"), Overwritten::Done, "mended");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// Without checksums nothing tells damage from what was meant. Whatever there is: no panic, and nothing is written
    /// but one block and one inode inside of the image.
    #[test]
    fn anything_can_be_met(damage in prop::collection::vec((0_usize..1 << 20, any::<u8>()), 1..40), near in any::<bool>()) {
        const TEST: &str = "anything_can_be_met";
        let tree = tree(3);
        let arguments = ["-b", "1024", "-O", "^metadata_csum,^uninit_bg", "-N", "64"];
        let Some(image) = ext4(TEST, tree.path(), &arguments) else { return Ok(()) };
        let mut bytes = fs::read(image.path()).expect("the image");
        let name = bytes.windows(8).position(|w| w == b"hostname").expect("it is there");
        for (at, value) in damage {
            // In the superblock and the first descriptors, or about the entry of the file.
            let at = if near { name.saturating_sub(64) + at % 128 } else { 1024 + at % 2048 };
            bytes[at] = value;
        }
        fs::write(image.path(), &bytes).expect("the image");
        let came = write(&image, "n\n");
        let after = fs::read(image.path()).expect("the image");
        let changed = differing_blocks(&bytes, &after);
        prop_assert!(changed <= if came == Overwritten::Done { 65 } else { 0 }, "{came:?}: {changed} KiB");
    }
}
