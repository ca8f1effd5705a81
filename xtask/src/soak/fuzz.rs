//! Every fuzz target of `fuzz/`, each for the whole time.

use std::path::Path;
use std::time::Duration;

use crate::toml_lines::entries;
use crate::{Result, process};

const MANIFEST: &str = "fuzz/Cargo.toml";

/// Runs all targets one after the other, also when one finds something.
pub(super) fn soak(root: &Path, seed: u64, time: Duration) -> Result<bool> {
    let manifest =
        std::fs::read_to_string(root.join(MANIFEST)).map_err(|e| format!("cannot read {MANIFEST}: {e}"))?;
    let targets = targets(&manifest);
    if targets.is_empty() {
        return Err(format!("{MANIFEST} has no [[bin]] entry: there is nothing to fuzz"));
    }
    let (seed, seconds) = (libfuzzer_seed(seed), time.as_secs().max(1));
    let mut held = true;
    for target in &targets {
        println!("fuzz: {target}, seed {seed}");
        let mut run = process::command(root.join("fuzz/run.sh"));
        run.current_dir(root)
            .arg(target)
            .args([format!("-seed={seed}"), format!("-max_total_time={seconds}")]);
        if let Err(reason) = process::succeed(&mut run) {
            println!(
                "fuzz: {target}, seed {seed}: FAILED: {reason}; what failed is in fuzz/findings/{target}"
            );
            held = false;
        }
    }
    Ok(held)
}

/// The names of the fuzz targets.
fn targets(manifest: &str) -> Vec<String> {
    let names = entries(manifest).into_iter().filter(|entry| entry.section == "bin" && entry.key == "name");
    names.flat_map(|entry| entry.strings()).collect()
}

/// libFuzzer's seeds have 32 bits, and 0 asks it to draw one.
fn libfuzzer_seed(seed: u64) -> u64 {
    match seed % (1 << 32) {
        0 => 1,
        seed => seed,
    }
}

#[cfg(test)]
mod tests {
    use super::{MANIFEST, libfuzzer_seed, targets};
    use crate::workspace::root;

    #[test]
    fn every_target_in_the_folder_is_run() {
        let manifest = std::fs::read_to_string(root().join(MANIFEST)).expect("the fuzz targets are there");
        let mut listed = targets(&manifest);
        listed.sort();
        let folder = std::fs::read_dir(root().join("fuzz/fuzz_targets")).expect("the fuzz targets are there");
        let mut files: Vec<String> = folder
            .map(|entry| {
                entry.expect("an entry").path().file_stem().unwrap_or_default().to_string_lossy().into()
            })
            .collect();
        files.sort();
        assert_eq!(listed, files);
    }

    #[test]
    fn a_seed_of_zero_stays_repeatable() {
        assert_eq!([0, 5, 1 << 32].map(libfuzzer_seed), [1, 5, 1]);
    }
}
