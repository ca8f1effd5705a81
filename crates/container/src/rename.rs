//! Renaming a container: its directory with all in it, its config, its name in the records of others.

use std::path::Path;

use hull_config::HardwareAddresses;
use hull_storage::lock::Kind;
use hull_storage::{Error, ErrorKind, Patch, Placement, Plan, Result, files, lies_in};

use crate::config::{Rewrite, rewritten};
use crate::container::Container;
use crate::dependents;
use crate::made::Made;
use crate::name;

impl Container<'_> {
    /// Gives the container another name. No data is copied, whatever the store.
    ///
    /// Refused while it runs, while it has snapshots (their configs name it), and while clones need it.
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
        let (_first, _second) = if new.name < self.name {
            let first = new.lock(Kind::Exclusive)?;
            (first, self.lock(Kind::Exclusive)?)
        } else {
            let first = self.lock(Kind::Exclusive)?;
            (first, new.lock(Kind::Exclusive)?)
        };
        if !dry_run {
            self.all.settle(&mut made.warnings);
        }
        self.require_defined()?;
        self.require_stopped("rename")?;
        new.require_free()?;
        self.require_no_dependents("renamed")?;
        if !self.snapshots()?.is_empty() {
            let text =
                format!("container {} cannot be renamed: it has snapshots, delete them first", self.name);
            return Err(Error::new(ErrorKind::HasDependents, text));
        }
        let _lists = match dry_run {
            true => Vec::new(),
            false => dependents::lock(self.all, &self.sources()?, &mut made.warnings)?,
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

    fn decide_rename(&self, new: &Container<'_>, made: &mut Made) -> Result<Plan> {
        let (old_home, new_home) = (self.home(), new.home());
        let store = self.all.store();
        let config = self.config()?;
        let mut plan = Plan::default();
        made.at = self.rootfs_of(&config)?;
        if let Some(at) = made.at.clone() {
            let driver = store.driver(at.driver())?;
            let layout = driver.layout(&at)?;
            if lies_in(&layout, &old_home) {
                made.at = Some(driver.rebased(&at, &old_home, &new_home)?);
            } else if layout.parts.iter().all(|p| !Path::new(&p.name).is_absolute()) {
                // In a pool, the volume's name is the container's.
                let to = Placement::in_home(&new_home, new.pool_name());
                made.at = Some(plan.move_volume(driver, &layout, &to)?.at);
            }
        }
        let hostname =
            config.value("lxc.uts.name").is_none_or(|n| n == self.name).then_some(new.name.as_str());
        let change = Rewrite {
            old_home: &old_home,
            new_home: &new_home,
            rootfs: made.at.as_ref(),
            hostname,
            addresses: HardwareAddresses::Keep,
        };
        let text = rewritten(config, &change)?.to_text();
        plan.write(&self.config_path(), files::read(&self.config_path())?, Some(text));
        dependents::renamed(&mut plan, self, new)?;
        plan.move_home(&old_home, &new_home);
        plan.patches.extend(made.at.clone().map(|at| Patch {
            at,
            dir: "etc".into(),
            name: "hostname".into(),
            content: format!("{}\n", new.name),
        }));
        Ok(plan)
    }
}
