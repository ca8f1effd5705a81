//! `lxc-stop`: end or reboot a container.

use std::time::Duration;

use clap::Command;
use hull_ipc::State;
use hull_sys::entry::ExitCode;

use super::call::Call;
use super::table;
use crate::errors::{Failure, Outcome};
use crate::session::Purpose;
use crate::shutdown::{How, shut_down};

/// How long a container may take to halt before it is killed, unless the command line says otherwise.
const PATIENCE: u64 = 60;

/// The exit code for a container that does not run.
const NOT_RUNNING: u8 = 2;

pub(super) fn table() -> Command {
    let own = [
        table::flag("reboot", 'r', "reboot", "Ask the container to reboot"),
        table::flag("nowait", 'W', "nowait", "Do not wait until it has halted or rebooted"),
        table::value(
            "timeout",
            't',
            "timeout",
            "SECONDS",
            "How long it may take to halt before it is killed; 60 unless given, -1 is for ever",
        ),
        table::flag("kill", 'k', "kill", "Kill it at once"),
        table::flag("nolock", '\0', "nolock", "Take no locks; Hull takes none to stop a container"),
        table::flag("nokill", '\0', "nokill", "Do not kill it when time is up"),
        table::rcfile('\0'),
    ];
    table::table("lxc-stop", "Stop a container: ask its init to halt, kill it when time is up", own)
}

/// Stops the container; exit code 2 when it does not run.
pub(super) fn run(call: &Call<'_>) -> Outcome {
    let name = call.name()?;
    call.refuse(&["rcfile"])?;
    for other in ["reboot", "nowait", "timeout", "nokill"] {
        if call.has("kill") && call.has(other) {
            return Err(Failure::new(format!("--kill and --{other} do not go together")));
        }
    }
    let timeout: Option<i64> = call.number("timeout")?;
    let patience = match timeout {
        None => Some(Duration::from_secs(PATIENCE)),
        Some(-1) => None,
        Some(seconds @ 0..) => Some(Duration::from_secs(seconds.unsigned_abs())),
        Some(other) => return Err(Failure::new(format!("--timeout wants seconds or -1, not {other}"))),
    };
    let session = call.session(Purpose::Look)?;
    let container = session.containers().get(name)?;
    if container.state()? == State::Stopped {
        return Err(Failure::new(format!("{name} is not running")).code(NOT_RUNNING));
    }
    let how = match (call.has("kill"), call.has("reboot"), call.has("nowait")) {
        (true, ..) => How::Kill,
        (_, true, true) => How::Reboot { patience: None },
        (_, true, false) => How::Reboot { patience: Some(patience.unwrap_or(Duration::MAX)) },
        (_, false, true) => How::Ask,
        (_, false, false) => How::Halt { patience, then_kill: !call.has("nokill") },
    };
    shut_down(&container, how)?;
    Ok(ExitCode::SUCCESS)
}
