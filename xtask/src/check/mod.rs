//! `cargo xtask check`: the whole static gate, one rule per module.

mod ambient;
mod driver_names;
mod file_size;
mod footprint;
mod hosts;
mod layers;
mod licences;
mod manifests;
mod module_docs;
mod pains;
mod tools;
mod traces;
mod unsafe_fence;

use crate::workspace::Workspace;
use crate::{Result, Subcommand};

/// The command's line in the usage text.
pub(crate) const SUBCOMMAND: Subcommand = Subcommand {
    name: "check",
    arguments: "[RULE...]",
    summary: "the whole static gate, or only the rules named",
    run,
};

/// One rule: looks at the workspace and says what is wrong with it.
struct Rule {
    name: &'static str,
    check: fn(&Workspace) -> Outcome,
}

/// What a rule found.
#[derive(Debug, Default)]
struct Outcome {
    /// What was looked at, or with what; for the reader of the outcome's line.
    note: String,
    /// One line for each violation: where, what, and the remedy.
    findings: Vec<String>,
}

/// Every rule; the quick ones first.
const RULES: &[Rule] = &[
    Rule { name: "layers", check: layers::check },
    Rule { name: "unsafe-fence", check: unsafe_fence::check },
    Rule { name: "driver-names", check: driver_names::check },
    Rule { name: "ambient", check: ambient::check },
    Rule { name: "file-size", check: file_size::check },
    Rule { name: "module-docs", check: module_docs::check },
    Rule { name: "manifests", check: manifests::check },
    Rule { name: "footprint", check: footprint::check },
    Rule { name: "traces", check: traces::check },
    Rule { name: "hosts", check: hosts::check },
    Rule { name: "pains", check: pains::check },
    Rule { name: "licences", check: licences::check },
    Rule { name: "format", check: tools::format },
    Rule { name: "clippy", check: tools::clippy },
    Rule { name: "rustdoc", check: tools::rustdoc },
];

fn run(arguments: &[String]) -> Result<bool> {
    if let Some(unknown) = arguments.iter().find(|name| RULES.iter().all(|rule| rule.name != **name)) {
        let names: Vec<_> = RULES.iter().map(|rule| rule.name).collect();
        return Err(format!("there is no rule {unknown:?}; the rules are {}", names.join(", ")));
    }
    let workspace = Workspace::read()?;
    let chosen = RULES.iter().filter(|rule| arguments.is_empty() || arguments.iter().any(|a| a == rule.name));
    let (mut looked_at, mut failed) = (0, Vec::new());
    for rule in chosen {
        let outcome = (rule.check)(&workspace);
        let verdict = if outcome.findings.is_empty() { "ok  " } else { "FAIL" };
        println!("{verdict} {:<13} {}", rule.name, outcome.note);
        for finding in &outcome.findings {
            println!("     {finding}");
        }
        looked_at += 1;
        if !outcome.findings.is_empty() {
            failed.push(rule.name);
        }
    }
    match failed.as_slice() {
        [] => println!("check: {looked_at} rules, all ok"),
        names => println!("check: {looked_at} rules, {} failed: {}", names.len(), names.join(", ")),
    }
    Ok(failed.is_empty())
}
