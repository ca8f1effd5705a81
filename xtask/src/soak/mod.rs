//! `cargo xtask soak`: random trials for as long as one likes. They print their seed and take one; the tests have
//! a short form of each with a fixed seed.

mod fuzz;
mod programs;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::workspace::root;
use crate::{Result, Subcommand, vm};

/// The command's line in the usage text.
pub(crate) const SUBCOMMAND: Subcommand = Subcommand {
    name: "soak",
    arguments: "KIND [--seed N] [--minutes M]",
    summary: "random trials: model, kills, scale, power, or fuzz",
    run,
};

/// One kind of soak.
struct Kind {
    name: &'static str,
    /// Soaks from the seed on, for the time; `Ok(false)` when something did not hold.
    soak: fn(u64, Duration) -> Result<bool>,
}

/// Every kind.
const KINDS: &[Kind] = &[
    Kind { name: "model", soak: |seed, time| programs::soak("model", seed, time) },
    Kind { name: "kills", soak: |seed, time| programs::soak("kills", seed, time) },
    Kind { name: "scale", soak: |seed, time| programs::soak("scale", seed, time) },
    Kind { name: "power", soak: vm::soak },
    Kind { name: "fuzz", soak: |seed, time| fuzz::soak(&root(), seed, time) },
];

/// How long a soak takes when nothing is said.
const MINUTES: u64 = 5;

/// What the command line asked for.
#[derive(Debug, PartialEq, Eq)]
struct Options {
    kind: String,
    /// Drawn when it is not given.
    seed: Option<u64>,
    minutes: u64,
}

fn run(arguments: &[String]) -> Result<bool> {
    let Options { kind, seed, minutes } = options(arguments)?;
    let Some(found) = KINDS.iter().find(|known| known.name == kind) else {
        let names: Vec<_> = KINDS.iter().map(|known| known.name).collect();
        return Err(format!("there is no kind of soak {kind:?}; the kinds are {}", names.join(", ")));
    };
    let seed = seed.unwrap_or_else(fresh_seed);
    println!("soak {kind}: from seed {seed}, for {minutes} minutes");
    let held = (found.soak)(seed, Duration::from_secs(minutes.saturating_mul(60)))?;
    if held {
        println!("soak {kind}: all held");
    } else {
        println!("soak {kind}: FAILED; to see it again, give the seed above that failed with --seed");
    }
    Ok(held)
}

fn options(arguments: &[String]) -> Result<Options> {
    let (mut kind, mut seed, mut minutes) = (None, None, MINUTES);
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let mut number = || {
            let text = rest.next().ok_or_else(|| format!("{argument} needs a number"))?;
            text.parse::<u64>().map_err(|_| format!("{argument} needs a number, and {text:?} is none"))
        };
        match argument.as_str() {
            "--seed" => seed = Some(number()?),
            "--minutes" => minutes = number()?,
            word if kind.is_none() && !word.starts_with('-') => kind = Some(word.to_owned()),
            other => return Err(format!("unknown argument {other:?}; it takes {}", SUBCOMMAND.arguments)),
        }
    }
    let kind = kind.ok_or_else(|| format!("say what to soak: it takes {}", SUBCOMMAND.arguments))?;
    Ok(Options { kind, seed, minutes })
}

/// A seed that nobody had before, short enough to be typed.
fn fresh_seed() -> u64 {
    let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    (time.as_secs() << 10 ^ u64::from(time.subsec_nanos())) % 1_000_000_000
}

#[cfg(test)]
mod tests {
    use super::{MINUTES, Options, options, run};

    fn words(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn arguments_are_read_or_refused() {
        for (line, expected) in [
            ("kills", Ok((None, MINUTES))),
            ("kills --seed 7 --minutes 90", Ok((Some(7), 90))),
            ("--minutes 0 kills", Ok((None, 0))),
            ("", Err("say what to soak: it takes KIND [--seed N] [--minutes M]")),
            ("kills --seed", Err("--seed needs a number")),
            ("kills --seed x", Err("--seed needs a number, and \"x\" is none")),
            ("kills model", Err("unknown argument \"model\"; it takes KIND [--seed N] [--minutes M]")),
        ] {
            let kind = "kills".to_owned();
            let expected = expected.map(|(seed, minutes)| Options { kind, seed, minutes });
            assert_eq!(options(&words(line)), expected.map_err(str::to_owned), "{line}");
        }
    }

    #[test]
    fn an_unknown_kind_is_told_the_kinds() {
        let error = run(&words("sleep")).unwrap_err();
        assert!(error.contains("\"sleep\"") && error.contains("model, kills, scale, power, fuzz"), "{error}");
    }
}
