//! The groups of one container in all hierarchies.

use rustix::fd::OwnedFd;
use rustix::io::Errno;
use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::door::{self, Doors};
use crate::group::{Group, Made};
use crate::plan::{Name, components};
use crate::{Base, Error, Hierarchy, Layout, Moving, Plan, Result, Version, View};

/// Names tried before giving up on one that is free.
const MOST_NAMES: u32 = 1000;

/// The groups of one container.
///
/// They stay when this is dropped; [`Cgroups::remove`] removes them.
#[derive(Debug)]
pub struct Cgroups {
    pub(crate) members: Vec<Member>,
    pub(crate) skipped: Vec<Skipped>,
    pub(crate) layout: Layout,
    pub(crate) devices: Option<crate::devices::Program>,
    pivot: String,
    moving: Moving,
}

/// A hierarchy the container has no group in, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// Its controllers, or `cgroup2`.
    pub hierarchy: String,
    /// The reason.
    pub reason: String,
}

/// The container in one hierarchy.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) version: Version,
    pub(crate) controllers: Vec<String>,
    mount_point: PathBuf,
    /// Below which the groups were made; none for a container found running.
    base: Option<Group>,
    /// Carries the limits.
    pub(crate) limit: Group,
    /// Holds the processes, if another than `limit`.
    inner: Option<Group>,
    monitor: Option<String>,
    payload: String,
    /// Whether the payload's group has been removed.
    pub(crate) removed: bool,
}

impl Member {
    pub(crate) fn inner(&self) -> &Group {
        self.inner.as_ref().unwrap_or(&self.limit)
    }

    pub(crate) fn has_controller(&self, name: &str) -> bool {
        self.controllers.iter().any(|c| c == name || c.strip_prefix("name=") == Some(name))
    }

    fn base(&self) -> Result<&Group> {
        self.base.as_ref().ok_or_else(|| {
            Error::new(Errno::INVAL, "the groups of a running container belong to its monitor")
        })
    }
}

impl Cgroups {
    /// Makes the payload and monitor groups of `plan` in each hierarchy that can be written to.
    ///
    /// A name that is taken anywhere is taken nowhere: `-1`, `-2`… are tried, as LXC does; a name that a key
    /// gives (`lxc.cgroup.dir.container`, `….monitor`) is used as it is, if no process runs in it. Nothing
    /// is left behind on failure. Hierarchies that cannot be written to are left out, see [`Cgroups::skipped`].
    pub fn create(view: &View, plan: &Plan) -> Result<Self> {
        let (bases, skipped) = bases(view, plan);
        let all: Vec<&BaseGroup> = bases.iter().collect();
        let moving: Vec<&BaseGroup> = bases.iter().filter(|base| base.monitor_moves).collect();
        let monitor = make_everywhere(&moving, &plan.monitor(), Existing::Share)?;
        let payload = match make_everywhere(&all, &plan.payload(), Existing::MustBeEmpty) {
            Ok(payload) => payload,
            Err(e) => {
                undo(&moving, &monitor);
                return Err(e);
            }
        };
        let make_inner = |(base, limit): (&BaseGroup, &Group)| {
            let inner = plan.dir_container_inner.as_deref();
            inner.map(|inner| make_path(limit, inner, base.cpuset)).transpose()
        };
        let inner: Result<Vec<Option<Group>>> = bases.iter().zip(&payload.groups).map(make_inner).collect();
        let inner = match inner {
            Ok(inner) => inner,
            Err(e) => {
                undo(&all, &payload);
                undo(&moving, &monitor);
                return Err(e);
            }
        };
        let groups = bases.into_iter().zip(payload.groups).zip(inner);
        let members = groups.map(|((base, limit), inner)| Member {
            version: base.version,
            controllers: base.controllers,
            mount_point: base.mount_point,
            base: Some(base.group),
            limit,
            inner,
            monitor: base.monitor_moves.then(|| monitor.path.clone()),
            payload: payload.path.clone(),
            removed: false,
        });
        let members = members.collect();
        Ok(Self {
            members,
            skipped,
            layout: view.layout(),
            devices: None,
            pivot: plan.pivot(),
            moving: plan.monitor_moves,
        })
    }

    /// The groups of a container that runs already, whose monitor `path_of` asks for the path of its group
    /// by a controller's name; if no controller of version 2 has an answer, once more without one.
    pub fn of_running(view: &View, mut path_of: impl FnMut(Option<&str>) -> Option<String>) -> Result<Self> {
        let mut members = Vec::new();
        let mut skipped = Vec::new();
        for hierarchy in &view.hierarchies {
            let named = hierarchy.controllers.first().and_then(|c| path_of(Some(c)));
            let path = named.or_else(|| (hierarchy.version == Version::Two).then(|| path_of(None)).flatten());
            let label = hierarchy.label();
            let Some(path) = path else {
                skipped.push(Skipped { hierarchy: label, reason: "the monitor has no group there".into() });
                continue;
            };
            // The root of a hierarchy is everybody's: limits and signals must never go there.
            let Some(parts) = components(&path) else {
                skipped
                    .push(Skipped { hierarchy: label, reason: format!("{path:?} is no group of its own") });
                continue;
            };
            let mut limit = Group::open(&hierarchy.mount_point)?;
            for part in parts {
                limit = limit.child(part)?;
            }
            members.push(Member {
                version: hierarchy.version,
                controllers: hierarchy.controllers.clone(),
                mount_point: hierarchy.mount_point.clone(),
                base: None,
                limit,
                inner: None,
                monitor: None,
                payload: path,
                removed: false,
            });
        }
        let (pivot, moving) = (String::new(), Moving::Stays);
        Ok(Self { members, skipped, layout: view.layout(), devices: None, pivot, moving })
    }

    /// The hierarchies without a group of the container.
    pub fn skipped(&self) -> &[Skipped] {
        &self.skipped
    }

    /// How the host's hierarchies are laid out.
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// Moves the calling process to the monitor's groups, then enables what controllers of version 2 it can
    /// for the payload, which version 2 does not allow while processes are beside it.
    ///
    /// With [`Moving::Reborn`] it is a child of the calling process that returns, also where there is no version 2 to be
    /// born in, and the calling process has ended. Requires one thread, and that nothing but the process itself refers
    /// to its number or waits for its children.
    pub fn enter_monitor(&self) -> Result<()> {
        let before = rustix::process::getpid();
        for member in &self.members {
            if let (Some(base), Some(monitor)) = (&member.base, &member.monitor) {
                door::enter(&descend(base, monitor)?, member.version, self.moving)?;
            }
        }
        if self.moving == Moving::Reborn && rustix::process::getpid() == before {
            door::be_born(None)?;
        }
        for member in self.members.iter().filter(|m| m.version == Version::Two) {
            for controller in &member.controllers {
                // A controller that stays off matters only to a limit, which then says so.
                let _ = self.enable(member, controller);
            }
        }
        Ok(())
    }

    /// Moves process `pid` to the container's groups.
    pub fn place(&self, pid: i32) -> Result<()> {
        self.members.iter().try_for_each(|member| member.inner().add(pid))
    }

    /// The ways into the container's groups.
    pub fn doors(&self) -> Result<Doors> {
        let mut doors = Doors::default();
        self.members.iter().try_for_each(|m| doors.add(m.inner(), m.version))?;
        Ok(doors)
    }

    /// The container's group in the hierarchy of `controller` (or of version 2, or the first), as a path from
    /// where the hierarchy is mounted, with a leading slash: what LXC's `GET_CGROUP` answers.
    pub fn path(&self, group: GroupOf, controller: Option<&str>) -> Option<String> {
        let member = self.find(controller)?;
        let path = self.group_of(group, member).path().strip_prefix(&member.mount_point).ok()?;
        Some(format!("/{}", path.display()))
    }

    /// A copy of the descriptor of the container's group in the hierarchy of `controller`, with the version.
    pub fn directory(&self, group: GroupOf, controller: Option<&str>) -> Option<Result<(Version, OwnedFd)>> {
        let member = self.find(controller)?;
        Some(self.group_of(group, member).try_clone().map(|fd| (member.version, fd)))
    }

    /// Copies of the descriptors of the container's groups in all hierarchies: what to join to be in it.
    pub fn directories(&self) -> Result<Vec<OwnedFd>> {
        self.members.iter().map(|m| m.inner().try_clone()).collect()
    }

    /// Gives the container's groups to `uid` and `gid`, the host's numbers of its root, so that it can make
    /// groups within. Limits stay out of its reach if `lxc.cgroup.dir.container.inner` is used, or with version 2.
    pub fn delegate(&self, uid: u32, gid: u32) -> Result<()> {
        for member in &self.members {
            let files: &[&str] = match member.version {
                Version::One => &["cgroup.procs", "tasks"],
                // cgroups(7), "cgroup delegation".
                Version::Two => {
                    &["cgroup.procs", "cgroup.threads", "cgroup.subtree_control", "memory.oom.group"]
                }
            };
            member.inner().delegate(uid, gid, files)?;
        }
        Ok(())
    }

    /// Removes the container's groups, and the monitor's after moving the calling process (which may be in it)
    /// to the pivot group, as [`Cgroups::enter_monitor`] does: with [`Moving::Reborn`] and version 2 it is a child that
    /// returns. Waits until `deadline` for processes that are ending.
    ///
    /// Goes on past a hierarchy that fails and returns the first failure.
    pub fn remove(self, deadline: Instant) -> Result<()> {
        let mut result = Ok(());
        for member in &self.members {
            result = result.and(self.remove_member(member, deadline));
        }
        result
    }

    /// Removes those of the container's groups that nothing is in, as the kernel finds. Whether that were all: most
    /// containers leave nothing behind, and then nobody needs to be looked for.
    pub fn remove_empty(&mut self) -> bool {
        for member in &mut self.members {
            let empty = member.inner.is_none().then_some(member.base.as_ref()).flatten();
            member.removed = empty.is_some_and(|base| base.remove_empty(&member.payload));
        }
        self.members.iter().all(|member| member.removed)
    }

    fn remove_member(&self, member: &Member, deadline: Instant) -> Result<()> {
        let base = member.base()?;
        let payload = if member.removed { Ok(()) } else { remove_path(base, &member.payload, deadline) };
        let Some(monitor) = &member.monitor else { return payload };
        let monitor_group = match descend(base, monitor) {
            Ok(group) => group,
            Err(e) if e.errno() == Errno::NOENT => return payload,
            Err(e) => return payload.and(Err(e)),
        };
        let own = rustix::process::getpid().as_raw_nonzero().get();
        if monitor_group.processes()?.contains(&own) {
            let pivot = make_path(base, &self.pivot, member.has_controller("cpuset"))?;
            door::enter(&pivot, member.version, self.moving)?;
        }
        // Other containers' monitors may share a group that a key names; it goes with the last of them.
        let others = !monitor_group.processes()?.is_empty();
        let monitor = if others { Ok(()) } else { remove_path(base, monitor, deadline) };
        payload.and(monitor)
    }

    pub(crate) fn member(&self, version: Version) -> Option<&Member> {
        self.members.iter().find(|m| m.version == version)
    }

    /// The hierarchy of `controller`; without one, that of version 2 or the first.
    pub(crate) fn find(&self, controller: Option<&str>) -> Option<&Member> {
        match controller {
            Some(name) if name != "unified" => self.members.iter().find(|m| m.has_controller(name)),
            _ => self.member(Version::Two).or_else(|| self.members.first()),
        }
    }

    /// Enables `controller` from where the hierarchy is mounted down to the payload's parent.
    pub(crate) fn enable(&self, member: &Member, controller: &str) -> Result<()> {
        let change = format!("+{controller}");
        let base = member.base()?;
        let below_mount = base.path().strip_prefix(&member.mount_point).unwrap_or(Path::new(""));
        let mut group = Group::open(&member.mount_point)?;
        let parents = below_mount.iter().map(|p| p.to_string_lossy().into_owned());
        let mut payload: Vec<String> =
            components(&member.payload).unwrap_or_default().into_iter().map(str::to_owned).collect();
        if member.inner.is_none() {
            payload.pop();
        }
        let steps: Vec<String> = parents.chain(payload).collect();
        for step in steps {
            enable_in(&group, &change, controller)?;
            group = group.child(&step)?;
        }
        enable_in(&group, &change, controller)
    }

    fn group_of<'a>(&self, group: GroupOf, member: &'a Member) -> &'a Group {
        match group {
            GroupOf::Limits => &member.limit,
            GroupOf::Processes => member.inner(),
        }
    }
}

/// Which of a container's two groups is meant; they differ with `lxc.cgroup.dir.container.inner`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupOf {
    /// The one that carries its limits.
    Limits,
    /// The one its processes are in.
    Processes,
}

/// Where groups are made in one hierarchy.
struct BaseGroup {
    version: Version,
    controllers: Vec<String>,
    mount_point: PathBuf,
    group: Group,
    cpuset: bool,
    monitor_moves: bool,
}

fn bases(view: &View, plan: &Plan) -> (Vec<BaseGroup>, Vec<Skipped>) {
    let mut bases = Vec::new();
    let mut skipped = Vec::new();
    for hierarchy in &view.hierarchies {
        let wanted = plan.only.is_empty()
            || plan.only.iter().any(|c| c == "@all" || hierarchy.controllers.iter().any(|h| h == c));
        let found = if !wanted && hierarchy.version == Version::One {
            Err("lxc.cgroup.use leaves it out".into())
        } else {
            match hierarchy.base(plan.base) {
                None => Err("the group to start from lies outside of what is mounted".into()),
                Some(path) => Group::is_writable(&path)
                    .map_err(|e| Error::call(&format!("write to {}", path.display()), e).to_string())
                    .and_then(|()| Group::open(&path).map_err(|e| e.to_string())),
            }
        };
        match found {
            Ok(group) => bases.push(BaseGroup {
                monitor_moves: plan.monitor_moves != Moving::Stays || in_the_way(hierarchy, &group),
                version: hierarchy.version,
                controllers: hierarchy.controllers.clone(),
                mount_point: hierarchy.mount_point.clone(),
                group,
                cpuset: hierarchy.version == Version::One
                    && hierarchy.controllers.iter().any(|c| c == "cpuset"),
            }),
            Err(reason) => skipped.push(Skipped { hierarchy: hierarchy.label(), reason }),
        }
    }
    (bases, skipped)
}

/// Whether a process that stays in its group keeps controllers from being enabled for groups below `base`: version 2
/// allows no processes beside them, but for the root of all (cgroups(7), "no internal processes"), which has no type.
fn in_the_way(hierarchy: &Hierarchy, base: &Group) -> bool {
    hierarchy.version == Version::Two
        && hierarchy.base(Base::Own).as_deref() == Some(base.path())
        && base.has("cgroup.type")
}

/// What to do with a fixed name that exists.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Existing {
    Share,
    MustBeEmpty,
}

/// A group of one name in every hierarchy.
struct Everywhere {
    path: String,
    groups: Vec<Group>,
    /// Those of `groups` that we made.
    made: Vec<bool>,
}

fn make_everywhere(bases: &[&BaseGroup], name: &Name, existing: Existing) -> Result<Everywhere> {
    if components(&name.path).is_none() {
        return Err(Error::new(
            Errno::INVAL,
            format!("{:?} is not the name of a cgroup; give a relative path without \"..\"", name.path),
        ));
    }
    for n in 0..MOST_NAMES {
        let mut all = Everywhere { path: name.nth(n), groups: Vec::new(), made: Vec::new() };
        let mut taken = false;
        for base in bases {
            match make_leaf(&base.group, &all.path, base.cpuset) {
                Ok(Made::New(group)) => {
                    all.groups.push(group);
                    all.made.push(true);
                }
                Ok(Made::Existing(group)) if name.fixed => {
                    if existing == Existing::MustBeEmpty && group.processes().is_ok_and(|p| !p.is_empty()) {
                        undo(bases, &all);
                        return Err(Error::new(
                            Errno::BUSY,
                            format!(
                                "the configured cgroup {} has processes in it; stop them or choose another",
                                group.path().display()
                            ),
                        ));
                    }
                    all.groups.push(group);
                    all.made.push(false);
                }
                Ok(Made::Existing(_)) => {
                    taken = true;
                    break;
                }
                Err(e) => {
                    undo(bases, &all);
                    return Err(e);
                }
            }
        }
        if !taken {
            return Ok(all);
        }
        undo(bases, &all);
    }
    Err(Error::new(
        Errno::EXIST,
        format!("all names {0} to {0}-{MOST_NAMES} are taken; remove unused cgroups", name.path),
    ))
}

/// Removes what we made, which is empty still.
fn undo(bases: &[&BaseGroup], all: &Everywhere) {
    for ((base, _), made) in bases.iter().zip(&all.groups).zip(&all.made) {
        if *made {
            // What fails here was found by somebody else meanwhile and is theirs.
            let _ = remove_path(&base.group, &all.path, Instant::now());
        }
    }
}

/// Makes the group at `path` below `base`, and those on the way if need be.
fn make_leaf(base: &Group, path: &str, cpuset: bool) -> Result<Made> {
    let parts = components(path).unwrap_or_default();
    let Some((leaf, parents)) = parts.split_last() else {
        return Err(Error::call(&format!("make {path:?}"), Errno::INVAL));
    };
    let above = walk(base, parents, |group, part| make_child(group, part, cpuset))?;
    let parent = above.as_ref().unwrap_or(base);
    let made = parent.make(leaf)?;
    if let (Made::New(group), true) = (&made, cpuset) {
        inherit_cpuset(parent, group)?;
    }
    Ok(made)
}

fn make_path(base: &Group, path: &str, cpuset: bool) -> Result<Group> {
    let parts = components(path).unwrap_or_default();
    walk(base, &parts, |group, part| make_child(group, part, cpuset))?
        .ok_or_else(|| Error::call(&format!("make the cgroup {path:?}, no relative path"), Errno::INVAL))
}

fn make_child(parent: &Group, name: &str, cpuset: bool) -> Result<Group> {
    match parent.make(name)? {
        Made::New(group) => {
            if cpuset {
                inherit_cpuset(parent, &group)?;
            }
            Ok(group)
        }
        Made::Existing(group) => Ok(group),
    }
}

/// A new group of version 1's cpuset has no cpus and admits nobody.
fn inherit_cpuset(parent: &Group, group: &Group) -> Result<()> {
    for file in ["cpuset.cpus", "cpuset.mems"] {
        if group.read(file)?.is_empty() {
            group.write(file, &parent.read(file)?)?;
        }
    }
    Ok(())
}

fn descend(base: &Group, path: &str) -> Result<Group> {
    walk(base, &components(path).unwrap_or_default(), |group, part| group.child(part))?
        .ok_or_else(|| Error::call(&format!("open the cgroup {path:?}, no relative path"), Errno::INVAL))
}

/// The group that `step` leads to from `base`, a part of its path at a time; none without parts, for `base` itself.
fn walk(base: &Group, parts: &[&str], step: impl Fn(&Group, &str) -> Result<Group>) -> Result<Option<Group>> {
    let mut reached: Option<Group> = None;
    for part in parts {
        reached = Some(step(reached.as_ref().unwrap_or(base), part)?);
    }
    Ok(reached)
}

fn remove_path(base: &Group, path: &str, deadline: Instant) -> Result<()> {
    let parts = components(path).unwrap_or_default();
    let Some((leaf, parents)) = parts.split_last() else { return Ok(()) };
    match walk(base, parents, |group, part| group.child(part)) {
        Ok(above) => above.as_ref().unwrap_or(base).remove(leaf, deadline),
        Err(e) if e.errno() == Errno::NOENT => Ok(()),
        Err(e) => Err(e),
    }
}

fn enable_in(group: &Group, change: &str, controller: &str) -> Result<()> {
    let enabled = group.read("cgroup.subtree_control")?;
    if enabled.split_whitespace().any(|c| c == controller) {
        return Ok(());
    }
    group.write("cgroup.subtree_control", change)
}
