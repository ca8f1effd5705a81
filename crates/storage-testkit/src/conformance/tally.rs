//! How a whole suite ended on each ground: `suite: STORE on GROUND: …`, for the table in the README.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use hull_storage::DriverName;

use super::case::{CaseResult, Verdict};

#[derive(Debug, Default)]
struct Counts {
    expected: usize,
    held: usize,
    inapplicable: usize,
    failed: usize,
}

static TALLY: Mutex<BTreeMap<(String, String), Counts>> = Mutex::new(BTreeMap::new());

fn change(of: DriverName, ground: &str, change: impl FnOnce(&mut Counts)) {
    // Counts are whole whatever panicked.
    let mut tally = TALLY.lock().unwrap_or_else(PoisonError::into_inner);
    change(tally.entry((of.to_string(), ground.to_owned())).or_default());
}

/// There is one more case of the driver on the ground.
pub(super) fn expect(of: DriverName, ground: &str) {
    change(of, ground, |counts| counts.expected += 1);
}

/// A case has ended.
pub(super) fn count(of: DriverName, ground: &str, outcome: &CaseResult) {
    change(of, ground, |counts| match outcome {
        Ok(Verdict::Held) => counts.held += 1,
        Ok(Verdict::DoesNotApply(_)) => counts.inapplicable += 1,
        Ok(Verdict::Skipped(_)) => {}
        Err(_) => counts.failed += 1,
    });
}

/// Says how it ended where all cases were run; a part of a suite says nothing of a store.
pub(crate) fn say() {
    let tally = TALLY.lock().unwrap_or_else(PoisonError::into_inner);
    for ((driver, ground), Counts { expected, held, inapplicable, failed }) in tally.iter() {
        if held + inapplicable + failed == *expected {
            println!(
                "suite: {driver} on {ground}: {held} held, {inapplicable} do not apply, {failed} failed"
            );
        }
    }
}
