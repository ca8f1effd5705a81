//! The rules that cargo's own tools check: rustfmt, clippy and rustdoc, warnings denied.

use super::Outcome;
use crate::process;
use crate::workspace::Workspace;

/// Every file is formatted as rustfmt would.
pub(super) fn format(workspace: &Workspace) -> Outcome {
    run(workspace, &["fmt", "--all", "--", "--check"], None)
}

/// Clippy with the workspace's lints has nothing to say, in any target.
pub(super) fn clippy(workspace: &Workspace) -> Outcome {
    run(workspace, &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"], None)
}

/// The documentation builds with no broken link, private items included.
pub(super) fn rustdoc(workspace: &Workspace) -> Outcome {
    let arguments = ["doc", "--workspace", "--no-deps", "--document-private-items"];
    // Links to private items are what documentation of private items is for.
    run(workspace, &arguments, Some("-D warnings -A rustdoc::private_intra_doc_links"))
}

fn run(workspace: &Workspace, arguments: &[&str], rustdoc_flags: Option<&str>) -> Outcome {
    let mut cargo = process::cargo(&workspace.root);
    cargo.args(arguments);
    if let Some(flags) = rustdoc_flags {
        cargo.env("RUSTDOCFLAGS", flags);
    }
    let note = format!("cargo {}", arguments.join(" "));
    let findings = process::succeed(&mut cargo).err().map(|_| "see its output above".to_owned());
    Outcome { note, findings: findings.into_iter().collect() }
}

#[cfg(test)]
mod tests {
    use super::format;
    use crate::workspace::Workspace;

    #[test]
    fn a_badly_formatted_crate_is_caught() {
        let root = std::env::temp_dir().join(format!("hull-xtask-format-{}", std::process::id()));
        std::fs::create_dir_all(root.join("src")).expect("the folder is made");
        let manifest = "[package]\nname = \"ugly\"\nedition = \"2024\"\n[workspace]\n";
        std::fs::write(root.join("Cargo.toml"), manifest).expect("the manifest is written");
        let outcome = |source: &str| {
            std::fs::write(root.join("src/lib.rs"), source).expect("the source is written");
            format(&Workspace { root: root.clone(), ..Workspace::default() })
        };
        let (ugly, tidy) = (outcome("fn  f( ){}"), outcome("fn f() {}\n"));
        std::fs::remove_dir_all(&root).expect("the folder is removed");
        assert_eq!(ugly.findings.len(), 1, "{ugly:?}");
        assert!(tidy.findings.is_empty(), "{tidy:?}");
    }
}
