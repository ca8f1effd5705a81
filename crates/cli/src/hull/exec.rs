//! `hull exec`: run a command in a running container.

use std::ffi::OsString;
use std::path::PathBuf;

use hull_ipc::State;

use super::context::Context;
use crate::errors::{Failure, Outcome};
use crate::monitor::Entry;
use crate::session::Purpose;

/// Run a command in a running container
///
/// Ends with the command's exit status, or 128 and the number of the signal that killed it.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Name of the container
    name: String,
    #[command(flatten)]
    how: How,
    /// The command and its arguments
    #[arg(required = true, trailing_var_arg = true)]
    command: Vec<OsString>,
}

/// How to enter.
#[derive(Debug, clap::Args)]
pub(crate) struct How {
    /// Run as this user inside
    #[arg(short, long, value_name = "UID")]
    uid: Option<u32>,
    /// Run as this group inside
    #[arg(short, long, value_name = "GID")]
    gid: Option<u32>,
    /// Set a variable
    #[arg(short = 'e', long = "env", value_name = "NAME=VALUE", value_parser = variable)]
    environment: Vec<String>,
    /// Begin with an empty environment
    #[arg(long)]
    clear_env: bool,
    /// Start in this directory inside
    #[arg(short = 'C', long, value_name = "DIR")]
    cwd: Option<PathBuf>,
}

pub(super) fn run(args: &Args, context: &Context) -> Outcome {
    enter(&args.name, &args.how, args.command.clone(), context)
}

/// Becomes `command`, or a shell, in the container.
pub(super) fn enter(name: &str, how: &How, command: Vec<OsString>, context: &Context) -> Outcome {
    let session = context.session(Purpose::Look)?;
    let container = session.containers().get(name)?;
    if container.state()? == State::Stopped {
        if !container.is_defined() {
            session.containers().existing(name)?;
        }
        return Err(Failure::new(format!("{name} is not running: start it first")));
    }
    let mut entry = Entry::new(session.containers().lxcpath(), name);
    entry.uid = how.uid;
    entry.gid = how.gid;
    entry.set.clone_from(&how.environment);
    entry.clear_environment = how.clear_env;
    entry.cwd.clone_from(&how.cwd);
    entry.command = command;
    entry.enter(&context.environment)
}

fn variable(text: &str) -> Result<String, String> {
    match text.find('=') {
        Some(at) if at > 0 => Ok(text.to_owned()),
        _ => Err("write NAME=VALUE".to_owned()),
    }
}
