//! What is known of a container from outside: its state, its addresses, what it uses.

mod network;
mod usage;

use hull_config::Config;
use hull_container::Container;
use hull_ipc::State;

use crate::errors::Failure;

pub(crate) use network::links;
pub(crate) use usage::{Usage, usage};

/// What is known of a container.
#[derive(Debug)]
pub(crate) struct Facts {
    /// Its name.
    pub(crate) name: String,
    /// What it is doing.
    pub(crate) state: State,
    /// The process number of its init, while it runs.
    pub(crate) pid: Option<i32>,
    /// Whether it has a configuration.
    pub(crate) defined: bool,
    /// Whether it starts with the machine.
    pub(crate) autostart: bool,
    /// The groups it is in.
    pub(crate) groups: Vec<String>,
    /// Whether its users are mapped to others outside.
    pub(crate) unprivileged: bool,
    /// Its network interfaces.
    pub(crate) interfaces: Vec<String>,
    /// Its addresses, without those of the loopback interface.
    pub(crate) ipv4: Vec<String>,
    /// As [`Facts::ipv4`], and without link-local ones.
    pub(crate) ipv6: Vec<String>,
}

impl Facts {
    /// Asks the monitor, the configuration and `/proc`.
    pub(crate) fn gather(container: &Container<'_>) -> Result<Self, Failure> {
        let state = container.state()?;
        let pid = match state {
            State::Stopped => None,
            _ => container.client().init_pid()?,
        };
        let defined = container.is_defined();
        let config = if defined { container.config()? } else { Config::empty() };
        Ok(Self {
            name: container.name().to_owned(),
            state,
            pid,
            defined,
            autostart: config.flag("lxc.start.auto", false),
            groups: config.values("lxc.group").map(str::to_owned).collect(),
            unprivileged: !config.id_maps()?.is_empty(),
            interfaces: pid.map(network::interfaces).unwrap_or_default(),
            ipv4: pid.map(network::ipv4).unwrap_or_default(),
            ipv6: pid.map(network::ipv6).unwrap_or_default(),
        })
    }
}
