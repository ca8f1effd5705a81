//! `hull recover`: settle what dead commands left.

use std::process::ExitCode;

use serde::Serialize;

use super::context::Context;
use crate::errors::{Failure, Outcome};
use crate::output;
use crate::session::Purpose;

/// Finish or undo what interrupted commands left
///
/// Every command that changes something does this first; this one only shows it.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What was done, as `--json` shows it.
#[derive(Debug, Serialize)]
struct Report {
    settled: Vec<String>,
    failed: Vec<String>,
}

pub(super) fn run(args: &Args, context: &Context) -> Outcome {
    let session = context.session(Purpose::Change)?;
    let mut report = Report { settled: Vec::new(), failed: Vec::new() };
    let volumes = super::volume::store(context, Purpose::Look)?.recover()?;
    let containers = match session.containers().lxcpath().exists() {
        true => session.containers().recover()?,
        false => hull_storage::Recovered::default(),
    };
    for recovered in [volumes, containers] {
        report.settled.extend(recovered.settled);
        report.failed.extend(recovered.failed.iter().map(ToString::to_string));
    }
    if args.json {
        output::json(&report)?;
    } else {
        for operation in &report.settled {
            context.say(format!("settled an interrupted {operation}"))?;
        }
        if report.settled.is_empty() && report.failed.is_empty() {
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
