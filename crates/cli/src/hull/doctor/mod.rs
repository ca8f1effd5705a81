//! `hull doctor`: what works here, what does not, exactly why, and what would help.

mod container;
mod host;

use hull_sys::entry::ExitCode;

use super::context::Context;
use crate::errors::Outcome;

/// Say what works on this machine, or what is to be known of a container
///
/// Of the machine: kernel, cgroups, user namespaces, programs, and for each store whether it can be used and, if
/// not, why and what would help. Of a container: keys that are not carried out here and which of them keep it from
/// starting, whether its files are there, what depends on it, and what interrupted commands left. Fails when
/// containers could not be started.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A container to look at
    container: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args, context: &Context) -> Outcome {
    let well = match &args.container {
        Some(name) => container::examine(name, args.json, context)?,
        None => host::examine(args.json, context)?,
    };
    Ok(if well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
