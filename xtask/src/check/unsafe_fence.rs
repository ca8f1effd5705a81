//! `unsafe` stands in `crates/sys` only, and nobody else may allow it.

use super::Outcome;
use crate::rust_text::RustText;
use crate::workspace::Workspace;

const FENCED: &str = "crates/sys";

/// Finds `unsafe` code, and permission for it, outside the fence. Test code is no exception.
pub(super) fn check(workspace: &Workspace) -> Outcome {
    let mut findings = Vec::new();
    let outside = workspace.files.iter().filter(|file| file.is_rust() && !file.path.starts_with(FENCED));
    for file in outside {
        let text = RustText::of(&file.text);
        let place = |at| format!("{}:{}", file.path.display(), text.line(at));
        for at in text.word("unsafe") {
            findings.push(format!("{}: unsafe code; give {FENCED} a safe function for it", place(at)));
        }
        for at in text.word("unsafe_code") {
            let before = text.code[..at].trim_end();
            if before.ends_with("allow(") || before.ends_with("expect(") {
                findings.push(format!("{}: permission for unsafe code; only {FENCED} has it", place(at)));
            }
        }
    }
    Outcome { note: format!("`unsafe` only in {FENCED}"), findings }
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::workspace::fixture;

    #[test]
    fn unsafe_outside_the_fence_is_caught_and_talk_of_it_is_not() {
        let outcome = check(&fixture::files(&[
            ("crates/sys/src/lib.rs", "#![allow(unsafe_code)]\nunsafe { f() }"),
            ("crates/sys-other/src/lib.rs", "\nunsafe { f() }"),
            ("crates/mount/src/lib.rs", "#![allow(unsafe_code)]"),
            (
                "drivers/dir/src/lib.rs",
                "// unsafe\nconst A: &str = \"unsafe\"; #[deny(unsafe_code)] fn f() {}",
            ),
            ("crates/cli/tests/a.rs", "#[unsafe(no_mangle)] fn f() {}"),
        ]));
        let found: Vec<_> = outcome.findings.iter().filter_map(|line| line.split(": ").next()).collect();
        assert_eq!(
            found,
            ["crates/sys-other/src/lib.rs:2", "crates/mount/src/lib.rs:1", "crates/cli/tests/a.rs:1"]
        );
    }
}
