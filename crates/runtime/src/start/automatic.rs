//! `lxc.mount.auto`: proc, sysfs and cgroups, with what a container must not write to mounted read-only.

use hull_sys::mount::{self as call, FsContext, SetAttr};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{Mode, OFlags};
use rustix::mount::MountAttrFlags;
use std::ffi::OsStr;
use std::path::Path;

use super::devices::open_host;
use crate::error::{During, Named, Result};
use crate::inside::Inside;

/// How much of a file system can be written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Writable {
    Nothing,
    Some,
    All,
}

/// How cgroups appear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cgroups {
    pub(crate) writable: Writable,
    /// The whole hierarchies, not only the container's part (`cgroup-full`).
    pub(crate) full: bool,
    /// Even where the container could do it itself.
    pub(crate) force: bool,
}

/// What is mounted without the configuration naming each mount.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Automatic {
    pub(crate) proc: Option<Writable>,
    pub(crate) sys: Option<Writable>,
    pub(crate) cgroup: Option<Cgroups>,
    /// The container may administer its network (`CAP_NET_ADMIN`): else the settings below `/proc/sys/net` stay
    /// read-only where others are, as in LXC. The kernel would let its root write them without the capability.
    pub(crate) network: bool,
}

/// Mounts proc and sysfs.
pub(crate) fn mount_kernel(inside: &Inside, what: Automatic) -> Result<()> {
    if let Some(writable) = what.proc {
        proc(inside, writable, what.network).during("mounting /proc")?;
    }
    if let Some(writable) = what.sys {
        sys(inside, writable).during("mounting /sys")?;
    }
    Ok(())
}

/// Mounts the cgroup hierarchies the calling process is in. `own_namespace`: the process has a cgroup
/// namespace, so that its own group is each hierarchy's root. Requires sysfs to be mounted, or `/sys/fs/cgroup`
/// to be there.
pub(crate) fn mount_cgroups(
    inside: &Inside,
    what: Cgroups,
    own_namespace: bool,
    can_mount: bool,
) -> Result<()> {
    let text = std::fs::read_to_string("/proc/self/cgroup").named(|| "open(/proc/self/cgroup)".into())?;
    let hierarchies = Hierarchy::parse(&text);
    let unified = hierarchies.iter().all(|h| h.controllers.is_empty());
    if own_namespace && can_mount && !what.force && !unified {
        // The container's init can mount version 1 hierarchies just as it wants them.
        return Ok(());
    }
    let base = Path::new("sys/fs/cgroup");
    let read_only = |yes: bool| if yes { MountAttrFlags::MOUNT_ATTR_RDONLY } else { MountAttrFlags::empty() };
    if unified && own_namespace {
        let mount =
            FsContext::open("cgroup2")?.mount(HARDENED | read_only(what.writable == Writable::Nothing))?;
        return Ok(call::attach(mount, inside.directory(base)?, Path::new(""))?);
    }
    let tmpfs = FsContext::open("tmpfs")?;
    tmpfs.set("source", OsStr::new("cgroup_root"))?;
    tmpfs.set("mode", OsStr::new("755"))?;
    tmpfs.set("size", OsStr::new("10240k"))?;
    let root = tmpfs.mount(HARDENED)?;
    call::attach(&root, inside.directory(base)?, Path::new(""))?;
    for hierarchy in &hierarchies {
        let at = base.join(hierarchy.directory());
        if own_namespace {
            let mount = hierarchy.mount(HARDENED | read_only(what.writable == Writable::Nothing));
            let mount = match mount {
                Ok(mount) => mount,
                // A hierarchy that no mount of the host shows cannot be mounted from a user namespace.
                Err(e) if e.errno() == rustix::io::Errno::PERM => continue,
                Err(e) => return Err(e.into()),
            };
            call::attach(mount, inside.directory(&at)?, Path::new(""))?;
        } else {
            hierarchy.bind(inside, &at, what)?;
        }
    }
    call::set_attributes(&root, &set(MountAttrFlags::MOUNT_ATTR_RDONLY))?;
    Ok(())
}

/// A procfs attached nowhere, of the calling process's pid namespace: settings written through it reach the
/// kernel, whatever the container has put at its `/proc` (CVE-2025-52881).
pub(crate) fn detached_proc() -> Result<OwnedFd> {
    Ok(FsContext::open("proc")?.mount(HARDENED)?)
}

const HARDENED: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_NOSUID
    .union(MountAttrFlags::MOUNT_ATTR_NODEV)
    .union(MountAttrFlags::MOUNT_ATTR_NOEXEC);

fn proc(inside: &Inside, writable: Writable, network: bool) -> Result<()> {
    let context = FsContext::open("proc")?;
    context.set("source", OsStr::new("proc"))?;
    let proc = context.mount(HARDENED)?;
    call::attach(&proc, inside.plain_directory("proc")?, Path::new(""))?;
    match writable {
        Writable::All => Ok(()),
        Writable::Nothing => Ok(call::set_attributes(&proc, &set(MountAttrFlags::MOUNT_ATTR_RDONLY))?),
        Writable::Some => {
            let net = subtree(&proc, "sys/net", false)?;
            let settings = subtree(&proc, "sys", true)?;
            // Absent from kernels without magic keys.
            let trigger = subtree(&proc, "sysrq-trigger", true).ok();
            call::attach(&settings, open_below(&proc, "sys")?, Path::new(""))?;
            if network {
                call::attach(net, open_below(&settings, "net")?, Path::new(""))?;
            }
            trigger
                .map_or(Ok(()), |t| Ok(call::attach(t, open_below(&proc, "sysrq-trigger")?, Path::new(""))?))
        }
    }
}

fn sys(inside: &Inside, writable: Writable) -> Result<()> {
    let place = inside.plain_directory("sys")?;
    let read_only = writable != Writable::All;
    let attributes = if read_only { HARDENED | MountAttrFlags::MOUNT_ATTR_RDONLY } else { HARDENED };
    let context = FsContext::open("sysfs")?;
    context.set("source", OsStr::new("sysfs"))?;
    let sys = match context.mount(attributes) {
        Ok(sys) => sys,
        // A user namespace that does not own its network namespace cannot mount it; it may see the host's.
        Err(e) if e.errno() == rustix::io::Errno::PERM => {
            let host = call::clone_tree(open_host(Path::new("/sys"))?, true)?;
            call::set_attributes(&host, &SetAttr { recursive: true, ..set(attributes) })?;
            return Ok(call::attach(host, place, Path::new(""))?);
        }
        Err(e) => return Err(e.into()),
    };
    call::attach(&sys, place, Path::new(""))?;
    if writable == Writable::Some {
        let devices = "devices/virtual/net";
        // Absent from kernels without networking.
        if let Ok(at) = open_below(&sys, devices) {
            let net = call::clone_tree(&at, false)?;
            let writable =
                SetAttr { clear: u64::from(MountAttrFlags::MOUNT_ATTR_RDONLY.bits()), ..set(HARDENED) };
            call::set_attributes(&net, &writable)?;
            call::attach(net, at, Path::new(""))?;
        }
    }
    Ok(())
}

/// The tree at `path` of the mount `of`, as a mount of its own.
fn subtree(of: &OwnedFd, path: &str, read_only: bool) -> Result<OwnedFd> {
    let tree = call::clone_tree(open_below(of, path)?, false)?;
    if read_only {
        call::set_attributes(&tree, &set(MountAttrFlags::MOUNT_ATTR_RDONLY))?;
    }
    Ok(tree)
}

fn open_below(mount: impl AsFd, path: &str) -> Result<OwnedFd> {
    rustix::fs::openat(mount, path, OFlags::PATH | OFlags::CLOEXEC | OFlags::NOFOLLOW, Mode::empty())
        .named(|| format!("open({path})"))
}

fn set(attributes: MountAttrFlags) -> SetAttr<'static> {
    SetAttr { set: u64::from(attributes.bits()), ..SetAttr::default() }
}

/// A line of `/proc/PID/cgroup`, cgroups(7): the controllers (none for version 2) and the group.
#[derive(Debug, PartialEq, Eq)]
struct Hierarchy<'a> {
    controllers: &'a str,
    group: &'a str,
}

impl<'a> Hierarchy<'a> {
    fn parse(text: &'a str) -> Vec<Self> {
        let line = |line: &'a str| {
            let mut fields = line.splitn(3, ':').skip(1);
            Some(Self { controllers: fields.next()?, group: fields.next()? })
        };
        text.lines().filter_map(line).collect()
    }

    /// The customary name below `/sys/fs/cgroup`.
    fn directory(&self) -> &str {
        match self.controllers {
            "" => "unified",
            named => named.strip_prefix("name=").unwrap_or(named),
        }
    }

    fn mount(&self, attributes: MountAttrFlags) -> hull_sys::Result<OwnedFd> {
        if self.controllers.is_empty() {
            return FsContext::open("cgroup2")?.mount(attributes);
        }
        let context = FsContext::open("cgroup")?;
        context.set("source", OsStr::new("cgroup"))?;
        for controller in self.controllers.split(',') {
            match controller.strip_prefix("name=") {
                Some(name) => {
                    context.flag("none")?;
                    context.set("name", OsStr::new(name))?;
                }
                None => context.flag(controller)?,
            }
        }
        context.mount(attributes)
    }

    /// Without a cgroup namespace: the host's hierarchy read-only (`full`) or an empty directory, and the
    /// container's own group in its place.
    fn bind(&self, inside: &Inside, at: &Path, what: Cgroups) -> Result<()> {
        let host = Path::new("/sys/fs/cgroup");
        let candidates = [host.join(self.directory()), host.to_path_buf()];
        let own = self.group.trim_start_matches('/');
        let Some(hierarchy) = candidates.iter().find(|c| c.join(own).join("cgroup.procs").exists()) else {
            return Ok(());
        };
        let read_only = set(HARDENED | MountAttrFlags::MOUNT_ATTR_RDONLY);
        if what.full {
            let all = call::clone_tree(open_host(hierarchy)?, false)?;
            let attributes = if what.writable == Writable::All { set(HARDENED) } else { read_only };
            call::set_attributes(&all, &attributes)?;
            call::attach(all, inside.directory(at)?, Path::new(""))?;
        }
        let group = call::clone_tree(open_host(&hierarchy.join(own))?, false)?;
        let attributes = if what.writable == Writable::Nothing { read_only } else { set(HARDENED) };
        call::set_attributes(&group, &attributes)?;
        Ok(call::attach(group, inside.directory(&at.join(own))?, Path::new(""))?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hierarchies_are_named_as_is_customary() {
        let text = "9:name=systemd:/\n4:cpu,cpuacct:/lxc.payload.c1\n0::/x:y\n";
        let names: Vec<_> = Hierarchy::parse(text)
            .iter()
            .map(Hierarchy::directory)
            .collect::<Vec<_>>()
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(names, ["systemd", "cpu,cpuacct", "unified"]);
        assert_eq!(Hierarchy::parse(text)[2].group, "/x:y");
    }
}
