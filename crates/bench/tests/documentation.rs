//! `docs/bench.md` says of the workloads what the code says, and `docs/bench-schema.md` names every member.

use std::fs;
use std::path::PathBuf;

use hull_bench::workloads_markdown;

const BEGIN: &str =
    "<!-- workloads: written by `HULL_WRITE_DOCS=1 cargo test -p hull-bench --test documentation` -->\n\n";
const END: &str = "\n<!-- end of workloads -->\n";

fn page(name: &str) -> (PathBuf, String) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name);
    let text = fs::read_to_string(&path).expect("the page is there");
    (path, text)
}

#[test]
fn the_definitions_are_those_of_the_code() {
    let (path, text) = page("bench.md");
    let begin = text.find(BEGIN).expect("the page has the mark where the definitions begin") + BEGIN.len();
    let end = text.find(END).expect("the page has the mark where they end");
    let written = workloads_markdown();
    if std::env::var_os("HULL_WRITE_DOCS").is_some() {
        fs::write(path, format!("{}{written}{}", &text[..begin], &text[end..])).expect("the page is written");
        return;
    }
    assert!(
        text[begin..end] == written,
        "docs/bench.md is behind the code: HULL_WRITE_DOCS=1 makes this write it"
    );
}

#[test]
fn the_schema_names_every_member() {
    // A document of version 1 with one of everything.
    let document = include_str!("one-of-everything.json");
    let results = hull_bench::Results::from_json("one-of-everything.json", document).expect("it is read");
    let written: serde_json::Value = serde_json::from_str(&results.to_json()).expect("it is JSON");
    let kept: serde_json::Value = serde_json::from_str(document).expect("it is JSON");
    assert_eq!(written, kept, "what version 1 wrote, every later build reads and writes the same");
    let (_, text) = page("bench-schema.md");
    let mut members = Vec::new();
    collect(&written, &mut members);
    for member in members {
        assert!(text.contains(&format!("`{member}`")), "docs/bench-schema.md says nothing of {member}");
    }
}

fn collect(value: &serde_json::Value, members: &mut Vec<String>) {
    match value {
        serde_json::Value::Object(object) => {
            for (name, value) in object {
                members.push(name.clone());
                collect(value, members);
            }
        }
        serde_json::Value::Array(all) => all.iter().for_each(|value| collect(value, members)),
        _ => {}
    }
}
