//! `cargo xtask stores LOG...`: what the suite found out about each store becomes the table in the README.
//!
//! The suite says `fact: STORE on GROUND: NAME = VALUE; …` of what it found out by doing it, and `suite: STORE on GROUND:
//! …` when all its cases have run. Whole suites take from a minute to an hour, some of them in the guest, so the table is
//! made of what tests printed whenever they ran; rows of stores that the logs do not name stay as they are.

use std::collections::BTreeMap;
use std::path::Path;

use crate::workspace::root;
use crate::{Result, Subcommand};

/// The command's line in the usage text.
pub(crate) const SUBCOMMAND: Subcommand = Subcommand {
    name: "stores",
    arguments: "LOG...",
    summary: "the README's table of stores, of what conformance tests printed",
    run,
};

const README: &str = "README.md";
const BEGIN: &str = "<!-- Made by `cargo xtask stores` -->\n";
const END: &str = "<!-- The end of what is made -->\n";

/// The facts of the suite, and what their columns are called.
const COLUMNS: [(&str, &str); 5] = [
    ("clone", "A clone of 16 MiB takes"),
    ("source first", "Its source may go first"),
    ("snapshot", "A snapshot"),
    ("grows", "Sizes"),
    ("stream", "Sent as"),
];
const CASES: &str = "Cases held";
/// The column of a fact that nobody has found out.
const UNKNOWN: &str = "–";

/// Cells by the name of their row, `STORE on GROUND`.
type Rows = BTreeMap<String, [String; COLUMNS.len() + 1]>;

fn run(logs: &[String]) -> Result<bool> {
    if logs.is_empty() || logs.iter().any(|log| log.starts_with('-')) {
        return Err("it takes files that hold what conformance tests printed".into());
    }
    let readme = root().join(README);
    let text = read(&readme)?;
    let (before, table, after) = parts(&text)?;
    let mut rows = rows_of(table);
    for log in logs {
        take(&read(Path::new(log))?, &mut rows)?;
    }
    let made = format!("{before}{BEGIN}{}{END}{after}", table_of(&rows));
    std::fs::write(&readme, made).map_err(|e| format!("cannot write {README}: {e}"))?;
    println!("{README} has {} stores on their grounds", rows.len());
    Ok(true)
}

fn read(file: &Path) -> Result<String> {
    // Tests print names that are no UTF-8.
    let bytes = std::fs::read(file).map_err(|e| format!("cannot read {}: {e}", file.display()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// What stands before, in and after the table.
fn parts(text: &str) -> Result<(&str, &str, &str)> {
    let parts = text.split_once(BEGIN).and_then(|(before, rest)| {
        let (table, after) = rest.split_once(END)?;
        Some((before, table, after))
    });
    parts.ok_or_else(|| format!("{README} has no place for the table: {} and {}", BEGIN.trim(), END.trim()))
}

fn rows_of(table: &str) -> Rows {
    let rows = table.lines().skip(2).filter_map(|line| {
        let mut cells = line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned());
        let name = cells.next()?;
        Some((name, <[String; COLUMNS.len() + 1]>::try_from(cells.collect::<Vec<_>>()).ok()?))
    });
    rows.collect()
}

/// Takes what the suite said in `log`. A suite with failures says nothing of a store but that it is broken.
fn take(log: &str, rows: &mut Rows) -> Result<()> {
    let unknown = || [const { String::new() }; COLUMNS.len() + 1].map(|_| UNKNOWN.to_owned());
    for line in log.lines() {
        if let Some((name, said)) = line.split_once("fact: ").and_then(|(_, said)| said.split_once(": ")) {
            let row = rows.entry(name.to_owned()).or_insert_with(unknown);
            for (fact, value) in said.split("; ").filter_map(|fact| fact.split_once(" = ")) {
                let column = COLUMNS.iter().position(|(name, _)| *name == fact);
                let column = column.ok_or_else(|| format!("the suite says {fact:?}, which is no column"))?;
                row[column] = value.to_owned();
            }
        }
        if let Some((name, said)) = line.split_once("suite: ").and_then(|(_, said)| said.split_once(": ")) {
            let numbers: Vec<usize> = said.split(' ').filter_map(|word| word.parse().ok()).collect();
            let [held, inapplicable, failed] = numbers[..] else {
                return Err(format!("the suite's line cannot be read: {line:?}"));
            };
            if failed > 0 {
                return Err(format!("{failed} cases fail of {name}: mend them first"));
            }
            let row = rows.entry(name.to_owned()).or_insert_with(unknown);
            row[COLUMNS.len()] = match inapplicable {
                0 => format!("{held}"),
                _ => format!("{held}; {inapplicable} do not apply"),
            };
        }
    }
    Ok(())
}

fn table_of(rows: &Rows) -> String {
    let line = |cells: &[&str]| format!("| {} |\n", cells.join(" | "));
    let titles = COLUMNS.iter().map(|(_, title)| *title);
    let titles: Vec<&str> = ["Store"].into_iter().chain(titles).chain([CASES]).collect();
    let mut text = line(&titles) + &line(&vec!["---"; titles.len()]);
    for (name, cells) in rows {
        let cells = cells.iter().map(String::as_str);
        text.push_str(&line(&[name.as_str()].into_iter().chain(cells).collect::<Vec<_>>()));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{Rows, parts, rows_of, table_of, take};

    const LOG: &str = "test ext4::facts::what_it_can ... fact: dir on ext4: clone = 16.1 MiB; source first = yes; \
        snapshot = is a copy; grows = no sizes; stream = a tree\nok\nsuite: dir on ext4: 93 held, 2 do not apply, 0 failed\n";

    #[test]
    fn what_is_said_becomes_rows_and_rows_stay() {
        let mut rows = Rows::new();
        take(LOG, &mut rows).expect("it reads");
        let table = table_of(&rows);
        assert!(
            table.ends_with(
                "| dir on ext4 | 16.1 MiB | yes | is a copy | no sizes | a tree | 93; 2 do not apply |\n"
            ),
            "{table}"
        );
        assert_eq!(rows_of(&table), rows);
        take("suite: zfs on program: 90 held, 0 do not apply, 0 failed", &mut rows).expect("it reads");
        let table = table_of(&rows);
        assert!(table.ends_with("| zfs on program | – | – | – | – | – | 90 |\n"), "{table}");
        assert_eq!(rows_of(&table).len(), 2);
    }

    #[test]
    fn a_suite_that_fails_is_no_row() {
        let e = take("suite: dir on xfs: 93 held, 2 do not apply, 1 failed", &mut Rows::new()).unwrap_err();
        assert!(e.contains("dir on xfs"), "{e}");
        assert!(take("suite: nonsense: x", &mut Rows::new()).is_err());
        assert!(take("fact: dir on ext4: flies = yes", &mut Rows::new()).is_err());
        assert!(parts("no table").is_err());
    }
}
