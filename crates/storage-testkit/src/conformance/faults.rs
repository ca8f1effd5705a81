//! A full disk and a broken one at every act, on the real ground.

use hull_storage::ErrorKind;
use rustix::io::Errno;

use super::Bench;
use super::case::{Case, CaseResult, Need, Verdict, require};
use super::kill::{Round, faulty_store};
use crate::faulty::{COMMIT, Counted, Faults, Lasting, Moment};

pub(super) const CASES: &[Case] = &[
    Case { name: "faults::create", needs: &[Need::Standalone], run: |b| everywhere(b, "create") },
    Case { name: "faults::clone", needs: &[], run: |b| everywhere(b, "clone") },
    Case { name: "faults::restore", needs: &[], run: |b| everywhere(b, "restore") },
    Case { name: "faults::rename", needs: &[], run: |b| everywhere(b, "rename") },
    Case { name: "faults::destroy", needs: &[], run: |b| everywhere(b, "destroy") },
    Case { name: "faults::make_home", needs: &[], run: |b| everywhere(b, "make_home") },
];

fn everywhere(bench: &Bench, operation: &str) -> CaseResult {
    let whole = Round::prepare(bench, "whole", operation)?;
    whole.perform(&whole.bench.store(), operation)?;
    let after = whole.world()?;
    for (errno, moment) in [(Errno::NOSPC, Moment::Before), (Errno::IO, Moment::After)] {
        for act in bench.acts(&format!("{operation}{errno:?}")) {
            let round = Round::prepare(bench, &format!("{}-{act}", errno.raw_os_error()), operation)?;
            let before = round.world()?;
            let faults = Faults::fail(Counted::Changes, act, moment, Lasting::Once, errno);
            let result = round.perform(&faulty_store(&round.bench, &faults), operation);
            if !faults.struck() {
                break;
            }
            let struck = faults.acts()[act];
            let case = format!("{operation}, {errno:?} {moment:?} {struck} ({act})");
            let failed = result.is_err();
            if let Err(e) = result {
                let e = e.downcast::<hull_storage::Error>().map_err(|e| format!("{case}: {e}"))?;
                require(e.kind() == ErrorKind::of(errno), format!("{case}: fails with {:?}: {e}", e.kind()))?;
                if struck != COMMIT {
                    require(round.world()? == before, format!("{case}: half done: {e}"))?;
                    round.bench.require_clean()?;
                }
            }
            round.bench.recover().map_err(|e| format!("{case}: {e}"))?;
            let world = round.world()?;
            let fine = match failed {
                true if struck == COMMIT => world == before || world == after,
                true => world == before,
                false => world == after,
            };
            require(fine, format!("{case}, failed: {failed}: torn: {world:?}"))?;
            round.bench.require_clean()?;
        }
    }
    Ok(Verdict::Held)
}
