//! The property test on the real ground.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use hull_storage::{DriverName, Locator, Placement, Result, Store};
use rustix::io::Errno;

use super::Bench;
use super::case::{Case, CaseResult, Verdict};
use super::kill::faulty_store;
use crate::faulty::{Counted, Faults, Lasting, Moment};
use crate::model::{Files, Name, Subject, Trial, run};

pub(super) const CASES: &[Case] = &[Case { name: "random::operations_with_deaths", needs: &[], run: short }];

fn short(bench: &Bench) -> CaseResult {
    run_on(bench, Trial { cases: 6, length: 15, ..Trial::default() })?;
    Ok(Verdict::Held)
}

/// Runs `trial` on the bench's ground.
pub(super) fn run_on(bench: &Bench, trial: Trial) -> std::result::Result<(), crate::model::Failed> {
    let rounds = AtomicUsize::new(0);
    run(trial, || {
        let round = rounds.fetch_add(1, Ordering::Relaxed);
        Ok(OnBench { bench: bench.below(&format!("round{round}"))?, died: Mutex::new(false) })
    })
}

struct OnBench {
    bench: Bench,
    died: Mutex<bool>,
}

impl Subject for OnBench {
    fn driver(&self) -> DriverName {
        self.bench.driver().name()
    }

    fn dir(&self) -> PathBuf {
        self.bench.dir().join("volumes")
    }

    fn place(&self, name: Name) -> Placement {
        match name {
            Name::Slot(_) => self.bench.place(name.text()),
            Name::Home(_) => self.bench.place_in_home(&name.text()),
        }
    }

    fn process(&self, dies: Option<usize>) -> Store {
        let Some(at) = dies else { return self.bench.store() };
        // A process that can do nothing more is as good as dead, and cheaper than a child.
        let (moment, lasting) = (Moment::Before, Lasting::FromThenOn);
        *self.died.lock().expect("nobody panics with it") = true;
        faulty_store(&self.bench, &Faults::fail(Counted::Changes, at, moment, lasting, Errno::IO))
    }

    fn revive(&self) {
        if std::mem::take(&mut *self.died.lock().expect("nobody panics with it")) {
            // What is wrong shows in the comparison.
            let _ = self.bench.recover();
        }
    }

    fn create(&self, store: &Store, name: Name) -> Result<Locator> {
        self.bench.make_empty(store, name.text())
    }

    fn planned(&self, store: &Store, name: Name) -> Result<Locator> {
        self.bench.planned_empty(store, name.text())
    }

    fn write(&self, at: &Locator, file: &str, text: &str) -> std::result::Result<(), String> {
        self.bench.write(&self.bench.store(), at, file, text).map_err(|e| e.to_string())
    }

    fn read(&self, at: &Locator) -> std::result::Result<Files, String> {
        let content = self.bench.content(&self.bench.store(), at).map_err(|e| e.to_string())?;
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        let files = content.into_iter().map(|(p, c)| (p.to_string_lossy().into_owned(), text(c)));
        let files: BTreeMap<_, _> = files.filter(|(name, _)| name.starts_with("file")).collect();
        Ok(files)
    }

    fn visible(&self) -> std::result::Result<Vec<String>, String> {
        self.bench.require_clean().map_err(|e| e.to_string())?;
        let visible = self.bench.visible().map_err(|e| e.to_string())?;
        Ok(visible.into_iter().map(|name| name.to_string_lossy().into_owned()).collect())
    }
}
