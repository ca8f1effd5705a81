//! `hull recover`: settle what dead commands left.

use std::path::PathBuf;

use hull_storage::{Recovered, Seen};
use hull_sys::entry::ExitCode;
use serde::Serialize;

use super::context::Context;
use super::{scan, volumes};
use crate::deletion;
use crate::errors::{Failure, Outcome};
use crate::output;
use crate::progress::Progress;
use crate::session::Purpose;

/// Finish or undo what interrupted commands left
///
/// Every command that changes something does this first; this one only shows it. What destroyed containers and volumes
/// left is deleted in the background meanwhile, unless --reclaim is given.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Delete all that destroyed containers and volumes left, and return when it is gone
    #[arg(long)]
    reclaim: bool,
    /// Print what was interrupted and what is still to be deleted, and do nothing
    #[arg(long, conflicts_with = "reclaim")]
    dry_run: bool,
    /// Look for what Hull left on disk and nobody answers for, without a journal, and print it
    #[arg(long, conflicts_with_all = ["reclaim", "dry_run"])]
    scan: bool,
    /// With --scan: delete what unknown operations left; asks nothing
    #[arg(long, requires = "scan")]
    delete: bool,
    /// With --scan: delete volumes that no container's config names, too; somebody else may know of them
    #[arg(long, requires = "scan")]
    delete_unnamed: bool,
    /// With --scan: another journal to ask, beside those of this lxcpath, of bare volumes, and of other lxcpaths in use
    #[arg(long, value_name = "DIR", requires = "scan")]
    journal: Vec<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What was done, as `--json` shows it.
#[derive(Debug, Default, Serialize)]
struct Report {
    settled: Vec<String>,
    failed: Vec<String>,
    /// What is still to be deleted, or being deleted.
    deleting: Vec<String>,
}

pub(super) fn run(args: &Args, context: &Context) -> Outcome {
    if args.dry_run {
        return look(args, context);
    }
    if args.scan {
        let (garbage, unnamed) = (args.delete, args.delete_unnamed);
        return scan::run(scan::Delete { garbage, unnamed }, &args.journal, args.json, context);
    }
    let session = context.session(Purpose::Change)?;
    let volumes = volumes::open(&context.environment, Purpose::Look, context.quiet)?;
    let mut recovered = vec![volumes.recover()?];
    if session.containers().lxcpath().exists() {
        recovered.push(session.containers().recover()?);
    }
    let mut report = Report::default();
    for Recovered { settled, failed } in recovered {
        report.settled.extend(settled);
        report.failed.extend(failed.iter().map(ToString::to_string));
    }
    let stores = [&*volumes, session.containers().store()];
    for store in stores {
        if args.reclaim {
            let failed = deletion::finish(store, &Progress::new(context.quiet)?)?.failed;
            report.failed.extend(failed.iter().map(ToString::to_string));
        }
        report
            .deleting
            .extend(deletion::under_way(store).iter().flat_map(|s| deletion::doomed_names(&s.record)));
    }
    if args.json {
        output::json(&report)?;
    } else {
        for operation in &report.settled {
            context.say(format!("settled an interrupted {operation}"))?;
        }
        for name in &report.deleting {
            context.say(format!("{name} is still to be deleted"))?;
        }
        if report.settled.is_empty() && report.failed.is_empty() && report.deleting.is_empty() {
            context.say("nothing was left unsettled")?;
        }
    }
    match report.failed.len() {
        0 => Ok(ExitCode::SUCCESS),
        1 => Err(Failure::new(report.failed.remove(0))),
        n => {
            report.failed.iter().for_each(|line| context.warn(line));
            Err(Failure::new(format!("{n} operations could not be settled")))
        }
    }
}

/// One record, as `--dry-run --json` shows it.
#[derive(Debug, Serialize)]
struct Row {
    id: String,
    operation: String,
    /// `interrupted`, `running` (its process lives), `to be deleted` or `being deleted`.
    state: &'static str,
    /// What it is about to delete, by the names that had.
    deletes: Vec<String>,
}

fn look(args: &Args, context: &Context) -> Outcome {
    let volumes = volumes::open(&context.environment, Purpose::Look, context.quiet)?;
    let session = context.session(Purpose::Look)?;
    let mut rows = Vec::new();
    for store in [&*volumes, session.containers().store()] {
        rows.extend(store.unfinished()?.into_iter().map(|Seen { record, held }| Row {
            id: record.id.to_string(),
            state: match (record.reclaiming, held) {
                (true, true) => "being deleted",
                (true, false) => "to be deleted",
                (false, true) => "running",
                (false, false) => "interrupted",
            },
            deletes: deletion::doomed_names(&record),
            operation: record.operation,
        }));
    }
    if args.json {
        output::json(&rows)?;
    } else if rows.is_empty() {
        context.say("nothing is left unsettled")?;
    } else {
        let lines: Vec<[String; 4]> = rows
            .into_iter()
            .map(|row| [row.id, row.operation, row.state.to_owned(), row.deletes.join(" ")])
            .collect();
        output::table(["ID", "OPERATION", "STATE", "DELETES"], &lines)?;
    }
    Ok(ExitCode::SUCCESS)
}
