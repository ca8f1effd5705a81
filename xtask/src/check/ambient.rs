//! Below the composition roots nothing reads the environment, the working directory or `PATH`.
//!
//! A library that looks around itself cannot be embedded: its behaviour would depend on whoever runs it.
//! Roots (the highest layer of `ARCHITECTURE.md`) and test support decide such things and pass them down.

use super::{Outcome, layers};
use crate::rust_text::RustText;
use crate::workspace::Workspace;

/// What must not be called, and what to do instead.
const CALLS: &[(&str, &str)] = &[
    ("env::var", "take the value as an argument"),
    ("env::var_os", "take the value as an argument"),
    ("env::vars", "take the values as an argument"),
    ("env::vars_os", "take the values as an argument"),
    ("env::set_var", "give it to the child process alone"),
    ("env::current_dir", "take a directory descriptor or an absolute path"),
    ("env::temp_dir", "take the folder as an argument"),
    ("env::home_dir", "take the folder as an argument"),
];

/// Finds such calls, and programs run by a bare name, in code that is not test code.
pub(super) fn check(workspace: &Workspace) -> Outcome {
    let table = match layers::table(workspace) {
        Ok(table) => table,
        Err(reason) => return Outcome { note: String::new(), findings: vec![reason] },
    };
    let mut findings = Vec::new();
    for file in workspace.files.iter().filter(|file| file.is_rust() && !file.is_test_code()) {
        let library = workspace.owner(file).is_some_and(|owner| table.is_library(&owner.name));
        let in_source = file.path.components().any(|part| part.as_os_str() == "src");
        if !library || !in_source {
            continue;
        }
        let text = RustText::of(&file.text);
        let tests = text.test_ranges();
        let is_test = |at: usize| tests.iter().any(|range| range.contains(&at));
        let mut report = |at, what: String| {
            if !is_test(at) {
                findings.push(format!("{}:{}: {what}", file.path.display(), text.line(at)));
            }
        };
        for (call, remedy) in CALLS {
            for at in text.word(call) {
                report(at, format!("{call} below the composition roots; {remedy}"));
            }
        }
        for literal in &text.literals {
            let before = text.code[..literal.offset].trim_end();
            let is_program = before.ends_with("Command::new(") && !literal.text.contains('/');
            if is_program {
                let name = &literal.text;
                report(
                    literal.offset,
                    format!("{name:?} would be looked up in PATH; run it by a fixed path"),
                );
            }
        }
    }
    Outcome { note: "no environment, working directory or PATH below the roots".into(), findings }
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::workspace::fixture;

    #[test]
    fn a_library_that_looks_around_is_caught_and_a_root_is_not() {
        let guilty = "use std::env;\nfn f() { env::var(\"A\"); Command::new(\"mkfs\"); Command::new(\"/sbin/mkfs\"); }\n#[cfg(test)]\nmod tests { fn f() { std::env::temp_dir(); } }";
        let table = "```layers\n8 roots: cli\n1 low: low\n```";
        let mut workspace = fixture::files(&[
            ("ARCHITECTURE.md", table),
            ("crates/cli/src/main.rs", guilty),
            ("crates/low/src/lib.rs", guilty),
            ("crates/low/tests/a.rs", guilty),
            ("crates/low/examples/a.rs", guilty),
        ]);
        workspace.members =
            vec![fixture::member("cli", "crates/cli", &[]), fixture::member("low", "crates/low", &[])];
        let outcome = check(&workspace);
        let found: Vec<_> =
            outcome.findings.iter().map(|line| line.split(';').next().unwrap_or("")).collect();
        assert_eq!(
            found,
            [
                "crates/low/src/lib.rs:2: env::var below the composition roots",
                "crates/low/src/lib.rs:2: \"mkfs\" would be looked up in PATH",
            ]
        );
    }
}
