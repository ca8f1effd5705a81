//! What the driver makes of LVM's answers, by transcripts: no volume is there, so all that is known is what LVM says.

use std::sync::Arc;

use hull_command::Script;
use hull_storage::{
    Access, Blocks, CopyOnWrite, Driver, Error, ErrorKind, Layout, Locator, Outcome, Placement, Resource,
    Result, Settings, Source, Tie, TxId, VolumeSpec,
};

use crate::report::tests::{group, row};
use crate::volumes::no_group;
use crate::{LvmDriver, NAME, tool};

const TX: TxId = TxId(0xabc);
const VG: &str = "hull-no-such-group";

/// What LVM says of a group that is not there, with exit code 5.
const NO_GROUP: &str = "{ \"report\": [ ] }";

/// A driver for whom LVM answers as `script` says, and what is left of that.
fn driver(script: Script) -> (LvmDriver, Arc<Script>) {
    let script = Arc::new(script);
    let settings = Settings::default().with("lxc.bdev.lvm.vg", VG).with("hull.volume.size", "64M");
    (LvmDriver::new(script.clone(), &settings), script)
}

fn at(lv: &str) -> Locator {
    Locator::new(NAME, format!("/dev/{VG}/{lv}"))
}

fn part(lv: &str) -> Resource {
    Resource::new(NAME, format!("/dev/{VG}/{lv}"))
}

fn layout(lv: &str) -> Layout {
    Layout { at: at(lv), parts: vec![part(lv)] }
}

/// The line that asks for `selection`.
fn asks(selection: &str) -> String {
    tool::report(VG, selection).to_string()
}

/// Lets `work` run by a transcript, all of which must come.
#[track_caller]
fn by<T>(script: Script, work: impl FnOnce(&LvmDriver) -> Result<T>) -> Result<T> {
    let (driver, script) = driver(script);
    let done = work(&driver);
    assert_eq!(script.left(), [""; 0]);
    done
}

/// Checks that `result` failed with `kind`, in one line that holds each of `says`.
#[track_caller]
fn refused<T: std::fmt::Debug>(result: Result<T>, kind: ErrorKind, says: &[&str]) -> Error {
    let e = result.unwrap_err();
    assert_eq!(e.kind(), kind, "{e}");
    let text = e.to_string();
    assert!(says.iter().all(|part| text.contains(part)) && text.lines().count() == 1, "{text}");
    e
}

const POOL: [(&str, &str); 4] = [
    ("lv_layout", "thin,pool"),
    ("lv_role", "private"),
    ("data_percent", "20.00"),
    ("metadata_percent", "5.00"),
];

fn pool(data: &str, metadata: &str) -> String {
    row("lxc", &[POOL[0], POOL[1], ("data_percent", data), ("metadata_percent", metadata)])
}

#[test]
fn a_volume_is_looked_up_exactly() {
    let named = asks("lv_name=\"a\"");
    let look = |answer: &str| by(Script::new().expect(&named, answer), |d| d.layout(&at("a")));
    assert_eq!(look(&group(&[row("a", &[])])).unwrap(), layout("a"));
    refused(
        look(&group(&[])),
        ErrorKind::NotFound,
        &["there is no logical volume /dev/hull-no-such-group/a"],
    );
    refused(look(&group(&[row("a", &POOL)])), ErrorKind::InvalidInput, &["part of LVM's own"]);
    let script = Script::new().expect(&named, "nonsense");
    refused(by(script, |d| d.layout(&at("a"))), ErrorKind::ToolFailed, &["cannot read LVM's report"]);
}

#[test]
fn inspecting_says_what_lvm_knows() {
    let look = |fields: &[(&str, &str)]| {
        let script = Script::new().expect(&asks("lv_name=\"a\""), &group(&[row("a", fields)]));
        by(script, |d| d.inspect(&at("a"))).unwrap()
    };
    let thin = look(&[("origin", "b")]);
    assert!(thin.ours && thin.origins.is_empty() && thin.access == Access::ReadWrite);
    let thick = look(&[
        ("lv_role", "public,snapshot,thicksnapshot"),
        ("lv_layout", "linear"),
        ("origin", "b"),
        ("origin_size", "1048576"),
        ("lv_tags", "other"),
        ("lv_permissions", "read-only"),
    ]);
    assert!(!thick.ours && thick.access == Access::ReadOnly);
    assert_eq!(thick.origins, [std::ffi::OsString::from(format!("/dev/{VG}/b"))]);
    assert_eq!(thick.size.unwrap().0, 1 << 20);
}

#[test]
fn a_volume_that_cannot_be_made_says_why() {
    let ask = asks("lv_name=\"a\" || lv_name=\"lxc\"");
    let make = |script: Script| by(script, |d| d.create(&layout("a"), &VolumeSpec::default(), TX));
    let answered = |rows: &[String]| make(Script::new().expect(&ask, &group(rows)));
    refused(
        answered(&[row("a", &[])]),
        ErrorKind::AlreadyExists,
        &["/dev/hull-no-such-group/a is there already"],
    );
    refused(
        answered(&[pool("96.40", "5.00")]),
        ErrorKind::NoSpace,
        &["96.4 % full", "from 95 % on", "`lvextend --size +SIZE hull-no-such-group/lxc`"],
    );
    refused(
        answered(&[pool("10.00", "80.00")]),
        ErrorKind::NoSpace,
        &["metadata 80.0 %", "lvextend --poolmetadatasize"],
    );
    let thick = VolumeSpec { size: Some(hull_storage::Bytes(2 << 30)), ..VolumeSpec::default() };
    let full = by(Script::new().expect(&ask, &group(&[])), |d| d.create(&layout("a"), &thick, TX));
    refused(full, ErrorKind::NoSpace, &["has 1.0 GiB free of 2.0 GiB", "needs 2.0 GiB", "vgextend"]);
    let gone = make(Script::new().fail_saying(&ask, 5, NO_GROUP));
    refused(gone, ErrorKind::NotFound, &["there is no volume group hull-no-such-group", "vgcreate"]);
    for (spec, says) in [
        (VolumeSpec { fstype: Some("ntfs".into()), ..VolumeSpec::default() }, "ntfs"),
        (VolumeSpec { fstype: Some("xfs".into()), ..VolumeSpec::default() }, "64.0 MiB is too small for xfs"),
    ] {
        refused(by(Script::new(), |d| d.create(&layout("a"), &spec, TX)), ErrorKind::InvalidInput, &[says]);
    }
}

#[test]
fn a_lost_race_for_a_name_or_the_last_space_is_told_from_other_failures() {
    let ask = asks("lv_name=\"a\" || lv_name=\"lxc\"");
    let kind = tool::Kind::Thin { pool: "lxc".into() };
    let name = crate::naming::Name { vg: VG.into(), lv: "a".into() };
    let line = tool::create(&name, &kind, hull_storage::Bytes(64 << 20), TX).to_string();
    let again = asks("lv_name=\"a\" || lv_layout={pool}");
    let make = |rows: &[String]| {
        let script = Script::new()
            .expect(&ask, &group(&[pool("10.00", "5.00")]))
            .fail(&line, 5, "  it is said here\n")
            .expect(&again, &group(rows));
        by(script, |d| d.create_blocks(&layout("a"), hull_storage::Bytes(64 << 20), TX))
    };
    let theirs = row("a", &[("lv_tags", "hull,hull.tx.0000000000000001")]);
    refused(make(&[theirs]), ErrorKind::AlreadyExists, &["is there already"]);
    refused(make(&[pool("95.00", "5.00")]), ErrorKind::NoSpace, &["95.0 % full"]);
    refused(make(&[pool("10.00", "5.00")]), ErrorKind::ToolFailed, &["lvcreate", "it is said here"]);
    // Made by this transaction, and then something went wrong.
    refused(make(&[row("a", &[])]), ErrorKind::ToolFailed, &["it is said here"]);
}

#[test]
fn renaming_is_exclusive_and_idempotent() {
    let line = format!("lvrename --quiet {VG} a b");
    let rename = |script: Script| by(script, |d| d.rename(&part("a"), &part("b")));
    assert_eq!(rename(Script::new().expect(&line, "")).unwrap(), Outcome::Done);
    let failed = |rows: &[String]| {
        let ask = asks("lv_name=\"a\" || lv_name=\"b\"");
        rename(Script::new().fail(&line, 5, "why").expect(&ask, &group(rows)))
    };
    assert_eq!(failed(&[]).unwrap(), Outcome::AlreadyDone);
    assert_eq!(failed(&[row("b", &[])]).unwrap(), Outcome::AlreadyDone);
    refused(failed(&[row("a", &[]), row("b", &[])]), ErrorKind::AlreadyExists, &["b is there already"]);
    refused(failed(&[row("a", &[])]), ErrorKind::ToolFailed, &["lvrename", "why"]);
    let other = Resource::new(NAME, "/dev/other/b");
    refused(
        by(Script::new(), |d| d.rename(&part("a"), &other)),
        ErrorKind::Unsupported,
        &["stays in its group"],
    );
}

#[test]
fn a_volume_whose_snapshots_would_go_with_it_stays() {
    let ask = asks("lv_name=\"a\" || origin=\"a\"");
    let clone =
        row("s", &[("origin", "a"), ("lv_role", "public,snapshot,thicksnapshot"), ("origin_size", "4096")]);
    let answer = group(&[row("a", &[("lv_role", "public,origin,thickorigin")]), clone]);
    let script = || Script::new().expect(&ask, &answer);
    refused(
        by(script(), |d| d.reclaim(&part("a"), TX)),
        ErrorKind::HasDependents,
        &["snapshots /dev/", "/s:"],
    );
    assert_eq!(by(script(), |d| d.needed_by(&at("a"))).unwrap(), [at("s")]);
    // What goes as well does not need it; a stranger's does, whatever it is called.
    for (tags, needs) in [("hull,hull.tx.0000000000000001", 0), ("", 1)] {
        let condemned = [
            ("origin", "a"),
            ("lv_role", "public,snapshot,thicksnapshot"),
            ("origin_size", "4096"),
            ("lv_tags", tags),
        ];
        let condemned = row("s.old-0123456789abcdef", &condemned);
        let answer = group(&[row("a", &[("lv_role", "public,origin,thickorigin")]), condemned]);
        let script = Script::new().expect(&ask, &answer);
        assert_eq!(by(script, |d| d.needed_by(&at("a"))).unwrap().len(), needs, "{tags}");
    }
    // Thin clones do not need it.
    let thin =
        group(&[row("a", &[]), row("s", &[("origin", "a"), ("lv_role", "public,snapshot,thinsnapshot")])]);
    let script =
        Script::new().expect(&ask, &thin).expect(&format!("lvremove --quiet --force --yes {VG}/a"), "");
    assert_eq!(by(script, |d| d.reclaim(&part("a"), TX)).unwrap(), Outcome::Done);
}

#[test]
fn removing_what_is_gone_is_success() {
    let script = Script::new()
        .expect(&asks("lv_name=\"a\" || origin=\"a\""), &group(&[]))
        .fail(&format!("lvremove --quiet --force --yes {VG}/a"), 5, "not found")
        .expect(&asks("lv_name=\"a\""), &group(&[]));
    assert_eq!(by(script, |d| d.reclaim(&part("a"), TX)).unwrap(), Outcome::AlreadyDone);
}

#[test]
fn a_pool_that_has_failed_is_named_with_what_helps() {
    let dead = row("lxc", &[POOL[0], POOL[1], ("data_percent", ""), ("lv_health_status", "failed")]);
    let script = Script::new().expect(&asks("lv_name=\"a\" || lv_name=\"lxc\""), &group(&[dead]));
    let made = by(script, |d| d.create(&layout("a"), &VolumeSpec::default(), TX));
    refused(made, ErrorKind::Os, &["the thin pool hull-no-such-group/lxc has failed", "lvconvert --repair"]);
}

#[test]
fn a_group_that_cannot_be_read_is_not_gone() {
    for (is_active, kind, says) in [
        (true, ErrorKind::Os, ["cannot read the volume group vg", "vgchange --activate y vg"]),
        (false, ErrorKind::NotFound, ["there is no volume group vg", "vgcreate vg"]),
    ] {
        refused(Err::<(), _>(no_group("vg", is_active)), kind, &says);
    }
}

#[test]
fn who_made_it_says_the_name_or_the_tag() {
    let made = |rows: &[String], tx| {
        by(Script::new().expect(&asks("lv_name=\"a\""), &group(rows)), |d| d.made_by(&part("a"), tx)).unwrap()
    };
    assert!(made(&[row("a", &[])], TX) && !made(&[row("a", &[])], TxId(1)) && !made(&[], TX));
    let stamped = part("a.old-0000000000000abc");
    assert!(by(Script::new(), |d| d.made_by(&stamped, TX)).unwrap());
}

#[test]
fn clones_are_offered_as_lvm_can_make_them() {
    let offer = |fields: &[(&str, &str)], to: &str| {
        let script = Script::new().expect(&asks("lv_name=\"a\""), &group(&[row("a", fields)]));
        let (driver, _) = driver(script);
        let to = Placement::exactly(to.as_ref()).unwrap();
        let offer = driver.offer(Source { driver: &driver, at: &at("a") }, &to, Access::ReadWrite);
        offer.map(|offer| offer.tie)
    };
    let inside = format!("/dev/{VG}/b");
    let thick = [("lv_layout", "linear"), ("pool_lv", "")];
    assert_eq!(offer(&[], &inside), Some(Tie::None));
    assert_eq!(offer(&thick, "/var/lib/lxc/b"), Some(Tie::Unguarded));
    let of_snapshot = [thick[0], ("lv_role", "public,snapshot,thicksnapshot"), ("origin_size", "4096")];
    assert_eq!(offer(&of_snapshot, &inside), None);
    assert_eq!(offer(&[], "/dev/other-group/b"), None);
}
