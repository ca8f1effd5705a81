//! Every Rust file begins with a `//!` sentence that says what it is for.

use super::Outcome;
use crate::workspace::Workspace;

/// Finds the files that begin with anything else.
pub(super) fn check(workspace: &Workspace) -> Outcome {
    let rust = || workspace.files.iter().filter(|file| file.is_rust());
    let undocumented = |text: &str| {
        text.lines()
            .next()
            .is_none_or(|line| line.trim_start_matches("//!").trim().is_empty() || !line.starts_with("//!"))
    };
    let findings = rust().filter(|file| undocumented(&file.text)).map(|file| {
        format!("{}: begin it with a `//!` sentence that says what it is for", file.path.display())
    });
    Outcome { note: format!("{} files", rust().count()), findings: findings.collect() }
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::workspace::fixture;

    #[test]
    fn a_file_without_its_sentence_is_caught() {
        let outcome = check(&fixture::files(&[
            ("good.rs", "//! What it is.\nfn f() {}"),
            ("late.rs", "use a::b;\n//! Too late."),
            ("mute.rs", "//!\nfn f() {}"),
            ("void.rs", ""),
            ("other.md", "text"),
        ]));
        let found: Vec<_> = outcome.findings.iter().filter_map(|line| line.split(':').next()).collect();
        assert_eq!(found, ["late.rs", "mute.rs", "void.rs"]);
    }
}
