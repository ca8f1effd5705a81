//! What is put to the test: stores on a ground, real or simulated.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use hull_mount::Access;
use hull_storage::{DriverName, Locator, Placement, Result, Source, Store, Tie, VolumeSpec};

use super::Name;
use crate::sim::{Disk, Lab, Machine, Node};

/// The files of a volume, by name.
pub type Files = BTreeMap<String, String>;

/// A ground that the model can work on. Each case gets a new one.
pub trait Subject {
    /// The store under test.
    fn driver(&self) -> DriverName;

    /// The directory in which the volumes and homes are.
    fn dir(&self) -> PathBuf;

    /// Where a volume called `name` is to be made.
    fn place(&self, name: Name) -> Placement {
        let path = self.dir().join(name.text());
        match name {
            Name::Slot(_) => Placement::exactly(&path).expect("a name is a last component"),
            Name::Home(_) => Placement::in_home(path, name.text()),
        }
    }

    /// A new process. With `dies`, nothing of it happens after so many effects.
    fn process(&self, dies: Option<usize>) -> Store;

    /// After this, processes work again.
    fn revive(&self);

    /// Makes a volume without files at `name`.
    fn create(&self, store: &Store, name: Name) -> Result<Locator>;

    /// Where [`Subject::create`] puts it.
    fn planned(&self, store: &Store, name: Name) -> Result<Locator> {
        let to = Placement::exactly(&self.dir().join(name.text())).expect("a name is a last component");
        Ok(store.driver(self.driver())?.new_layout(&to, None)?.at)
    }

    /// Writes a file into a volume.
    fn write(&self, at: &Locator, file: &str, text: &str) -> std::result::Result<(), String>;

    /// Reads all files of a volume.
    fn read(&self, at: &Locator) -> std::result::Result<Files, String>;

    /// Everything in [`Subject::dir`], one level deep, and what is left in the journal.
    fn visible(&self) -> std::result::Result<Vec<String>, String>;

    /// What ties a clone to its source `from`.
    fn tie(&self, store: &Store, from: &Locator, access: Access) -> Tie {
        let Ok(driver) = store.driver(self.driver()) else { return Tie::None };
        let place = Placement::exactly(&self.dir().join("tie"));
        let offer = driver
            .copy_on_write()
            .zip(place)
            .and_then(|(cow, place)| cow.offer(Source { driver, at: from }, &place, access));
        offer.map_or(Tie::None, |o| o.tie)
    }
}

/// A simulated machine and one of its stores.
#[derive(Debug)]
pub struct SimSubject {
    lab: Lab,
    machine: Machine,
    driver: DriverName,
}

/// A simulated machine; `driver` is one of the [`Lab`]'s that can stand alone.
///
/// # Errors
/// When no directory for locks can be made.
pub fn sim(driver: DriverName) -> std::io::Result<SimSubject> {
    Ok(SimSubject::new(Lab::new()?, driver))
}

impl SimSubject {
    /// The store `driver` of `lab` on a new machine.
    pub fn new(lab: Lab, driver: DriverName) -> Self {
        Self { lab, machine: Machine::new(Disk::default().dir("/v")), driver }
    }
}

impl Subject for SimSubject {
    fn driver(&self) -> DriverName {
        self.driver
    }

    fn dir(&self) -> PathBuf {
        "/v".into()
    }

    fn process(&self, dies: Option<usize>) -> Store {
        self.machine.fuel(dies);
        self.lab.store(&self.machine)
    }

    fn revive(&self) {
        self.machine.fuel(None);
    }

    fn create(&self, store: &Store, name: Name) -> Result<Locator> {
        let path = self.dir().join(name.text());
        let to = Placement::exactly(&path).expect("a name is a last component");
        store.create(self.driver, &to, &VolumeSpec::default())
    }

    fn write(&self, at: &Locator, file: &str, text: &str) -> std::result::Result<(), String> {
        self.machine.effect(|d| d.put(&at.path().join(file), text.as_bytes())).map_err(|e| e.to_string())
    }

    fn read(&self, at: &Locator) -> std::result::Result<Files, String> {
        let disk = self.machine.disk();
        let files = disk.tree(at.path()).filter_map(|(path, node)| match node {
            Node::Dir => None,
            Node::File(content) => Some((leaf(path), String::from_utf8_lossy(content).into_owned())),
        });
        Ok(files.collect())
    }

    fn visible(&self) -> std::result::Result<Vec<String>, String> {
        let records = self.machine.records().len();
        if records > 0 {
            return Err(format!("{records} records are left"));
        }
        let disk = self.machine.disk();
        let dir = self.dir();
        // A volume is two nodes here, and a mark is part of a clone.
        let names = disk.paths().filter(|p| p.parent() == Some(&dir)).map(leaf);
        Ok(names.filter(|n| !n.contains('@') && !n.ends_with(".meta")).collect())
    }
}

fn leaf(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
