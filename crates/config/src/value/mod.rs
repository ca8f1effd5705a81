//! What the values of a key are: how each kind is read, checked and printed.

mod capability;
mod idmap;
mod mount;
mod mount_auto;
mod namespace;
mod network;
mod process;
mod scalar;
mod signal;

pub use capability::Capability;
pub use idmap::{IdKind, IdMap, check_id_maps};
pub use mount::{Create, MountEntry, MountIdMap, Propagation, PropagationKind, Recursive, RootfsOptions};
pub use mount_auto::{AutoMounts, CgroupAuto, CgroupView, ProcAuto, SharedMounts, SysAuto};
pub use namespace::Namespace;
pub use network::{Gateway4, Gateway6, HardwareAddress, InterfaceAddress4, InterfaceAddress6};
pub use process::{Environment, Limit, Personality, limit_number};
pub use scalar::TimeOffset;
pub use signal::Signal;

pub(crate) use mount_auto::merge as merge_mount_auto;
pub(crate) use scalar::{parse_buffer_size, parse_signed, parse_unsigned};

use crate::error::Fault;

/// The kinds of values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value {
    /// Any text.
    Text,
    /// A path, or what a key accepts in place of one.
    Path,
    /// `0` or `1`.
    Flag,
    /// A number from 0 to 2^32-1, decimal, `0x` or octal with a leading `0`.
    Unsigned,
    /// A number that fits a C int.
    Signed,
    /// A user or group id.
    Id,
    /// Group ids, separated by commas.
    GroupIds,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// A machine name as `uname -m` prints it, or one of LXC's synonyms.
    Arch,
    /// A buffer's size in bytes, with an optional unit, or `auto`; rounded up to a power of two.
    BufferSize,
    /// A capability's name in lower case without `cap_`, or its number.
    Capability,
    /// A capability, or `none`.
    CapabilityOrNone,
    /// A cgroup path without `..`.
    CgroupPath,
    /// `NAME=value`, or `NAME` to inherit.
    Environment,
    /// A host name.
    HostName,
    /// `u|g|b inside outside count`.
    IdMap,
    /// `soft[:hard]`.
    Limit,
    /// A log level by name or number.
    LogLevel,
    /// A syslog facility.
    SyslogFacility,
    /// One automatic mount.
    MountAuto,
    /// A line of an fstab.
    MountEntry,
    /// Mount options of the root file system.
    RootfsOptions,
    /// A namespace's name.
    Namespace,
    /// A signal's name or number.
    Signal,
    /// A number with a unit of time.
    TimeOffset,
    /// `unix:/path`.
    UnixSocket,
    /// `up`.
    NetFlags,
    /// A MAC address or a template with `x`.
    HardwareAddress,
    /// The name of a network interface.
    InterfaceName,
    /// An interface's MTU.
    Mtu,
    /// A number of queues.
    Queues,
    /// A VLAN id of a bridge port.
    VlanId,
    /// A VLAN id of a bridge port, or `none`.
    VlanIdOrNone,
    /// The tag of a vlan interface.
    VlanTag,
    /// An address with an optional prefix length and broadcast address.
    Ipv4Address,
    /// An address, `auto` or `dev`.
    Ipv4Gateway,
    /// An address with its prefix length.
    Ipv4Network,
    /// An address with an optional prefix length.
    Ipv6Address,
    /// An address, `auto` or `dev`.
    Ipv6Gateway,
    /// An address with its prefix length.
    Ipv6Network,
}

impl Value {
    /// Checks a value and gives the spelling in which LXC prints it.
    ///
    /// `suffix` is what followed the name of the key's family. Fails when LXC, or the kernel later,
    /// would refuse the value.
    pub fn canonical(self, suffix: Option<&str>, value: &str) -> Result<String, Fault> {
        Ok(match self {
            Self::Text | Self::Path => value.to_owned(),
            Self::Flag => scalar::parse_flag(value).map(|flag| u8::from(flag).to_string())?,
            Self::Unsigned => parse_unsigned(value)?.to_string(),
            Self::Signed => parse_signed(value)?.to_string(),
            Self::Id => scalar::parse_id(value)?.to_string(),
            Self::GroupIds => scalar::parse_id(value.trim())?.to_string(),
            Self::OneOf(words) => scalar::parse_word(words, value)?.to_owned(),
            Self::Arch => Personality::parse(value)?.to_string(),
            Self::BufferSize => scalar::parse_buffer_size(value)?.to_string(),
            Self::Capability => Capability::parse(value).map(|_| value.to_owned())?,
            Self::CapabilityOrNone if value == "none" => value.to_owned(),
            Self::CapabilityOrNone => Capability::parse(value).map(|_| value.to_owned())?,
            Self::CgroupPath => scalar::check_cgroup_path(value).map(|()| value.to_owned())?,
            Self::Environment => Environment::parse(value).map(|_| value.to_owned())?,
            Self::HostName => scalar::check_host_name(value).map(|()| value.to_owned())?,
            Self::IdMap => IdMap::parse(value)?.to_string(),
            Self::Limit => {
                let name = suffix.unwrap_or_default();
                limit_number(name)?;
                Limit::parse(value)?.to_string()
            }
            Self::LogLevel => scalar::parse_log_level(value)?.to_owned(),
            Self::SyslogFacility => scalar::parse_syslog_facility(value)?.to_owned(),
            Self::MountAuto => mount_auto::check(value).map(|()| value.to_owned())?,
            Self::MountEntry => MountEntry::parse(value).map(|_| value.to_owned())?,
            Self::RootfsOptions => RootfsOptions::parse(value).map(|_| value.to_owned())?,
            Self::Namespace => Namespace::parse(value)?.name().to_owned(),
            Self::Signal => Signal::parse(value)?.number().to_string(),
            Self::TimeOffset => TimeOffset::parse(value)?.to_string(),
            Self::UnixSocket => scalar::parse_unix_socket(value)?.to_owned(),
            Self::NetFlags => scalar::parse_word(&["up"], value)?.to_owned(),
            Self::HardwareAddress => {
                network::check_hardware_address(value)?;
                value.to_owned()
            }
            Self::InterfaceName => network::check_interface_name(value).map(|()| value.to_owned())?,
            Self::Mtu => network::parse_mtu(value)?.to_string(),
            Self::Queues => network::parse_queues(value)?.to_string(),
            Self::VlanId => network::parse_vlan_id(value)?.to_string(),
            Self::VlanIdOrNone if value == "none" => "-1".to_owned(),
            Self::VlanIdOrNone => network::parse_vlan_id(value)?.to_string(),
            Self::VlanTag => network::parse_vlan_tag(value)?.to_string(),
            Self::Ipv4Address => InterfaceAddress4::parse(value)?.to_string(),
            Self::Ipv4Gateway => Gateway4::parse(value)?.to_string(),
            Self::Ipv4Network => network::parse_network4(value)?,
            Self::Ipv6Address => InterfaceAddress6::parse(value)?.to_string(),
            Self::Ipv6Gateway => Gateway6::parse(value)?.to_string(),
            Self::Ipv6Network => network::parse_network6(value)?,
        })
    }
}
