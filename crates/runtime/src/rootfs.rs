//! Where a container's root file system comes from: the caller knows storage, this crate does not.

use hull_config::Config;
use hull_config::value::MountIdMap;
use hull_mount::{DetachedMount, MountPlan, Propagation};
use rustix::fd::BorrowedFd;
use std::any::Any;
use std::fmt;

use crate::error::{Error, Result};

/// Opens root file systems.
pub trait RootfsProvider {
    /// Readies the root file system that `config` names and builds its mount, its owners mapped through
    /// `userns` if given. `None`: the configuration names none, and the container shares the host's root.
    fn open(&self, config: &Config, userns: Option<BorrowedFd<'_>>) -> Result<Option<Rootfs>>;

    /// The container has stopped for good and everything of its run has been released.
    fn stopped(&self, config: &Config) -> Result<()> {
        let _ = config;
        Ok(())
    }
}

/// An opened root file system.
pub struct Rootfs {
    /// The mount.
    pub source: RootfsSource,
    /// What keeps it ready (a loop device, a lock); dropped when the container has stopped.
    pub held: Box<dyn Any>,
}

/// How the root file system arrives.
#[derive(Debug)]
pub enum RootfsSource {
    /// As a mount, built by the supervisor.
    Mount(DetachedMount),
    /// As a plan for the container's first process to build: the supervisor may not mount, but that process
    /// may, as root of its user namespace.
    Plan(MountPlan),
}

impl fmt::Debug for Rootfs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rootfs").field("source", &self.source).finish_non_exhaustive()
    }
}

/// `lxc.rootfs.options`, sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RootfsOptions {
    /// Options for [`MountPlan::options`].
    pub mount: Vec<String>,
    /// `idmap=`: through what owners are mapped.
    pub idmap: Option<MountIdMap>,
    /// Propagation of the root as the container sees it.
    pub propagation: Option<(Propagation, bool)>,
}

impl RootfsOptions {
    /// Reads the key from `config`.
    pub fn of(config: &Config) -> Result<Self> {
        let mut sorted = Self::default();
        let words = config.value("lxc.rootfs.options").unwrap_or_default().split(',').map(str::trim);
        for word in words.filter(|w| !w.is_empty()) {
            let spread = hull_mount::MountOptions::parse([word]).propagation;
            match (word.strip_prefix("idmap="), spread) {
                (Some(""), _) => {
                    return Err(Error::new(
                        "lxc.rootfs.options: idmap= names no map; write idmap=container or idmap=/proc/PID/ns/user",
                    ));
                }
                (Some("container"), _) => sorted.idmap = Some(MountIdMap::Container),
                (Some(path), _) => sorted.idmap = Some(MountIdMap::Path(path.to_owned())),
                (None, Some(spread)) => sorted.propagation = Some(spread),
                (None, None) => sorted.mount.push(word.to_owned()),
            }
        }
        Ok(sorted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn options_are_sorted() {
        let text = b"lxc.rootfs.options = nodev,idmap=container, rslave,ro\n";
        let config = Config::parse(text, Path::new("config"), None).expect("a configuration");
        let options = RootfsOptions::of(&config).expect("options");
        assert_eq!(options.mount, ["nodev", "ro"]);
        assert_eq!(options.idmap, Some(MountIdMap::Container));
        assert_eq!(options.propagation, Some((Propagation::Slave, true)));
    }
}
