//! Random operations with deaths against a plain map, on the simulated stores.
#![allow(clippy::unwrap_used, reason = "helpers of tests may panic, too")]

use hull_storage::{DriverName, Journal, Record, Result, Seen, TxId};
use hull_storage_testkit::model::{SimSubject, Trial, run, sim};
use hull_storage_testkit::sim::Lab;

fn holds(driver: DriverName) {
    run(Trial::default(), || Ok(sim(driver)?)).unwrap_or_else(|e| panic!("{e}"));
}

#[test]
fn copies() {
    holds(Lab::PLAIN);
}

#[test]
fn clones_without_ties() {
    holds(Lab::FREE);
}

#[test]
fn clones_that_mark_their_source() {
    holds(Lab::MARKED);
}

/// A journal that never saves a commit.
struct NoCommit(Box<dyn Journal>);

impl Journal for NoCommit {
    fn save(&self, record: &Record) -> Result<()> {
        if record.committed { Ok(()) } else { self.0.save(record) }
    }
    fn erase(&self, id: TxId) -> Result<()> {
        self.0.erase(id)
    }
    fn orphans(&self) -> Result<Vec<Record>> {
        self.0.orphans()
    }
    fn condemned(&self) -> Result<Vec<Record>> {
        self.0.condemned()
    }
    fn release(&self, id: TxId) {
        self.0.release(id);
    }
    fn look(&self) -> Result<Vec<Seen>> {
        self.0.look()
    }
    fn next_id(&self) -> Result<TxId> {
        self.0.next_id()
    }
}

#[test]
fn a_mutant_is_caught() {
    let failed = run(Trial::default(), || {
        let lab = Lab::new()?.with_journal(|j| Box::new(NoCommit(j)));
        Ok(SimSubject::new(lab, Lab::FREE))
    });
    println!("{}", failed.unwrap_err());
}
