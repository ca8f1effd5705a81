//! `cargo xtask bench`: guards what Hull costs. Instructions of the hot paths, the memory of a clone, times of stores,
//! compared with the run that is recorded for this kind of machine.
//!
//! Instructions repeat exactly on a machine that is busy with other things, so they alone can fail it, when asked to;
//! memory has a limit that always holds; of times it only says what moved.

mod callgrind;
mod compare;
mod machine;
mod memory;
mod peak;
mod record;
mod scratch;
mod stores;
mod tree;

use std::path::{Path, PathBuf};

use compare::{Moved, grouped};
use machine::Machine;
use record::Record;
use scratch::Scratch;

use crate::install::{self, Profile};
use crate::packages::{self, Provision};
use crate::workspace::root;
use crate::{Result, Subcommand, process};

pub(crate) use peak::{PEAK, run_alone};

/// The command's line in the usage text.
pub(crate) const SUBCOMMAND: Subcommand = Subcommand {
    name: "bench",
    arguments: "[--quick | --full] [--record] [--fail-on-growth] [--scratch DIR]",
    summary: "instructions, memory and times beside the recorded run",
    run,
};

/// How much is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Extent {
    Quick,
    Full,
}

impl Extent {
    /// The entries of the tree that is cloned.
    fn entries(self) -> u64 {
        match self {
            Self::Quick => 100_000,
            Self::Full => 1_000_000,
        }
    }

    /// The rounds that stores are measured for.
    fn rounds(self) -> u32 {
        match self {
            Self::Quick => 15,
            Self::Full => 51,
        }
    }
}

/// What the command line asked for.
#[derive(Debug, PartialEq, Eq)]
struct Options {
    extent: Extent,
    /// Write what was measured down instead of comparing it.
    record: bool,
    fail_on_growth: bool,
    /// Where the tree and the stores are made.
    scratch: PathBuf,
}

fn run(arguments: &[String]) -> Result<bool> {
    let options = options(arguments)?;
    if !process::is_root() {
        return Err("the bench mounts file systems of its own on loop devices; run it as root".into());
    }
    if let Provision::Lacking(reason) = packages::provide(packages::FOR_BENCH) {
        return Err(reason);
    }
    let (root, kind) = (root(), Machine::this()?.kind());
    let path = record::path(&root, &kind);
    // What is wrong with the file shall be known before anything is measured.
    let recorded = if options.record { None } else { record::read(&path)? };
    println!("kind of machine: {kind}");
    match &recorded {
        Some(_) => println!("compared with {}", record::name(&kind)),
        None if options.record => {}
        None => println!("no run of this kind is recorded; --record writes {}", record::name(&kind)),
    }
    let built = install::build(&root, Profile::Release, &["hull-cli", "hull-hot-paths"])?;
    let hull = install::program(&built, "hull")?;
    let hot_paths = install::program(&built, "hull-hot-paths")?;
    let scratch = Scratch::new(&options.scratch)?;
    let mut now = Record { compiler: compiler(&root)?, ..Record::default() };

    let grew = instructions(&hot_paths, scratch.path(), recorded.as_ref(), &mut now)?;
    println!("\nstores, {} rounds", options.extent.rounds());
    let then = recorded.as_ref().map(|record| &record.stores);
    now.stores = stores::measure(&hull, scratch.path(), options.extent.rounds(), then)?;
    // Last, as a disk that is still writing a tree out makes all else slow.
    let fits = memory(&hull, scratch.path(), options.extent, recorded.as_ref(), &mut now)?;

    if options.record {
        record::write(&path, &now)?;
        println!("\nrecorded in {}", record::name(&kind));
    }
    if grew && options.fail_on_growth {
        println!("\nFAILED: instructions grew by more than 5 %; take it back, or accept it with --record");
    }
    Ok(fits && !(grew && options.fail_on_growth))
}

fn options(arguments: &[String]) -> Result<Options> {
    let mut options =
        Options { extent: Extent::Full, record: false, fail_on_growth: false, scratch: std::env::temp_dir() };
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        match argument.as_str() {
            "--quick" => options.extent = Extent::Quick,
            "--full" => options.extent = Extent::Full,
            "--record" => options.record = true,
            "--fail-on-growth" => options.fail_on_growth = true,
            "--scratch" => options.scratch = rest.next().ok_or("--scratch needs a folder")?.into(),
            other => return Err(format!("unknown argument {other:?}; it takes {}", SUBCOMMAND.arguments)),
        }
    }
    if options.record && options.fail_on_growth {
        return Err("--record compares with nothing, so nothing can grow: leave out --fail-on-growth".into());
    }
    let absolute = std::path::absolute(&options.scratch);
    options.scratch = absolute.map_err(|error| format!("{}: {error}", options.scratch.display()))?;
    Ok(options)
}

/// What the compiler calls itself.
fn compiler(root: &Path) -> Result<String> {
    let mut rustc = process::command(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    // In the source tree, where a toolchain file may choose another.
    process::capture(rustc.arg("--version").current_dir(root)).map(|said| said.trim().to_owned())
}

/// Counts, prints, and says whether a count grew much.
fn instructions(program: &Path, folder: &Path, then: Option<&Record>, now: &mut Record) -> Result<bool> {
    println!("\ninstructions of a round");
    now.instructions = callgrind::count(program, folder)?;
    for (name, count) in &now.instructions {
        println!("  {name:<16}{:>12}", grouped(*count));
    }
    let Some(then) = then else { return Ok(false) };
    if then.compiler != now.compiler {
        println!("  note: the compiler was {:?} and is {:?}", then.compiler, now.compiler);
    }
    let moved = compare::counts(&then.instructions, &now.instructions);
    tell(&moved, "no count moved by more than 1 %", |moved| moved.line(&moved.name, ""));
    Ok(moved.iter().any(Moved::grew_much))
}

/// Measures, prints, and says whether the peak is below the limit.
fn memory(
    hull: &Path,
    folder: &Path,
    extent: Extent,
    then: Option<&Record>,
    now: &mut Record,
) -> Result<bool> {
    let entries = extent.entries();
    println!("\npeak resident memory of a clone of {} entries", grouped(entries));
    let peak = memory::clone_peak_kib(hull, folder, entries)?;
    now.peak_kib.insert(entries, peak);
    let limit = memory::LIMIT_KIB;
    println!("  {} KiB, of {} KiB allowed", grouped(peak), grouped(limit));
    if let Some(then) = then {
        let moved = compare::peaks(&then.peak_kib, &now.peak_kib);
        let line = |moved: &Moved<u64>| moved.line(&format!("{} entries", grouped(moved.name)), " KiB");
        let still = match then.peak_kib.contains_key(&entries) {
            true => "it moved by no more than 10 %",
            false => "no tree of that size is recorded",
        };
        tell(&moved, still, line);
    }
    if peak >= limit {
        println!("  FAILED: a clone keeps something for each entry; find it in hull-treecopy or its caller");
    }
    Ok(peak < limit)
}

fn tell<K>(moved: &[Moved<K>], still: &str, line: impl Fn(&Moved<K>) -> String) {
    if moved.is_empty() {
        println!("  {still}");
    }
    moved.iter().for_each(|one| println!("  moved: {}", line(one)));
}

#[cfg(test)]
mod tests {
    use super::{Extent, options};

    #[test]
    fn arguments_are_read_or_refused() {
        let read = |line: &str| options(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
        for (line, expected) in [
            ("", (Extent::Full, false, false)),
            ("--full", (Extent::Full, false, false)),
            ("--quick --record", (Extent::Quick, true, false)),
            ("--fail-on-growth --quick", (Extent::Quick, false, true)),
        ] {
            let found = read(line).map(|found| (found.extent, found.record, found.fail_on_growth));
            assert_eq!(found, Ok(expected), "{line}");
        }
        assert!(read("--scratch here").is_ok_and(|found| found.scratch.is_absolute()));
        for (line, said) in [
            ("--scratch", "needs a folder"),
            ("--slow", "\"--slow\""),
            ("--record --fail-on-growth", "leave out"),
        ] {
            let error = read(line).expect_err("it is refused");
            assert!(error.contains(said), "{line}: {error}");
        }
    }
}
