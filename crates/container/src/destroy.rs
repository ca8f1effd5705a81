//! Destroying a container: its root file system, its snapshots if asked, its directory; and, if asked, those that
//! need it.

use std::path::PathBuf;

use hull_storage::lock::{FileLock, Kind};
use hull_storage::{Driver, Error, ErrorKind, Layout, Locator, Plan, Result, Step, TxId, files, lies_in};

use crate::container::Container;
use crate::dependents::{self, Dependent};
use crate::hooks::Occasion;
use crate::made::Made;

/// What becomes of those that would be ruined.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dependents {
    /// They keep the container.
    #[default]
    Keep,
    /// They go with it, and theirs with them, all at once or none; and so do the snapshots of all of them.
    Destroy,
}

/// What shall be destroyed.
#[derive(Clone, Copy, Debug, Default)]
pub struct DestroyRequest {
    /// Its snapshots, too.
    pub snapshots: bool,
    /// Its clones, too, where they cannot live without it.
    pub dependents: Dependents,
    /// Its root file system even if that lies elsewhere and was not made by Hull.
    pub foreign: bool,
    /// Only decide.
    pub dry_run: bool,
}

/// How often it is looked again who needs whom, when that changes meanwhile.
const TRIES: usize = 10;

impl<'a> Container<'a> {
    /// Destroys the container: it is gone at once, then its files are deleted.
    ///
    /// Works also when its root file system has vanished. Refused while it or one that goes with it runs, while it has
    /// snapshots or clones that are not to go with it, and when a root file system is not provably its own.
    pub fn destroy(&self, request: &DestroyRequest) -> Result<Made> {
        let mut made = Made::new(&self.name);
        let (members, _locks) = self.lock_all(request, &mut made.warnings)?;
        if !request.dry_run && crate::partial::is_leftover(self)? {
            crate::partial::remove_locked(self)?;
            return Ok(made);
        }
        self.require_defined()?;
        for member in &members {
            member.require_stopped("destroy")?;
        }
        if request.dependents == Dependents::Keep {
            self.require_no_snapshots(request)?;
            self.require_no_dependents_elsewhere("destroyed")?;
        }
        made.at = self.rootfs()?;
        if request.dry_run {
            made.plan = decide(&members, request, TxId(0))?;
            return Ok(made);
        }
        for member in &members {
            let config = member.config()?;
            let hooks =
                Occasion { container: member, config: &config, kind: "destroy", source: None, args: &[] };
            hooks.run(None)?;
        }
        let _lists = dependents::lock(self.all, &sources_that_stay(&members)?, &mut made.warnings)?;
        self.all.store().transact("destroy", |tx| {
            let plan = decide(&members, request, tx.id())?;
            made.plan = plan.clone();
            tx.perform(plan)
        })?;
        made.warnings.extend(self.all.leftovers());
        Ok(made)
    }

    /// The containers that would be ruined without this one, be it because they need another of them; each comes
    /// before those it needs. Snapshots of any of them are not listed: they go with their container.
    pub fn all_dependents(&self) -> Result<Vec<Self>> {
        let mut members = self.members()?;
        members.pop();
        Ok(members)
    }

    /// [`Container::all_dependents`], and the container itself at the end.
    fn members(&self) -> Result<Vec<Self>> {
        let (mut seen, mut members) = (Vec::new(), Vec::new());
        self.visit(&mut seen, &mut members)?;
        // A snapshot whose container goes needs no deleting of its own.
        let homes: Vec<(PathBuf, PathBuf)> = members.iter().map(|m| (m.home(), m.snapshot_dir())).collect();
        members.retain(|m: &Self| !homes.iter().any(|(home, snapshots)| m.is_snapshot_in(home, snapshots)));
        Ok(members)
    }

    fn is_snapshot_in(&self, home: &std::path::Path, snapshots: &std::path::Path) -> bool {
        self.lxcpath == snapshots || (self.home() != home && self.home().starts_with(home))
    }

    fn visit(&self, seen: &mut Vec<PathBuf>, members: &mut Vec<Self>) -> Result<()> {
        // Files that name each other must not lead us in circles.
        if seen.contains(&self.home()) {
            return Ok(());
        }
        seen.push(self.home());
        for dependent in self.dependents_with_snapshots()? {
            Container::new(self.all, &dependent.lxcpath, &dependent.name).visit(seen, members)?;
        }
        members.push(Container::new(self.all, &self.lxcpath, &self.name));
        Ok(())
    }

    /// Who needs the container or one of its snapshots.
    fn dependents_with_snapshots(&self) -> Result<Vec<Dependent>> {
        let mut all = self.dependents()?;
        for snapshot in self.snapshot_containers()? {
            all.extend(snapshot.dependents()?);
        }
        let mut unique = Vec::new();
        for dependent in all {
            if !unique.contains(&dependent) {
                unique.push(dependent);
            }
        }
        Ok(unique)
    }

    /// Locks all that are to be destroyed, always in the same order, and settles what dead holders left.
    fn lock_all(
        &self,
        request: &DestroyRequest,
        warnings: &mut Vec<String>,
    ) -> Result<(Vec<Self>, Vec<FileLock>)> {
        let find = || match request.dependents {
            Dependents::Keep => Ok(vec![Container::new(self.all, &self.lxcpath, &self.name)]),
            Dependents::Destroy => self.members(),
        };
        let homes = |members: &[Self]| members.iter().map(Self::home).collect::<Vec<_>>();
        for _ in 0..TRIES {
            let members = find()?;
            let mut order: Vec<Self> = match request.dependents {
                // Whoever deletes a snapshot has its container locked already.
                Dependents::Keep => Vec::new(),
                Dependents::Destroy => members.iter().filter_map(Self::owner).collect(),
            };
            for member in &members {
                order.push(Container::new(self.all, &member.lxcpath, &member.name));
                // Somebody may be copying one.
                order.extend(member.snapshot_containers()?);
            }
            order.sort_by_key(Self::home);
            order.dedup_by_key(|c| c.home());
            let locks = order.iter().map(|c| c.lock(Kind::Exclusive)).collect::<Result<Vec<_>>>()?;
            if !request.dry_run {
                self.all.settle(warnings);
            }
            let now = find()?;
            if homes(&now) == homes(&members) {
                return Ok((now, locks));
            }
        }
        let text = format!("who needs {} changes all the time: stop what clones it and try again", self.name);
        Err(Error::new(ErrorKind::InUse, text))
    }

    /// The container that this snapshot is one of; `None` for a container.
    fn owner(&self) -> Option<Self> {
        let home =
            self.lxcpath.parent().filter(|_| self.lxcpath.file_name().is_some_and(|n| n == "snaps"))?;
        let owner = Container::new(self.all, home.parent()?, home.file_name()?.to_str()?);
        owner.is_defined().then_some(owner)
    }

    fn require_no_snapshots(&self, request: &DestroyRequest) -> Result<()> {
        let snapshots = self.snapshots()?;
        if snapshots.is_empty() || request.snapshots {
            return Ok(());
        }
        let text = format!(
            "container {} has {}: delete what is kept first, or destroy it with its snapshots",
            self.name,
            if snapshots.len() == 1 { "a snapshot".into() } else { format!("{} snapshots", snapshots.len()) }
        );
        Err(Error::new(ErrorKind::HasDependents, text))
    }

    fn decide_destroy(&self, request: &DestroyRequest, tx: TxId, plan: &mut Plan) -> Result<()> {
        let mut inside: Vec<(&'a dyn Driver, Layout)> = Vec::new();
        // The snapshots first: there are stores where they cannot do without what they were made of.
        for snapshot in self.snapshot_containers()? {
            let at = snapshot.rootfs()?;
            dependents::strike(plan, &snapshot)?;
            let beside = !snapshot.home().starts_with(self.home());
            let mut elsewhere = Vec::new();
            let volumes = if beside { &mut elsewhere } else { &mut inside };
            snapshot.decide_volume(request, at.as_ref(), tx, plan, volumes)?;
            if beside {
                plan.doom_home(&snapshot.home(), elsewhere, tx)?;
            }
        }
        let at = self.rootfs()?;
        self.decide_volume(request, at.as_ref(), tx, plan, &mut inside)?;
        dependents::strike(plan, self)?;
        plan.doom_home(&self.home(), inside, tx)
    }

    /// Decides what becomes of the root file system `at`.
    fn decide_volume(
        &self,
        request: &DestroyRequest,
        at: Option<&Locator>,
        tx: TxId,
        plan: &mut Plan,
        inside: &mut Vec<(&'a dyn Driver, Layout)>,
    ) -> Result<()> {
        let Some(at) = at else { return Ok(()) };
        let Some(layout) = self.layout(Some(at))? else { return Ok(()) };
        let driver = self.all.store().driver(at.driver())?;
        let managed = self.config()?.flag("lxc.rootfs.managed", true);
        if lies_in(&layout, &self.home()) {
            if !managed {
                return Err(Error::new(
                    ErrorKind::InvalidInput,
                    format!(
                        "{} has lxc.rootfs.managed = 0, but its root file system lies in its own directory: move it \
                         elsewhere to keep it, or remove the key to delete it",
                        self.name
                    ),
                ));
            }
            inside.push((driver, layout));
            return Ok(());
        }
        if !managed {
            return Ok(());
        }
        if !request.foreign && !self.owns(driver, at)? {
            return Err(Error::new(
                ErrorKind::InvalidInput,
                format!(
                    "the root file system {at} of {} lies outside its directory and is not known to be its own: set \
                     lxc.rootfs.managed = 0 to keep it, or destroy with --foreign to delete it, too",
                    self.name
                ),
            ));
        }
        plan.doom_volume(driver, at, tx)
    }

    /// Whether a volume elsewhere is this container's: Hull made it, and it is in no other container.
    fn owns(&self, driver: &dyn Driver, at: &Locator) -> Result<bool> {
        let in_another = at.path().starts_with(&self.lxcpath);
        Ok(!in_another && driver.inspect(at)?.ours)
    }

    /// Refuses when containers that stay need this one, or a snapshot of it.
    pub(crate) fn require_no_dependents_elsewhere(&self, to: &str) -> Result<()> {
        let (home, beside) = (self.home(), self.snapshot_dir());
        let mut all = self.dependents_with_snapshots()?;
        all.retain(|d| !d.lxcpath.starts_with(&home) && d.lxcpath != beside);
        if all.is_empty() {
            return Ok(());
        }
        Err(self.has_dependents(to, &all))
    }

    /// Whether anything is left of it.
    pub fn exists(&self) -> Result<bool> {
        files::exists(&self.home())
    }
}

/// Decides how all `members` go at once.
fn decide(members: &[Container<'_>], request: &DestroyRequest, tx: TxId) -> Result<Plan> {
    let mut plan = Plan::default();
    for member in members {
        member.decide_destroy(request, tx, &mut plan)?;
    }
    // A list in a directory that goes needs no last edit.
    let homes: Vec<PathBuf> = members.iter().map(Container::home).collect();
    plan.steps.retain(|step| match step {
        Step::Write { file, .. } => !homes.iter().any(|home| file.starts_with(home)),
        _ => true,
    });
    Ok(plan)
}

/// Whose lists of clones change: those whom `members` need and who stay. The lists of those that go, go with them, and
/// nobody can be added while they are locked exclusively.
fn sources_that_stay(members: &[Container<'_>]) -> Result<Vec<Dependent>> {
    let mut sources = Vec::new();
    for member in members {
        sources.extend(member.sources()?);
        for snapshot in member.snapshot_containers()? {
            sources.extend(snapshot.sources()?);
        }
    }
    let homes: Vec<PathBuf> = members.iter().map(Container::home).collect();
    sources.retain(|d| !homes.iter().any(|home| d.lxcpath.join(&d.name) == *home));
    Ok(sources)
}
