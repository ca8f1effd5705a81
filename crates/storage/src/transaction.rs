//! Carrying a plan out, and settling what a dead process left: the crash protocol, in one place.
//!
//! ```text
//! for each step: save "begun = i" durably, do step i
//! seal the clones
//! save "committed" durably → finish homes, patch volumes, reclaim the doomed → erase the record
//! what is doomed and takes long: save "reclaiming", give the record up; whoever adopts it reclaims the rest
//! undo, newest first; after each undone step save "begun = i-1"; recovery = rollback = `settle`
//! ```

use hull_mount::{Access, MountSource};
use hull_treecopy::Observer;

use crate::driver::{Driver, Source};
use crate::error::{Error, ErrorKind, Result};
use crate::facets::{Blocks, CopyOnWrite, Kept, Transfer};
use crate::journal::Record;
use crate::name::{Layout, Locator, Resource, TxId};
use crate::plan::{HOME, Plan, Step};
use crate::reclaim::Patience;
use crate::still::Still;
use crate::store::Store;
use crate::stream;
use crate::volume::Held;

/// An operation under way. It ends by [`Store::transact`], which commits it or undoes it.
#[derive(Debug)]
pub struct Transaction<'s> {
    store: &'s Store,
    record: Record,
    /// How many steps have been sealed.
    sealed: usize,
    /// What the steps have left open.
    kept: Vec<Box<dyn Held>>,
}

impl Transaction<'_> {
    /// The id that every name made by this transaction carries.
    pub fn id(&self) -> TxId {
        self.record.id
    }

    /// Adds `plan` to what was decided and carries it out. After a failure nothing more may be performed.
    pub fn perform(&mut self, plan: Plan) -> Result<()> {
        self.perform_under(plan, None)
    }

    /// [`Transaction::perform`], with whoever writes to the volume that `still` names kept from it while a step reads
    /// it, and no longer: neither while the step is noted nor while what it made is written out, nor while a directory's
    /// files are copied for the first time.
    pub fn perform_still(&mut self, plan: Plan, still: &Still<'_>) -> Result<()> {
        self.perform_under(plan, Some(still))
    }

    fn perform_under(&mut self, plan: Plan, still: Option<&Still<'_>>) -> Result<()> {
        self.record.plan.append(plan);
        while self.record.begun < self.record.plan.steps.len() {
            self.begin()?;
            let step = &self.record.plan.steps[self.record.begun - 1];
            // A step that failed for want of space has changed nothing, or is one that may be repeated.
            let perform = || self.store.perform(step, self.record.id, still);
            self.kept.extend(self.store.reserving(&self.record.plan, perform)?);
            self.store.host().persist(step)?;
        }
        Ok(())
    }

    /// Does what stores have left to do for the clones made so far. What is committed is sealed; an owner who has just
    /// written to a clone may ask for it before he unmounts it, so that the store's disks are waited for once.
    pub fn seal(&mut self) -> Result<()> {
        for step in &self.record.plan.steps[self.sealed..self.record.begun] {
            if let Step::Clone { at, writable, .. } = step {
                self.store.clones(at)?.seal_clone(at, access(*writable), self.record.id)?;
            }
        }
        self.sealed = self.record.begun;
        Ok(())
    }

    /// Adds a step that `act` carries out, once it has been noted: one that needs what no plan can hold.
    pub(crate) fn perform_by(&mut self, step: Step, act: impl FnOnce() -> Result<()>) -> Result<()> {
        self.record.plan.steps.push(step);
        self.begin()?;
        act()?;
        self.store.host().persist(&self.record.plan.steps[self.record.begun - 1])
    }

    /// Notes that the next step begins.
    fn begin(&mut self) -> Result<()> {
        self.record.begun += 1;
        let saved = self.store.save(&self.record);
        // Nothing was begun: undoing it could only fail for the same reason, say a full disk. Later on the record
        // may say more than was done, or less, and both must be undone in its order.
        if saved.is_err() && self.record.begun == 1 {
            self.record.begun = 0;
        }
        saved
    }
}

impl Store {
    /// Runs `body` as one transaction: all that it performs stays, or nothing.
    ///
    /// When `body` fails, its steps are undone; what could not be undone is added to the error and stays in
    /// the journal for [`Store::recover`]. What the transaction doomed is deleted after the commit; should
    /// that fail, the operation has still succeeded, [`Store::leftovers`] says why, and `recover` goes on deleting. By
    /// [`crate::Reclaim::Later`] what takes long is not waited for.
    pub fn transact<T>(
        &self,
        operation: &'static str,
        body: impl FnOnce(&mut Transaction<'_>) -> Result<T>,
    ) -> Result<T> {
        let id = self.journal().next_id()?;
        let record = Record::new(id, operation);
        let mut transaction = Transaction { store: self, record, sealed: 0, kept: Vec::new() };
        let done = body(&mut transaction).and_then(|value| transaction.seal().map(|()| value));
        let Transaction { mut record, kept, .. } = transaction;
        if record.plan.steps.is_empty() {
            return done.map_err(|e| e.during(operation));
        }
        record.committed = done.is_ok();
        match done.and_then(|value| self.save(&record).map(|()| value)) {
            Ok(value) => {
                // Housekeeping, which `recover` repeats if it fails here.
                if let Err(e) = self.settle(record, &self.patience()) {
                    self.leave_behind(e.during(operation));
                }
                Ok(value)
            }
            // Whether the commit itself is durable is unknown, so only `recover` may decide.
            Err(cause) if record.committed => {
                self.journal().release(id);
                Err(cause.during(operation))
            }
            Err(cause) => {
                drop(kept);
                Err(cause.during(operation).left_behind(self.settle(record, &self.patience()).err()))
            }
        }
    }

    fn save(&self, record: &Record) -> Result<()> {
        self.reserving(&record.plan, || self.journal().save(record))
    }

    /// Does `act`. Should the disk be full, and `plan` only delete, it is done once more without the journal's
    /// reserve: nothing else could make room.
    fn reserving<T>(&self, plan: &Plan, act: impl Fn() -> Result<T>) -> Result<T> {
        match act() {
            Err(e) if e.kind() == ErrorKind::NoSpace && plan.only_deletes() => {
                if self.journal().free_reserve()? { act() } else { Err(e) }
            }
            done => done,
        }
    }

    fn perform(&self, step: &Step, by: TxId, still: Option<&Still<'_>>) -> Result<Kept> {
        let still = still.filter(|still| step.reads() == Some(still.volume));
        // A directory is held for what has changed since it was copied, anything else as long as it is read.
        if self.copy_twice(step, still)? {
            return Ok(None);
        }
        let kept = {
            // Ends with the block, whatever comes of the step.
            let _held = still.map(Still::begin).transpose()?;
            self.act(step, by)?
        };
        if let Step::Clone { at, writable, .. } = step {
            self.clones(at)?.finish_clone(at, access(*writable), by)?;
        }
        Ok(kept)
    }

    /// Copies a directory that somebody writes to in two passes, and keeps them from it for the second one only; false,
    /// with nothing done, for any other step. A file system of its own, be it a union or on a device that is
    /// opened once more, could show in the second pass what it has seen in the first.
    fn copy_twice(&self, step: &Step, still: Option<&Still<'_>>) -> Result<bool> {
        let (Step::Fill { from, at }, Some(still)) = (step, still) else { return Ok(false) };
        let source = self.driver(from.driver())?.activate(from, Access::ReadOnly)?;
        if !matches!(source.plan.source, MountSource::Tree(_)) {
            return Ok(false);
        }
        let target = self.activate_to_fill(at)?;
        let draft = self.host().draft(&source, &target)?;
        // Goes first when the block ends, whatever comes of the step.
        let _held = still.begin()?;
        self.host().catch_up(&source, &target, &draft)?;
        Ok(true)
    }

    fn act(&self, step: &Step, by: TxId) -> Result<Kept> {
        let done = match step {
            Step::MakeHome { home, mode, owner } => self.host().make_home(home, *mode, *owner, by),
            Step::Create { at, spec } => self.driver(at.at.driver())?.create(at, spec, by),
            Step::Clone { from, at, writable } => {
                let source = Source { driver: self.driver(from.driver())?, at: from };
                return self.clones(at)?.clone_volume(source, at, access(*writable), by);
            }
            Step::Fill { from, at } => {
                let source = self.driver(from.driver())?.activate(from, Access::ReadOnly)?;
                let target = self.activate_to_fill(at)?;
                self.host().fill(&source, &target)
            }
            Step::CreateBlocks { at, size } => self.blocks(&at.at)?.create_blocks(at, *size, by),
            Step::FillBlocks { from, at } => {
                let source = self.blocks(from)?.open_blocks(from, Access::ReadOnly)?;
                let target = self.blocks(at)?.open_blocks(at, Access::ReadWrite)?;
                // The host has only what is open.
                let filled = self.host().fill_blocks(&source, &target);
                filled.map_err(|e| e.with("from", from).with("to", at))?;
                drop((source, target));
                self.blocks(at)?.adopt_blocks(at)
            }
            Step::Receive { from, at, writable } => stream::between(
                self.host(),
                self.transfer(from)?,
                from,
                self.transfer(&at.at)?,
                at,
                access(*writable),
                by,
            ),
            Step::Import { at, .. } => Err(Error::new(
                ErrorKind::InvalidInput,
                format!("{} can only be made while its stream is there", at.at),
            )),
            Step::Move { from, to } if from.driver == HOME => self.host().rename_home(from, to).map(drop),
            Step::Move { from, to } => self.driver(from.driver)?.rename(from, to).map(drop),
            Step::Write { file, new, mode, .. } => self.host().write(file, new.as_deref(), *mode, by),
        };
        done.map(|()| None)
    }

    fn clones(&self, at: &Layout) -> Result<&dyn CopyOnWrite> {
        let driver = self.driver(at.at.driver())?;
        let text = || format!("the store {} makes no clones", driver.name());
        driver.copy_on_write().ok_or_else(|| Error::new(ErrorKind::Unsupported, text()))
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
            Step::Clone { at, .. } => {
                let can = self.driver(at.at.driver())?.capabilities();
                self.unmake(at, can.tags_owner || can.tags_clones, by)
            }
            Step::Create { at, .. }
            | Step::CreateBlocks { at, .. }
            | Step::Receive { at, .. }
            | Step::Import { at, .. } => {
                self.unmake(at, self.driver(at.at.driver())?.capabilities().tags_owner, by)
            }
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

    /// Rollback, roll-forward and crash recovery are this one function. What cannot be settled is given up, so that
    /// it can be tried again, by this process, too.
    pub(crate) fn settle(&self, record: Record, patience: &Patience<'_>) -> Result<()> {
        let id = record.id;
        let settled = match self.finish_or_undo(record) {
            Ok(Some(condemned)) => self.delete_doomed(condemned, patience).map(drop),
            Ok(None) => Ok(()),
            Err(e) => Err(e),
        };
        if settled.is_err() {
            self.journal().release(id);
        }
        settled
    }

    /// Undoes what has not committed, and finishes what has, but for deleting: then the record comes back.
    pub(crate) fn finish_or_undo(&self, mut record: Record) -> Result<Option<Record>> {
        if !record.committed {
            // Each undone step leaves the record before the next is undone: names recur, so undoing one twice
            // after others could move what is no longer ours.
            let last = record.begun;
            while record.begun > 0 {
                let step = &record.plan.steps[record.begun - 1];
                self.undo(step, record.id, record.begun < last)?;
                record.begun -= 1;
                self.journal().save(&record)?;
            }
            return self.journal().erase(record.id).map(|()| None);
        }
        // Once others have come and gone, a home may be another's, and a volume another one of that name.
        if !record.reclaiming {
            for step in &record.plan.steps {
                if let Step::MakeHome { home, .. } = step {
                    self.host().finish_home(home, record.id)?;
                }
            }
            for patch in &record.plan.patches {
                let ready = || self.activate_to_fill(&patch.at);
                self.host().patch(&ready()?, &patch.dir, &patch.name, patch.content.as_bytes())?;
                self.host().persist_volume(&ready)?;
            }
        }
        Ok(Some(record))
    }

    /// Deletes what this transaction made, as far as it did. What is `tagged` is made under its final name, where somebody
    /// else's may stand, and a thing without our tag is none that we made.
    fn unmake(&self, what: &Layout, tagged: bool, by: TxId) -> Result<()> {
        let driver = self.driver(what.at.driver())?;
        for part in what.parts.iter().rev() {
            if !tagged || driver.made_by(part, by)? {
                reclaim_part(driver, part, by, &())?;
            }
        }
        Ok(())
    }

    /// Deletes what this transaction condemned.
    pub(crate) fn reclaim(&self, what: &Layout, by: TxId, observer: &dyn Observer) -> Result<()> {
        let driver = self.driver(what.at.driver())?;
        what.parts.iter().rev().try_for_each(|part| reclaim_part(driver, part, by, observer))
    }
}

fn access(writable: bool) -> Access {
    if writable { Access::ReadWrite } else { Access::ReadOnly }
}

/// The only place that deletes volumes, part by part, and only what a transaction can prove its own.
pub(crate) fn reclaim_part(
    driver: &dyn Driver,
    part: &Resource,
    by: TxId,
    observer: &dyn Observer,
) -> Result<()> {
    if !driver.made_by(part, by)? {
        return Err(not_ours(&part.to_string()));
    }
    driver.reclaim_observed(part, by, observer).map(drop)
}

pub(crate) fn not_ours(what: &str) -> Error {
    Error::new(
        ErrorKind::Corrupt,
        format!(
            "refusing to delete {what}, which the transaction cannot prove its own: remove it by hand if it is garbage"
        ),
    )
}
