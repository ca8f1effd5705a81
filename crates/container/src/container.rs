//! One container.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use hull_config::Config;
use hull_ipc::{Client, State};
use hull_storage::lock::{FileLock, Kind};
use hull_storage::{Error, ErrorKind, Layout, Locator, Result, files};

use crate::containers::{Containers, PATIENCE};

/// One container, which need not exist (yet, or any more).
#[derive(Debug)]
pub struct Container<'a> {
    pub(crate) all: &'a Containers,
    pub(crate) lxcpath: PathBuf,
    pub(crate) name: String,
}

impl<'a> Container<'a> {
    pub(crate) fn new(all: &'a Containers, lxcpath: &Path, name: &str) -> Self {
        Self { all, lxcpath: lxcpath.to_path_buf(), name: name.to_owned() }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its directory.
    pub fn home(&self) -> PathBuf {
        self.lxcpath.join(&self.name)
    }

    /// Its configuration file.
    pub fn config_path(&self) -> PathBuf {
        self.home().join("config")
    }

    /// Whether it has a configuration.
    pub fn is_defined(&self) -> bool {
        self.config_path().is_file()
    }

    /// Fails with [`ErrorKind::PermissionDenied`] when whether it is defined cannot be seen.
    pub(crate) fn require_readable(&self) -> Result<()> {
        match self.config_path().metadata() {
            Err(e) if e.kind() == std::io::ErrorKind::PermissionDenied => Err(Error::new(
                ErrorKind::PermissionDenied,
                format!("you may not look into {}: become its owner, or root", self.home().display()),
            )),
            _ => Ok(()),
        }
    }

    /// Its configuration, read now.
    pub fn config(&self) -> Result<Config> {
        Config::load(&self.config_path()).map_err(|e| Error::new(ErrorKind::InvalidInput, e.to_string()))
    }

    /// Its root file system; `None` for a container that shares the host's.
    pub fn rootfs(&self) -> Result<Option<Locator>> {
        self.rootfs_of(&self.config()?)
    }

    pub(crate) fn rootfs_of(&self, config: &Config) -> Result<Option<Locator>> {
        let Some(value) = config.value("lxc.rootfs.path").filter(|v| !v.is_empty()) else { return Ok(None) };
        match self.all.registry().locate(OsStr::new(value)) {
            Ok(at) => Ok(Some(at)),
            Err(e) => Err(e.with("in", self.config_path().display())),
        }
    }

    /// The layout of its root file system; `None` if it has none or it has vanished.
    pub(crate) fn layout(&self, at: Option<&Locator>) -> Result<Option<Layout>> {
        let Some(at) = at else { return Ok(None) };
        match self.all.store().driver(at.driver())?.layout(at) {
            Ok(layout) => Ok(Some(layout)),
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }

    pub(crate) fn store(&self) -> &'a hull_storage::Store {
        self.all.store()
    }

    /// A line to its monitor.
    pub fn client(&self) -> Client {
        Client::new(&self.lxcpath, &self.name, PATIENCE)
    }

    /// Its state now.
    pub fn state(&self) -> Result<State> {
        self.client().state().map_err(|e| Error::new(ErrorKind::Os, e.to_string()))
    }

    pub(crate) fn require_stopped(&self, to: &str) -> Result<()> {
        match self.state()? {
            State::Stopped => crate::running::require_unmarked(&self.home(), &format!("{to} it")),
            state => Err(Error::new(
                ErrorKind::InUse,
                format!("container {} is {}: stop it to {to} it", self.name, state.name()),
            )),
        }
    }

    pub(crate) fn lock(&self, kind: Kind) -> Result<FileLock> {
        self.all.lock(&self.lxcpath, &self.name, kind)
    }

    /// Fails with [`ErrorKind::InUse`] when it is not made yet, be it by Hull or LXC, be it now or by a command that
    /// was interrupted.
    pub fn require_complete(&self) -> Result<()> {
        if !files::exists(&self.home().join(hull_storage::host::PARTIAL))? {
            return Ok(());
        }
        let text = format!(
            "the creation of {} is not finished: wait for it, or run `hull recover` if it was interrupted",
            self.name
        );
        Err(Error::new(ErrorKind::InUse, text))
    }

    /// Fails with [`ErrorKind::NotFound`] when it is not defined (any more), and with [`ErrorKind::InUse`] while LXC
    /// is making it.
    pub(crate) fn require_defined(&self) -> Result<()> {
        if self.is_defined() {
            return crate::partial::require_not_in_the_making(self);
        }
        let text = format!("there is no container {} in {}", self.name, self.lxcpath.display());
        Err(Error::new(ErrorKind::NotFound, text))
    }

    /// Fails with [`ErrorKind::AlreadyExists`] when anything has its name.
    pub(crate) fn require_free(&self) -> Result<()> {
        if !files::exists(&self.home())? {
            return Ok(());
        }
        let text =
            format!("{} is there already: destroy it first or choose another name", self.home().display());
        Err(Error::new(ErrorKind::AlreadyExists, text))
    }
}
