//! `lxc-wait`: wait until a container is in one of several states.

use std::time::{Duration, Instant};

use clap::Command;
use hull_ipc::State;
use hull_sys::entry::ExitCode;

use super::call::Call;
use super::table;
use crate::errors::{Failure, Outcome};
use crate::session::Purpose;

pub(super) fn table() -> Command {
    let own = [
        table::value("state", 's', "state", "STATE", "State to wait for; several with | between them"),
        table::value("timeout", 't', "timeout", "SECONDS", "Give up after so many seconds; -1 is never"),
        table::rcfile('\0'),
    ];
    table::table("lxc-wait", "Wait until a container is in one of the given states", own)
}

/// Succeeds once the state is reached, fails silently when time is up. A container that does not exist is stopped.
pub(super) fn run(call: &Call<'_>) -> Outcome {
    let name = call.name()?;
    call.refuse(&["rcfile"])?;
    let wanted =
        call.value("state")?.ok_or_else(|| Failure::new("say which state to wait for: --state STATE"))?;
    let states = parse_states(&wanted)?;
    let timeout: Option<i64> = call.number("timeout")?;
    let deadline = match timeout.unwrap_or(-1) {
        seconds @ 0.. => Instant::now().checked_add(Duration::from_secs(seconds.unsigned_abs())),
        -1 => None,
        other => return Err(Failure::new(format!("--timeout wants seconds or -1, not {other}"))),
    };
    let session = call.session(Purpose::Look)?;
    let client = session.containers().get(name)?.client();
    // Asked first, so that a timeout of 0 sees a state that is already there.
    let reached = states.contains(&client.state()?) || client.wait(&states, deadline)?.is_some();
    Ok(if reached { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// `STOPPED|RUNNING`.
pub(crate) fn parse_states(text: &str) -> Result<Vec<State>, Failure> {
    text.split('|').map(|word| word.trim().parse().map_err(Failure::new)).collect()
}
