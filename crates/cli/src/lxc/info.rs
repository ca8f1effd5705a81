//! `lxc-info`: what is known of one container.

use clap::Command;
use hull_config::Config;
use hull_container::Container;
use hull_ipc::State;
use hull_sys::entry::ExitCode;

use super::call::Call;
use super::table;
use crate::errors::{Failure, Outcome};
use crate::facts::{Facts, links, usage};
use crate::output;
use crate::session::Purpose;
use crate::sizes::humanised;

pub(super) fn table() -> Command {
    let own = [
        table::value(
            "config",
            'c',
            "config",
            "KEY",
            "Show a configuration key; of a running container, as it was started",
        ),
        table::flag("ips", 'i', "ips", "Show the addresses"),
        table::flag("pid", 'p', "pid", "Show the process number of init"),
        table::flag("stats", 'S', "stats", "Show what it uses"),
        table::flag("no-humanize", 'H', "no-humanize", "Print bare values and numbers"),
        table::flag("state", 's', "state", "Show the state"),
        table::rcfile('\0'),
    ];
    table::table("lxc-info", "Show what is known of a container", own)
}

/// Prints everything, or what was asked for.
pub(super) fn run(call: &Call<'_>) -> Outcome {
    let name = call.name()?;
    let session = call.session(Purpose::Look)?;
    let container = session.containers().get(name)?;
    let rcfile = call.path("rcfile").map(|path| Config::load(&path)).transpose()?;
    let facts = Facts::gather(&container)?;
    if !facts.defined && facts.state == State::Stopped && rcfile.is_none() {
        // Without the command's name, as scripts look for it.
        output::complain(Failure::new(format!("{name} doesn't exist")));
        return Ok(ExitCode::FAILURE);
    }
    let chosen = ["state", "pid", "ips", "stats"].iter().filter(|id| call.has(id)).count();
    let keys = call.values("config")?;
    let all = chosen == 0 && keys.is_empty();
    let human = !call.has("no-humanize");
    let bare = !human && chosen == 1;
    let mut text = String::new();
    let mut field = |label: &str, value: &str, bare: bool| {
        text.push_str(&if bare { format!("{value}\n") } else { format!("{label:<15} {value}\n") });
    };
    if all {
        field("Name:", &facts.name, false);
    }
    if all || call.has("state") {
        field("State:", facts.state.name(), bare);
    }
    if let Some(pid) = facts.pid {
        if all || call.has("pid") {
            field("PID:", &pid.to_string(), bare);
        }
        if all || call.has("ips") {
            facts.ipv4.iter().chain(&facts.ipv6).for_each(|ip| field("IP:", ip, bare));
        }
        if all || call.has("stats") {
            stats(&container, human).iter().for_each(|(label, value)| field(label, value, false));
        }
    }
    output::print(text)?;
    for key in keys {
        show_key(&container, rcfile.as_ref(), facts.pid.is_some(), &key, human)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn stats(container: &Container<'_>, human: bool) -> Vec<(&'static str, String)> {
    let client = container.client();
    let used = usage(&client);
    let size = |bytes: u64| if human { humanised(bytes) } else { bytes.to_string() };
    let mut lines = Vec::new();
    lines.extend(used.cpu_nanoseconds.map(|ns| {
        ("CPU use:", if human { format!("{:.2} seconds", ns as f64 / 1e9) } else { ns.to_string() })
    }));
    lines.extend(used.block_io_bytes.map(|bytes| ("BlkIO use:", size(bytes))));
    lines.extend(used.memory_bytes.map(|bytes| ("Memory use:", size(bytes))));
    lines.extend(used.kernel_memory_bytes.map(|bytes| ("KMem use:", size(bytes))));
    for link in links(&client) {
        lines.push(("Link:", link.name));
        lines.push((" TX bytes:", size(link.sent)));
        lines.push((" RX bytes:", size(link.received)));
        lines.push((" Total bytes:", size(link.sent.saturating_add(link.received))));
    }
    lines
}

/// Prints one key: of the file given, of the running container, or of its configuration.
fn show_key(
    container: &Container<'_>,
    rcfile: Option<&Config>,
    running: bool,
    key: &str,
    human: bool,
) -> Result<(), Failure> {
    let value = match (rcfile, running) {
        (Some(config), _) => config.get(key),
        (None, true) if hull_config::keys::is_supported(key) => {
            Some(container.client().config_item(key)?.unwrap_or_default())
        }
        (None, true) => None,
        (None, false) => container.config()?.get(key),
    };
    match value {
        None => output::complain(Failure::new(format!("{key} invalid"))),
        Some(value) if !human => output::line(value)?,
        Some(value) if value.is_empty() => output::line(format!("{key} ="))?,
        Some(value) => output::line(format!("{key} = {value}"))?,
    }
    Ok(())
}
