//! What only logical volumes have: full pools, thick snapshots, sizes, snapshots of what is mounted, inactive volumes.

use std::fs;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::process::Command;

use hull_driver_lvm::{NAME, REGISTRATION};
use hull_mount::{DetachedMount, MountGuard};
use hull_storage::{
    Access, Availability, Bytes, CloneMode, ErrorKind, Locator, Method, Outcome, Placement, Registry,
    Settings, Store, TxId, VolumeSpec,
};
use hull_storage_testkit::grounds::volume_group::VolumeGroup;

type Tested = Result<(), Box<dyn std::error::Error>>;

/// A group, a store whose volumes lie in it, and a directory to mount on.
struct Lab {
    store: Store,
    settings: Settings,
    state: tempfile::TempDir,
    group: VolumeGroup,
}

impl Lab {
    /// With a thin pool of so many MiB, if any. `None` where there can be none: `test` has said so.
    fn new(test: &str, pool: Option<u32>) -> Result<Option<Self>, Box<dyn std::error::Error>> {
        let group = match VolumeGroup::new() {
            Ok(group) => group,
            Err(reason) => {
                hull_testskip::skip(test, reason.to_string());
                return Ok(None);
            }
        };
        if let Some(size) = pool {
            let size = format!("{size}m");
            let made =
                group.run("lvcreate", &["--type", "thin-pool", "--size", &size, "--name", "pool"], &[]);
            made.map_err(|reason| reason.0)?;
        }
        let settings = Settings::default()
            .with("lxc.bdev.lvm.vg", group.name())
            .with("lxc.bdev.lvm.thin_pool", "pool")
            .with("hull.volume.size", "32M");
        let state = tempfile::tempdir()?;
        fs::create_dir(state.path().join("mnt"))?;
        let registry = Registry::default().with(REGISTRATION);
        let store = hull_storage::open(&registry, &settings, &state.path().join("state"))?;
        Ok(Some(Self { store, settings, state, group }))
    }

    fn place(&self, name: &str) -> Placement {
        Placement::exactly(&Path::new("/dev").join(self.group.name()).join(name)).expect("it has a name")
    }

    fn make(&self, name: &str) -> hull_storage::Result<Locator> {
        self.store.create(NAME, &self.place(name), &VolumeSpec::default())
    }

    fn clone(&self, from: &Locator, name: &str, access: Access) -> hull_storage::Result<Locator> {
        let to = self.place(name);
        Ok(self.store.clone_volume(from, None, &to, CloneMode::Snapshot, access)?.at)
    }

    fn mount(&self, at: &Locator, access: Access) -> Result<MountGuard, Box<dyn std::error::Error>> {
        let ready = self.store.activate(at, access)?;
        Ok(DetachedMount::build(&ready.plan, None)?.attach(rustix::fs::CWD, &self.point())?)
    }

    fn point(&self) -> std::path::PathBuf {
        self.state.path().join("mnt")
    }

    /// What `file` holds in the volume.
    fn read(&self, at: &Locator, file: &str) -> Result<String, Box<dyn std::error::Error>> {
        let ready = self.store.activate(at, Access::ReadOnly)?;
        let root = hull_storage::host::open(&ready)?;
        Ok(fs::read_to_string(hull_sys::fd::proc_path(&root).join(file))?)
    }
}

#[test]
fn a_full_pool_takes_no_more_volumes() -> Tested {
    let Some(lab) = Lab::new("a_full_pool_takes_no_more_volumes", Some(64))? else { return Ok(()) };
    let driver = (REGISTRATION.open)(&lab.settings);
    let blocks = driver.blocks().ok_or("it copies blocks")?;
    let layout = driver.new_layout(&lab.place("a"), None)?;
    blocks.create_blocks(&layout, Bytes(64 << 20), TxId(7))?;
    assert!(driver.made_by(&layout.parts[0], TxId(7))? && !driver.made_by(&layout.parts[0], TxId(8))?);
    let image = blocks.open_blocks(&layout.at, Access::ReadWrite)?;
    assert!(image.zeroed && image.size == Bytes(64 << 20));
    let mut file = fs::File::from(image.file);
    let mut start = vec![1; 1 << 16];
    file.read_exact(&mut start)?;
    assert!(start.iter().all(|b| *b == 0), "a fresh volume does not read as zeroes");
    file.seek(SeekFrom::Start(0))?;
    for _ in 0..62 {
        file.write_all(&vec![7; 1 << 20])?;
    }
    file.sync_all()?;
    drop(file);
    let clone = lab.clone(&layout.at, "b", Access::ReadWrite).unwrap_err();
    let made = lab.make("c").unwrap_err();
    for refused in [clone, made] {
        assert_eq!(refused.kind(), ErrorKind::NoSpace, "{refused}");
        assert!(refused.to_string().contains("96.8 % full") && refused.leftovers().is_empty(), "{refused}");
    }
    match (REGISTRATION.probe)(&lab.settings) {
        Availability::Ready { notes } => {
            assert!(notes.iter().any(|n| n.contains("too full for new volumes (96.8 %")), "{notes:?}");
        }
        missing @ Availability::Missing { .. } => panic!("{missing:?}"),
    }
    lab.store.destroy(&layout.at)?;
    assert!(lab.make("c").is_ok(), "what was destroyed is free again");
    let gone = lab.settings.clone().with("lxc.bdev.lvm.vg", "hull-no-such-group");
    assert!(matches!((REGISTRATION.probe)(&gone), Availability::Missing { .. }));
    let nowhere = (REGISTRATION.open)(&gone).new_layout(&Placement::in_home("/x", "a"), None)?;
    let refused = (REGISTRATION.open)(&gone).create(&nowhere, &VolumeSpec::default(), TxId(1)).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::NotFound, "{refused}");
    assert!(refused.to_string().contains("vgcreate hull-no-such-group"), "{refused}");
    Ok(())
}

#[test]
fn thick_snapshots_keep_their_origin() -> Tested {
    let Some(lab) = Lab::new("thick_snapshots_keep_their_origin", None)? else { return Ok(()) };
    let at = lab.make("a")?;
    let snapshot = lab.clone(&at, "s", Access::ReadOnly)?;
    let info = lab.store.inspect(&snapshot)?;
    assert_eq!(info.origins, [at.at().to_owned()]);
    assert!(info.access == Access::ReadOnly && info.size == Some(Bytes(32 << 20)) && info.ours);
    let refused = lab.store.destroy(&at).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::HasDependents, "{refused}");
    assert!(refused.to_string().contains("/s"), "{refused}");
    let resized = lab.store.resize(&at, Some(Bytes(64 << 20))).unwrap_err();
    assert_eq!(resized.kind(), ErrorKind::HasDependents, "{resized}");
    assert_eq!(
        lab.store.resize(&snapshot, Some(Bytes(64 << 20))).unwrap_err().kind(),
        ErrorKind::Unsupported
    );
    // Also when nothing of it is active.
    lab.group.run("lvchange", &["--activate", "n"], &[]).map_err(|reason| reason.0)?;
    assert_eq!(lab.store.destroy(&at).unwrap_err().kind(), ErrorKind::HasDependents);
    let copy = lab.store.clone_volume(
        &snapshot,
        None,
        &lab.place("c"),
        CloneMode::SnapshotElseCopy,
        Access::ReadWrite,
    )?;
    assert!(matches!(copy.method, Some(Method::BlockCopy(_))), "{:?}", copy.method);
    for volume in [&snapshot, &at, &copy.at] {
        lab.store.destroy(volume)?;
    }
    assert_eq!(VolumeGroup::volumes(lab.group.name())?, [""; 0]);
    Ok(())
}

#[test]
fn volumes_grow_and_shrink() -> Tested {
    let Some(lab) = Lab::new("volumes_grow_and_shrink", Some(512))? else { return Ok(()) };
    let at = lab.make("a")?;
    let resize = |size: u64| lab.store.resize(&at, Some(Bytes(size << 20)));
    let mount = lab.mount(&at, Access::ReadWrite)?;
    fs::write(lab.point().join("file"), "content")?;
    assert_eq!(resize(64)?, Outcome::Done);
    let free = rustix::fs::statvfs(lab.point())?;
    assert!(free.f_blocks * free.f_frsize > 50 << 20, "the file system did not grow");
    assert_eq!(resize(64)?, Outcome::AlreadyDone);
    assert_eq!(resize(32).unwrap_err().kind(), ErrorKind::InUse);
    mount.unmount()?;
    assert_eq!(resize(32)?, Outcome::Done);
    assert_eq!(lab.store.inspect(&at)?.size, Some(Bytes(32 << 20)));
    assert_eq!(resize(1).unwrap_err().kind(), ErrorKind::CannotShrink);
    assert_eq!(lab.read(&at, "file")?, "content");
    assert_eq!(lab.store.resize(&at, None).unwrap_err().kind(), ErrorKind::Unsupported);
    // Interrupted once the volume was large and its file system not yet.
    let path = at.path().to_str().ok_or("it is UTF-8")?;
    assert!(Command::new("lvextend").args(["--quiet", "--size", "48m", path]).output()?.status.success());
    assert_eq!(resize(48)?, Outcome::AlreadyDone);
    assert!(lab.store.usage(&at)?.available.ok_or("it has some")?.0 > 30 << 20, "it did not follow");
    Ok(())
}

#[test]
fn a_mounted_volume_can_be_snapshotted() -> Tested {
    let Some(lab) = Lab::new("a_mounted_volume_can_be_snapshotted", Some(2048))? else { return Ok(()) };
    for (fstype, size) in [("ext4", 32), ("xfs", 300), ("btrfs", 128)] {
        let spec = VolumeSpec {
            size: Some(Bytes(size << 20)),
            fstype: Some(fstype.into()),
            ..VolumeSpec::default()
        };
        let at = lab.store.create(NAME, &lab.place(fstype), &spec)?;
        let mount = lab.mount(&at, Access::ReadWrite)?;
        fs::write(lab.point().join("file"), "content")?;
        let snapshot = lab.clone(&at, &format!("{fstype}-s"), Access::ReadOnly)?;
        let clone = lab.clone(&at, &format!("{fstype}-c"), Access::ReadWrite)?;
        fs::write(lab.point().join("file"), "later")?;
        for copy in [&snapshot, &clone] {
            assert_eq!(lab.read(copy, "file").map_err(|e| format!("{copy}: {e}"))?, "content", "{copy}");
        }
        let written = lab.store.activate(&snapshot, Access::ReadWrite).unwrap_err();
        assert_eq!(written.kind(), ErrorKind::PermissionDenied, "{written}");
        let refused = lab.store.destroy(&at).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InUse, "{refused}");
        assert!(refused.to_string().contains(&*lab.point().to_string_lossy()), "{refused}");
        mount.unmount()?;
        // The source may go first.
        lab.store.destroy(&at)?;
        assert_eq!(lab.read(&clone, "file")?, "content");
        lab.store.destroy(&snapshot)?;
        lab.store.destroy(&clone)?;
    }
    Ok(())
}

#[test]
fn inactive_volumes_and_other_names_are_found() -> Tested {
    let Some(lab) = Lab::new("inactive_volumes_and_other_names_are_found", Some(512))? else { return Ok(()) };
    let at = lab.make("a-b")?;
    let mapped = format!("/dev/mapper/{}-a--b", lab.group.name().replace('-', "--"));
    let registry = Registry::default().with(REGISTRATION);
    assert_eq!(registry.locate(at.at())?, at);
    let other = registry.locate(mapped.as_ref())?;
    let driver = lab.store.driver(NAME)?;
    assert_eq!(driver.layout(&other)?, driver.layout(&at)?);
    assert!(!(REGISTRATION.detect)(&Path::new("/dev").join(lab.group.name()).join("pool")));
    let pool = Locator::new(NAME, format!("/dev/{}/pool", lab.group.name()));
    assert_eq!(driver.layout(&pool).unwrap_err().kind(), ErrorKind::InvalidInput);

    lab.group.run("lvchange", &["--activate", "n"], &[]).map_err(|reason| reason.0)?;
    assert!(!at.path().exists());
    assert!(lab.store.inspect(&at)?.ours);
    let clone = lab.clone(&at, "c", Access::ReadOnly)?;
    assert_eq!(lab.store.usage(&at)?.entries, 1);
    assert!(at.path().exists() && lab.store.inspect(&clone)?.access == Access::ReadOnly);
    for volume in [&at, &clone] {
        lab.store.destroy(volume)?;
    }
    assert_eq!(VolumeGroup::volumes(lab.group.name())?, ["pool"]);
    Ok(())
}
