//! The mounts a container's configuration names one by one: `lxc.mount.entry` and `lxc.mount.fstab`.

use hull_config::value::{Create, MountEntry, MountIdMap};
use hull_mount::{DetachedMount, MountPlan, MountSource};
use hull_sys::mount::{self as call, FsContext, SetAttr};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::OFlags;
use rustix::mount::{MountAttrFlags, MountPropagationFlags};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::devices::open_host;
use crate::error::{During, Error, Named, Result};
use crate::inside::{Inside, strip_root};

/// Carries out `entries` in order. `roots` are the names by which old configurations call the root file
/// system in targets. `userns` maps the owners of entries with `idmap=container`.
///
/// A failing entry that is not `optional` fails the start, naming the entry.
pub(crate) fn mount(
    inside: &Inside,
    entries: &[MountEntry],
    roots: &[&Path],
    userns: Option<BorrowedFd<'_>>,
) -> Result<()> {
    for entry in entries {
        let done = one(inside, entry, roots, userns)
            .during(format_args!("mounting {} on {} (lxc.mount.entry)", entry.source, entry.target));
        if !entry.optional {
            done?;
        }
    }
    Ok(())
}

fn one(inside: &Inside, entry: &MountEntry, roots: &[&Path], userns: Option<BorrowedFd<'_>>) -> Result<()> {
    let target = strip_root(Path::new(&entry.target), roots);
    if entry.remount {
        let flags = OFlags::PATH;
        let place = inside.open_with(target, flags)?;
        return Ok(call::set_attributes(place, &attributes(entry, None)?)?);
    }
    let mount = prepare(inside, entry, userns)?;
    let place = match entry.create {
        Some(Create::Directory) => inside.directory(target)?,
        Some(Create::File) => inside.file(target)?,
        None => inside.open(target)?,
    };
    call::attach(&mount, &place, Path::new(""))?;
    // Propagation is the attached mount's: what is attached nowhere cannot be anybody's peer.
    if let Some(propagation) = entry.propagation {
        let change = SetAttr {
            propagation: u64::from(propagation_bits(propagation.kind).bits()),
            recursive: propagation.recursive == hull_config::value::Recursive::Yes,
            ..SetAttr::default()
        };
        call::set_attributes(&mount, &change)?;
    }
    Ok(())
}

/// Builds what `entry` mounts, attached nowhere.
fn prepare(inside: &Inside, entry: &MountEntry, userns: Option<BorrowedFd<'_>>) -> Result<OwnedFd> {
    if entry.move_mount {
        let flags = rustix::mount::OpenTreeFlags::OPEN_TREE_CLOEXEC;
        return rustix::mount::open_tree(rustix::fs::CWD, &entry.source, flags)
            .named(|| format!("open_tree({})", entry.source));
    }
    let mapped = match &entry.idmap {
        None => None,
        Some(MountIdMap::Container) => Some(Mapping::Container(
            userns
                .ok_or_else(|| Error::new("idmap=container needs lxc.idmap; set it, or drop the option"))?,
        )),
        Some(MountIdMap::Path(path)) => Some(Mapping::Other(open_namespace(path)?)),
    };
    let userns = mapped.as_ref().map(Mapping::fd);
    if let Some(recursive) = entry.bind {
        let recursive = recursive == hull_config::value::Recursive::Yes;
        let source = if entry.relative {
            inside.open(Path::new(&entry.source))?
        } else {
            open_host(&absolute(&entry.source))?
        };
        let tree = call::clone_tree(&source, recursive)?;
        let change = SetAttr { recursive, ..attributes(entry, userns)? };
        if change.set != 0 || change.clear != 0 || change.userns.is_some() {
            call::set_attributes(&tree, &change)?;
        }
        return Ok(tree);
    }
    if entry.fstype == "overlay" {
        // Layer lists want escaping and may be long; hull-mount knows how.
        if let Some(plan) = overlay_plan(entry) {
            return Ok(DetachedMount::build(&plan, userns)?.into());
        }
    }
    let context = FsContext::open(&entry.fstype)?;
    context.set("source", OsStr::new(&entry.source))?;
    for option in &entry.data {
        match option.split_once('=') {
            Some((key, value)) => context.set(key, OsStr::new(value))?,
            None => context.flag(option)?,
        }
    }
    let set = MountAttrFlags::from_bits_retain(u32::try_from(entry.attributes_set).unwrap_or(0));
    if set.contains(MountAttrFlags::MOUNT_ATTR_RDONLY) {
        context.flag("ro")?;
    }
    let mount = context.mount(set)?;
    if userns.is_some() {
        call::set_attributes(&mount, &SetAttr { userns, ..SetAttr::default() })?;
    }
    Ok(mount)
}

enum Mapping<'a> {
    Container(BorrowedFd<'a>),
    Other(OwnedFd),
}

impl Mapping<'_> {
    fn fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Container(fd) => *fd,
            Self::Other(fd) => fd.as_fd(),
        }
    }
}

fn open_namespace(path: &str) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, rustix::fs::Mode::empty()).named(|| format!("open({path})"))
}

fn attributes<'fd>(entry: &MountEntry, userns: Option<BorrowedFd<'fd>>) -> Result<SetAttr<'fd>> {
    Ok(SetAttr { set: entry.attributes_set, clear: entry.attributes_clear, userns, ..SetAttr::default() })
}

fn propagation_bits(kind: hull_config::value::PropagationKind) -> MountPropagationFlags {
    use hull_config::value::PropagationKind as Kind;
    match kind {
        Kind::Private => MountPropagationFlags::PRIVATE,
        Kind::Shared => MountPropagationFlags::SHARED,
        Kind::Slave => MountPropagationFlags::DOWNSTREAM,
        Kind::Unbindable => MountPropagationFlags::UNBINDABLE,
    }
}

/// LXC takes a source without a slash at its beginning from the host's root.
fn absolute(source: &str) -> PathBuf {
    Path::new("/").join(source)
}

/// The plan of an overlay, unless its options name no layers.
fn overlay_plan(entry: &MountEntry) -> Option<MountPlan> {
    let option = |key: &str| {
        entry
            .data
            .iter()
            .filter_map(|o| o.split_once('='))
            .find(|(k, _)| *k == key)
            .map(|(_, v)| PathBuf::from(v))
    };
    let lower = option("lowerdir")?;
    let lower: Vec<_> = lower.to_str()?.split(':').map(PathBuf::from).collect();
    let upper = option("upperdir").map(|upper| hull_mount::UpperDir { upper, work: option("workdir") });
    let read_only = entry.attributes_set & u64::from(MountAttrFlags::MOUNT_ATTR_RDONLY.bits()) != 0;
    let access = if read_only { hull_mount::Access::ReadOnly } else { hull_mount::Access::ReadWrite };
    let source = MountSource::Union { flavour: hull_mount::Union::Overlay, lower, upper };
    let layers = ["lowerdir=", "upperdir=", "workdir="];
    let others = entry.data.iter().filter(|o| !layers.iter().any(|l| o.starts_with(l))).cloned().collect();
    Some(MountPlan { source, access, options: others })
}
