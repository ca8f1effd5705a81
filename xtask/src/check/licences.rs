//! Every package of the graph may be used under a licence that `deny.toml` allows.
//!
//! This is our own small check over `cargo metadata`, always on. Where cargo-deny is installed it runs too,
//! over the same list, and adds its checks for bans and sources.

use super::Outcome;
use crate::process;
use crate::toml_lines::entries;
use crate::workspace::Workspace;

const LIST: &str = "deny.toml";

/// Finds packages without a licence, or with none that is allowed.
pub(super) fn check(workspace: &Workspace) -> Outcome {
    let (mut outcome, allowed) = by_our_own(workspace);
    if allowed == 0 {
        return outcome;
    }
    if process::is_installed("cargo-deny") {
        let mut deny = process::cargo(&workspace.root);
        // Advisories need the network and change without us; `cargo deny check advisories` is a command of its own.
        deny.args(["deny", "check", "bans", "licenses", "sources"]);
        outcome.note.push_str("; and by cargo deny");
        outcome.findings.extend(process::succeed(&mut deny).err());
    } else {
        outcome.note.push_str("; cargo-deny is not installed, bans and sources went by Cargo.lock alone");
    }
    outcome
}

fn by_our_own(workspace: &Workspace) -> (Outcome, usize) {
    let Some(file) = workspace.file(LIST) else {
        return (Outcome { note: String::new(), findings: vec![format!("{LIST} is missing")] }, 0);
    };
    let list =
        entries(&file.text).into_iter().find(|entry| entry.section == "licenses" && entry.key == "allow");
    let allowed = list.map(|entry| entry.strings()).unwrap_or_default();
    let mut findings = Vec::new();
    if allowed.is_empty() {
        findings.push(format!("{LIST}: [licenses] allow is empty"));
    }
    for package in &workspace.packages {
        match &package.license {
            None => findings.push(format!("{}: names no licence", package.id)),
            Some(expression) => match satisfied(expression, &allowed) {
                Some(true) => {}
                Some(false) => {
                    findings.push(format!("{}: {expression} is not allowed by {LIST}", package.id));
                }
                None => findings.push(format!("{}: cannot read the licence {expression:?}", package.id)),
            },
        }
    }
    let note = format!(
        "{} packages against the {} licences of {LIST}, by our own check",
        workspace.packages.len(),
        allowed.len()
    );
    (Outcome { note, findings }, allowed.len())
}

/// Whether `expression` (SPDX) can be met with the `allowed` licences; `None` if it cannot be read.
fn satisfied(expression: &str, allowed: &[String]) -> Option<bool> {
    // Before SPDX, crates wrote `MIT/Apache-2.0` for a choice.
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut rest = words.as_slice();
    let value = any_of(&mut rest, allowed)?;
    rest.is_empty().then_some(value)
}

fn any_of(words: &mut &[&str], allowed: &[String]) -> Option<bool> {
    let mut value = all_of(words, allowed)?;
    while take(words, "OR") {
        value |= all_of(words, allowed)?;
    }
    Some(value)
}

fn all_of(words: &mut &[&str], allowed: &[String]) -> Option<bool> {
    let mut value = one(words, allowed)?;
    while take(words, "AND") {
        value &= one(words, allowed)?;
    }
    Some(value)
}

fn one(words: &mut &[&str], allowed: &[String]) -> Option<bool> {
    if take(words, "(") {
        let value = any_of(words, allowed)?;
        return take(words, ")").then_some(value);
    }
    let (name, rest) = words.split_first()?;
    if matches!(*name, "OR" | "AND" | "WITH" | ")") {
        return None;
    }
    *words = rest;
    let mut licence = (*name).to_owned();
    if take(words, "WITH") {
        let (exception, rest) = words.split_first()?;
        *words = rest;
        licence = format!("{licence} WITH {exception}");
    }
    Some(allowed.contains(&licence))
}

fn take(words: &mut &[&str], word: &str) -> bool {
    let found = words.first() == Some(&word);
    if found {
        *words = &words[1..];
    }
    found
}

#[cfg(test)]
mod tests {
    use super::{by_our_own, satisfied};
    use crate::workspace::{Package, fixture};

    #[test]
    fn expressions_are_weighed_as_spdx_says() {
        let allowed = ["MIT", "Unicode-3.0"].map(str::to_owned);
        for (expression, expected) in [
            ("MIT", Some(true)),
            ("GPL-3.0-only", Some(false)),
            ("MIT OR GPL-3.0-only", Some(true)),
            ("GPL-3.0-only/MIT", Some(true)),
            ("MIT AND GPL-3.0-only", Some(false)),
            ("(MIT OR Apache-2.0) AND Unicode-3.0", Some(true)),
            ("GPL-3.0-only OR MIT AND Apache-2.0", Some(false)),
            ("Apache-2.0 WITH LLVM-exception OR MIT", Some(true)),
            ("MIT WITH strange-exception", Some(false)),
            ("", None),
            ("MIT OR", None),
            ("(MIT", None),
            ("MIT MIT", None),
        ] {
            assert_eq!(satisfied(expression, &allowed), expected, "{expression:?}");
        }
    }

    #[test]
    fn packages_without_an_allowed_licence_are_caught() {
        let mut workspace = fixture::files(&[("deny.toml", "[licenses]\nallow = [\n  \"MIT\",\n]\n")]);
        for (id, license) in [("good 1", Some("MIT")), ("bad 1", Some("GPL-3.0-only")), ("mute 1", None)] {
            let license = license.map(str::to_owned);
            workspace.packages.push(Package { id: id.into(), license, ..Package::default() });
        }
        let findings = by_our_own(&workspace).0.findings;
        assert_eq!(findings, ["bad 1: GPL-3.0-only is not allowed by deny.toml", "mute 1: names no licence"]);
    }

    #[test]
    fn a_missing_or_empty_list_is_a_violation() {
        assert_eq!(by_our_own(&fixture::files(&[])).0.findings.len(), 1);
        assert_eq!(by_our_own(&fixture::files(&[("deny.toml", "[licenses]\n")])).0.findings.len(), 1);
    }
}
