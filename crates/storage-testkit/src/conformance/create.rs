//! Making empty volumes.

use std::fs;

use hull_storage::{ErrorKind, TxId, VolumeSpec};

use super::Bench;
use super::case::{Case, CaseResult, Need, Verdict, refused, require};

pub(super) const CASES: &[Case] = &[
    Case { name: "create::an_empty_volume", needs: &[Need::Standalone], run: empty },
    Case { name: "create::refused_without_a_source", needs: &[Need::Dependent], run: dependent },
    Case { name: "create::a_taken_name_is_left_alone", needs: &[], run: taken },
    Case { name: "create::the_driver_adopts_nothing", needs: &[Need::Standalone], run: exclusive },
    Case { name: "create::a_missing_parent_is_said", needs: &[], run: no_parent },
    Case { name: "create::owner_of_the_root", needs: &[Need::Standalone], run: owner },
    Case { name: "create::inspect_says_it_is_ours", needs: &[], run: ours },
];

fn empty(bench: &Bench) -> CaseResult {
    let store = bench.store();
    let at = store.create(bench.driver().name(), &bench.place("a"), &VolumeSpec::default())?;
    let content = bench.content(&store, &at)?;
    // A file system of its own may bring lost+found.
    let strange: Vec<_> = content.keys().filter(|p| !p.starts_with("lost+found")).collect();
    require(strange.is_empty(), format!("a new volume is not empty: {strange:?}"))?;
    bench.write(&store, &at, "file", "kept")?;
    require(bench.read(&store, &at, "file")?.as_deref() == Some("kept"), "what was written is not there")?;
    bench.require_clean()?;
    Ok(Verdict::Held)
}

fn dependent(bench: &Bench) -> CaseResult {
    let store = bench.store();
    let made = store.create(bench.driver().name(), &bench.place("a"), &VolumeSpec::default());
    require(made.is_err(), "a store that is not standalone made an empty volume")?;
    bench.require_clean()?;
    Ok(Verdict::Held)
}

fn taken(bench: &Bench) -> CaseResult {
    let store = bench.store();
    let at = bench.make(&store, "a")?;
    let before = bench.content(&store, &at)?;
    refused(bench.make_empty(&store, "a"), ErrorKind::AlreadyExists, "making a volume where one is")?;
    require(bench.content(&store, &at)? == before, "the volume that was there has changed")?;
    bench.require_clean()?;
    Ok(Verdict::Held)
}

fn exclusive(bench: &Bench) -> CaseResult {
    let store = bench.store();
    let at = bench.make(&store, "a")?;
    let before = bench.content(&store, &at)?;
    let layout = bench.driver().layout(&at)?;
    let made = bench.driver().create(&layout, &VolumeSpec::default(), TxId(1));
    refused(made, ErrorKind::AlreadyExists, "Driver::create on what is there")?;
    require(bench.content(&store, &at)? == before, "the volume that was there has changed")?;
    Ok(Verdict::Held)
}

fn no_parent(bench: &Bench) -> CaseResult {
    let store = bench.store();
    let parent = bench.dir().join("volumes/none");
    if bench.is_pooled() {
        return Ok(Verdict::DoesNotApply("its volumes lie in a pool".into()));
    }
    refused(bench.make_empty(&store, "none/a"), ErrorKind::NotFound, "making a volume in no directory")?;
    require(!parent.exists(), "the missing directory was made")?;
    bench.require_clean()?;
    Ok(Verdict::Held)
}

fn owner(bench: &Bench) -> CaseResult {
    use std::os::unix::fs::MetadataExt;
    let store = bench.store();
    if !rustix::process::geteuid().is_root() {
        return Ok(Verdict::Skipped("giving directories away needs root".into()));
    }
    let spec = VolumeSpec { owner: Some((10, 20)), ..VolumeSpec::default() };
    let at = store.create(bench.driver().name(), &bench.place("a"), &spec)?;
    let open = super::bench::Open::new(&store, &at, hull_storage::Access::ReadOnly)?;
    let root = fs::metadata(open.path())?;
    require((root.uid(), root.gid()) == (10, 20), format!("it belongs to {}:{}", root.uid(), root.gid()))?;
    Ok(Verdict::Held)
}

fn ours(bench: &Bench) -> CaseResult {
    if bench.driver().capabilities().anywhere || !bench.driver().capabilities().standalone {
        // Such a mark is an attribute of a directory.
        if !bench.keeps_user_attributes() {
            return Ok(Verdict::DoesNotApply("its file system keeps no attributes called user.*".into()));
        }
    }
    let store = bench.store();
    let at = bench.make(&store, "a")?;
    require(store.inspect(&at)?.ours, format!("{at} was made by Hull and inspect denies it"))?;
    let elsewhere = store.rename(&at, &bench.place("b"))?;
    require(store.inspect(&elsewhere)?.ours, "a renamed volume is no longer ours")?;
    Ok(Verdict::Held)
}
