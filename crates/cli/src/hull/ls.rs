//! `hull ls`: the containers.

use hull_ipc::State;
use hull_sys::entry::ExitCode;
use serde::Serialize;

use super::context::Context;
use crate::deletion;
use crate::errors::{Failure, Outcome};
use crate::facts::Facts;
use crate::output;
use crate::session::Purpose;

/// List containers
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only those that run
    #[arg(short, long)]
    running: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// One container, as `--json` shows it.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    name: String,
    state: &'static str,
    pid: Option<i32>,
    store: Option<String>,
    rootfs: Option<String>,
    defined: bool,
    unprivileged: bool,
    autostart: bool,
    groups: Vec<String>,
    interfaces: Vec<String>,
    ipv4: Vec<String>,
    ipv6: Vec<String>,
    /// Why the rest is not known.
    error: Option<String>,
}

impl Row {
    pub(super) fn new(facts: Facts, rootfs: Option<&hull_storage::Locator>) -> Self {
        Self {
            name: facts.name,
            state: facts.state.name(),
            pid: facts.pid,
            store: rootfs.map(|at| at.driver().to_string()),
            rootfs: rootfs.map(ToString::to_string),
            defined: facts.defined,
            unprivileged: facts.unprivileged,
            autostart: facts.autostart,
            groups: facts.groups,
            interfaces: facts.interfaces,
            ipv4: facts.ipv4,
            ipv6: facts.ipv6,
            error: None,
        }
    }

    /// For people.
    pub(super) fn fields(&self) -> Vec<(&'static str, String)> {
        let mut fields = vec![("Name", self.name.clone()), ("State", self.state.to_owned())];
        fields.extend(self.pid.map(|pid| ("Init", pid.to_string())));
        fields.push(("Root", self.rootfs.clone().unwrap_or_else(|| "none".to_owned())));
        let addresses = [self.ipv4.as_slice(), &self.ipv6].concat();
        if !addresses.is_empty() {
            fields.push(("Addresses", addresses.join(" ")));
        }
        if !self.groups.is_empty() {
            fields.push(("Groups", self.groups.join(" ")));
        }
        fields.push(("Users", if self.unprivileged { "mapped" } else { "the host's" }.to_owned()));
        fields
    }

    /// A container of which no more is known than that it cannot be read.
    fn broken(name: &str, error: &Failure) -> Self {
        Self {
            name: name.to_owned(),
            state: "UNKNOWN",
            pid: None,
            store: None,
            rootfs: None,
            defined: true,
            unprivileged: false,
            autostart: false,
            groups: Vec::new(),
            interfaces: Vec::new(),
            ipv4: Vec::new(),
            ipv6: Vec::new(),
            error: Some(error.to_string()),
        }
    }
}

pub(super) fn run(args: &Args, context: &Context) -> Outcome {
    let session = context.session(Purpose::Look)?;
    let containers = session.containers();
    let mut names = containers.running()?;
    if !args.running {
        names.extend(containers.list()?);
    }
    let mut rows = Vec::new();
    for name in names {
        // One container that cannot be read does not hide the others.
        let row = containers.get(&name).map_err(Failure::from).and_then(|container| {
            let rootfs = if container.is_defined() { container.rootfs()? } else { None };
            Ok(Row::new(Facts::gather(&container)?, rootfs.as_ref()))
        });
        rows.push(row.unwrap_or_else(|failure| Row::broken(&name, &failure)));
    }
    if args.running {
        rows.retain(|row| row.state != State::Stopped.name());
    }
    if args.json {
        output::json(&rows)?;
        return Ok(ExitCode::SUCCESS);
    }
    let doomed = deletion::under_way(containers.store());
    for name in doomed.iter().flat_map(|seen| deletion::doomed_names(&seen.record)) {
        context.warn(&format!("{name} is destroyed, and its files are being deleted"));
    }
    for row in &rows {
        if let Some(error) = &row.error {
            context.warn(&format!("{}: {error}", row.name));
        }
    }
    let dash = |text: Option<String>| text.filter(|t| !t.is_empty()).unwrap_or_else(|| "-".to_owned());
    let lines: Vec<[String; 5]> = rows
        .into_iter()
        .map(|row| {
            let addresses = [row.ipv4, row.ipv6].concat().join(",");
            let pid = row.pid.map(|pid| pid.to_string());
            [row.name, row.state.to_owned(), dash(pid), dash(row.store), dash(Some(addresses))]
        })
        .collect();
    output::table(["NAME", "STATE", "PID", "STORE", "ADDRESSES"], &lines)?;
    Ok(ExitCode::SUCCESS)
}
