//! `hull destroy`: delete a container.

use hull_container::{Container, Dependents, DestroyRequest};
use hull_ipc::State;
use hull_sys::entry::ExitCode;

use super::context::Context;
use crate::errors::{Failure, Outcome};
use crate::shutdown::{How, shut_down};

/// Delete containers
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Names of the containers
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
    /// Kill what runs
    #[arg(short, long)]
    force: bool,
    /// Delete snapshots, too
    #[arg(short, long)]
    snapshots: bool,
    /// Delete the clones that need it, too, and theirs, and the snapshots of all of them: all at once, or none
    #[arg(long)]
    with_dependents: bool,
    /// Delete also a root file system that Hull did not make
    #[arg(long)]
    foreign: bool,
    /// Return only once all files are deleted; usually that goes on in the background
    #[arg(short, long)]
    wait: bool,
    /// Print what would be done and do nothing
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn run(args: &Args, context: &Context) -> Outcome {
    let session = context.session_to_change(args.dry_run)?;
    let dependents = if args.with_dependents { Dependents::Destroy } else { Dependents::Keep };
    let (snapshots, foreign, dry_run) = (args.snapshots, args.foreign, args.dry_run);
    let request = DestroyRequest { snapshots, dependents, foreign, dry_run };
    for name in &args.names {
        let container = session.containers().existing(name)?;
        let others = if args.with_dependents { container.all_dependents()? } else { Vec::new() };
        if !args.dry_run {
            let all: Vec<&Container<'_>> = others.iter().chain([&container]).collect();
            stop_all(&all, args.force)?;
        }
        let mut made = container.destroy(&request)?;
        // Where it was is no longer worth telling.
        made.at = None;
        let mut text = format!("destroyed {name}");
        if !others.is_empty() {
            let names: Vec<String> = others.iter().map(|c| c.home().display().to_string()).collect();
            text.push_str(&format!(" and what needed it: {}", names.join(", ")));
        }
        context.tell(&made, args.dry_run, &text)?;
    }
    if args.wait && !args.dry_run {
        context.wait_for_deletion(session.containers().store())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Sees that none of `all` runs: by `force`, or else by refusing before anything is stopped.
pub(crate) fn stop_all(all: &[&Container<'_>], force: bool) -> Result<(), Failure> {
    let mut running = Vec::new();
    for container in all {
        if container.state()? != State::Stopped {
            running.push(*container);
        }
    }
    match running.first() {
        Some(first) if !force => {
            Err(Failure::new(format!("{} is running: stop it first, or use --force", first.name())))
        }
        _ => running.iter().try_for_each(|container| shut_down(container, How::Kill).map(drop)),
    }
}
