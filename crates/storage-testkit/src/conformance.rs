//! One suite for every driver: cases are selected by facet and fact, never by a driver's name.

mod bench;
mod capacity;
mod case;
mod clone;
mod create;
mod destroy;
mod enumerate;
mod exchange;
mod facts;
mod faults;
mod isolation;
mod kill;
mod laws;
mod mount;
mod names;
mod races;
mod random;
mod reclaim;
mod regressions;
mod rename;
mod restore;
mod tally;
mod transfer;
mod trees;
mod troubles;
mod usage;

use std::process::ExitCode;
use std::sync::{Arc, OnceLock};

use hull_storage::{Registration, Settings};
use libtest_mimic::{Arguments, Completion, Failed, Trial};

pub use bench::Bench;
pub use case::{Case, CaseResult, Need, Verdict};
pub use kill::child;
pub(crate) use tally::say as say_tally;

use crate::ground::{Ground, GroundInstance, SkipReason};
use crate::model;

/// Runs the suite for the driver `registration` on `ground`: the whole `main` of a test target with
/// `harness = false`. It understands the arguments of `cargo test` and of nextest.
pub fn run(registration: &Registration, ground: Ground) -> ExitCode {
    run_all(registration, vec![ground])
}

/// Runs the suite on several grounds, one after the other.
pub fn run_all(registration: &Registration, grounds: Vec<Ground>) -> ExitCode {
    run_with(registration, grounds, None)
}

/// Runs the suite on several grounds with one case at a time, unless the arguments say otherwise: for stores whose
/// volumes take processes and devices, which are all cases' together.
pub fn run_one_by_one(registration: &Registration, grounds: Vec<Ground>) -> ExitCode {
    run_with(registration, grounds, Some(1))
}

fn run_with(registration: &Registration, grounds: Vec<Ground>, threads: Option<usize>) -> ExitCode {
    if let Some(done) = child(registration, &grounds) {
        return done;
    }
    let mut arguments = Arguments::from_args();
    arguments.test_threads = arguments.test_threads.or(threads);
    let trials = grounds.into_iter().flat_map(|ground| cases(registration, ground)).collect();
    // Every trial holds its ground, so all grounds are cleaned up when `run` returns.
    let code = libtest_mimic::run(&arguments, trials).exit_code();
    tally::say();
    code
}

/// The cases that apply to the driver, to be run together with others of one's own. Such a `main` calls
/// [`child`] first.
pub fn cases(registration: &Registration, ground: Ground) -> Vec<Trial> {
    if let Some(reason) = ground.lacking() {
        let name = format!("{}::ground", ground.name());
        return vec![Trial::ignorable_test(name.clone(), move || Ok(skipped(&name, &reason.0)))];
    }
    let driver = (registration.open)(&Settings::default());
    let ground = Arc::new(Lazy { ground, made: OnceLock::new() });
    all()
        .filter(|case| case.applies_to(&*driver) && ground.ground.takes(case.name))
        .map(|case| {
            if ground.ground.takes_all() {
                tally::expect(registration.name, ground.ground.name());
            }
            let (ground, registration) = (Arc::clone(&ground), *registration);
            let name = format!("{}::{}", ground.ground.name(), case.name);
            Trial::ignorable_test(name.clone(), move || carry_out(case, &name, registration, &ground))
        })
        .collect()
}

/// Runs random operations with deaths as long as `trial` says, outside the suite: a soak. A failure prints the
/// seed and the shortest sequence of operations that was found.
///
/// # Errors
/// The failure, or why there is no ground.
pub fn soak(
    of: Registration,
    ground: &Ground,
    trial: model::Trial,
) -> Result<(), Box<dyn std::error::Error>> {
    let instance = ground.make().map_err(|reason| format!("skipped: {}: {reason}", ground.name()))?;
    let bench = Bench::new("soak", of, ground, &instance)?;
    Ok(random::run_on(&bench, trial)?)
}

fn all() -> impl Iterator<Item = &'static Case> {
    [
        facts::CASES,
        laws::CASES,
        create::CASES,
        clone::CASES,
        isolation::CASES,
        rename::CASES,
        destroy::CASES,
        enumerate::CASES,
        reclaim::CASES,
        restore::CASES,
        usage::CASES,
        capacity::CASES,
        mount::CASES,
        names::CASES,
        trees::CASES,
        transfer::CASES,
        exchange::CASES,
        races::CASES,
        faults::CASES,
        troubles::CASES,
        kill::CASES,
        random::CASES,
        regressions::CASES,
    ]
    .into_iter()
    .flatten()
}

/// A ground that is made when the first case needs it, so that listing the cases costs nothing.
struct Lazy {
    ground: Ground,
    made: OnceLock<Result<GroundInstance, SkipReason>>,
}

fn carry_out(case: &Case, name: &str, of: Registration, ground: &Lazy) -> Result<Completion, Failed> {
    let instance = match ground.made.get_or_init(|| ground.ground.make()) {
        Ok(instance) => instance,
        Err(reason) => return Ok(skipped(name, &reason.0)),
    };
    let bench = Bench::new(case.name, of, &ground.ground, instance)?;
    let outcome = (case.run)(&bench);
    tally::count(of.name, ground.ground.name(), &outcome);
    match outcome {
        Ok(Verdict::Held) => Ok(Completion::Completed),
        Ok(Verdict::DoesNotApply(why)) => Ok(Completion::ignored_with(format!("does not apply: {why}"))),
        Ok(Verdict::Skipped(why)) => Ok(skipped(name, &why)),
        Err(e) => Err(Failed::from(e)),
    }
}

fn skipped(name: &str, reason: &str) -> Completion {
    hull_testskip::skip(name, reason);
    Completion::ignored_with(reason)
}
