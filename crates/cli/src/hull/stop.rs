//! `hull stop`: end a container.

use std::time::Duration;

use hull_ipc::State;
use hull_sys::entry::ExitCode;

use super::context::Context;
use crate::errors::{Failure, Outcome};
use crate::session::Purpose;
use crate::shutdown::{How, shut_down};

/// Stop containers
///
/// Asks their inits to halt, and kills what has not halted in time.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Names of the containers
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
    /// Kill at once
    #[arg(short, long, conflicts_with_all = ["timeout", "reboot"])]
    kill: bool,
    /// How many seconds to wait before killing
    #[arg(short, long, value_name = "SECONDS", default_value_t = 60)]
    timeout: u32,
    /// Reboot instead
    #[arg(short, long)]
    reboot: bool,
}

pub(super) fn run(args: &Args, context: &Context) -> Outcome {
    let session = context.session(Purpose::Look)?;
    let patience = Some(Duration::from_secs(args.timeout.into()));
    for name in &args.names {
        let container = session.containers().get(name)?;
        if container.state()? == State::Stopped {
            if !container.is_defined() {
                session.containers().existing(name)?;
            }
            return Err(Failure::new(format!("{name} is not running")));
        }
        let (how, done) = match (args.kill, args.reboot) {
            (true, _) => (How::Kill, "killed"),
            (_, true) => (How::Reboot { patience }, "rebooted"),
            (_, false) => (How::Halt { patience, then_kill: true }, "stopped"),
        };
        shut_down(&container, how)?;
        context.say(format!("{done} {name}"))?;
    }
    Ok(ExitCode::SUCCESS)
}
