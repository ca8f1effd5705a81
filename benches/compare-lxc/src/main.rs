//! The same operations by Hull's and by stock LXC's commands, interleaved in one run; prints medians and ratios.
//!
//! `hull-compare-lxc --hull PREFIX [--rounds N] [--scratch DIR]`: PREFIX is where Hull is installed. Needs root,
//! Debian's `lxc` and a static busybox. Everything happens in a scratch lxcpath, which is removed.

mod operation;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use operation::{OPERATIONS, Operation, Side};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(line) => {
            eprintln!("hull-compare-lxc: {line}");
            ExitCode::FAILURE
        }
    }
}

struct Arguments {
    hull: PathBuf,
    rounds: usize,
    scratch: Option<PathBuf>,
}

fn arguments() -> Result<Arguments, String> {
    let mut parsed = Arguments { hull: PathBuf::new(), rounds: 11, scratch: None };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
        match word.as_str() {
            "--hull" => parsed.hull = value()?.into(),
            "--rounds" => {
                parsed.rounds = value()?.parse().map_err(|_| "--rounds needs a number".to_owned())?;
            }
            "--scratch" => parsed.scratch = Some(value()?.into()),
            other => {
                return Err(format!("{other} is no option: use --hull PREFIX, --rounds N, --scratch DIR"));
            }
        }
    }
    if !parsed.hull.join("bin/lxc-copy").exists() {
        return Err("--hull must name the prefix of `cargo xtask install --prefix PREFIX`".into());
    }
    Ok(parsed)
}

fn run() -> Result<(), String> {
    let arguments = arguments()?;
    let builder = tempfile::Builder::new().prefix("hull-compare-").to_owned();
    let scratch = match &arguments.scratch {
        Some(dir) => builder.tempdir_in(dir),
        None => builder.tempdir(),
    };
    let scratch = scratch.map_err(|e| format!("no scratch directory: {e}"))?;
    let lxcpath = scratch.path().join("lxc");
    operation::prepare(&lxcpath, &arguments.hull)?;
    println!("{:<34} {:>10} {:>10} {:>7}", "operation", "stock LXC", "Hull", "ratio");
    for operation in OPERATIONS {
        let (stock, hull) = measure(operation, &lxcpath, &arguments)?;
        let ratio = hull.as_secs_f64() / stock.as_secs_f64();
        println!("{:<34} {:>10} {:>10} {ratio:>7.2}", operation.name, show(stock), show(hull));
    }
    operation::destroy_all(&lxcpath, &arguments.hull)
}

/// Medians of interleaved rounds, stock first in every other one, after one round that does not count.
fn measure(
    operation: &Operation,
    lxcpath: &Path,
    arguments: &Arguments,
) -> Result<(Duration, Duration), String> {
    let (mut stock, mut hull) = (Vec::new(), Vec::new());
    for round in 0..=arguments.rounds {
        let mut sides = [Side::Stock, Side::Hull(&arguments.hull)];
        if round % 2 == 1 {
            sides.reverse();
        }
        for side in sides {
            let time = operation::time(operation, lxcpath, side)?;
            match side {
                _ if round == 0 => {}
                Side::Stock => stock.push(time),
                Side::Hull(_) => hull.push(time),
            }
        }
    }
    Ok((median(stock), median(hull)))
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

fn show(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1000.0)
}
