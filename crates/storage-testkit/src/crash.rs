//! The crash loop: an operation dies at every effect, so does its recovery, and the recovery of that.

use std::fmt;
use std::path::PathBuf;

use hull_storage::{Reclaimed, Record, Result, Store};

use crate::sim::{Disk, Lab, Machine};

/// What an operation may leave on disk.
#[derive(Clone, Debug, Default)]
pub struct Scene {
    /// What was there before it.
    pub before: Disk,
    /// What is there once it has succeeded.
    pub after: Disk,
    /// What it must not touch even while it is under way: paths with all below them.
    pub untouched: Vec<PathBuf>,
}

/// How often the machine died, by what it was doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CrashPoints {
    /// The operation.
    pub operation: usize,
    /// The recovery after each of those.
    pub recovery: usize,
    /// The recovery after each of those.
    pub second_recovery: usize,
}

impl CrashPoints {
    /// All of them.
    pub fn total(self) -> usize {
        self.operation + self.recovery + self.second_recovery
    }
}

impl fmt::Display for CrashPoints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { operation, recovery, second_recovery } = self;
        write!(f, "{} = {operation} + {recovery} + {second_recovery} crash points", self.total())
    }
}

/// What was wrong, and after which deaths.
#[derive(Debug)]
pub struct Torn(String);

impl fmt::Display for Torn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Torn {}

/// Lets `op` die at every effect, then its recovery at every effect, then the recovery of that, and finishes
/// with a recovery on a machine that lives.
///
/// Every way must end wholly before or wholly after, the same after one crash whatever happened to its
/// recovery, after if the record was committed or `op` reported success, with an empty journal, and without
/// a change to what is to stay untouched, at any moment.
pub fn crash_everywhere(
    lab: &Lab,
    scene: &Scene,
    op: impl Fn(&Store) -> Result<()>,
) -> std::result::Result<CrashPoints, Torn> {
    let mut points = CrashPoints::default();
    for fuel in 0.. {
        let machine = Machine::new(scene.before.clone());
        machine.fuel(Some(fuel));
        let store = lab.store(&machine);
        let result = op(&store);
        drop(store);
        let mut deaths = vec![fuel];
        let loop_ = Loop { lab, scene };
        loop_.look(&machine, &deaths)?;
        if !machine.died() {
            result.map_err(|e| Torn(format!("it fails without a crash: {e}")))?;
            loop_.settled(&machine, &deaths, Some(true))?;
            return Ok(points);
        }
        points.operation += 1;
        let mut fate = (result.is_ok() || committed(&machine.records())).then_some(true);
        loop_.recover(&machine, &mut deaths, &mut fate, &mut points)?;
    }
    unreachable!("a machine with enough fuel does not die")
}

struct Loop<'a> {
    lab: &'a Lab,
    scene: &'a Scene,
}

impl Loop<'_> {
    /// Recovers from a crash in every way. `fate` is whether it must end after, once that is known.
    fn recover(
        &self,
        crashed: &Machine,
        deaths: &mut Vec<usize>,
        fate: &mut Option<bool>,
        points: &mut CrashPoints,
    ) -> std::result::Result<(), Torn> {
        for fuel in 0.. {
            let machine = crashed.rebooted();
            // The third recovery lives.
            machine.fuel((deaths.len() < 3).then_some(fuel));
            let recovered = settle(&self.lab.store(&machine));
            deaths.push(fuel);
            self.look(&machine, deaths)?;
            if machine.died() {
                match deaths.len() {
                    2 => points.recovery += 1,
                    _ => points.second_recovery += 1,
                }
                self.recover(&machine, deaths, fate, points)?;
                deaths.pop();
                continue;
            }
            let at = format!("recovery after deaths at {deaths:?}");
            recovered.map_err(|e| Torn(format!("{at}: {e}")))?;
            *fate = Some(self.settled(&machine, deaths, *fate)?);
            deaths.pop();
            return Ok(());
        }
        unreachable!("a machine with enough fuel does not die")
    }

    /// Fails when something is touched that must not be.
    fn look(&self, machine: &Machine, deaths: &[usize]) -> std::result::Result<(), Torn> {
        let disk = machine.disk();
        for path in &self.scene.untouched {
            if !disk.tree(path).eq(self.scene.before.tree(path)) {
                let path = path.display();
                return Err(Torn(format!("{path} is touched after deaths at {deaths:?}:\n{disk:?}")));
            }
        }
        Ok(())
    }

    /// Whether it ended after; fails when it ended neither so nor before, or not as it must.
    fn settled(
        &self,
        machine: &Machine,
        deaths: &[usize],
        fate: Option<bool>,
    ) -> std::result::Result<bool, Torn> {
        let disk = machine.disk();
        let after = disk == self.scene.after;
        if !after && disk != self.scene.before {
            return Err(Torn(format!("torn after deaths at {deaths:?}:\n{disk:?}")));
        }
        if !machine.records().is_empty() {
            return Err(Torn(format!("the journal is not empty after deaths at {deaths:?}")));
        }
        if fate.is_some_and(|fate| fate != after && self.scene.before != self.scene.after) {
            let (is, was) = if after { ("after", "before") } else { ("before", "after") };
            return Err(Torn(format!("ends {is} and was {was}, after deaths at {deaths:?}")));
        }
        Ok(after)
    }
}

/// Recovers, and deletes what is left for later.
fn settle(store: &Store) -> Result<()> {
    let recovered = store.recover()?;
    let reclaimed = if store.has_pending() { store.reclaim_pending(&())? } else { Reclaimed::default() };
    recovered.failed.into_iter().chain(reclaimed.failed).next().map_or(Ok(()), Err)
}

fn committed(records: &[Record]) -> bool {
    records.iter().any(|r| r.committed)
}
