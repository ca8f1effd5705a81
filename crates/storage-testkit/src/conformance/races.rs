//! Commands at the same time: each succeeds or fails with a clear error, and nothing is left behind.

use std::sync::Barrier;

use hull_storage::{Access, ErrorKind, Tie};

use super::Bench;
use super::bench::SAMPLE;
use super::case::{Case, CaseResult, Verdict, require};

pub(super) const CASES: &[Case] = &[
    Case { name: "races::eight_clones_of_one_source", needs: &[], run: eight_clones },
    Case { name: "races::clone_while_the_source_is_destroyed", needs: &[], run: clone_while_destroyed },
    Case { name: "races::one_name_for_many", needs: &[], run: one_name },
    Case { name: "races::rename_and_destroy_of_one_volume", needs: &[], run: rename_and_destroy },
];

fn eight_clones(bench: &Bench) -> CaseResult {
    let store = bench.store();
    let source = bench.make(&store, "a")?;
    let start = Barrier::new(8);
    let results: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|n| {
                let (start, source) = (&start, &source);
                scope.spawn(move || {
                    // A process of its own has a store of its own.
                    let store = bench.store();
                    start.wait();
                    bench.clone_of(&store, source, format!("c{n}"))
                })
            })
            .collect();
        threads.into_iter().map(|t| t.join().expect("a clone does not panic")).collect()
    });
    for clone in results {
        require(bench.read(&store, &clone?, SAMPLE)?.as_deref() == Some("a"), "a clone is not whole")?;
    }
    bench.require_clean()?;
    Ok(Verdict::Held)
}

/// Whether an error is one that losing a race may give.
fn lost(e: &hull_storage::Error) -> bool {
    let kinds = [ErrorKind::NotFound, ErrorKind::AlreadyExists, ErrorKind::InUse, ErrorKind::HasDependents];
    kinds.contains(&e.kind()) && e.to_string().lines().count() == 1 && e.leftovers().is_empty()
}

fn clone_while_destroyed(bench: &Bench) -> CaseResult {
    let (mut cloned, mut destroyed) = (0, 0);
    for round in 0..20 {
        let store = bench.store();
        let source = bench.make(&store, "a")?;
        let tie = bench.tie(&source, Access::ReadWrite);
        let start = Barrier::new(2);
        let (clone, gone) = std::thread::scope(|scope| {
            let cloner = scope.spawn(|| {
                let store = bench.store();
                start.wait();
                bench.clone_of(&store, &source, format!("c{round}"))
            });
            let store = bench.store();
            start.wait();
            let gone = store.destroy(&source);
            (cloner.join().expect("a clone does not panic"), gone)
        });
        match &clone {
            Ok(at) if tie != Tie::Unguarded || gone.is_err() => {
                require(bench.read(&store, at, SAMPLE)?.as_deref() == Some("a"), "the clone is not whole")?;
            }
            Ok(_) => {}
            Err(e) => require(lost(e), format!("the clone fails in no clear way ({:?}): {e}", e.kind()))?,
        }
        if let Err(e) = &gone {
            require(lost(e), format!("destroy fails in no clear way ({:?}): {e}", e.kind()))?;
        }
        cloned += usize::from(clone.is_ok());
        destroyed += usize::from(gone.is_ok());
        if let Ok(at) = clone {
            store.destroy(&at)?;
        }
        if gone.is_err() {
            store.destroy(&source)?;
        }
        bench.require_clean()?;
    }
    println!("race: 20 rounds, {cloned} cloned, {destroyed} destroyed");
    Ok(Verdict::Held)
}

fn one_name(bench: &Bench) -> CaseResult {
    let store = bench.store();
    let source = bench.make(&store, "a")?;
    let start = Barrier::new(4);
    let results: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let store = bench.store();
                    start.wait();
                    bench.clone_of(&store, &source, "b")
                })
            })
            .collect();
        threads.into_iter().map(|t| t.join().expect("a clone does not panic")).collect()
    });
    let won = results.iter().filter(|r| r.is_ok()).count();
    require(won == 1, format!("{won} of 4 got the one name"))?;
    for e in results.iter().filter_map(|r| r.as_ref().err()) {
        require(e.kind() == ErrorKind::AlreadyExists, format!("lost with {:?}: {e}", e.kind()))?;
    }
    bench.require_clean()?;
    Ok(Verdict::Held)
}

fn rename_and_destroy(bench: &Bench) -> CaseResult {
    for round in 0..20 {
        let store = bench.store();
        let at = bench.make(&store, "a")?;
        let to = bench.place(format!("b{round}"));
        let start = Barrier::new(2);
        let (renamed, gone) = std::thread::scope(|scope| {
            let renamer = scope.spawn(|| {
                let store = bench.store();
                start.wait();
                store.rename(&at, &to)
            });
            let store = bench.store();
            start.wait();
            let gone = store.destroy(&at);
            (renamer.join().expect("a rename does not panic"), gone)
        });
        require(renamed.is_ok() != gone.is_ok(), format!("both or none: {renamed:?}, {gone:?}"))?;
        for e in [renamed.as_ref().err(), gone.as_ref().err()].into_iter().flatten() {
            require(lost(e), format!("lost in no clear way ({:?}): {e}", e.kind()))?;
        }
        if let Ok(at) = renamed {
            require(
                bench.read(&store, &at, SAMPLE)?.as_deref() == Some("a"),
                "what was renamed is not whole",
            )?;
            store.destroy(&at)?;
        }
        bench.require_clean()?;
    }
    Ok(Verdict::Held)
}
