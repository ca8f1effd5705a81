//! Real trouble with the ground: every operation happens wholly or not at all, says why, and loses nothing.

use std::any::Any;
use std::time::{Duration, Instant};

use hull_storage::{Access, CloneMode, Error, ErrorKind};

use super::Bench;
use super::case::{Case, CaseResult, Verdict, require};
use super::kill::Round;
use crate::plain;

pub(super) const CASES: &[Case] = &[
    Case { name: "troubles::no_space_left", needs: &[], run: full },
    Case { name: "troubles::a_ground_that_can_only_be_read", needs: &[], run: read_only },
    Case { name: "troubles::a_device_that_fails", needs: &[], run: failing },
    Case { name: "troubles::a_device_that_fails_for_a_while", needs: &[], run: stalling },
    Case { name: "troubles::a_file_that_cannot_be_read", needs: &[], run: unreadable },
];

/// How much is left for an operation, in KiB: nothing, less than it needs at every stage, and enough.
const LEFT: [u64; 9] = [0, 8, 32, 64, 128, 256, 1024, 4096, 65536];

/// After how many milliseconds a device fails: before an operation, in the midst of it, and never.
const AFTER: [u64; 5] = [0, 2, 10, 40, 60_000];

/// How many times as long that is in pools, where an operation runs programs.
const IN_POOLS: u64 = 20;

/// How long a device fails that works again.
const WHILE: Duration = Duration::from_secs(3);

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
            let withstood = withstand(
                bench,
                &name,
                operation,
                || Ok(fill(left << 10)?),
                |e| e.kind() == ErrorKind::NoSpace,
            )?;
            failures += usize::from(withstood.failed);
            last = withstood.failed;
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
        let withstood = withstand(bench, operation, operation, || Ok(protect()?), expected)?;
        require(withstood.failed, format!("{operation} succeeded on what cannot be written to"))?;
    }
    Ok(Verdict::Held)
}

fn failing(bench: &Bench) -> CaseResult {
    let Some(break_down) = bench.troubles().failing.clone() else {
        return Ok(Verdict::DoesNotApply("the device of this ground does not fail when asked to".into()));
    };
    let mut failures = 0;
    let rounds = rounds(bench);
    for (operation, after) in &rounds {
        let name = format!("{operation}-{}", after.as_millis());
        let trouble = || Ok(break_down(*after)?);
        // What a failing device makes of an operation, only its file system knows; but it is said.
        failures += usize::from(withstand(bench, &name, operation, trouble, |_| true)?.failed);
    }
    println!("troubles: on {}: {failures} of {} failed", bench.ground(), rounds.len());
    // What an operation has to write, and when, is the file system's choice.
    require(failures > 0, "nothing ever failed, so the case proves nothing")?;
    Ok(Verdict::Held)
}

/// Each operation with each moment at which the device may fail; where they take long, some of them.
fn rounds(bench: &Bench) -> Vec<(&'static str, Duration)> {
    let slower = if bench.is_pooled() { IN_POOLS } else { 1 };
    let moments = |operation| AFTER.map(|after| (operation, Duration::from_millis(after * slower)));
    operations(bench).into_iter().flat_map(moments).step_by(bench.stride()).collect()
}

fn stalling(bench: &Bench) -> CaseResult {
    let Some(stall) = bench.troubles().stalling.clone() else {
        return Ok(Verdict::DoesNotApply("nobody waits for the device of this ground".into()));
    };
    let (mut failures, mut waited) = (0, 0);
    let rounds: Vec<_> = rounds(bench).into_iter().filter(|(_, after)| *after < WHILE).collect();
    for (operation, after) in &rounds {
        let name = format!("{operation}-{}", after.as_millis());
        let trouble = || Ok(stall(*after, WHILE)?);
        let withstood = withstand(bench, &name, operation, trouble, |_| true)?;
        failures += usize::from(withstood.failed);
        waited += usize::from(withstood.took >= WHILE);
    }
    println!("troubles: on {}: {failures} of {} failed, {waited} waited", bench.ground(), rounds.len());
    require(waited > 0, "nothing ever waited, so the case proves nothing")?;
    Ok(Verdict::Held)
}

/// Copies of a volume with a file of which the disk has lost the content fail and say of what, unless they share its blocks;
/// nothing is left of them, and the volume can still be used and removed.
fn unreadable(bench: &Bench) -> CaseResult {
    let Some(spoil) = bench.troubles().unreadable.clone() else {
        return Ok(Verdict::DoesNotApply("the device of this ground does not fail in places".into()));
    };
    let store = bench.store();
    let volume = bench.make(&store, "volume")?;
    // Every sector of it begins with a line, by which it is found on the disk.
    let case = bench.dir().file_name().unwrap_or_default();
    let line = format!("{:=>63}\n", case.to_string_lossy());
    bench.write(&store, &volume, "var/lost", &line.repeat(2048))?;
    let mut before = bench.visible()?;
    let spoiled = spoil(line.as_bytes())?;
    let (mut failures, mut made) = (0, Vec::new());
    let own = bench.driver().capabilities().standalone.then(|| (bench.driver(), bench.place("copy")));
    for (driver, to) in own.into_iter().chain([(store.driver(plain::NAME)?, bench.plain_place("plain"))]) {
        let copied =
            store.clone_volume(&volume, Some(driver.name()), &to, CloneMode::Copy, Access::ReadWrite);
        let e = match copied {
            Ok(copy) => {
                made.push(copy.at);
                before = bench.visible()?;
                continue;
            }
            Err(e) => e,
        };
        failures += 1;
        let said = e.to_string();
        require(said.lines().count() == 1, format!("an error is one line: {said}"))?;
        let at = String::from(volume.clone());
        let named = said.contains("var/lost") || said.contains(at.split_once(':').map_or(&*at, |(_, at)| at));
        require(named, format!("the error names neither the file nor the volume {at}: {said}"))?;
        bench.recover()?;
        let left: Vec<_> = bench.visible()?.into_iter().filter(|name| !before.contains(name)).collect();
        require(left.is_empty(), format!("the copy failed and left {left:?}: {said}"))?;
        bench.require_clean()?;
    }
    println!("troubles: a lost file on {}: {failures} copies failed", bench.ground());
    // What is not lost can be read.
    let kept = bench.read(&store, &volume, super::bench::SAMPLE)?;
    require(kept.as_deref() == Some("volume"), "another file of the volume is lost, too")?;
    drop(spoiled);
    for at in made.iter().chain([&volume]) {
        let whole = bench.read(&store, at, "var/lost")?;
        require(
            whole == Some(line.repeat(2048)),
            format!("the disk works again, and the file of {at} is not whole"),
        )?;
        store.destroy(at)?;
    }
    if failures == 0 && !bench.is_pooled() {
        return Ok(Verdict::DoesNotApply("all copies share their blocks here".into()));
    }
    require(failures > 0, "nothing failed, so the case proves nothing")?;
    Ok(Verdict::Held)
}

/// How an operation went under a trouble.
struct Withstood {
    failed: bool,
    took: Duration,
}

/// Carries `operation` out under a trouble; afterwards it has happened or has not, as it said.
fn withstand(
    bench: &Bench,
    name: &str,
    operation: &str,
    trouble: impl Fn() -> Checked<Box<dyn Any>>,
    expected: impl Fn(&Error) -> bool,
) -> Checked<Withstood> {
    let round = Round::prepare(bench, name, operation)?;
    let before = round.world()?;
    let (result, took) = {
        let _trouble = trouble()?;
        let begun = Instant::now();
        (round.perform(&round.bench.store(), operation), begun.elapsed())
    };
    let e = match result {
        Ok(()) => {
            round.bench.recover()?;
            require(round.world()? != before, format!("{name} said that it was done"))?;
            round.bench.require_clean()?;
            return Ok(Withstood { failed: false, took });
        }
        Err(e) => e,
    };
    require(e.to_string().lines().count() == 1, format!("{name}: an error is one line: {e}"))?;
    let fits = e.downcast_ref::<Error>().is_some_and(&expected);
    require(fits, format!("{name} gave another reason than the one there was: {e}"))?;
    round.bench.recover()?;
    require(round.world()? == before, format!("{name} failed and changed something: {e}"))?;
    round.bench.require_clean()?;
    Ok(Withstood { failed: true, took })
}
