//! What only zfs has, on a real pool: snapshots between volumes, holds, keys, mount points, streams.
#![allow(clippy::unwrap_used, reason = "what cannot be set up fails the test")]

use std::error::Error;
use std::fs;
use std::io::{Read, Seek, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::PathBuf;

use hull_driver_zfs::{NAME, REGISTRATION};
use hull_mount::{DetachedMount, table};
use hull_storage::{
    Access, Activation, Bytes, CloneMode, ErrorKind, Locator, Method, Placement, Registry, Resource,
    Settings, Store, TxId, VolumeSpec, host,
};

use hull_storage_testkit::grounds::zpool::{TestPool, run};

type Tested = Result<(), Box<dyn Error>>;

/// A pool, and a store that asks zfs in one of two ways.
struct Ground {
    pool: TestPool,
    settings: Settings,
    store: Store,
}

impl Ground {
    /// `None`, once said why, where there can be no pool.
    fn new(test: &str, backend: &str) -> Option<Self> {
        let pool = match TestPool::new() {
            Ok(pool) => pool,
            Err(reason) => {
                hull_testskip::skip(&format!("on_a_pool::{test}"), reason.0);
                return None;
            }
        };
        let settings =
            Settings::default().with("lxc.bdev.zfs.root", pool.root()).with("hull.zfs.backend", backend);
        let store = hull_storage::open(&registry(), &settings, &pool.dir().join("state")).unwrap();
        Some(Self { pool, settings, store })
    }

    /// The place of the volume `name` in the pool.
    fn place(&self, name: &str) -> Placement {
        Placement::exactly(&PathBuf::from(self.dataset(name))).unwrap()
    }

    fn dataset(&self, name: &str) -> String {
        format!("{}/{name}", self.pool.root())
    }

    /// A volume with one file.
    fn make(&self, name: &str) -> Result<Locator, Box<dyn Error>> {
        let at = self.store.create(NAME, &self.place(name), &VolumeSpec::default())?;
        self.write(&at, "file", name)?;
        Ok(at)
    }

    fn clone_of(&self, from: &Locator, name: &str, access: Access) -> hull_storage::Result<Locator> {
        let mode = CloneMode::Snapshot;
        Ok(self.store.clone_volume(from, None, &self.place(name), mode, access)?.at)
    }

    fn write(&self, at: &Locator, file: &str, text: &str) -> Tested {
        let (_ready, root) = self.open(at, Access::ReadWrite)?;
        Ok(fs::write(below(&root, file), text)?)
    }

    fn read(&self, at: &Locator, file: &str) -> Result<String, Box<dyn Error>> {
        let (_ready, root) = self.open(at, Access::ReadOnly)?;
        Ok(fs::read_to_string(below(&root, file))?)
    }

    fn open(&self, at: &Locator, access: Access) -> hull_storage::Result<(Activation, OwnedFd)> {
        let ready = self.store.activate(at, access)?;
        let root = host::open(&ready)?;
        Ok((ready, root))
    }

    /// All datasets and snapshots in the root, without its name.
    fn list(&self) -> Result<Vec<String>, Box<dyn Error>> {
        let root = self.pool.root();
        let said = run("zfs", ["list", "-H", "-r", "-t", "all", "-o", "name", "-s", "name", &root])?;
        Ok(said.lines().filter_map(|l| l.strip_prefix(&root)?.strip_prefix('/')).map(Into::into).collect())
    }

    fn property(&self, name: &str, property: &str) -> Result<String, Box<dyn Error>> {
        Ok(run("zfs", ["get", "-Hp", "-o", "value", property, &self.dataset(name)])?.trim().to_owned())
    }

    fn zfs(&self, arguments: &str) -> Result<String, std::io::Error> {
        let root = self.pool.root();
        run("zfs", arguments.replace('%', &root).split(' '))
    }
}

fn registry() -> Registry {
    Registry::default().with(REGISTRATION)
}

fn below(root: &OwnedFd, file: &str) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}/{file}", root.as_raw_fd()))
}

/// A test on a pool of its own, with each backend.
fn with_each(test: &str, body: impl Fn(&Ground) -> Tested) -> Tested {
    for backend in ["library", "program"] {
        let Some(ground) = Ground::new(test, backend) else { return Ok(()) };
        body(&ground).map_err(|e| format!("{backend}: {e}"))?;
    }
    Ok(())
}

/// LXC called the clone of every container's first snapshot `snap0`: the second container got the first one's.
#[test]
fn snapshots_of_one_name_are_two_volumes() -> Tested {
    with_each("snapshots_of_one_name_are_two_volumes", |ground| {
        let (c1, c2) = (ground.make("c1")?, ground.make("c2")?);
        // A store is told names that differ; the snapshots behind the clones are of its own choice.
        let s1 = ground.clone_of(&c1, "c1-snap0", Access::ReadOnly)?;
        let s2 = ground.clone_of(&c2, "c2-snap0", Access::ReadOnly)?;
        assert_eq!((ground.read(&s1, "file")?, ground.read(&s2, "file")?), ("c1".into(), "c2".into()));
        // A name that is taken is no success, and nothing is left of the try.
        let before = ground.list()?;
        let refused = ground.clone_of(&c2, "c1-snap0", Access::ReadOnly).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::AlreadyExists, "{refused}");
        assert_eq!(ground.list()?, before);
        for at in [&c1, &s1, &s2, &c2] {
            ground.store.destroy(at)?;
        }
        assert_eq!(ground.list()?, [""; 0]);
        Ok(())
    })
}

/// What LXC makes: a dataset whose mount point is in the container's directory.
#[test]
fn a_path_is_exactly_one_dataset() -> Tested {
    with_each("a_path_is_exactly_one_dataset", |ground| {
        let homes = ground.pool.dir().join("lxc");
        for name in ["c10", "c1", "zz"] {
            let mountpoint = homes.join(name).join("rootfs").display().to_string();
            ground.zfs(&format!("create -o canmount=noauto -o mountpoint={mountpoint} %/{name}"))?;
        }
        let path = homes.join("c1/rootfs");
        assert!((REGISTRATION.detect)(&path) && !(REGISTRATION.detect)(&homes.join("c1")));
        let at = registry().locate(path.as_os_str())?;
        assert_eq!(
            ground.store.driver(NAME)?.layout(&at)?.at.to_string(),
            format!("zfs:{}", ground.dataset("c1"))
        );
        assert!(!ground.store.inspect(&at)?.ours);
        ground.write(&at, "file", "text")?;
        // LXC mounts it by this.
        let point = ground.pool.dir().join("mnt");
        fs::create_dir(&point)?;
        run(
            "mount",
            ["-i", "-t", "zfs", "-o", "zfsutil", &ground.dataset("c1"), &point.display().to_string()],
        )?;
        assert_eq!(fs::read_to_string(point.join("file"))?, "text");
        run("umount", [&point])?;
        // Renamed, it keeps its mount point in step, and the others keep theirs.
        let renamed = ground.store.rename(&at, &ground.place("web"))?;
        assert_eq!(ground.property("web", "mountpoint")?, homes.join("web/rootfs").display().to_string());
        assert_eq!(ground.property("c10", "mountpoint")?, homes.join("c10/rootfs").display().to_string());
        ground.store.destroy(&renamed)?;
        assert_eq!(ground.list()?, ["c10", "zz"]);
        Ok(())
    })
}

#[test]
fn clones_inherit_what_they_share_with_a_volume_that_goes() -> Tested {
    with_each("clones_inherit_what_they_share_with_a_volume_that_goes", |ground| {
        let base = ground.make("base")?;
        ground.zfs("snapshot %/base@admin")?;
        let b1 = ground.clone_of(&base, "b1", Access::ReadWrite)?;
        ground.write(&base, "file", "later")?;
        let b2 = ground.clone_of(&base, "b2", Access::ReadWrite)?;
        // An administrator's own clone, a child, and a snapshot whose name the heir has, too.
        ground.zfs("clone -o mountpoint=legacy %/base@admin %/own")?;
        ground.zfs("create -o canmount=off %/base/kid")?;
        ground.zfs("snapshot -r %/base@last")?;
        ground.zfs("snapshot %/b2@admin")?;
        let chain = ground.clone_of(&b2, "b3", Access::ReadWrite)?;
        ground.store.destroy(&base)?;
        let own = Locator::new(NAME, ground.dataset("own"));
        for (at, text) in [(&b1, "base"), (&b2, "later"), (&own, "base"), (&chain, "later")] {
            assert_eq!(ground.read(at, "file")?, text, "{at}");
            ground.write(at, "more", "x")?;
        }
        let left = ground.list()?;
        assert!(!left.iter().any(|name| name.starts_with("base") || name.ends_with("@last")), "{left:?}");
        for at in [&b2, &b1, &chain, &own] {
            ground.store.destroy(at)?;
        }
        // Where the last clone goes, so does the snapshot.
        assert_eq!(ground.list()?, [""; 0]);
        Ok(())
    })
}

/// LXC destroyed the container before it looked whether it could be restored, and could not destroy it, as its
/// snapshot was its clone.
#[test]
fn a_volume_is_restored_in_place_from_its_own_snapshot() -> Tested {
    with_each("a_volume_is_restored_in_place_from_its_own_snapshot", |ground| {
        let mut at = ground.make("c1")?;
        let s0 = ground.clone_of(&at, "s0", Access::ReadOnly)?;
        ground.write(&at, "file", "second")?;
        let s1 = ground.clone_of(&at, "s1", Access::ReadOnly)?;
        for (from, text) in [(&s0, "c1"), (&s0, "c1"), (&s1, "second"), (&s0, "c1"), (&s1, "second")] {
            ground.write(&at, "file", "spoilt")?;
            at = ground.store.restore(from, &at)?.at;
            assert_eq!(at.to_string(), format!("zfs:{}", ground.dataset("c1")));
            assert_eq!(ground.read(&at, "file")?, text);
            assert_eq!(
                (ground.read(&s0, "file")?, ground.read(&s1, "file")?),
                ("c1".into(), "second".into())
            );
            assert!(ground.store.leftovers().is_empty());
        }
        ground.store.destroy(&s1)?;
        ground.store.destroy(&s0)?;
        assert_eq!(ground.read(&at, "file")?, "second");
        ground.store.destroy(&at)?;
        assert_eq!(ground.list()?, [""; 0]);
        Ok(())
    })
}

#[test]
fn what_keeps_a_volume_is_said_before_anything_is_done() -> Tested {
    with_each("what_keeps_a_volume_is_said_before_anything_is_done", |ground| {
        let at = ground.make("c1")?;
        ground.zfs("snapshot %/c1@kept")?;
        ground.zfs("hold me %/c1@kept")?;
        let before = ground.list()?;
        let refused = ground.store.destroy(&at).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InUse, "{refused}");
        assert!(refused.to_string().contains("@kept") && !refused.to_string().contains('\n'), "{refused}");
        assert_eq!(ground.list()?, before);
        ground.zfs("release me %/c1@kept")?;

        // A mount that only another mount namespace has.
        let point = ground.pool.dir().join("mnt");
        fs::create_dir(&point)?;
        let line = format!(
            "mount -i -t zfs {} {} && echo ready && read -r _",
            ground.dataset("c1"),
            point.display()
        );
        let mut other = std::process::Command::new("unshare")
            .args(["--mount", "sh", "-c", &line])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()?;
        let mut said = [0; 6];
        other.stdout.as_mut().unwrap().read_exact(&mut said)?;
        let refused = ground.store.destroy(&at).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InUse, "{refused}");
        assert!(refused.to_string().contains(&point.display().to_string()), "{refused}");
        drop(other.stdin.take());
        other.wait()?;
        ground.store.destroy(&at)?;
        assert_eq!(ground.list()?, [""; 0]);
        Ok(())
    })
}

/// A crash between the snapshot and its clone.
#[test]
fn a_snapshot_without_its_clone_is_the_transactions() -> Tested {
    with_each("a_snapshot_without_its_clone_is_the_transactions", |ground| {
        let (at, tx) = (ground.make("c1")?, TxId(0xbeef));
        let driver = ground.store.driver(NAME)?;
        let layout = driver.new_layout(&ground.place("c2").staged(tx), Some(&at))?;
        let [snapshot, dataset] = &layout.parts[..] else { return Err("two parts".into()) };
        run("zfs", ["snapshot", &snapshot.to_string()])?;
        for part in [dataset, snapshot] {
            assert!(driver.made_by(part, tx)? && !driver.made_by(part, TxId(1))?);
            driver.reclaim(part, tx)?;
            driver.reclaim(part, tx)?;
        }
        assert_eq!(ground.list()?, ["c1"]);
        Ok(())
    })
}

/// The power fails between the clone and its properties: it has its name, and its origin says whose it is.
#[test]
fn a_clone_without_properties_is_the_transactions() -> Tested {
    with_each("a_clone_without_properties_is_the_transactions", |ground| {
        let (at, tx) = (ground.make("c1")?, TxId(0xbeef));
        let driver = ground.store.driver(NAME)?;
        let to = ground.place("c2");
        let layout = driver.moved(&driver.new_layout(&to.staged(tx), Some(&at))?, &to)?;
        let [snapshot, dataset] = &layout.parts[..] else { return Err("two parts".into()) };
        assert_eq!(dataset.to_string(), ground.dataset("c2"));
        assert!(!driver.made_by(dataset, tx)?, "there is none");
        run("zfs", ["snapshot", &snapshot.to_string()])?;
        run("zfs", ["clone", &snapshot.to_string(), &dataset.to_string()])?;
        assert!(!ground.store.inspect(&layout.at)?.ours);
        assert!(driver.made_by(dataset, tx)? && !driver.made_by(dataset, TxId(1))?);
        let listed = driver.enumerate().ok_or("zfs can be looked through")?.list()?;
        let orphan = listed.iter().find(|found| found.what == *dataset).ok_or("it is listed")?;
        assert!(orphan.by == Some(tx) && orphan.at.is_none(), "{orphan:?}");
        for part in [dataset, snapshot] {
            driver.reclaim(part, tx)?;
        }
        assert_eq!(ground.list()?, ["c1"]);
        // One that somebody else made of a snapshot of his own is his.
        run("zfs", ["snapshot", &format!("{}@s", ground.dataset("c1"))])?;
        run("zfs", ["clone", &format!("{}@s", ground.dataset("c1")), &dataset.to_string()])?;
        let refused = ground.clone_of(&at, "c2", Access::ReadWrite).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::AlreadyExists, "{refused}");
        assert!(refused.leftovers().is_empty(), "{refused}");
        assert_eq!(ground.list()?, ["c1", "c1@s", "c2"]);
        Ok(())
    })
}

#[test]
fn sizes_are_limits_of_the_volume_itself() -> Tested {
    with_each("sizes_are_limits_of_the_volume_itself", |ground| {
        let spec = VolumeSpec { size: Some(Bytes(16 << 20)), ..VolumeSpec::default() };
        let at = ground.store.create(NAME, &ground.place("c1"), &spec)?;
        let driver = ground.store.driver(NAME)?;
        assert_eq!(ground.store.inspect(&at)?.size, Some(Bytes(16 << 20)));
        assert!(ground.store.usage(&at)?.available.is_some_and(|b| b.0 <= 16 << 20));
        ground.write(&at, "large", &"x".repeat(4 << 20))?;
        let clone = ground.clone_of(&at, "c2", Access::ReadWrite)?;
        assert_eq!(ground.store.inspect(&clone)?.size, Some(Bytes(16 << 20)), "a clone keeps the limit");
        let usage = ground.store.usage(&clone)?;
        assert!(usage.exclusive < Some(Bytes(1 << 20)) && usage.total.0 > 4 << 20, "{usage:?}");
        let refused = ground.store.resize(&at, Some(Bytes(1 << 20))).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::CannotShrink, "{refused}");
        ground.store.resize(&at, Some(Bytes(8 << 20)))?;
        assert!(ground.write(&at, "more", &"x".repeat(8 << 20)).is_err(), "the limit is none");
        ground.store.resize(&at, None)?;
        ground.write(&at, "more", &"x".repeat(8 << 20))?;
        assert_eq!(driver.inspect(&at)?.size, None);
        Ok(())
    })
}

/// Nothing of ours is mounted behind anybody's back, what is inherited is, and what a child inherits is not its own.
#[test]
fn properties_are_what_they_should_be() -> Tested {
    with_each("properties_are_what_they_should_be", |ground| {
        ground.zfs("set custom:x=y %")?;
        ground.zfs("set atime=off %")?;
        let at = ground.make("c1")?;
        let clone = ground.clone_of(&at, "c2", Access::ReadOnly)?;
        for name in ["c1", "c2"] {
            for (property, expected) in [
                ("canmount", "noauto"),
                ("mountpoint", "legacy"),
                ("xattr", "sa"),
                ("acltype", "posix"),
                ("custom:x", "y"),
                ("atime", "off"),
            ] {
                assert_eq!(ground.property(name, property)?, expected, "{name} {property}");
            }
        }
        assert_eq!(ground.property("c2", "readonly")?, "on");
        ground.zfs("mount -a")?;
        let root = ground.pool.root();
        let mounted = table::read()?.into_iter().find(|m| m.source.to_string_lossy().starts_with(&root));
        assert_eq!(mounted, None);
        ground.zfs("create -o mountpoint=legacy %/c1/kid")?;
        let kid = Locator::new(NAME, ground.dataset("c1/kid"));
        assert!(ground.store.inspect(&at)?.ours && ground.store.inspect(&clone)?.ours);
        assert!(!ground.store.inspect(&kid)?.ours, "an inherited mark counts");
        // Access lists and extended attributes work.
        let (_ready, root) = ground.open(&at, Access::ReadWrite)?;
        rustix::fs::setxattr(
            below(&root, "file"),
            "security.capability",
            CAPABILITY,
            rustix::fs::XattrFlags::empty(),
        )?;
        rustix::fs::setxattr(below(&root, "file"), "user.x", b"y", rustix::fs::XattrFlags::empty())?;
        Ok(())
    })
}

/// cap_net_raw+ep, as capabilities(7) lays it out.
const CAPABILITY: &[u8] = &[1, 0, 0, 2, 0, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

#[test]
fn a_missing_key_is_said() -> Tested {
    with_each("a_missing_key_is_said", |ground| {
        let key = ground.pool.dir().join("key");
        fs::write(&key, "12345678")?;
        ground.zfs(&format!(
            "create -o encryption=on -o keyformat=passphrase -o keylocation=file://{} %/secret",
            key.display()
        ))?;
        let to = Placement::exactly(&PathBuf::from(ground.dataset("secret/c1"))).unwrap();
        let at = ground.store.create(NAME, &to, &VolumeSpec::default())?;
        assert_eq!(ground.property("secret/c1", "encryption")?, "aes-256-gcm");
        ground.write(&at, "file", "text")?;
        ground.zfs("unload-key %/secret")?;
        let refused = ground.store.activate(&at, Access::ReadWrite).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::PermissionDenied, "{refused}");
        assert!(refused.to_string().contains("zfs load-key"), "{refused}");
        ground.zfs("load-key %/secret")?;
        assert_eq!(ground.read(&at, "file")?, "text");
        Ok(())
    })
}

/// A plain copy is a stream: it shares nothing, and no snapshot of it stays.
#[test]
fn a_copy_is_a_stream_that_leaves_nothing() -> Tested {
    with_each("a_copy_is_a_stream_that_leaves_nothing", |ground| {
        let at = ground.make("c1")?;
        let mode = CloneMode::Copy;
        let copy = ground.store.clone_volume(&at, None, &ground.place("c2"), mode, Access::ReadWrite)?;
        assert!(matches!(copy.method, Some(Method::Stream(_))), "{:?}", copy.method);
        assert_eq!(ground.list()?, ["c1", "c2"]);
        assert_eq!(ground.property("c2", "origin")?, "-");
        assert_eq!(ground.read(&copy.at, "file")?, "c1");
        assert!(ground.store.inspect(&copy.at)?.ours);
        ground.write(&copy.at, "file", "other")?;
        assert_eq!(ground.read(&at, "file")?, "c1");
        ground.store.destroy(&at)?;
        ground.store.destroy(&copy.at)?;
        Ok(())
    })
}

#[test]
fn differences_between_snapshots_can_be_sent() -> Tested {
    with_each("differences_between_snapshots_can_be_sent", |ground| {
        let driver = (REGISTRATION.open)(&ground.settings);
        let transfer = driver.transfer().ok_or("it has streams")?;
        let at = ground.make("c1")?;
        ground.write(&at, "large", &"x".repeat(2 << 20))?;
        let s0 = ground.clone_of(&at, "s0", Access::ReadOnly)?;
        ground.write(&at, "file", "second")?;
        let s1 = ground.clone_of(&at, "s1", Access::ReadOnly)?;
        let sent = |from: &Locator, since: Option<&Locator>| -> Result<fs::File, Box<dyn Error>> {
            let mut file = tempfile::tempfile()?;
            let (mut read, write) = std::io::pipe()?;
            std::thread::scope(|scope| {
                let sender = scope.spawn(move || transfer.send(from, since, write.as_fd()).map(drop));
                std::io::copy(&mut read, &mut file)?;
                sender.join().unwrap().map_err(std::io::Error::other)
            })?;
            file.rewind()?;
            Ok(file)
        };
        let (full, difference) = (sent(&s0, None)?, sent(&s1, Some(&s0))?);
        assert!(full.metadata()?.len() > 2 << 20 && difference.metadata()?.len() < 1 << 20);
        assert!(transfer.send(&at, None, difference.as_fd()).is_err(), "what changes is not sent");

        // Another pool is another machine.
        let there = ground.dataset("there");
        run("zfs", ["create", &there])?;
        let receive = |file: &fs::File, since: Option<&Locator>, name: &str, access| {
            let to = Placement::exactly(&PathBuf::from(format!("{there}/{name}"))).unwrap();
            let layout = driver.new_layout(&to, None)?;
            transfer.receive(file.as_fd(), since, &layout, access, TxId(5)).map(|()| layout.at)
        };
        let r0 = receive(&full, None, "r0", Access::ReadOnly)?;
        let r1 = receive(&difference, Some(&r0), "r1", Access::ReadOnly)?;
        assert_eq!((ground.read(&r0, "file")?, ground.read(&r1, "file")?), ("c1".into(), "second".into()));
        assert_eq!(ground.read(&r1, "large")?.len(), 2 << 20);
        // What was received can be sent on, and the older one may go.
        let on = sent(&r1, Some(&r0))?;
        assert!(on.metadata()?.len() < 1 << 20);
        ground.store.destroy(&r0)?;
        assert_eq!(ground.read(&r1, "file")?, "second");
        let clone = ground.clone_of(&r1, "fromr1", Access::ReadWrite)?;
        ground.write(&clone, "file", "third")?;

        // A stream that ends too early, and one that is none.
        let mut bytes = Vec::new();
        sent(&s0, None)?.read_to_end(&mut bytes)?;
        for damaged in [&bytes[..bytes.len() / 2], &bytes[..100], b"no stream", b""] {
            let mut file = tempfile::tempfile()?;
            file.write_all(damaged)?;
            file.rewind()?;
            let refused = receive(&file, None, "bad", Access::ReadWrite).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::Corrupt, "{refused}");
            assert_eq!(refused.to_string().lines().count(), 1, "{refused}");
            let part = Resource::new(NAME, format!("{there}/bad"));
            driver.reclaim(&part, TxId(5))?;
            let left = run("zfs", ["list", "-H", "-r", "-t", "all", "-o", "name", &there])?;
            assert!(!left.contains("bad"), "{left}");
        }
        Ok(())
    })
}

/// A mount for reading does not keep the volume from being mounted for writing.
#[test]
fn looking_is_in_nobodys_way() -> Tested {
    with_each("looking_is_in_nobodys_way", |ground| {
        let at = ground.make("c1")?;
        let (_ready, _writing) = ground.open(&at, Access::ReadWrite)?;
        assert!(ground.store.usage(&at)?.entries >= 2);
        assert_eq!(ground.read(&at, "file")?, "c1");
        let snapshot = ground.clone_of(&at, "s", Access::ReadOnly)?;
        let plan = ground.store.activate(&snapshot, Access::ReadOnly)?.plan;
        let (one, two) = (DetachedMount::build(&plan, None)?, DetachedMount::build(&plan, None)?);
        assert!(ground.store.usage(&snapshot)?.entries >= 2);
        drop((one, two));
        // Renamed while it is mounted, it is the same volume.
        let renamed = ground.store.rename(&at, &ground.place("c2"))?;
        assert_eq!(ground.read(&renamed, "file")?, "c1");
        Ok(())
    })
}
