//! `hull`: the commands for people.

mod attach;
mod bench;
mod clone;
mod config;
mod context;
mod create;
mod destroy;
mod doctor;
mod exec;
mod info;
mod ls;
mod recover;
mod rename;
mod resize;
mod restore;
mod scan;
mod snapshot;
mod start;
mod stop;
mod volume;
pub(crate) mod volumes;
mod wait;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, Subcommand};
use hull_sys::entry::ExitCode;

use crate::errors::{Failure, Outcome, one_line};
use crate::output;
use context::{Context, Shared};
pub(crate) use destroy::stop_all;

/// Linux containers on any backing store.
#[derive(Debug, Parser)]
#[command(name = "hull", version, disable_help_subcommand = true, max_term_width = 100)]
struct Hull {
    #[command(flatten)]
    shared: Shared,
    #[command(subcommand)]
    command: Option<Command>,
    /// Write man pages or shell completions, for `hull` and all `lxc-*` commands, into a directory
    #[arg(long, hide = true, num_args = 2, value_names = ["man|completions", "DIR"])]
    generate: Option<Vec<PathBuf>>,
    /// Delete a throw-away container once it stops; `lxc-copy -e` runs this in the background
    #[arg(long, hide = true, num_args = 2, value_names = ["LXCPATH", "NAME"])]
    reap: Option<Vec<String>>,
    /// Delete what commands left for later, of containers in LXCPATH or of bare volumes; they run this in the background
    #[arg(long, hide = true, num_args = 0..=1, value_name = "LXCPATH")]
    reclaim: Option<Option<PathBuf>>,
    /// Freeze a container until standard input ends; commands that copy one while it runs run this beside them
    #[arg(long, hide = true, num_args = 2, value_names = ["LXCPATH", "NAME"], allow_hyphen_values = true)]
    hold_frozen: Option<Vec<String>>,
}

#[derive(Debug, Subcommand)]
enum Command {
    Create(create::Args),
    Start(start::Args),
    Exec(exec::Args),
    Attach(attach::Args),
    Stop(stop::Args),
    Wait(wait::Args),
    #[command(visible_alias = "list")]
    Ls(ls::Args),
    Info(info::Args),
    #[command(visible_alias = "copy")]
    Clone(clone::Args),
    Snapshot(snapshot::Args),
    Restore(restore::Args),
    Rename(rename::Args),
    Resize(resize::Args),
    #[command(visible_alias = "rm")]
    Destroy(destroy::Args),
    Config(config::Args),
    Bench(bench::Args),
    Doctor(doctor::Args),
    Recover(recover::Args),
    Volume(volume::Args),
}

/// The table all of this program's help, man pages and completions come from.
pub(crate) fn table() -> clap::Command {
    Hull::command()
}

/// Runs `hull` with `args` and reports how it went.
pub(crate) fn run(args: &[OsString]) -> ExitCode {
    let words = std::iter::once(OsString::from("hull")).chain(args.iter().cloned());
    let parsed = match Hull::try_parse_from(words) {
        Ok(parsed) => parsed,
        Err(e) if matches!(e.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => {
            return match output::print(e.render().to_string()) {
                Ok(()) => ExitCode::SUCCESS,
                Err(failure) => failure.exit_code(),
            };
        }
        Err(e) => return fail(&usage_error(&e)),
    };
    match dispatch(parsed) {
        Ok(code) => code,
        Err(failure) => fail(&failure),
    }
}

fn dispatch(parsed: Hull) -> Outcome {
    if let Some([what, dir]) = parsed.generate.as_deref() {
        return crate::generate::run(what, dir);
    }
    if let Some([lxcpath, name]) = parsed.reap.as_deref() {
        let environment = crate::environment::Environment::read()?;
        crate::lxc::reap(&environment, lxcpath.into(), name)?;
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(lxcpath) = parsed.reclaim {
        crate::deletion::work(&crate::environment::Environment::read()?, lxcpath)?;
        return Ok(ExitCode::SUCCESS);
    }
    if let Some([lxcpath, name]) = parsed.hold_frozen.as_deref() {
        return crate::freezing::work(lxcpath.as_ref(), name);
    }
    let Some(command) = parsed.command else {
        return Err(Failure::usage("say what to do; `hull --help` lists the commands"));
    };
    let context = Context::new(parsed.shared)?;
    match &command {
        Command::Create(args) => create::run(args, &context),
        Command::Start(args) => start::run(args, &context),
        Command::Exec(args) => exec::run(args, &context),
        Command::Attach(args) => attach::run(args, &context),
        Command::Stop(args) => stop::run(args, &context),
        Command::Wait(args) => wait::run(args, &context),
        Command::Ls(args) => ls::run(args, &context),
        Command::Info(args) => info::run(args, &context),
        Command::Clone(args) => clone::run(args, &context),
        Command::Snapshot(args) => snapshot::run(args, &context),
        Command::Restore(args) => restore::run(args, &context),
        Command::Rename(args) => rename::run(args, &context),
        Command::Resize(args) => resize::run(args, &context),
        Command::Destroy(args) => destroy::run(args, &context),
        Command::Config(args) => config::run(args, &context),
        Command::Bench(args) => bench::run(args, &context),
        Command::Doctor(args) => doctor::run(args, &context),
        Command::Recover(args) => recover::run(args, &context),
        Command::Volume(args) => volume::run(args, &context),
    }
}

fn fail(failure: &Failure) -> ExitCode {
    output::complain(format_args!("hull: {failure}"));
    failure.exit_code()
}

/// Clap's message, which is a paragraph and more, as one line.
fn usage_error(error: &clap::Error) -> Failure {
    let text = error.render().to_string();
    let paragraph: Vec<&str> =
        text.lines().take_while(|line| !line.trim().is_empty()).map(str::trim).collect();
    let line = paragraph.join(" ");
    let line = line.strip_prefix("error: ").unwrap_or(&line);
    let command = text.lines().find_map(|line| line.strip_prefix("Usage: "));
    let command =
        command.unwrap_or("hull").split(' ').take_while(|w| w.chars().all(|c| c.is_ascii_lowercase()));
    let command = command.collect::<Vec<_>>().join(" ");
    Failure::usage(format!("{}; try `{command} --help`", one_line(line)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_holds_together() {
        table().debug_assert();
    }

    #[test]
    fn usage_errors_are_one_line() {
        let check = |args: &[&str], expect: &str| {
            let words = std::iter::once("hull").chain(args.iter().copied());
            let error = Hull::try_parse_from(words).unwrap_err();
            assert_eq!(usage_error(&error).to_string(), expect);
        };
        check(
            &["clone", "a"],
            "the following required arguments were not provided: <NEW>; try `hull clone --help`",
        );
        check(&["nonsense"], "unrecognized subcommand 'nonsense'; try `hull --help`");
        check(&["ls", "--bo\ngus"], "unexpected argument '--bo gus' found; try `hull ls --help`");
    }
}
