//! Putting a snapshot where the volume was.

use hull_storage::{CloneMode, ErrorKind};

use super::Bench;
use super::bench::SAMPLE;
use super::case::{Case, CaseResult, Verdict, refused, require};

pub(super) const CASES: &[Case] = &[
    Case { name: "restore::brings_the_content_back", needs: &[], run: back },
    Case { name: "restore::twice_from_one_snapshot", needs: &[], run: twice },
    Case { name: "restore::of_nothing_keeps_the_volume", needs: &[], run: of_nothing },
];

fn back(bench: &Bench) -> CaseResult {
    let store = bench.store();
    let at = bench.make(&store, "a")?;
    // What a later state keeps apart must be a copy where a clone would need the volume that goes.
    let snapshot = snapshot_that_stands(bench, &store, &at, "s")?;
    let before = bench.content(&store, &snapshot)?;
    bench.write(&store, &at, SAMPLE, "spoilt")?;
    let restored = store.restore(&snapshot, &at)?.at;
    require(bench.content(&store, &restored)? == before, "the restored volume differs from its snapshot")?;
    require(bench.content(&store, &snapshot)? == before, "the snapshot has changed")?;
    bench.write(&store, &restored, "after", "x")?;
    require(bench.content(&store, &snapshot)? == before, "a write to the volume shows in its snapshot")?;
    bench.require_clean()?;
    Ok(Verdict::Held)
}

/// A snapshot of `at` that stays good when `at` goes.
pub(super) fn snapshot_that_stands(
    bench: &Bench,
    store: &hull_storage::Store,
    at: &hull_storage::Locator,
    name: &str,
) -> Result<hull_storage::Locator, Box<dyn std::error::Error>> {
    use hull_storage::{Access, Tie};
    if bench.tie(at, Access::ReadOnly) == Tie::None {
        return Ok(bench.snapshot_of(store, at, name)?);
    }
    // Where clones need their source, the snapshot is made first and the volume is its clone.
    let into = match bench.driver().capabilities().standalone {
        true => bench.driver().name(),
        false => crate::plain::NAME,
    };
    let to = bench.place(name);
    Ok(store.clone_volume(at, Some(into), &to, CloneMode::Copy, Access::ReadWrite)?.at)
}

fn twice(bench: &Bench) -> CaseResult {
    let store = bench.store();
    let mut at = bench.make(&store, "a")?;
    let snapshot = snapshot_that_stands(bench, &store, &at, "s")?;
    for round in ["1", "2"] {
        bench.write(&store, &at, SAMPLE, round)?;
        at = store.restore(&snapshot, &at)?.at;
        require(bench.read(&store, &at, SAMPLE)?.as_deref() == Some("a"), format!("round {round} failed"))?;
    }
    bench.require_clean()?;
    Ok(Verdict::Held)
}

fn of_nothing(bench: &Bench) -> CaseResult {
    let store = bench.store();
    let at = bench.make(&store, "a")?;
    let gone = bench.make(&store, "gone")?;
    store.destroy(&gone)?;
    let before = bench.content(&store, &at)?;
    refused(store.restore(&gone, &at), ErrorKind::NotFound, "restoring what is not there")?;
    require(bench.content(&store, &at)? == before, "the volume has changed")?;
    bench.require_clean()?;
    Ok(Verdict::Held)
}
