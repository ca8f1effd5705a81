//! Times of the stores: `hull bench` on scratch stores, compared by its own rule.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use serde_json::Value;

use crate::{Result, process};

/// Stores that any machine with root can have; zfs and lvm need more than a loop device.
const STORES: &str = "--scratch=dir@ext4,overlay@ext4,btrfs";
/// What commands of people come down to. The workloads of data and metadata say more of the kernel than of Hull.
const WORKLOADS: &str = "clone,snapshot,restore,rename,destroy,mount";

/// Measures for so many `rounds`, in files below `folder`, and returns the results. Prints what moved beyond noise since
/// `recorded`, or without it the table of results.
pub(super) fn measure(hull: &Path, folder: &Path, rounds: u32, recorded: Option<&Value>) -> Result<Value> {
    let (new, old) = (folder.join("new.json"), folder.join("old.json"));
    let mut bench = process::command(hull);
    // Always the sizes of a quick run: results of other sizes cannot be compared, more rounds can.
    bench.args(["bench", STORES, "--quick", "--only", WORKLOADS, "--rounds", &rounds.to_string()]);
    bench.arg("--work").arg(folder).arg("--save").arg(&new);
    if let Some(recorded) = recorded {
        let cannot = |error: std::io::Error| format!("cannot write {}: {error}", old.display());
        fs::write(&old, recorded.to_string()).map_err(cannot)?;
        // With --json the results go to stdout, which nobody needs, and what moved to stderr.
        bench.arg("--compare").arg(&old).arg("--json").stdout(Stdio::null()).stderr(std::io::stdout());
    }
    process::succeed(&mut bench).map_err(|reason| match recorded {
        Some(_) => format!("{reason}; if the record is of other workloads, write a new one with --record"),
        None => reason,
    })?;
    let text = fs::read_to_string(&new).map_err(|error| format!("cannot read {}: {error}", new.display()))?;
    let new = serde_json::from_str(&text).map_err(|error| format!("{}: {error}", new.display()))?;
    if let Some(recorded) = recorded {
        println!(
            "load: {} then, {} now; what moved on a busy machine, see move twice",
            load(recorded),
            load(&new)
        );
    }
    Ok(new)
}

/// The load as a run began, averaged over a minute (proc_loadavg(5)).
fn load(results: &Value) -> &str {
    let load = results["machine"]["load"].as_str().unwrap_or_default();
    load.split_whitespace().next().unwrap_or("unknown")
}
