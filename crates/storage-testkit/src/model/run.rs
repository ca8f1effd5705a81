//! Runs commands on the subject and on a map, and compares the two after each.

use std::collections::BTreeMap;
use std::fmt;

use hull_mount::Access;
use hull_storage::{
    CloneMode, Content, ErrorKind, Locator, Mark, Placement, Plan, Result, Source, Store, Tie, lies_in,
};
use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};

use super::command::{Command, Name, sequence};
use super::subject::{Files, Subject};

/// How much is tried.
#[derive(Clone, Copy, Debug)]
pub struct Trial {
    /// Decides everything that is drawn.
    pub seed: u64,
    /// How many sequences.
    pub cases: u32,
    /// The longest sequence.
    pub length: usize,
}

/// Short, and the same every time.
impl Default for Trial {
    fn default() -> Self {
        Self { seed: 0x4855_4c4c, cases: 64, length: 40 }
    }
}

/// The shortest sequence found that fails.
#[derive(Debug)]
pub struct Failed {
    seed: u64,
    why: String,
    commands: Vec<Command>,
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "seed {:#x}: {}; after {:#?}", self.seed, self.why, self.commands)
    }
}

impl std::error::Error for Failed {}

/// Runs the trial, each sequence on a subject of its own, and shortens the first that fails.
pub fn run<S: Subject>(
    trial: Trial,
    make: impl Fn() -> std::result::Result<S, Box<dyn std::error::Error>>,
) -> std::result::Result<(), Failed> {
    let config = Config { cases: trial.cases, failure_persistence: None, ..Config::default() };
    let seed: Vec<u8> = (0..4).flat_map(|_| trial.seed.to_le_bytes()).collect();
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let result = runner.run(&sequence(trial.length), |commands| {
        let fail = |e: String| proptest::test_runner::TestCaseError::fail(e);
        let subject = make().map_err(|e| fail(e.to_string()))?;
        let mut model = Model { subject: &subject, volumes: BTreeMap::new(), ids: 0 };
        commands.iter().try_for_each(|c| model.step(c).map_err(|e| fail(format!("{c:?}: {e}"))))
    });
    match result {
        Ok(()) => Ok(()),
        Err(TestError::Fail(why, commands)) => {
            Err(Failed { seed: trial.seed, why: why.to_string(), commands })
        }
        Err(TestError::Abort(why)) => {
            Err(Failed { seed: trial.seed, why: why.to_string(), commands: Vec::new() })
        }
    }
}

/// The name that is always taken as drawn, so that there are taken and missing ones.
const BLIND: Name = Name::Slot(3);

/// What the map knows of a volume.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Volume {
    id: usize,
    at: Locator,
    files: Files,
    writable: bool,
    /// The volume it would be ruined without.
    needs: Option<usize>,
}

type Volumes = BTreeMap<Name, Volume>;

struct Model<'a, S> {
    subject: &'a S,
    volumes: Volumes,
    ids: usize,
}

/// What a command must come to.
enum Expected {
    /// It is not for this store, or would ruin what its owner has to protect.
    NotAsked,
    /// It fails.
    Refused(ErrorKind),
    /// It succeeds, and this is so afterwards.
    Done(Volumes),
}

impl<S: Subject> Model<'_, S> {
    fn step(&mut self, command: &Command) -> std::result::Result<(), String> {
        let (dies, command) = match command {
            Command::Dying(effects, command) => (Some(*effects), &**command),
            command => (None, command),
        };
        let command = self.aim(command);
        match &command {
            Command::Write(name, file, text) => self.write(*name, *file, *text),
            other => self.act(other, dies),
        }
        .and_then(|()| self.compare(&self.volumes))
        .map_err(|e| format!("as {command:?}: {e}"))
    }

    /// The command with most of the names changed so that it has something to do: drawn blindly, nearly all
    /// would be refused.
    fn aim(&self, command: &Command) -> Command {
        let there = |name: Name| match self.volumes.len() {
            0 => name,
            _ if self.volumes.contains_key(&name) || name == BLIND => name,
            n => *self.volumes.keys().nth(name.index() % n).expect("it is less than their number"),
        };
        let free = |name: Name| {
            let names = Name::ALL.iter().cycle().skip(name.index()).take(Name::ALL.len());
            let mut free = names.filter(|n| !self.volumes.contains_key(n) || **n == BLIND);
            free.next().copied().unwrap_or(name)
        };
        match command {
            Command::Create(to) => Command::Create(free(*to)),
            Command::Clone(from, to) => Command::Clone(there(*from), free(*to)),
            Command::Snapshot(from, to) => Command::Snapshot(there(*from), free(*to)),
            Command::Restore(from, to) => Command::Restore(there(*from), there(*to)),
            Command::Rename(from, to) => Command::Rename(there(*from), free(*to)),
            Command::Destroy(name) => Command::Destroy(there(*name)),
            Command::Write(name, file, text) => Command::Write(there(*name), *file, *text),
            Command::Dying(effects, command) => Command::Dying(*effects, Box::new(self.aim(command))),
        }
    }

    fn write(&mut self, name: Name, file: u8, text: u8) -> std::result::Result<(), String> {
        let needed = self.volumes.get(&name).is_some_and(|v| self.is_needed(v.id));
        let Some(volume) = self.volumes.get_mut(&name).filter(|v| v.writable && !needed) else {
            return Ok(());
        };
        let (file, text) = (format!("file{file}"), text.to_string());
        self.subject.write(&volume.at, &file, &text)?;
        volume.files.insert(file, text);
        Ok(())
    }

    fn act(&mut self, command: &Command, dies: Option<usize>) -> std::result::Result<(), String> {
        let planner = self.subject.process(None);
        let expected = self.expect(&planner, command)?;
        drop(planner);
        if matches!(expected, Expected::NotAsked) {
            return Ok(());
        }
        let store = self.subject.process(dies);
        let result = self.perform(&store, command);
        drop(store);
        self.subject.revive();
        if dies.is_some() {
            let recovered = self.subject.process(None).recover().map_err(|e| e.to_string())?;
            if let Some(e) = recovered.failed.first() {
                return Err(e.to_string());
            }
        }
        match (expected, result) {
            (Expected::Done(after), Ok(())) => self.volumes = after,
            // The machine died: it may have been before or after the commit.
            (Expected::Done(after), Err(_)) if dies.is_some() => {
                if self.compare(&self.volumes).is_err() {
                    self.compare(&after).map_err(|e| format!("neither before nor after: {e}"))?;
                    self.volumes = after;
                }
            }
            (Expected::Done(_), Err(e)) => return Err(format!("fails: {e}")),
            (Expected::Refused(kind), Ok(())) => {
                return Err(format!("succeeds and should fail with {kind:?}"));
            }
            (Expected::Refused(kind), Err(e)) if dies.is_none() && e.kind() != kind => {
                return Err(format!("fails with {:?} and should with {kind:?}: {e}", e.kind()));
            }
            (Expected::Refused(_), Err(_)) | (Expected::NotAsked, _) => {}
        }
        Ok(())
    }

    fn expect(&mut self, store: &Store, command: &Command) -> std::result::Result<Expected, String> {
        let (from, to) = match *command {
            Command::Create(to) => (None, to),
            Command::Clone(from, to) | Command::Snapshot(from, to) => (Some(from), to),
            Command::Restore(from, to) | Command::Rename(from, to) => (Some(from), to),
            Command::Destroy(from) => (Some(from), from),
            Command::Write(..) | Command::Dying(..) => return Ok(Expected::NotAsked),
        };
        // Names that are no names of the operation, and places that a volume cannot change between.
        let homes = [from.unwrap_or(to), to].map(|n| matches!(n, Name::Home(_)));
        let mixed = homes[0] != homes[1];
        let source = from.and_then(|n| self.volumes.get(&n)).cloned();
        let snapshot = matches!(command, Command::Snapshot(..));
        match command {
            Command::Create(Name::Home(_)) | Command::Snapshot(_, Name::Home(_)) => {
                return Ok(Expected::NotAsked);
            }
            Command::Rename(..) if mixed || from == Some(to) => return Ok(Expected::NotAsked),
            Command::Restore(..) if from == Some(to) => return Ok(Expected::NotAsked),
            _ => {}
        }
        if from.is_some() && source.is_none() {
            // A home that is not there has no volume to ask for.
            return Ok(if homes[0] { Expected::NotAsked } else { Expected::Refused(ErrorKind::NotFound) });
        }
        let mut after = self.volumes.clone();
        self.ids += 1;
        let id = self.ids;
        match command {
            Command::Create(_) if self.volumes.contains_key(&to) => {
                Ok(Expected::Refused(ErrorKind::AlreadyExists))
            }
            Command::Create(_) => {
                let at = self.place_of(store, to, None)?;
                after.insert(to, Volume { id, at, files: Files::new(), writable: true, needs: None });
                Ok(Expected::Done(after))
            }
            Command::Clone(..) | Command::Snapshot(..) | Command::Restore(..) => {
                let source = source.expect("looked at above");
                let restore = matches!(command, Command::Restore(..));
                match self.volumes.get(&to) {
                    None if restore && homes[1] => return Ok(Expected::NotAsked),
                    None if restore => return Ok(Expected::Refused(ErrorKind::NotFound)),
                    Some(current) if restore && (self.is_needed(current.id) || !current.writable) => {
                        return Ok(Expected::NotAsked);
                    }
                    Some(_) if !restore => return Ok(Expected::Refused(ErrorKind::AlreadyExists)),
                    _ => {}
                }
                let access = if snapshot { Access::ReadOnly } else { Access::ReadWrite };
                let tie = self.subject.tie(store, &source.at, access);
                let at = match self.volumes.get(&to) {
                    Some(current) => {
                        let plan = store.plan_restore(&source.at, &current.at, hull_storage::TxId(0));
                        plan.map_err(|e| e.to_string())?.at
                    }
                    None => self.place_of(store, to, Some((&source.at, access)))?,
                };
                let needs = (tie != Tie::None).then_some(source.id);
                after.insert(to, Volume { id, at, files: source.files, writable: !snapshot, needs });
                Ok(Expected::Done(after))
            }
            Command::Rename(..) | Command::Destroy(_) => {
                let source = source.expect("looked at above");
                let name = from.expect("both have one");
                let inside = self.lies_inside(store, name, &source.at)?;
                if self.is_needed(source.id) || (homes[0] && !inside) {
                    return Ok(Expected::NotAsked);
                }
                let volume = after.remove(&name).expect("it is the source");
                if matches!(command, Command::Rename(..)) {
                    if self.volumes.contains_key(&to) {
                        return Ok(Expected::Refused(ErrorKind::AlreadyExists));
                    }
                    let at = self.moved(store, name, to, &volume.at)?;
                    after.insert(to, Volume { at, ..volume });
                }
                Ok(Expected::Done(after))
            }
            Command::Write(..) | Command::Dying(..) => Ok(Expected::NotAsked),
        }
    }

    fn perform(&self, store: &Store, command: &Command) -> Result<()> {
        let at = |name: &Name| match self.volumes.get(name) {
            Some(volume) => volume.at.clone(),
            // Where there is none; a dead machine cannot even plan, and then it does not matter.
            None => self.subject.planned(store, *name).unwrap_or_else(|_| self.nowhere(*name)),
        };
        let into = Some(self.subject.driver());
        let mode = CloneMode::SnapshotElseCopy;
        match command {
            Command::Create(to) => self.subject.create(store, *to).map(drop),
            Command::Clone(from, Name::Home(n)) => self.make_home(store, &at(from), Name::Home(*n)),
            Command::Clone(from, to) => {
                store.clone_volume(&at(from), into, &self.place(*to), mode, Access::ReadWrite).map(drop)
            }
            Command::Snapshot(from, to) => {
                store.clone_volume(&at(from), into, &self.place(*to), mode, Access::ReadOnly).map(drop)
            }
            Command::Restore(from, to) => store.restore(&at(from), &at(to)).map(drop),
            Command::Rename(from @ Name::Home(_), to) => {
                let (from, to) = (self.home(*from), self.home(*to));
                store.transact("rename", |tx| {
                    let mut plan = Plan::default();
                    plan.move_home(&from, &to);
                    plan.write(&to.join("config"), Some(config(&from)), Some(config(&to)));
                    tx.perform(plan)
                })
            }
            Command::Rename(from, to) => store.rename(&at(from), &self.place(*to)).map(drop),
            Command::Destroy(name @ Name::Home(_)) => store.transact("destroy", |tx| {
                let at = at(name);
                let driver = store.driver(at.driver())?;
                let mut plan = Plan::default();
                plan.doom_home(&self.home(*name), [(driver, driver.layout(&at)?)], tx.id())?;
                tx.perform(plan)
            }),
            Command::Destroy(name) => store.destroy(&at(name)),
            Command::Write(..) | Command::Dying(..) => Ok(()),
        }
    }

    fn make_home(&self, store: &Store, from: &Locator, name: Name) -> Result<()> {
        store.driver(from.driver())?.layout(from)?;
        store.transact("clone", |tx| {
            let (to, home, access) = (self.place(name), self.home(name), Access::ReadWrite);
            let mode = CloneMode::SnapshotElseCopy;
            let (driver, method) = store.method(from, Some(self.subject.driver()), &to, mode, access)?;
            let mut plan = Plan::default();
            plan.make_home(&home, 0o770, None);
            plan.make(
                driver,
                &to,
                Content::Of {
                    from: Source { driver: store.driver(from.driver())?, at: from },
                    method,
                    access,
                },
                tx.id(),
            )?;
            plan.write(&home.join("config"), None, Some(config(&home)));
            tx.perform(plan)
        })
    }

    /// Compares all that can be seen with `volumes`.
    fn compare(&self, volumes: &Volumes) -> std::result::Result<(), String> {
        let mut names: Vec<String> = volumes.keys().map(|n| n.text()).collect();
        let mut visible = self.subject.visible()?;
        names.sort();
        visible.sort();
        if names != visible {
            return Err(format!("there should be {names:?} and there is {visible:?}"));
        }
        for (name, volume) in volumes {
            let files = self.subject.read(&volume.at).map_err(|e| format!("{}: {e}", volume.at))?;
            if files != volume.files {
                return Err(format!("{name:?} should hold {:?} and holds {files:?}", volume.files));
            }
        }
        Ok(())
    }

    fn is_needed(&self, id: usize) -> bool {
        self.volumes.values().any(|v| v.needs == Some(id))
    }

    fn home(&self, name: Name) -> std::path::PathBuf {
        self.subject.dir().join(name.text())
    }

    fn place(&self, name: Name) -> Placement {
        self.subject.place(name)
    }

    /// Where a new volume at `name` will be.
    fn place_of(
        &self,
        store: &Store,
        name: Name,
        from: Option<(&Locator, Access)>,
    ) -> std::result::Result<Locator, String> {
        let (to, into) = (self.place(name), self.subject.driver());
        let mode = CloneMode::SnapshotElseCopy;
        match from {
            Some((from, access)) => {
                store.plan_clone(from, Some(into), &to, mode, access, hull_storage::TxId(0)).map(|new| new.at)
            }
            None => self.subject.planned(store, name),
        }
        .map_err(|e| e.to_string())
    }

    fn moved(
        &self,
        store: &Store,
        from: Name,
        to: Name,
        at: &Locator,
    ) -> std::result::Result<Locator, String> {
        let moved = match from {
            Name::Slot(_) => store.plan_rename(at, &self.place(to)).map(|new| new.at),
            Name::Home(_) => {
                store.driver(at.driver()).and_then(|d| d.rebased(at, &self.home(from), &self.home(to)))
            }
        };
        moved.map_err(|e| e.to_string())
    }

    fn lies_inside(&self, store: &Store, name: Name, at: &Locator) -> std::result::Result<bool, String> {
        let layout = store.driver(at.driver()).and_then(|d| d.layout(at)).map_err(|e| e.to_string())?;
        Ok(lies_in(&layout, &self.home(name)))
    }

    /// A volume that is not there.
    fn nowhere(&self, name: Name) -> Locator {
        let path = Mark::New.sibling(&self.home(name), hull_storage::TxId(0));
        Locator::new(self.subject.driver(), path.with_file_name(name.text()))
    }
}

fn config(home: &std::path::Path) -> Vec<u8> {
    home.as_os_str().as_encoded_bytes().to_vec()
}
