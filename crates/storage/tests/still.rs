//! When whoever writes to a source is kept from it: while a step reads it, and no longer.
#![allow(clippy::unwrap_used, reason = "helpers of tests may panic, too")]

use std::any::Any;
use std::cell::RefCell;
use std::path::Path;
use std::rc::Rc;

use hull_storage::{Access, CloneMode, DriverName, Error, ErrorKind, Locator, Placement, Still};
use hull_storage_testkit::sim::{Disk, Lab, Machine, SimDriver};

const CONTENT: &[(&str, &str)] = &[("hostname", "old"), ("bin/sh", "shell")];

/// How often a machine had been changed when writers were stopped, and when they were let go.
type Moments = Rc<RefCell<Vec<usize>>>;

struct Stopped(Machine, Moments);

impl Drop for Stopped {
    fn drop(&mut self) {
        self.1.borrow_mut().push(self.0.spent());
    }
}

/// Clones `/v/a` to `/v/b`. Returns what was on disk, and the moments.
fn clone(driver: DriverName, mode: CloneMode, refused: bool) -> (Result<(), Error>, Machine, Vec<usize>) {
    let lab = Lab::new().unwrap();
    let machine = Machine::new(SimDriver::volume(Disk::default(), "/v/a", CONTENT));
    let store = lab.store(&machine);
    let from = Locator::new(driver, "/v/a");
    let to = Placement::exactly(Path::new("/v/b")).unwrap();
    let moments = Moments::default();
    let hold = || -> Result<Box<dyn Any>, Error> {
        if refused {
            return Err(Error::new(ErrorKind::InUse, "they go on writing"));
        }
        moments.borrow_mut().push(machine.spent());
        Ok(Box::new(Stopped(machine.clone(), moments.clone())))
    };
    let done = store.transact("clone", |tx| {
        let new = store.plan_clone(&from, Some(driver), &to, mode, Access::ReadWrite, tx.id())?;
        tx.perform_still(new.plan, &Still { volume: &from, hold: &hold })
    });
    let moments = moments.take();
    (done, machine, moments)
}

#[test]
fn writers_wait_for_one_step() {
    for (driver, mode) in [(Lab::PLAIN, CloneMode::Copy), (Lab::FREE, CloneMode::Snapshot)] {
        let (done, machine, moments) = clone(driver, mode, false);
        done.unwrap();
        let &[stopped, let_go] = &moments[..] else { panic!("{driver}: {moments:?}") };
        assert!(stopped > 0, "{driver}: they may write while the first step is noted");
        assert!(stopped < let_go, "{driver}: they wait while the source is read");
        assert!(let_go < machine.spent(), "{driver}: they may write while the volume is moved into place");
        assert!(machine.disk().has(Path::new("/v/b/hostname")));
    }
}

#[test]
fn writers_that_cannot_be_stopped_leave_nothing_made() {
    for (driver, mode) in [(Lab::PLAIN, CloneMode::Copy), (Lab::FREE, CloneMode::Snapshot)] {
        let (done, machine, _) = clone(driver, mode, true);
        let e = done.unwrap_err();
        assert!(e.kind() == ErrorKind::InUse && e.to_string().contains("they go on writing"), "{e}");
        assert_eq!(machine.disk(), SimDriver::volume(Disk::default(), "/v/a", CONTENT));
        assert!(machine.records().is_empty(), "{driver}: nothing is left to be undone");
    }
}
