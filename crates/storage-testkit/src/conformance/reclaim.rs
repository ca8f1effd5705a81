//! Deletion that is left for later: what is doomed is in nobody's way, and may be worked off by anybody, in pieces.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use hull_storage::{Effort, ErrorKind, Reclaim, Store};

use super::Bench;
use super::case::{Case, CaseResult, Need, Verdict, refused, require};

pub(super) const CASES: &[Case] = &[
    Case { name: "reclaim::the_name_is_free_at_once", needs: &[], run: name_is_free },
    Case { name: "reclaim::recovery_passes_over_it", needs: &[], run: recovery_passes_over },
    Case { name: "reclaim::is_continued_after_a_stop", needs: &[], run: continued },
    Case { name: "reclaim::two_workers_share_the_work", needs: &[], run: two_workers },
    Case {
        name: "reclaim::a_condemned_clone_keeps_nobody",
        needs: &[Need::CopyOnWrite],
        run: condemned_clone,
    },
];

/// Nothing is deleted before an operation returns.
const LATER: Reclaim = Reclaim::Later(Effort::NONE);

fn later(bench: &Bench) -> Store {
    bench.store().with_reclaim(LATER)
}

/// Works all off as workers of their own would, and says how many operations' remains there were.
///
/// As with [`Bench::recover`], a child of another case may have a lock for the moment until it is exec'd.
fn work_off(store: &Store) -> Result<usize, Box<dyn std::error::Error>> {
    let give_up = Instant::now() + Duration::from_secs(10);
    let mut records = 0;
    loop {
        let done = store.reclaim_pending(&())?;
        records += done.records;
        if let Some(e) = done.failed.into_iter().next() {
            return Err(e.into());
        }
        if store.unfinished()?.is_empty() {
            return Ok(records);
        }
        require(Instant::now() < give_up, "what is to be deleted stays")?;
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn name_is_free(bench: &Bench) -> CaseResult {
    let store = later(bench);
    let at = bench.make(&store, "a")?;
    bench.write(&store, &at, "only/old", "x")?;
    store.destroy(&at)?;
    refused(bench.driver().layout(&at), ErrorKind::NotFound, "looking at what was destroyed")?;
    require(store.has_pending(), "a store that deletes later has deleted at once")?;
    let new = bench.make(&store, "a")?;
    let before = bench.content(&store, &new)?;
    require(bench.read(&store, &new, "only/old")?.is_none(), "the old volume shines through")?;
    require(work_off(&store)? == 1, "there was not one thing to delete")?;
    require(bench.content(&store, &new)? == before, "deleting the old volume has changed the new one")?;
    bench.require_clean()?;
    Ok(Verdict::Held)
}

fn recovery_passes_over(bench: &Bench) -> CaseResult {
    let store = later(bench);
    let at = bench.make(&store, "a")?;
    store.destroy(&at)?;
    let next = later(bench);
    let recovered = next.recover()?;
    require(
        recovered.settled.is_empty() && recovered.failed.is_empty(),
        format!("recovery has done something: {recovered:?}"),
    )?;
    let seen = next.unfinished()?;
    require(
        seen.len() == 1 && seen[0].record.reclaiming,
        format!("not one thing is to be deleted: {seen:?}"),
    )?;
    // Everything else goes on.
    let other = bench.make(&next, "b")?;
    let clone = bench.clone_of(&next, &other, "c")?;
    next.destroy(&clone)?;
    require(work_off(&next)? == 2, "there were not two things to delete")?;
    bench.require_clean()?;
    Ok(Verdict::Held)
}

fn continued(bench: &Bench) -> CaseResult {
    let store = later(bench);
    let at = bench.make(&store, "a")?;
    {
        let open = super::bench::Open::new(&store, &at, hull_storage::Access::ReadWrite)?;
        for dir in 0..20 {
            let dir = open.path().join(format!("dir{dir}"));
            std::fs::create_dir(&dir)?;
            (0..40).try_for_each(|n| std::fs::write(dir.join(format!("file{n}")), "x"))?;
        }
    }
    store.destroy(&at)?;
    let mut stops = 0;
    loop {
        // A store that deletes in one go never looks up.
        let stop = |entries: u64, _: u64| {
            if entries > 100 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        match later(bench).reclaim_pending(&stop) {
            Ok(_) if bench.store().unfinished()?.is_empty() => break,
            Ok(_) => std::thread::sleep(Duration::from_millis(5)),
            Err(e) if e.kind() == ErrorKind::Cancelled => stops += 1,
            Err(e) => return Err(e.into()),
        }
        require(stops < 100, "it is stopped again and again, and never done")?;
    }
    println!("reclaim: stopped {stops} times on {}", bench.ground());
    bench.require_clean()?;
    Ok(Verdict::Held)
}

fn two_workers(bench: &Bench) -> CaseResult {
    const VOLUMES: usize = 6;
    let store = later(bench);
    for n in 0..VOLUMES {
        let at = bench.make(&store, &format!("v{n}"))?;
        store.destroy(&at)?;
    }
    let done = std::thread::scope(|scope| {
        let workers: Vec<_> =
            (0..2).map(|_| scope.spawn(|| work_off(&later(bench)).map_err(|e| e.to_string()))).collect();
        workers.into_iter().map(|w| w.join().map_err(|_| "a worker panicked".to_owned())?).collect::<Vec<_>>()
    });
    let done: Vec<usize> = done.into_iter().collect::<Result<_, _>>()?;
    require(
        done.iter().sum::<usize>() == VOLUMES,
        format!("{VOLUMES} were to be deleted, and {done:?} were"),
    )?;
    bench.require_clean()?;
    Ok(Verdict::Held)
}

fn condemned_clone(bench: &Bench) -> CaseResult {
    let store = later(bench);
    let source = bench.make(&store, "a")?;
    let clone = bench.clone_of(&store, &source, "b")?;
    store.destroy(&clone)?;
    let renamed = store.rename(&source, &bench.place("c"))?;
    store.destroy(&renamed)?;
    work_off(&store)?;
    bench.require_clean()?;
    Ok(Verdict::Held)
}
