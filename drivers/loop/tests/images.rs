//! What only images have: loop devices, sizes, journals, whatever else a file can hold. On real file systems.
#![allow(clippy::unwrap_used, reason = "what cannot be set up fails the test")]

use std::error::Error;
use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use hull_command::{Output, Runner, Streams, Tool, ToolCommand};
use hull_driver_loop::{LoopDriver, NAME, REGISTRATION};
use hull_mount::{DetachedMount, MountSource};
use hull_storage::{
    Access, Activation, Blocks, Bytes, CloneMode, Cost, Driver, ErrorKind, Layout, Locator, Method,
    NewVolume, Outcome, Placement, Registry, Resource, Settings, Store, TxId, VolumeSpec, host,
};
use hull_storage_testkit::plain;
use hull_sys::fd::proc_path;
use hull_sys::loopdev::{self, LoopDevice};
use hull_treefixture::ScratchFs;

type Tested = Result<(), Box<dyn Error>>;

const MIB: u64 = 1 << 20;

/// A scratch file system of the kind `kind` and a store, or the reason why not.
fn ground(test: &str, kind: &str) -> Option<(ScratchFs, Store)> {
    match ScratchFs::new(kind, 16 << 30) {
        Ok(scratch) => {
            let registry = Registry::default().with(REGISTRATION).with(plain::REGISTRATION);
            let store =
                hull_storage::open(&registry, &Settings::default(), &scratch.path().join("state")).unwrap();
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

fn spec(fstype: &str, mebibytes: u64) -> VolumeSpec {
    VolumeSpec { size: Some(Bytes(mebibytes * MIB)), fstype: Some(fstype.into()), owner: None }
}

/// The new volume `name` with the file system `fstype`.
fn make(store: &Store, dir: &Path, name: &str, fstype: &str, mebibytes: u64) -> Locator {
    store.create(NAME, &place(dir.join(name)), &spec(fstype, mebibytes)).unwrap()
}

/// A volume that is mounted nowhere and can be looked into.
struct Open {
    root: rustix::fd::OwnedFd,
    ready: Activation,
}

impl Open {
    fn new(store: &Store, at: &Locator, access: Access) -> hull_storage::Result<Self> {
        let ready = store.activate(at, access)?;
        Ok(Self { root: host::open(&ready)?, ready })
    }

    fn path(&self) -> PathBuf {
        proc_path(&self.root).join(".")
    }

    fn device(&self) -> PathBuf {
        device_of(&self.ready)
    }
}

fn device_of(ready: &Activation) -> PathBuf {
    match &ready.plan.source {
        MountSource::Filesystem { source, .. } => source.clone(),
        other => panic!("{other:?} is no device"),
    }
}

fn write(store: &Store, at: &Locator, content: impl AsRef<[u8]>) {
    fs::write(Open::new(store, at, Access::ReadWrite).unwrap().path().join("file"), content).unwrap();
}

fn read(store: &Store, at: &Locator) -> Vec<u8> {
    fs::read(Open::new(store, at, Access::ReadOnly).unwrap().path().join("file")).unwrap()
}

fn clone(store: &Store, at: &Locator, to: PathBuf, access: Access) -> hull_storage::Result<NewVolume> {
    store.clone_volume(at, None, &place(to), CloneMode::SnapshotElseCopy, access)
}

fn taken(at: &Locator) -> u64 {
    let file = File::open(at.path()).unwrap();
    file.sync_all().unwrap();
    file.metadata().unwrap().blocks() * 512
}

/// Data that no file system can make smaller.
fn noise(mebibytes: u64) -> Vec<u8> {
    (0..mebibytes * MIB).map(|n| ((n * 2_654_435_761) >> 13) as u8).collect()
}

/// What stock LXC makes: an image of one byte more than its size, with a file system made right on it.
#[test]
fn stocks_images_are_volumes() -> Tested {
    let Some((scratch, store)) = ground("stocks_images_are_volumes", "ext4") else { return Ok(()) };
    let path = scratch.path().join("rootdev");
    File::create(&path)?.write_at(b"1", 64 * MIB)?;
    assert!(Command::new("mkfs.ext4").arg("-q").arg(&path).status()?.success());
    let registry = Registry::default().with(REGISTRATION);
    let at = registry.locate(path.as_os_str())?;
    assert_eq!(at, Locator::new(NAME, &path), "a bare path of a regular file");
    write(&store, &at, "content");
    let info = store.inspect(&at)?;
    assert!(!info.ours && info.size == Some(Bytes(64 * MIB + 1)));
    let copy = clone(&store, &at, scratch.path().join("copy"), Access::ReadWrite)?.at;
    assert_eq!(store.inspect(&copy)?.size, info.size, "neither 1 GiB nor anything else");
    assert_eq!(read(&store, &copy), b"content");
    store.resize(&copy, Some(Bytes(96 * MIB)))?;
    assert_eq!(read(&store, &copy), b"content");
    store.destroy(&at)?;
    assert!(!path.exists());
    Ok(())
}

/// A copy that is about to be written to keeps its device: attaching it again would have the kernel write all of it out.
/// What the device shows is the copy, not what was there before; and it goes with the transaction.
#[test]
fn a_copy_keeps_its_device_until_it_is_complete() -> Tested {
    let Some((scratch, store)) = ground("a_copy_keeps_its_device_until_it_is_complete", "ext4") else {
        return Ok(());
    };
    let at = make(&store, scratch.path(), "a", "ext4", 64);
    write(&store, &at, noise(16));
    for succeeds in [true, false] {
        let to = scratch.path().join(format!("copy-{succeeds}"));
        let done = store.transact("clone", |tx| {
            let mode = CloneMode::Copy;
            let new = store.plan_clone(&at, None, &place(&to), mode, Access::ReadWrite, tx.id())?;
            tx.perform(new.plan)?;
            let device = || attached(Path::new(new.at.path()));
            let first = device();
            assert_eq!(first.len(), 1, "it keeps its device");
            let ready = store.activate_to_fill(&new.at)?;
            assert_eq!(device_of(&ready), first[0]);
            fs::write(Open { root: host::open(&ready)?, ready }.path().join("name"), "copy").unwrap();
            assert_eq!(device(), first, "it is unmounted, and still has its device");
            if succeeds { Ok(new.at) } else { Err(hull_storage::Error::new(ErrorKind::Cancelled, "no")) }
        });
        match done {
            Ok(copy) => {
                store.resize(&copy, Some(Bytes(96 * MIB)))?;
                assert_eq!(read(&store, &copy), noise(16));
                assert_eq!(
                    fs::read(Open::new(&store, &copy, Access::ReadOnly)?.path().join("name"))?,
                    b"copy"
                );
            }
            Err(e) => assert!(e.kind() == ErrorKind::Cancelled && !to.exists(), "{e}"),
        }
    }
    Ok(())
}

/// The devices that show the image `path`.
fn attached(path: &Path) -> Vec<PathBuf> {
    let image = File::open(path).unwrap();
    loopdev::attached_to(&image).unwrap().iter().map(LoopDevice::path).collect()
}

#[test]
fn clones_share_blocks_where_the_host_can() -> Tested {
    for (host, inner) in [("xfs", "ext4"), ("xfs", "xfs"), ("btrfs", "btrfs")] {
        let Some((scratch, store)) = ground("clones_share_blocks_where_the_host_can", host) else {
            return Ok(());
        };
        let at = make(&store, scratch.path(), "a", inner, 1024);
        let data = noise(100);
        write(&store, &at, &data);
        let total = || {
            rustix::fs::syncfs(File::open(scratch.path())?)?;
            let status = rustix::fs::statvfs(scratch.path())?;
            Ok::<u64, std::io::Error>((status.f_blocks - status.f_bfree) * status.f_frsize)
        };
        let before = total()?;
        let new = clone(&store, &at, scratch.path().join("b"), Access::ReadWrite)?;
        assert!(matches!(new.method, Some(Method::Clone(offer)) if offer.cost == Cost::Constant));
        let grown = total()? - before;
        // The new UUID of an xfs takes a new log.
        let most = if inner == "xfs" { 80 } else { 8 } * MIB;
        assert!(grown < most, "{inner} on {host}: the clone takes {grown} bytes");
        assert!(read(&store, &new.at) == data);
        let usage = store.usage(&new.at)?;
        assert!(usage.total.0 > 100 * MIB, "{inner} on {host}: {usage:?}");
        assert!(usage.exclusive.unwrap().0 < most, "{inner} on {host}: {usage:?}");
        let before = total()?;
        let snapshot = clone(&store, &at, scratch.path().join("s"), Access::ReadOnly)?;
        let grown = total()? - before;
        assert!(grown < 8 * MIB, "{inner} on {host}: the snapshot takes {grown} bytes");
        assert!(read(&store, &snapshot.at) == data);
        // Both can be mounted side by side, and are two.
        let both =
            [Open::new(&store, &at, Access::ReadWrite)?, Open::new(&store, &new.at, Access::ReadWrite)?];
        fs::write(both[0].path().join("own"), "")?;
        assert!(!both[1].path().join("own").exists(), "{inner} on {host}");
    }
    Ok(())
}

#[test]
fn sparse_images_stay_sparse() -> Tested {
    let Some((scratch, store)) = ground("sparse_images_stay_sparse", "ext4") else { return Ok(()) };
    let at = store.create(NAME, &place(scratch.path().join("a")), &VolumeSpec::default())?;
    assert_eq!(store.inspect(&at)?.size, Some(Bytes(1 << 30)), "LXC's size");
    assert!(taken(&at) < 8 * MIB, "an empty volume takes {} bytes", taken(&at));
    write(&store, &at, noise(10));
    let copy = clone(&store, &at, scratch.path().join("b"), Access::ReadWrite)?;
    assert!(matches!(copy.method, Some(Method::Clone(offer)) if offer.cost == Cost::PerByte));
    assert!(taken(&copy.at) <= taken(&at), "{} bytes became {}", taken(&at), taken(&copy.at));
    // What is deleted inside gives its space back when the file system is asked to (fstrim(8), mount -o discard).
    let ready = store.activate(&copy.at, Access::ReadWrite)?;
    hull_sys::private::with_private_mounts(|| {
        let mount = DetachedMount::build(&ready.plan, None).unwrap();
        let _guard = mount.attach(rustix::fs::CWD, Path::new("/mnt")).unwrap();
        fs::remove_file("/mnt/file").unwrap();
        rustix::fs::syncfs(File::open("/mnt").unwrap()).unwrap();
        assert!(Command::new("fstrim").arg("/mnt").status().unwrap().success());
    })?;
    drop(ready);
    assert!(taken(&copy.at) < 8 * MIB, "{} bytes stay", taken(&copy.at));
    Ok(())
}

/// Two devices for one image would have two caches, and tear the file system.
#[test]
fn an_image_is_attached_once() -> Tested {
    let Some((scratch, store)) = ground("an_image_is_attached_once", "ext4") else { return Ok(()) };
    let at = make(&store, scratch.path(), "a", "ext4", 32);
    for _ in 0..20 {
        let start = std::sync::Barrier::new(6);
        let devices: Vec<PathBuf> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..6)
                .map(|_| {
                    scope.spawn(|| {
                        start.wait();
                        let ready = LoopDriver::new(&Settings::default()).activate(&at, Access::ReadWrite);
                        let ready = ready.unwrap();
                        start.wait();
                        device_of(&ready)
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(devices.iter().all(|device| *device == devices[0]), "{devices:?}");
    }
    // A device that another program attached serves, too.
    assert_eq!(LoopDriver::new(&Settings::default()).user(&at)?, None);
    let theirs = Command::new("losetup").args(["--find", "--show"]).arg(at.path()).output()?;
    let theirs = PathBuf::from(String::from_utf8(theirs.stdout)?.trim());
    assert_eq!(Open::new(&store, &at, Access::ReadWrite)?.device(), theirs);
    let refused = store.destroy(&at).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InUse);
    assert!(refused.to_string().contains(&*theirs.to_string_lossy()), "{refused}");
    assert!(Command::new("losetup").arg("--detach").arg(&theirs).status()?.success());
    // One that shows a part of it, or can only be read, does not.
    for arguments in [&["--read-only"][..], &["--offset", "4096"]] {
        let theirs =
            Command::new("losetup").args(["--find", "--show"]).args(arguments).arg(at.path()).output()?;
        let refused = store.activate(&at, Access::ReadWrite).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InUse, "{refused}");
        let theirs = String::from_utf8(theirs.stdout)?;
        assert!(Command::new("losetup").args(["--detach", theirs.trim()]).status()?.success());
    }
    store.destroy(&at)?;
    Ok(())
}

#[test]
fn a_mounted_volume_is_used_whoever_mounts_it() -> Tested {
    let test = "a_mounted_volume_is_used_whoever_mounts_it";
    let Some((scratch, store)) = ground(test, "ext4") else { return Ok(()) };
    let at = make(&store, scratch.path(), "a", "ext4", 32);
    let driver = LoopDriver::new(&Settings::default());
    assert_eq!(driver.user(&at)?, None);
    hull_sys::private::with_private_mounts(|| {
        // Nobody else sees this mount.
        let ready = driver.activate(&at, Access::ReadWrite).unwrap();
        let mount = DetachedMount::build(&ready.plan, None).unwrap();
        let _guard = mount.attach(rustix::fs::CWD, Path::new("/mnt")).unwrap();
        drop(ready);
        let refused = std::thread::scope(|scope| scope.spawn(|| store.destroy(&at)).join().unwrap());
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::InUse);
        assert_eq!(driver.stable_size(&at).unwrap(), None);
        assert_eq!(driver.open_blocks(&at, Access::ReadOnly).unwrap_err().kind(), ErrorKind::InUse);
    })?;
    assert_eq!(driver.stable_size(&at)?, Some(Bytes(32 * MIB)));
    store.destroy(&at)?;
    Ok(())
}

/// A clone of a volume that is being written to holds what was written before, whatever the file system holds back.
#[test]
fn a_volume_in_use_is_cloned_as_it_is() -> Tested {
    for (host, inner, size) in
        [("xfs", "ext4", 64), ("xfs", "xfs", 300), ("btrfs", "btrfs", 128), ("ext4", "ext4", 64)]
    {
        let Some((scratch, store)) = ground("a_volume_in_use_is_cloned_as_it_is", host) else {
            return Ok(());
        };
        let at = make(&store, scratch.path(), "a", inner, size);
        let open = Open::new(&store, &at, Access::ReadWrite)?;
        fs::write(open.path().join("file"), "not synced")?;
        let snapshot = clone(&store, &at, scratch.path().join("s"), Access::ReadOnly)?;
        fs::write(open.path().join("file"), "later")?;
        assert_eq!(read(&store, &snapshot.at), b"not synced", "{inner} on {host}");
        assert_eq!(store.inspect(&snapshot.at)?.size, Some(Bytes(size * MIB)), "{inner} on {host}");
        let shared = matches!(snapshot.method, Some(Method::Clone(_)));
        assert_eq!(shared, host != "ext4", "{inner} on {host}: {:?}", snapshot.method);
        if shared {
            // Its device can only be read, so its journal was replayed before.
            let again = Open::new(&store, &snapshot.at, Access::ReadOnly)?;
            let device = File::open(again.device())?;
            let number = again.device().to_string_lossy().trim_start_matches("/dev/loop").parse()?;
            assert!(LoopDevice::open(number)?.status()?.read_only, "{device:?}");
            let of_it = clone(&store, &snapshot.at, scratch.path().join("c"), Access::ReadWrite)?;
            assert!(matches!(of_it.method, Some(Method::Clone(_))));
            assert_eq!(read(&store, &of_it.at), b"not synced", "{inner} on {host}");
            write(&store, &of_it.at, "its own");
            assert_eq!(
                store.activate(&snapshot.at, Access::ReadWrite).unwrap_err().kind(),
                ErrorKind::PermissionDenied
            );
        }
    }
    Ok(())
}

#[test]
fn volumes_grow_and_shrink_with_their_file_systems() -> Tested {
    let test = "volumes_grow_and_shrink_with_their_file_systems";
    let Some((scratch, store)) = ground(test, "ext4") else { return Ok(()) };
    // The file system, its size, a larger and a smaller one that fits (0: none does), one that is too small.
    for (fstype, size, larger, smaller, too_small) in
        [("ext4", 64, 128, 48, 12), ("btrfs", 300, 400, 280, 100), ("xfs", 300, 400, 0, 300)]
    {
        let at = make(&store, scratch.path(), fstype, fstype, size);
        let data = noise(10);
        write(&store, &at, &data);
        let holds = |mebibytes: u64, what: &str| {
            assert_eq!(store.inspect(&at).unwrap().size, Some(Bytes(mebibytes * MIB)), "{fstype}: {what}");
            let open = Open::new(&store, &at, Access::ReadOnly).unwrap();
            assert!(fs::read(open.path().join("file")).unwrap() == data, "{fstype}: {what}");
            let status = rustix::fs::statvfs(open.path()).unwrap();
            let total = status.f_blocks * status.f_frsize;
            assert!(total <= mebibytes * MIB, "{fstype}: {what}: {total}");
            assert!(total > mebibytes * MIB * 6 / 10, "{fstype}: {what}: {total}");
        };
        assert_eq!(store.resize(&at, Some(Bytes(size * MIB)))?, Outcome::AlreadyDone);
        assert_eq!(store.resize(&at, Some(Bytes(larger * MIB)))?, Outcome::Done);
        holds(larger, "grown");
        let refused = store.resize(&at, Some(Bytes(too_small * MIB))).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::CannotShrink, "{refused}");
        assert_eq!(refused.to_string().lines().count(), 1, "{refused}");
        holds(larger, "not shrunk");
        if smaller > 0 {
            assert_eq!(store.resize(&at, Some(Bytes(smaller * MIB)))?, Outcome::Done);
            holds(smaller, "shrunk");
            assert_eq!(store.resize(&at, Some(Bytes(smaller * MIB)))?, Outcome::AlreadyDone);
        }
        // Died between the two halves of growing: the image is larger, the file system is not yet.
        File::options().write(true).open(at.path())?.set_len(500 * MIB)?;
        assert_eq!(store.resize(&at, Some(Bytes(500 * MIB)))?, Outcome::Done);
        holds(500, "grown in two halves");
        assert_eq!(store.resize(&at, None).unwrap_err().kind(), ErrorKind::InvalidInput);
    }
    Ok(())
}

#[test]
fn a_mounted_volume_grows_and_does_not_shrink() -> Tested {
    let test = "a_mounted_volume_grows_and_does_not_shrink";
    let Some((scratch, store)) = ground(test, "ext4") else { return Ok(()) };
    for fstype in ["xfs", "btrfs", "ext4"] {
        let at = make(&store, scratch.path(), fstype, fstype, 300);
        let open = Open::new(&store, &at, Access::ReadWrite)?;
        let refused = store.resize(&at, Some(Bytes(280 * MIB))).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InUse, "{fstype}: {refused}");
        match store.resize(&at, Some(Bytes(600 * MIB))) {
            // ext4 wants CAP_SYS_RESOURCE for it.
            Err(e) if fstype == "ext4" && e.kind() == ErrorKind::InUse => {
                drop(open);
                store.resize(&at, Some(Bytes(600 * MIB)))?;
            }
            grown => {
                grown?;
                let status = rustix::fs::statvfs(open.path())?;
                assert!(status.f_blocks * status.f_frsize > 500 * MIB, "{fstype}");
            }
        }
    }
    Ok(())
}

/// Whatever a file holds, one line says what is wrong with it, and it can be destroyed.
#[test]
fn a_hostile_image_is_refused_in_one_line() -> Tested {
    let Some((scratch, store)) = ground("a_hostile_image_is_refused_in_one_line", "ext4") else {
        return Ok(());
    };
    let whole = make(&store, scratch.path(), "whole", "ext4", 32);
    let mut superblock = vec![0; 4096];
    File::open(whole.path())?.read_at(&mut superblock, 0)?;
    let mut broken = superblock.clone();
    broken[1024 + 0x20..1024 + 0x38].fill(0xff);
    let mut xfs = noise(1);
    xfs[..4].copy_from_slice(b"XFSB");
    let mut btrfs = noise(1);
    btrfs[(64 << 10) + 0x40..][..8].copy_from_slice(b"_BHRfS_M");
    let images: [(&str, Vec<u8>); 7] = [
        ("empty", Vec::new()),
        ("noise", noise(1)),
        ("zeroes", vec![0; 1 << 20]),
        ("truncated", superblock),
        ("broken", [broken, vec![0; 32 << 20]].concat()),
        ("xfs", xfs),
        ("btrfs", btrfs),
    ];
    for (name, bytes) in images {
        let path = scratch.path().join(name);
        fs::write(&path, bytes)?;
        let at = Locator::new(NAME, &path);
        let Err(refused) = Open::new(&store, &at, Access::ReadWrite) else {
            panic!("{name} was mounted");
        };
        assert_eq!(refused.to_string().lines().count(), 1, "{name}: {refused}");
        assert!(refused.to_string().len() < 500, "{name}: {refused}");
        let usage = store.usage(&at)?;
        assert_eq!(usage.entries, 0, "{name}");
        let _ = store.resize(&at, Some(Bytes(64 * MIB))).unwrap_err();
        store.destroy(&at)?;
    }
    let text = |e: hull_storage::Error| e.to_string();
    let dir = Locator::new(NAME, scratch.path());
    assert_eq!(store.activate(&dir, Access::ReadOnly).unwrap_err().kind(), ErrorKind::InvalidInput);
    let fifo = scratch.path().join("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status()?.success());
    let said = text(store.activate(&Locator::new(NAME, &fifo), Access::ReadOnly).unwrap_err());
    assert!(said.contains("no regular file"), "{said}");
    Ok(())
}

#[test]
fn what_cannot_be_made_is_refused_before_anything_is() -> Tested {
    let test = "what_cannot_be_made_is_refused_before_anything_is";
    let Some((scratch, store)) = ground(test, "ext4") else { return Ok(()) };
    for (spec, kind, says) in [
        (spec("ntfs", 64), ErrorKind::InvalidInput, "ext2, ext3, ext4, xfs, btrfs"),
        (spec("xfs", 64), ErrorKind::InvalidInput, "300.0 MiB"),
        (spec("btrfs", 64), ErrorKind::InvalidInput, "109.0 MiB"),
        (spec("ext4", 1), ErrorKind::InvalidInput, "8.0 MiB"),
        (spec("ext4", 1 << 30), ErrorKind::Os, "1.0 PiB"),
    ] {
        let refused = store.create(NAME, &place(scratch.path().join("a")), &spec).unwrap_err();
        assert!(
            refused.kind() == kind && refused.to_string().contains(says),
            "{:?}: {refused}",
            refused.kind()
        );
        assert_eq!(refused.to_string().lines().count(), 1, "{refused}");
        let left = fs::read_dir(scratch.path())?
            .flatten()
            .any(|e| e.file_name().to_string_lossy().contains(".new-"));
        assert!(!left, "{refused}");
    }
    Ok(())
}

/// A machine without any program.
#[derive(Debug)]
struct Bare;

impl Runner for Bare {
    fn attempt_with(&self, command: &ToolCommand, _: Streams<'_>) -> hull_storage::Result<Output> {
        let tool = command.tool();
        let text = format!("the program {} is not installed: install {}", tool.program, tool.package);
        Err(hull_storage::Error::new(ErrorKind::ToolMissing, text))
    }

    fn has(&self, _tool: Tool) -> bool {
        false
    }
}

#[test]
fn a_missing_program_is_named_with_its_package() -> Tested {
    let test = "a_missing_program_is_named_with_its_package";
    let Some((scratch, _)) = ground(test, "ext4") else { return Ok(()) };
    let driver = LoopDriver::running(&Settings::default(), Arc::new(Bare));
    for (fstype, program, package) in [
        ("ext4", "mkfs.ext4", "e2fsprogs"),
        ("xfs", "mkfs.xfs", "xfsprogs"),
        ("btrfs", "mkfs.btrfs", "btrfs-progs"),
    ] {
        let path = scratch.path().join(fstype);
        let layout = Layout { at: Locator::new(NAME, &path), parts: vec![Resource::new(NAME, &path)] };
        let refused = driver.create(&layout, &spec(fstype, 300), TxId(1)).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ToolMissing);
        let said = refused.to_string();
        assert!(said.contains(program) && said.contains(package) && said.contains(fstype), "{said}");
    }
    Ok(())
}

/// Volumes of other stores of images and devices come block by block.
#[test]
fn adopted_blocks_are_a_volume_of_their_own() -> Tested {
    for (fstype, size) in [("ext4", 32), ("xfs", 300), ("btrfs", 200)] {
        let test = "adopted_blocks_are_a_volume_of_their_own";
        let Some((scratch, store)) = ground(test, "ext4") else { return Ok(()) };
        let driver = LoopDriver::new(&Settings::default());
        let at = make(&store, scratch.path(), "a", fstype, size);
        write(&store, &at, "content");
        let path = scratch.path().join("b");
        let copy = Locator::new(NAME, &path);
        let layout = driver.new_layout(&place(&path), None)?;
        driver.create_blocks(&layout, Bytes((size + 100) * MIB), TxId(1))?;
        {
            let (from, to) =
                (driver.open_blocks(&at, Access::ReadOnly)?, driver.open_blocks(&copy, Access::ReadWrite)?);
            assert!(to.zeroed && from.size == Bytes(size * MIB));
            let bytes = fs::read(proc_path(&from.file))?;
            fs::write(proc_path(&to.file), bytes)?;
            File::options().write(true).open(&path)?.set_len((size + 100) * MIB)?;
        }
        driver.adopt_blocks(&copy)?;
        driver.adopt_blocks(&copy)?;
        let _beside = Open::new(&store, &at, Access::ReadWrite)?;
        assert_eq!(read(&store, &copy), b"content", "{fstype}");
        let open = Open::new(&store, &copy, Access::ReadOnly)?;
        let status = rustix::fs::statvfs(open.path())?;
        assert!(status.f_blocks * status.f_frsize > (size + 20) * MIB, "{fstype}: it did not grow");
    }
    Ok(())
}

/// A copy of another store's tree is as large as this store makes them, a copy of an image's as large as the image.
#[test]
fn copies_of_trees_have_a_size() -> Tested {
    let Some((scratch, store)) = ground("copies_of_trees_have_a_size", "ext4") else { return Ok(()) };
    let dir = store.create(plain::NAME, &place(scratch.path().join("d")), &VolumeSpec::default())?;
    fs::write(dir.path().join("file"), "content")?;
    let to = place(scratch.path().join("a"));
    let copy = store.clone_volume(&dir, Some(NAME), &to, CloneMode::Copy, Access::ReadWrite)?;
    assert_eq!((copy.method, store.inspect(&copy.at)?.size), (Some(Method::TreeCopy), Some(Bytes(1 << 30))));
    assert_eq!(read(&store, &copy.at), b"content");
    let back = place(scratch.path().join("e"));
    let back = store.clone_volume(&copy.at, Some(plain::NAME), &back, CloneMode::Copy, Access::ReadWrite)?;
    assert_eq!(fs::read(back.at.path().join("file"))?, b"content");
    assert!(loopdev::attached_to(File::open(copy.at.path())?)?.is_empty());
    Ok(())
}
