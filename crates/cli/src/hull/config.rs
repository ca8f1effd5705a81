//! `hull config`: a container's configuration, or one key of it.

use hull_sys::entry::ExitCode;
use serde::Serialize;

use super::context::Context;
use crate::errors::{Failure, Outcome};
use crate::output;
use crate::session::Purpose;

/// Show a container's configuration, or one key of it
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Name of the container
    name: String,
    /// Key to show; all settings in effect unless given
    key: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// One setting, as `--json` shows it.
#[derive(Debug, Serialize)]
struct Row {
    key: String,
    value: String,
    file: String,
    line: usize,
}

pub(super) fn run(args: &Args, context: &Context) -> Outcome {
    let session = context.session(Purpose::Look)?;
    let config = session.containers().existing(&args.name)?.config()?;
    if let Some(key) = &args.key {
        let Some(value) = config.get(key) else {
            let closest = hull_config::keys::closest(key);
            return Err(Failure::new(format!("{key:?} is no configuration key; the nearest is {closest}")));
        };
        if args.json {
            output::json(&value.trim_end())?;
        } else {
            output::line(value.trim_end())?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let rows: Vec<Row> = config
        .settings()
        .iter()
        .map(|s| Row {
            key: s.key.clone(),
            value: s.value.clone(),
            file: s.file.display().to_string(),
            line: s.line,
        })
        .collect();
    if args.json {
        output::json(&rows)?;
    } else {
        output::print(rows.iter().map(|row| format!("{} = {}\n", row.key, row.value)).collect::<String>())?;
    }
    Ok(ExitCode::SUCCESS)
}
