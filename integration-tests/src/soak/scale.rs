//! Five hundred snapshots and a chain of thirty clones, on every store that this machine has. Pools have
//! theirs in the guest: `cargo xtask vm --only scale --filter hundreds --minutes 90`.

use hull_integration_tests::grounds::Ground;
use hull_integration_tests::scale::{self, Scale};
use hull_storage::Settings;

const GROUNDS: &[(&str, &str)] = &[("ext4", "dir"), ("ext4", "overlay"), ("btrfs", "btrfs"), ("xfs", "loop")];

/// Once on each ground; the table has the first time, three between and the last.
pub(crate) fn round(seed: u64) -> Result<String, String> {
    let mut said = String::new();
    for (kind, store) in GROUNDS {
        let ground = Ground::of_size(kind, 16 << 30).map_err(|why| format!("{kind}: {why}"))?;
        // A plain directory shares nothing with its clones, and a chain of them is one of overlays.
        let scale = Scale { snapshots: 500, depth: 30, seed };
        let times = scale::run(&ground.lxcpath(), store, &Settings::default(), scale)
            .map_err(|why| format!("{store} on {kind}: {why}"))?;
        said += &format!("\n{store} on {kind}\n{times}");
    }
    Ok(said)
}
