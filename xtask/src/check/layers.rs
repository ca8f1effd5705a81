//! A crate depends only on layers below its own, as the table in `ARCHITECTURE.md` draws them.

use std::collections::BTreeMap;

use super::Outcome;
use crate::workspace::Workspace;

const DOCUMENT: &str = "ARCHITECTURE.md";
const FENCE: &str = "```layers";

/// The layers of our own crates.
#[derive(Debug, Default)]
pub(super) struct Table {
    crates: BTreeMap<String, Place>,
}

/// Where a crate stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// A layer, counted from the kernel up.
    Layer(u32),
    /// Test support, by its position: it may use any library and the test support before it, and others may
    /// use it for tests only.
    Test(usize),
}

/// The number of the composition roots' layer.
const ROOTS: u32 = 8;

impl Table {
    /// Whether `name` is a library that others embed: neither a composition root nor test support.
    pub(super) fn is_library(&self, name: &str) -> bool {
        matches!(self.crates.get(name), Some(Place::Layer(layer)) if *layer < ROOTS)
    }
}

/// Reads the table; fails when the document or the fenced block is missing or a line cannot be read.
pub(super) fn table(workspace: &Workspace) -> Result<Table, String> {
    let document = workspace.file(DOCUMENT).ok_or_else(|| format!("{DOCUMENT} is missing"))?;
    let mut lines = document.text.lines().enumerate().skip_while(|(_, line)| line.trim() != FENCE);
    lines.next().ok_or_else(|| format!("{DOCUMENT}: there is no {FENCE} block"))?;
    let mut table = Table::default();
    for (number, line) in lines.take_while(|(_, line)| line.trim() != "```") {
        let unreadable = || format!("{DOCUMENT}:{}: expected `LAYER TITLE: CRATE...`", number + 1);
        let (title, crates) = line.split_once(':').ok_or_else(unreadable)?;
        let layer = title.split_whitespace().next().ok_or_else(unreadable)?;
        for name in crates.split_whitespace() {
            let place = match layer {
                "test" => Place::Test(table.crates.len()),
                layer => Place::Layer(layer.parse().map_err(|_| unreadable())?),
            };
            if table.crates.insert(name.to_owned(), place).is_some() {
                return Err(format!("{DOCUMENT}:{}: {name} is listed twice", number + 1));
            }
        }
    }
    Ok(table)
}

/// Finds crates missing from the table, lines without a crate, and arrows that do not point downward.
pub(super) fn check(workspace: &Workspace) -> Outcome {
    let table = match table(workspace) {
        Ok(table) => table,
        Err(reason) => return Outcome { note: String::new(), findings: vec![reason] },
    };
    let mut findings = Vec::new();
    let mut arrows = 0;
    for gone in
        table.crates.keys().filter(|name| workspace.members.iter().all(|member| member.name != **name))
    {
        findings.push(format!("{DOCUMENT}: {gone} is in the table of layers but not in the workspace"));
    }
    for member in &workspace.members {
        let Some(&own) = table.crates.get(&member.name) else {
            findings.push(format!("{}: give it a place in the table of layers of {DOCUMENT}", member.name));
            continue;
        };
        for dependency in &member.dependencies {
            let Some(&other) = table.crates.get(&dependency.name) else { continue };
            arrows += 1;
            if let Some(reason) = objection(own, other, dependency.dev) {
                findings.push(format!("{} -> {}: {reason}", member.name, dependency.name));
            }
        }
    }
    Outcome { note: format!("{} crates, {arrows} arrows between them", workspace.members.len()), findings }
}

/// Why a crate at `own` may not depend on one at `other`; `None` if it may.
fn objection(own: Place, other: Place, dev: bool) -> Option<String> {
    match (own, other) {
        (Place::Layer(own), Place::Layer(other)) if other < own => None,
        (Place::Layer(own), Place::Layer(other)) => {
            Some(format!("layer {own} may not use layer {other}; a crate depends on lower layers only"))
        }
        (Place::Layer(_), Place::Test(_)) if dev => None,
        (Place::Layer(_), Place::Test(_)) => Some("test support may be a dev-dependency only".into()),
        (Place::Test(_), Place::Layer(ROOTS)) => Some("test support may not use a composition root".into()),
        (Place::Test(_), Place::Layer(_)) => None,
        (Place::Test(own), Place::Test(other)) if other < own => None,
        (Place::Test(_), Place::Test(_)) => Some("test support uses only what stands before it".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::{check, table};
    use crate::workspace::{Workspace, fixture};

    const TABLE: &str = "# Title\n```layers\n8 roots: cli\n4 drivers: dir btrfs\n3 the heart: storage\n1 kernel: sys\ntest support: fixture kit\n```\nmore\n";

    fn with(members: &[(&str, &[&str])]) -> Workspace {
        let mut workspace = fixture::files(&[("ARCHITECTURE.md", TABLE)]);
        workspace.members =
            members.iter().map(|(name, dependencies)| fixture::member(name, name, dependencies)).collect();
        workspace
    }

    fn sound() -> Vec<(&'static str, &'static [&'static str])> {
        vec![
            ("cli", &["dir", "storage", "serde"]),
            ("dir", &["storage", "sys", "dev:kit"]),
            ("btrfs", &[]),
            ("storage", &["sys", "dev:kit"]),
            ("sys", &["dev:fixture"]),
            ("fixture", &[]),
            ("kit", &["storage", "fixture"]),
        ]
    }

    #[test]
    fn arrows_that_point_down_are_fine() {
        let outcome = check(&with(&sound()));
        assert!(outcome.findings.is_empty(), "{outcome:?}");
        assert_eq!(outcome.note, "7 crates, 10 arrows between them");
    }

    #[test]
    fn every_wrong_arrow_is_caught() {
        for (name, dependency, said) in [
            ("sys", "storage", "sys -> storage: layer 1 may not use layer 3"),
            ("btrfs", "dir", "btrfs -> dir: layer 4 may not use layer 4"),
            ("storage", "dev:dir", "storage -> dir: layer 3 may not use layer 4"),
            ("cli", "kit", "cli -> kit: test support may be a dev-dependency only"),
            ("fixture", "kit", "fixture -> kit: test support uses only what stands before it"),
            ("kit", "cli", "kit -> cli: test support may not use a composition root"),
        ] {
            let mut workspace = with(&sound());
            let member =
                workspace.members.iter_mut().find(|member| member.name == name).expect("it is there");
            member.dependencies = fixture::member(name, name, &[dependency]).dependencies;
            let findings = check(&workspace).findings;
            assert_eq!(findings.len(), 1, "{findings:?}");
            assert!(findings[0].starts_with(said), "{findings:?}");
        }
    }

    #[test]
    fn the_table_and_the_workspace_name_the_same_crates() {
        let mut members = sound();
        members[0].0 = "stranger";
        let findings = check(&with(&members)).findings;
        assert_eq!(findings.len(), 2, "{findings:?}");
        assert!(findings[0].contains("cli is in the table"), "{findings:?}");
        assert!(findings[1].starts_with("stranger: give it a place"), "{findings:?}");
    }

    #[test]
    fn a_table_that_cannot_be_read_is_an_error() {
        for (text, said) in [
            ("no block", "there is no"),
            ("```layers\nnonsense\n```", "ARCHITECTURE.md:2: expected"),
            ("```layers\nhigh up: a\n```", "ARCHITECTURE.md:2: expected"),
            ("```layers\n1 x: a\n2 y: a\n```", "ARCHITECTURE.md:3: a is listed twice"),
        ] {
            let error = table(&fixture::files(&[("ARCHITECTURE.md", text)])).unwrap_err();
            assert!(error.contains(said), "{error}");
        }
        assert!(check(&fixture::files(&[])).findings[0].contains("is missing"));
    }

    #[test]
    fn libraries_are_neither_roots_nor_test_support() {
        let table = table(&with(&[])).expect("the table reads");
        assert_eq!(
            ["cli", "storage", "kit", "serde"].map(|name| table.is_library(name)),
            [false, true, false, false]
        );
    }
}
