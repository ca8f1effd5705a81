//! Developer commands: `cargo xtask COMMAND`. One subcommand is one module and one line of [`SUBCOMMANDS`].

mod bench;
mod check;
mod demo;
mod install;
mod packages;
mod process;
mod rust_text;
mod soak;
mod stores;
mod test;
mod toml_lines;
mod vm;
mod workspace;

use std::process::ExitCode;

/// What a developer command returns: failures are one clear line for people.
type Result<T, E = String> = std::result::Result<T, E>;

/// One developer command.
struct Subcommand {
    name: &'static str,
    /// The arguments it takes, as the usage text shows them.
    arguments: &'static str,
    summary: &'static str,
    /// Carries it out; `Ok(false)` means it ran to its end and what it looked at is not in order.
    run: fn(&[String]) -> Result<bool>,
}

/// Every command, in the order of the usage text.
const SUBCOMMANDS: &[Subcommand] = &[
    check::SUBCOMMAND,
    test::SUBCOMMAND,
    install::SUBCOMMAND,
    demo::SUBCOMMAND,
    bench::SUBCOMMAND,
    soak::SUBCOMMAND,
    stores::SUBCOMMAND,
    vm::SUBCOMMAND,
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some((name, rest)) = arguments.split_first() else {
        eprint!("{}", usage());
        return ExitCode::from(2);
    };
    if matches!(name.as_str(), "help" | "--help" | "-h") {
        print!("{}", usage());
        return ExitCode::SUCCESS;
    }
    if name == demo::CLEANUP {
        return finish(name, demo::clean_up_after_parent(rest));
    }
    if name == bench::PEAK {
        return finish(name, bench::run_alone(rest));
    }
    match SUBCOMMANDS.iter().find(|subcommand| subcommand.name == name) {
        Some(subcommand) => finish(name, (subcommand.run)(rest)),
        None => {
            eprint!("xtask: there is no command {name:?}\n{}", usage());
            ExitCode::from(2)
        }
    }
}

fn finish(name: &str, outcome: Result<bool>) -> ExitCode {
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(reason) => {
            eprintln!("xtask {name}: {reason}");
            ExitCode::FAILURE
        }
    }
}

fn usage() -> String {
    let mut text = String::from("usage: cargo xtask COMMAND\n");
    for subcommand in SUBCOMMANDS {
        let call = format!("{} {}", subcommand.name, subcommand.arguments);
        text.push_str(&format!("  {call:<32}  {}\n", subcommand.summary));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{SUBCOMMANDS, usage};

    #[test]
    fn the_usage_names_every_command() {
        for subcommand in SUBCOMMANDS {
            assert!(usage().contains(subcommand.name), "usage leaves out {}", subcommand.name);
        }
    }
}
