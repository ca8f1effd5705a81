//! Every manifest of ours inherits what the workspace decides, and every crate says what it is.

use std::path::Path;

use super::Outcome;
use crate::toml_lines::{Entry, entries};
use crate::workspace::Workspace;

/// What each crate takes from the workspace.
const INHERITED: &[(&str, &str)] = &[
    ("package", "version"),
    ("package", "edition"),
    ("package", "rust-version"),
    ("package", "license"),
    ("package", "authors"),
    ("lints", "workspace"),
];

/// Finds what a manifest decides for itself or leaves out.
pub(super) fn check(workspace: &Workspace) -> Outcome {
    let mut findings = Vec::new();
    for member in &workspace.members {
        let path = member.folder.join("Cargo.toml");
        let Some(file) = workspace.files.iter().find(|file| file.path == path) else {
            findings.push(format!("{}: cannot be read", path.display()));
            continue;
        };
        let entries = entries(&file.text);
        for finding in objections(&entries) {
            findings.push(format!("{}: {finding}", path.display()));
        }
    }
    for file in ["LICENSE-MIT", "LICENSE-APACHE"] {
        if workspace.file(file).is_none() {
            findings.push(format!("{file} is missing: the licence the manifests name needs its text"));
        }
    }
    Outcome { note: format!("{} crates", workspace.members.len()), findings }
}

fn objections(entries: &[Entry]) -> Vec<String> {
    let mut objections = Vec::new();
    let find =
        |section: &str, key: &str| entries.iter().find(|entry| entry.section == section && entry.key == key);
    for &(section, key) in INHERITED {
        let inherits = if section == "lints" {
            find(section, key).is_some_and(|entry| entry.value == "true")
        } else {
            find(section, &format!("{key}.workspace")).is_some_and(|entry| entry.value == "true")
        };
        if !inherits {
            let line =
                if section == "lints" { "workspace = true" } else { &format!("{key}.workspace = true") };
            objections.push(format!("[{section}] lacks `{line}`"));
        }
    }
    if find("package", "description").is_none_or(|entry| entry.value.trim_matches('"').trim().is_empty()) {
        objections.push("[package] lacks a description: one line that says what the crate is".into());
    }
    for entry in entries.iter().filter(|entry| entry.section.ends_with("dependencies")) {
        let from_workspace = entry.key.ends_with(".workspace") || entry.value.contains("workspace = true");
        if !from_workspace {
            objections.push(format!(
                "line {}: {} has a version of its own; versions stand in the root's [workspace.dependencies]",
                entry.line, entry.key
            ));
        }
    }
    if let Some(section) = entries
        .iter()
        .map(|entry| Path::new(&entry.section))
        .find(|s| s.to_str().is_some_and(|s| s.contains("dependencies.")))
    {
        objections.push(format!("[{}]: write a dependency on one line", section.display()));
    }
    objections
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::workspace::fixture;

    const GOOD: &str = "[package]\nname = \"a\"\ndescription = \"What a is\"\nversion.workspace = true\nedition.workspace = true\nrust-version.workspace = true\nlicense.workspace = true\nauthors.workspace = true\n[lints]\nworkspace = true\n[dependencies]\nb.workspace = true\n[dev-dependencies]\nc = { workspace = true, features = [\"d\"] }\n";

    fn findings(manifest: &str) -> Vec<String> {
        let texts = [("LICENSE-MIT", "text"), ("LICENSE-APACHE", "text"), ("crates/a/Cargo.toml", manifest)];
        let mut workspace = fixture::files(&texts);
        workspace.members = vec![fixture::member("a", "crates/a", &[])];
        check(&workspace).findings
    }

    #[test]
    fn a_manifest_that_inherits_everything_is_fine() {
        assert_eq!(findings(GOOD), [""; 0]);
    }

    #[test]
    fn each_departure_is_caught() {
        for (from, to, said) in [
            ("edition.workspace = true", "edition = \"2021\"", "lacks `edition.workspace = true`"),
            ("license.workspace = true\n", "", "lacks `license.workspace = true`"),
            ("[lints]\nworkspace = true\n", "", "[lints] lacks `workspace = true`"),
            ("What a is", " ", "lacks a description"),
            ("b.workspace = true", "b = \"1\"", "b has a version of its own"),
            ("c = { workspace = true,", "c = { path = \"../c\",", "c has a version of its own"),
            ("[dependencies]\nb.workspace", "[dependencies.b]\nworkspace", "write a dependency on one line"),
        ] {
            let found = findings(&GOOD.replace(from, to));
            assert!(found.len() == 1 && found[0].contains(said), "{to:?}: {found:?}");
        }
    }

    #[test]
    fn the_licence_texts_are_there() {
        assert_eq!(check(&fixture::files(&[("LICENSE-MIT", "text")])).findings.len(), 1);
    }
}
