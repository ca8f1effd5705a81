//! Which namespaces a container gets of its own, shares with another, or keeps from the host.

use hull_config::Config;
use hull_config::value::Namespace;
use hull_ipc::Client;
use rustix::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use super::devices::open_namespace;
use crate::error::{Error, Result};

/// The choice.
#[derive(Debug)]
pub(crate) struct Chosen {
    /// The kinds that are new, as `CLONE_NEW…` bits.
    pub(crate) new: u64,
    /// Others' namespaces to join.
    pub(crate) shared: Vec<(Namespace, OwnedFd)>,
}

/// Chooses. `more` are shares asked for on the command line.
///
/// Fails when a namespace to share cannot be opened.
pub(crate) fn choose(config: &Config, lxcpath: &Path, more: &[(Namespace, String)]) -> Result<Chosen> {
    let configured = config.namespaces().map_err(|e| Error::new(e.to_string()))?;
    let has_maps = !config.id_maps().map_err(|e| Error::new(e.to_string()))?.is_empty();
    let (boot, monotonic) = config.time_offsets().map_err(|e| Error::new(e.to_string()))?;
    let has_offsets = boot.is_some() || monotonic.is_some();
    let no_network = config.networks().any(|n| n.kind() == "none");
    let by_default = |kind: Namespace| match kind {
        Namespace::User => has_maps,
        Namespace::Time => has_offsets,
        Namespace::Net => !no_network,
        _ => true,
    };
    let shares: Vec<_> = configured.share.iter().chain(more).collect();
    let mut new = 0;
    for kind in Namespace::ALL {
        let cloned = configured.clone.as_ref().map(|set| set.contains(&kind));
        let kept = configured.keep.as_ref().is_some_and(|set| set.contains(&kind));
        let shared = shares.iter().any(|(k, _)| *k == kind);
        // Maps and offsets are orders of their own: without the namespace they would be dropped silently.
        let ordered = (kind == Namespace::User && has_maps) || (kind == Namespace::Time && has_offsets);
        if !shared && !kept && (cloned.unwrap_or_else(|| by_default(kind)) || ordered) && is_supported(kind) {
            new |= kind.clone_flag();
        }
    }
    let shared = shares
        .into_iter()
        .map(|(kind, whose)| open_shared(*kind, whose, lxcpath).map(|fd| (*kind, fd)))
        .collect::<Result<_>>()?;
    Ok(Chosen { new, shared })
}

fn is_supported(kind: Namespace) -> bool {
    Path::new("/proc/self/ns").join(kind.name()).exists()
}

/// `whose` is a process id, a path, or the name of a running container.
fn open_shared(kind: Namespace, whose: &str, lxcpath: &Path) -> Result<OwnedFd> {
    let key = format!("lxc.namespace.share.{} = {whose}", kind.name());
    // A container of another lxcpath is written as a path, too; its end is a directory then.
    if whose.starts_with('/') && !Path::new(whose).is_dir() {
        return open_namespace(whose).map_err(|e| e.during(key));
    }
    let pid = match whose.parse::<u32>() {
        Ok(pid) => pid.to_string(),
        Err(_) => {
            let (other, name) = whose.rsplit_once('/').map_or((lxcpath, whose), |(p, n)| (Path::new(p), n));
            let asked = Client::new(other, name, Duration::from_secs(10)).init_pid();
            let pid = asked.map_err(|e| Error::new(format!("{key}: {e}; start it first")))?;
            pid.ok_or_else(|| Error::new(format!("{key}: container {name} has no init; start it first")))?
                .to_string()
        }
    };
    open_namespace(format!("/proc/{pid}/ns/{}", kind.name())).map_err(|e| e.during(key))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hull_sys::process::namespace as bits;

    fn chosen(text: &str) -> Result<u64> {
        let config = Config::parse(text.as_bytes(), Path::new("config"), None).expect("a configuration");
        choose(&config, Path::new("/nonexistent"), &[]).map(|c| c.new)
    }

    #[test]
    fn keys_add_and_remove_kinds() {
        let usual = bits::MOUNT | bits::PID | bits::UTS | bits::IPC | bits::NETWORK | bits::CGROUP;
        let cases = [
            ("", usual),
            ("lxc.net.0.type = none\n", usual & !bits::NETWORK),
            ("lxc.idmap = b 0 100000 65536\n", usual | bits::USER),
            ("lxc.time.offset.boot = 5s\n", usual | bits::TIME),
            ("lxc.namespace.keep = ipc pid\n", usual & !bits::IPC & !bits::PID),
            ("lxc.namespace.clone = mnt\n", bits::MOUNT),
            ("lxc.namespace.clone = mnt\nlxc.idmap = b 0 100000 65536\n", bits::MOUNT | bits::USER),
            ("lxc.namespace.share.uts = /proc/self/ns/uts\n", usual & !bits::UTS),
        ];
        for (text, want) in cases {
            assert_eq!(chosen(text).expect(text), want, "{text}");
        }
    }

    #[test]
    fn absent_partners_are_refused() {
        let line = chosen("lxc.namespace.share.net = nobody\n").expect_err("not running").to_string();
        assert!(
            line.contains("lxc.namespace.share.net = nobody") && line.contains("start it first"),
            "{line}"
        );
    }
}
