//! Destroying a container: its root file system, its snapshots if asked, its directory.

use hull_storage::lock::Kind;
use hull_storage::{Driver, Error, ErrorKind, Layout, Locator, Plan, Result, TxId, files, lies_in};

use crate::container::Container;
use crate::dependents;
use crate::hooks::Occasion;
use crate::made::Made;

/// What shall be destroyed.
#[derive(Clone, Copy, Debug, Default)]
pub struct DestroyRequest {
    /// Its snapshots, too.
    pub snapshots: bool,
    /// Its root file system even if that lies elsewhere and was not made by Hull.
    pub foreign: bool,
    /// Only decide.
    pub dry_run: bool,
}

impl<'a> Container<'a> {
    /// Destroys the container: it is gone at once, then its files are deleted.
    ///
    /// Works also when its root file system has vanished. Refused while it runs, while it has snapshots that
    /// are not to go with it, while clones need it, and when its root file system is not provably its own.
    pub fn destroy(&self, request: &DestroyRequest) -> Result<Made> {
        let mut made = Made::new(&self.name);
        let _lock = self.lock(Kind::Exclusive)?;
        if !request.dry_run {
            self.all.settle(&mut made.warnings);
            if crate::partial::is_leftover(self)? {
                crate::partial::remove_locked(self)?;
                return Ok(made);
            }
        }
        self.require_defined()?;
        self.require_stopped("destroy")?;
        let snapshots = self.snapshots()?;
        if !snapshots.is_empty() && !request.snapshots {
            let text = format!(
                "container {} has {}: delete what is kept first, or destroy it with its snapshots",
                self.name,
                if snapshots.len() == 1 {
                    "a snapshot".into()
                } else {
                    format!("{} snapshots", snapshots.len())
                }
            );
            return Err(Error::new(ErrorKind::HasDependents, text));
        }
        self.require_no_dependents_elsewhere()?;
        let config = self.config()?;
        made.at = self.rootfs_of(&config)?;
        if request.dry_run {
            made.plan = self.decide_destroy(request, made.at.as_ref(), TxId(0))?;
            return Ok(made);
        }
        let hooks = Occasion { container: self, config: &config, kind: "destroy", source: None, args: &[] };
        hooks.run(None)?;
        let mut sources = self.sources()?;
        for snapshot in &snapshots {
            sources.extend(self.existing_snapshot(&snapshot.name)?.sources()?);
        }
        // The container's own list goes with it, and nobody can be added while it is locked exclusively.
        sources.retain(|d| d.lxcpath.join(&d.name) != self.home());
        let _lists = dependents::lock(self.all, &sources, &mut made.warnings)?;
        self.all.store().transact("destroy", |tx| {
            let plan = self.decide_destroy(request, made.at.as_ref(), tx.id())?;
            made.plan = plan.clone();
            tx.perform(plan)
        })?;
        made.warnings.extend(self.all.leftovers());
        Ok(made)
    }

    fn decide_destroy(&self, request: &DestroyRequest, at: Option<&Locator>, tx: TxId) -> Result<Plan> {
        let mut plan = Plan::default();
        let mut inside: Vec<(&'a dyn Driver, Layout)> = Vec::new();
        self.decide_volume(request, at, tx, &mut plan, &mut inside)?;
        for snapshot in self.snapshots()? {
            let snapshot = self.existing_snapshot(&snapshot.name)?;
            let at = snapshot.rootfs()?;
            dependents::strike(&mut plan, &snapshot)?;
            snapshot.decide_volume(request, at.as_ref(), tx, &mut plan, &mut inside)?;
            if !snapshot.home().starts_with(self.home()) {
                plan.doom_home(&snapshot.home(), std::mem::take(&mut inside), tx)?;
            }
        }
        dependents::strike(&mut plan, self)?;
        // A list in the directory that goes needs no last edit.
        let home = self.home();
        plan.steps
            .retain(|s| !matches!(s, hull_storage::Step::Write { file, .. } if file.starts_with(&home)));
        plan.doom_home(&home, inside, tx)?;
        Ok(plan)
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

    /// Refuses when containers that stay need this one.
    fn require_no_dependents_elsewhere(&self) -> Result<()> {
        let home = self.home();
        let beside = self.snapshot_dir();
        let all = self.dependents()?;
        if all.iter().all(|d| d.lxcpath.starts_with(&home) || d.lxcpath == beside) {
            return Ok(());
        }
        self.require_no_dependents("destroyed")
    }

    /// Whether anything is left of it.
    pub fn exists(&self) -> Result<bool> {
        files::exists(&self.home())
    }
}
