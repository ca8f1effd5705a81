//! Runs one hot path of Hull a number of times: `hull-hot-paths NAME ROUNDS`, or `--list` for the names.
//!
//! It is run under a program that counts instructions, with two numbers of rounds; the difference is what the rounds
//! alone cost, without the start of the program. It prints nothing but failures, and writes to no disk.

mod clone_plan;
mod config_parse;
mod locator_parse;

use std::process::ExitCode;

/// Carries out a path once; fails with one line.
type Round = Box<dyn FnMut() -> Result<(), String>>;

/// One hot path.
struct HotPath {
    /// As the command line has it.
    name: &'static str,
    /// What does not count, and gives what does.
    prepare: fn() -> Result<Round, String>,
}

/// Every path.
const PATHS: &[HotPath] = &[
    HotPath { name: "clone-plan", prepare: clone_plan::prepare },
    HotPath { name: "config-parse", prepare: config_parse::prepare },
    HotPath { name: "locator-parse", prepare: locator_parse::prepare },
];

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match run(&words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(line) => {
            eprintln!("hull-hot-paths: {line}");
            ExitCode::FAILURE
        }
    }
}

fn run(words: &[String]) -> Result<(), String> {
    let (name, rounds) = match words {
        [flag] if flag == "--list" => {
            PATHS.iter().for_each(|path| println!("{}", path.name));
            return Ok(());
        }
        [name, rounds] => (name, rounds),
        _ => return Err("usage: hull-hot-paths NAME ROUNDS, or --list for the names".into()),
    };
    let rounds: u64 =
        rounds.parse().map_err(|_| format!("{rounds:?} is no number of rounds: give one, such as 100"))?;
    let path = PATHS.iter().find(|path| path.name == name);
    let path = path.ok_or_else(|| format!("there is no hot path {name:?}; --list has their names"))?;
    let mut round = (path.prepare)()?;
    (0..rounds).try_for_each(|_| round())
}

#[cfg(test)]
mod tests {
    use super::{PATHS, run};

    fn words(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn every_path_can_be_run_again_and_again() {
        for path in PATHS {
            assert_eq!(run(&words(&format!("{} 3", path.name))), Ok(()), "{}", path.name);
        }
    }

    #[test]
    fn what_cannot_be_run_is_named() {
        for (line, said) in [
            ("", "usage"),
            ("config-parse", "usage"),
            ("sleep 3", "\"sleep\""),
            ("config-parse x", "\"x\" is no number"),
        ] {
            let error = run(&words(line)).expect_err("it is refused");
            assert!(error.contains(said), "{line:?}: {error}");
        }
    }
}
