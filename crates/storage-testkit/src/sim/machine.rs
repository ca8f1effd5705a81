//! The machine: a disk, a journal, and the moment of death.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use hull_storage::{Error, ErrorKind, Outcome, Record, Result, Seen, TxId};

use super::disk::{Disk, Node};

/// A machine that may die. Clones of it are the same machine.
#[derive(Clone, Debug, Default)]
pub struct Machine(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    disk: Disk,
    /// Records and the life of the process that has each.
    records: BTreeMap<TxId, (Record, Weak<()>)>,
    ids: u64,
    /// Whom things say that they were made by, by path.
    tags: BTreeMap<PathBuf, TxId>,
    fuel: Option<usize>,
    spent: usize,
    died: bool,
    foreign: Option<(usize, Foreign)>,
}

/// What somebody else does to the disk.
struct Foreign(Box<dyn FnOnce(&mut Disk) + Send>);

impl fmt::Debug for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Foreign")
    }
}

impl Machine {
    /// A machine with `disk`, that lives for ever.
    pub fn new(disk: Disk) -> Self {
        let state = State { disk, ..State::default() };
        Self(Arc::new(Mutex::new(state)))
    }

    /// A copy of the machine after a reboot: what was on disk and in the journal; no process lives.
    #[must_use]
    pub fn rebooted(&self) -> Self {
        let state = self.state();
        let records = state.records.iter().map(|(id, (r, _))| (*id, (r.clone(), Weak::new()))).collect();
        let (disk, tags) = (state.disk.clone(), state.tags.clone());
        Self(Arc::new(Mutex::new(State { disk, records, tags, ids: state.ids, ..State::default() })))
    }

    /// Lets it die after so many effects; `None`: never.
    pub fn fuel(&self, effects: Option<usize>) {
        let mut state = self.state();
        (state.fuel, state.spent, state.died) = (effects, 0, false);
    }

    /// Lets somebody else act just before the effect number `before`, counted from the last
    /// [`Machine::fuel`].
    pub fn foreign(&self, before: usize, act: impl FnOnce(&mut Disk) + Send + 'static) {
        self.state().foreign = Some((before, Foreign(Box::new(act))));
    }

    /// Whether an effect came to nothing because it was dead.
    pub fn died(&self) -> bool {
        self.state().died
    }

    /// How many effects happened since the last [`Machine::fuel`].
    pub fn spent(&self) -> usize {
        self.state().spent
    }

    /// What is on disk.
    pub fn disk(&self) -> Disk {
        self.state().disk.clone()
    }

    /// What is in the journal.
    pub fn records(&self) -> Vec<Record> {
        self.state().records.values().map(|(r, _)| r.clone()).collect()
    }

    /// One indivisible effect. Out of fuel, the machine is dead: neither this one nor a later one happens.
    pub fn effect<T>(&self, act: impl FnOnce(&mut Disk) -> Result<T>) -> Result<T> {
        act(&mut self.spend()?.disk)
    }

    /// [`Machine::effect`] that makes `path`, which from then on says that `by` made it.
    pub(super) fn tagged(
        &self,
        path: &Path,
        by: TxId,
        act: impl FnOnce(&mut Disk) -> Result<()>,
    ) -> Result<()> {
        let mut state = self.spend()?;
        act(&mut state.disk)?;
        state.tags.insert(path.to_path_buf(), by);
        Ok(())
    }

    /// Whether what is called `path` says that `by` made it.
    pub(super) fn is_tagged(&self, path: &Path, by: TxId) -> Result<bool> {
        let there = self.look(|disk| disk.has(path))?;
        Ok(there && self.state().tags.get(path) == Some(&by))
    }

    /// Looks at the disk, which takes no fuel but a living machine.
    pub fn look<T>(&self, at: impl FnOnce(&Disk) -> T) -> Result<T> {
        let mut state = self.state();
        if state.fuel == Some(state.spent) {
            state.died = true;
            return Err(dead());
        }
        Ok(at(&state.disk))
    }

    /// Removes a tree node by node, each an effect.
    pub fn remove_tree(&self, path: &Path) -> Result<Outcome> {
        let nodes: Vec<_> = self.look(|d| d.tree(path).map(|(p, _)| p.to_path_buf()).collect())?;
        if nodes.is_empty() {
            return Ok(Outcome::AlreadyDone);
        }
        nodes.iter().rev().try_for_each(|p| self.effect(|d| d.remove(p).map(drop)))?;
        Ok(Outcome::Done)
    }

    /// The content of a file, if it is one.
    pub fn read(&self, path: &Path) -> Result<Option<Vec<u8>>> {
        self.look(|d| match d.get(path) {
            Some(Node::File(content)) => Some(content.clone()),
            _ => None,
        })
    }

    pub(super) fn save(&self, record: &Record, owner: Weak<()>) -> Result<()> {
        self.spend()?.records.insert(record.id, (record.clone(), owner));
        Ok(())
    }

    pub(super) fn erase(&self, id: TxId) -> Result<()> {
        self.spend()?.records.remove(&id);
        Ok(())
    }

    pub(super) fn release(&self, id: TxId) {
        if let Some((_, owner)) = self.state().records.get_mut(&id) {
            *owner = Weak::new();
        }
    }

    pub(super) fn seen(&self) -> Result<Vec<Seen>> {
        self.look(|_| ())?;
        let seen = |(record, owner): &(Record, Weak<()>)| Seen {
            record: record.clone(),
            held: owner.strong_count() > 0,
        };
        Ok(self.state().records.values().map(seen).collect())
    }

    /// The records whose process is gone that are `reclaiming`, or not, from now on `owner`'s.
    pub(super) fn adopt(&self, owner: &Weak<()>, reclaiming: bool) -> Result<Vec<Record>> {
        self.look(|_| ())?;
        let mut state = self.state();
        let orphans = state
            .records
            .values_mut()
            .filter(|(record, process)| process.strong_count() == 0 && record.reclaiming == reclaiming);
        Ok(orphans
            .map(|(record, process)| {
                *process = Weak::clone(owner);
                record.clone()
            })
            .collect())
    }

    pub(super) fn next_id(&self) -> TxId {
        let mut state = self.state();
        state.ids += 1;
        TxId(state.ids)
    }

    fn spend(&self) -> Result<MutexGuard<'_, State>> {
        let mut state = self.state();
        if state.fuel == Some(state.spent) {
            state.died = true;
            return Err(dead());
        }
        if state.foreign.as_ref().is_some_and(|(before, _)| *before == state.spent)
            && let Some((_, act)) = state.foreign.take()
        {
            (act.0)(&mut state.disk);
        }
        state.spent += 1;
        Ok(state)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn dead() -> Error {
    Error::new(ErrorKind::Os, "the machine is dead")
}
