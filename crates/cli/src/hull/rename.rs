//! `hull rename`: give a container another name.

use hull_sys::entry::ExitCode;

use super::context::Context;
use crate::errors::Outcome;

/// Give a container another name
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Name of the container
    name: String,
    /// Its new name
    new: String,
    /// Print what would be done and do nothing
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn run(args: &Args, context: &Context) -> Outcome {
    let session = context.session_to_change(args.dry_run)?;
    let made = session.containers().existing(&args.name)?.rename(&args.new, args.dry_run)?;
    context.tell(&made, args.dry_run, &format!("renamed {} to {}", args.name, args.new))?;
    Ok(ExitCode::SUCCESS)
}
