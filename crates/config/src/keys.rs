//! Every configuration key, in one table: what its values are, how they add up, whether it confines.

use crate::value::Value;

/// How several assignments of one key add up. An empty assignment always clears.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeat {
    /// The last assignment counts.
    Last,
    /// Each assignment adds one element.
    Each,
    /// Each assignment adds its words.
    Words,
}

/// What may follow a key's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Nothing: the name is the whole key.
    Exact,
    /// `.suffix` makes a key; the name alone can only be cleared or asked for.
    Suffix,
    /// As [`Family::Suffix`], but the name alone means nothing.
    SuffixOnly,
    /// The network keys `lxc.net.N.subkey`; [`NET_KEYS`] holds the subkeys.
    Net,
}

/// One key, or one family of keys.
#[derive(Debug, Clone, Copy)]
pub struct KeySpec {
    /// The name, without the suffix of a family. For a network subkey, what follows `lxc.net.N.`.
    pub name: &'static str,
    /// What its values are.
    pub value: Value,
    /// How assignments add up.
    pub repeat: Repeat,
    /// What may follow the name.
    pub family: Family,
    /// What LXC prints when the key is not set.
    pub default: &'static str,
    /// Whether the key takes something away from the container. A runtime that cannot carry such a
    /// key out refuses to start the container: ignoring it would give what was to be denied.
    pub confines: bool,
}

/// A key that was looked up: its row and the variable part of its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// The whole name in its one spelling: `lxc.net.00.link` becomes `lxc.net.0.link`.
    pub name: String,
    /// The row of the table.
    pub spec: &'static KeySpec,
    /// The part after a family's name.
    pub suffix: Option<String>,
    /// The index of a network.
    pub net: Option<u32>,
}

impl PartialEq for KeySpec {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for KeySpec {}

const fn row(name: &'static str, value: Value) -> KeySpec {
    KeySpec { name, value, repeat: Repeat::Last, family: Family::Exact, default: "", confines: false }
}

impl KeySpec {
    const fn each(mut self) -> Self {
        self.repeat = Repeat::Each;
        self
    }
    const fn words(mut self) -> Self {
        self.repeat = Repeat::Words;
        self
    }
    const fn suffix(mut self) -> Self {
        self.family = Family::Suffix;
        self
    }
    const fn suffix_only(mut self) -> Self {
        self.family = Family::SuffixOnly;
        self
    }
    const fn default(mut self, default: &'static str) -> Self {
        self.default = default;
        self
    }
    const fn confines(mut self) -> Self {
        self.confines = true;
        self
    }
}

/// The keys of a container's configuration, by name. `lxc.include` is not among them: it is resolved
/// while reading. The defaults are those `lxc-info -c` of LXC 5.0 prints.
pub const KEYS: &[KeySpec] = &[
    row("lxc.apparmor.allow_incomplete", Value::Flag).default("0"),
    row("lxc.apparmor.allow_nesting", Value::Flag).default("0"),
    row("lxc.apparmor.profile", Value::Text).confines(),
    row("lxc.apparmor.raw", Value::Text).each().confines(),
    row("lxc.arch", Value::Arch),
    row("lxc.autodev", Value::Flag).default("1"),
    row("lxc.autodev.tmpfs.size", Value::Unsigned).default("0"),
    row("lxc.cap.drop", Value::Capability).words().confines(),
    row("lxc.cap.keep", Value::CapabilityOrNone).words().confines(),
    row("lxc.cgroup", Value::Text).each().suffix().confines(),
    row("lxc.cgroup.dir", Value::CgroupPath),
    row("lxc.cgroup.dir.container", Value::CgroupPath),
    row("lxc.cgroup.dir.container.inner", Value::CgroupPath),
    row("lxc.cgroup.dir.monitor", Value::CgroupPath),
    row("lxc.cgroup.dir.monitor.pivot", Value::CgroupPath),
    row("lxc.cgroup.relative", Value::Flag).default("0"),
    row("lxc.cgroup2", Value::Text).each().suffix().confines(),
    row("lxc.console.buffer.size", Value::BufferSize).default("0"),
    row("lxc.console.logfile", Value::Path),
    row("lxc.console.path", Value::Path),
    row("lxc.console.rotate", Value::Flag).default("0"),
    row("lxc.console.size", Value::BufferSize).default("0"),
    row("lxc.environment", Value::Environment).each(),
    row("lxc.environment.hooks", Value::Environment).each(),
    row("lxc.environment.runtime", Value::Environment).each(),
    row("lxc.ephemeral", Value::Flag).default("0"),
    row("lxc.execute.cmd", Value::Text),
    row("lxc.group", Value::Text).words(),
    row("lxc.hook.autodev", Value::Text).each(),
    row("lxc.hook.clone", Value::Text).each(),
    row("lxc.hook.destroy", Value::Text).each(),
    row("lxc.hook.mount", Value::Text).each(),
    row("lxc.hook.post-stop", Value::Text).each(),
    row("lxc.hook.pre-mount", Value::Text).each(),
    row("lxc.hook.pre-start", Value::Text).each(),
    row("lxc.hook.start", Value::Text).each(),
    row("lxc.hook.start-host", Value::Text).each(),
    row("lxc.hook.stop", Value::Text).each(),
    row("lxc.hook.version", Value::Flag).default("0"),
    row("lxc.idmap", Value::IdMap).each().confines(),
    row("lxc.init.cmd", Value::Text),
    row("lxc.init.cwd", Value::Path),
    row("lxc.init.gid", Value::Id).default("0").confines(),
    row("lxc.init.groups", Value::GroupIds).words().confines(),
    row("lxc.init.uid", Value::Id).default("0").confines(),
    row("lxc.keyring.session", Value::Flag).default("0").confines(),
    row("lxc.log.file", Value::Path),
    row("lxc.log.level", Value::LogLevel).default("NOTSET"),
    row("lxc.log.syslog", Value::SyslogFacility),
    row("lxc.monitor.signal.pdeath", Value::Signal).default("9"),
    row("lxc.monitor.unshare", Value::Flag).default("0"),
    row("lxc.mount.auto", Value::MountAuto).words(),
    row("lxc.mount.entry", Value::MountEntry).each(),
    row("lxc.mount.fstab", Value::Path),
    row("lxc.namespace.clone", Value::Namespace).words().confines(),
    row("lxc.namespace.keep", Value::Namespace).words().confines(),
    row("lxc.namespace.share", Value::Text).suffix_only(),
    KeySpec { family: Family::Net, ..row("lxc.net", Value::Text) },
    row("lxc.no_new_privs", Value::Flag).default("0").confines(),
    row("lxc.prlimit", Value::Limit).suffix().confines(),
    row("lxc.proc", Value::Text).suffix().confines(),
    row("lxc.pty.max", Value::Unsigned).default("0"),
    row("lxc.rootfs.managed", Value::Flag).default("1"),
    row("lxc.rootfs.mount", Value::Path),
    row("lxc.rootfs.options", Value::RootfsOptions).confines(),
    row("lxc.rootfs.path", Value::Text),
    row("lxc.sched.core", Value::Flag).default("0").confines(),
    row("lxc.seccomp.allow_nesting", Value::Flag).default("0"),
    row("lxc.seccomp.notify.cookie", Value::Text),
    row("lxc.seccomp.notify.proxy", Value::UnixSocket).confines(),
    row("lxc.seccomp.profile", Value::Path).confines(),
    row("lxc.selinux.context", Value::Text).confines(),
    row("lxc.selinux.context.keyring", Value::Text).confines(),
    row("lxc.signal.halt", Value::Signal).default("0"),
    row("lxc.signal.reboot", Value::Signal).default("0"),
    row("lxc.signal.stop", Value::Signal).default("0"),
    row("lxc.start.auto", Value::Flag).default("0"),
    row("lxc.start.delay", Value::Unsigned).default("0"),
    row("lxc.start.order", Value::Signed).default("0"),
    row("lxc.sysctl", Value::Text).suffix().confines(),
    row("lxc.time.offset.boot", Value::TimeOffset).default("0 ns\n"),
    row("lxc.time.offset.monotonic", Value::TimeOffset).default("0ns\n"),
    row("lxc.tty.dir", Value::Path),
    row("lxc.tty.max", Value::Unsigned).default("0"),
    row("lxc.uts.name", Value::HostName),
];

/// The subkeys of `lxc.net.N`, by name.
pub const NET_KEYS: &[KeySpec] = &[
    row("flags", Value::NetFlags),
    row("hwaddr", Value::HardwareAddress),
    row("ipv4.address", Value::Ipv4Address).each(),
    row("ipv4.gateway", Value::Ipv4Gateway),
    row("ipv6.address", Value::Ipv6Address).each(),
    row("ipv6.gateway", Value::Ipv6Gateway),
    row("ipvlan.isolation", Value::OneOf(&["bridge", "private", "vepa"])).default("bridge"),
    row("ipvlan.mode", Value::OneOf(&["l2", "l3", "l3s"])).default("l2"),
    row("l2proxy", Value::Flag).default("0"),
    row("link", Value::InterfaceName),
    row("macvlan.mode", Value::OneOf(&["private", "vepa", "bridge", "passthru"])).default("private"),
    row("mtu", Value::Mtu),
    row("name", Value::InterfaceName),
    row("script.down", Value::Text),
    row("script.up", Value::Text),
    row("type", Value::OneOf(&["empty", "veth", "vlan", "macvlan", "ipvlan", "phys", "none"])).confines(),
    row("veth.ipv4.route", Value::Ipv4Network).each(),
    row("veth.ipv6.route", Value::Ipv6Network).each(),
    row("veth.mode", Value::OneOf(&["bridge", "router"])).default("bridge"),
    row("veth.n_rxqueues", Value::Queues),
    row("veth.n_txqueues", Value::Queues),
    row("veth.pair", Value::InterfaceName),
    row("veth.vlan.id", Value::VlanIdOrNone).default("0"),
    row("veth.vlan.tagged.id", Value::VlanId).each(),
    row("vlan.id", Value::VlanTag).default("0"),
];

/// Looks a key up. `None` when there is no such key, or when a family lacks or mistakes its suffix.
pub fn lookup(key: &str) -> Option<Key> {
    if let Some(spec) = KEYS.iter().find(|spec| spec.name == key) {
        return (spec.family != Family::SuffixOnly).then(|| Key {
            name: key.to_owned(),
            spec,
            suffix: None,
            net: None,
        });
    }
    if let Some(rest) = key.strip_prefix("lxc.net.") {
        return lookup_net(rest);
    }
    KEYS.iter().filter(|spec| matches!(spec.family, Family::Suffix | Family::SuffixOnly)).find_map(|spec| {
        let suffix = key.strip_prefix(spec.name)?.strip_prefix('.')?;
        if suffix.is_empty() || suffix.contains(char::is_whitespace) {
            return None;
        }
        Some(Key { name: key.to_owned(), spec, suffix: Some(suffix.to_owned()), net: None })
    })
}

/// Whether a container configuration may hold this key: LXC's `lxc_config_item_is_supported`.
pub fn is_supported(key: &str) -> bool {
    let key = key.strip_suffix('.').unwrap_or(key);
    key == "lxc.include" || KEYS.iter().any(|spec| spec.name == key) || lookup(key).is_some()
}

fn lookup_net(rest: &str) -> Option<Key> {
    let (index, subkey) = rest.split_once('.').map_or((rest, None), |(index, subkey)| (index, Some(subkey)));
    if index.is_empty() || !index.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // LXC keeps the index in a C int and refuses its largest value.
    let index = index.parse::<u32>().ok().filter(|index| *index < i32::MAX as u32)?;
    match subkey {
        None => {
            let spec = KEYS.iter().find(|spec| spec.family == Family::Net)?;
            Some(Key { name: format!("lxc.net.{index}"), spec, suffix: None, net: Some(index) })
        }
        Some(subkey) => {
            let spec = NET_KEYS.iter().find(|spec| spec.name == subkey)?;
            let name = format!("lxc.net.{index}.{subkey}");
            Some(Key { name, spec, suffix: Some(subkey.to_owned()), net: Some(index) })
        }
    }
}

/// The known key closest to a misspelt one, with families shown as `lxc.sysctl.NAME`.
pub fn closest(key: &str) -> String {
    // The cost of comparing grows with both lengths; no key is near this long.
    let key: String = key.chars().take(64).collect();
    if let Some((index, subkey)) = key.strip_prefix("lxc.net.").and_then(|rest| rest.split_once('.')) {
        let index = if index.parse::<u32>().is_ok_and(|n| n < i32::MAX as u32) { index } else { "0" };
        return format!("lxc.net.{index}.{}", nearest(subkey, NET_KEYS.iter().map(|spec| spec.name)));
    }
    let name = nearest(&key, KEYS.iter().map(|spec| spec.name).chain(["lxc.include"]));
    match KEYS.iter().find(|spec| spec.name == name).map(|spec| spec.family) {
        Some(Family::Suffix | Family::SuffixOnly) => format!("{name}.NAME"),
        Some(Family::Net) => "lxc.net.0.type".to_owned(),
        _ => name.to_owned(),
    }
}

/// The candidate that is cheapest to reach by changing single characters.
pub(crate) fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> &'a str {
    candidates.min_by_key(|candidate| distance(word, candidate)).unwrap_or_default()
}

/// Levenshtein's distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let change = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_sorted_and_free_of_twins() {
        for table in [KEYS, NET_KEYS] {
            let names: Vec<_> = table.iter().map(|spec| spec.name).collect();
            let mut sorted = names.clone();
            sorted.sort_unstable();
            sorted.dedup();
            assert_eq!(names, sorted);
        }
    }

    #[test]
    fn families_take_suffixes_and_exact_keys_win() {
        assert_eq!(lookup("lxc.cgroup.dir").unwrap().suffix, None);
        assert_eq!(lookup("lxc.cgroup.devices.allow").unwrap().suffix.as_deref(), Some("devices.allow"));
        assert_eq!(lookup("lxc.cgroup2.memory.max").unwrap().spec.name, "lxc.cgroup2");
        assert_eq!(lookup("lxc.net.007.veth.pair").unwrap().name, "lxc.net.7.veth.pair");
        for wrong in [
            "lxc.cgroup2.",
            "lxc.sysctl.",
            "lxc.net.",
            "lxc.net.0.",
            "lxc.net.x.type",
            "lxc.net.-1.type",
            "lxc.net.2147483647.type",
            "lxc.net.99999999999.type",
            "lxc.namespace.share",
            "lxc.uts.name.x",
            "lxc.signal.stopx",
            "lxc.hook",
            "lxc.",
            "lxc",
        ] {
            assert!(lookup(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn misspelt_keys_find_their_neighbour() {
        assert_eq!(closest("lxc.utsname"), "lxc.uts.name");
        assert_eq!(closest("lxc.aparmor.profile"), "lxc.apparmor.profile");
        assert_eq!(closest("lxc.net.3.vet.pair"), "lxc.net.3.veth.pair");
        assert_eq!(closest("lxc.sysctl."), "lxc.sysctl.NAME");
    }
}
