//! Looking through a pool.

use std::error::Error;

use hull_storage::{Enumerate, Listed, Locator, Mark, Resource, TxId};

use super::Bench;
use super::case::{Case, CaseResult, Need, Verdict, require};

pub(super) const CASES: &[Case] = &[
    Case { name: "enumerate::what_is_made_is_listed", needs: &[Need::Enumerate], run: made },
    Case { name: "enumerate::what_a_transaction_left_is_its_own", needs: &[Need::Enumerate], run: left },
];

/// What the pool lists of the names that `mine` are of.
fn listed(bench: &Bench, mine: &[&Resource]) -> Result<Vec<Listed>, Box<dyn Error>> {
    let all = bench.driver().enumerate().map(Enumerate::list).ok_or("it can be looked through")??;
    Ok(all.into_iter().filter(|listed| mine.contains(&&listed.what)).collect())
}

fn whole(bench: &Bench, at: &Locator) -> Result<Resource, Box<dyn Error>> {
    Ok(bench.driver().layout(at)?.parts.pop().ok_or("a volume has a part")?)
}

fn made(bench: &Bench) -> CaseResult {
    let store = bench.store();
    let at = bench.make(&store, "volume")?;
    let snapshot = bench.snapshot_of(&store, &at, "snapshot")?;
    let names = (whole(bench, &at)?, whole(bench, &snapshot)?);
    let now = listed(bench, &[&names.0, &names.1])?;
    require(now.len() == 2, format!("a volume and its snapshot are there, listed is {now:?}"))?;
    for (name, at) in [(&names.0, &at), (&names.1, &snapshot)] {
        let fits = |one: &&Listed| one.what == *name && one.at.as_ref() == Some(at) && one.by.is_none();
        require(now.iter().any(|one| fits(&one)), format!("{at} is listed as one of {now:?}"))?;
    }
    store.destroy(&snapshot)?;
    store.destroy(&at)?;
    let now = listed(bench, &[&names.0, &names.1])?;
    require(now.is_empty(), format!("what is gone is listed: {now:?}"))?;
    Ok(Verdict::Held)
}

fn left(bench: &Bench) -> CaseResult {
    let store = bench.store();
    let at = bench.make(&store, "volume")?;
    let (by, name) = (TxId(0xfeed_f00d), whole(bench, &at)?);
    let mut aside = name.clone();
    aside.name.push(Mark::Old.stamp(by));
    bench.driver().rename(&name, &aside)?;
    let now = listed(bench, &[&name, &aside])?;
    let fits = matches!(&now[..], [one] if one.what == aside && one.at.is_none() && one.by == Some(by));
    require(fits, format!("what transaction {by} moved aside is listed as {now:?}"))?;
    store.reclaim_orphan(&aside, by, &())?;
    let now = listed(bench, &[&name, &aside])?;
    require(now.is_empty(), format!("what is gone is listed: {now:?}"))?;
    bench.require_clean()?;
    Ok(Verdict::Held)
}
