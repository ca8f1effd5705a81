//! LXC's commands: their options, output and exit codes.

mod attach;
mod bdev;
mod call;
mod config;
mod copy;
mod create;
mod destroy;
mod ephemeral;
mod execute;
mod getopt;
mod info;
mod list;
mod snapshot;
mod start;
mod stop;
mod table;
mod wait;

use std::ffi::OsString;

use clap::Command;
use hull_sys::entry::ExitCode;

use crate::errors::{Failure, Outcome};
use call::Call;
pub(crate) use call::trimmed;
pub(crate) use ephemeral::reap;
pub(crate) use wait::parse_states;

/// The release of LXC whose interface these commands keep, which is what their `--version` prints.
const INTERFACE: &str = "5.0.2";

/// One of LXC's commands.
#[derive(Debug)]
pub(crate) struct Tool {
    /// Its name.
    pub(crate) name: &'static str,
    /// Its options.
    pub(crate) table: fn() -> Command,
    /// Whether it takes operands beside the container's name.
    operands: bool,
    run: fn(&Call<'_>) -> Outcome,
}

/// All of LXC's commands that Hull offers.
pub(crate) const TOOLS: [Tool; 12] = [
    Tool { name: "lxc-attach", table: attach::table, operands: true, run: attach::run },
    Tool { name: "lxc-config", table: config::table, operands: false, run: config::run },
    Tool { name: "lxc-copy", table: copy::table, operands: true, run: copy::run },
    Tool { name: "lxc-create", table: create::table, operands: true, run: create::run },
    Tool { name: "lxc-destroy", table: destroy::table, operands: false, run: destroy::run },
    Tool { name: "lxc-execute", table: execute::table, operands: true, run: execute::run },
    Tool { name: "lxc-info", table: info::table, operands: false, run: info::run },
    Tool { name: "lxc-ls", table: list::table, operands: false, run: list::run },
    Tool { name: "lxc-snapshot", table: snapshot::table, operands: false, run: snapshot::run },
    Tool { name: "lxc-start", table: start::table, operands: true, run: start::run },
    Tool { name: "lxc-stop", table: stop::table, operands: false, run: stop::run },
    Tool { name: "lxc-wait", table: wait::table, operands: false, run: wait::run },
];

/// The command called `lxc-` and `name`.
pub(crate) fn tool(name: &str) -> Option<&'static Tool> {
    TOOLS.iter().find(|tool| tool.name.strip_prefix("lxc-") == Some(name))
}

/// Runs `tool` and reports how it went.
pub(crate) fn run(tool: &Tool, args: &[OsString]) -> ExitCode {
    let mut table = (tool.table)();
    let fail = |failure: &Failure| {
        crate::output::complain(format_args!("{}: {failure} (try {} --help)", tool.name, tool.name));
        failure.exit_code()
    };
    let matches = match getopt::parse(&table, args) {
        Ok(matches) => matches,
        Err(message) => return fail(&Failure::new(message)),
    };
    let said = |text: &str| match crate::output::print(text) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => fail(&failure),
    };
    // The first of these counts, as it ends getopt's loop.
    match matches.options().find(|id| ["help", "usage", "version"].contains(id)) {
        Some("help") => return said(&table.render_help().to_string()),
        Some("usage") => return said(&format!("{}\n", usage(&table))),
        Some(_) => return said(&format!("{INTERFACE}\n")),
        None => {}
    }
    let call = match Call::new(tool, matches) {
        Ok(call) => call,
        Err(failure) => return fail(&failure),
    };
    match (tool.run)(&call) {
        Ok(code) => code,
        Err(failure) => {
            call.report(&failure);
            failure.exit_code()
        }
    }
}

/// All options in one line.
fn usage(table: &Command) -> String {
    let mut line = format!("Usage: {}", table.get_name());
    for arg in table.get_arguments().filter(|arg| !arg.is_positional()) {
        line.push_str(" [");
        if let Some(short) = arg.get_short() {
            line.push_str(&format!("-{short}|"));
        }
        line.push_str(&format!("--{}", arg.get_long().unwrap_or_default()));
        if arg.get_action().takes_values() {
            let value = arg.get_value_names().and_then(|names| names.first()).map_or("VALUE", |n| n.as_str());
            line.push_str(&format!("={value}"));
        }
        line.push(']');
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_hold_together() {
        for tool in &TOOLS {
            (tool.table)().debug_assert();
            assert_eq!((tool.table)().get_name(), tool.name);
            assert!(usage(&(tool.table)()).lines().count() == 1);
        }
    }
}
