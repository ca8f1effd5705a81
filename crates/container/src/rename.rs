//! Renaming a container: its directory with all in it, its config and its snapshots', its name in the records of
//! others.

use hull_config::HardwareAddresses;
use hull_storage::lock::{FileLock, Kind};
use hull_storage::{
    Driver, Error, ErrorKind, Layout, Locator, Patch, Placement, Plan, Result, files, lies_in,
};

use crate::config::{Rewrite, failed, rewritten};
use crate::container::Container;
use crate::dependents;
use crate::made::Made;
use crate::name;

impl Container<'_> {
    /// Gives the container another name. No data is copied, whatever the store.
    ///
    /// Its snapshots stay its own: their configs and lists follow. Refused while it runs, and while clones need it or
    /// one of its snapshots.
    pub fn rename(&self, new: &str, dry_run: bool) -> Result<Made> {
        name::check(new)?;
        let mut made = Made::new(new);
        if !dry_run {
            self.all.settle(&mut made.warnings);
        }
        let new = Container::new(self.all, &self.lxcpath, new);
        self.require_defined()?;
        // Looked at again under the lock; a rename to itself could never get both locks.
        new.require_free()?;
        let _locks = self.lock_for_rename(&new)?;
        if !dry_run {
            self.all.settle(&mut made.warnings);
        }
        self.require_defined()?;
        self.require_stopped("rename")?;
        new.require_free()?;
        self.require_no_dependents_elsewhere("renamed")?;
        let snapshots = self.snapshot_containers()?;
        if snapshots.iter().any(|s| !s.home().starts_with(self.home())) {
            let text = format!(
                "container {} cannot be renamed: its snapshots are kept beside the containers, in {}, as LXC did \
                 before 1.1; delete them first",
                self.name,
                self.snapshot_dir().display()
            );
            return Err(Error::new(ErrorKind::HasDependents, text));
        }
        let mut sources = self.sources()?;
        for snapshot in &snapshots {
            sources.extend(snapshot.sources()?);
        }
        let _lists = match dry_run {
            true => Vec::new(),
            false => dependents::lock(self.all, &sources, &mut made.warnings)?,
        };
        let plan = self.decide_rename(&new, &mut made)?;
        made.plan = plan.clone();
        if dry_run {
            return Ok(made);
        }
        self.all.store().transact("rename", |tx| tx.perform(plan))?;
        made.warnings.extend(self.all.leftovers());
        Ok(made)
    }

    /// Both names, and the snapshots, which somebody may be copying; always in the same order.
    fn lock_for_rename(&self, new: &Self) -> Result<Vec<FileLock>> {
        let mut order = self.snapshot_containers()?;
        order.extend([self, new].map(|c| Container::new(self.all, &c.lxcpath, &c.name)));
        order.sort_by_key(Self::home);
        order.iter().map(|c| c.lock(Kind::Exclusive)).collect()
    }

    fn decide_rename(&self, new: &Container<'_>, made: &mut Made) -> Result<Plan> {
        let (old_home, new_home) = (self.home(), new.home());
        let mut plan = Plan::default();
        for snapshot in self.snapshot_containers()? {
            let renamed = Container::new(self.all, &new_home.join("snaps"), &snapshot.name);
            snapshot.decide_new_name(&renamed, (self, new), &mut plan)?;
            dependents::source_renamed(&mut plan, &snapshot, self, new)?;
        }
        made.at = self.decide_new_name(new, (self, new), &mut plan)?;
        plan.move_home(&old_home, &new_home);
        plan.patches.extend(made.at.clone().map(|at| Patch {
            at,
            dir: "etc".into(),
            name: "hostname".into(),
            content: format!("{}\n", new.name),
        }));
        Ok(plan)
    }

    /// Decides what of this container, or snapshot, changes when it becomes `renamed` because the container `old` is
    /// called `new`. Returns its root file system then. Its directory is moved by others.
    fn decide_new_name(
        &self,
        renamed: &Self,
        (old, new): (&Self, &Self),
        plan: &mut Plan,
    ) -> Result<Option<Locator>> {
        let (old_home, new_home) = (old.home(), new.home());
        let store = self.all.store();
        let config = self.config()?;
        let mut at = self.rootfs_of(&config)?;
        if let Some(now) = at.clone() {
            let driver = store.driver(now.driver())?;
            let layout = driver.layout(&now)?;
            if lies_in(&layout, &old_home) {
                at = Some(driver.rebased(&now, &old_home, &new_home)?);
            } else if self.has_named(driver, &layout) {
                let to = Placement::in_home(renamed.home(), renamed.pool_name());
                at = Some(plan.move_volume(driver, &layout, &to)?.at);
            }
        }
        let hostname =
            config.value("lxc.uts.name").is_none_or(|n| n == old.name).then_some(new.name.as_str());
        let change = Rewrite {
            old_home: &self.home(),
            new_home: &renamed.home(),
            rootfs: at.as_ref(),
            hostname,
            addresses: HardwareAddresses::Keep,
        };
        let mut config = rewritten(config, &change)?;
        config.replace_path_prefix(&old_home, &new_home).map_err(failed)?;
        plan.write(&self.config_path(), files::read(&self.config_path())?, Some(config.to_text()));
        dependents::renamed(plan, self, renamed)?;
        Ok(at)
    }

    /// Whether a volume elsewhere, in a pool, is called what this container's are; one that somebody named keeps its name.
    fn has_named(&self, driver: &dyn Driver, layout: &Layout) -> bool {
        let place = Placement::in_home(self.home(), self.pool_name());
        driver.moved(layout, &place).is_ok_and(|there| there.at == layout.at)
    }
}
