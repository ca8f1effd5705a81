//! The drivers of a build, and locators made from text.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use crate::driver::Driver;
use crate::error::{Error, ErrorKind, Result};
use crate::name::{DriverName, Locator};

/// Everything the registry needs to know about a driver crate.
#[derive(Clone, Copy)]
pub struct Registration {
    /// The name written before the colon.
    pub name: DriverName,
    /// Other names that are read (`overlayfs` for `overlay`), never written.
    pub aliases: &'static [&'static str],
    /// One sentence for people: what the store is.
    pub summary: &'static str,
    /// Recognises an untagged path, as LXC before 2.1 wrote them; asked in registration order.
    pub detect: fn(&Path) -> bool,
    /// Whether the store can be used on this host by this process, looked up now.
    pub probe: fn(&Settings) -> Availability,
    /// Makes the driver. Cheap: it looks at nothing.
    pub open: fn(&Settings) -> Arc<dyn Driver>,
}

impl fmt::Debug for Registration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Registration({})", self.name)
    }
}

/// Whether a store can be used here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Availability {
    /// It can; the notes say what works less well than it could.
    Ready {
        /// One line each.
        notes: Vec<String>,
    },
    /// It cannot.
    Missing {
        /// Exactly why.
        why: String,
        /// What would help.
        remedy: String,
    },
}

/// A store that locators may name but this build has no driver for.
#[derive(Clone, Copy, Debug)]
pub struct Absent {
    /// The name written before the colon.
    pub name: DriverName,
    /// Why there is no driver, and what to do instead.
    pub why: &'static str,
}

/// Values for drivers from the global configuration, by LXC's key (`lxc.bdev.zfs.root`).
#[derive(Clone, Debug, Default)]
pub struct Settings {
    values: Vec<(String, String)>,
}

impl Settings {
    /// The settings with one more value.
    #[must_use]
    pub fn with(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.values.push((key.into(), value.into()));
        self
    }

    /// All values, in the order in which they were set.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.values.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// The value of `key`; the last one set wins.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.values.iter().rev().find(|(k, _)| k == key).map(|(_, v)| v.as_str())
    }
}

/// The drivers of a build, in detection order.
#[derive(Clone, Debug, Default)]
pub struct Registry {
    drivers: Vec<Registration>,
    absent: Vec<Absent>,
}

impl Registry {
    /// The registry with one more driver.
    #[must_use]
    pub fn with(mut self, registration: Registration) -> Self {
        self.drivers.push(registration);
        self
    }

    /// The registry with a store that is known but not offered.
    #[must_use]
    pub fn without(mut self, absent: Absent) -> Self {
        self.absent.push(absent);
        self
    }

    /// Every driver, in detection order.
    pub fn drivers(&self) -> &[Registration] {
        &self.drivers
    }

    /// Every store that is known but not offered.
    pub fn absent(&self) -> &[Absent] {
        &self.absent
    }

    /// The driver called `name`, by its whole name or an alias. LXC takes any prefix; `o` is no name here.
    pub fn resolve(&self, name: &str) -> Result<&Registration> {
        if let Some(found) =
            self.drivers.iter().find(|r| r.name.as_str() == name || r.aliases.contains(&name))
        {
            return Ok(found);
        }
        if let Some(absent) = self.absent.iter().find(|a| a.name.as_str() == name) {
            return Err(Error::new(
                ErrorKind::Unsupported,
                format!("the store {name} is not offered: {}", absent.why),
            ));
        }
        let known: Vec<&str> = self.drivers.iter().map(|r| r.name.as_str()).collect();
        Err(Error::new(
            ErrorKind::InvalidInput,
            format!("there is no store called {name:?}; this build has {}", known.join(", ")),
        ))
    }

    /// Reads a locator as `lxc.rootfs.path` writes it, modern (`btrfs:/srv/x`) or legacy (a bare path).
    ///
    /// The text is split at the first colon; what comes before must be a store's whole name. A bare path is
    /// a volume of the first driver that recognises it, which is the only time anything is looked up. A
    /// locator of a store that is known but not offered is read, too, so that it can be kept and shown.
    pub fn locate(&self, text: &OsStr) -> Result<Locator> {
        let bytes = text.as_bytes();
        let invalid = |why: String| Err(Error::new(ErrorKind::InvalidInput, why));
        let shown = text.to_string_lossy().into_owned();
        if bytes.is_empty() {
            return invalid("the locator is empty: write STORE:PLACE, for example dir:/srv/rootfs".into());
        }
        if bytes.contains(&0) || bytes.contains(&b'\n') {
            return invalid(format!(
                "the locator {shown:?} holds a NUL or newline byte, which no config can keep"
            ));
        }
        if bytes[0] == b'/' {
            return self.detect(Path::new(text));
        }
        let Some(colon) = bytes.iter().position(|&b| b == b':') else {
            return invalid(format!("{shown:?} is neither an absolute path nor STORE:PLACE"));
        };
        let (name, place) = (&bytes[..colon], OsStr::from_bytes(&bytes[colon + 1..]));
        let name = String::from_utf8_lossy(name);
        let driver = match self.resolve(&name) {
            Ok(registration) => registration.name,
            Err(e) => self.absent.iter().find(|a| a.name.as_str() == name).map(|a| a.name).ok_or(e)?,
        };
        if place.is_empty() {
            return invalid(format!("the locator {shown:?} names no place after the colon"));
        }
        Ok(Locator::new(driver, place))
    }

    /// The volume at a path that names no store.
    fn detect(&self, path: &Path) -> Result<Locator> {
        match self.drivers.iter().find(|r| (r.detect)(path)) {
            Some(found) => Ok(Locator::new(found.name, path)),
            None => Err(Error::new(
                ErrorKind::NotFound,
                format!("no store recognises {}: write STORE:PLACE if it is yet to be made", path.display()),
            )),
        }
    }
}
