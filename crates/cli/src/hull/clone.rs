//! `hull clone`: make a container of another one.

use hull_container::{CloneMode, CloneRequest};
use hull_sys::entry::ExitCode;

use super::context::Context;
use crate::errors::Outcome;
use crate::lxc::trimmed;

/// Make a container of another one
///
/// Shares the files with the original where its store can, else copies them.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Name of the original
    name: String,
    /// Name of the new container
    new: String,
    /// Share the files with the original, or fail
    #[arg(short, long, conflicts_with = "copy")]
    snapshot: bool,
    /// Depend on the original in nothing
    #[arg(short, long)]
    copy: bool,
    /// Kind of store for the new container
    #[arg(long)]
    store: Option<String>,
    /// Directory to keep the new container in
    #[arg(long, value_name = "PATH")]
    to: Option<String>,
    /// Keep the original's host name
    #[arg(long)]
    keep_name: bool,
    /// Keep the original's hardware addresses
    #[arg(long)]
    keep_mac: bool,
    /// Clone although the original runs: it is frozen while its files are read
    #[arg(long)]
    allow_running: bool,
    /// Print what would be done and do nothing
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn run(args: &Args, context: &Context) -> Outcome {
    let session = context.session_to_change(args.dry_run)?;
    let containers = session.containers();
    let store = args.store.as_deref().map(|name| containers.registry().resolve(name)).transpose()?;
    let request = CloneRequest {
        lxcpath: args.to.as_deref().map(trimmed),
        mode: match (args.snapshot, args.copy) {
            (true, _) => CloneMode::Snapshot,
            (_, true) => CloneMode::Copy,
            (_, false) => CloneMode::SnapshotElseCopy,
        },
        store: store.map(|registration| registration.name),
        keep_name: args.keep_name,
        keep_mac: args.keep_mac,
        allow_running: args.allow_running,
        dry_run: args.dry_run,
        ..CloneRequest::new(&args.new)
    };
    let made = containers.existing(&args.name)?.clone_to(&request)?;
    context.tell(&made, args.dry_run, &format!("cloned {} to {}", args.name, made.name))?;
    Ok(ExitCode::SUCCESS)
}
