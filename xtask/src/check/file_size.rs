//! A Rust file holds one idea in at most 600 lines, unit tests included.

use super::Outcome;
use crate::workspace::Workspace;

const LIMIT: usize = 600;

/// Finds the files that are too long.
pub(super) fn check(workspace: &Workspace) -> Outcome {
    let rust = || workspace.files.iter().filter(|file| file.is_rust());
    let lines = |text: &str| text.lines().count();
    let findings = rust().filter(|file| lines(&file.text) > LIMIT).map(|file| {
        let lines = lines(&file.text);
        format!("{}: {lines} lines; split it by idea, {LIMIT} is the limit", file.path.display())
    });
    let longest = rust().max_by_key(|file| lines(&file.text));
    let longest =
        longest.map(|file| format!("; the longest is {} ({})", file.path.display(), lines(&file.text)));
    Outcome {
        note: format!("{} files{}", rust().count(), longest.unwrap_or_default()),
        findings: findings.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::{LIMIT, check};
    use crate::workspace::fixture;

    #[test]
    fn one_line_too_many_is_caught() {
        let (fits, long) = ("//\n".repeat(LIMIT), "//\n".repeat(LIMIT + 1));
        let outcome = check(&fixture::files(&[("a.rs", &fits), ("b.rs", &long), ("c.txt", &long)]));
        assert_eq!(outcome.findings.len(), 1);
        assert!(outcome.findings[0].starts_with("b.rs: 601 lines"), "{outcome:?}");
    }
}
