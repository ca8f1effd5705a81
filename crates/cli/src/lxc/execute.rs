//! `lxc-execute`: run one command in a container of its own.

use clap::Command;
use hull_sys::entry::ExitCode;

use super::call::Call;
use super::start::{define, defines, rcfile, share, shares};
use super::table;
use crate::errors::{Failure, Outcome};
use crate::monitor::Launch;
use crate::session::Purpose;

pub(super) fn table() -> Command {
    let own = [
        table::flag("daemon", 'd', "daemon", "Do not wait for the command"),
        table::rcfile('f'),
        define(),
        table::value("uid", 'u', "uid", "UID", "Run the command as UID inside"),
        table::value("gid", 'g', "gid", "GID", "Run the command as GID inside"),
    ];
    let about = "Run COMMAND in a container, below a process that reaps, and end with it";
    table::table("lxc-execute", about, own.into_iter().chain(share()))
        .arg(table::operands("COMMAND", "What to run, and its arguments; lxc.execute.cmd unless given"))
}

/// Runs the command; its exit status is the status of this one.
pub(super) fn run(call: &Call<'_>) -> Outcome {
    let name = call.name()?;
    let session = call.session(Purpose::Look)?;
    let container = session.containers().get(name)?;
    let config = rcfile(call)?;
    let config_text = match &config {
        Some(file) => hull_config::Config::load(file)?,
        None if container.is_defined() => container.config()?,
        None => {
            return Err(Failure::new(format!(
                "there is no container {name} in {}, and running a command on the host's own files needs a \
                 configuration: give one with --rcfile",
                session.containers().lxcpath().display()
            )));
        }
    };
    let mut command = call.rest().to_vec();
    if command.is_empty() {
        // One line of words, as LXC splits it.
        let words = config_text.value("lxc.execute.cmd").unwrap_or_default();
        command = words.split_ascii_whitespace().map(Into::into).collect();
    }
    if command.is_empty() {
        return Err(Failure::new("say what to run: -- COMMAND, or set lxc.execute.cmd"));
    }
    container.require_complete()?;
    let mut launch = Launch::new(session.containers().lxcpath(), name);
    launch.reaped = true;
    launch.config = config;
    launch.set = defines(call)?;
    launch.share = shares(call)?;
    launch.uid = call.number("uid")?;
    launch.gid = call.number("gid")?;
    launch.command = command;
    if !call.has("daemon") {
        return launch.foreground(call.environment());
    }
    launch.daemonised(call.environment())?.iter().for_each(|warning| call.warn(warning));
    Ok(ExitCode::SUCCESS)
}
