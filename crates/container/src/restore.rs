//! Bringing a snapshot back: in place of the container, or as a new one.

use hull_config::HardwareAddresses;
use hull_storage::lock::Kind;
use hull_storage::{Bytes, CloneMode, Error, ErrorKind, Plan, Result, TxId, files};

use crate::clone::CloneRequest;
use crate::config::{Rewrite, rewritten};
use crate::container::Container;
use crate::made::Made;

/// What shall be restored.
#[derive(Clone, Debug)]
pub struct RestoreRequest {
    /// The snapshot's name.
    pub snapshot: String,
    /// A new container's name; `None` replaces the container itself.
    pub new_name: Option<String>,
    /// Only decide.
    pub dry_run: bool,
}

impl Container<'_> {
    /// Brings a snapshot back.
    ///
    /// In place, the current root file system and config go only once the restored ones are there; the
    /// snapshot stays. Refused while the container runs, and while clones need its root file system.
    pub fn restore(&self, request: &RestoreRequest) -> Result<Made> {
        self.require_defined()?;
        let snapshot = self.existing_snapshot(&request.snapshot)?;
        if let Some(name) = &request.new_name {
            crate::name::check(name)?;
            let new = Container::new(self.all, &self.lxcpath, name);
            let clone = CloneRequest {
                mode: CloneMode::SnapshotElseCopy,
                dry_run: request.dry_run,
                ..CloneRequest::new(name)
            };
            return snapshot.clone_into(&new, &clone, &[]).map_err(|e| e.during("restore"));
        }
        let mut made = Made::new(&self.name);
        let _lock = self.lock(Kind::Exclusive)?;
        if !request.dry_run {
            self.all.settle(&mut made.warnings);
        }
        self.require_defined()?;
        // Until the lock was had, another command could delete it.
        let snapshot = self.existing_snapshot(&request.snapshot)?;
        self.require_stopped("restore").map_err(|e| e.during("restore"))?;
        self.require_no_dependents_but_snapshots("restored in place").map_err(|e| e.during("restore"))?;
        if request.dry_run {
            made.plan = self.decide_restore(&snapshot, &mut made, TxId(0))?;
            return Ok(made);
        }
        self.all.store().transact("restore", |tx| {
            let plan = self.decide_restore(&snapshot, &mut made, tx.id())?;
            made.plan = plan.clone();
            let limit = self.limit()?;
            tx.perform(plan)?;
            made.at.as_ref().map_or(Ok(()), |at| self.all.store().limit_again(at, limit))
        })?;
        made.warnings.extend(self.all.leftovers());
        Ok(made)
    }

    /// The limit on what the root file system may hold, if it has one.
    fn limit(&self) -> Result<Option<Bytes>> {
        let at = self.rootfs()?;
        match self.layout(at.as_ref())? {
            Some(layout) => self.all.store().limit(&layout.at),
            None => Ok(None),
        }
    }

    fn decide_restore(&self, snapshot: &Self, made: &mut Made, tx: TxId) -> Result<Plan> {
        let store = self.all.store();
        let config = self.config()?;
        let kept = snapshot.config()?;
        let current = self.rootfs_of(&config)?;
        let mut plan = Plan::default();
        if let (Some(from), Some(current)) = (snapshot.rootfs_of(&kept)?, &current) {
            let new = match self.layout(Some(current))? {
                Some(_) => store.plan_restore(&from, current, tx)?,
                // The current one has vanished; the snapshot brings it back all the same.
                None => {
                    let place = store.driver(current.driver())?.placement(current)?;
                    let (mode, access) = (CloneMode::SnapshotElseCopy, hull_mount::Access::ReadWrite);
                    store.plan_clone(&from, Some(current.driver()), &place, mode, access, tx)?
                }
            };
            plan = new.plan;
            (made.at, made.method) = (Some(new.at), new.method);
        }
        let change = Rewrite {
            old_home: &snapshot.home(),
            new_home: &self.home(),
            rootfs: made.at.as_ref(),
            hostname: None,
            addresses: HardwareAddresses::Keep,
        };
        let restored = rewritten(kept, &change)?;
        let old = files::read(&self.config_path())?;
        plan.write(&self.config_path(), old, Some(restored.to_text()));
        Ok(plan)
    }

    /// Refuses when containers other than its own snapshots need this one.
    fn require_no_dependents_but_snapshots(&self, to: &str) -> Result<()> {
        let snapshots = self.snapshot_dir();
        let others: Vec<String> = self
            .dependents()?
            .into_iter()
            .filter(|d| d.lxcpath != snapshots)
            .map(|d| d.lxcpath.join(&d.name).display().to_string())
            .collect();
        if others.is_empty() {
            return Ok(());
        }
        let text = format!(
            "container {} cannot be {to}: its root file system is part of {}; destroy those first, or restore \
             to a new name",
            self.name,
            others.join(", ")
        );
        Err(Error::new(ErrorKind::HasDependents, text))
    }
}
