//! Values as LXC's `get_config_item` prints them.

use crate::RootfsPath;
use crate::config::Config;
use crate::keys::{self, Family, Key, Repeat};
use crate::value::{Namespace, Value, merge_mount_auto};

impl Config {
    /// The value of a key as LXC's `get_config_item` gives it: lists with each element on its own line,
    /// families as `key = value` lines, LXC's default when the key is not set.
    ///
    /// `None` when LXC has nothing to say: the key does not exist, or is of a network that does not.
    pub fn get(&self, key: &str) -> Option<String> {
        let key = keys::lookup(key)?;
        if key.spec.family == Family::Net {
            return key.net.is_none().then(|| self.network_types());
        }
        if let Some(index) = key.net {
            return self.get_net(&key, index);
        }
        if key.spec.family == Family::Suffix && key.suffix.is_none() {
            let members =
                self.state.entries.iter().filter(|entry| entry.spec == key.spec && entry.net.is_none());
            return Some(
                members
                    .map(|entry| format!("{} = {}\n", entry.key, print(&key_of(entry), &entry.value)))
                    .collect(),
            );
        }
        Some(self.print_values(&key))
    }

    /// The keys below `prefix` that can be asked for: all keys for an empty prefix, the subkeys of a network
    /// for `lxc.net.N`. As LXC's `get_keys`, full names instead of what follows the prefix.
    pub fn keys(&self, prefix: &str) -> Vec<String> {
        let prefix = prefix.strip_suffix('.').unwrap_or(prefix);
        if let Some(Key { net: Some(index), suffix: None, .. }) = keys::lookup(prefix) {
            return self.net_keys(index);
        }
        let below = |name: &str| {
            prefix.is_empty()
                || name == prefix
                || name.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('.'))
        };
        keys::KEYS.iter().map(|spec| spec.name).filter(|name| below(name)).map(ToOwned::to_owned).collect()
    }

    fn net_keys(&self, index: u32) -> Vec<String> {
        let kind = self.state.net_type(index).unwrap_or_default();
        let applies = |name: &str| {
            let owner = ["macvlan", "ipvlan", "vlan", "veth"]
                .into_iter()
                .find(|owner| name.strip_prefix(owner).is_some_and(|rest| rest.starts_with('.')));
            owner.is_none_or(|owner| owner == kind)
        };
        let names = keys::NET_KEYS.iter().map(|spec| spec.name).filter(|name| applies(name));
        names.map(|name| format!("lxc.net.{index}.{name}")).collect()
    }

    fn network_types(&self) -> String {
        let kinds = self.network_indices();
        kinds.map(|index| format!("{}\n", self.state.net_type(index).unwrap_or("empty"))).collect()
    }

    fn get_net(&self, key: &Key, index: u32) -> Option<String> {
        self.network_indices().find(|known| *known == index)?;
        let kind = self.state.net_type(index);
        let foreign = ["macvlan", "ipvlan", "vlan", "veth"].into_iter().any(|owner| {
            kind != Some(owner) && key.spec.name.strip_prefix(owner).is_some_and(|rest| rest.starts_with('.'))
        });
        if foreign {
            return None;
        }
        if key.spec.name == "type" && kind.is_none() {
            return Some("empty".to_owned());
        }
        Some(self.print_values(key))
    }

    fn print_values(&self, key: &Key) -> String {
        let values: Vec<&str> = self.values(&key.name).collect();
        match (key.spec.value, key.spec.repeat) {
            (Value::MountAuto, _) => merge_mount_auto(values.into_iter()),
            (Value::Namespace, _) => Namespace::ALL
                .into_iter()
                .map(Namespace::name)
                .filter(|name| values.contains(name))
                .map(|name| format!("{name}\n"))
                .collect(),
            (Value::GroupIds, _) => print_all(key, &values, ","),
            // LXC ends these lists without a line end.
            (Value::IdMap, _) | (_, Repeat::Each) if key.net.is_some() || key.spec.value == Value::IdMap => {
                print_all(key, &values, "\n")
            }
            (Value::CapabilityOrNone, _) => values
                .into_iter()
                .filter(|value| *value != "none")
                .map(|value| format!("{value}\n"))
                .collect(),
            (_, Repeat::Each | Repeat::Words) => {
                values.into_iter().map(|value| format!("{}\n", print(key, value))).collect()
            }
            (_, Repeat::Last) => {
                values.last().map_or_else(|| key.spec.default.to_owned(), |value| print(key, value))
            }
        }
    }
}

fn key_of(entry: &crate::state::Entry) -> Key {
    Key { name: entry.key.clone(), spec: entry.spec, suffix: entry.suffix.clone(), net: entry.net }
}

fn print_all(key: &Key, values: &[&str], separator: &str) -> String {
    values.iter().map(|value| print(key, value)).collect::<Vec<_>>().join(separator)
}

fn print(key: &Key, value: &str) -> String {
    if key.spec.name == "lxc.rootfs.path" {
        return RootfsPath::new(value).path().to_owned();
    }
    let text = key.spec.value.canonical(key.suffix.as_deref(), value).unwrap_or_else(|_| value.to_owned());
    match key.spec.name {
        // LXC prints the two clocks differently, and ends both lines.
        "lxc.time.offset.boot" => match text.find(|c: char| c.is_ascii_alphabetic()) {
            Some(unit) => format!("{} {}\n", &text[..unit], &text[unit..]),
            None => text,
        },
        "lxc.time.offset.monotonic" => format!("{text}\n"),
        _ => text,
    }
}
