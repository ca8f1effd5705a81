//! The same operations by Hull's and by stock LXC's commands, interleaved in one run on file systems of their own, and
//! what the machine's own programs take for the bare work. Prints medians and ratios.
//!
//! `hull-compare-lxc --hull PREFIX --rootfs TAR [--pools] [--rounds N] [--scratch DIR] [--only TEXT] [--markdown]`: PREFIX
//! is where Hull is installed, TAR an archive of a root file system. Needs root and Debian's `lxc`. With `--pools` it
//! compares what happens in a volume group and a zfs pool, both called `lxc` as LXC's are. Removes what it made.

mod command;
mod ground;
mod operation;
mod pool;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use command::{Side, timed};
use ground::Ground;
use operation::{OPERATIONS, Operation};

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
    rootfs: PathBuf,
    pools: bool,
    rounds: usize,
    scratch: PathBuf,
    only: String,
    markdown: bool,
}

fn arguments() -> Result<Arguments, String> {
    let mut parsed = Arguments {
        hull: PathBuf::new(),
        rootfs: PathBuf::new(),
        pools: false,
        rounds: 11,
        scratch: "/var/tmp".into(),
        only: String::new(),
        markdown: false,
    };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
        match word.as_str() {
            "--hull" => parsed.hull = value()?.into(),
            "--rootfs" => parsed.rootfs = value()?.into(),
            "--rounds" => {
                parsed.rounds = value()?.parse().map_err(|_| "--rounds needs a number".to_owned())?;
            }
            "--scratch" => parsed.scratch = value()?.into(),
            "--pools" => parsed.pools = true,
            "--only" => parsed.only = value()?,
            "--markdown" => parsed.markdown = true,
            other => {
                return Err(format!(
                    "{other} is no option: use --hull PREFIX, --rootfs TAR, --pools, --rounds N, --scratch DIR, \
                     --only TEXT, --markdown"
                ));
            }
        }
    }
    if !parsed.hull.join("bin/lxc-copy").exists() {
        return Err("--hull must name the prefix of `cargo xtask install --prefix PREFIX`".into());
    }
    if !parsed.rootfs.is_file() {
        return Err(
            "--rootfs must name a tar archive, such as `cargo xtask demo` makes in target/demo-cache".into(),
        );
    }
    Ok(parsed)
}

fn run() -> Result<(), String> {
    let arguments = arguments()?;
    let scratch = tempfile::Builder::new().prefix("hull-compare-").tempdir_in(&arguments.scratch);
    let scratch = scratch.map_err(|e| format!("no scratch directory: {e}"))?;
    let kinds = if arguments.pools { &ground::POOLS[..] } else { &ground::KINDS[..] };
    let grounds = Ground::all(kinds, scratch.path(), &arguments.hull, &arguments.rootfs)?;
    if arguments.markdown {
        println!("| operation | on | stock LXC | Hull | ratio | target | floor | Hull ÷ floor |");
        println!("| --- | --- | --- | --- | --- | --- | --- | --- |");
    }
    for operation in OPERATIONS.iter().filter(|o| o.name.contains(&arguments.only)) {
        let Some(ground) = grounds.iter().find(|g| g.kind == operation.ground) else { continue };
        let ways = if operation.also_at_rest { &[Duration::ZERO, REST][..] } else { &[Duration::ZERO] };
        for rest in ways {
            let name = format!("{}{}", operation.name, if rest.is_zero() { "" } else { ", at rest" });
            match measure(operation, ground, &arguments, *rest) {
                Ok(times) => print(&name, operation, &times, arguments.markdown),
                // One that fails says so, and the others are measured.
                Err(why) => println!("{name} on {}: {why}", operation.ground),
            }
        }
    }
    if arguments.pools {
        return Ok(());
    }
    side_by_side(&grounds[0], &arguments.hull)
}

/// How long nothing happens before a command at rest.
const REST: Duration = Duration::from_millis(100);

/// Medians.
struct Times {
    stock: Duration,
    hull: Duration,
    floor: Option<Duration>,
}

/// Interleaved rounds, stock first in every other one, after one round that does not count. Before what is timed nothing
/// happens for `rest`.
fn measure(
    operation: &Operation,
    ground: &Ground,
    arguments: &Arguments,
    rest: Duration,
) -> Result<Times, String> {
    let hull = Side::Hull(&arguments.hull);
    let (mut stock, mut ours, mut floor) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..=arguments.rounds {
        let mut sides = [Side::Stock, hull];
        if round % 2 == 1 {
            sides.reverse();
        }
        for side in sides {
            operation.before.iter().try_for_each(|line| timed(line, ground, hull, 0).map(drop))?;
            std::thread::sleep(rest);
            let mut time = Duration::ZERO;
            for line in operation.timed {
                time += timed(line, ground, side, operation.code)?;
            }
            if let Side::Hull(_) = side {
                for line in operation.also {
                    time += timed(line, ground, side, 0)?;
                }
            }
            operation.after.iter().try_for_each(|line| timed(line, ground, hull, 0).map(drop))?;
            match side {
                _ if round == 0 => {}
                Side::Stock => stock.push(time),
                Side::Hull(_) => ours.push(time),
            }
        }
        if let Some((line, back)) = operation.floor {
            std::thread::sleep(rest);
            let time = timed(line, ground, Side::Stock, 0)?;
            timed(back, ground, Side::Stock, 0)?;
            floor.extend((round > 0).then_some(time));
        }
    }
    Ok(Times {
        stock: median(stock).unwrap_or_default(),
        hull: median(ours).unwrap_or_default(),
        floor: median(floor),
    })
}

fn print(name: &str, operation: &Operation, times: &Times, markdown: bool) {
    let ratio = |of: Duration| times.hull.as_secs_f64() / of.as_secs_f64();
    let (ratio_to_stock, target) = (ratio(times.stock), operation.target);
    let floor = times.floor.map_or("–".into(), show);
    let above = times.floor.map_or("–".into(), |floor| format!("{:.2}", ratio(floor)));
    let (stock, hull) = (show(times.stock), show(times.hull));
    if markdown {
        println!(
            "| {} | {} | {stock} | {hull} | {ratio_to_stock:.3} | {target} | {floor} | {above} |",
            name, operation.ground
        );
    } else {
        println!(
            "{:<46} {:<6} {stock:>10} {hull:>10} {ratio_to_stock:>7.3} (≤ {target}) floor {floor:>9} ({above})",
            name, operation.ground
        );
    }
}

/// A hundred overlay clones of one parent, one at a time and two at a time.
fn side_by_side(ground: &Ground, hull: &Path) -> Result<(), String> {
    const CLONES: usize = 100;
    const ROUNDS: usize = 5;
    let clone = |range: std::ops::Range<usize>| {
        range.into_iter().try_for_each(|n| {
            let line = format!("lxc-copy -P {{}} -n base -N many{n} -s -B overlay");
            timed(&line, ground, Side::Hull(hull), 0).map(drop)
        })
    };
    let clear = || {
        let destroy = |n| timed(&format!("lxc-destroy -P {{}} -n many{n}"), ground, Side::Hull(hull), 0);
        (0..CLONES).try_for_each(|n| destroy(n).map(drop))?;
        // What is deleted in the background must not go on beside what is measured next.
        timed("hull --lxcpath {} recover --reclaim", ground, Side::Hull(hull), 0).map(drop)
    };
    let together = || {
        std::thread::scope(|scope| {
            let other = scope.spawn(|| clone(0..CLONES / 2));
            clone(CLONES / 2..CLONES).and(other.join().unwrap_or_else(|_| Err("a thread panicked".into())))
        })
    };
    let (mut one, mut two) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        clone(0..CLONES)?;
        one.push(begun.elapsed());
        clear()?;
        let begun = Instant::now();
        together()?;
        two.push(begun.elapsed());
        clear()?;
    }
    let (Some(one), Some(two)) = (median(one), median(two)) else { return Ok(()) };
    println!(
        "\n{CLONES} overlay clones of one parent: {} one at a time, {} two at a time: {:.2} times as fast (target 1.6)",
        show(one),
        show(two),
        one.as_secs_f64() / two.as_secs_f64()
    );
    Ok(())
}

fn median(mut times: Vec<Duration>) -> Option<Duration> {
    times.sort_unstable();
    times.get(times.len() / 2).copied()
}

fn show(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1000.0)
}
