//! The storage model's random sequences, longer than in the tests, on simulated stores and on real ones.

use hull_storage::DriverName;
use hull_storage_testkit::model::{self, Trial, sim};
use hull_storage_testkit::sim::Lab;
use hull_storage_testkit::{conformance, scratch};

const SIMULATED: &[DriverName] = &[Lab::PLAIN, Lab::FREE, Lab::MARKED];
const REAL: &[(&str, &str)] =
    &[("dir", "ext4"), ("dir", "btrfs"), ("overlay", "ext4"), ("overlay", "xfs"), ("btrfs", "btrfs")];

/// One trial on each store.
pub(crate) fn round(seed: u64) -> Result<String, String> {
    for store in SIMULATED {
        let trial = Trial { seed, cases: 300, length: 120 };
        model::run(trial, || Ok(sim(*store)?)).map_err(|e| format!("{store}: {e}"))?;
    }
    let registry = hull_drivers::builtin();
    for (store, kind) in REAL {
        let registration = *registry.resolve(store).map_err(|e| e.to_string())?;
        // A sequence that fails is tried in many shorter forms; each has its own directory on the ground.
        let trial = Trial { seed, cases: 12, length: 80 };
        conformance::soak(registration, &scratch::ground(kind), trial)
            .map_err(|e| format!("{store} on {kind}: {e}"))?;
    }
    Ok(format!("{} simulated stores, {} real ones", SIMULATED.len(), REAL.len()))
}
