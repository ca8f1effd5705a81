//! Mounting volumes: activation, detached mount, attached mount.

use std::fs;
use std::path::Path;

use hull_mount::{DetachedMount, MountSource};
use hull_storage::{Access, Locator, Store};

use super::Bench;
use super::bench::SAMPLE;
use super::case::{Case, CaseResult, Need, Verdict, require};

pub(super) const CASES: &[Case] = &[
    Case { name: "mount::shows_the_content_and_keeps_writes", needs: &[], run: writes },
    Case { name: "mount::read_only_is_read_only", needs: &[], run: read_only },
    Case { name: "mount::a_detached_mount_is_seen_by_nobody", needs: &[], run: detached },
    Case {
        name: "mount::a_small_file_needs_none",
        needs: &[Need::CopyOnWrite, Need::Blocks],
        run: unmounted,
    },
];

fn build(store: &Store, at: &Locator, access: Access) -> Result<DetachedMount, Box<dyn std::error::Error>> {
    let ready = store.activate(at, access)?;
    Ok(DetachedMount::build(&ready.plan, None)?)
}

fn may_mount(bench: &Bench) -> Option<Verdict> {
    match DetachedMount::build(
        &hull_mount::MountPlan::new(hull_mount::MountSource::Tree(bench.dir().into()), Access::ReadOnly),
        None,
    ) {
        Ok(_) => None,
        Err(e) => Some(Verdict::Skipped(format!("mounting is refused: {e}"))),
    }
}

fn writes(bench: &Bench) -> CaseResult {
    if let Some(verdict) = may_mount(bench) {
        return Ok(verdict);
    }
    let store = bench.store();
    let at = bench.make(&store, "a")?;
    let point = bench.dir().join("mnt");
    fs::create_dir(&point)?;
    let guard = build(&store, &at, Access::ReadWrite)?.attach(rustix::fs::CWD, &point)?;
    require(fs::read_to_string(point.join(SAMPLE))? == "a", "the mount lacks the content")?;
    fs::write(point.join("new"), "new")?;
    guard.unmount()?;
    require(!point.join(SAMPLE).exists(), "it is still mounted")?;
    require(bench.read(&store, &at, "new")?.as_deref() == Some("new"), "the write is lost")?;
    bench.require_clean()?;
    Ok(Verdict::Held)
}

fn read_only(bench: &Bench) -> CaseResult {
    if let Some(verdict) = may_mount(bench) {
        return Ok(verdict);
    }
    let store = bench.store();
    let at = bench.make(&store, "a")?;
    let point = bench.dir().join("mnt");
    fs::create_dir(&point)?;
    let guard = build(&store, &at, Access::ReadOnly)?.attach(rustix::fs::CWD, &point)?;
    require(fs::read_to_string(point.join(SAMPLE))? == "a", "the mount lacks the content")?;
    require(fs::write(point.join("new"), "new").is_err(), "a read-only mount was written to")?;
    guard.unmount()?;
    Ok(Verdict::Held)
}

fn detached(bench: &Bench) -> CaseResult {
    if let Some(verdict) = may_mount(bench) {
        return Ok(verdict);
    }
    let store = bench.store();
    let at = bench.make(&store, "a")?;
    let mounts =
        || fs::read_to_string("/proc/self/mountinfo").map(|t| t.matches(&*shown(bench.dir())).count());
    let before = mounts()?;
    let mount = build(&store, &at, Access::ReadWrite)?;
    require(mounts()? == before, "a detached mount shows in mountinfo")?;
    drop(mount);
    store.destroy(&at)?;
    bench.require_clean()?;
    Ok(Verdict::Held)
}

fn unmounted(bench: &Bench) -> CaseResult {
    if let Some(verdict) = may_mount(bench) {
        return Ok(verdict);
    }
    let store = bench.store();
    let source = bench.make(&store, "a")?;
    let clone = bench.clone_of(&store, &source, "b")?;
    let says = |at: &Locator, file: &str| bench.read(&store, at, file);
    let expected = |done| Some(if done { "a longer name\n" } else { "a" });

    let done = store.overwrite_unmounted(&clone, "etc", "hostname", b"a longer name\n")?;
    require(says(&clone, SAMPLE)?.as_deref() == expected(done), "the file is not what was said of it")?;
    require(says(&source, SAMPLE)?.as_deref() == Some("a"), "the source has changed")?;
    let ready = store.activate(&clone, Access::ReadWrite)?;
    if let MountSource::Filesystem { fstype, .. } = &ready.plan.source {
        require(done || fstype != "ext4", "an ordinary ext4 was left to the kernel")?;
    }
    let mount = DetachedMount::build(&ready.plan, None)?;
    let under_it = store.overwrite_unmounted(&clone, "etc", "hostname", b"under it\n")?;
    require(!under_it, "a mounted file system was written to")?;
    drop(mount);
    drop(ready);
    require(says(&clone, SAMPLE)?.as_deref() == expected(done), "a mounted file system has changed")?;

    store.overwrite_unmounted(&clone, "etc", "nothing", b"something\n")?;
    require(says(&clone, "etc/nothing")?.is_none(), "a file was made")?;
    let snapshot = bench.snapshot_of(&store, &source, "s")?;
    let _ = store.overwrite_unmounted(&snapshot, "etc", "hostname", b"a snapshot\n");
    require(says(&snapshot, SAMPLE)?.as_deref() == Some("a"), "a snapshot was written to")?;
    bench.require_clean()?;
    Ok(Verdict::Held)
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}
