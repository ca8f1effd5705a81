//! What only btrfs has: subvolumes inside volumes, read-only ones, other file systems. On a real one.
#![allow(clippy::unwrap_used, reason = "what cannot be set up fails the test")]

use std::error::Error;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use hull_driver_btrfs::{NAME, REGISTRATION};
use hull_storage::{
    Access, CloneMode, ErrorKind, Locator, Method, Placement, Registry, Settings, Store, VolumeSpec,
};
use hull_storage_testkit::{plain, scratch};
use hull_sys::btrfs;
use hull_treefixture::ScratchFs;

type Tested = Result<(), Box<dyn Error>>;

fn store(state: &Path) -> Store {
    let registry = Registry::default().with(REGISTRATION).with(plain::REGISTRATION);
    hull_storage::open(&registry, &Settings::default(), state).unwrap()
}

/// A scratch btrfs and a store, or the reason why not.
fn ground(test: &str) -> Option<(ScratchFs, Store)> {
    match ScratchFs::new("btrfs", 256 << 20) {
        Ok(scratch) => {
            let store = store(&scratch.path().join("state"));
            Some((scratch, store))
        }
        Err(reason) => {
            hull_testskip::skip(test, reason.to_string());
            None
        }
    }
}

fn place(path: impl AsRef<Path>) -> Placement {
    Placement::exactly(path.as_ref()).unwrap()
}

fn make_subvolume(path: impl AsRef<Path>) {
    let path = path.as_ref();
    let parent = fs::File::open(path.parent().unwrap()).unwrap();
    btrfs::create_subvolume(parent, path.file_name().unwrap()).unwrap();
}

fn set_read_only(path: impl AsRef<Path>) {
    btrfs::set_read_only(fs::File::open(path).unwrap(), true).unwrap();
}

fn is_read_only(path: impl AsRef<Path>) -> bool {
    btrfs::is_read_only(fs::File::open(path).unwrap()).unwrap()
}

fn is_subvolume(path: impl AsRef<Path>) -> bool {
    btrfs::is_subvolume(fs::File::open(path).unwrap()).unwrap()
}

/// A volume with subvolumes in it: in a directory, in each other, read-only, with odd names.
fn fill(root: &Path) {
    make_subvolume(root.join("docker"));
    fs::create_dir_all(root.join("srv/a b")).unwrap();
    make_subvolume(root.join("srv/a b/data"));
    make_subvolume(root.join("srv/a b/data/inner"));
    make_subvolume(root.join(OsStr::from_bytes(b"odd:\xff\n,\\")));
    for (file, content) in [("docker/f", "1"), ("srv/a b/data/g", "2"), ("srv/a b/data/inner/h", "3")] {
        fs::write(root.join(file), content).unwrap();
    }
    set_read_only(root.join("srv/a b/data/inner"));
    set_read_only(root.join("srv/a b/data"));
}

fn subvolumes(fs_root: &Path) -> usize {
    let mut count = 0;
    let mut left = vec![fs_root.to_path_buf()];
    while let Some(path) = left.pop() {
        for nested in btrfs::nested_subvolumes(fs::File::open(&path).unwrap()).unwrap() {
            count += 1;
            left.push(path.join(nested.dir).join(nested.name));
        }
    }
    count
}

#[test]
fn nested_and_read_only_subvolumes_go_with_their_volume() -> Tested {
    let Some((scratch, store)) = ground("nested_and_read_only_subvolumes_go_with_their_volume") else {
        return Ok(());
    };
    let at = store.create(NAME, &place(scratch.path().join("v")), &VolumeSpec::default())?;
    fill(at.path());
    assert_eq!(subvolumes(scratch.path()), 5);
    store.destroy(&at)?;
    assert_eq!(subvolumes(scratch.path()), 0);
    assert!(!at.path().exists());
    Ok(())
}

#[test]
fn many_and_deep_subvolumes_go_too() -> Tested {
    let Some((scratch, store)) = ground("many_and_deep_subvolumes_go_too") else { return Ok(()) };
    let at = store.create(NAME, &place(scratch.path().join("v")), &VolumeSpec::default())?;
    // One answer of the kernel holds 255.
    for n in 0..300 {
        make_subvolume(at.path().join(format!("wide{n}")));
    }
    let mut deep = at.path().to_path_buf();
    for n in 0..100 {
        deep.push(format!("deep{n}"));
        make_subvolume(&deep);
    }
    assert_eq!(subvolumes(scratch.path()), 401);
    store.destroy(&at)?;
    assert_eq!(subvolumes(scratch.path()), 0);
    Ok(())
}

#[test]
fn a_clone_has_the_subvolumes_of_its_source() -> Tested {
    let Some((scratch, store)) = ground("a_clone_has_the_subvolumes_of_its_source") else { return Ok(()) };
    let at = store.create(NAME, &place(scratch.path().join("v")), &VolumeSpec::default())?;
    fill(at.path());
    let new = |name: &str, access| {
        let to = place(scratch.path().join(name));
        store.clone_volume(&at, None, &to, CloneMode::Snapshot, access).map(|new| new.at)
    };
    let clone = new("clone", Access::ReadWrite)?;
    let odd = OsStr::from_bytes(b"odd:\xff\n,\\");
    for (path, read_only) in [("srv/a b/data", true), ("srv/a b/data/inner", true), ("docker", false)] {
        assert!(is_subvolume(clone.path().join(path)), "{path}");
        assert_eq!(is_read_only(clone.path().join(path)), read_only, "{path}");
    }
    assert!(is_subvolume(clone.path().join(odd)));
    assert_eq!(fs::read_to_string(clone.path().join("srv/a b/data/inner/h"))?, "3");
    fs::write(clone.path().join("docker/f"), "changed")?;
    assert_eq!(fs::read_to_string(at.path().join("docker/f"))?, "1");

    let snapshot = new("snapshot", Access::ReadOnly)?;
    for path in ["", "docker", "srv/a b/data"] {
        assert!(is_read_only(snapshot.path().join(path)), "{path:?}");
    }
    assert!(store.inspect(&snapshot)?.access == Access::ReadOnly && store.inspect(&snapshot)?.ours);
    assert_eq!(store.activate(&snapshot, Access::ReadWrite).unwrap_err().kind(), ErrorKind::PermissionDenied);
    // Renaming it and cloning from it work all the same.
    let snapshot = store.rename(&snapshot, &place(scratch.path().join("renamed")))?;
    let again = store.clone_volume(
        &snapshot,
        None,
        &place(scratch.path().join("again")),
        CloneMode::Snapshot,
        Access::ReadWrite,
    )?;
    fs::write(again.at.path().join("new"), "x")?;
    for volume in [&at, &clone, &snapshot, &again.at] {
        store.destroy(volume)?;
    }
    assert_eq!(subvolumes(scratch.path()), 0);
    Ok(())
}

/// The clone of a volume may lie inside that volume; it is no part of itself.
#[test]
fn a_clone_inside_its_source_ends() -> Tested {
    let Some((scratch, store)) = ground("a_clone_inside_its_source_ends") else { return Ok(()) };
    let at = store.create(NAME, &place(scratch.path().join("v")), &VolumeSpec::default())?;
    make_subvolume(at.path().join("nested"));
    let to = place(at.path().join("clone"));
    let clone = store.clone_volume(&at, None, &to, CloneMode::Snapshot, Access::ReadWrite)?.at;
    assert!(is_subvolume(clone.path().join("nested")));
    assert_eq!(subvolumes(scratch.path()), 4);
    store.destroy(&at)?;
    assert_eq!(subvolumes(scratch.path()), 0);
    Ok(())
}

/// Between file systems the tree is copied into a real subvolume, which can be destroyed as one (LXC
/// leaves a directory that it can never destroy).
#[test]
fn copies_from_other_file_systems_are_subvolumes() -> Tested {
    let Some((scratch, store)) = ground("copies_from_other_file_systems_are_subvolumes") else {
        return Ok(());
    };
    let elsewhere = ScratchFs::new("ext4", 64 << 20)?;
    let source = store.create(plain::NAME, &place(elsewhere.path().join("d")), &VolumeSpec::default())?;
    fs::write(source.path().join("file"), "content")?;
    let to = place(scratch.path().join("copy"));
    let copy =
        store.clone_volume(&source, Some(NAME), &to, CloneMode::SnapshotElseCopy, Access::ReadWrite)?;
    assert_eq!(copy.method, Some(Method::TreeCopy));
    assert!(is_subvolume(copy.at.path()) && store.inspect(&copy.at)?.ours);
    assert_eq!(fs::read_to_string(copy.at.path().join("file"))?, "content");

    // And back, from a btrfs to a place that is none.
    let away = place(elsewhere.path().join("x"));
    let refused = store.clone_volume(&copy.at, Some(NAME), &away, CloneMode::Copy, Access::ReadWrite);
    let refused = refused.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unsupported, "{refused}");
    assert!(refused.to_string().contains("is not on btrfs"), "{refused}");
    store.destroy(&copy.at)?;
    assert!(!copy.at.path().exists());
    Ok(())
}

/// What stock LXC's `lxc-copy -B btrfs` of a directory leaves.
#[test]
fn a_plain_directory_called_btrfs_can_be_used_copied_and_destroyed() -> Tested {
    let test = "a_plain_directory_called_btrfs_can_be_used_copied_and_destroyed";
    let Some((scratch, store)) = ground(test) else { return Ok(()) };
    let path = scratch.path().join("rootfs");
    fs::create_dir(&path)?;
    fs::write(path.join("file"), "content")?;
    assert!(!(REGISTRATION.detect)(&path));
    let at = Locator::new(NAME, &path);
    assert!(!store.inspect(&at)?.ours);
    let _ready = store.activate(&at, Access::ReadWrite)?;
    let to = place(scratch.path().join("copy"));
    let copy = store.clone_volume(&at, None, &to, CloneMode::SnapshotElseCopy, Access::ReadWrite)?;
    assert_eq!(copy.method, Some(Method::TreeCopy));
    assert!(is_subvolume(copy.at.path()) && (REGISTRATION.detect)(copy.at.path()));
    store.destroy(&at)?;
    assert!(!path.exists());
    Ok(())
}

/// What is mounted in a volume keeps it from being deleted, and is not unmounted behind anybody's back.
#[test]
fn a_mount_inside_is_in_the_way() -> Tested {
    use hull_storage::{Driver, Resource, TxId};
    let Some((scratch, store)) = ground("a_mount_inside_is_in_the_way") else { return Ok(()) };
    let at = store.create(NAME, &place(scratch.path().join("v")), &VolumeSpec::default())?;
    fs::create_dir(at.path().join("mnt"))?;
    let tmpfs = hull_mount::MountSource::Filesystem { fstype: "tmpfs".into(), source: "none".into() };
    let plan = hull_mount::MountPlan::new(tmpfs, Access::ReadWrite);
    let guard =
        hull_mount::DetachedMount::build(&plan, None)?.attach(rustix::fs::CWD, &at.path().join("mnt"))?;
    fs::write(at.path().join("mnt/kept"), "x")?;
    let reclaimed = hull_driver_btrfs::BtrfsDriver.reclaim(&Resource::new(NAME, at.path()), TxId(1));
    assert_eq!(reclaimed.unwrap_err().kind(), ErrorKind::InUse);
    assert_eq!(fs::read_to_string(at.path().join("mnt/kept"))?, "x");
    guard.unmount()?;
    store.destroy(&at)?;
    assert_eq!(subvolumes(scratch.path()), 0);
    Ok(())
}

#[test]
fn exclusive_bytes_are_known_where_quotas_are_on() -> Tested {
    let Some((scratch, store)) = ground("exclusive_bytes_are_known_where_quotas_are_on") else {
        return Ok(());
    };
    let at = store.create(NAME, &place(scratch.path().join("v")), &VolumeSpec::default())?;
    fs::write(at.path().join("file"), vec![7; 1 << 20])?;
    assert_eq!(store.usage(&at)?.exclusive, None);
    let run = |arguments: &[&str]| std::process::Command::new("btrfs").args(arguments).output();
    let top = scratch.path().to_str().ok_or("a UTF-8 path")?;
    match run(&["quota", "enable", top]) {
        Ok(output) if output.status.success() => {}
        other => {
            hull_testskip::skip("exclusive_bytes_are_known_where_quotas_are_on", format!("{other:?}"));
            return Ok(());
        }
    }
    run(&["quota", "rescan", "-w", top])?;
    rustix::fs::syncfs(fs::File::open(top)?)?;
    let exclusive = store.usage(&at)?.exclusive.ok_or("quotas are on")?.0;
    assert!((1 << 20..2 << 20).contains(&exclusive), "{exclusive}");
    Ok(())
}

/// As an ordinary user: create, snapshot, nested and read-only subvolumes, destroy.
#[test]
fn an_ordinary_user_can_do_all_of_it() -> Tested {
    if let Some(dir) = scratch::inside_user_namespace() {
        return as_ordinary_user(&dir);
    }
    for options in ["", "remount,user_subvol_rm_allowed"] {
        let Some((scratch, _)) = ground("an_ordinary_user_can_do_all_of_it") else { return Ok(()) };
        if !options.is_empty() {
            let done =
                std::process::Command::new("mount").args(["-o", options]).arg(scratch.path()).status()?;
            assert!(done.success());
        }
        let arguments = ["--exact", "an_ordinary_user_can_do_all_of_it", "--nocapture"];
        match scratch::rerun_in_user_namespace(scratch.path(), &arguments) {
            Ok((status, said)) => {
                assert!(status.success() && said.contains("1 passed"), "{options:?}: {status}: {said}");
                assert_eq!(subvolumes(scratch.path()), 0, "{options:?}");
            }
            Err(reason) => hull_testskip::skip("an_ordinary_user_can_do_all_of_it", reason.to_string()),
        }
    }
    Ok(())
}

fn as_ordinary_user(dir: &Path) -> Tested {
    let base: PathBuf = dir.join("user");
    fs::create_dir(&base)?;
    let store = store(&base.join("state"));
    let at = store.create(NAME, &place(base.join("v")), &VolumeSpec::default())?;
    fill(at.path());
    let to = place(base.join("clone"));
    let clone = store.clone_volume(&at, None, &to, CloneMode::Snapshot, Access::ReadWrite)?.at;
    assert!(is_subvolume(clone.path().join("srv/a b/data/inner")));
    let to = place(base.join("snapshot"));
    let snapshot = store.clone_volume(&at, None, &to, CloneMode::Snapshot, Access::ReadOnly)?.at;
    for volume in [&at, &clone, &snapshot] {
        store.destroy(volume)?;
        assert!(!volume.path().exists());
    }
    Ok(())
}
