//! Carrying a plan out, and settling what a dead process left: the crash protocol, in one place.
//!
//! ```text
//! for each step: save "begun = i" durably, do step i
//! save "committed" durably → finish homes, patch volumes, reclaim the doomed → erase the record
//! undo, newest first; after each undone step save "begun = i-1"; recovery = rollback = `settle`
//! ```

use hull_mount::Access;

use crate::driver::Source;
use crate::error::{Error, ErrorKind, Result};
use crate::facets::{Blocks, Transfer};
use crate::journal::Record;
use crate::name::{Layout, Locator, Resource, TxId};
use crate::plan::{Doomed, HOME, Plan, Step};
use crate::store::Store;
use crate::stream;

/// An operation under way. It ends by [`Store::transact`], which commits it or undoes it.
#[derive(Debug)]
pub struct Transaction<'s> {
    store: &'s Store,
    record: Record,
}

impl Transaction<'_> {
    /// The id that every name made by this transaction carries.
    pub fn id(&self) -> TxId {
        self.record.id
    }

    /// Adds `plan` to what was decided and carries it out. After a failure nothing more may be performed.
    pub fn perform(&mut self, plan: Plan) -> Result<()> {
        self.record.plan.append(plan);
        while self.record.begun < self.record.plan.steps.len() {
            self.record.begun += 1;
            if let Err(e) = self.store.journal().save(&self.record) {
                // Nothing was begun: undoing it could only fail for the same reason, say a full disk. Later on
                // the record may say more than was done, or less, and both must be undone in its order.
                if self.record.begun == 1 {
                    self.record.begun = 0;
                }
                return Err(e);
            }
            let step = &self.record.plan.steps[self.record.begun - 1];
            self.store.perform(step, self.record.id)?;
            self.store.host().persist(step)?;
        }
        Ok(())
    }
}

impl Store {
    /// Runs `body` as one transaction: all that it performs stays, or nothing.
    ///
    /// When `body` fails, its steps are undone; what could not be undone is added to the error and stays in
    /// the journal for [`Store::recover`]. What the transaction doomed is deleted after the commit; should
    /// that fail, the operation has still succeeded, [`Store::leftovers`] says why, and `recover` goes on deleting.
    pub fn transact<T>(
        &self,
        operation: &'static str,
        body: impl FnOnce(&mut Transaction<'_>) -> Result<T>,
    ) -> Result<T> {
        let id = self.journal().next_id()?;
        let record =
            Record { id, operation: operation.into(), plan: Plan::default(), begun: 0, committed: false };
        let mut transaction = Transaction { store: self, record };
        let done = body(&mut transaction);
        let mut record = transaction.record;
        if record.plan.steps.is_empty() {
            return done.map_err(|e| e.during(operation));
        }
        record.committed = done.is_ok();
        match done.and_then(|value| self.journal().save(&record).map(|()| value)) {
            Ok(value) => {
                // Housekeeping, which `recover` repeats if it fails here.
                if let Err(e) = self.settle(record) {
                    self.leave_behind(e.during(operation));
                }
                Ok(value)
            }
            // Whether the commit itself is durable is unknown, so only `recover` may decide.
            Err(cause) if record.committed => Err(cause.during(operation)),
            Err(cause) => Err(cause.during(operation).left_behind(self.settle(record).err())),
        }
    }

    fn perform(&self, step: &Step, by: TxId) -> Result<()> {
        match step {
            Step::MakeHome { home, mode, owner } => self.host().make_home(home, *mode, *owner, by),
            Step::Create { at, spec } => self.driver(at.at.driver())?.create(at, spec, by),
            Step::Clone { from, at, writable } => {
                let driver = self.driver(at.at.driver())?;
                let cow = driver.copy_on_write().ok_or_else(|| {
                    Error::new(ErrorKind::Unsupported, format!("the store {} makes no clones", driver.name()))
                })?;
                let access = if *writable { Access::ReadWrite } else { Access::ReadOnly };
                cow.clone_volume(Source { driver: self.driver(from.driver())?, at: from }, at, access, by)
            }
            Step::Fill { from, at } => {
                let source = self.driver(from.driver())?.activate(from, Access::ReadOnly)?;
                let target = self.driver(at.driver())?.activate(at, Access::ReadWrite)?;
                self.host().fill(&source, &target)
            }
            Step::CreateBlocks { at, size } => self.blocks(&at.at)?.create_blocks(at, *size, by),
            Step::FillBlocks { from, at } => {
                let source = self.blocks(from)?.open_blocks(from, Access::ReadOnly)?;
                let target = self.blocks(at)?.open_blocks(at, Access::ReadWrite)?;
                self.host().fill_blocks(&source, &target)?;
                drop((source, target));
                self.blocks(at)?.adopt_blocks(at)
            }
            Step::Receive { from, at, writable } => {
                let access = if *writable { Access::ReadWrite } else { Access::ReadOnly };
                stream::between(self.transfer(from)?, from, self.transfer(&at.at)?, at, access, by)
            }
            Step::Move { from, to } if from.driver == HOME => self.host().rename_home(from, to).map(drop),
            Step::Move { from, to } => self.driver(from.driver)?.rename(from, to).map(drop),
            Step::Write { file, new, mode, .. } => self.host().write(file, new.as_deref(), *mode, by),
        }
    }

    fn blocks(&self, at: &Locator) -> Result<&dyn Blocks> {
        let driver = self.driver(at.driver())?;
        let text = || format!("the store {} copies no blocks", driver.name());
        driver.blocks().ok_or_else(|| Error::new(ErrorKind::Unsupported, text()))
    }

    fn transfer(&self, at: &Locator) -> Result<&dyn Transfer> {
        let driver = self.driver(at.driver())?;
        let text = || format!("the store {} has no streams", driver.name());
        driver.transfer().ok_or_else(|| Error::new(ErrorKind::Unsupported, text()))
    }

    /// Undoes one step. `certain`: it is known to have happened, as a later one was begun.
    fn undo(&self, step: &Step, by: TxId, certain: bool) -> Result<()> {
        match step {
            Step::MakeHome { home, .. } => self.host().unmake_home(home, by),
            Step::Create { at, .. }
            | Step::Clone { at, .. }
            | Step::CreateBlocks { at, .. }
            | Step::Receive { at, .. } => self.unmake(at, by),
            // The volume it filled goes with the step that made it.
            Step::Fill { .. } | Step::FillBlocks { .. } => Ok(()),
            Step::Move { from, to } => {
                let undone = match from.driver == HOME {
                    true => self.host().rename_home(to, from),
                    false => self.driver(from.driver)?.rename(to, from),
                };
                match undone {
                    // Both names are there. Either the move never happened, as `to` was taken; or it did, and
                    // somebody took `from` since: then the record must stay, or the thing is forgotten under
                    // its other name. Nobody else can have chosen a name that carries our id.
                    Err(e) if e.kind() == ErrorKind::AlreadyExists && !certain && !to.carries(by) => Ok(()),
                    other => other.map(drop),
                }
            }
            Step::Write { file, old, mode, .. } => self.host().write(file, old.as_deref(), *mode, by),
        }
    }

    /// Rollback, roll-forward and crash recovery are this one function.
    pub(crate) fn settle(&self, mut record: Record) -> Result<()> {
        if record.committed {
            for step in &record.plan.steps {
                if let Step::MakeHome { home, .. } = step {
                    self.host().finish_home(home, record.id)?;
                }
            }
            for patch in &record.plan.patches {
                let volume = self.driver(patch.at.driver())?.activate(&patch.at, Access::ReadWrite)?;
                self.host().patch(&volume, &patch.dir, &patch.name, patch.content.as_bytes())?;
            }
            for doomed in &record.plan.doomed {
                match doomed {
                    Doomed::Volume(layout) => self.reclaim(layout, record.id)?,
                    Doomed::Home(home) if home.carries(record.id) => {
                        self.host().reclaim_home(home)?;
                    }
                    Doomed::Home(home) => return Err(not_ours(&home.to_string())),
                }
            }
        } else {
            // Each undone step leaves the record before the next is undone: names recur, so undoing one twice
            // after others could move what is no longer ours.
            let last = record.begun;
            while record.begun > 0 {
                let step = &record.plan.steps[record.begun - 1];
                self.undo(step, record.id, record.begun < last)?;
                record.begun -= 1;
                self.journal().save(&record)?;
            }
        }
        self.journal().erase(record.id)
    }

    /// Deletes what this transaction condemned.
    fn reclaim(&self, what: &Layout, by: TxId) -> Result<()> {
        self.delete(what, by, |part| Err(not_ours(&part.to_string())))
    }

    /// Deletes what this transaction made, as far as it did: a tagging driver makes a volume under its final name,
    /// where somebody else's may stand, and a thing without our tag is none that we made.
    fn unmake(&self, what: &Layout, by: TxId) -> Result<()> {
        match self.driver(what.at.driver())?.capabilities().tags_owner {
            true => self.delete(what, by, |_| Ok(())),
            false => self.reclaim(what, by),
        }
    }

    /// The only place that deletes volumes, and only what this transaction can prove its own.
    fn delete(&self, what: &Layout, by: TxId, others: impl Fn(&Resource) -> Result<()>) -> Result<()> {
        let driver = self.driver(what.at.driver())?;
        for part in what.parts.iter().rev() {
            match driver.made_by(part, by)? {
                true => driver.reclaim(part, by).map(drop)?,
                false => others(part)?,
            }
        }
        Ok(())
    }
}

fn not_ours(what: &str) -> Error {
    Error::new(
        ErrorKind::Corrupt,
        format!(
            "refusing to delete {what}, which the transaction cannot prove its own: remove it by hand if it is garbage"
        ),
    )
}
