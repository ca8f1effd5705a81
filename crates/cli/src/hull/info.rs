//! `hull info`: all that is known of one container.

use hull_storage::Bytes;
use hull_sys::entry::ExitCode;
use serde::Serialize;

use super::context::Context;
use super::ls::Row;
use super::snapshot::Row as SnapshotRow;
use crate::errors::Outcome;
use crate::facts::{Facts, Usage, usage};
use crate::output;
use crate::session::Purpose;

/// Show what is known of a container
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Name of the container
    name: String,
    /// Measure what its files occupy, too; may visit every file
    #[arg(short, long)]
    usage: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// One container, as `--json` shows it.
#[derive(Debug, Serialize)]
struct Info {
    #[serde(flatten)]
    row: Row,
    lxcpath: String,
    config: String,
    snapshots: Vec<SnapshotRow>,
    dependents: Vec<String>,
    running: Option<Usage>,
    volume: Option<super::volume::UsageRow>,
}

pub(super) fn run(args: &Args, context: &Context) -> Outcome {
    let session = context.session(Purpose::Look)?;
    let containers = session.containers();
    let mut container = containers.get(&args.name)?;
    let facts = Facts::gather(&container)?;
    if facts.pid.is_none() {
        container = containers.existing(&args.name)?;
    }
    let rootfs = if container.is_defined() { container.rootfs()? } else { None };
    let volume = match &rootfs {
        Some(at) if args.usage => Some(containers.store().usage(at)?.into()),
        _ => None,
    };
    let info = Info {
        running: facts.pid.map(|_| usage(&container.client())),
        row: Row::new(facts, rootfs.as_ref()),
        lxcpath: containers.lxcpath().display().to_string(),
        config: container.config_path().display().to_string(),
        snapshots: container.snapshots()?.into_iter().map(SnapshotRow::from).collect(),
        dependents: container
            .dependents()?
            .into_iter()
            .map(|d| d.lxcpath.join(d.name).display().to_string())
            .collect(),
        volume,
    };
    if args.json {
        output::json(&info)?;
    } else {
        show(&info)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn show(info: &Info) -> Result<(), crate::errors::Failure> {
    let mut fields = info.row.fields();
    fields.push(("Config", info.config.clone()));
    let names = |names: Vec<&str>| if names.is_empty() { "none".to_owned() } else { names.join(" ") };
    fields.push(("Snapshots", names(info.snapshots.iter().map(SnapshotRow::name).collect())));
    fields.push(("Needed by", names(info.dependents.iter().map(String::as_str).collect())));
    if let Some(used) = &info.running {
        fields.extend(used.cpu_nanoseconds.map(|ns| ("Processor", format!("{:.2} s", ns as f64 / 1e9))));
        fields.extend(used.memory_bytes.map(|bytes| ("Memory", Bytes(bytes).to_string())));
        fields.extend(used.block_io_bytes.map(|bytes| ("Block I/O", Bytes(bytes).to_string())));
    }
    if let Some(volume) = &info.volume {
        fields.extend(volume.fields());
    }
    output::fields(&fields)
}
