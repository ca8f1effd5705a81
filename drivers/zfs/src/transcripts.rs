//! What the driver has the program `zfs` do, by transcripts: the order of acts, and what answers mean.

use std::path::Path;
use std::sync::Arc;

use hull_command::{Output, Runner, Script, Streams, Tool, ToolCommand};
use hull_mount::Access;
use hull_storage::{
    Bytes, Capacity, CopyOnWrite, Driver, Error, ErrorKind, Locator, Outcome, Placement, Resource, Result,
    Source, Transfer, TxId, VolumeSpec,
};

use crate::backend::program::Program;
use crate::{NAME, ZfsDriver};

const TX: TxId = TxId(7);
const GET: &str = "zfs get -Hp -o property,value,source \
                   type,origin,readonly,refquota,used,referenced,available,written,keystatus,mountpoint,hull:volume,xattr,acltype";
const LIST: &str =
    "zfs list -Hp -r -t filesystem,volume,snapshot -o type,name,createtxg,userrefs,clones -s name";
const FOUND: &str = "type\tfilesystem\t-\nreadonly\toff\tdefault\nrefquota\t0\tdefault\nkeystatus\tnone\t-\n\
                     mountpoint\tlegacy\tlocal\nxattr\ton\tdefault\nacltype\toff\tdefault\n";
const PROPERTIES: &str = "-o canmount=noauto -o mountpoint=legacy -o hull:volume=0000000000000007";
const ATTRIBUTES: &str = "-o xattr=sa -o acltype=posix";

#[derive(Debug, Clone)]
struct Shared(Arc<Script>);

impl Runner for Shared {
    fn attempt_with(&self, command: &ToolCommand, streams: Streams<'_>) -> Result<Output> {
        self.0.attempt_with(command, streams)
    }

    fn has(&self, tool: Tool) -> bool {
        self.0.has(tool)
    }
}

/// Runs `act` with a driver that the transcript answers, all of which must come.
fn with<T>(script: Script, act: impl FnOnce(&ZfsDriver) -> T) -> T {
    let script = Shared(Arc::new(script));
    let driver = ZfsDriver::with_backend("tank/lxc", Box::new(Program::new(Box::new(script.clone()))));
    let done = act(&driver);
    assert!(script.0.left().is_empty(), "did not come: {:?}", script.0.left());
    done
}

fn at(name: &str) -> Locator {
    Locator::new(NAME, name)
}

fn part(name: &str) -> Resource {
    Resource::new(NAME, name)
}

fn one_line(e: &Error) {
    assert_eq!(e.to_string().lines().count(), 1, "{e}");
}

#[test]
fn a_volume_is_made_with_what_nobody_above_has_said() {
    let create = format!("zfs create {PROPERTIES} {ATTRIBUTES} -o refquota=1048576 tank/lxc/c1");
    let script = Script::new().expect(&format!("{GET} tank/lxc"), FOUND).expect(&create, "");
    let spec = VolumeSpec { size: Some(Bytes(1 << 20)), ..VolumeSpec::default() };
    with(script, |driver| {
        let layout = driver.new_layout(&Placement::in_home("/lxc/c1", "c1"), None).unwrap();
        driver.create(&layout, &spec, TX).unwrap();
    });

    // Where somebody has, that is inherited.
    let said =
        FOUND.replace("on\tdefault", "sa\tlocal").replace("off\tdefault", "posix\tinherited from tank");
    let script = Script::new()
        .expect(&format!("{GET} tank/lxc"), &said)
        .expect(&format!("zfs create {PROPERTIES} tank/lxc/c1"), "");
    with(script, |driver| {
        let layout = driver.new_layout(&Placement::in_home("/lxc/c1", "c1"), None).unwrap();
        driver.create(&layout, &VolumeSpec::default(), TX).unwrap();
    });
}

#[test]
fn a_missing_root_is_said_with_its_remedy() {
    let none = "cannot open 'tank/lxc': dataset does not exist\n";
    let script = Script::new().fail(&format!("{GET} tank/lxc"), 1, none);
    let e = with(script, |driver| {
        let layout = driver.new_layout(&Placement::in_home("/lxc/c1", "c1"), None).unwrap();
        driver.create(&layout, &VolumeSpec::default(), TX).unwrap_err()
    });
    assert_eq!(e.kind(), ErrorKind::NotFound);
    assert!(e.to_string().contains("zfs create -o mountpoint=none tank/lxc"), "{e}");
    one_line(&e);
}

/// LXC's `@snap0` was the same for all, and so the clones of two containers could cross.
#[test]
fn a_clone_has_a_snapshot_of_its_own_that_goes_with_it() {
    let origin = "tank/lxc/base@c2.new-0000000000000007";
    let script = Script::new()
        .expect(&format!("{GET} tank/lxc/base"), &FOUND.replace("refquota\t0", "refquota\t4096"))
        .expect(&format!("{GET} tank/lxc"), FOUND)
        .expect(&format!("zfs snapshot {origin}"), "")
        .expect(
            &format!(
                "zfs clone {PROPERTIES} {ATTRIBUTES} -o readonly=on -o refquota=4096 {origin} \
                 tank/lxc/c2.new-0000000000000007"
            ),
            "",
        )
        .expect(&format!("zfs destroy -d {origin}"), "")
        .expect("zfs snapshot tank/lxc/c2.new-0000000000000007@hull-unchanged", "");
    with(script, |driver| {
        let to = Placement::in_home("/lxc/c2", "c2").staged(TX);
        let layout = driver.new_layout(&to, Some(&at("tank/lxc/base"))).unwrap();
        assert_eq!(layout.parts, [part(origin), part("tank/lxc/c2.new-0000000000000007")]);
        assert!(layout.parts.iter().all(|p| p.carries(TX)));
        let base = at("tank/lxc/base");
        driver.clone_volume(Source { driver, at: &base }, &layout, Access::ReadOnly, TX).unwrap();
        // In place, the snapshot keeps its name and the clone gets its own.
        let moved = driver.moved(&layout, &Placement::in_home("/lxc/c2", "c2")).unwrap();
        assert_eq!(moved.parts, [part(origin), part("tank/lxc/c2")]);
    });
}

/// The snapshot is left to its clone last: unmounting the clone, which has been written to meanwhile, need not wait then.
#[test]
fn a_clone_has_its_name_at_once_and_is_sealed_later() {
    let origin = "tank/lxc/base@c2.new-0000000000000007";
    let script = Script::new()
        .expect(&format!("{GET} tank/lxc/base"), FOUND)
        .expect(&format!("{GET} tank/lxc"), FOUND)
        .expect(&format!("zfs snapshot {origin}"), "")
        .expect(&format!("zfs clone {PROPERTIES} {ATTRIBUTES} {origin} tank/lxc/c2"), "");
    with(script, |driver| {
        let (base, to) = (at("tank/lxc/base"), Placement::in_home("/lxc/c2", "c2"));
        assert!(driver.capabilities().tags_clones && !driver.capabilities().tags_owner);
        let staged = driver.new_layout(&to.staged(TX), Some(&base)).unwrap();
        let layout = driver.moved(&staged, &to).unwrap();
        assert_eq!(layout.parts, [part(origin), part("tank/lxc/c2")]);
        driver.clone_volume(Source { driver, at: &base }, &layout, Access::ReadWrite, TX).unwrap();
    });
    let script = Script::new().expect(&format!("zfs destroy -d {origin}"), "");
    with(script, |driver| {
        let layout = crate::naming::layout("tank/lxc/c2", Some(origin));
        driver.seal_clone(&layout, Access::ReadWrite, TX).unwrap();
        // One that may only be read was sealed when it was made.
        driver.seal_clone(&layout, Access::ReadOnly, TX).unwrap();
    });
}

/// Until its properties are set, only its origin tells whose a clone is; once it has been promoted, only they do.
#[test]
fn who_made_a_clone_says_its_origin_or_its_property() {
    let get = format!("{GET} tank/c1");
    let cloned_for = |origin: &str| FOUND.to_owned() + &format!("origin\t{origin}\t-\n");
    let bearing = |source: &str| FOUND.to_owned() + &format!("hull:volume\t{TX}\t{source}\n");
    for (found, ours) in [
        (cloned_for("tank/base@c1.new-0000000000000007"), true),
        (cloned_for("tank/base@c1.new-0000000000000008"), false),
        (cloned_for("tank/base.new-0000000000000007@c1"), false),
        (cloned_for("tank/base@c1"), false),
        (bearing("local"), true),
        (bearing("inherited from tank"), false),
        (FOUND.to_owned(), false),
    ] {
        let script = Script::new().expect(&get, &found);
        assert_eq!(with(script, |driver| driver.made_by(&part("tank/c1"), TX).unwrap()), ours, "{found}");
    }
    let gone = Script::new().fail(&get, 1, "cannot open 'tank/c1': dataset does not exist");
    assert!(!with(gone, |driver| driver.made_by(&part("tank/c1"), TX).unwrap()));
    // Names are looked at first, and a snapshot has nothing else.
    for (name, ours) in [("tank/c1.old-0000000000000007", true), ("tank/c1@c2.new-0000000000000008", false)] {
        assert_eq!(with(Script::new(), |driver| driver.made_by(&part(name), TX).unwrap()), ours, "{name}");
    }
}

/// zfs takes no limit below what is there, and lets a volume grow somewhat beyond its own.
#[test]
fn a_clone_of_a_volume_that_is_more_than_full_has_room_for_it() {
    let origin = "tank/lxc/base@c2.new-0000000000000007";
    let clone =
        |limit: &str| format!("zfs clone {PROPERTIES} {ATTRIBUTES} -o refquota={limit} {origin} tank/lxc/c2");
    let script = Script::new()
        .expect(&format!("{GET} tank/lxc/base"), &FOUND.replace("refquota\t0", "refquota\t4096"))
        .expect(&format!("{GET} tank/lxc"), FOUND)
        .expect(&format!("zfs snapshot {origin}"), "")
        .fail(&clone("4096"), 1, "cannot create 'tank/lxc/c2': out of space")
        .expect(&format!("{GET} {origin}"), "type\tsnapshot\t-\nreferenced\t4608\t-\n")
        .expect(&clone("4608"), "")
        .expect(&format!("zfs destroy -d {origin}"), "");
    with(script, |driver| {
        let base = at("tank/lxc/base");
        let layout = driver.new_layout(&Placement::in_home("/lxc/c2", "c2"), Some(&base)).unwrap();
        driver.clone_volume(Source { driver, at: &base }, &layout, Access::ReadWrite, TX).unwrap();
    });
}

/// LXC logged it and went on as if there were a clone.
#[test]
fn a_clone_that_fails_is_no_success_and_leaves_no_snapshot() {
    let origin = "tank/lxc/base@c2.new-0000000000000007";
    let script = Script::new()
        .expect(&format!("{GET} tank/lxc/base"), FOUND)
        .expect(&format!("{GET} tank/lxc"), FOUND)
        .expect(&format!("zfs snapshot {origin}"), "")
        .fail(
            &format!("zfs clone {PROPERTIES} {ATTRIBUTES} {origin} tank/lxc/c2"),
            1,
            "cannot create 'tank/lxc/c2': dataset already exists",
        )
        .expect(&format!("zfs destroy {origin}"), "");
    let e = with(script, |driver| {
        let base = at("tank/lxc/base");
        let layout = driver.new_layout(&Placement::in_home("/lxc/c2", "c2"), Some(&base)).unwrap();
        driver.clone_volume(Source { driver, at: &base }, &layout, Access::ReadWrite, TX).unwrap_err()
    });
    assert_eq!(e.kind(), ErrorKind::AlreadyExists);
    assert!(e.to_string().contains("tank/lxc/c2 is there already"), "{e}");
}

/// LXC looked for the path anywhere in the lines of `zfs list`, and since 6.0 took the last line.
#[test]
fn a_path_is_the_dataset_whose_mount_point_it_is() {
    let list = "zfs list -Hp -t filesystem -o name,mountpoint";
    let said =
        "tank\tnone\ntank/c10\t/lxc/c10/rootfs\ntank/c1\t/lxc/c1/rootfs\ntank/x\t/lxc/c1/rootfs/x\nzz\t/zz\n";
    let found = |path: &str| {
        with(Script::new().expect(list, said), |driver| driver.placement(&at(path)).map(|p| p.path("")))
    };
    assert_eq!(found("/lxc/c1/rootfs").unwrap(), Path::new("tank/c1"));
    assert_eq!(found("/lxc/c10/rootfs").unwrap(), Path::new("tank/c10"));
    for none in ["/lxc/c1", "/lxc", "/lxc/c1/rootf"] {
        assert_eq!(found(none).unwrap_err().kind(), ErrorKind::NotFound, "{none}");
    }
    let twice = "tank/a\t/p\ntank/b\t/p\n";
    let e = with(Script::new().expect(list, twice), |driver| driver.layout(&at("/p")).unwrap_err());
    assert_eq!(e.kind(), ErrorKind::InvalidInput);
    assert!(e.to_string().contains("tank/a, tank/b"), "{e}");
    one_line(&e);
}

#[test]
fn a_condemned_source_makes_its_clones_heirs_first() {
    let name = "tank/c1.old-0000000000000007";
    let tree = format!("{LIST} {name}");
    let before = format!(
        "filesystem\t{name}\t5\t-\t-\nfilesystem\t{name}/kid\t6\t-\t-\n\
         snapshot\t{name}@admin\t7\t0\t-\nsnapshot\t{name}@b\t9\t0\ttank/b,tank/b2\n\
         snapshot\t{name}@a\t8\t0\ttank/a\n"
    );
    let after = format!("filesystem\t{name}\t5\t-\t-\nfilesystem\t{name}/kid\t6\t-\t-\n");
    let heir = "filesystem\ttank/b\t10\t-\t-\nsnapshot\ttank/b@a\t11\t0\t-\n";
    let script = Script::new()
        .expect(&tree, &before)
        // What nobody needs goes; the oldest is the first; of the two called `a` the condemned one gives way.
        .expect(&format!("zfs destroy {name}@admin"), "")
        .expect(&format!("{LIST} tank/b"), heir)
        .expect(&format!("zfs rename {name}@a {name}@00000008-.old-0000000000000007"), "")
        .expect("zfs promote tank/b", "")
        .expect(&tree, &after)
        .expect(&format!("zfs destroy {name}/kid"), "")
        .expect(&format!("zfs destroy {name}"), "")
        .fail(&tree, 1, "cannot open: dataset does not exist");
    let done = with(script, |driver| driver.reclaim(&part(name), TX).unwrap());
    assert_eq!(done, Outcome::Done);
    let gone = Script::new().fail(&tree, 1, "cannot open: dataset does not exist");
    assert_eq!(with(gone, |driver| driver.reclaim(&part(name), TX).unwrap()), Outcome::AlreadyDone);
}

#[test]
fn what_is_busy_is_in_use() {
    let tree = format!("{LIST} tank/c1");
    let script = Script::new().expect(&tree, "filesystem\ttank/c1\t5\t-\t-\n").fail(
        "zfs destroy tank/c1",
        1,
        "cannot destroy 'tank/c1': dataset is busy",
    );
    let e = with(script, |driver| driver.reclaim(&part("tank/c1"), TX).unwrap_err());
    assert_eq!(e.kind(), ErrorKind::InUse);
    one_line(&e);
    // Before anything is begun, a hold is asked for.
    let held = "filesystem\ttank/c1\t5\t-\t-\nsnapshot\ttank/c1@s\t6\t1\t-\n";
    let user = with(Script::new().expect(&tree, held), |driver| driver.user(&at("tank/c1")).unwrap());
    assert!(user.is_some_and(|user| user.contains("tank/c1@s")));
}

#[test]
fn renaming_is_exclusive_and_takes_lxcs_mount_point_along() {
    let lxcs = FOUND.replace("legacy", "/lxc/c1/rootfs");
    let script = Script::new()
        .expect("zfs rename -u tank/c1 tank/web", "")
        .expect(&format!("{GET} tank/web"), &lxcs)
        .expect("zfs set mountpoint=/lxc/web/rootfs tank/web", "");
    let renamed = with(script, |driver| driver.rename(&part("tank/c1"), &part("tank/web")).unwrap());
    assert_eq!(renamed, Outcome::Done);
    let script = Script::new().fail(
        "zfs rename -u tank/c1 tank/web",
        1,
        "cannot rename 'tank/c1': dataset already exists",
    );
    let e = with(script, |driver| driver.rename(&part("tank/c1"), &part("tank/web")).unwrap_err());
    assert_eq!(e.kind(), ErrorKind::AlreadyExists);
    let gone = "cannot open 'tank/c1': dataset does not exist";
    let script = Script::new().fail("zfs rename -u tank/c1 tank/web", 1, gone).fail(
        "zfs list -H -d 0 -t filesystem,volume,snapshot -o name tank/c1",
        1,
        gone,
    );
    let again = with(script, |driver| driver.rename(&part("tank/c1"), &part("tank/web")).unwrap());
    assert_eq!(again, Outcome::AlreadyDone);
}

#[test]
fn a_limit_is_the_refquota() {
    let holding =
        |limit: &str| FOUND.replace("refquota\t0", &format!("refquota\t{limit}")) + "referenced\t4096\t-\n";
    let get = format!("{GET} tank/c1");
    let script = Script::new().expect(&get, &holding("0")).expect("zfs set refquota=8192 tank/c1", "");
    assert_eq!(with(script, |d| d.resize(&at("tank/c1"), Some(Bytes(8192))).unwrap()), Outcome::Done);
    let script = Script::new().expect(&get, &holding("8192"));
    assert_eq!(with(script, |d| d.resize(&at("tank/c1"), Some(Bytes(8192))).unwrap()), Outcome::AlreadyDone);
    let script = Script::new().expect(&get, &holding("8192")).expect("zfs set refquota=none tank/c1", "");
    assert_eq!(with(script, |d| d.resize(&at("tank/c1"), None).unwrap()), Outcome::Done);
    let script = Script::new().expect(&get, &holding("8192"));
    let e = with(script, |d| d.resize(&at("tank/c1"), Some(Bytes(1024))).unwrap_err());
    assert_eq!(e.kind(), ErrorKind::CannotShrink);
    one_line(&e);
}

#[test]
fn whose_it_is_and_whether_it_can_be_read() {
    let get = format!("{GET} tank/c1");
    let bearing = |source: &str| FOUND.to_owned() + &format!("hull:volume\t0000000000000007\t{source}\n");
    for (source, ours) in [("local", true), ("inherited from tank", false), ("received", false)] {
        let script = Script::new().expect(&get, &bearing(source));
        assert_eq!(with(script, |d| d.inspect(&at("tank/c1")).unwrap().ours), ours, "{source}");
    }
    let locked = FOUND.replace("keystatus\tnone", "keystatus\tunavailable");
    let e = with(Script::new().expect(&get, &locked), |d| d.activate(&at("tank/c1"), Access::ReadOnly))
        .unwrap_err();
    assert!(e.to_string().ends_with("`zfs load-key tank/c1`"), "{e}");
    let volume = FOUND.replace("filesystem", "volume");
    let e = with(Script::new().expect(&get, &volume), |d| d.layout(&at("tank/c1"))).unwrap_err();
    assert_eq!(e.kind(), ErrorKind::InvalidInput);
}

#[test]
fn what_cannot_be_read_is_named_with_who_knows_more() {
    use std::os::fd::AsFd;
    let c1 = "tank/lxc/c1.new-0123456789abcdef";
    let look = format!("{GET} {c1}");
    let still = FOUND.replace("readonly\toff", "readonly\ton") + "written\t0\t-\n";
    let tree = format!("filesystem\t{c1}\t5\t0\t-\nsnapshot\t{c1}@s\t6\t0\t-\n");
    let sends = |said: &str| {
        let script = Script::new()
            .expect(&look, &still)
            .expect(&look, &still)
            .expect(&format!("{LIST} {c1}"), &tree)
            .fail(&format!("zfs send {c1}@s"), 1, said);
        let to = tempfile::tempfile().unwrap();
        with(script, |driver| driver.send(&at(c1), None, to.as_fd()).unwrap_err())
    };
    let e = sends("warning: cannot send 'tank/lxc/c1@s': Input/output error");
    one_line(&e);
    assert!(e.to_string().starts_with("zfs:tank/lxc/c1 cannot be read: `zpool status -v tank` says"), "{e}");
    let e = sends("warning: cannot send 'tank/lxc/c1@s': Broken pipe");
    assert!(e.to_string().starts_with("`zfs send"), "{e}");
}
