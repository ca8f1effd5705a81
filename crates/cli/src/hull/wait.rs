//! `hull wait`: wait for a state.

use std::time::{Duration, Instant};

use hull_sys::entry::ExitCode;

use super::context::Context;
use crate::errors::{Failure, Outcome};
use crate::lxc::parse_states;
use crate::session::Purpose;

/// Wait until a container is in a state
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Name of the container
    name: String,
    /// State to wait for; several with | between them
    #[arg(short, long, default_value = "STOPPED", ignore_case = true)]
    state: String,
    /// Give up, and fail, after so many seconds
    #[arg(short, long, value_name = "SECONDS")]
    timeout: Option<u32>,
}

pub(super) fn run(args: &Args, context: &Context) -> Outcome {
    let states = parse_states(&args.state.to_ascii_uppercase())?;
    let session = context.session(Purpose::Look)?;
    let client = session.containers().get(&args.name)?.client();
    let deadline = args.timeout.and_then(|s| Instant::now().checked_add(Duration::from_secs(s.into())));
    if states.contains(&client.state()?) || client.wait(&states, deadline)?.is_some() {
        return Ok(ExitCode::SUCCESS);
    }
    Err(Failure::new(format!("{} was not {} in time", args.name, args.state)))
}
