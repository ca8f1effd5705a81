//! `hull destroy`: delete a container.

use std::process::ExitCode;

use hull_container::DestroyRequest;
use hull_ipc::State;

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
    let session = context.session_to_delete(args.dry_run, args.wait)?;
    let request = DestroyRequest { snapshots: args.snapshots, foreign: args.foreign, dry_run: args.dry_run };
    for name in &args.names {
        let container = session.containers().existing(name)?;
        if container.state()? != State::Stopped && !args.dry_run {
            if !args.force {
                return Err(Failure::new(format!("{name} is running: stop it first, or use --force")));
            }
            shut_down(&container, How::Kill)?;
        }
        let mut made = container.destroy(&request)?;
        // Where it was is no longer worth telling.
        made.at = None;
        context.tell(&made, args.dry_run, &format!("destroyed {name}"))?;
    }
    Ok(ExitCode::SUCCESS)
}
