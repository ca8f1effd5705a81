//! `hull restore`: put a container back to a snapshot.

use hull_container::RestoreRequest;
use hull_sys::entry::ExitCode;

use super::context::Context;
use crate::errors::Outcome;

/// Put a container back to a snapshot
///
/// The container as it is goes only once the snapshot is in place; the snapshot stays.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Name of the container
    name: String,
    /// Name of the snapshot
    snapshot: String,
    /// Make a new container of the snapshot instead
    #[arg(long = "as", value_name = "NEW")]
    new: Option<String>,
    /// Print what would be done and do nothing
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn run(args: &Args, context: &Context) -> Outcome {
    let session = context.session_to_change(args.dry_run)?;
    let request =
        RestoreRequest { snapshot: args.snapshot.clone(), new_name: args.new.clone(), dry_run: args.dry_run };
    let made = session.containers().existing(&args.name)?.restore(&request)?;
    let done = match &args.new {
        Some(new) => format!("made {new} of {} of {}", args.snapshot, args.name),
        None => format!("restored {} to {}", args.name, args.snapshot),
    };
    context.tell(&made, args.dry_run, &done)?;
    Ok(ExitCode::SUCCESS)
}
