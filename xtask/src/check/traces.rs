//! Nothing in the tree knows the machine it was written on: no path of the checkout, no registry of a site.

use std::path::{Component, Path, PathBuf};

use super::Outcome;
use crate::workspace::Workspace;

/// Top folders that every Linux has (hier(7)); a path below one is not by itself a trace of this machine.
const STANDARD: &[&str] = &[
    "bin", "boot", "dev", "etc", "home", "lib", "lib64", "media", "mnt", "opt", "proc", "root", "run",
    "sbin", "srv", "sys", "tmp", "usr", "var",
];

/// The one registry that packages may come from.
const REGISTRY: &str = "registry+";

/// Finds this checkout's paths in any text file, other registries in the lock file, and git dependencies.
pub(super) fn check(workspace: &Workspace) -> Outcome {
    let own = [Some(workspace.root.clone()), Some(workspace.target.clone()), cargo_home()];
    let needles: Vec<String> = own.iter().flatten().filter_map(|path| needle(path)).collect();
    let mut findings = Vec::new();
    for file in &workspace.files {
        for (number, line) in file.text.lines().enumerate() {
            if let Some(needle) = needles.iter().find(|needle| contains_path(line, needle)) {
                let place = format!("{}:{}", file.path.display(), number + 1);
                findings.push(format!("{place}: {needle} is a path of this machine; make it relative"));
            }
        }
        if file.path.starts_with(".cargo") {
            let sections = file
                .text
                .lines()
                .map(str::trim)
                .filter(|line| ["[source", "[registr"].iter().any(|start| line.starts_with(start)));
            let path = file.path.display();
            findings.extend(sections.map(|line| format!("{path}: {line} is for a site's own configuration")));
        }
    }
    for package in &workspace.packages {
        if let Some(source) = package.source.as_deref().filter(|source| !source.starts_with(REGISTRY)) {
            findings.push(format!("{}: comes from {source}; only a registry may be depended on", package.id));
        }
    }
    Outcome {
        note: format!("{} files, {} packages", workspace.files.len(), workspace.packages.len()),
        findings,
    }
}

fn cargo_home() -> Option<PathBuf> {
    std::env::var_os("CARGO_HOME").map(PathBuf::from)
}

/// The part of `path` that would be a trace: its top folder if only this machine has it, else all of it.
/// `None` for a path too short to mean anything.
fn needle(path: &Path) -> Option<String> {
    let mut parts = path.components();
    if parts.next() != Some(Component::RootDir) {
        return None;
    }
    let names: Vec<_> = parts.filter_map(|part| part.as_os_str().to_str()).collect();
    match names.as_slice() {
        [top, ..] if !STANDARD.contains(top) => Some(format!("/{top}/")),
        [_, _, ..] => Some(format!("{}/", path.display())),
        _ => None,
    }
}

/// Whether `line` has `needle` as an absolute path, not inside a longer one.
fn contains_path(line: &str, needle: &str) -> bool {
    let inner = |c: char| c.is_alphanumeric() || "_-.}>)$".contains(c);
    line.match_indices(needle).any(|(at, _)| !line[..at].ends_with(inner))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{check, needle};
    use crate::workspace::{Package, fixture};

    #[test]
    fn what_counts_as_a_trace() {
        for (path, expected) in [
            ("/checkouts/hull", Some("/checkouts/")),
            ("/home/ann/hull", Some("/home/ann/hull/")),
            ("/tmp", None),
            ("/usr/src", Some("/usr/src/")),
            ("relative", None),
        ] {
            assert_eq!(needle(Path::new(path)).as_deref(), expected, "{path}");
        }
    }

    #[test]
    fn a_path_of_the_checkout_is_caught() {
        // The fixture's root is below /nowhere.
        let outcome = check(&fixture::files(&[
            ("a.md", "see\n/nowhere/hull/src and more"),
            ("b.md", "$DIR/nowhere/x, x/nowhere/y, nowhere/z"),
        ]));
        assert_eq!(outcome.findings.len(), 1, "{outcome:?}");
        assert!(outcome.findings[0].starts_with("a.md:2: /nowhere/"), "{outcome:?}");
    }

    #[test]
    fn other_sources_of_packages_are_caught() {
        let mut workspace = fixture::files(&[(".cargo/config.toml", "[alias]\n[source.elsewhere]\n")]);
        for source in [None, Some("registry+index"), Some("git+https://example.org/x")] {
            let source = source.map(str::to_owned);
            workspace.packages.push(Package { id: "x 1".into(), source, ..Package::default() });
        }
        let findings = check(&workspace).findings;
        assert_eq!(findings.len(), 2, "{findings:?}");
        assert!(
            findings[0].contains("[source.elsewhere]") && findings[1].contains("git+https"),
            "{findings:?}"
        );
    }
}
