//! What a configuration asks for that this runtime does not do, told before the start.
//!
//! A key that takes something away from the container and is not carried out refuses the start, unless the
//! user overrides it by name; any other is a warning.

use hull_config::Config;

/// A key that is not carried out here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsupported {
    /// The key.
    pub key: String,
    /// Whether leaving it out gives the container what the key denies it.
    pub confines: bool,
    /// Why it is not carried out, and what to do.
    pub reason: String,
}

impl Unsupported {
    /// The line for people who want to start the container.
    pub fn refusal(&self) -> String {
        format!("{}: {}; to start without it, give --allow-unconfined {}", self.key, self.reason, self.key)
    }
}

/// Keys accepted without effect, and why that harms nobody who reads the line.
const IGNORED: [(&str, &str); 10] = [
    (
        "lxc.monitor.unshare",
        "the monitor mounts nothing in its own namespace, so there is nothing to unshare",
    ),
    ("lxc.log.syslog", "logging to syslog is not built yet"),
    ("lxc.apparmor.allow_incomplete", "there is no AppArmor support yet"),
    ("lxc.apparmor.allow_nesting", "there is no AppArmor support yet"),
    ("lxc.seccomp.allow_nesting", "filters stack anyway; a container inside may add its own"),
    ("lxc.seccomp.notify.cookie", "system calls are not handed to a listener yet"),
    ("lxc.console.rotate", "console logs are not rotated yet"),
    ("lxc.console.size", "console logs are not limited yet"),
    ("lxc.selinux.context.keyring", "there is no SELinux support yet"),
    ("lxc.cgroup.dir.monitor.pivot", "the monitor does not need a pivot group"),
];

/// Lists the keys set in `config` that would not be carried out on this machine.
pub fn unsupported(config: &Config) -> Vec<Unsupported> {
    let mut found = Vec::new();
    let mut note = |key: &str, confines: bool, reason: &str| {
        found.push(Unsupported { key: key.to_owned(), confines, reason: reason.to_owned() });
    };
    let is_set = |key: &str| config.values(key).any(|v| !v.is_empty());
    if is_set("lxc.seccomp.notify.proxy") {
        note("lxc.seccomp.notify.proxy", true, "system calls are not handed to a listener yet");
    }
    for key in ["lxc.apparmor.profile", "lxc.apparmor.raw"] {
        let lax = config.value(key).is_some_and(|v| v == "unconfined" || v == "unchanged");
        if is_set(key) && !lax {
            // As in LXC, what the kernel does not have is passed over with a warning.
            let has = hull_security::lsm::has_apparmor();
            note(
                key,
                has,
                if has { "AppArmor profiles are not built yet" } else { "this kernel has no AppArmor" },
            );
        }
    }
    if is_set("lxc.selinux.context") {
        let has = hull_security::lsm::has_selinux();
        let reason = if has { "SELinux contexts are not built yet" } else { "this kernel has no SELinux" };
        note("lxc.selinux.context", has, reason);
    }
    if config.flag("lxc.sched.core", false) {
        note("lxc.sched.core", true, "core scheduling is not built yet");
    }
    for network in config.networks() {
        if !matches!(network.kind(), "empty" | "none") {
            let reason = format!(
                "networks of type {} are not built yet; set lxc.net.{}.type = empty (only lo) or none (the host's)",
                network.kind(),
                network.index()
            );
            note(&format!("lxc.net.{}.type", network.index()), true, &reason);
        }
    }
    if config.auto_mounts().is_ok_and(|a| a.shmounts.is_some()) {
        note("lxc.mount.auto", false, "shmounts is not built yet: mounts cannot be injected later");
    }
    for (key, reason) in IGNORED {
        if is_set(key) && config.value(key) != Some("0") {
            note(key, false, reason);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn of(text: &str) -> Vec<(String, bool)> {
        let config = Config::parse(text.as_bytes(), Path::new("config"), None).expect("a configuration");
        unsupported(&config).into_iter().map(|u| (u.key, u.confines)).collect()
    }

    #[test]
    fn what_confines_is_told_apart() {
        assert_eq!(of("lxc.uts.name = c1\nlxc.net.0.type = empty\n"), []);
        assert_eq!(
            of("lxc.seccomp.notify.proxy = unix:/x\n"),
            [("lxc.seccomp.notify.proxy".to_owned(), true)]
        );
        assert_eq!(of("lxc.seccomp.notify.proxy =\n"), []);
        assert_eq!(of("lxc.net.3.type = veth\n"), [("lxc.net.3.type".to_owned(), true)]);
        assert_eq!(of("lxc.console.rotate = 1\n"), [("lxc.console.rotate".to_owned(), false)]);
        assert_eq!(of("lxc.apparmor.profile = unconfined\n"), []);
    }
}
