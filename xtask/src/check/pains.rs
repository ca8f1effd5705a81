//! What `docs/pains.md` says is shown somewhere, is: each test it names exists, each shortcoming it quotes is listed.

use super::Outcome;
use crate::workspace::Workspace;

const LIST: &str = "docs/pains.md";
const SHORTCOMINGS: &str = "SHORTCOMINGS.md";

/// Finds names of tests that no file has, and quotations of shortcomings that are not listed.
pub(super) fn check(workspace: &Workspace) -> Outcome {
    let text = |path: &str| workspace.file(path).map(|file| file.text.as_str());
    let (Some(list), Some(shortcomings)) = (text(LIST), text(SHORTCOMINGS)) else {
        return Outcome {
            note: String::new(),
            findings: vec![format!("{LIST} or {SHORTCOMINGS} is missing")],
        };
    };
    let (tests, quoted) = (tests(list), quotations(list));
    let mut findings = Vec::new();
    for (file, name) in &tests {
        match text(file) {
            None => findings.push(format!("{LIST} names {file}, which does not exist: correct it")),
            Some(source) if !has_test(source, name) => {
                findings.push(format!("{LIST} names {name}, which {file} has not: correct it"));
            }
            Some(_) => {}
        }
    }
    let listed = words(shortcomings);
    for quotation in quoted.iter().filter(|quotation| !listed.contains(&words(quotation))) {
        findings.push(format!("{LIST} quotes {quotation:?}, which {SHORTCOMINGS} does not say any more"));
    }
    Outcome {
        note: format!("{} tests and {} shortcomings named in {LIST}", tests.len(), quoted.len()),
        findings,
    }
}

/// The pairs of file and name, `FILE.rs: NAME` between backquotes.
fn tests(list: &str) -> Vec<(String, String)> {
    let pieces = list.split('`').skip(1).step_by(2);
    let pairs = pieces.filter_map(|piece| piece.split_once(".rs: "));
    pairs.map(|(file, name)| (format!("{file}.rs"), name.to_owned())).collect()
}

/// What stands between quotation marks after `SHORTCOMINGS: `.
fn quotations(list: &str) -> Vec<String> {
    let after = list.split("SHORTCOMINGS: \"").skip(1);
    after.filter_map(|rest| Some(rest.split_once('"')?.0.to_owned())).collect()
}

/// Whether `source` has a function, or a case of a suite, of this name.
fn has_test(source: &str, name: &str) -> bool {
    [format!("fn {name}("), format!("\"{name}\""), format!("::{name}\"")]
        .iter()
        .any(|form| source.contains(form))
}

/// A text without its line breaks.
fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::{has_test, quotations, tests, words};

    #[test]
    fn tests_and_quotations_are_found() {
        let list = "| 1 | x `y` | `a/b.rs: c::d`, `e.rs: f`, SHORTCOMINGS: \"it is\" |";
        let pair = |file: &str, name: &str| (file.to_owned(), name.to_owned());
        assert_eq!(tests(list), [pair("a/b.rs", "c::d"), pair("e.rs", "f")]);
        assert_eq!(quotations(list), ["it is"]);
        assert!(words("so\n  it\n  is").contains("it is"));
    }

    #[test]
    fn what_is_named_otherwise_is_not_there() {
        let source =
            "Case { name: \"kill::create\", run }\nfn whole() {}\nformat!(\"{store}::to_and_from_all\")";
        for (name, there) in [
            ("kill::create", true),
            ("whole", true),
            ("to_and_from_all", true),
            ("kill::crea", false),
            ("who", false),
        ] {
            assert_eq!(has_test(source, name), there, "{name}");
        }
    }
}
