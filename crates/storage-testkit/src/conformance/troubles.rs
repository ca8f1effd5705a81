//! Real trouble with the ground: every operation happens wholly or not at all, says why, and loses nothing.

use std::any::Any;
use std::time::Duration;

use hull_storage::{Error, ErrorKind};

use super::Bench;
use super::case::{Case, CaseResult, Verdict, require};
use super::kill::Round;

pub(super) const CASES: &[Case] = &[
    Case { name: "troubles::no_space_left", needs: &[], run: full },
    Case { name: "troubles::a_ground_that_can_only_be_read", needs: &[], run: read_only },
    Case { name: "troubles::a_device_that_fails", needs: &[], run: failing },
];

/// How much is left for an operation, in KiB: nothing, less than it needs at every stage, and enough.
const LEFT: [u64; 9] = [0, 8, 32, 64, 128, 256, 1024, 4096, 65536];

/// After how many milliseconds a device fails: before an operation, in the midst of it, and never.
const AFTER: [u64; 5] = [0, 2, 10, 40, 60_000];

type Checked<T> = Result<T, Box<dyn std::error::Error>>;

fn operations(bench: &Bench) -> Vec<&'static str> {
    let standalone = bench.driver().capabilities().standalone;
    let all =
        ["create", "clone", "snapshot", "copy", "restore", "rename", "destroy", "make_home", "destroy_home"];
    all.into_iter().filter(|operation| standalone || !matches!(*operation, "create" | "copy")).collect()
}

fn full(bench: &Bench) -> CaseResult {
    let Some(fill) = bench.troubles().full.clone() else {
        return Ok(Verdict::DoesNotApply("this ground cannot be filled".into()));
    };
    for operation in operations(bench) {
        let (mut failures, mut last) = (0, false);
        // In pools each try takes seconds.
        let tried: Vec<u64> = LEFT.into_iter().step_by(if bench.is_pooled() { 4 } else { 1 }).collect();
        for &left in &tried {
            let name = format!("{operation}-{left}");
            let failed = withstand(
                bench,
                &name,
                operation,
                || Ok(fill(left << 10)?),
                |e| e.kind() == ErrorKind::NoSpace,
            )?;
            failures += usize::from(failed);
            last = failed;
        }
        println!("troubles: {operation} on {}: {failures} of {} failed", bench.ground(), tried.len());
        require(!last, format!("{operation} fails with 64 MiB left, so the case proves nothing"))?;
    }
    Ok(Verdict::Held)
}

fn read_only(bench: &Bench) -> CaseResult {
    let Some(protect) = bench.troubles().read_only.clone() else {
        return Ok(Verdict::DoesNotApply("this ground cannot be made read-only".into()));
    };
    for operation in operations(bench) {
        let expected = |e: &Error| e.kind() == ErrorKind::PermissionDenied;
        let failed = withstand(bench, operation, operation, || Ok(protect()?), expected)?;
        require(failed, format!("{operation} succeeded on what cannot be written to"))?;
    }
    Ok(Verdict::Held)
}

fn failing(bench: &Bench) -> CaseResult {
    let Some(break_down) = bench.troubles().failing.clone() else {
        return Ok(Verdict::DoesNotApply("the device of this ground does not fail when asked to".into()));
    };
    let mut all = 0;
    for operation in operations(bench) {
        let mut failures = 0;
        for after in AFTER {
            let name = format!("{operation}-{after}");
            let trouble = || Ok(break_down(Duration::from_millis(after))?);
            // What a failing device makes of an operation, only its file system knows; but it is said.
            failures += usize::from(withstand(bench, &name, operation, trouble, |_| true)?);
        }
        println!("troubles: {operation} on {}: {failures} of {} failed", bench.ground(), AFTER.len());
        all += failures;
    }
    // What an operation has to write, and when, is the file system's choice.
    require(all > 0, "nothing ever failed, so the case proves nothing")?;
    Ok(Verdict::Held)
}

/// Carries `operation` out under a trouble; afterwards it has happened or has not, as it said. Whether it failed.
fn withstand(
    bench: &Bench,
    name: &str,
    operation: &str,
    trouble: impl Fn() -> Checked<Box<dyn Any>>,
    expected: impl Fn(&Error) -> bool,
) -> Checked<bool> {
    let round = Round::prepare(bench, name, operation)?;
    let before = round.world()?;
    let result = {
        let _trouble = trouble()?;
        round.perform(&round.bench.store(), operation)
    };
    let e = match result {
        Ok(()) => {
            round.bench.recover()?;
            require(round.world()? != before, format!("{name} said that it was done"))?;
            round.bench.require_clean()?;
            return Ok(false);
        }
        Err(e) => e,
    };
    require(e.to_string().lines().count() == 1, format!("{name}: an error is one line: {e}"))?;
    let fits = e.downcast_ref::<Error>().is_some_and(&expected);
    require(fits, format!("{name} gave another reason than the one there was: {e}"))?;
    round.bench.recover()?;
    require(round.world()? == before, format!("{name} failed and changed something: {e}"))?;
    round.bench.require_clean()?;
    Ok(true)
}
