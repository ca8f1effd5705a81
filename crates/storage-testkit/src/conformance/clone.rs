//! Clones, copies and snapshots of volumes.

use hull_storage::{Access, CloneMode, ErrorKind, Method, Tie};

use super::Bench;
use super::bench::SAMPLE;
use super::case::{Case, CaseResult, Need, Verdict, refused, require};

pub(super) const CASES: &[Case] = &[
    Case { name: "clone::has_the_content_of_its_source", needs: &[], run: content },
    Case { name: "clone::each_mode_keeps_its_promise", needs: &[], run: modes },
    Case { name: "clone::snapshot_of_another_store_by_offer", needs: &[Need::CopyOnWrite], run: foreign },
    Case { name: "clone::a_taken_name_is_left_alone", needs: &[], run: taken },
    Case { name: "clone::the_driver_adopts_nothing", needs: &[Need::CopyOnWrite], run: exclusive },
    Case { name: "clone::of_nothing_makes_nothing", needs: &[], run: of_nothing },
    Case { name: "clone::read_only_is_read_only", needs: &[], run: read_only },
    Case { name: "clone::of_a_clone_of_a_clone", needs: &[], run: chain },
    Case { name: "clone::of_a_snapshot_is_writable", needs: &[], run: of_snapshot },
    Case { name: "clone::copy_into_a_plain_directory", needs: &[], run: out },
    Case { name: "clone::copy_from_a_plain_directory", needs: &[Need::Standalone], run: into },
    Case { name: "clone::inspect_names_what_it_needs", needs: &[Need::CopyOnWrite], run: origins },
];

fn content(bench: &Bench) -> CaseResult {
    let store = bench.store();
    let source = bench.make(&store, "a")?;
    let before = bench.content(&store, &source)?;
    let clone = bench.clone_of(&store, &source, "b")?;
    require(bench.content(&store, &clone)? == before, "the clone differs from its source")?;
    require(bench.content(&store, &source)? == before, "the source has changed")?;
    bench.require_clean()?;
    Ok(Verdict::Held)
}

fn modes(bench: &Bench) -> CaseResult {
    let store = bench.store();
    let source = bench.make(&store, "a")?;
    let into = Some(bench.driver().name());
    let standalone = bench.driver().capabilities().standalone;
    for (name, mode) in
        [("c", CloneMode::Copy), ("s", CloneMode::Snapshot), ("e", CloneMode::SnapshotElseCopy)]
    {
        let tie = bench.tie(&source, Access::ReadWrite);
        match store.clone_volume(&source, into, &bench.place(name), mode, Access::ReadWrite) {
            Ok(new) => {
                let read = bench.read(&store, &new.at, SAMPLE)?;
                require(read.as_deref() == Some("a"), format!("{mode:?} lacks the content"))?;
                let method = new.method.ok_or("a clone has a method")?;
                match mode {
                    CloneMode::Copy => require(
                        !matches!(method, Method::Clone(o) if o.tie != Tie::None),
                        "a copy is tied to its source",
                    )?,
                    CloneMode::Snapshot => {
                        require(matches!(method, Method::Clone(_)), "a snapshot was copied")?;
                    }
                    CloneMode::SnapshotElseCopy => {}
                }
            }
            Err(e) if e.kind() == ErrorKind::Unsupported => match mode {
                CloneMode::Copy => require(!standalone || tie != Tie::None, e.to_string())?,
                CloneMode::Snapshot => require(!bench.shares(&source), e.to_string())?,
                CloneMode::SnapshotElseCopy => return Err(e.into()),
            },
            Err(e) => return Err(e.into()),
        }
    }
    bench.require_clean()?;
    Ok(Verdict::Held)
}

fn foreign(bench: &Bench) -> CaseResult {
    let store = bench.store();
    let source = plain(bench, &store, "p")?;
    let into = Some(bench.driver().name());
    let to = bench.place("b");
    match store.clone_volume(&source, into, &to, CloneMode::Snapshot, Access::ReadWrite) {
        Ok(new) => {
            let read = bench.read(&store, &new.at, SAMPLE)?;
            require(read.as_deref() == Some("plain"), "the clone lacks its source's content")?;
            Ok(Verdict::Held)
        }
        Err(e) if e.kind() == ErrorKind::Unsupported => {
            bench.require_clean()?;
            Ok(Verdict::DoesNotApply("it offers no clone of a plain directory".into()))
        }
        Err(e) => Err(e.into()),
    }
}

/// A plain directory with a little content.
fn plain(
    bench: &Bench,
    store: &hull_storage::Store,
    name: &str,
) -> Result<hull_storage::Locator, Box<dyn std::error::Error>> {
    let at =
        store.create(crate::plain::NAME, &bench.plain_place(name), &hull_storage::VolumeSpec::default())?;
    bench.write(store, &at, SAMPLE, "plain")?;
    Ok(at)
}

fn taken(bench: &Bench) -> CaseResult {
    let store = bench.store();
    let (a, b) = (bench.make(&store, "a")?, bench.make(&store, "b")?);
    let before = (bench.content(&store, &a)?, bench.content(&store, &b)?);
    refused(bench.clone_of(&store, &a, "b"), ErrorKind::AlreadyExists, "cloning onto a volume")?;
    require((bench.content(&store, &a)?, bench.content(&store, &b)?) == before, "something has changed")?;
    bench.require_clean()?;
    Ok(Verdict::Held)
}

fn exclusive(bench: &Bench) -> CaseResult {
    use hull_storage::{Source, TxId};
    let store = bench.store();
    let source = bench.make(&store, "a")?;
    let clone = bench.clone_of(&store, &source, "b")?;
    let from = Source { driver: bench.driver(), at: &source };
    let cow = bench.driver().copy_on_write().ok_or("selected by that facet")?;
    if cow.offer(from, &bench.place("b"), Access::ReadWrite).is_none() {
        return Ok(Verdict::DoesNotApply("it offers no clone of its own volumes here".into()));
    }
    bench.write(&store, &clone, "mine", "x")?;
    let layout = bench.driver().new_layout(&bench.place("b"), Some(&source))?;
    let made = cow.clone_volume(from, &layout, Access::ReadWrite, TxId(1));
    refused(made, ErrorKind::AlreadyExists, "CopyOnWrite::clone_volume on what is there")?;
    require(bench.read(&store, &clone, "mine")?.is_some(), "the volume that was there has changed")?;
    Ok(Verdict::Held)
}

fn of_nothing(bench: &Bench) -> CaseResult {
    let store = bench.store();
    let gone = bench.make(&store, "a")?;
    store.destroy(&gone)?;
    refused(bench.clone_of(&store, &gone, "b"), ErrorKind::NotFound, "cloning what is not there")?;
    bench.require_clean()?;
    Ok(Verdict::Held)
}

fn read_only(bench: &Bench) -> CaseResult {
    let store = bench.store();
    let source = bench.make(&store, "a")?;
    let snapshot = bench.snapshot_of(&store, &source, "s")?;
    let before = bench.content(&store, &snapshot)?;
    if store.inspect(&snapshot)?.access == Access::ReadWrite {
        return Ok(Verdict::DoesNotApply("inspect says that its snapshots may be written to".into()));
    }
    require(
        bench.write(&store, &snapshot, "file", "x").is_err() && bench.content(&store, &snapshot)? == before,
        "inspect says that the snapshot is read-only, and it was written to",
    )?;
    store.destroy(&snapshot)?;
    bench.require_clean()?;
    Ok(Verdict::Held)
}

fn chain(bench: &Bench) -> CaseResult {
    let store = bench.store();
    let mut at = bench.make(&store, "v0")?;
    for n in 1..=4 {
        at = bench.clone_of(&store, &at, format!("v{n}"))?;
        bench.write(&store, &at, format!("layer{n}"), "here")?;
    }
    let content = bench.content(&store, &at)?;
    for n in 1..=4 {
        require(
            content.contains_key(format!("layer{n}").as_ref() as &std::path::Path),
            format!("layer{n} is lost"),
        )?;
    }
    require(bench.read(&store, &at, SAMPLE)?.as_deref() == Some("v0"), "the first volume's file is lost")?;
    bench.require_clean()?;
    Ok(Verdict::Held)
}

fn of_snapshot(bench: &Bench) -> CaseResult {
    let store = bench.store();
    let source = bench.make(&store, "a")?;
    let snapshot = bench.snapshot_of(&store, &source, "s")?;
    let clone = bench.clone_of(&store, &snapshot, "c")?;
    bench.write(&store, &clone, SAMPLE, "c")?;
    require(bench.read(&store, &clone, SAMPLE)?.as_deref() == Some("c"), "the clone cannot be written to")?;
    require(bench.read(&store, &snapshot, SAMPLE)?.as_deref() == Some("a"), "the snapshot has changed")?;
    Ok(Verdict::Held)
}

fn out(bench: &Bench) -> CaseResult {
    let store = bench.store();
    let source = bench.make(&store, "a")?;
    let into = Some(crate::plain::NAME);
    let copy =
        store.clone_volume(&source, into, &bench.plain_place("p"), CloneMode::Copy, Access::ReadWrite)?;
    require(bench.content(&store, &copy.at)? == bench.content(&store, &source)?, "the copy differs")?;
    bench.require_clean()?;
    Ok(Verdict::Held)
}

fn into(bench: &Bench) -> CaseResult {
    let store = bench.store();
    let source = plain(bench, &store, "p")?;
    let into = Some(bench.driver().name());
    let copy = store.clone_volume(&source, into, &bench.place("b"), CloneMode::Copy, Access::ReadWrite)?;
    require(bench.content(&store, &copy.at)? == bench.content(&store, &source)?, "the copy differs")?;
    store.destroy(&copy.at)?;
    require(!bench.is_there(&copy.at), "the copy cannot be destroyed")?;
    bench.require_clean()?;
    Ok(Verdict::Held)
}

fn origins(bench: &Bench) -> CaseResult {
    let store = bench.store();
    let source = bench.make(&store, "a")?;
    if bench.tie(&source, Access::ReadWrite) != Tie::Unguarded {
        return Ok(Verdict::DoesNotApply("its clones need nobody to record what they need".into()));
    }
    let clone = bench.clone_of(&store, &source, "b")?;
    let origins = store.inspect(&clone)?.origins;
    require(!origins.is_empty(), "a clone that another volume could ruin names no origin")?;
    Ok(Verdict::Held)
}
