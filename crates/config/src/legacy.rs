//! Key names from before LXC 2.1. LXC 3.0 and later refuse them; Hull reads them and takes a note.

use crate::state::State;

/// What a legacy assignment says in today's words.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Modern {
    /// This key with this value.
    Key(String, String),
    /// Nothing: what it set no longer exists.
    Dropped,
}

/// Old names and new ones, by old name.
const RENAMED: &[(&str, &str)] = &[
    ("lxc.aa_allow_incomplete", "lxc.apparmor.allow_incomplete"),
    ("lxc.aa_profile", "lxc.apparmor.profile"),
    ("lxc.console", "lxc.console.path"),
    ("lxc.devttydir", "lxc.tty.dir"),
    ("lxc.haltsignal", "lxc.signal.halt"),
    ("lxc.id_map", "lxc.idmap"),
    ("lxc.init_cmd", "lxc.init.cmd"),
    ("lxc.init_gid", "lxc.init.gid"),
    ("lxc.init_uid", "lxc.init.uid"),
    ("lxc.logfile", "lxc.log.file"),
    ("lxc.loglevel", "lxc.log.level"),
    ("lxc.mount", "lxc.mount.fstab"),
    ("lxc.pts", "lxc.pty.max"),
    ("lxc.rebootsignal", "lxc.signal.reboot"),
    ("lxc.se_context", "lxc.selinux.context"),
    ("lxc.seccomp", "lxc.seccomp.profile"),
    ("lxc.stopsignal", "lxc.signal.stop"),
    ("lxc.syslog", "lxc.log.syslog"),
    ("lxc.tty", "lxc.tty.max"),
    ("lxc.utsname", "lxc.uts.name"),
];

/// Keys whose effect LXC itself dropped.
const DROPPED: &[&str] = &["lxc.kmsg", "lxc.pivotdir"];

/// Whether a key once had an effect that LXC dropped.
pub(crate) fn is_dropped(key: &str) -> bool {
    DROPPED.contains(&key)
}

/// Translates a legacy assignment; `None` when the key is not a legacy one.
///
/// `lxc.network.type` begins a network and what follows belongs to it, hence `state`.
pub(crate) fn modernise(key: &str, value: &str, state: &State) -> Option<Modern> {
    let keep = |key: &str| Some(Modern::Key(key.to_owned(), value.to_owned()));
    if let Some((_, new)) = RENAMED.iter().find(|(old, _)| *old == key) {
        return keep(new);
    }
    if is_dropped(key) {
        return Some(Modern::Dropped);
    }
    match key {
        "lxc.rootfs" => rootfs(value, state),
        "lxc.rootfs.path" if pending_backend(state).is_some() => rootfs(value, state),
        "lxc.rootfs.backend" => backend(value, state),
        "lxc.network" => keep("lxc.net"),
        _ => {
            if let Some(limit) = key.strip_prefix("lxc.limit.") {
                return keep(&format!("lxc.prlimit.{limit}"));
            }
            network(key.strip_prefix("lxc.network.")?, value, state)
        }
    }
}

/// The old pair path and backend becomes one `backend:path`, whichever line comes first.
fn rootfs(value: &str, state: &State) -> Option<Modern> {
    let value = match pending_backend(state) {
        Some(backend) if !value.is_empty() && has_no_type(value) => format!("{backend}:{value}"),
        _ => value.to_owned(),
    };
    Some(Modern::Key("lxc.rootfs.path".to_owned(), value))
}

fn backend(value: &str, state: &State) -> Option<Modern> {
    if value.is_empty() {
        return Some(Modern::Dropped);
    }
    let value = match state.values("lxc.rootfs.path").next() {
        Some(path) if !has_no_type(path) => path.to_owned(),
        // Until the path comes, the type stands alone.
        path => format!("{value}:{}", path.unwrap_or_default()),
    };
    Some(Modern::Key("lxc.rootfs.path".to_owned(), value))
}

/// The backend that was named before its path.
fn pending_backend(state: &State) -> Option<&str> {
    state
        .values("lxc.rootfs.path")
        .next()
        .and_then(|path| path.strip_suffix(':'))
        .filter(|kind| !kind.contains('/'))
}

fn has_no_type(path: &str) -> bool {
    crate::RootfsPath::new(path).kind().is_none()
}

fn network(subkey: &str, value: &str, state: &State) -> Option<Modern> {
    let last = state.entries.iter().filter_map(|entry| entry.net).max();
    let (index, subkey) = match subkey.split_once('.') {
        Some((index, rest)) if index.parse::<u32>().is_ok() => (index.parse().ok()?, rest),
        _ if subkey == "type" => (last.map_or(0, |index| index.saturating_add(1)), subkey),
        _ => (last.unwrap_or(0), subkey),
    };
    let subkey = match subkey {
        "ipv4" => "ipv4.address",
        "ipv6" => "ipv6.address",
        other => other,
    };
    Some(Modern::Key(format!("lxc.net.{index}.{subkey}"), value.to_owned()))
}
