//! The workloads in words: for people, and for the documentation, which is compared with this.

use crate::fixture::CHANGE_SET;
use crate::workload;

/// The name of every workload.
pub fn workload_ids() -> Vec<&'static str> {
    workload::ALL.iter().map(|w| w.definition().id).collect()
}

/// One line for each workload: its name, and what it is.
pub fn list() -> Vec<(&'static str, &'static str, &'static str)> {
    let line = |w: &&dyn workload::Workload| {
        let definition = w.definition();
        (definition.id, definition.title, definition.what)
    };
    workload::ALL.iter().map(line).collect()
}

/// The definitions, as `docs/bench.md` has them between its marks.
pub fn workloads_markdown() -> String {
    let mut text = format!("{}\n", wrapped(CHANGE_SET));
    for definition in workload::ALL.iter().map(|w| w.definition()) {
        text.push_str(&format!(
            "\n### `{}`: {}\n\n{}\n\n",
            definition.id,
            definition.title,
            wrapped(definition.what)
        ));
        text.push_str("| Row | What | Unit | Caches |\n| --- | --- | --- | --- |\n");
        for row in definition.rows {
            let unit = match row.unit {
                crate::Unit::Seconds => "s",
                crate::Unit::Bytes => "bytes",
                crate::Unit::BytesPerSecond => "bytes/s",
                crate::Unit::OperationsPerSecond => "operations/s",
            };
            let caches = if row.cold { "warm, cold" } else { "warm" };
            let curve = row.axis.map(|axis| format!(" (curve: {axis})")).unwrap_or_default();
            text.push_str(&format!("| `{}` | {}{curve} | {unit} | {caches} |\n", row.id, row.title));
        }
    }
    text
}

/// `text` in lines of at most 120 characters.
fn wrapped(text: &str) -> String {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let last = lines.last_mut().expect("there is always one");
        if !last.is_empty() && last.chars().count() + 1 + word.chars().count() > 120 {
            lines.push(word.to_owned());
            continue;
        }
        if !last.is_empty() {
            last.push(' ');
        }
        last.push_str(word);
    }
    lines.join("\n")
}
