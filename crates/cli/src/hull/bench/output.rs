//! What `hull bench` writes: files, and the list of workloads.

use std::fs;
use std::path::{Path, PathBuf};

use hull_bench::Results;
use hull_sys::entry::ExitCode;
use serde::Serialize;

use crate::errors::{Failure, Outcome};
use crate::output;

/// Files that are to be written at the end. Whether they can be is found out at the beginning.
#[derive(Debug)]
pub(super) struct Files {
    json: Option<PathBuf>,
    html: Option<PathBuf>,
}

impl Files {
    /// Fails where one cannot be written. Nothing is written yet, and nothing that is there is lost.
    pub(super) fn prepare(json: Option<&Path>, html: Option<&Path>) -> Result<Self, Failure> {
        // A run changes its directory for nobody, but a name shall mean one file from the beginning to the end.
        let whole = |path: Option<&Path>| -> Result<Option<PathBuf>, Failure> {
            let Some(path) = path else { return Ok(None) };
            if path.is_dir() {
                return Err(Failure::new(format!("{} is a directory: name a file", path.display())));
            }
            let whole = std::path::absolute(path).map_err(|e| Failure::io("use", path, &e))?;
            let probe = staged(&whole);
            fs::write(&probe, "").map_err(|e| Failure::io("write", path, &e))?;
            fs::remove_file(&probe).map_err(|e| Failure::io("remove", &probe, &e))?;
            Ok(Some(whole))
        };
        Ok(Self { json: whole(json)?, html: whole(html)? })
    }

    /// Writes them, each whole or not at all.
    pub(super) fn write(self, results: &Results) -> Result<(), Failure> {
        let json = self.json.map(|path| (path, results.to_json() + "\n"));
        let html = self.html.map(|path| (path, hull_bench::html(results)));
        json.into_iter().chain(html).try_for_each(|(path, text)| {
            let staged = staged(&path);
            fs::write(&staged, text)
                .and_then(|()| fs::rename(&staged, &path))
                .map_err(|e| Failure::io("write", &path, &e))
        })
    }
}

/// Where a file is written before it gets its name.
fn staged(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    path.with_file_name(name)
}

/// One workload, as `--list --json` shows it.
#[derive(Debug, Serialize)]
struct Row {
    id: &'static str,
    title: &'static str,
    definition: &'static str,
}

/// Says what the workloads are.
pub(super) fn workloads(json: bool) -> Outcome {
    let all = hull_bench::list();
    if json {
        let rows: Vec<Row> =
            all.into_iter().map(|(id, title, definition)| Row { id, title, definition }).collect();
        output::json(&rows)?;
    } else {
        let lines =
            all.into_iter().map(|(id, title, definition)| format!("{id}: {title}\n    {definition}\n"));
        output::print(lines.collect::<String>())?;
    }
    Ok(ExitCode::SUCCESS)
}
