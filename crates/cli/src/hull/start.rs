//! `hull start`: start a container.

use std::ffi::OsString;
use std::path::PathBuf;

use hull_ipc::State;
use hull_sys::entry::ExitCode;

use super::context::Context;
use crate::errors::{Failure, Outcome};
use crate::monitor::Launch;
use crate::session::Purpose;

/// Start a container
///
/// Returns once it runs. A key of its configuration that confines it and cannot be carried out here keeps it from
/// starting, unless --allow-unconfined names the key.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Name of the container
    name: String,
    /// Stay until it ends; the terminal is its console
    #[arg(short = 'F', long)]
    foreground: bool,
    /// Start although this confining key is not carried out
    #[arg(long, value_name = "KEY")]
    allow_unconfined: Vec<String>,
    /// Set a configuration key for this start only
    #[arg(short = 's', long, value_name = "KEY=VALUE", value_parser = pair)]
    set: Vec<(String, String)>,
    /// Write the process number of its init to this file
    #[arg(long, value_name = "FILE")]
    pidfile: Option<PathBuf>,
    /// Run this instead of its init
    #[arg(last = true)]
    command: Vec<OsString>,
}

pub(super) fn run(args: &Args, context: &Context) -> Outcome {
    let session = context.session(Purpose::Look)?;
    let container = session.containers().existing(&args.name)?;
    // A broken configuration is told here, with its line.
    let config = container.config()?;
    if container.state()? != State::Stopped {
        return Err(Failure::new(format!("{} is already running", args.name)));
    }
    container.require_complete()?;
    let root = config.value("lxc.rootfs.path").unwrap_or_default();
    let init = config.value("lxc.init.cmd").unwrap_or_default();
    if root.is_empty() && init.is_empty() && args.command.is_empty() && !sets_root(&args.set) {
        // LXC starts the host's init on the host's files.
        return Err(Failure::new(format!(
            "{} has no root file system of its own: set lxc.rootfs.path, or say what to run on the host's, -- COMMAND",
            args.name
        )));
    }
    let mut launch = Launch::new(session.containers().lxcpath(), &args.name);
    launch.allow_unconfined.clone_from(&args.allow_unconfined);
    launch.set.clone_from(&args.set);
    launch.pidfile.clone_from(&args.pidfile);
    launch.command.clone_from(&args.command);
    if args.foreground {
        return launch.foreground(&context.environment);
    }
    launch.daemonised(&context.environment)?.iter().for_each(|warning| context.warn(warning));
    context.say(format!("started {}", args.name))?;
    Ok(ExitCode::SUCCESS)
}

fn sets_root(set: &[(String, String)]) -> bool {
    set.iter().any(|(key, _)| ["lxc.rootfs.path", "lxc.init.cmd"].contains(&key.as_str()))
}

/// `KEY=VALUE` of a key that exists.
fn pair(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("write KEY=VALUE")?;
    let key = key.trim();
    if !hull_config::keys::is_supported(key) {
        return Err(format!(
            "{key:?} is no configuration key; the nearest is {}",
            hull_config::keys::closest(key)
        ));
    }
    Ok((key.to_owned(), value.trim().to_owned()))
}
