//! What a runtime asks a configuration for, as types.

use std::collections::BTreeSet;

use crate::config::Config;
use crate::error::{Error, Fault, Result};
use crate::state::Entry;
use crate::value::{
    AutoMounts, Capability, Environment, Gateway4, Gateway6, IdMap, InterfaceAddress4, InterfaceAddress6,
    Limit, MountEntry, Namespace, Personality, RootfsOptions, Signal, TimeOffset, check_id_maps,
    parse_signed, parse_unsigned,
};
use crate::{RootfsPath, value};

/// Which capabilities the container's processes may ever have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Capabilities {
    /// All.
    All,
    /// All but these.
    Drop(Vec<Capability>),
    /// Only these; an empty list is none at all.
    Keep(Vec<Capability>),
}

/// One file of a cgroup and what is written to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CgroupSetting<'a> {
    /// The file's name, such as `memory.max`.
    pub file: &'a str,
    /// The text.
    pub value: &'a str,
}

/// The signals that end or restart a container's init.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signals {
    /// Asks for a halt: SIGPWR unless set.
    pub halt: Signal,
    /// Whether `halt` was set, and so is not to be replaced by what the init is known to want.
    pub halt_is_set: bool,
    /// Asks for a reboot: SIGINT unless set.
    pub reboot: Signal,
    /// Ends the container at once: SIGKILL unless set.
    pub stop: Signal,
}

/// The console of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Console<'a> {
    /// Where the console is; `none` for no console.
    pub path: Option<&'a str>,
    /// The file the console's output is kept in.
    pub logfile: Option<&'a str>,
    /// The size of the ring buffer; 0 is none.
    pub buffer_size: u64,
    /// The largest size of the log file; 0 is no limit.
    pub log_size: u64,
    /// Whether a full log file is rotated.
    pub rotate: bool,
}

/// Which namespaces the container gets of its own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Namespaces {
    /// `lxc.namespace.clone`: exactly these are new. `None` when it is not set.
    pub clone: Option<BTreeSet<Namespace>>,
    /// `lxc.namespace.keep`: these stay the caller's. `None` when it is not set.
    pub keep: Option<BTreeSet<Namespace>>,
    /// `lxc.namespace.share.*`: these are another's, named by process id, container or path.
    pub share: Vec<(Namespace, String)>,
}

/// One network of a container.
#[derive(Debug, Clone, Copy)]
pub struct Network<'a> {
    config: &'a Config,
    index: u32,
}

impl Config {
    /// `lxc.arch`.
    pub fn personality(&self) -> Result<Option<Personality>> {
        self.parse_last("lxc.arch", Personality::parse)
    }

    /// `lxc.rootfs.path`; `None` shares the host's root.
    pub fn rootfs_path(&self) -> Option<RootfsPath<'_>> {
        self.value("lxc.rootfs.path").map(RootfsPath::new)
    }

    /// `lxc.rootfs.options`.
    pub fn rootfs_options(&self) -> Result<RootfsOptions> {
        Ok(self.parse_last("lxc.rootfs.options", RootfsOptions::parse)?.unwrap_or_default())
    }

    /// `lxc.mount.entry`, in order.
    pub fn mount_entries(&self) -> Result<Vec<MountEntry>> {
        self.parse_all("lxc.mount.entry", MountEntry::parse)
    }

    /// `lxc.mount.auto`.
    pub fn auto_mounts(&self) -> Result<AutoMounts> {
        let mut mounts = AutoMounts::default();
        self.parse_all("lxc.mount.auto", |word| mounts.apply(word))?;
        Ok(mounts)
    }

    /// `lxc.idmap`, in order. Fails when maps overlap, naming the file and line of the last map.
    pub fn id_maps(&self) -> Result<Vec<IdMap>> {
        let maps = self.parse_all("lxc.idmap", IdMap::parse)?;
        match (check_id_maps(&maps), self.entries("lxc.idmap").last()) {
            (Err(fault), Some(entry)) => Err(self.error_at(entry, fault)),
            _ => Ok(maps),
        }
    }

    /// `lxc.cap.drop` and `lxc.cap.keep`.
    pub fn capabilities(&self) -> Result<Capabilities> {
        if self.value("lxc.cap.keep").is_some() {
            let keep = self.values("lxc.cap.keep").any(|word| word != "none");
            let parsed = if keep { self.parse_all_but_none("lxc.cap.keep")? } else { Vec::new() };
            return Ok(Capabilities::Keep(parsed));
        }
        let drop = self.parse_all("lxc.cap.drop", Capability::parse)?;
        Ok(if drop.is_empty() { Capabilities::All } else { Capabilities::Drop(drop) })
    }

    /// `lxc.cgroup2.*`, in order.
    pub fn cgroup2(&self) -> impl Iterator<Item = CgroupSetting<'_>> {
        self.cgroup_family("lxc.cgroup2")
    }

    /// `lxc.cgroup.*`, in order: files of cgroup v1.
    pub fn cgroup1(&self) -> impl Iterator<Item = CgroupSetting<'_>> {
        self.cgroup_family("lxc.cgroup")
    }

    /// `lxc.sysctl.*`: names with dots, and values.
    pub fn sysctls(&self) -> impl Iterator<Item = (&str, &str)> {
        self.family("lxc.sysctl")
    }

    /// `lxc.proc.*`: files below `/proc/PID`, and what is written to them.
    pub fn proc_files(&self) -> impl Iterator<Item = (&str, &str)> {
        self.family("lxc.proc")
    }

    /// `lxc.prlimit.*`: the kernel's number of each resource and its limits.
    pub fn limits(&self) -> Result<Vec<(u32, Limit)>> {
        let entries = self.state.entries.iter().filter(|entry| entry.spec.name == "lxc.prlimit");
        entries
            .map(|entry| {
                let number = value::limit_number(entry.suffix.as_deref().unwrap_or_default());
                let limit = Limit::parse(&entry.value);
                Ok((
                    number.map_err(|fault| self.error_at(entry, fault))?,
                    limit.map_err(|fault| self.error_at(entry, fault))?,
                ))
            })
            .collect()
    }

    /// The commands of a hook: `hooks("pre-start")`.
    pub fn hooks(&self, name: &str) -> impl Iterator<Item = &str> {
        let entries = self.state.entries.iter();
        entries
            .filter(move |entry| entry.key.strip_prefix("lxc.hook.") == Some(name))
            .map(|entry| entry.value.as_str())
            .filter(move |_| name != "version")
    }

    /// `lxc.environment`: for hooks and the container alike.
    pub fn environment(&self) -> Result<Vec<Environment>> {
        self.parse_all("lxc.environment", Environment::parse)
    }

    /// `lxc.environment.runtime`: for the container only.
    pub fn runtime_environment(&self) -> Result<Vec<Environment>> {
        self.parse_all("lxc.environment.runtime", Environment::parse)
    }

    /// `lxc.environment.hooks`: for hooks only.
    pub fn hook_environment(&self) -> Result<Vec<Environment>> {
        self.parse_all("lxc.environment.hooks", Environment::parse)
    }

    /// `lxc.signal.halt`, `.reboot` and `.stop`.
    pub fn signals(&self) -> Result<Signals> {
        let signal = |key, default| {
            let set = self.parse_last(key, Signal::parse)?;
            Ok::<_, Error>(set.filter(|signal| signal.number() != 0).unwrap_or(default))
        };
        Ok(Signals {
            halt: signal("lxc.signal.halt", Signal::PWR)?,
            halt_is_set: self.value("lxc.signal.halt").is_some(),
            reboot: signal("lxc.signal.reboot", Signal::INT)?,
            stop: signal("lxc.signal.stop", Signal::KILL)?,
        })
    }

    /// `lxc.monitor.signal.pdeath`: what the container's init gets when its monitor dies.
    pub fn parent_death_signal(&self) -> Result<Signal> {
        Ok(self.parse_last("lxc.monitor.signal.pdeath", Signal::parse)?.unwrap_or(Signal::KILL))
    }

    /// `lxc.time.offset.boot` and `lxc.time.offset.monotonic`.
    pub fn time_offsets(&self) -> Result<(Option<TimeOffset>, Option<TimeOffset>)> {
        Ok((
            self.parse_last("lxc.time.offset.boot", TimeOffset::parse)?,
            self.parse_last("lxc.time.offset.monotonic", TimeOffset::parse)?,
        ))
    }

    /// `lxc.namespace.*`.
    pub fn namespaces(&self) -> Result<Namespaces> {
        let set = |key| -> Result<Option<BTreeSet<Namespace>>> {
            let names = self.parse_all(key, Namespace::parse)?;
            Ok(if names.is_empty() { None } else { Some(names.into_iter().collect()) })
        };
        let share = self.family_entries("lxc.namespace.share").map(|entry| {
            let name = Namespace::parse(entry.suffix.as_deref().unwrap_or_default());
            Ok((name.map_err(|fault| self.error_at(entry, fault))?, entry.value.clone()))
        });
        Ok(Namespaces {
            clone: set("lxc.namespace.clone")?,
            keep: set("lxc.namespace.keep")?,
            share: share.collect::<Result<_>>()?,
        })
    }

    /// `lxc.console.*`.
    pub fn console(&self) -> Result<Console<'_>> {
        Ok(Console {
            path: self.value("lxc.console.path"),
            logfile: self.value("lxc.console.logfile"),
            buffer_size: self.parse_last("lxc.console.buffer.size", value::parse_buffer_size)?.unwrap_or(0),
            log_size: self.parse_last("lxc.console.size", value::parse_buffer_size)?.unwrap_or(0),
            rotate: self.flag("lxc.console.rotate", false),
        })
    }

    /// A key that holds a number from 0 up, such as `lxc.pty.max` or `lxc.init.uid`.
    pub fn number(&self, key: &str, default: u32) -> Result<u32> {
        Ok(self.parse_last(key, parse_unsigned)?.unwrap_or(default))
    }

    /// `lxc.start.order`.
    pub fn start_order(&self) -> Result<i32> {
        Ok(self.parse_last("lxc.start.order", parse_signed)?.unwrap_or(0))
    }

    /// `lxc.init.groups`.
    pub fn init_groups(&self) -> Result<Vec<u32>> {
        self.parse_all("lxc.init.groups", parse_unsigned)
    }

    /// The networks, by index.
    pub fn networks(&self) -> impl Iterator<Item = Network<'_>> {
        self.network_indices().map(|index| Network { config: self, index })
    }

    pub(crate) fn network_indices(&self) -> impl Iterator<Item = u32> + use<> {
        let indices: BTreeSet<u32> = self.state.entries.iter().filter_map(|entry| entry.net).collect();
        indices.into_iter()
    }

    fn entries(&self, key: &str) -> impl Iterator<Item = &Entry> {
        self.state.entries.iter().filter(move |entry| entry.key == key)
    }

    fn family_entries(&self, name: &str) -> impl Iterator<Item = &Entry> {
        self.state.entries.iter().filter(move |entry| entry.spec.name == name && entry.net.is_none())
    }

    fn family(&self, name: &str) -> impl Iterator<Item = (&str, &str)> {
        self.family_entries(name)
            .map(|entry| (entry.suffix.as_deref().unwrap_or_default(), entry.value.as_str()))
    }

    fn cgroup_family(&self, name: &str) -> impl Iterator<Item = CgroupSetting<'_>> {
        self.family(name).map(|(file, value)| CgroupSetting { file, value })
    }

    fn parse_last<T>(&self, key: &str, parse: impl FnOnce(&str) -> Result<T, Fault>) -> Result<Option<T>> {
        let Some(entry) = self.entries(key).last() else { return Ok(None) };
        parse(&entry.value).map(Some).map_err(|fault| self.error_at(entry, fault))
    }

    fn parse_all<T>(&self, key: &str, mut parse: impl FnMut(&str) -> Result<T, Fault>) -> Result<Vec<T>> {
        self.entries(key)
            .map(|entry| parse(&entry.value).map_err(|fault| self.error_at(entry, fault)))
            .collect()
    }

    fn parse_all_but_none(&self, key: &str) -> Result<Vec<Capability>> {
        let entries = self.entries(key).filter(|entry| entry.value != "none");
        entries
            .map(|entry| Capability::parse(&entry.value).map_err(|fault| self.error_at(entry, fault)))
            .collect()
    }

    fn error_at(&self, entry: &Entry, fault: Fault) -> Error {
        let setting = &self.state.settings[entry.setting];
        Error::new(&setting.file, fault).at(setting.line).key(&entry.key)
    }
}

impl<'a> Network<'a> {
    /// N of `lxc.net.N`.
    pub fn index(self) -> u32 {
        self.index
    }

    /// `type`; LXC takes a network without one as `empty`.
    pub fn kind(self) -> &'a str {
        self.config.state.net_type(self.index).unwrap_or("empty")
    }

    /// The value of a subkey of which the last assignment counts: `value("link")`.
    pub fn value(self, subkey: &str) -> Option<&'a str> {
        self.entries(subkey).last().map(|entry| entry.value.as_str())
    }

    /// The values of a subkey that may be repeated: `values("veth.ipv4.route")`.
    pub fn values(self, subkey: &str) -> impl Iterator<Item = &'a str> {
        self.entries(subkey).map(|entry| entry.value.as_str())
    }

    /// A subkey that holds a number: `mtu`, `vlan.id`, `veth.n_rxqueues`.
    pub fn number(self, subkey: &str) -> Result<Option<u32>> {
        self.parse(subkey, parse_unsigned).map(|values| values.last().copied())
    }

    /// Whether the interface is brought up.
    pub fn is_up(self) -> bool {
        self.value("flags") == Some("up")
    }

    /// `ipv4.address`.
    pub fn ipv4_addresses(self) -> Result<Vec<InterfaceAddress4>> {
        self.parse("ipv4.address", InterfaceAddress4::parse)
    }

    /// `ipv6.address`.
    pub fn ipv6_addresses(self) -> Result<Vec<InterfaceAddress6>> {
        self.parse("ipv6.address", InterfaceAddress6::parse)
    }

    /// `ipv4.gateway`.
    pub fn ipv4_gateway(self) -> Result<Option<Gateway4>> {
        self.parse("ipv4.gateway", Gateway4::parse).map(|values| values.last().copied())
    }

    /// `ipv6.gateway`.
    pub fn ipv6_gateway(self) -> Result<Option<Gateway6>> {
        self.parse("ipv6.gateway", Gateway6::parse).map(|values| values.last().copied())
    }

    fn entries(self, subkey: &str) -> impl Iterator<Item = &'a Entry> {
        let entries = self.config.state.entries.iter();
        entries.filter(move |entry| entry.net == Some(self.index) && entry.spec.name == subkey)
    }

    pub(crate) fn parse<T>(self, subkey: &str, parse: impl Fn(&str) -> Result<T, Fault>) -> Result<Vec<T>> {
        self.entries(subkey)
            .map(|entry| parse(&entry.value).map_err(|fault| self.config.error_at(entry, fault)))
            .collect()
    }
}
