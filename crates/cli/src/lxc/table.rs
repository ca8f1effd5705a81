//! The words the option tables are written in, and the options all LXC commands share.

use clap::{Arg, ArgAction, Command};

/// An option without an argument. The short name `'\0'` is none.
pub(crate) fn flag(id: &'static str, short: char, long: &'static str, help: &'static str) -> Arg {
    named(id, short, long).action(ArgAction::SetTrue).help(help)
}

/// An option that takes an argument.
pub(crate) fn value(
    id: &'static str,
    short: char,
    long: &'static str,
    name: &'static str,
    help: &'static str,
) -> Arg {
    named(id, short, long).action(ArgAction::Append).value_name(name).num_args(1).help(help)
}

/// An option that takes an argument only if it is joined to it: `-eCAP`, `--elevated-privileges=CAP`.
pub(crate) fn optional(
    id: &'static str,
    short: char,
    long: &'static str,
    name: &'static str,
    help: &'static str,
) -> Arg {
    named(id, short, long)
        .action(ArgAction::Append)
        .value_name(name)
        .num_args(0..=1)
        .require_equals(true)
        .help(help)
}

/// The table of the command `name`: its own options, then the common ones.
pub(crate) fn table(name: &'static str, about: &'static str, own: impl IntoIterator<Item = Arg>) -> Command {
    const COMMON: &str = "Common options";
    let common = [
        value("logfile", 'o', "logfile", "FILE", "Append messages to FILE, too"),
        value(
            "logpriority",
            'l',
            "logpriority",
            "LEVEL",
            "Least level that goes to the log file: TRACE DEBUG INFO NOTICE WARN ERROR CRIT ALERT FATAL",
        ),
        flag("quiet", 'q', "quiet", "Print no messages"),
        value("lxcpath", 'P', "lxcpath", "PATH", "Directory the containers are kept in"),
        flag("help", 'h', "help", "Print this help").short_alias('?'),
        flag("usage", '\0', "usage", "Print one line on how to use the command"),
        flag("version", '\0', "version", "Print the version of LXC whose interface this command keeps"),
    ];
    Command::new(name)
        .about(about)
        .disable_help_flag(true)
        .disable_version_flag(true)
        .next_help_heading("Options")
        .arg(value("name", 'n', "name", "NAME", "Name of the container; may also be the first operand"))
        .args(own)
        .args(common.map(|arg| arg.help_heading(COMMON)))
        .arg(Arg::new("operand").value_name("NAME").help("Name of the container, unless -n gives it"))
}

/// What may follow the name, usually after `--`.
pub(crate) fn operands(name: &'static str, help: &'static str) -> Arg {
    Arg::new("operands").value_name(name).num_args(0..).last(true).help(help)
}

/// The option that reads the configuration from another file; some commands have no short name for it.
pub(crate) fn rcfile(short: char) -> Arg {
    value("rcfile", short, "rcfile", "FILE", "Read the container's configuration from FILE")
}

fn named(id: &'static str, short: char, long: &'static str) -> Arg {
    let arg = Arg::new(id).long(long);
    if short == '\0' { arg } else { arg.short(short) }
}
