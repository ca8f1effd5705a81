//! Kill storms on every kind of ground.

use hull_integration_tests::grounds::Ground;
use hull_integration_tests::storm::{self, Deaths, Storm};

const GROUNDS: &[(&str, &str)] = &[("ext4", "dir"), ("btrfs", "btrfs"), ("xfs", "dir"), ("btrfs", "dir")];

/// One storm on each ground.
pub(crate) fn round(seed: u64) -> Result<String, String> {
    let own = std::env::current_exe().map_err(|e| e.to_string())?;
    let crasher = own.with_file_name("hull-crasher");
    let storm = Storm { seed, workers: 4, operations: 60, deaths: Deaths::Anywhere };
    let mut said = Vec::new();
    for (kind, store) in GROUNDS {
        let ground = Ground::new(kind).map_err(|why| format!("{kind}: {why}"))?;
        let tally = storm::run(&ground, store, &crasher, storm)
            .map_err(|wrong| format!("{store} on {kind}, {storm:?}:\n{}", wrong.join("\n")))?;
        said.push(format!(
            "{store} on {kind}: {} done, {} refused, {} killed",
            tally.done, tally.refused, tally.killed
        ));
    }
    Ok(said.join("; "))
}
