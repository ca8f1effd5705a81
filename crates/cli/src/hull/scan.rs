//! `hull recover --scan`: what Hull left on disk and nobody answers for.

use std::path::PathBuf;

use hull_container::{Orphan, Why};
use hull_storage::Bytes;
use hull_sys::entry::ExitCode;
use serde::Serialize;

use super::context::Context;
use crate::errors::{Failure, Outcome};
use crate::output;
use crate::progress::Progress;

/// What shall be deleted of what is found.
#[derive(Debug, Clone, Copy)]
pub(super) struct Delete {
    /// What operations left of which no journal knows.
    pub(super) garbage: bool,
    /// Volumes that no config names.
    pub(super) unnamed: bool,
}

impl Delete {
    fn includes(self, orphan: &Orphan) -> bool {
        match orphan.why {
            Why::Unnamed(_) => self.unnamed,
            Why::Forgotten(..) | Why::HalfMade(_) => self.garbage,
        }
    }
}

/// One orphan, as `--json` shows it.
#[derive(Debug, Serialize)]
struct Row {
    what: String,
    /// `forgotten`, `half made` or `unnamed`.
    kind: &'static str,
    reason: String,
    size_bytes: Option<u64>,
    deleted: bool,
    /// Why it could not be deleted.
    error: Option<String>,
}

/// All that was found, as `--json` shows it.
#[derive(Debug, Serialize)]
struct Report {
    orphans: Vec<Row>,
    journals: Vec<String>,
    notes: Vec<String>,
}

pub(super) fn run(delete: Delete, journals: &[PathBuf], json: bool, context: &Context) -> Outcome {
    let changes = delete.garbage || delete.unnamed;
    let session = context.session_to_change(!changes)?;
    let containers = session.containers();
    let mut journals = journals.to_vec();
    journals.push(context.environment.state_dir().join("journal"));
    if changes && containers.lxcpath().exists() {
        // What a journal knows of is nobody's orphan, once it is settled least of all.
        containers.recover()?.failed.iter().for_each(|e| context.warn(&e.to_string()));
    }
    let scan = containers.scan(&journals)?;
    let mut failures = 0;
    let mut rows = Vec::new();
    for orphan in &scan.orphans {
        let mut row = Row {
            what: orphan.what.to_string(),
            kind: match orphan.why {
                Why::Forgotten(..) => "forgotten",
                Why::HalfMade(_) => "half made",
                Why::Unnamed(_) => "unnamed",
            },
            reason: orphan.why.to_string(),
            size_bytes: orphan.size.map(|size| size.0),
            deleted: false,
            error: None,
        };
        if delete.includes(orphan) {
            let observer = Progress::new(context.quiet)?;
            match remove(orphan, &journals, context, containers, &observer) {
                Ok(()) => row.deleted = true,
                Err(failure) => {
                    failures += 1;
                    row.error = Some(failure.to_string());
                }
            }
            if !json {
                match &row.error {
                    None => context.say(format!("deleted {}, {}", row.what, row.reason))?,
                    Some(error) => context.warn(&format!("{} stays: {error}", row.what)),
                }
            }
        }
        rows.push(row);
    }
    if json {
        let journals = scan.journals.iter().map(|dir| dir.display().to_string()).collect();
        output::json(&Report { orphans: rows, journals, notes: scan.notes })?;
    } else {
        scan.notes.iter().for_each(|note| context.warn(&format!("not looked at: {note}")));
        let left: Vec<[String; 3]> = rows
            .into_iter()
            .filter(|row| !row.deleted && row.error.is_none())
            .map(|row| {
                let size = row.size_bytes.map_or_else(|| "-".to_owned(), |bytes| Bytes(bytes).to_string());
                [row.what, size, row.reason]
            })
            .collect();
        if left.is_empty() && scan.orphans.is_empty() {
            context.say("nothing is left that nobody answers for")?;
        }
        output::table(["WHAT", "OCCUPIES", "REASON"], &left)?;
    }
    match failures {
        0 => Ok(ExitCode::SUCCESS),
        n => Err(Failure::new(format!("{n} of them could not be deleted"))),
    }
}

fn remove(
    orphan: &Orphan,
    journals: &[PathBuf],
    context: &Context,
    containers: &hull_container::Containers,
    observer: &Progress,
) -> Result<(), Failure> {
    if let Why::Unnamed(at) = &orphan.why {
        super::volume::require_untied(context, containers.store(), at)?;
    }
    Ok(containers.delete_orphan(orphan, journals, observer)?)
}
