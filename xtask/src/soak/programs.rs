//! Soaks that `hull-soak` of the integration tests carries out.

use std::time::Duration;

use crate::workspace::root;
use crate::{Result, process, test};

/// Builds the program and lets it soak.
pub(super) fn soak(kind: &str, seed: u64, time: Duration) -> Result<bool> {
    let root = root();
    // Kill storms run the second one, too.
    process::succeed(process::cargo(&root).args(["build", "-p", "hull-integration-tests", "--bins"]))?;
    let program = test::target(&root)?.join("debug/hull-soak");
    let mut command = if process::is_root() {
        // In a mount namespace of its own: when it is interrupted, its scratch file systems go with it.
        let mut unshare = process::command("unshare");
        unshare.arg("--mount").arg(&program);
        unshare
    } else {
        process::command(&program)
    };
    command.args([kind, &seed.to_string(), &time.as_secs().to_string()]);
    let shown = process::shown(&command);
    let status = command.status().map_err(|error| format!("cannot run {shown}: {error}"))?;
    Ok(status.success())
}
