//! What is to be mounted at `/sys/fs/cgroup` in a container (`lxc.mount.auto = cgroup…`), as data.

use std::path::PathBuf;

use crate::{Version, View};

/// How the container sees its cgroups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// All is writable (`rw`).
    ReadWrite,
    /// With a cgroup namespace the same as `rw`: the container sees nothing but its own groups (`mixed`).
    Mixed,
    /// Nothing is writable (`ro`).
    ReadOnly,
}

/// One mount. Targets are relative to the container's `/sys/fs/cgroup`, and to be made in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CgroupMount {
    /// `tmpfs`, `cgroup` or `cgroup2`.
    pub fstype: &'static str,
    /// Where; empty is `/sys/fs/cgroup` itself.
    pub target: PathBuf,
    /// Options for the file system: controllers for version 1.
    pub options: String,
    /// Mount it read-only (the tmpfs, once all is made below it).
    pub read_only: bool,
}

/// The mounts that show a container in a cgroup namespace of its own (Linux 4.6) all hierarchies of the host.
///
/// They must be made by a process inside the namespace, after it was placed in its groups. All are also
/// nosuid, nodev, noexec.
pub fn mounts(view: &View, access: Access) -> Vec<CgroupMount> {
    let read_only = access == Access::ReadOnly;
    let first: Vec<_> = view.hierarchies.iter().filter(|h| h.version == Version::One).collect();
    let second = view.hierarchies.iter().any(|h| h.version == Version::Two);
    let mount = |fstype, target: PathBuf, options: String| CgroupMount { fstype, target, options, read_only };
    if first.is_empty() {
        let only = second.then(|| mount("cgroup2", PathBuf::new(), String::new()));
        return only.into_iter().collect();
    }
    let tmpfs = CgroupMount {
        fstype: "tmpfs",
        target: PathBuf::new(),
        options: "size=10240k,mode=755".into(),
        read_only: access != Access::ReadWrite,
    };
    let mut all = vec![tmpfs];
    for hierarchy in first {
        let options = hierarchy.controllers.join(",");
        // The host's own name for it, which programs look for.
        let target = hierarchy.mount_point.file_name().map_or_else(|| options.clone().into(), PathBuf::from);
        all.push(mount("cgroup", target, options));
    }
    if second {
        all.push(mount("cgroup2", "unified".into(), String::new()));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_hierarchy_is_mounted_under_its_host_name() {
        let info = b"32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
            33 31 0:30 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd\n\
            41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
        let groups = b"2:cpu,cpuacct:/\n1:name=systemd:/\n0::/\n";
        let plan = mounts(&View::parse(info, groups, groups), Access::Mixed);
        let got: Vec<_> = plan
            .iter()
            .map(|m| (m.fstype, m.target.to_str().unwrap(), m.options.as_str(), m.read_only))
            .collect();
        assert_eq!(
            got,
            [
                ("tmpfs", "", "size=10240k,mode=755", true),
                ("cgroup", "cpu,cpuacct", "cpu,cpuacct", false),
                ("cgroup", "systemd", "name=systemd", false),
                ("cgroup2", "unified", "", false),
            ]
        );
    }

    #[test]
    fn version_two_alone_is_one_mount() {
        let info = b"41 31 0:38 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
        let plan = mounts(&View::parse(info, b"0::/\n", b"0::/\n"), Access::ReadOnly);
        assert_eq!(plan.len(), 1);
        assert_eq!((plan[0].fstype, plan[0].read_only), ("cgroup2", true));
        assert!(mounts(&View::default(), Access::ReadWrite).is_empty());
    }
}
