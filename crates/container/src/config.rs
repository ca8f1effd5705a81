//! A container's configuration rewritten for another name or place.

use std::path::Path;

use hull_config::{Config, HardwareAddresses};
use hull_storage::{Error, ErrorKind, Locator, Result};

/// Turns a configuration error into one of this crate.
#[allow(clippy::needless_pass_by_value)] // so that `map_err` takes it as it is
pub(crate) fn failed(e: hull_config::Error) -> Error {
    Error::new(ErrorKind::InvalidInput, e.to_string())
}

/// What changes in a copy of a configuration.
pub(crate) struct Rewrite<'a> {
    pub old_home: &'a Path,
    pub new_home: &'a Path,
    pub rootfs: Option<&'a Locator>,
    /// The new host name; `None` keeps what is there.
    pub hostname: Option<&'a str>,
    pub addresses: HardwareAddresses,
}

/// The configuration `config` as it reads for the container in `new_home`.
pub(crate) fn rewritten(mut config: Config, change: &Rewrite<'_>) -> Result<Config> {
    config.set_origin(&change.new_home.join("config"));
    if change.old_home != change.new_home {
        config.replace_path_prefix(change.old_home, change.new_home).map_err(failed)?;
    }
    if let Some(at) = change.rootfs {
        set_rootfs(&mut config, at)?;
    }
    if let Some(name) = change.hostname {
        config.set("lxc.uts.name", name).map_err(failed)?;
    }
    config.randomise_hwaddr(change.addresses).map_err(failed)?;
    Ok(config)
}

/// Writes where the root file system is.
pub(crate) fn set_rootfs(config: &mut Config, at: &Locator) -> Result<()> {
    let text = at.to_os_string();
    let Some(text) = text.to_str() else {
        return Err(Error::new(
            ErrorKind::InvalidInput,
            format!("{at} is not UTF-8 text, so no container's config can name it: rename the directory"),
        ));
    };
    config.set("lxc.rootfs.path", text).map_err(failed)
}
