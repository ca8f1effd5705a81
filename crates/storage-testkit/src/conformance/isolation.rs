//! What is written to one volume shows in no other.

use hull_storage::{Access, Tie};

use super::Bench;
use super::bench::SAMPLE;
use super::case::{Case, CaseResult, Verdict, require};

pub(super) const CASES: &[Case] = &[
    Case { name: "isolation::the_source_does_not_see_its_clone", needs: &[], run: upwards },
    Case { name: "isolation::the_clone_does_not_see_its_source", needs: &[], run: downwards },
    Case { name: "isolation::siblings_do_not_see_each_other", needs: &[], run: sideways },
    Case { name: "isolation::a_clone_outlives_its_source", needs: &[], run: outlives },
];

fn upwards(bench: &Bench) -> CaseResult {
    let store = bench.store();
    let source = bench.make(&store, "a")?;
    let before = bench.content(&store, &source)?;
    let clone = bench.clone_of(&store, &source, "b")?;
    bench.write(&store, &clone, SAMPLE, "changed")?;
    bench.write(&store, &clone, "new", "new")?;
    {
        let open = super::bench::Open::new(&store, &clone, Access::ReadWrite)?;
        std::fs::remove_file(open.path().join("usr/bin/tool"))?;
    }
    require(bench.content(&store, &source)? == before, "a write to the clone shows in the source")?;
    require(bench.read(&store, &clone, "usr/bin/tool")?.is_none(), "a removed file is back")?;
    Ok(Verdict::Held)
}

fn downwards(bench: &Bench) -> CaseResult {
    let store = bench.store();
    let source = bench.make(&store, "a")?;
    if bench.tie(&source, Access::ReadWrite) == Tie::Unguarded {
        return Ok(Verdict::DoesNotApply("its owner has to leave the source of a clone alone".into()));
    }
    let clone = bench.clone_of(&store, &source, "b")?;
    let before = bench.content(&store, &clone)?;
    bench.write(&store, &source, SAMPLE, "changed")?;
    bench.write(&store, &source, "new", "new")?;
    require(bench.content(&store, &clone)? == before, "a write to the source shows in the clone")?;
    Ok(Verdict::Held)
}

fn sideways(bench: &Bench) -> CaseResult {
    let store = bench.store();
    let source = bench.make(&store, "a")?;
    let (b, c) = (bench.clone_of(&store, &source, "b")?, bench.clone_of(&store, &source, "c")?);
    let before = bench.content(&store, &c)?;
    bench.write(&store, &b, SAMPLE, "b")?;
    require(bench.content(&store, &c)? == before, "a write to one clone shows in another")?;
    Ok(Verdict::Held)
}

fn outlives(bench: &Bench) -> CaseResult {
    let store = bench.store();
    let source = bench.make(&store, "a")?;
    let tie = bench.tie(&source, Access::ReadWrite);
    if tie == Tie::Unguarded {
        return Ok(Verdict::DoesNotApply("its clones need their source".into()));
    }
    let clone = bench.clone_of(&store, &source, "b")?;
    let before = bench.content(&store, &clone)?;
    match (tie, store.destroy(&source)) {
        (Tie::None, Err(e)) => Err(e.into()),
        _ => {
            require(bench.content(&store, &clone)? == before, "the clone has lost something")?;
            bench.require_clean()?;
            Ok(Verdict::Held)
        }
    }
}
