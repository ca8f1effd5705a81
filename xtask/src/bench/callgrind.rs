//! Counts instructions: callgrind runs a hot path with few and with more rounds, and the difference is the rounds' own.

use std::collections::BTreeMap;
use std::path::Path;

use crate::{Result, process};

/// Instructions of one round, by the name of the path.
pub(super) type Counts = BTreeMap<String, u64>;

/// Some rounds, so that what is made once (tables, the allocator's memory) is there, and as many more as are counted.
const ROUNDS: (u64, u64) = (20, 120);

/// Counts every path that `program` (hull-hot-paths) lists, in a file of callgrind's below `folder`.
pub(super) fn count(program: &Path, folder: &Path) -> Result<Counts> {
    let names = process::capture(process::command(program).arg("--list"))?;
    let counted = names.lines().map(|name| {
        let few = total(program, name, ROUNDS.0, folder)?;
        let more = total(program, name, ROUNDS.1, folder)?;
        let each = per_round(few, more).map_err(|reason| format!("{name}: {reason}"))?;
        Ok((name.to_owned(), each))
    });
    counted.collect()
}

/// What a round costs when [`ROUNDS`] cost so much.
fn per_round(few: u64, more: u64) -> Result<u64> {
    let between = more.checked_sub(few).ok_or_else(|| {
        format!("more rounds took fewer instructions ({more} after {few}); nothing may run at random in it")
    })?;
    Ok(between / (ROUNDS.1 - ROUNDS.0))
}

/// The instructions of a whole run.
fn total(program: &Path, name: &str, rounds: u64, folder: &Path) -> Result<u64> {
    let file = folder.join("callgrind.out");
    let mut out = std::ffi::OsString::from("--callgrind-out-file=");
    out.push(&file);
    let mut valgrind = process::command("valgrind");
    valgrind.args(["--quiet", "--tool=callgrind"]).arg(out).arg(program);
    process::capture(valgrind.arg(name).arg(rounds.to_string()))?;
    let text = std::fs::read_to_string(&file)
        .map_err(|error| format!("callgrind left nothing to read in {}: {error}", file.display()))?;
    instructions(&text).map_err(|reason| format!("{}: {reason}", file.display()))
}

/// The instructions of all parts in callgrind's output: the format's `events:` says which column is `Ir`, and a
/// `totals:` line ends the file (valgrind's manual, "Callgrind Format Specification").
fn instructions(text: &str) -> Result<u64> {
    let after = |key: &str| text.lines().find_map(|line| line.strip_prefix(key));
    let events = after("events:").ok_or("no line says what was counted; valgrind may have been killed")?;
    let column = events.split_whitespace().position(|event| event == "Ir");
    let column = column.ok_or_else(|| format!("no instructions were counted, but{events}"))?;
    let totals = after("totals:").ok_or("there are no totals; valgrind may have been killed")?;
    let number = totals.split_whitespace().nth(column).and_then(|number| number.parse().ok());
    number.ok_or_else(|| format!("the totals are no numbers:{totals}"))
}

#[cfg(test)]
mod tests {
    use super::{ROUNDS, instructions, per_round};

    const OUTPUT: &str = "# callgrind format\nversion: 1\ncreator: callgrind-3.19.0\npart: 1\n\npositions: line\nevents: Ir\nsummary: 73848658\n\nfn=(480) main\n0 6\ncalls=1 0\n0 100\n\ntotals: 73848658\n";

    #[test]
    fn the_total_is_found() {
        let several = OUTPUT.replace("events: Ir", "events: Dr Ir Dw").replace("totals: 7", "totals: 5 7");
        for text in [OUTPUT, &several] {
            assert_eq!(instructions(text), Ok(73_848_658), "{text}");
        }
    }

    #[test]
    fn output_without_a_total_is_refused() {
        for (text, said) in [
            (String::new(), "no line says"),
            (OUTPUT.replace("events: Ir", "events: Dr"), "no instructions"),
            (OUTPUT.replace("totals:", "total"), "no totals"),
            (OUTPUT.replace("totals: 7", "totals: x"), "no numbers"),
        ] {
            let error = instructions(&text).expect_err("it is refused");
            assert!(error.contains(said), "{text:?}: {error}");
        }
    }

    #[test]
    fn the_start_falls_away() {
        let rounds = ROUNDS.1 - ROUNDS.0;
        assert_eq!(per_round(1000, 1000 + 7 * rounds), Ok(7));
        assert!(per_round(1000, 999).is_err());
    }
}
