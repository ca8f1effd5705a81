//! User namespaces: writing their maps, and having one at hand before the container exists.

use hull_config::value::{IdKind, IdMap};
use hull_sys::process::{self, Fork, namespace};
use rustix::fd::OwnedFd;
use rustix::process::{Pid, WaitOptions};
use std::fmt::Write as _;
use std::process::Command;

use super::devices::open_namespace;
use super::sync;
use crate::error::{During, Error, Named, Result};

/// Where shadow's setuid helpers are, which map the ids that `/etc/subuid` and `/etc/subgid` grant.
const HELPERS: [(IdKind, &str, &str); 2] =
    [(IdKind::User, "/usr/bin/newuidmap", "uid_map"), (IdKind::Group, "/usr/bin/newgidmap", "gid_map")];

/// Writes the maps of process `pid`'s new user namespace: directly as root or for just oneself, else through
/// newuidmap(1) and newgidmap(1).
pub(crate) fn write_maps(pid: Pid, maps: &[IdMap]) -> Result<()> {
    let number = pid.as_raw_nonzero();
    for (kind, helper, file) in HELPERS {
        let lines: Vec<[String; 3]> = maps
            .iter()
            .filter(|m| m.kind == kind || m.kind == IdKind::Both)
            .map(|m| [m.inside.to_string(), m.outside.to_string(), m.count.to_string()])
            .collect();
        let own = match kind {
            IdKind::Group => rustix::process::getegid().as_raw(),
            IdKind::User | IdKind::Both => rustix::process::geteuid().as_raw(),
        };
        // Everybody may map just themselves, if they give up setgroups (user_namespaces(7)).
        let only_self =
            matches!(&lines[..], [[_, outside, count]] if *outside == own.to_string() && count == "1");
        if only_self && kind == IdKind::Group && !rustix::process::geteuid().is_root() {
            let path = format!("/proc/{number}/setgroups");
            std::fs::write(&path, "deny").named(|| format!("write({path}, deny) (lxc.idmap)"))?;
        }
        if only_self || rustix::process::geteuid().is_root() {
            let text = lines.iter().fold(String::new(), |mut text, line| {
                // Writing to a String does not fail.
                let _ = writeln!(text, "{}", line.join(" "));
                text
            });
            let path = format!("/proc/{number}/{file}");
            std::fs::write(&path, &text).named(|| format!("write({path}, {text:?}) (lxc.idmap)"))?;
            continue;
        }
        let words = lines.iter().flatten();
        let done =
            Command::new(helper).arg(number.to_string()).args(words).env_clear().output().named(|| {
                format!("running {helper} (lxc.idmap without root needs it; install Debian's package uidmap)")
            })?;
        if !done.status.success() {
            let said = String::from_utf8_lossy(&done.stderr).trim().replace('\n', "; ");
            return Err(Error::new(format!("{helper} refused the maps of lxc.idmap: {said}")));
        }
    }
    Ok(())
}

/// A user namespace with `maps`, held by nothing but the descriptor returned: what idmapped mounts are mapped by.
pub(crate) fn namespace_with(maps: &[IdMap]) -> Result<OwnedFd> {
    let (ours, theirs) = sync::pair()?;
    match process::fork(namespace::USER, None).during("making a user namespace (lxc.idmap)")? {
        Fork::Child => {
            drop(ours);
            // Until the other end closes.
            let _ = theirs.receive();
            process::exit(0)
        }
        Fork::Parent { pid, .. } => {
            drop(theirs);
            let number = pid.as_raw_nonzero();
            let made = write_maps(pid, maps).and_then(|()| open_namespace(format!("/proc/{number}/ns/user")));
            drop(ours);
            let _ = rustix::process::waitpid(Some(pid), WaitOptions::empty());
            made
        }
    }
}

/// The id on the host that stands for `inside`, if it is mapped.
pub(crate) fn outside(maps: &[IdMap], kind: IdKind, inside: u32) -> Option<u32> {
    maps.iter()
        .filter(|m| m.kind == kind || m.kind == IdKind::Both)
        .find_map(|m| inside.checked_sub(m.inside).filter(|i| *i < m.count).map(|i| m.outside + i))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_found_by_kind() {
        let maps = [IdMap::parse("u 0 100000 10").expect("a map"), IdMap::parse("g 5 7 1").expect("a map")];
        assert_eq!(outside(&maps, IdKind::User, 9), Some(100_009));
        assert_eq!(outside(&maps, IdKind::User, 10), None);
        assert_eq!(outside(&maps, IdKind::Group, 5), Some(7));
        assert_eq!(outside(&maps, IdKind::Group, 0), None);
    }
}
