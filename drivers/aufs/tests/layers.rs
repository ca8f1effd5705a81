//! What only aufs volumes have, on a kernel that has aufs: whiteouts, hard links, chains, names, LXC's own mounts.
#![allow(clippy::unwrap_used, reason = "what cannot be set up fails the test")]

mod aufs {
    use std::error::Error;
    use std::ffi::OsStr;
    use std::fs;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::MetadataExt;
    use std::path::{Path, PathBuf};

    use hull_driver_aufs::{AufsDriver, Chain, NAME, REGISTRATION, has_aufs};
    use hull_mount::{DetachedMount, MountGuard, MountPlan, MountSource, Union, UpperDir};
    use hull_storage::{Access, CloneMode, Driver, ErrorKind, Locator, Placement, Registry, Settings, Store};
    use hull_storage_testkit::plain;
    use hull_storage_testkit::unions::{self, attach, base, place};
    use hull_treefixture::ScratchFs;

    type Tested = Result<(), Box<dyn Error>>;

    const FILE_SYSTEMS: [(&str, u64); 4] =
        [("ext4", 64 << 20), ("xfs", 300 << 20), ("btrfs", 128 << 20), ("tmpfs", 64 << 20)];

    /// Lets `run` do its work on each file system in turn.
    fn on_each(test: &str, run: impl Fn(&Path, &Store) -> Tested) -> Tested {
        if !has_aufs() {
            hull_testskip::skip(&format!("aufs::{test}"), "this kernel has no aufs");
            return Ok(());
        }
        for (kind, size) in FILE_SYSTEMS {
            match ScratchFs::new(kind, size) {
                Ok(scratch) => {
                    let registry = Registry::default().with(REGISTRATION).with(plain::REGISTRATION);
                    let state = scratch.path().join("state");
                    let store = hull_storage::open(&registry, &Settings::default(), &state)?;
                    run(scratch.path(), &store).map_err(|e| format!("on {kind}: {e}"))?;
                }
                Err(reason) => hull_testskip::skip(&format!("aufs::{test}::{kind}"), reason),
            }
        }
        Ok(())
    }

    fn clone(store: &Store, from: &Locator, path: impl AsRef<Path>) -> Locator {
        unions::clone(store, NAME, from, path)
    }

    /// Mounts a volume at `point`.
    fn mount(store: &Store, at: &Locator, point: &Path, access: Access) -> MountGuard {
        attach(&store.activate(at, access).unwrap().plan, point)
    }

    /// Changes of every kind in a volume mounted at `point`.
    fn change(point: &Path) {
        fs::remove_file(point.join("usr/bin/tool")).unwrap();
        fs::remove_dir_all(point.join("etc")).unwrap();
        fs::create_dir(point.join("etc")).unwrap();
        fs::write(point.join("etc/new"), "new").unwrap();
        fs::write(point.join("usr/lib/one"), "2").unwrap();
        fs::hard_link(point.join("usr/lib/one"), point.join("usr/lib/two")).unwrap();
        fs::rename(point.join("usr/lib/two"), point.join("usr/two")).unwrap();
        // A directory that lies in two branches cannot be renamed, which mv(1) is used to.
        let e = fs::rename(point.join("usr/lib"), point.join("usr/moved")).unwrap_err();
        assert_eq!(e.kind(), std::io::ErrorKind::CrossesDevices);
    }

    fn require_changed(point: &Path) {
        assert!(!point.join("usr/bin/tool").exists(), "a whiteout is lost");
        assert!(!point.join("etc/hostname").exists(), "an opaque mark is lost");
        assert!(!point.join("usr/lib/two").exists(), "a renamed file is back");
        assert_eq!(fs::read_to_string(point.join("etc/new")).unwrap(), "new");
        assert_eq!(fs::read_to_string(point.join("usr/two")).unwrap(), "2");
        let inode = |file: &str| fs::metadata(point.join(file)).unwrap().ino();
        assert_eq!(inode("usr/lib/one"), inode("usr/two"), "a hard link is lost");
    }

    #[test]
    fn a_clone_of_a_volume_sees_what_was_changed() -> Tested {
        on_each("a_clone_of_a_volume_sees_what_was_changed", |top, store| {
            let point = top.join("point");
            let a = clone(store, &base(store, top.join("base")), top.join("a"));
            let guard = mount(store, &a, &point, Access::ReadWrite);
            change(&point);
            // Also while the source is mounted.
            let live = clone(store, &a, top.join("live"));
            guard.unmount()?;
            let b = clone(store, &a, top.join("b"));
            for at in [&a, &live, &b] {
                for access in [Access::ReadOnly, Access::ReadWrite] {
                    let guard = mount(store, at, &point, access);
                    require_changed(&point);
                    guard.unmount()?;
                }
            }
            let guard = mount(store, &b, &point, Access::ReadWrite);
            fs::write(point.join("usr/lib/one"), "3")?;
            guard.unmount()?;
            let guard = mount(store, &a, &point, Access::ReadOnly);
            assert_eq!(fs::read_to_string(point.join("usr/lib/one"))?, "2", "the source sees its clone");
            guard.unmount()?;
            for at in [&a, &live, &b] {
                store.destroy(at)?;
            }
            let left: Vec<_> = ["/dev/shm", "/run", "/tmp"]
                .iter()
                .filter_map(|dir| fs::read_dir(dir).ok())
                .flat_map(|entries| entries.flatten().map(|entry| entry.file_name()))
                .filter(|name| name.to_string_lossy().contains("xino"))
                .collect();
            assert!(left.is_empty(), "left behind: {left:?}");
            Ok(())
        })
    }

    /// The options of LXC, to the byte but for the paths, and a volume that LXC made.
    #[test]
    fn lxcs_own_mount_and_volume_are_ours() -> Tested {
        on_each("lxcs_own_mount_and_volume_are_ours", |top, store| {
            fs::create_dir(top.join("c0"))?;
            let (point, lower) = (top.join("point"), base(store, top.join("c0/rootfs")));
            let upper = top.join("c1/delta0");
            fs::create_dir_all(&upper)?;
            fs::create_dir_all(&point)?;
            let options =
                format!("br={}=rw:{}=ro,xino=/dev/shm/aufs.xino", upper.display(), lower.path().display());
            let lxc = |command: &mut std::process::Command| assert!(command.status().unwrap().success());
            lxc(std::process::Command::new("mount")
                .args(["-i", "-t", "aufs", "-o", &options])
                .arg(lower.path())
                .arg(&point));
            change(&point);
            let at = Chain { lower: vec![lower.path().into()], upper: upper.clone() }.locator(NAME);
            let e = store.destroy(&at).unwrap_err();
            assert_eq!(e.kind(), ErrorKind::InUse, "{e}");
            lxc(std::process::Command::new("umount").arg(&point));

            let guard = mount(store, &at, &point, Access::ReadWrite);
            require_changed(&point);
            guard.unmount()?;
            fs::create_dir(top.join("c2"))?;
            let moved = store.rename(&at, &Placement::in_home(top.join("c2"), "c2"))?;
            assert_eq!(Chain::read(&moved)?.upper, top.join("c2/delta0"));
            let guard = mount(store, &moved, &point, Access::ReadWrite);
            require_changed(&point);
            guard.unmount()?;
            store.destroy(&moved)?;
            assert_eq!(fs::read_dir(top.join("c2"))?.count(), 0);
            Ok(())
        })
    }

    /// Also when nobody but aufs knows of the mount, as when it is in a container's mount namespace.
    #[test]
    fn a_mounted_volume_is_not_destroyed() -> Tested {
        on_each("a_mounted_volume_is_not_destroyed", |top, store| {
            let at = clone(store, &base(store, top.join("base")), top.join("a"));
            let detached = DetachedMount::build(&store.activate(&at, Access::ReadWrite)?.plan, None)?;
            let e = store.destroy(&at).unwrap_err();
            assert_eq!(e.kind(), ErrorKind::InUse);
            assert!(e.to_string().contains("is a layer of what is mounted somewhere"), "{e}");
            drop(detached);
            store.destroy(&at)?;
            Ok(())
        })
    }

    #[test]
    fn a_chain_as_deep_as_is_offered() -> Tested {
        on_each("a_chain_as_deep_as_is_offered", |top, store| {
            let lower: Vec<PathBuf> = (0..80).rev().map(|n| top.join(format!("layer{n}"))).collect();
            for (n, path) in lower.iter().rev().enumerate() {
                fs::create_dir(path)?;
                fs::write(path.join(format!("file{n}")), n.to_string())?;
                fs::write(path.join("top"), n.to_string())?;
            }
            // A layer that was an upper one: what it deleted stays deleted.
            fs::write(lower[0].join(".wh.file0"), "")?;
            fs::create_dir(top.join("up"))?;
            let at = Chain { lower: lower.clone(), upper: top.join("up") }.locator(NAME);
            let origins = store.inspect(&at)?.origins;
            assert_eq!(origins, lower.iter().map(|l| l.clone().into_os_string()).collect::<Vec<_>>());
            let b = clone(store, &at, top.join("b"));
            for access in [Access::ReadWrite, Access::ReadOnly] {
                let guard = mount(store, &b, &top.join("point"), access);
                assert_eq!(fs::read_to_string(top.join("point/top"))?, "79");
                assert_eq!(fs::read_dir(top.join("point"))?.count(), 80);
                guard.unmount()?;
            }
            Ok(())
        })
    }

    #[test]
    fn odd_names_survive_every_operation() -> Tested {
        on_each("odd_names_survive_every_operation", |top, store| {
            let registry = Registry::default().with(REGISTRATION);
            let long = "n".repeat(230);
            for (n, name) in [
                &b"a:b"[..],
                b"colon:",
                b"back\\slash",
                b"back\\",
                b"a,b=c",
                b"a b\tc",
                b"\xff\xfe",
                b"=rw:",
                b"a#b",
            ]
            .into_iter()
            .chain([long.as_bytes()])
            .enumerate()
            {
                let name = OsStr::from_bytes(name);
                let dir = top.join(n.to_string()).join(name);
                fs::create_dir_all(&dir)?;
                let a = clone(store, &base(store, dir.join(name)), dir.join("a"));
                // As a config keeps it.
                let a = registry.locate(&a.to_os_string())?;
                let b = store.rename(&clone(store, &a, dir.join("b")), &place(dir.join("c")))?;
                for at in [&a, &b] {
                    for access in [Access::ReadOnly, Access::ReadWrite] {
                        let guard = mount(store, at, &top.join("point"), access);
                        assert_eq!(fs::read_to_string(top.join("point/etc/hostname"))?, "base", "{name:?}");
                        guard.unmount()?;
                    }
                    store.destroy(at)?;
                }
                assert_eq!(fs::read_dir(&dir)?.count(), 1, "{name:?}");
            }
            Ok(())
        })
    }

    #[test]
    fn what_aufs_cannot_lie_over_is_refused_in_words() -> Tested {
        on_each("what_aufs_cannot_lie_over_is_refused_in_words", |top, store| {
            let source = base(store, top.join("base"));
            for dir in ["up", "work"] {
                fs::create_dir(top.join(dir))?;
            }
            let union = |flavour, work: Option<&str>| {
                let upper = UpperDir { upper: top.join("up"), work: work.map(|work| top.join(work)) };
                let lower = vec![source.path().to_owned()];
                MountPlan::new(MountSource::Union { flavour, lower, upper: Some(upper) }, Access::ReadWrite)
            };
            let xino = AufsDriver
                .activate(
                    &Chain { lower: vec![source.path().into()], upper: top.join("up") }.locator(NAME),
                    Access::ReadOnly,
                )?
                .plan
                .options;
            let aufs = xino.into_iter().fold(union(Union::Aufs, None), MountPlan::option);
            for (plan, why) in [(union(Union::Overlay, Some("work")), "overlayfs"), (aufs, "another aufs")] {
                let point = top.join("point");
                let guard = attach(&plan, &point);
                fs::create_dir(point.join("tree"))?;
                let over = Locator::new(plain::NAME, point.join("tree"));
                for (from, to) in [(&over, top.join("x")), (&source, point.join("x"))] {
                    let (into, mode) = (Some(NAME), CloneMode::Snapshot);
                    let e = store.clone_volume(from, into, &place(&to), mode, Access::ReadWrite).unwrap_err();
                    assert_eq!(e.kind(), ErrorKind::Unsupported, "{e}");
                    assert!(e.to_string().contains(&format!("which is on {why}")), "{e}");
                    assert!(!to.exists(), "something was left behind");
                }
                fs::remove_dir(point.join("tree"))?;
                guard.unmount()?;
            }
            Ok(())
        })
    }
}
