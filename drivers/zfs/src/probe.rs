//! Whether zfs can be used here, for `hull doctor`, and what bare paths are its.

use std::fs;
use std::path::Path;

use hull_command::{Runner, System, Tool, ToolCommand};
use hull_storage::{Availability, Settings};
use hull_sys::zfscore::Libzfs;

use crate::backend::program::{Program, ZFS};
use crate::backend::{Asked, Backend, DEVICE, Wanted};
use crate::naming;

const ZPOOL: Tool = Tool { program: "zpool", package: "zfsutils-linux" };
/// Copy-on-write gets slow on a pool that is fuller, in percent.
const NEARLY_FULL: u64 = 90;

/// Whether `path` is exactly the mount point of a dataset.
pub(crate) fn is_mountpoint(path: &Path) -> bool {
    // Every bare path is asked for, mostly where there is no zfs.
    if !Path::new(DEVICE).exists() || !System.has(ZFS) {
        return false;
    }
    let Some(path) = path.to_str() else { return false };
    Program::new(Box::new(System)).mounted_at(path).is_ok_and(|found| !found.is_empty())
}

/// Whether mounts can be id-mapped: OpenZFS 2.2 and later.
pub(crate) fn maps_ids() -> bool {
    fs::read_to_string("/sys/module/zfs/version").is_ok_and(|version| at_least(&version, (2, 2)))
}

fn at_least(version: &str, wanted: (u32, u32)) -> bool {
    let mut numbers = version.trim().split(['.', '-']).map_while(|n| n.parse().ok());
    let mut next = || numbers.next().unwrap_or(0);
    (next(), next()) >= wanted
}

/// Looks for the kernel module, the programs, the library and the root dataset, and at the pool's health.
pub(crate) fn probe(settings: &Settings) -> Availability {
    let missing = |why: String, remedy: String| Availability::Missing { why, remedy };
    if !Path::new(DEVICE).exists() {
        let known = fs::read_to_string("/proc/filesystems").unwrap_or_default();
        let known = known.lines().any(|line| line.split_whitespace().next_back() == Some("zfs"));
        let why = match known {
            true => format!("there is no {DEVICE}, though the kernel knows zfs"),
            false => "this kernel does not know zfs (/proc/filesystems does not list it)".into(),
        };
        let remedy = "install zfs-dkms, or your distribution's module for this kernel, and load it with `modprobe zfs`";
        return missing(why, remedy.into());
    }
    if !System.has(ZFS) {
        return missing("the program zfs is not installed".into(), format!("install {}", ZFS.package));
    }
    if !rustix::process::geteuid().is_root() {
        return missing("zfs needs root".into(), "run it as root, or use another store".into());
    }
    let wanted = Wanted::read(settings.get("hull.zfs.backend"));
    let mut notes = Vec::new();
    match (&wanted, Libzfs::load()) {
        (Wanted::Unknown(value), _) => {
            return missing(
                format!("hull.zfs.backend is {value:?}"),
                "set it to library or to program, or not at all".into(),
            );
        }
        (Wanted::Library, Err(e)) => {
            return missing(e.to_string(), "install it, or do not set hull.zfs.backend".into());
        }
        (Wanted::Best, Err(e)) => notes.push(format!("each act runs the program zfs, which is slower: {e}")),
        _ => {}
    }
    let root = settings.get("lxc.bdev.zfs.root").filter(|r| !r.is_empty()).unwrap_or("lxc");
    match Program::new(Box::new(System)).look(root, Asked::All) {
        Ok(Some(_)) => {}
        Ok(None) => {
            let wanted = if root.contains('/') { root.to_owned() } else { format!("POOL/{root}") };
            return missing(
                format!("there is no dataset {root} to make volumes in"),
                format!(
                    "`zfs create -o mountpoint=none {wanted}`, and set lxc.bdev.zfs.root = {wanted} in lxc.conf"
                ),
            );
        }
        Err(e) => return missing(e.to_string(), "see to it that `zfs list` works".into()),
    }
    notes.extend(complaints(&System, naming::pool(root)));
    Availability::Ready { notes }
}

/// What is wrong with a pool that works.
fn complaints(runner: &dyn Runner, pool: &str) -> Vec<String> {
    let command = ToolCommand::new(ZPOOL).args(["list", "-Hp", "-o", "health,capacity", pool]);
    let Ok(output) = runner.run(&command) else { return Vec::new() };
    let text = output.text();
    let mut fields = text.trim().split('\t');
    let (health, full) = (fields.next().unwrap_or_default(), fields.next().unwrap_or_default());
    let mut notes = Vec::new();
    if !matches!(health, "ONLINE" | "") {
        notes.push(format!("the pool {pool} is {health}: see `zpool status {pool}`"));
    }
    if full.parse().is_ok_and(|percent: u64| percent >= NEARLY_FULL) {
        notes.push(format!("the pool {pool} is {full} % full, and gets slow: make room or add devices"));
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;
    use hull_command::Script;

    #[test]
    fn versions_are_compared_as_numbers() {
        for (version, expected) in [
            ("2.1.11-1+deb12u1\n", false),
            ("2.2.0-rc4", true),
            ("2.10.1", true),
            ("0.8.6", false),
            ("3.0", true),
            ("", false),
        ] {
            assert_eq!(at_least(version, (2, 2)), expected, "{version}");
        }
    }

    #[test]
    fn a_pool_in_trouble_is_named() {
        let line = "zpool list -Hp -o health,capacity tank";
        for (said, notes) in
            [("ONLINE\t42\n", 0), ("DEGRADED\t42\n", 1), ("ONLINE\t90\n", 1), ("FAULTED\t99\n", 2)]
        {
            assert_eq!(complaints(&Script::new().expect(line, said), "tank").len(), notes, "{said}");
        }
        assert!(complaints(&Script::new().fail(line, 1, "no such pool"), "tank").is_empty());
    }
}
