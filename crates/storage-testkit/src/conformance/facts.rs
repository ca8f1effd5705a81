//! What a store can on its ground. Clones, snapshots and sizes are found out by doing them; of ties and streams the driver
//! is asked, whom other cases hold to what it says. The suite says all that in a line, `fact: STORE on GROUND: …`, which
//! `cargo xtask stores` makes the table in the README of.

use std::error::Error;
use std::fs::File;

use hull_storage::{Access, Bytes, ErrorKind, Locator, Store, VolumeSpec};

use super::Bench;
use super::bench::Open;
use super::case::{Case, CaseResult, Verdict, require};
use crate::plain;

pub(super) const CASES: &[Case] = &[Case { name: "facts::what_it_can", needs: &[], run: say }];

type Checked<T> = Result<T, Box<dyn Error>>;

/// What the volume holds that is cloned.
const DATA: Bytes = Bytes(16 << 20);

fn say(bench: &Bench) -> CaseResult {
    let store = bench.store();
    // A store that only keeps changes clones volumes of others.
    let at = match bench.driver().capabilities().standalone {
        true => bench.make(&store, "volume")?,
        false => store.create(plain::NAME, &bench.place("volume"), &VolumeSpec::default())?,
    };
    let noise: String = (0..DATA.0 / 64).map(|n| format!("{n:>063}\n")).collect();
    bench.write(&store, &at, "data", &noise)?;
    let facts = [
        ("clone", clone(bench, &store, &at)?),
        ("source first", source_first(bench, &store)?),
        ("snapshot", snapshot(bench, &store, &at)?),
        ("grows", grows(bench, &store)?),
        ("stream", stream(bench, &at)),
    ];
    let facts: Vec<String> = facts.into_iter().map(|(name, value)| format!("{name} = {value}")).collect();
    println!("fact: {} on {}: {}", bench.driver().name(), bench.ground(), facts.join("; "));
    bench.require_clean()?;
    Ok(Verdict::Held)
}

/// What a clone takes of the space that is left, when it has been written out.
fn clone(bench: &Bench, store: &Store, at: &Locator) -> Checked<String> {
    sync(bench, store, at)?;
    let Some(before) = bench.free()? else { return Ok("not measured".into()) };
    let clone = bench.clone_of(store, at, "clone")?;
    sync(bench, store, &clone)?;
    let taken = before.saturating_sub(bench.free()?.unwrap_or_default());
    let same = bench.read(store, &clone, "data")?.map(|text| text.len() as u64);
    require(same == Some(DATA.0), "the clone has not got the data")?;
    store.destroy(&clone)?;
    // Tenths of a mebibyte: what a file system takes for itself differs from run to run.
    let tenths = (taken * 10).div_ceil(1 << 20);
    Ok(format!("{}.{} MiB", tenths / 10, tenths % 10))
}

fn sync(bench: &Bench, store: &Store, at: &Locator) -> Checked<()> {
    rustix::fs::syncfs(File::open(Open::new(store, at, Access::ReadOnly)?.path())?)?;
    Ok(rustix::fs::syncfs(File::open(bench.dir())?)?)
}

/// Whether a clone stays whole when its source goes.
fn source_first(bench: &Bench, store: &Store) -> Checked<String> {
    let source = bench.make(store, "source")?;
    let clone = bench.clone_of(store, &source, "heir")?;
    if bench.tie(&source, Access::ReadWrite) == hull_storage::Tie::Unguarded {
        // Destroying it would be a container's to refuse, who knows of the tie.
        store.destroy(&clone)?;
        store.destroy(&source)?;
        return Ok("no".into());
    }
    let before = bench.content(store, &clone)?;
    store.destroy(&source)?;
    require(bench.content(store, &clone)? == before, "the clone has changed when its source went")?;
    store.destroy(&clone)?;
    Ok("yes".into())
}

/// Whether what is to be only read can be written to.
fn snapshot(bench: &Bench, store: &Store, at: &Locator) -> Checked<String> {
    let snapshot = bench.snapshot_of(store, at, "snapshot")?;
    let refused = store.activate(&snapshot, Access::ReadWrite).is_err();
    let kept = match refused {
        true => "refuses writing",
        false => "is a copy",
    };
    store.destroy(&snapshot)?;
    Ok(kept.into())
}

fn grows(bench: &Bench, store: &Store) -> Checked<String> {
    if bench.driver().capacity().is_none() {
        return Ok("no sizes".into());
    }
    let at = bench.make(store, "sized")?;
    let before = store.inspect(&at)?.size;
    let more = Bytes(before.unwrap_or_default().0 + (64 << 20));
    let done = match store.resize(&at, Some(more)) {
        Err(e) if e.kind() == ErrorKind::Unsupported => "not here",
        Err(e) => return Err(e.into()),
        Ok(_) => {
            let less = Bytes(more.0 - (32 << 20));
            match store.resize(&at, Some(less)) {
                Err(e) if matches!(e.kind(), ErrorKind::Unsupported | ErrorKind::CannotShrink) => "grows",
                Err(e) => return Err(e.into()),
                Ok(_) if before.is_none() => "any limit",
                Ok(_) => "grows and shrinks",
            }
        }
    };
    store.destroy(&at)?;
    Ok(done.into())
}

fn stream(bench: &Bench, at: &Locator) -> String {
    let own = bench.driver().transfer().is_some_and(|facet| facet.can_send(at));
    if own { "its own, also of what is new" } else { "a tree" }.into()
}
