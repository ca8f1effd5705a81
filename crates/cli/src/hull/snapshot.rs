//! `hull snapshot`: keep a container as it is now.

use hull_container::{Snapshot, SnapshotRequest};
use hull_sys::entry::ExitCode;
use serde::Serialize;

use super::context::Context;
use crate::errors::{Outcome, one_line};
use crate::output;

/// Keep a container as it is now, or list or delete what was kept
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Name of the container
    name: String,
    /// Text to keep with it
    #[arg(short, long, value_name = "TEXT", conflicts_with_all = ["list", "delete"])]
    comment: Option<String>,
    /// Take it although the container runs: it is frozen while its files are read
    #[arg(long, conflicts_with_all = ["list", "delete"])]
    allow_running: bool,
    /// List the snapshots
    #[arg(short, long, conflicts_with = "delete")]
    list: bool,
    /// Delete this snapshot
    #[arg(short, long, value_name = "SNAPSHOT")]
    delete: Option<String>,
    /// Print what would be done and do nothing
    #[arg(long, conflicts_with = "list")]
    dry_run: bool,
    /// With --list: print JSON
    #[arg(long, requires = "list")]
    json: bool,
}

/// One snapshot, as `--json` shows it.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    name: String,
    time: Option<String>,
    comment: Option<String>,
    dir: String,
}

impl Row {
    pub(super) fn name(&self) -> &str {
        &self.name
    }
}

impl From<Snapshot> for Row {
    fn from(snapshot: Snapshot) -> Self {
        let comment = snapshot.comment.map(|text| String::from_utf8_lossy(&text).trim_end().to_owned());
        Self {
            dir: snapshot.dir.join(&snapshot.name).display().to_string(),
            name: snapshot.name,
            time: snapshot.time,
            comment,
        }
    }
}

pub(super) fn run(args: &Args, context: &Context) -> Outcome {
    let session = context.session_to_change(args.dry_run || args.list)?;
    let container = session.containers().existing(&args.name)?;
    // What is wrong with it is told before anything is made.
    container.config()?;
    if args.list {
        let rows: Vec<Row> = container.snapshots()?.into_iter().map(Row::from).collect();
        if args.json {
            output::json(&rows)?;
        } else {
            let line = |row: Row| {
                [row.name, row.time.unwrap_or_default(), one_line(&row.comment.unwrap_or_default())]
            };
            let lines: Vec<[String; 3]> = rows.into_iter().map(line).collect();
            output::table(["NAME", "TIME", "COMMENT"], &lines)?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(snapshot) = &args.delete {
        let made = container.delete_snapshot(snapshot, args.dry_run)?;
        context.tell(&made, args.dry_run, &format!("deleted {snapshot} of {}", args.name))?;
        return Ok(ExitCode::SUCCESS);
    }
    let request = SnapshotRequest {
        comment: args.comment.clone().map(String::into_bytes),
        allow_running: args.allow_running,
        dry_run: args.dry_run,
    };
    let made = container.snapshot(&request)?;
    context.tell(&made, args.dry_run, &format!("kept {} as {}", args.name, made.name))?;
    Ok(ExitCode::SUCCESS)
}
