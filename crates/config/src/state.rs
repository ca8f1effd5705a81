//! The values in effect: assignments applied one after another, as LXC does.

use std::path::Path;
use std::sync::Arc;

use crate::error::{Error, Fault, Result, quoted};
use crate::keys::{self, Family, Key, KeySpec, Repeat};
use crate::legacy::{self, Modern};
use crate::value::Value;

/// More assignments than this are refused: applying them takes time that grows with their square.
const MOST_SETTINGS: usize = 1 << 13;

/// One assignment as it stands in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// The key in its modern spelling.
    pub key: String,
    /// The value as written, without quotes; empty for an assignment that clears.
    pub value: String,
    /// The file.
    pub file: Arc<Path>,
    /// The line, counted from 1.
    pub line: usize,
    /// The pre-2.1 key the file uses in place of `key`. LXC 3.0 and later refuse it.
    pub legacy: Option<String>,
}

/// One element of the values in effect.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) spec: &'static KeySpec,
    pub(crate) suffix: Option<String>,
    pub(crate) net: Option<u32>,
    pub(crate) value: String,
    /// The index of the assignment it comes from.
    pub(crate) setting: usize,
}

/// What the assignments so far amount to.
#[derive(Debug, Clone, Default)]
pub(crate) struct State {
    pub(crate) settings: Vec<Setting>,
    pub(crate) entries: Vec<Entry>,
}

impl State {
    /// Applies one assignment. On failure nothing has changed.
    pub(crate) fn apply(&mut self, key: &str, value: &str, file: &Arc<Path>, line: usize) -> Result<()> {
        let error = |fault| Error::new(file, fault).at(line).key(key);
        if self.settings.len() >= MOST_SETTINGS {
            return Err(error(Fault::new(
                format!("more than {MOST_SETTINGS} settings"),
                "split the container's configuration or remove repetitions",
            )));
        }
        let (modern, value, legacy) = match legacy::modernise(key, value, self) {
            None => (key.to_owned(), value.to_owned(), None),
            Some(Modern::Dropped) => return Ok(()),
            Some(Modern::Key(modern, value)) => {
                let legacy = (modern != key).then(|| key.to_owned());
                (modern, value, legacy)
            }
        };
        let found = keys::lookup(&modern).ok_or_else(|| error(unknown(&modern)))?;
        let elements = self.check(&found, &value).map_err(error)?;
        let setting = self.settings.len();
        self.settings.push(Setting { key: found.name.clone(), value, file: file.clone(), line, legacy });
        self.put(&found, elements, setting);
        Ok(())
    }

    /// The type of network `index`.
    pub(crate) fn net_type(&self, index: u32) -> Option<&str> {
        self.entries
            .iter()
            .find(|entry| entry.net == Some(index) && entry.spec.name == "type")
            .map(|entry| entry.value.as_str())
    }

    /// The values of one key.
    pub(crate) fn values(&self, key: &str) -> impl Iterator<Item = &str> {
        self.entries.iter().filter(move |entry| entry.key == key).map(|entry| entry.value.as_str())
    }

    /// Splits a value into its elements and checks them; no elements means the key is cleared.
    fn check(&self, key: &Key, value: &str) -> Result<Vec<String>, Fault> {
        if value.is_empty() {
            return Ok(Vec::new());
        }
        if key.suffix.is_none() && key.spec.family != Family::Exact {
            return Err(Fault::new(
                format!("the key takes no value, but has {}", quoted(value)),
                format!("write \"{0}.NAME = value\", or \"{0} =\" to clear", key.name),
            ));
        }
        self.check_rivals(key)?;
        if let Some(index) = key.net {
            self.check_net(key, index)?;
        }
        if key.spec.name == "lxc.namespace.share" {
            crate::value::Namespace::parse(key.suffix.as_deref().unwrap_or_default())?;
        }
        let elements: Vec<String> = match key.spec.repeat {
            Repeat::Words if key.spec.value == Value::GroupIds => {
                value.split(',').map(|word| word.trim().to_owned()).collect()
            }
            Repeat::Words => value.split_whitespace().map(ToOwned::to_owned).collect(),
            Repeat::Last | Repeat::Each => vec![value.to_owned()],
        };
        for element in &elements {
            key.spec.value.canonical(key.suffix.as_deref(), element)?;
        }
        Ok(elements)
    }

    /// Two pairs of keys exclude each other.
    fn check_rivals(&self, key: &Key) -> Result<(), Fault> {
        let rival = match key.spec.name {
            "lxc.cap.drop" => "lxc.cap.keep",
            "lxc.cap.keep" => "lxc.cap.drop",
            "lxc.namespace.clone" => "lxc.namespace.keep",
            "lxc.namespace.keep" => "lxc.namespace.clone",
            _ => return Ok(()),
        };
        match self.entries.iter().find(|entry| entry.key == rival) {
            None => Ok(()),
            Some(entry) => {
                let at = &self.settings[entry.setting];
                Err(Fault::new(
                    format!("{rival} is set as well, in {}:{}", at.file.display(), at.line),
                    format!("clear it with \"{rival} =\" first; the two exclude each other"),
                ))
            }
        }
    }

    /// Some subkeys belong to one type of network, which must be known before.
    fn check_net(&self, key: &Key, index: u32) -> Result<(), Fault> {
        let Some(needed) = ["macvlan", "ipvlan", "vlan", "veth"]
            .into_iter()
            .find(|kind| key.spec.name.strip_prefix(kind).is_some_and(|rest| rest.starts_with('.')))
        else {
            return Ok(());
        };
        match self.net_type(index) {
            Some(kind) if kind == needed => Ok(()),
            Some(kind) => Err(Fault::new(
                format!("network {index} has type {kind}, not {needed}"),
                format!("remove the line or set lxc.net.{index}.type = {needed} before it"),
            )),
            None => Err(Fault::new(
                format!("network {index} has no type yet"),
                format!("write lxc.net.{index}.type = {needed} above"),
            )),
        }
    }

    fn put(&mut self, key: &Key, elements: Vec<String>, setting: usize) {
        let whole_net = key.net.is_some() && (key.suffix.is_none() || key.spec.name == "type");
        if key.spec.family == Family::Net && key.net.is_none() {
            self.entries.retain(|entry| entry.net.is_none());
        } else if whole_net {
            // A network's type begins it anew: LXC forgets what it was told about the old one.
            self.entries.retain(|entry| entry.net != key.net);
        } else if elements.is_empty() && key.suffix.is_none() && key.spec.family == Family::Suffix {
            self.entries.retain(|entry| entry.spec != key.spec || entry.net.is_some());
        } else if elements.is_empty() {
            self.entries.retain(|entry| entry.key != key.name);
        }
        for element in elements {
            // "none" in lxc.cap.keep drops what was listed before it.
            if key.spec.value == Value::CapabilityOrNone && element == "none" {
                self.entries.retain(|entry| entry.key != key.name);
            }
            let entry = Entry {
                key: key.name.clone(),
                spec: key.spec,
                suffix: key.suffix.clone(),
                net: key.net,
                value: element,
                setting,
            };
            let old = (key.spec.repeat == Repeat::Last)
                .then(|| self.entries.iter_mut().find(|entry| entry.key == key.name))
                .flatten();
            match old {
                Some(old) => *old = entry,
                None => self.entries.push(entry),
            }
        }
    }
}

fn unknown(key: &str) -> Fault {
    Fault::new(
        "no such key",
        format!("{} is the closest Hull knows; correct the line or remove it", keys::closest(key)),
    )
}
