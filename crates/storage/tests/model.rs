//! Random operations with deaths against a plain map, on the simulated stores.

use hull_storage::DriverName;
use hull_storage_testkit::model::{Trial, run, sim};
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
