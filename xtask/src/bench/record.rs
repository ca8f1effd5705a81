//! A recorded run: what later runs of the same kind of machine are compared with.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::callgrind::Counts;
use crate::Result;

/// Where they are kept, one file for each kind, below the root of the source tree.
const FOLDER: &str = "benches/recorded";

/// Said by each file; another number is another format.
const FORMAT: u64 = 1;

/// What one run measured.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Record {
    /// What `rustc --version` printed: another compiler makes other instructions.
    pub(super) compiler: String,
    /// Instructions of one round of each hot path.
    pub(super) instructions: Counts,
    /// The most memory in KiB that a clone had resident, by the entries of the tree.
    pub(super) peak_kib: BTreeMap<u64, u64>,
    /// The results of `hull bench`, in its own format.
    pub(super) stores: Value,
}

/// The file for machines of `kind`.
pub(super) fn path(root: &Path, kind: &str) -> PathBuf {
    root.join(FOLDER).join(format!("{kind}.json"))
}

/// The name of that file, for people.
pub(super) fn name(kind: &str) -> String {
    format!("{FOLDER}/{kind}.json")
}

/// The run recorded in `path`, `None` when there is none. Fails when the file is not what [`write()`] makes.
pub(super) fn read(path: &Path) -> Result<Option<Record>> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(format!("cannot read {}: {error}", path.display())),
    };
    let damaged = |reason: String| format!("{}: {reason}; write it again with --record", path.display());
    parse(&text).map(Some).map_err(damaged)
}

/// Writes `record` to `path`. The peaks of other trees that the file holds already are kept: a quick run does not
/// measure what a full one did.
pub(super) fn write(path: &Path, record: &Record) -> Result<()> {
    let mut whole = record.clone();
    // One that cannot be read is being replaced for just that reason.
    if let Ok(Some(old)) = read(path) {
        for (entries, peak) in old.peak_kib {
            whole.peak_kib.entry(entries).or_insert(peak);
        }
    }
    let cannot = |error: std::io::Error| format!("cannot write {}: {error}", path.display());
    std::fs::create_dir_all(path.parent().unwrap_or(path)).map_err(cannot)?;
    std::fs::write(path, print(&whole)).map_err(cannot)
}

fn print(record: &Record) -> String {
    let mut document = Map::new();
    document.insert("format".into(), FORMAT.into());
    document.insert("compiler".into(), record.compiler.clone().into());
    document.insert("instructions".into(), numbers(&record.instructions));
    document.insert("peak_kib".into(), numbers(&record.peak_kib));
    document.insert("stores".into(), record.stores.clone());
    format!("{:#}\n", Value::Object(document))
}

fn numbers<K: ToString>(table: &BTreeMap<K, u64>) -> Value {
    table.iter().map(|(name, &number)| (name.to_string(), Value::from(number))).collect::<Map<_, _>>().into()
}

fn parse(text: &str) -> Result<Record> {
    let document: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    if document["format"].as_u64() != Some(FORMAT) {
        return Err(format!("its format is {}, and {FORMAT} is known", document["format"]));
    }
    let compiler = document["compiler"].as_str().ok_or("it does not say the compiler")?;
    let entries = |text: &str| text.parse().map_err(|_| format!("{text:?} is no number of entries"));
    Ok(Record {
        compiler: compiler.to_owned(),
        instructions: table(&document["instructions"], |name| Ok(name.to_owned()))?,
        peak_kib: table(&document["peak_kib"], entries)?,
        stores: document["stores"].clone(),
    })
}

fn table<K: Ord>(value: &Value, key: impl Fn(&str) -> Result<K>) -> Result<BTreeMap<K, u64>> {
    let members = value.as_object().ok_or_else(|| format!("{value} is no table of numbers"))?;
    let number = |value: &Value| value.as_u64().ok_or_else(|| format!("{value} is no whole number"));
    members.iter().map(|(name, value)| Ok((key(name)?, number(value)?))).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Record, parse, print, read, write};

    fn record(peaks: &[(u64, u64)]) -> Record {
        Record {
            compiler: "rustc 1.90.0".into(),
            instructions: [("config-parse".to_owned(), 538_055)].into(),
            peak_kib: peaks.iter().copied().collect(),
            stores: json!({"schema": "hull-bench", "measurements": [{"samples": [0.1, 0.25]}]}),
        }
    }

    #[test]
    fn what_is_printed_is_read_again() {
        let one = record(&[(100_000, 7000)]);
        assert_eq!(parse(&print(&one)), Ok(one));
    }

    #[test]
    fn what_is_no_record_is_refused() {
        let good = print(&record(&[(100_000, 7000)]));
        for (from, to, said) in [
            ("\"format\": 1", "\"format\": 2", "its format is 2"),
            ("538055", "-1", "-1 is no whole number"),
            ("\"100000\"", "\"many\"", "\"many\" is no number"),
            ("\"compiler\"", "\"other\"", "compiler"),
            ("{", "", "trailing characters"),
        ] {
            let error = parse(&good.replacen(from, to, 1)).expect_err("it is refused");
            assert!(error.contains(said), "{to}: {error}");
        }
    }

    #[test]
    fn a_quick_run_keeps_the_peak_of_a_full_one() {
        let folder = std::env::temp_dir().join(format!("hull-xtask-record-{}", std::process::id()));
        let path = folder.join("new/kind.json");
        assert_eq!(read(&path), Ok(None));
        write(&path, &record(&[(100_000, 6000), (1_000_000, 8000)])).expect("it is written");
        write(&path, &record(&[(100_000, 7000)])).expect("it is written again");
        let found = read(&path);
        std::fs::remove_dir_all(&folder).expect("the folder is removed");
        assert_eq!(found, Ok(Some(record(&[(100_000, 7000), (1_000_000, 8000)]))));
    }
}
