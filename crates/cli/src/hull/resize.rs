//! `hull resize`: give a container's root file system another size.

use hull_sys::entry::ExitCode;

use super::context::Context;
use crate::errors::Outcome;
use crate::session::Purpose;
use crate::sizes;

/// Change the size of a container's root file system, or the limit on what it may hold
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Name of the container
    name: String,
    /// The new size (20G, 512M), or `none` for no limit
    #[arg(value_parser = sizes::parse_limit)]
    size: sizes::Limit,
}

pub(super) fn run(args: &Args, context: &Context) -> Outcome {
    let session = context.session(Purpose::Change)?;
    let (_, outcome) = session.containers().existing(&args.name)?.resize(args.size.0)?;
    context.say(sizes::told(&args.name, args.size, outcome))?;
    Ok(ExitCode::SUCCESS)
}
