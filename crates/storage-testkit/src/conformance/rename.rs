//! Renaming volumes.

use hull_storage::{ErrorKind, Outcome};

use super::Bench;
use super::case::{Case, CaseResult, Verdict, refused, require};

pub(super) const CASES: &[Case] = &[
    Case { name: "rename::keeps_the_content", needs: &[], run: content },
    Case { name: "rename::onto_a_taken_name_changes_nothing", needs: &[], run: taken },
    Case { name: "rename::each_part_is_exclusive_and_idempotent", needs: &[], run: parts },
    Case { name: "rename::of_nothing_is_refused", needs: &[], run: of_nothing },
    Case { name: "rename::a_clone_still_has_its_source", needs: &[], run: clone },
];

fn content(bench: &Bench) -> CaseResult {
    let store = bench.store();
    let a = bench.make(&store, "a")?;
    let before = bench.content(&store, &a)?;
    let b = store.rename(&a, &bench.place("b"))?;
    require(!bench.is_there(&a), "the old name is still there")?;
    require(bench.content(&store, &b)? == before, "the content has changed")?;
    bench.write(&store, &b, "later", "x")?;
    bench.require_clean()?;
    Ok(Verdict::Held)
}

fn taken(bench: &Bench) -> CaseResult {
    let store = bench.store();
    let (a, b) = (bench.make(&store, "a")?, bench.make(&store, "b")?);
    let before = (bench.content(&store, &a)?, bench.content(&store, &b)?);
    refused(store.rename(&a, &bench.place("b")), ErrorKind::AlreadyExists, "renaming onto a volume")?;
    require((bench.content(&store, &a)?, bench.content(&store, &b)?) == before, "something has changed")?;
    bench.require_clean()?;
    Ok(Verdict::Held)
}

fn parts(bench: &Bench) -> CaseResult {
    let store = bench.store();
    let driver = bench.driver();
    let (a, b) = (bench.make(&store, "a")?, bench.make(&store, "b")?);
    let (from, taken) = (driver.layout(&a)?, driver.layout(&b)?);
    let free = driver.moved(&from, &bench.place("c"))?;
    for ((from, taken), free) in from.parts.iter().zip(&taken.parts).zip(&free.parts) {
        if from != taken {
            refused(driver.rename(from, taken), ErrorKind::AlreadyExists, "renaming a part onto another")?;
        }
        require(driver.rename(from, free)? == Outcome::Done, format!("{from} was not renamed"))?;
        require(driver.rename(from, free)? == Outcome::AlreadyDone, format!("{from} was renamed twice"))?;
        require(driver.rename(free, from)? == Outcome::Done, format!("{free} was not renamed back"))?;
    }
    require(bench.read(&store, &a, super::bench::SAMPLE)?.as_deref() == Some("a"), "a is not whole")?;
    require(bench.read(&store, &b, super::bench::SAMPLE)?.as_deref() == Some("b"), "b is not whole")?;
    Ok(Verdict::Held)
}

fn of_nothing(bench: &Bench) -> CaseResult {
    let store = bench.store();
    let gone = bench.make(&store, "a")?;
    store.destroy(&gone)?;
    refused(store.rename(&gone, &bench.place("b")), ErrorKind::NotFound, "renaming what is not there")?;
    bench.require_clean()?;
    Ok(Verdict::Held)
}

fn clone(bench: &Bench) -> CaseResult {
    let store = bench.store();
    let source = bench.make(&store, "a")?;
    let clone = bench.clone_of(&store, &source, "b")?;
    bench.write(&store, &clone, "own", "x")?;
    let before = bench.content(&store, &clone)?;
    let renamed = store.rename(&clone, &bench.place("c"))?;
    require(bench.content(&store, &renamed)? == before, "the renamed clone has lost something")?;
    store.destroy(&renamed)?;
    bench.require_clean()?;
    Ok(Verdict::Held)
}
