//! The Debian packages that tests and the demo use, and how they get onto this machine.

use crate::process;

/// Waits for another apt-get that has the lock, instead of giving up at once.
const WAIT: &[&str] = &["-o", "DPkg::Lock::Timeout=600"];

/// What the tests use, one line each.
pub(crate) const FOR_TESTS: &[&str] = &[
    "acl",            // setfacl, getfacl: the tree comparison's second opinion
    "attr",           // setfattr, getfattr
    "btrfs-progs",    // mkfs.btrfs for loop images
    "busybox-static", // the smallest root file system
    "e2fsprogs",      // mkfs.ext4
    "libcap2-bin",    // setcap, getcap
    "lxc",            // the stock tools of the interoperation tests
    "rsync",          // what the copy engine is compared with
    "uidmap",         // newuidmap, newgidmap for unprivileged containers
    "xfsprogs",       // mkfs.xfs with reflinks
];

/// What the demo uses beyond building Hull.
pub(crate) const FOR_DEMO: &[&str] = &["btrfs-progs", "busybox-static", "e2fsprogs", "mmdebstrap"];

/// What the bench uses beyond building Hull.
pub(crate) const FOR_BENCH: &[&str] = &[
    "btrfs-progs", // mkfs.btrfs for scratch stores
    "e2fsprogs",   // mkfs.ext4 for scratch stores
    "valgrind",    // callgrind, which counts instructions
];

/// What the VM lane uses to make its guest and to run it.
pub(crate) const FOR_VM: &[&str] = &[
    "e2fsprogs",       // mke2fs, which fills disks
    "mmdebstrap",      // installs the guest
    "qemu-system-x86", // runs it
    "util-linux",      // setpriv: QEMU ends with us
];

/// Whether the machine has what was asked for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Provision {
    /// Everything is installed.
    Complete,
    /// These are not, and this is why and what to do.
    Lacking(String),
}

/// Installs those of `packages` that are missing, when this is Debian and we are root; otherwise says how.
pub(crate) fn provide(packages: &[&str]) -> Provision {
    if !process::is_installed("dpkg-query") {
        let all = packages.join(" ");
        return Provision::Lacking(format!("this is not Debian; install the likes of: {all}"));
    }
    let missing: Vec<&str> = packages.iter().copied().filter(|package| !has(package)).collect();
    if missing.is_empty() {
        return Provision::Complete;
    }
    let by_hand = format!("apt-get install -y {}", missing.join(" "));
    if !process::is_root() {
        return Provision::Lacking(format!("packages are missing; to install them: sudo {by_hand}"));
    }
    println!("installing: {}", missing.join(" "));
    // A fresh machine has no package lists yet, a stale one has wrong ones.
    let installed = install(&missing).or_else(|_| {
        process::succeed(process::command("apt-get").args(WAIT).arg("update"))?;
        install(&missing)
    });
    match installed {
        Ok(()) => Provision::Complete,
        Err(reason) => Provision::Lacking(format!("{reason}; to try by hand: {by_hand}")),
    }
}

fn install(packages: &[&str]) -> Result<(), String> {
    let mut apt = process::command("apt-get");
    apt.env("DEBIAN_FRONTEND", "noninteractive");
    process::succeed(apt.args(WAIT).args(["install", "-y", "--no-install-recommends"]).args(packages))
}

fn has(package: &str) -> bool {
    let mut query = process::command("dpkg-query");
    query.args(["-W", "-f", "${db:Status-Status}", package]);
    process::capture(&mut query).is_ok_and(|status| status == "installed")
}

#[cfg(test)]
mod tests {
    use super::{FOR_BENCH, FOR_DEMO, FOR_TESTS, FOR_VM, has};
    use crate::process::is_installed;

    #[test]
    fn lists_are_sorted_and_name_nothing_twice() {
        for list in [FOR_TESTS, FOR_DEMO, FOR_BENCH, FOR_VM] {
            assert!(list.is_sorted_by(|a, b| a < b), "{list:?}");
        }
    }

    #[test]
    fn dpkg_is_believed() {
        assert!(!has("no-such-package-anywhere"));
        assert_eq!(has("dpkg"), is_installed("dpkg-query"), "dpkg's own package is dpkg");
    }
}
