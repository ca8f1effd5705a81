//! When whoever writes to a source is kept from it: while a step reads it, and no longer.
#![allow(clippy::unwrap_used, reason = "helpers of tests may panic, too")]

use std::any::Any;
use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use hull_storage::{Access, CloneMode, DriverName, Error, ErrorKind, Locator, Placement, Still};
use hull_storage_testkit::sim::{Disk, Lab, Machine, Node, SimDriver};

const CONTENT: &[(&str, &str)] = &[("hostname", "old"), ("bin/sh", "shell")];

/// How often a machine had been changed when writers were stopped, and when they were let go.
type Moments = Rc<RefCell<Vec<usize>>>;

struct Stopped(Machine, Moments);

impl Drop for Stopped {
    fn drop(&mut self) {
        self.1.borrow_mut().push(self.0.spent());
    }
}

/// Clones `/v/a` to `/v/b` on a machine that dies after `fuel` effects. Returns what was on disk, and the moments.
fn clone(
    driver: DriverName,
    mode: CloneMode,
    fuel: Option<usize>,
    refused: bool,
) -> (Result<(), Error>, Machine, Vec<usize>) {
    let lab = Lab::new().unwrap();
    let machine = Machine::new(SimDriver::volume(Disk::default(), "/v/a", CONTENT));
    machine.fuel(fuel);
    let store = lab.store(&machine);
    let from = Locator::new(driver, "/v/a");
    let to = Placement::exactly(Path::new("/v/b")).unwrap();
    let moments = Moments::default();
    let hold = || -> Result<Box<dyn Any>, Error> {
        if refused {
            return Err(Error::new(ErrorKind::InUse, "they go on writing"));
        }
        // The last they do: files and directories come and go.
        machine.effect(|disk| {
            disk.put(Path::new("/v/a/hostname"), b"new")?;
            disk.remove(Path::new("/v/a/bin/sh"))?;
            disk.remove(Path::new("/v/a/bin"))?;
            disk.make_file(Path::new("/v/a/bin"), b"a file")?;
            disk.make_dir(Path::new("/v/a/sbin"))?;
            disk.make_file(Path::new("/v/a/sbin/init"), b"new")
        })?;
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
        let (done, machine, moments) = clone(driver, mode, None, false);
        done.unwrap();
        let &[stopped, let_go] = &moments[..] else { panic!("{driver}: {moments:?}") };
        assert!(stopped > 0, "{driver}: they may write while the first step is noted");
        assert!(stopped < let_go, "{driver}: they wait while the source is read");
        assert!(let_go < machine.spent(), "{driver}: they may write while the volume is moved into place");
        let disk = machine.disk();
        let tree = |root: &str| -> Vec<(PathBuf, Node)> {
            let below = |path: &Path| path.strip_prefix(root).unwrap().to_path_buf();
            disk.tree(Path::new(root)).map(|(path, node)| (below(path), node.clone())).collect()
        };
        assert!(tree("/v/a").len() == 5 && tree("/v/a") == tree("/v/b"), "{driver}: {disk:?}");
    }
}

#[test]
fn a_copy_is_made_before_they_wait_and_undone_wherever_it_dies() {
    let (done, whole, moments) = clone(Lab::PLAIN, CloneMode::Copy, None, false);
    done.unwrap();
    assert!(whole.spent() > moments[1]);
    // The first pass makes three entries before they wait.
    assert!(moments[0] >= 4, "{moments:?}");
    for fuel in 0..whole.spent() {
        let (done, machine, _) = clone(Lab::PLAIN, CloneMode::Copy, Some(fuel), false);
        assert!(machine.died(), "at {fuel}");
        let machine = machine.rebooted();
        Lab::new().unwrap().store(&machine).recover().unwrap();
        assert!(machine.records().is_empty(), "at {fuel}");
        let disk = machine.disk();
        let (old, new) = (Path::new("/v/a"), Path::new("/v/b"));
        let made = disk.paths().any(|path| path.starts_with(new));
        assert!(!made || disk.tree(old).count() == disk.tree(new).count(), "at {fuel}: {done:?} {disk:?}");
        let known = ["/v", "/v/a.meta", "/v/b.meta"].map(Path::new);
        let mut others = disk.paths().filter(|path| !path.starts_with(old) && !path.starts_with(new));
        assert!(others.all(|path| !path.starts_with("/v") || known.contains(&path)), "at {fuel}: {disk:?}");
    }
}

#[test]
fn writers_that_cannot_be_stopped_leave_nothing_made() {
    for (driver, mode) in [(Lab::PLAIN, CloneMode::Copy), (Lab::FREE, CloneMode::Snapshot)] {
        let (done, machine, _) = clone(driver, mode, None, true);
        let e = done.unwrap_err();
        assert!(e.kind() == ErrorKind::InUse && e.to_string().contains("they go on writing"), "{e}");
        assert_eq!(machine.disk(), SimDriver::volume(Disk::default(), "/v/a", CONTENT));
        assert!(machine.records().is_empty(), "{driver}: nothing is left to be undone");
    }
}
