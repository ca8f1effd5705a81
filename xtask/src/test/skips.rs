//! Skips: what tests recorded, and what a complete machine is expected to skip.

use crate::Result;

/// The variable through which a test learns where to record a skip; `hull-testskip` has it under this name.
pub(crate) const VARIABLE: &str = "HULL_TEST_SKIPS";

/// A test that could not run, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Skip {
    pub(crate) test: String,
    pub(crate) reason: String,
}

/// Reads the lines that tests appended; a test that recorded itself twice counts once.
pub(crate) fn recorded(text: &str) -> Result<Vec<Skip>> {
    let mut skips: Vec<Skip> = Vec::new();
    for line in text.lines() {
        let skip = line
            .strip_prefix("skipped: ")
            .and_then(skip)
            .ok_or_else(|| format!("a test recorded {line:?}; expected `skipped: NAME: REASON`"))?;
        if skips.iter().all(|other| other.test != skip.test) {
            skips.push(skip);
        }
    }
    Ok(skips)
}

/// Reads the list of expected skips: `NAME: REASON` lines, where a NAME ending in `*` covers all that begin so.
pub(super) fn expected(text: &str) -> Result<Vec<Skip>> {
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| skip(line).ok_or_else(|| format!("expected `NAME: REASON`, not {line:?}"))).collect()
}

/// Whether a complete machine is expected to skip this.
pub(super) fn is_expected(skip: &Skip, expected: &[Skip]) -> bool {
    expected.iter().any(|line| match line.test.strip_suffix('*') {
        Some(start) => skip.test.starts_with(start),
        None => skip.test == line.test,
    })
}

/// Test paths have `::` in them but never a colon and a space.
fn skip(line: &str) -> Option<Skip> {
    let (test, reason) = line.split_once(": ")?;
    let (test, reason) = (test.trim().to_owned(), reason.trim().to_owned());
    (!test.is_empty() && !reason.is_empty()).then_some(Skip { test, reason })
}

#[cfg(test)]
mod tests {
    use super::{Skip, expected, is_expected, recorded};

    fn skip(test: &str) -> Skip {
        Skip { test: test.into(), reason: "why".into() }
    }

    #[test]
    fn recorded_lines_are_read_once_each() {
        let read =
            recorded("skipped: a::b: no: loop\nskipped: c: d\nskipped: a::b: again\n").expect("it reads");
        let read: Vec<_> = read.iter().map(|skip| (skip.test.as_str(), skip.reason.as_str())).collect();
        assert_eq!(read, [("a::b", "no: loop"), ("c", "d")]);
        assert!(recorded("nonsense\n").is_err());
    }

    #[test]
    fn only_listed_skips_are_expected() {
        let list = expected("# comment\n\nzfs::*: no zfs in Debian's kernel\na::b: why\n").expect("it reads");
        let answers =
            ["zfs::clone", "a::b", "a::bc", "btrfs::clone"].map(|test| is_expected(&skip(test), &list));
        assert_eq!(answers, [true, true, false, false]);
        assert!(expected("no reason\n").is_err());
    }

    #[test]
    fn the_list_in_the_tree_reads() {
        let text = std::fs::read_to_string(crate::workspace::root().join(super::super::EXPECTED));
        assert!(expected(&text.expect("the list is there")).is_ok());
    }
}
