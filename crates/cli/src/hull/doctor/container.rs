//! What is to be known of one container.

use hull_ipc::State;
use serde::Serialize;

use super::Context;
use crate::errors::{Failure, reason};
use crate::output;
use crate::session::Purpose;

/// A key of the configuration that is not carried out here.
#[derive(Debug, Serialize)]
struct Key {
    key: String,
    confines: bool,
    reason: String,
}

/// All that was found, as `--json` shows it.
#[derive(Debug, Serialize)]
struct Report {
    name: String,
    state: &'static str,
    rootfs: Option<String>,
    /// Why the root file system cannot be used.
    rootfs_error: Option<String>,
    keys: Vec<Key>,
    snapshots: Vec<String>,
    dependents: Vec<String>,
    /// Names that interrupted commands left.
    leftovers: Vec<String>,
}

impl Report {
    fn startable(&self) -> bool {
        self.rootfs_error.is_none() && !self.keys.iter().any(|k| k.confines)
    }
}

/// Prints what was found; whether the container could be started.
pub(super) fn examine(name: &str, json: bool, context: &Context) -> Result<bool, Failure> {
    let session = context.session(Purpose::Look)?;
    let containers = session.containers();
    let container = containers.existing(name)?;
    let config = container.config()?;
    let (rootfs, rootfs_error) = match container.rootfs() {
        Ok(None) => (None, None),
        Ok(Some(at)) => (Some(at.to_string()), containers.store().inspect(&at).err().map(|e| e.to_string())),
        Err(e) => (config.value("lxc.rootfs.path").map(str::to_owned), Some(e.to_string())),
    };
    let report = Report {
        name: name.to_owned(),
        state: container.state().unwrap_or(State::Stopped).name(),
        rootfs,
        rootfs_error,
        keys: hull_runtime::unsupported(&config)
            .into_iter()
            .map(|u| Key { key: u.key, confines: u.confines, reason: u.reason })
            .collect(),
        snapshots: container.snapshots()?.into_iter().map(|s| s.name).collect(),
        dependents: container
            .dependents()?
            .into_iter()
            .map(|d| d.lxcpath.join(d.name).display().to_string())
            .collect(),
        leftovers: leftovers(&container.home())?,
    };
    if json {
        output::json(&report)?;
    } else {
        output::print(text(&report))?;
    }
    Ok(report.startable())
}

/// Names in the container's directory that only interrupted commands leave there.
fn leftovers(home: &std::path::Path) -> Result<Vec<String>, Failure> {
    let entries = std::fs::read_dir(home)
        .map_err(|e| Failure::new(format!("cannot list {}: {}", home.display(), reason(&e))))?;
    let mut names: Vec<String> = entries
        .filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()))
        .filter(|name| name == "partial" || name.starts_with(".new-") || name.starts_with(".old-"))
        .collect();
    names.sort_unstable();
    Ok(names)
}

fn text(report: &Report) -> String {
    let mut text = format!("{} is {}\n", report.name, report.state.to_ascii_lowercase());
    let mut line = |mark: &str, what: String| text.push_str(&format!("{mark:<4} {what}\n"));
    match (&report.rootfs, &report.rootfs_error) {
        (None, None) => line("note", "it has no root file system of its own".into()),
        (Some(at), None) => line("ok", format!("its root file system is {at}")),
        (at, Some(e)) => {
            line("BAD", format!("its root file system {}: {e}", at.as_deref().unwrap_or("cannot be used")));
        }
    }
    for key in &report.keys {
        match key.confines {
            true => line(
                "BAD",
                format!(
                    "{} confines it: {}; to start without it: --allow-unconfined {}",
                    key.key, key.reason, key.key
                ),
            ),
            false => line("note", format!("{}: {}", key.key, key.reason)),
        }
    }
    if report.keys.is_empty() {
        line("ok", "every key of its configuration is carried out".into());
    }
    if !report.snapshots.is_empty() {
        line("note", format!("snapshots: {}", report.snapshots.join(" ")));
    }
    if !report.dependents.is_empty() {
        line("note", format!("these need it: {}", report.dependents.join(" ")));
    }
    if !report.leftovers.is_empty() {
        line("note", format!("interrupted commands left {}: run `hull recover`", report.leftovers.join(" ")));
    }
    text
}
