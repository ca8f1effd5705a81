//! `lxc-config`: print values of the global configuration.

use clap::{Arg, Command};
use hull_sys::entry::ExitCode;

use super::call::Call;
use super::table::flag;
use crate::environment::GLOBAL_KEYS;
use crate::errors::{Failure, Outcome};
use crate::output;

pub(super) fn table() -> Command {
    Command::new("lxc-config")
        .about("Print values of LXC's global configuration file, lxc.conf")
        .disable_help_flag(true)
        .disable_version_flag(true)
        .arg(flag("list", 'l', "list", "Print the names of all items"))
        .arg(flag("help", 'h', "help", "Print this help").short_alias('?'))
        .arg(flag("version", '\0', "version", "Print the version of LXC whose interface this command keeps"))
        .arg(Arg::new("item").value_name("ITEM").help("Item to print, or the beginning of its name"))
}

/// Prints the list, one value, or how the command is used.
pub(super) fn run(call: &Call<'_>) -> Outcome {
    if call.has("list") {
        output::line(GLOBAL_KEYS.join("\n"))?;
        return Ok(ExitCode::SUCCESS);
    }
    let Some(item) = call.optional_name() else {
        output::print(table().render_help().to_string())?;
        return Ok(ExitCode::SUCCESS);
    };
    let Some(key) = GLOBAL_KEYS.iter().find(|key| key.starts_with(item)) else {
        return Err(Failure::new(format!("Unknown configuration item: {item}")));
    };
    match call.environment().global(key) {
        Some(value) => output::line(value)?,
        None => output::line(format!("{key} is not set."))?,
    }
    Ok(ExitCode::SUCCESS)
}
