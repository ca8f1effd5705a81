//! Looking at volumes.

use std::ffi::OsString;
use std::path::PathBuf;

use hull_storage::{Access, Bytes, Locator, VolumeInfo};
use serde::Serialize;

use super::{Context, locate, store};
use crate::errors::Failure;
use crate::output;
use crate::session::Purpose;

/// Show what is known of a volume without mounting it
#[derive(Debug, clap::Args)]
pub(super) struct Info {
    /// The volume
    #[arg(value_name = "LOCATOR")]
    at: OsString,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// One volume, as `--json` shows it.
#[derive(Debug, Serialize)]
struct Row {
    locator: String,
    store: String,
    access: &'static str,
    ours: bool,
    size: Option<u64>,
    origins: Vec<String>,
}

impl Row {
    fn new(at: &Locator, info: &VolumeInfo) -> Self {
        Self {
            locator: at.to_string(),
            store: at.driver().to_string(),
            access: match info.access {
                Access::ReadOnly => "read-only",
                Access::ReadWrite => "read-write",
            },
            ours: info.ours,
            size: info.size.map(|bytes| bytes.0),
            origins: info.origins.iter().map(|name| name.to_string_lossy().into_owned()).collect(),
        }
    }
}

pub(super) fn info(args: &Info, context: &Context) -> Result<(), Failure> {
    let at = locate(&args.at)?;
    let row = Row::new(&at, &store(context, Purpose::Look)?.inspect(&at)?);
    if args.json {
        return output::json(&row);
    }
    let mut fields = vec![("Volume", row.locator), ("Access", row.access.to_owned())];
    fields.push(("Made by", if row.ours { "Hull" } else { "somebody else" }.to_owned()));
    fields.extend(row.size.map(|bytes| ("Size", Bytes(bytes).to_string())));
    if !row.origins.is_empty() {
        fields.push(("Made of", row.origins.join(" ")));
    }
    output::fields(&fields)
}

/// Measure what volumes occupy; may visit every file
#[derive(Debug, clap::Args)]
pub(super) struct Usage {
    /// The volumes
    #[arg(required = true, value_name = "LOCATOR")]
    at: Vec<OsString>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What one volume occupies, as `--json` shows it.
#[derive(Debug, Serialize)]
pub(in crate::hull) struct UsageRow {
    total_bytes: u64,
    exclusive_bytes: Option<u64>,
    shared_bytes: Option<u64>,
    available_bytes: Option<u64>,
    entries: u64,
}

impl UsageRow {
    pub(in crate::hull) fn fields(&self) -> Vec<(&'static str, String)> {
        vec![
            ("Occupies", Bytes(self.total_bytes).to_string()),
            ("Alone", known(self.exclusive_bytes)),
            ("Shared", known(self.shared_bytes)),
            ("Available", known(self.available_bytes)),
            ("Files", self.entries.to_string()),
        ]
    }
}

/// A number of bytes, for people.
fn known(bytes: Option<u64>) -> String {
    bytes.map_or_else(|| "unknown".to_owned(), |bytes| Bytes(bytes).to_string())
}

impl From<hull_storage::Usage> for UsageRow {
    fn from(usage: hull_storage::Usage) -> Self {
        Self {
            total_bytes: usage.total.0,
            exclusive_bytes: usage.exclusive.map(|bytes| bytes.0),
            shared_bytes: usage.exclusive.map(|bytes| usage.total.0.saturating_sub(bytes.0)),
            available_bytes: usage.available.map(|bytes| bytes.0),
            entries: usage.entries,
        }
    }
}

/// One volume and what it occupies.
#[derive(Debug, Serialize)]
struct Measured {
    locator: String,
    #[serde(flatten)]
    usage: UsageRow,
    /// Its size or limit.
    size: Option<u64>,
}

pub(super) fn usage(args: &Usage, context: &Context) -> Result<(), Failure> {
    let volumes = args.at.iter().map(locate).collect::<Result<Vec<_>, _>>()?;
    let store = store(context, Purpose::Look)?;
    let mut rows = Vec::new();
    for at in &volumes {
        let size = store.inspect(at)?.size.map(|bytes| bytes.0);
        rows.push(Measured { locator: at.to_string(), usage: store.usage(at)?.into(), size });
    }
    if args.json {
        return output::json(&rows);
    }
    let lines: Vec<[String; 7]> = rows
        .into_iter()
        .map(|Measured { locator, usage, size }| {
            let total = Bytes(usage.total_bytes).to_string();
            let limit = size.map_or_else(|| "none".to_owned(), |bytes| Bytes(bytes).to_string());
            let [alone, shared] = [usage.exclusive_bytes, usage.shared_bytes].map(known);
            [locator, total, alone, shared, known(usage.available_bytes), limit, usage.entries.to_string()]
        })
        .collect();
    output::table(["VOLUME", "OCCUPIES", "ALONE", "SHARED", "AVAILABLE", "SIZE", "FILES"], &lines)
}

/// List the volumes in a directory
///
/// Shows what some store recognises; hidden names are passed over.
#[derive(Debug, clap::Args)]
pub(super) struct List {
    /// The directory
    dir: PathBuf,
    /// Only volumes that Hull made
    #[arg(long)]
    ours: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn list(args: &List, context: &Context) -> Result<(), Failure> {
    let dir = std::path::absolute(&args.dir).map_err(|e| Failure::io("find", &args.dir, &e))?;
    let entries = std::fs::read_dir(&dir).map_err(|e| Failure::io("list", &dir, &e))?;
    let mut names: Vec<OsString> = entries
        .filter_map(|entry| Some(entry.ok()?.file_name()))
        .filter(|name| !name.as_encoded_bytes().starts_with(b"."))
        .collect();
    names.sort_unstable();
    let store = store(context, Purpose::Look)?;
    let mut rows = Vec::new();
    for name in names {
        let path = dir.join(name).into_os_string();
        // A file that no store recognises is no volume.
        if let Ok(at) = locate(&path)
            && let Ok(info) = store.inspect(&at)
            && (info.ours || !args.ours)
        {
            rows.push(Row::new(&at, &info));
        }
    }
    if args.json {
        return output::json(&rows);
    }
    let line =
        |row: Row| [row.locator, row.access.to_owned(), if row.ours { "hull" } else { "-" }.to_owned()];
    let lines: Vec<[String; 3]> = rows.into_iter().map(line).collect();
    output::table(["VOLUME", "ACCESS", "MADE BY"], &lines)
}
