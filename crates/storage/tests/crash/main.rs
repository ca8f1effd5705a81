//! The crash loop over every operation, and over what owners of volumes compose of them.
#![allow(clippy::unwrap_used, reason = "helpers of tests may panic, too")]

mod later;
mod operations;
mod owners;
mod teeth;

use hull_storage::{Access, CloneMode, DriverName, Locator, Placement, Result, Store};
use hull_storage_testkit::crash::{CrashPoints, Scene, crash_everywhere};
use hull_storage_testkit::sim::{Disk, Lab, SimDriver};

/// The files of a volume: a directory, too, so that a copy takes several effects.
const OLD: &[(&str, &str)] = &[("hostname", "old"), ("bin/sh", "shell")];
const NEW: &[(&str, &str)] = &[("hostname", "new"), ("bin/sh", "shell")];

fn at(path: &str) -> Placement {
    Placement::exactly(path.as_ref()).unwrap()
}

fn loc(driver: DriverName, path: &str) -> Locator {
    Locator::new(driver, path)
}

fn with(disk: Disk, path: &str, content: &[(&str, &str)]) -> Disk {
    SimDriver::volume(disk, path, content)
}

/// Runs the crash loop and checks the number of crash points: a change of the protocol shows here.
fn crash(name: &str, scene: &Scene, expected: [usize; 3], op: impl Fn(&Store) -> Result<()>) {
    let lab = Lab::new().unwrap();
    let points = crash_everywhere(&lab, scene, op).unwrap_or_else(|torn| panic!("{name}: {torn}"));
    println!("{name}: {points}");
    let [operation, recovery, second_recovery] = expected;
    let expected = CrashPoints { operation, recovery, second_recovery };
    assert_eq!(points, expected, "{name}: the number of effects has changed");
}

fn clone(store: &Store, from: &Locator, to: &str, mode: CloneMode, access: Access) -> Result<()> {
    store.clone_volume(from, Some(from.driver()), &at(to), mode, access).map(drop)
}
