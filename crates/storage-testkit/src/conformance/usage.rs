//! What volumes occupy.

use hull_storage::{Access, ErrorKind};

use super::Bench;
use super::bench::Open;
use super::case::{Case, CaseResult, Verdict, refused, require};

pub(super) const CASES: &[Case] = &[
    Case { name: "usage::grows_with_the_content", needs: &[], run: grows },
    Case { name: "usage::of_nothing_is_refused", needs: &[], run: of_nothing },
];

fn grows(bench: &Bench) -> CaseResult {
    const DATA: usize = 1 << 20;
    let store = bench.store();
    let at = bench.make(&store, "a")?;
    let sync = || -> Result<(), Box<dyn std::error::Error>> {
        // Delayed allocation counts no blocks until they are written.
        let open = Open::new(&store, &at, Access::ReadOnly)?;
        Ok(rustix::fs::syncfs(std::fs::File::open(open.path())?)?)
    };
    sync()?;
    let before = store.usage(&at)?;
    bench.write(&store, &at, "large", &"0123456789abcdef".repeat(DATA / 16))?;
    sync()?;
    let after = store.usage(&at)?;
    let grown = match before.total {
        // What occupies its whole size from the beginning fills up inside.
        whole if store.inspect(&at)?.size == Some(whole) => {
            before.available.map_or(0, |b| b.0).saturating_sub(after.available.map_or(0, |b| b.0))
        }
        total => after.total.0.saturating_sub(total.0),
    };
    let sane = (DATA as u64 / 2..DATA as u64 * 2).contains(&grown);
    require(sane, format!("1 MiB more is {grown} bytes more: {before:?}, {after:?}"))?;
    require(after.entries == before.entries + 1, format!("one file more: {before:?}, {after:?}"))?;
    if let Some(exclusive) = after.exclusive {
        require(exclusive <= after.total, format!("more its own than it has: {after:?}"))?;
    }
    Ok(Verdict::Held)
}

fn of_nothing(bench: &Bench) -> CaseResult {
    let store = bench.store();
    let gone = bench.make(&store, "a")?;
    store.destroy(&gone)?;
    refused(store.usage(&gone), ErrorKind::NotFound, "measuring what is not there")?;
    refused(store.inspect(&gone), ErrorKind::NotFound, "inspecting what is not there")?;
    refused(store.activate(&gone, Access::ReadOnly), ErrorKind::NotFound, "activating what is not there")?;
    Ok(Verdict::Held)
}
