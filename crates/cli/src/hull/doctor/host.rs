//! What works on this machine.

use std::path::Path;

use hull_storage::Availability;
use serde::Serialize;

use super::super::volumes;
use super::Context;
use crate::errors::Failure;
use crate::output;
use crate::session::Purpose;

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    /// It works.
    Good,
    /// Something works less well than it could.
    Note,
    /// Containers cannot be started without it.
    Bad,
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Check {
    name: &'static str,
    verdict: Verdict,
    finding: String,
    remedy: Option<String>,
}

impl Check {
    fn good(name: &'static str, finding: impl Into<String>) -> Self {
        Self { name, verdict: Verdict::Good, finding: finding.into(), remedy: None }
    }

    fn note(name: &'static str, finding: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { name, verdict: Verdict::Note, finding: finding.into(), remedy: Some(remedy.into()) }
    }

    fn bad(name: &'static str, finding: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { verdict: Verdict::Bad, ..Self::note(name, finding, remedy) }
    }
}

/// One kind of store.
#[derive(Debug, Serialize)]
struct StoreRow {
    name: String,
    summary: String,
    ready: bool,
    notes: Vec<String>,
    why: Option<String>,
    remedy: Option<String>,
}

/// All that was found, as `--json` shows it.
#[derive(Debug, Serialize)]
struct Report {
    checks: Vec<Check>,
    stores: Vec<StoreRow>,
}

/// Prints what was found; whether containers can be started.
pub(super) fn examine(json: bool, context: &Context) -> Result<bool, Failure> {
    let report = Report {
        checks: vec![
            kernel(),
            user(context),
            cgroups(),
            user_namespaces(),
            id_maps(context),
            security_modules(),
            monitor(context),
            templates(context),
            lxcpath(context),
            deletion(context)?,
        ],
        stores: stores(context),
    };
    let well =
        report.checks.iter().all(|c| c.verdict != Verdict::Bad) && report.stores.iter().any(|s| s.ready);
    if json {
        output::json(&report)?;
    } else {
        output::print(text(&report))?;
    }
    Ok(well)
}

fn text(report: &Report) -> String {
    let mut text = String::new();
    let mut entry = |mark: &str, name: &str, finding: &str, more: &[&str]| {
        text.push_str(&format!("{mark:<4} {name:<16} {finding}\n"));
        more.iter().for_each(|line| text.push_str(&format!("{:22}{line}\n", "")));
    };
    for check in &report.checks {
        let mark = match check.verdict {
            Verdict::Good => "ok",
            Verdict::Note => "note",
            Verdict::Bad => "BAD",
        };
        entry(mark, check.name, &check.finding, &check.remedy.iter().map(String::as_str).collect::<Vec<_>>());
    }
    for store in &report.stores {
        let name = format!("store {}", store.name);
        match &store.why {
            None => {
                let notes: Vec<&str> = store.notes.iter().map(String::as_str).collect();
                entry("ok", &name, &store.summary, &notes);
            }
            Some(why) => entry("-", &name, why, &store.remedy.iter().map(String::as_str).collect::<Vec<_>>()),
        }
    }
    text
}

fn kernel() -> Check {
    let name = rustix::system::uname();
    let release = name.release().to_string_lossy().into_owned();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|n| n.parse::<u32>().unwrap_or(0));
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    let finding = format!("Linux {release}, {}", name.machine().to_string_lossy());
    match version {
        v if v >= (5, 12) => Check::good("kernel", finding),
        v if v >= (5, 6) => Check::note("kernel", finding, "idmapped mounts need Linux 5.12"),
        _ => Check::bad("kernel", finding, "Hull needs Linux 5.6 (openat2, pidfds) or later"),
    }
}

fn user(context: &Context) -> Check {
    let uid = rustix::process::geteuid().as_raw();
    match context.environment.privileged() {
        true => Check::good("user", "root"),
        false => Check::note(
            "user",
            format!("uid {uid}"),
            "containers of users need lxc.idmap in their configuration",
        ),
    }
}

fn cgroups() -> Check {
    let table = hull_mount::table::read().unwrap_or_default();
    let unified: Vec<String> =
        table.iter().filter(|e| e.fstype == "cgroup2").map(|e| e.point.display().to_string()).collect();
    let legacy = table.iter().filter(|e| e.fstype == "cgroup").count();
    let controllers = unified
        .first()
        .and_then(|point| std::fs::read_to_string(Path::new(point).join("cgroup.controllers")).ok())
        .map(|text| text.trim().replace(' ', ", "))
        .filter(|text| !text.is_empty())
        .unwrap_or_else(|| "no controllers".to_owned());
    match (unified.first(), legacy) {
        (Some(point), 0) => Check::good("cgroups", format!("version 2 at {point} with {controllers}")),
        (Some(point), n) => Check::good(
            "cgroups",
            format!("{n} hierarchies of version 1, and version 2 at {point} with {controllers}"),
        ),
        (None, 0) => Check::note(
            "cgroups",
            "no hierarchy is mounted, so nothing can be limited or counted",
            "mount one: mount -t cgroup2 cgroup2 /sys/fs/cgroup",
        ),
        (None, n) => Check::good("cgroups", format!("{n} hierarchies of version 1")),
    }
}

fn user_namespaces() -> Check {
    const NAME: &str = "user namespaces";
    let read =
        |path: &str| std::fs::read_to_string(path).ok().and_then(|text| text.trim().parse::<u64>().ok());
    match read("/proc/sys/user/max_user_namespaces") {
        None => Check::note(
            NAME,
            "this kernel has none",
            "use a kernel with CONFIG_USER_NS for unprivileged containers",
        ),
        Some(0) => Check::note(NAME, "none may be made", "sysctl user.max_user_namespaces=10000"),
        Some(_) if read("/proc/sys/kernel/unprivileged_userns_clone") == Some(0) => {
            Check::note(NAME, "only root may make them", "sysctl kernel.unprivileged_userns_clone=1")
        }
        Some(_) if read("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == Some(1) => Check::note(
            NAME,
            "AppArmor restricts those of users",
            "sysctl kernel.apparmor_restrict_unprivileged_userns=0, or a profile for hull",
        ),
        Some(limit) => Check::good(NAME, format!("up to {limit}")),
    }
}

/// `newuidmap` and `newgidmap`, and the caller's ranges.
fn id_maps(context: &Context) -> Check {
    const NAME: &str = "id ranges";
    const DIRS: [&str; 4] = ["/usr/bin", "/bin", "/usr/sbin", "/usr/local/bin"];
    let missing: Vec<&str> = ["newuidmap", "newgidmap"]
        .into_iter()
        .filter(|program| !DIRS.iter().any(|dir| Path::new(dir).join(program).is_file()))
        .collect();
    if !missing.is_empty() {
        let finding = format!("{} not found", missing.join(" and "));
        return Check::note(NAME, finding, "users need them to start containers: install the package uidmap");
    }
    let whose = if context.environment.privileged() { "root" } else { "you" };
    let ranges = |file: &str| std::fs::read_to_string(file).is_ok_and(|text| has_range(&text, context));
    match ranges("/etc/subuid") && ranges("/etc/subgid") {
        true => Check::good(NAME, format!("newuidmap and newgidmap, and a range for {whose}")),
        false => Check::note(
            NAME,
            format!("newuidmap and newgidmap, but no range for {whose} in /etc/subuid and /etc/subgid"),
            "add one: usermod --add-subuids 100000-165535 --add-subgids 100000-165535 USER",
        ),
    }
}

/// Whether `/etc/subuid` has a line for the caller, by number or by name.
fn has_range(text: &str, context: &Context) -> bool {
    let uid = rustix::process::geteuid().as_raw().to_string();
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == uid).then_some(name)
    });
    let name = name.unwrap_or(if context.environment.privileged() { "root" } else { "" });
    text.lines().filter_map(|line| line.split(':').next()).any(|owner| owner == uid || owner == name)
}

fn security_modules() -> Check {
    match std::fs::read_to_string("/sys/kernel/security/lsm") {
        Ok(list) => Check::good("security", list.trim().to_owned()),
        Err(_) => Check::note(
            "security",
            "the list of security modules cannot be read",
            "mount -t securityfs securityfs /sys/kernel/security",
        ),
    }
}

fn monitor(context: &Context) -> Check {
    match context.environment.monitor() {
        Ok(path) => Check::good("monitor", path.display().to_string()),
        Err(failure) => Check::bad("monitor", failure.to_string(), "no container can be started without it"),
    }
}

fn templates(context: &Context) -> Check {
    let mut found = Vec::new();
    for dir in context.environment.template_dirs() {
        let names = std::fs::read_dir(&dir).into_iter().flatten().flatten();
        let names = names.filter_map(|entry| entry.file_name().into_string().ok());
        found.extend(names.filter_map(|name| name.strip_prefix("lxc-").map(str::to_owned)));
    }
    found.sort_unstable();
    found.dedup();
    match found.is_empty() {
        false => Check::good("templates", found.join(" ")),
        true => {
            let dirs = context.environment.template_dirs().map(|dir| dir.display().to_string()).join(" nor ");
            Check::note("templates", format!("none, neither in {dirs}"), "create containers from archives")
        }
    }
}

fn lxcpath(context: &Context) -> Check {
    let path = context.lxcpath();
    let shown = path.display();
    match (path.is_dir(), rustix::fs::access(path, rustix::fs::Access::WRITE_OK).is_ok()) {
        (true, true) => Check::good("lxcpath", shown.to_string()),
        (true, false) => Check::note("lxcpath", format!("{shown} may not be written to"), "use --lxcpath"),
        (false, _) => Check::good("lxcpath", format!("{shown}, made by the first `hull create`")),
    }
}

/// What interrupted commands left in the journals, and what is still to be deleted.
fn deletion(context: &Context) -> Result<Check, Failure> {
    const NAME: &str = "journal";
    let session = context.session(Purpose::Look)?;
    let volumes = volumes::open(&context.environment, Purpose::Look, context.quiet)?;
    let mut all = Vec::new();
    for store in [session.containers().store(), &*volumes] {
        match store.unfinished() {
            Ok(seen) => all.extend(seen),
            Err(e) => return Ok(Check::note(NAME, e.to_string(), "become its owner, or root")),
        }
    }
    let count =
        |reclaiming, held| all.iter().filter(|s| (s.record.reclaiming, s.held) == (reclaiming, held)).count();
    let (interrupted, waiting, deleting) = (count(false, false), count(true, false), count(true, true));
    Ok(match (interrupted, waiting) {
        (0, 0) if deleting == 0 => Check::good(NAME, "nothing is left unsettled"),
        (0, 0) => Check::good(NAME, format!("what {deleting} operations left is being deleted")),
        _ => Check::note(
            NAME,
            format!(
                "{interrupted} operations were interrupted, and what {waiting} left is not being deleted"
            ),
            "hull recover settles the one, hull recover --reclaim deletes the other, or they say why they cannot",
        ),
    })
}

fn stores(context: &Context) -> Vec<StoreRow> {
    let registry = hull_drivers::builtin();
    let settings = context.environment.settings();
    let offered = registry.drivers().iter().map(|registration| {
        let (ready, notes, why, remedy) = match (registration.probe)(&settings) {
            Availability::Ready { notes } => (true, notes, None, None),
            Availability::Missing { why, remedy } => (false, Vec::new(), Some(why), Some(remedy)),
        };
        let name = registration.name.to_string();
        StoreRow { name, summary: registration.summary.to_owned(), ready, notes, why, remedy }
    });
    let absent = registry.absent().iter().map(|absent| StoreRow {
        name: absent.name.to_string(),
        summary: "known, but not offered".to_owned(),
        ready: false,
        notes: Vec::new(),
        why: Some(absent.why.to_owned()),
        remedy: None,
    });
    offered.chain(absent).collect()
}
