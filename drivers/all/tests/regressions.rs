//! What goes wrong in LXC between stores, and must not here. Each case is named after what LXC does.
#![allow(clippy::unwrap_used, reason = "what cannot be set up fails the test")]

use std::error::Error;
use std::fs;
use std::path::Path;

use hull_storage::{
    Access, Availability, CloneMode, ErrorKind, Method, Placement, Settings, Store, VolumeSpec,
};
use hull_treefixture::ScratchFs;

type Tested = Result<(), Box<dyn Error>>;

/// A scratch file system and a store of all drivers, or the reason why not.
fn ground(test: &str, kind: &str) -> Option<(ScratchFs, Store)> {
    match ScratchFs::new(kind, 256 << 20) {
        Ok(scratch) => {
            let state = scratch.path().join("state");
            let store = hull_storage::open(&hull_drivers::builtin(), &Settings::default(), &state).unwrap();
            Some((scratch, store))
        }
        Err(reason) => {
            hull_testskip::skip(test, reason);
            None
        }
    }
}

fn place(path: impl AsRef<Path>) -> Placement {
    Placement::exactly(path.as_ref()).unwrap()
}

/// lxc-copy -R of a container whose config names a subvolume by its bare path made an overlay over the old
/// root file system and then deleted that.
#[test]
fn rename_of_a_bare_path_subvolume_keeps_the_data() -> Tested {
    let Some((scratch, store)) = ground("rename_of_a_bare_path_subvolume_keeps_the_data", "btrfs") else {
        return Ok(());
    };
    let to = place(scratch.path().join("rootfs"));
    let made = store.create(hull_driver_btrfs::NAME, &to, &VolumeSpec::default())?;
    fs::write(made.path().join("file"), "content")?;
    let bare = hull_drivers::builtin().locate(made.path().as_os_str())?;
    assert_eq!(bare, made);
    let renamed = store.rename(&bare, &place(scratch.path().join("renamed")))?;
    assert_eq!(renamed.driver(), hull_driver_btrfs::NAME);
    assert_eq!(fs::read_to_string(renamed.path().join("file"))?, "content");
    assert!(!made.path().exists());
    // And a copy is a snapshot, not an overlay, and not a copy of every file.
    let to = place(scratch.path().join("copy"));
    let copy = store.clone_volume(&renamed, None, &to, CloneMode::Copy, Access::ReadWrite)?;
    assert!(matches!(copy.method, Some(Method::Clone(_))));
    assert_eq!(copy.at.driver(), hull_driver_btrfs::NAME);
    Ok(())
}

/// lxc-copy -B btrfs of a directory recorded a plain directory as a subvolume, which nothing could destroy.
#[test]
fn a_copy_of_a_directory_into_btrfs_can_be_destroyed() -> Tested {
    let test = "a_copy_of_a_directory_into_btrfs_can_be_destroyed";
    let (Some((ext4, _)), Some((btrfs, store))) = (ground(test, "ext4"), ground(test, "btrfs")) else {
        return Ok(());
    };
    for (source, n) in [(ext4.path(), "1"), (btrfs.path(), "2")] {
        let source = place(source.join("directory"));
        let source = store.create(hull_driver_dir::NAME, &source, &VolumeSpec::default())?;
        fs::write(source.path().join("file"), "content")?;
        let (into, to) = (Some(hull_driver_btrfs::NAME), place(btrfs.path().join(n)));
        let copy = store.clone_volume(&source, into, &to, CloneMode::SnapshotElseCopy, Access::ReadWrite)?.at;
        assert_eq!(fs::read_to_string(copy.path().join("file"))?, "content");
        assert!((hull_driver_btrfs::REGISTRATION.detect)(copy.path()), "it is no subvolume");
        store.destroy(&copy)?;
        assert!(!copy.path().exists());
        assert!(source.path().exists());
    }
    Ok(())
}

/// A plain copy of an overlay failed without a word; it is a copy of what it shows.
#[test]
fn a_copy_of_an_overlay_says_what_to_do_or_is_one() -> Tested {
    let Some((scratch, store)) = ground("a_copy_of_an_overlay_says_what_to_do_or_is_one", "ext4") else {
        return Ok(());
    };
    let top = scratch.path();
    let source = store.create(hull_driver_dir::NAME, &place(top.join("base")), &VolumeSpec::default())?;
    fs::write(source.path().join("file"), "content")?;
    let overlay = Some(hull_driver_overlayfs::NAME);
    let clone = |mode, into, name: &str, from| {
        store.clone_volume(from, into, &place(top.join(name)), mode, Access::ReadWrite)
    };
    let over = clone(CloneMode::Snapshot, overlay, "over", &source)?.at;
    let e = clone(CloneMode::Copy, overlay, "a", &over).unwrap_err();
    assert_eq!(e.kind(), ErrorKind::Unsupported);
    assert!(e.to_string().contains("ask for a snapshot, or for another store"), "{e}");
    // Without a store named, one is found that can keep it.
    let copy = clone(CloneMode::Copy, None, "b", &over)?;
    assert_eq!((copy.at.driver(), copy.method), (hull_driver_dir::NAME, Some(Method::TreeCopy)));
    assert_eq!(fs::read_to_string(copy.at.path().join("file"))?, "content");
    // A snapshot of a directory with no store named is an overlay, as in LXC.
    let snapshot = clone(CloneMode::Snapshot, None, "c", &source)?;
    assert_eq!(snapshot.at.driver(), hull_driver_overlayfs::NAME);
    Ok(())
}

/// `hull doctor` says of each store whether it can be used, and if not, what would help.
#[test]
fn every_driver_says_whether_it_can_be_used() {
    for driver in hull_drivers::builtin().drivers() {
        let lines = match (driver.probe)(&Settings::default()) {
            Availability::Ready { notes } => notes,
            Availability::Missing { why, remedy } => vec![why, remedy],
        };
        assert!(lines.iter().all(|line| !line.is_empty() && !line.contains('\n')), "{lines:?}");
        println!("{}: {lines:?}", driver.name);
    }
    let known = fs::read_to_string("/proc/filesystems").unwrap();
    if rustix::process::geteuid().is_root() && known.contains("\toverlay\n") {
        let found = (hull_driver_overlayfs::REGISTRATION.probe)(&Settings::default());
        assert_eq!(found, Availability::Ready { notes: Vec::new() }, "root can mount what the kernel knows");
    }
}
