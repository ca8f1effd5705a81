//! No driver's name stands in generic code: what code must know of a store, the store says as data.
//!
//! Checked: string literals that are a driver's name, alone or as a `name:` prefix, in code that is not test
//! code. Names of files on disk and words of LXC's formats may coincide with one; each such place is listed
//! with its reason in the allow-list, and a line of the list that matches nothing is a violation itself.

use std::path::Path;

use super::Outcome;
use crate::rust_text::RustText;
use crate::workspace::{File, Workspace};

/// The names LXC and our drivers use. `dir` is left out of the list: as a word it is too common to be checked.
const NAMES: &[&str] = &["aufs", "btrfs", "loop", "lvm", "nbd", "overlay", "overlayfs", "rbd", "zfs"];

/// The generic code.
const CHECKED: &[&str] = &[
    "crates/bench",
    "crates/container",
    "crates/cgroup",
    "crates/ipc",
    "crates/monitor",
    "crates/mount",
    "crates/runtime",
    "crates/security",
    "crates/storage",
    "crates/treecopy",
];

const ALLOW_LIST: &str = "xtask/driver-names.allow";

/// Finds such literals, and stale lines of the allow-list.
pub(super) fn check(workspace: &Workspace) -> Outcome {
    let mut findings = Vec::new();
    let mut allowed = match workspace.file(ALLOW_LIST).map(allow_list).transpose() {
        Ok(list) => list.unwrap_or_default(),
        Err(reason) => return Outcome { note: String::new(), findings: vec![reason] },
    };
    let checked = |path: &Path| CHECKED.iter().any(|folder| path.starts_with(Path::new(folder).join("src")));
    let files = workspace.files.iter();
    for file in files.filter(|file| file.is_rust() && !file.is_test_code() && checked(&file.path)) {
        let text = RustText::of(&file.text);
        let tests = text.test_ranges();
        for literal in &text.literals {
            let is_test = tests.iter().any(|range| range.contains(&literal.offset));
            if is_test || !names_a_driver(&literal.text) {
                continue;
            }
            let permission = allowed
                .iter_mut()
                .find(|line| file.path == Path::new(&line.path) && line.literal == literal.text);
            if let Some(permission) = permission {
                permission.used = true;
                continue;
            }
            findings.push(format!(
                "{}:{}: {:?} is a driver's name; ask the driver (a facet, an offer), or list the place with its reason in {ALLOW_LIST}",
                file.path.display(),
                text.line(literal.offset),
                literal.text
            ));
        }
    }
    for stale in allowed.iter().filter(|line| !line.used) {
        findings.push(format!(
            "{ALLOW_LIST}: {} has no {:?} any more; remove the line",
            stale.path, stale.literal
        ));
    }
    Outcome { note: format!("none in generic code; {} places allowed", allowed.len()), findings }
}

fn names_a_driver(literal: &str) -> bool {
    NAMES.contains(&literal.split(':').next().unwrap_or(literal))
}

/// One line of the allow-list: `PATH LITERAL: REASON`.
struct Permission {
    path: String,
    literal: String,
    used: bool,
}

fn allow_list(file: &File) -> Result<Vec<Permission>, String> {
    let lines = file.text.lines().enumerate().filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    let read = lines.map(|(number, line)| {
        let parts =
            line.split_once(": ").and_then(|(place, reason)| Some((place.split_once(' ')?, reason.trim())));
        match parts {
            Some(((path, literal), reason)) if !reason.is_empty() => {
                Ok(Permission { path: path.to_owned(), literal: literal.to_owned(), used: false })
            }
            _ => Err(format!("{ALLOW_LIST}:{}: expected `PATH LITERAL: REASON`", number + 1)),
        }
    });
    read.collect()
}

#[cfg(test)]
mod tests {
    use super::{ALLOW_LIST, check};
    use crate::workspace::fixture;

    #[test]
    fn a_drivers_name_in_generic_code_is_caught() {
        let outcome = check(&fixture::files(&[
            ("crates/storage/src/a.rs", "if name == \"zfs\" {}\nif s.starts_with(\"overlay:\") {}"),
            (
                "crates/storage/src/b.rs",
                "// \"zfs\"\n\"a zfs pool\"; \"loopback\";\n#[cfg(test)]\nmod t { \"btrfs\" }",
            ),
            ("crates/storage/tests/c.rs", "\"btrfs\""),
            ("drivers/btrfs/src/lib.rs", "\"btrfs\""),
            ("crates/container/src/d.rs", "b\"btrfs\""),
        ]));
        let found: Vec<_> = outcome.findings.iter().filter_map(|line| line.split(" is a").next()).collect();
        assert_eq!(
            found,
            [
                "crates/storage/src/a.rs:1: \"zfs\"",
                "crates/storage/src/a.rs:2: \"overlay:\"",
                "crates/container/src/d.rs:1: \"btrfs\"",
            ]
        );
    }

    #[test]
    fn the_allow_list_needs_reasons_and_carries_nothing_stale() {
        let source = ("crates/storage/src/a.rs", "\"loop\"");
        let check = |list: &str| check(&fixture::files(&[source, (ALLOW_LIST, list)])).findings;
        assert!(check("# comment\ncrates/storage/src/a.rs loop: LXC's own word\n").is_empty());
        assert!(check("crates/storage/src/a.rs loop\n")[0].contains(":1: expected"));
        assert!(check("crates/storage/src/a.rs loop: \n")[0].contains(":1: expected"));
        let stale = check("crates/storage/src/a.rs loop: why\ncrates/storage/src/a.rs lvm: why\n");
        assert!(stale.len() == 1 && stale[0].contains("remove the line"), "{stale:?}");
    }
}
