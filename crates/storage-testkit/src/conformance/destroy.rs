//! Destroying volumes.

use hull_storage::{ErrorKind, Outcome, TxId};

use super::Bench;
use super::case::{Case, CaseResult, Verdict, refused, require};

pub(super) const CASES: &[Case] = &[
    Case { name: "destroy::leaves_no_trace", needs: &[], run: no_trace },
    Case { name: "destroy::reclaim_is_idempotent", needs: &[], run: idempotent },
    Case { name: "destroy::of_nothing_is_refused", needs: &[], run: of_nothing },
    Case { name: "destroy::a_clone_leaves_its_source_whole", needs: &[], run: clone },
    Case { name: "destroy::the_name_is_free_again", needs: &[], run: again },
];

fn no_trace(bench: &Bench) -> CaseResult {
    let store = bench.store();
    let at = bench.make(&store, "a")?;
    let parts = bench.driver().layout(&at)?.parts;
    store.destroy(&at)?;
    refused(bench.driver().layout(&at), ErrorKind::NotFound, "looking at what was destroyed")?;
    for part in parts.iter().filter(|p| p.path().is_absolute()) {
        require(!hull_storage::files::exists(part.path())?, format!("{part} is still there"))?;
    }
    bench.require_clean()?;
    Ok(Verdict::Held)
}

fn idempotent(bench: &Bench) -> CaseResult {
    let store = bench.store();
    let driver = bench.driver();
    let at = bench.make(&store, "a")?;
    let tx = TxId(0xdead);
    let layout = driver.layout(&at)?;
    let doomed = driver.moved(&layout, &driver.placement(&at)?.doomed(tx))?;
    for (from, to) in layout.parts.iter().zip(&doomed.parts) {
        driver.rename(from, to)?;
    }
    for part in doomed.parts.iter().rev() {
        require(driver.made_by(part, tx)?, format!("{part} is not provably the transaction's"))?;
        require(!driver.made_by(part, TxId(1))?, format!("{part} is provably anybody's"))?;
        require(driver.reclaim(part, tx)? == Outcome::Done, format!("{part} was not reclaimed"))?;
        require(driver.reclaim(part, tx)? == Outcome::AlreadyDone, format!("{part} was reclaimed twice"))?;
    }
    bench.require_clean()?;
    Ok(Verdict::Held)
}

fn of_nothing(bench: &Bench) -> CaseResult {
    let store = bench.store();
    let gone = bench.make(&store, "a")?;
    store.destroy(&gone)?;
    refused(store.destroy(&gone), ErrorKind::NotFound, "destroying what is not there")?;
    bench.require_clean()?;
    Ok(Verdict::Held)
}

fn clone(bench: &Bench) -> CaseResult {
    let store = bench.store();
    let source = bench.make(&store, "a")?;
    let before = bench.content(&store, &source)?;
    let clone = bench.clone_of(&store, &source, "b")?;
    bench.write(&store, &clone, "own", "x")?;
    store.destroy(&clone)?;
    require(bench.content(&store, &source)? == before, "the source has changed")?;
    store.destroy(&source)?;
    bench.require_clean()?;
    Ok(Verdict::Held)
}

fn again(bench: &Bench) -> CaseResult {
    let store = bench.store();
    for round in ["first", "second"] {
        let at = bench.make(&store, "a")?;
        bench.write(&store, &at, "round", round)?;
        require(bench.read(&store, &at, "round")?.as_deref() == Some(round), "an old volume shines through")?;
        store.destroy(&at)?;
    }
    bench.require_clean()?;
    Ok(Verdict::Held)
}
