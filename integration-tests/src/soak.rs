//! `hull-soak KIND SEED SECONDS`: random trials, each with a seed one higher than the last, until the time is over;
//! what `cargo xtask soak` runs. Exits 0 when all held, 1 when one did not, whose seed it prints.

#[path = "soak/kills.rs"]
mod kills;
#[path = "soak/model.rs"]
mod model;
#[path = "soak/scale.rs"]
mod scale;

use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Carries out the trials of one seed and says what happened.
type Round = fn(seed: u64) -> Result<String, String>;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let read = |n: usize| words.get(n).and_then(|word| word.parse::<u64>().ok());
    let round: Option<Round> = match words.first().map(String::as_str) {
        Some("model") => Some(model::round),
        Some("kills") => Some(kills::round),
        Some("scale") => Some(scale::round),
        _ => None,
    };
    let (Some(round), Some(seed), Some(seconds)) = (round, read(1), read(2)) else {
        eprintln!("usage: hull-soak model|kills|scale SEED SECONDS");
        return ExitCode::from(2);
    };
    let end = Instant::now() + Duration::from_secs(seconds);
    for seed in (0..).map(|n| seed.wrapping_add(n)) {
        match round(seed) {
            Ok(said) => println!("seed {seed}: {said}"),
            Err(why) => {
                println!("seed {seed}: FAILED\n{why}");
                return ExitCode::FAILURE;
            }
        }
        if Instant::now() >= end {
            break;
        }
    }
    ExitCode::SUCCESS
}
