//! `lxc-ls`: the containers of an lxcpath.

use std::collections::BTreeSet;

use clap::Command;
use hull_container::Containers;
use hull_ipc::State;
use hull_sys::entry::ExitCode;
use regex_lite::Regex;

use super::call::Call;
use super::table;
use crate::errors::{Failure, Outcome};
use crate::facts::{Facts, Usage, usage};
use crate::output;
use crate::session::Purpose;

/// The columns of the fancy form, by the names `-F` takes.
const COLUMNS: [&str; 11] = [
    "NAME",
    "STATE",
    "PID",
    "RAM",
    "SWAP",
    "AUTOSTART",
    "GROUPS",
    "INTERFACE",
    "IPV4",
    "IPV6",
    "UNPRIVILEGED",
];
const USUAL: &str = "NAME,STATE,AUTOSTART,GROUPS,IPV4,IPV6,UNPRIVILEGED";

pub(super) fn table() -> Command {
    let own = [
        table::flag("line", '1', "line", "Print one name a line"),
        table::flag("fancy", 'f', "fancy", "Print a table"),
        table::value(
            "fancy-format",
            'F',
            "fancy-format",
            "COLUMNS",
            "Columns of the table, comma-separated: NAME STATE PID RAM SWAP AUTOSTART GROUPS INTERFACE IPV4 IPV6 UNPRIVILEGED",
        ),
        table::flag("active", '\0', "active", "Only containers that are active"),
        table::flag("running", '\0', "running", "Only containers that are running"),
        table::flag("frozen", '\0', "frozen", "Only containers that are frozen"),
        table::flag("stopped", '\0', "stopped", "Only containers that are stopped"),
        table::flag("defined", '\0', "defined", "Only containers that have a configuration"),
        table::optional("nesting", '\0', "nesting", "LEVELS", "Look inside running containers, too"),
        table::value(
            "filter",
            '\0',
            "filter",
            "REGEX",
            "Only containers whose name matches; may also be the first operand",
        ),
        table::value(
            "groups",
            'g',
            "groups",
            "GROUPS",
            "Only containers in all of these groups, comma-separated",
        ),
        table::rcfile('\0'),
    ];
    table::table("lxc-ls", "List containers", own).mut_arg("operand", |arg| {
        arg.value_name("REGEX").help("Only containers whose name matches, unless --filter gives it")
    })
}

/// Prints names, one a line, or a table.
pub(super) fn run(call: &Call<'_>) -> Outcome {
    call.refuse(&["nesting", "rcfile"])?;
    let pattern = match call.value("filter")? {
        Some(pattern) => Some(pattern),
        None => call.optional_name().map(str::to_owned),
    };
    let pattern = pattern
        .map(|p| Regex::new(&p).map_err(|_| Failure::new(format!("{p:?} is not a regular expression"))))
        .transpose()?;
    let columns = columns(&call.value("fancy-format")?.unwrap_or_else(|| USUAL.to_owned()))?;
    let groups: Vec<String> =
        call.value("groups")?.iter().flat_map(|list| list.split(',')).map(|g| g.trim().to_owned()).collect();

    let session = call.session(Purpose::Look)?;
    let containers = session.containers();
    let fancy = call.has("fancy");
    let mut found = Vec::new();
    for name in
        names(call, containers)?.into_iter().filter(|n| pattern.as_ref().is_none_or(|p| p.is_match(n)))
    {
        // One container whose configuration is broken does not hide the others.
        let facts = match containers.get(&name).map_err(Failure::from).and_then(|c| Facts::gather(&c)) {
            Ok(facts) => facts,
            Err(failure) => {
                call.warn(&failure.about(&name).to_string());
                continue;
            }
        };
        if wanted(call, facts.state) && groups.iter().all(|g| facts.groups.contains(g)) {
            found.push(facts);
        }
    }
    let text = match (fancy, call.has("line")) {
        (true, _) => {
            let needs_usage = columns.iter().any(|c| ["RAM", "SWAP"].contains(c));
            let used = found.iter().map(|facts| match containers.get(&facts.name) {
                Ok(c) if needs_usage && facts.pid.is_some() => usage(&c.client()),
                _ => Usage::default(),
            });
            let used: Vec<Usage> = used.collect();
            fancy_table(&columns, &found, &used)
        }
        (false, true) => found.iter().map(|facts| format!("{}\n", facts.name)).collect(),
        (false, false) => {
            let names: Vec<&str> = found.iter().map(|facts| facts.name.as_str()).collect();
            plain(&names, terminal_width())
        }
    };
    output::print(text)?;
    Ok(ExitCode::SUCCESS)
}

/// Defined containers, active ones, or both.
fn names(call: &Call<'_>, containers: &Containers) -> Result<BTreeSet<String>, Failure> {
    let defined: BTreeSet<String> = containers.list()?.into_iter().collect();
    let active = containers.running()?;
    Ok(match (call.has("defined"), call.has("active")) {
        (true, true) => defined.intersection(&active).cloned().collect(),
        (true, false) => defined,
        (false, true) => active,
        (false, false) => defined.union(&active).cloned().collect(),
    })
}

/// Whether all that was asked for holds; a container cannot be running and stopped.
fn wanted(call: &Call<'_>, state: State) -> bool {
    let asked = [("running", State::Running), ("frozen", State::Frozen), ("stopped", State::Stopped)];
    asked.iter().all(|(id, asked)| !call.has(id) || *asked == state)
}

fn columns(list: &str) -> Result<Vec<&'static str>, Failure> {
    list.split(',')
        .map(|word| {
            let known = COLUMNS.iter().find(|column| column.eq_ignore_ascii_case(word.trim()));
            known.copied().ok_or_else(|| Failure::new(format!("Invalid key: {word}")))
        })
        .collect()
}

fn terminal_width() -> Option<usize> {
    rustix::termios::tcgetwinsize(std::io::stdout()).ok().map(|size| usize::from(size.ws_col))
}

/// Names in columns as wide as the longest, at least 4; one a line when there is no terminal.
fn plain(names: &[&str], terminal: Option<usize>) -> String {
    let width = names.iter().map(|name| name.chars().count()).max().unwrap_or(0).max(4);
    let Some(terminal) = terminal else {
        return names.iter().map(|name| format!("{name:<width$}\n")).collect();
    };
    let line = |names: &[&str]| {
        let cells: String = names.iter().map(|name| format!("{name:<width$} ")).collect();
        cells + "\n"
    };
    names.chunks((terminal / (width + 1)).max(1)).map(line).collect()
}

/// The table: columns padded to their widest cell, each followed by a space. Nothing for no containers.
fn fancy_table(columns: &[&str], found: &[Facts], used: &[Usage]) -> String {
    if found.is_empty() {
        return String::new();
    }
    let rows = found
        .iter()
        .zip(used)
        .map(|(facts, used)| columns.iter().map(|column| cell(column, facts, used)).collect::<Vec<_>>());
    let rows: Vec<Vec<String>> = rows.collect();
    let mut text = String::new();
    let width = |index: usize| {
        let cells = rows.iter().map(|row| row[index].chars().count()).max().unwrap_or(0);
        // LXC counts the 0.00MB that it does not print.
        let least = if ["RAM", "SWAP"].contains(&columns[index]) { 6 } else { 0 };
        cells.max(columns[index].len()).max(least)
    };
    let widths: Vec<usize> = (0..columns.len()).map(width).collect();
    let header: Vec<String> = columns.iter().map(|c| (*c).to_owned()).collect();
    for row in std::iter::once(&header).chain(&rows) {
        for (cell, width) in row.iter().zip(&widths) {
            text.push_str(&format!("{cell:<width$} "));
        }
        text.push('\n');
    }
    text
}

fn cell(column: &str, facts: &Facts, used: &Usage) -> String {
    let list = |words: &[String]| if words.is_empty() { "-".to_owned() } else { words.join(", ") };
    let megabytes = |bytes: Option<u64>| match facts.pid {
        Some(_) => format!("{:.2}MB", bytes.unwrap_or(0) as f64 / f64::from(1 << 20)),
        None => "-".to_owned(),
    };
    match column {
        "NAME" => facts.name.clone(),
        "STATE" => facts.state.name().to_owned(),
        "PID" => facts.pid.map_or_else(|| "-".to_owned(), |pid| pid.to_string()),
        "RAM" => megabytes(used.memory_bytes),
        "SWAP" => megabytes(used.swap_bytes),
        "AUTOSTART" => u8::from(facts.autostart).to_string(),
        "GROUPS" => list(&facts.groups),
        "INTERFACE" => list(&facts.interfaces),
        "IPV4" => list(&facts.ipv4),
        "IPV6" => list(&facts.ipv6),
        _ => facts.unprivileged.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_lists_fill_the_terminal() {
        // As stock lxc-ls 5.0.2 was seen to print.
        assert_eq!(plain(&["c1"], None), "c1  \n");
        assert_eq!(plain(&["e", "longernamehere"], None), "e             \nlongernamehere\n");
        let names = ["e", "longernamehere", "q1", "q2", "q3"];
        let expect = "e              longernamehere q1             q2             \nq3             \n";
        assert_eq!(plain(&names, Some(60)), expect);
        assert_eq!(plain(&names[..1], Some(3)), "e    \n");
        assert_eq!(plain(&[], Some(80)), "");
    }
}
