//! What only overlays have: layers, whiteouts, two layouts on disk. On real file systems.
#![allow(clippy::unwrap_used, reason = "what cannot be set up fails the test")]

use std::error::Error;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use hull_driver_overlayfs::{Chain, NAME, OverlayDriver, REGISTRATION};
use hull_mount::{DetachedMount, MountGuard};
use hull_storage::{
    Access, CloneMode, CopyOnWrite, Driver, ErrorKind, Locator, Placement, Registry, Settings, Source, Store,
    TxId,
};
use hull_storage_testkit::unions::{self, attach, base, place};
use hull_storage_testkit::{plain, scratch};
use hull_treefixture::ScratchFs;

type Tested = Result<(), Box<dyn Error>>;

fn store(state: &Path) -> Store {
    let registry = Registry::default().with(REGISTRATION).with(plain::REGISTRATION);
    hull_storage::open(&registry, &Settings::default(), state).unwrap()
}

/// A scratch ext4 and a store, or the reason why not.
fn ground(test: &str) -> Option<(ScratchFs, Store)> {
    match ScratchFs::new("ext4", 64 << 20) {
        Ok(scratch) => {
            let store = store(&scratch.path().join("state"));
            Some((scratch, store))
        }
        Err(reason) => {
            hull_testskip::skip(test, reason);
            None
        }
    }
}

fn clone(store: &Store, from: &Locator, path: impl AsRef<Path>) -> Locator {
    unions::clone(store, NAME, from, path)
}

/// Mounts a volume at `point`.
fn mount(store: &Store, at: &Locator, point: &Path, option: Option<&str>) -> MountGuard {
    let mut plan = store.activate(at, Access::ReadWrite).unwrap().plan;
    plan.options.extend(option.map(str::to_owned));
    attach(&plan, point)
}

fn attribute(path: &Path, name: &str) -> Option<Vec<u8>> {
    let mut value = vec![0; 256];
    let length = rustix::fs::lgetxattr(path, name, &mut value).ok()?;
    value.truncate(length);
    Some(value)
}

/// Changes of every kind in a volume mounted at `point`.
fn change(point: &Path) {
    fs::remove_file(point.join("usr/bin/tool")).unwrap();
    fs::remove_dir_all(point.join("etc")).unwrap();
    fs::create_dir(point.join("etc")).unwrap();
    fs::write(point.join("etc/new"), "new").unwrap();
    fs::write(point.join("usr/lib/one"), "2").unwrap();
    fs::hard_link(point.join("usr/lib/one"), point.join("usr/lib/two")).unwrap();
}

fn require_changed(point: &Path) {
    assert!(!point.join("usr/bin/tool").exists(), "a whiteout is lost");
    assert!(!point.join("etc/hostname").exists(), "an opaque mark is lost");
    assert_eq!(fs::read_to_string(point.join("etc/new")).unwrap(), "new");
    assert_eq!(fs::read_to_string(point.join("usr/lib/two")).unwrap(), "2");
    let inode = |file: &str| fs::metadata(point.join(file)).unwrap().ino();
    assert_eq!(inode("usr/lib/one"), inode("usr/lib/two"), "a hard link is lost");
}

#[test]
fn a_clone_of_an_overlay_has_its_whiteouts_opaque_marks_and_redirects() -> Tested {
    let Some((scratch, store)) = ground("a_clone_of_an_overlay_has_its_whiteouts_opaque_marks_and_redirects")
    else {
        return Ok(());
    };
    let (top, point) = (scratch.path(), scratch.path().join("point"));
    let a = clone(&store, &base(&store, top.join("base")), top.join("a"));
    let guard = mount(&store, &a, &point, Some("redirect_dir=on"));
    change(&point);
    fs::rename(point.join("usr/lib"), point.join("usr/moved"))?;
    guard.unmount()?;

    let b = clone(&store, &a, top.join("b"));
    let delta = Chain::read(&b)?.upper;
    assert!(fs::symlink_metadata(delta.join("usr/bin/tool"))?.file_type().is_char_device());
    assert_eq!(attribute(&delta.join("etc"), "trusted.overlay.opaque").as_deref(), Some(&b"y"[..]));
    let redirect = attribute(&delta.join("usr/moved"), "trusted.overlay.redirect");
    assert_eq!(redirect.as_deref(), Some(&b"lib"[..]));

    // With the kernel's own options, as LXC mounts it.
    let guard = mount(&store, &b, &point, None);
    fs::rename(point.join("usr/moved/one"), point.join("usr/moved/three"))?;
    assert!(point.join("usr/moved/two").exists() && !point.join("usr/lib").exists());
    guard.unmount()?;
    let guard = mount(&store, &a, &point, None);
    assert!(!point.join("usr/moved/three").exists(), "the source sees its clone");
    fs::rename(point.join("usr/moved/one"), point.join("usr/one"))?;
    guard.unmount()?;
    // Read-only, the changes are a lower layer, in which all of this means the same.
    let ready = store.activate(&b, Access::ReadOnly)?;
    let guard = DetachedMount::build(&ready.plan, None)?.attach(rustix::fs::CWD, &point)?;
    assert!(!point.join("usr/bin/tool").exists() && point.join("usr/moved/three").exists());
    assert!(!point.join("etc/hostname").exists());
    guard.unmount()?;
    for volume in [&a, &b] {
        store.destroy(volume)?;
    }
    assert!(!top.join("a").exists() && !top.join("b").exists());
    Ok(())
}

/// As an ordinary user, the marks are `user.overlay.*` and the plan says so.
#[test]
fn an_ordinary_user_clones_an_overlay() -> Tested {
    if let Some(dir) = scratch::inside_user_namespace() {
        let dir = dir.join("user");
        fs::create_dir(&dir)?;
        let (store, point) = (store(&dir.join("state")), dir.join("point"));
        let a = clone(&store, &base(&store, dir.join("base")), dir.join("a"));
        assert!(store.activate(&a, Access::ReadWrite)?.plan.to_string().ends_with(",userxattr"));
        let guard = mount(&store, &a, &point, None);
        change(&point);
        guard.unmount()?;
        let b = clone(&store, &a, dir.join("b"));
        let delta = Chain::read(&b)?.upper;
        assert_eq!(attribute(&delta.join("etc"), "user.overlay.opaque").as_deref(), Some(&b"y"[..]));
        let guard = mount(&store, &b, &point, None);
        require_changed(&point);
        guard.unmount()?;
        store.destroy(&a)?;
        store.destroy(&b)?;
        return Ok(());
    }
    let Some((scratch, _)) = ground("an_ordinary_user_clones_an_overlay") else { return Ok(()) };
    let arguments = ["--exact", "an_ordinary_user_clones_an_overlay", "--nocapture"];
    match scratch::rerun_in_user_namespace(scratch.path(), &arguments) {
        Ok((status, said)) => assert!(status.success() && said.contains("1 passed"), "{status}: {said}"),
        Err(reason) => hull_testskip::skip("an_ordinary_user_clones_an_overlay", reason),
    }
    Ok(())
}

#[test]
fn a_chain_of_120_layers() -> Tested {
    let Some((scratch, store)) = ground("a_chain_of_120_layers") else { return Ok(()) };
    let top = scratch.path();
    let lower: Vec<PathBuf> = (0..120).rev().map(|n| top.join(format!("layer{n}"))).collect();
    for (n, path) in lower.iter().rev().enumerate() {
        fs::create_dir(path)?;
        fs::write(path.join(format!("file{n}")), n.to_string())?;
        fs::write(path.join("top"), n.to_string())?;
    }
    fs::create_dir_all(top.join("up/delta"))?;
    let at = Chain { lower: lower.clone(), upper: top.join("up/delta") }.locator(NAME);
    let origins = store.inspect(&at)?.origins;
    assert_eq!(origins, lower.iter().map(|l| l.clone().into_os_string()).collect::<Vec<_>>());

    let b = clone(&store, &at, top.join("b"));
    let guard = mount(&store, &b, &top.join("point"), None);
    assert_eq!(fs::read_to_string(top.join("point/top"))?, "119");
    assert_eq!(fs::read_dir(top.join("point"))?.count(), 121);
    guard.unmount()?;
    let copy = Some(plain::NAME);
    let copy = store.clone_volume(&b, copy, &place(top.join("c")), CloneMode::Copy, Access::ReadWrite)?.at;
    assert_eq!(fs::read_dir(copy.path())?.count(), 121);
    Ok(())
}

#[test]
fn more_layers_than_linux_takes_are_refused_in_words() {
    let lower: Vec<PathBuf> = (0..500).map(|n| format!("/layer{n}").into()).collect();
    let at = Chain { lower, upper: "/up/delta".into() }.locator(NAME);
    let e = OverlayDriver.new_layout(&place("/srv/x"), Some(&at)).unwrap_err();
    assert_eq!(e.kind(), ErrorKind::Unsupported);
    assert!(e.to_string().contains("500 lower layers are more than the 499"), "{e}");
}

#[test]
fn odd_names_survive_every_operation() -> Tested {
    let Some((scratch, store)) = ground("odd_names_survive_every_operation") else { return Ok(()) };
    let registry = Registry::default().with(REGISTRATION);
    for (n, name) in [
        &b"a:b"[..],
        b"colon:",
        b"back\\slash",
        b"back\\",
        b"a,b=c",
        b"a b\tc",
        b"\xff\xfe",
        b"\\:",
        b"a#b",
        b"lowerdir=x:",
    ]
    .iter()
    .enumerate()
    {
        let name = OsStr::from_bytes(name);
        let dir = scratch.path().join(n.to_string()).join(name);
        fs::create_dir_all(&dir)?;
        let source = base(&store, dir.join(name));
        let a = clone(&store, &source, dir.join("a"));
        // As a config keeps it.
        let a = registry.locate(&a.to_os_string())?;
        let b = clone(&store, &a, dir.join(OsString::from_iter([OsStr::new("b"), name])));
        let b = store.rename(&b, &place(dir.join(OsString::from_iter([OsStr::new("c"), name]))))?;
        for at in [&a, &b] {
            let point = scratch.path().join("point");
            let guard = mount(&store, at, &point, None);
            assert_eq!(fs::read_to_string(point.join("etc/hostname"))?, "base", "{name:?}");
            guard.unmount()?;
            store.destroy(at)?;
        }
        assert_eq!(fs::read_dir(&dir)?.count(), 1, "{name:?}");
    }
    Ok(())
}

#[test]
fn both_of_lxcs_layouts_are_used_renamed_and_destroyed() -> Tested {
    let Some((scratch, store)) = ground("both_of_lxcs_layouts_are_used_renamed_and_destroyed") else {
        return Ok(());
    };
    let top = scratch.path();
    let source = base(&store, top.join("base"));
    for (upper, work) in [("overlay/delta", "overlay/work"), ("delta0", "olwork")] {
        let home = top.join("c1");
        for dir in [upper, work, "rootfs"] {
            fs::create_dir_all(home.join(dir))?;
        }
        fs::write(home.join("config"), "")?;
        let at = Chain { lower: vec![source.path().into()], upper: home.join(upper) }.locator(NAME);
        let at = Registry::default().with(REGISTRATION).locate(&at.to_os_string())?;
        assert!(!store.inspect(&at)?.ours);
        let guard = mount(&store, &at, &top.join("point"), None);
        fs::write(top.join("point/mine"), "x")?;
        guard.unmount()?;

        fs::create_dir_all(top.join("c2"))?;
        let moved = store.rename(&at, &Placement::in_home(top.join("c2"), "c2"))?;
        assert_eq!(Chain::read(&moved)?.upper, top.join("c2").join(upper));
        assert!(top.join("c2").join(work).is_dir() && !home.join(work).exists());
        let guard = mount(&store, &moved, &top.join("point"), None);
        assert!(top.join("point/mine").exists());
        guard.unmount()?;
        // A clone of either is in the new layout.
        let copy = clone(&store, &moved, top.join("copy"));
        assert_eq!(Chain::read(&copy)?.upper, top.join("copy/delta"));
        assert!(top.join("copy/delta/mine").exists() && store.inspect(&copy)?.ours);
        store.destroy(&copy)?;
        store.destroy(&moved)?;
        assert_eq!(fs::read_dir(top.join("c2"))?.count(), 0);
        assert!(home.join("config").exists() && home.join("rootfs").exists());
        fs::remove_dir_all(home)?;
    }
    Ok(())
}

/// A directory that holds more than the volume is not the volume's to delete.
#[test]
fn what_lies_beside_a_volume_stays() -> Tested {
    let Some((scratch, store)) = ground("what_lies_beside_a_volume_stays") else { return Ok(()) };
    let top = scratch.path();
    let source = base(&store, top.join("base"));
    fs::create_dir_all(top.join("shared/delta"))?;
    fs::create_dir_all(top.join("shared/work"))?;
    fs::write(top.join("shared/thesis"), "years")?;
    let at = Chain { lower: vec![source.path().into()], upper: top.join("shared/delta") }.locator(NAME);
    store.destroy(&at)?;
    assert_eq!(fs::read_to_string(top.join("shared/thesis"))?, "years");
    assert_eq!(fs::read_dir(top.join("shared"))?.count(), 1);
    Ok(())
}

#[test]
fn a_missing_layer_is_named_and_the_rest_can_be_destroyed() -> Tested {
    let Some((scratch, store)) = ground("a_missing_layer_is_named_and_the_rest_can_be_destroyed") else {
        return Ok(());
    };
    let top = scratch.path();
    let source = base(&store, top.join("base"));
    let at = clone(&store, &source, top.join("a"));
    store.destroy(&source)?;
    let e = store.activate(&at, Access::ReadWrite).unwrap_err();
    assert_eq!(e.kind(), ErrorKind::NotFound);
    assert!(
        e.to_string().contains(&format!("lies over {}, which is not there", source.path().display())),
        "{e}"
    );
    store.destroy(&at)?;
    assert!(!top.join("a").exists());
    Ok(())
}

#[test]
fn a_snapshot_is_read_only_and_its_clones_are_not() -> Tested {
    let Some((scratch, store)) = ground("a_snapshot_is_read_only_and_its_clones_are_not") else {
        return Ok(());
    };
    let top = scratch.path();
    let at = clone(&store, &base(&store, top.join("base")), top.join("a"));
    let to = place(top.join("s"));
    let snapshot = store.clone_volume(&at, None, &to, CloneMode::Snapshot, Access::ReadOnly)?.at;
    assert_eq!(store.inspect(&snapshot)?.access, Access::ReadOnly);
    assert_eq!(store.activate(&snapshot, Access::ReadWrite).unwrap_err().kind(), ErrorKind::PermissionDenied);
    let _ready = store.activate(&snapshot, Access::ReadOnly)?;
    let clone = clone(&store, &snapshot, top.join("c"));
    assert_eq!(store.inspect(&clone)?.access, Access::ReadWrite);
    mount(&store, &clone, &top.join("point"), None).unmount()?;
    Ok(())
}

/// The root of the merged tree is the upper layer's: it must look like the source's.
#[test]
fn the_root_keeps_its_attributes() -> Tested {
    let Some((scratch, store)) = ground("the_root_keeps_its_attributes") else { return Ok(()) };
    let top = scratch.path();
    let source = base(&store, top.join("base"));
    fs::set_permissions(source.path(), fs::Permissions::from_mode(0o2710))?;
    std::os::unix::fs::chown(source.path(), Some(100_000), Some(100_001))?;
    fs::set_permissions(source.path(), fs::Permissions::from_mode(0o2710))?;
    rustix::fs::setxattr(source.path(), "user.note", b"hello", rustix::fs::XattrFlags::empty())?;
    let mut at = clone(&store, &source, top.join("a"));
    for name in ["b", "c"] {
        let root = Chain::read(&at)?.upper;
        let (is, should) = (fs::metadata(&root)?, fs::metadata(source.path())?);
        assert_eq!((is.mode(), is.uid(), is.gid()), (should.mode(), should.uid(), should.gid()));
        assert_eq!((is.mtime(), is.mtime_nsec()), (should.mtime(), should.mtime_nsec()));
        assert_eq!(attribute(&root, "user.note").as_deref(), Some(&b"hello"[..]));
        assert_eq!(attribute(&root, "user.hull.volume"), None);
        at = clone(&store, &at, top.join(name));
    }
    Ok(())
}

/// Cloning makes three directories: no mount comes into being, no dirty page is written.
#[test]
fn making_a_clone_mounts_nothing() -> Tested {
    let Some((scratch, store)) = ground("making_a_clone_mounts_nothing") else { return Ok(()) };
    let source = base(&store, scratch.path().join("base"));
    let to = place(scratch.path().join("a"));
    let layout = OverlayDriver.new_layout(&to, Some(&source))?;
    let driver = store.driver(plain::NAME)?;
    let from = Source { driver, at: &source };
    let before = fs::read_to_string("/proc/self/mountinfo")?;
    OverlayDriver.clone_volume(from, &layout, Access::ReadWrite, TxId(1))?;
    assert_eq!(fs::read_to_string("/proc/self/mountinfo")?, before);
    let names: Vec<_> = fs::read_dir(to.path("overlay"))?.map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names.len(), 2, "{names:?}");
    Ok(())
}

#[test]
fn places_that_overlayfs_cannot_use_are_refused_in_words() -> Tested {
    let test = "places_that_overlayfs_cannot_use_are_refused_in_words";
    let Some((scratch, store)) = ground(test) else { return Ok(()) };
    let top = scratch.path();
    let source = base(&store, top.join("base"));
    let refused = |dir: &Path, why: &str| {
        let new = store.clone_volume(
            &source,
            Some(NAME),
            &place(dir.join("x")),
            CloneMode::Snapshot,
            Access::ReadWrite,
        );
        let e = new.expect_err(why);
        assert_eq!(e.kind(), ErrorKind::Unsupported, "{e}");
        assert!(e.to_string().contains(why), "{e}");
        assert_eq!(fs::read_dir(dir).unwrap().count(), 0, "something was left behind");
    };
    // On another overlay.
    let point = top.join("point");
    let guard = mount(&store, &clone(&store, &source, top.join("a")), &point, None);
    fs::create_dir(point.join("empty"))?;
    refused(&point.join("empty"), "it is on another overlayfs");
    guard.unmount()?;
    // On ext4 that lists no types.
    let image = top.join("image");
    fs::File::create(&image)?.set_len(8 << 20)?;
    let run = |command: &mut std::process::Command| command.output().unwrap().status.success();
    assert!(run(std::process::Command::new("mkfs.ext4").args(["-qFO", "^filetype"]).arg(&image)));
    assert!(run(std::process::Command::new("mount").args(["-o", "loop"]).arg(&image).arg(&point)));
    let empty = point.join("empty");
    let _mounted = Unmount(point);
    fs::create_dir(&empty)?;
    refused(&empty, "does not tell types");
    Ok(())
}

/// Unmounts when dropped.
struct Unmount(PathBuf);

impl Drop for Unmount {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg(&self.0).status();
    }
}

#[test]
fn the_changes_cannot_lie_in_what_they_change() {
    let at = Locator::new(plain::NAME, "/srv/base");
    let e = OverlayDriver.new_layout(&place("/srv/base/sub/x"), Some(&at)).unwrap_err();
    assert_eq!(e.kind(), ErrorKind::InvalidInput);
    assert!(OverlayDriver.new_layout(&place("/srv/base2"), Some(&at)).is_ok());
}
