//! Real processes killed by SIGKILL before every act of an operation, and of every recovery that follows.
//!
//! The test program starts itself again as a child with [`CHILD`] as its first argument; the child carries
//! one operation out and kills itself at the act it was told.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::ffi::OsString;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;

use hull_storage::{
    Access, CloneMode, Content, Durability, Effort, FileJournal, Locator, Placement, Plan, RealHost, Reclaim,
    Registration, Source, Store, Tie, TxId, VolumeSpec, lies_in,
};
use rustix::process::{Signal, getpid, kill_process};

use super::Bench;
use super::case::{Case, CaseResult, Need, Verdict, require};
use crate::faulty::{Counted, Faults, FaultyDriver, FaultyHost, FaultyJournal, Moment};
use crate::ground::Ground;

pub(super) const CASES: &[Case] = &[
    Case { name: "kill::create", needs: &[Need::Standalone], run: |b| everywhere(b, "create") },
    Case { name: "kill::clone", needs: &[], run: |b| everywhere(b, "clone") },
    Case { name: "kill::snapshot", needs: &[], run: |b| everywhere(b, "snapshot") },
    Case { name: "kill::copy", needs: &[Need::Standalone], run: |b| everywhere(b, "copy") },
    Case { name: "kill::stream", needs: &[Need::Transfer], run: stream },
    Case { name: "kill::receive", needs: &[Need::Standalone], run: |b| everywhere(b, "receive") },
    Case { name: "kill::restore", needs: &[], run: |b| everywhere(b, "restore") },
    Case { name: "kill::rename", needs: &[], run: |b| everywhere(b, "rename") },
    Case { name: "kill::destroy", needs: &[], run: |b| everywhere(b, "destroy") },
    Case { name: "kill::make_home", needs: &[], run: |b| everywhere(b, "make_home") },
    Case { name: "kill::destroy_home", needs: &[], run: |b| everywhere(b, "destroy_home") },
    Case { name: "kill::destroy_later", needs: &[], run: |b| everywhere(b, "destroy_later") },
    Case { name: "kill::destroy_home_later", needs: &[], run: |b| everywhere(b, "destroy_home_later") },
    Case { name: "kill::restore_later", needs: &[], run: |b| everywhere(b, "restore_later") },
];

/// The first argument of a child.
const CHILD: &str = "--hull-child";

/// The end of an operation's name when what it dooms is deleted afterwards, by the same process.
const LATER: &str = "_later";

/// What every operation starts from.
struct Scene {
    /// A volume.
    volume: Locator,
    /// A snapshot of it that stands when it goes.
    snapshot: Locator,
    /// A volume in a home.
    housed: Locator,
}

/// What can be seen of a bench.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct World {
    names: BTreeSet<OsString>,
    volumes: Vec<Option<BTreeMap<PathBuf, Vec<u8>>>>,
    config: Option<Vec<u8>>,
}

type Checked<T> = Result<T, Box<dyn Error>>;

fn stream(bench: &Bench) -> CaseResult {
    let probe = bench.below("probe")?;
    let volume = probe.make(&probe.store(), "volume")?;
    match super::transfer::unsendable(bench, &volume) {
        Some(verdict) => Ok(verdict),
        None => everywhere(bench, "stream"),
    }
}

fn everywhere(bench: &Bench, operation: &str) -> CaseResult {
    let whole = Round::prepare(bench, "whole", operation)?;
    whole.die_at(operation, None)?;
    let after = whole.world()?;
    whole.bench.require_clean()?;
    let (mut kills, mut of_recoveries) = (0, 0);
    let recovery = if operation.ends_with(LATER) { "recover_later" } else { "recover" };
    // What was undone as a whole is good for another try.
    let mut undone: Option<(Round, World)> = None;
    for act in bench.acts(operation) {
        let (round, before) = match undone.take() {
            Some(again) => again,
            None => {
                let round = Round::prepare(bench, &format!("at{act}"), operation)?;
                let before = round.world()?;
                (round, before)
            }
        };
        require(before != after, format!("{operation} changes nothing that the case looks at"))?;
        if !round.die_at(operation, Some(act))? {
            break;
        }
        kills += 1;
        for act in bench.acts(&format!("{operation}{act}")) {
            if !round.die_at(recovery, Some(act))? {
                break;
            }
            of_recoveries += 1;
        }
        let world = round.world()?;
        let fine = world == before || world == after;
        require(
            fine,
            format!("{operation}, killed at {act}, is torn: {world:?}\nbefore: {before:?}\nafter: {after:?}"),
        )?;
        round.bench.require_clean()?;
        if world == before {
            undone = Some((round, before));
        }
    }
    println!("kill: {operation} on {}: {kills} kills, {of_recoveries} of recoveries", bench.ground());
    require(kills > 2 / bench.stride(), format!("{operation} was killed only {kills} times"))?;
    Ok(Verdict::Held)
}

/// One try, in a directory of its own.
pub(super) struct Round {
    pub(super) bench: Bench,
    scene: Scene,
    target: Locator,
}

impl Round {
    pub(super) fn prepare(of: &Bench, name: &str, operation: &str) -> Checked<Self> {
        let bench = of.below(name)?;
        let store = bench.store();
        let volume = bench.make(&store, "volume")?;
        let snapshot = super::restore::snapshot_that_stands(&bench, &store, &volume, "snapshot")?;
        bench.write(&store, &volume, "later", "x")?;
        let home = bench.dir().join("volumes/house");
        fs::create_dir(home)?;
        let to = bench.place_in_home("house");
        // A clone that needs its source would keep it from going, as other cases show.
        let mode = match bench.tie(&volume, Access::ReadWrite) {
            Tie::Unguarded if bench.driver().capabilities().standalone => CloneMode::Copy,
            _ => CloneMode::SnapshotElseCopy,
        };
        let housed = bench.clone_to(&store, &volume, &to, mode)?;
        let scene = Scene { volume, snapshot, housed };
        if operation == "receive" {
            store.send(&scene.volume, None, None, &mut fs::File::create(stream_of(&bench))?, &())?;
        }
        let target = scene.target(&bench, &store, operation)?;
        Ok(Self { bench, scene, target })
    }

    /// Runs the operation in a child that dies before the act number `at`; whether it died.
    pub(super) fn die_at(&self, operation: &str, at: Option<usize>) -> Checked<bool> {
        let mut child = Command::new(std::env::current_exe()?);
        child.arg(CHILD).arg(self.bench.ground()).arg(self.bench.dir()).arg(operation);
        child.arg(at.map_or("never".to_owned(), |n| n.to_string()));
        for locator in [&self.scene.volume, &self.scene.snapshot, &self.scene.housed] {
            child.arg(String::from(locator.clone()));
        }
        for (key, value) in self.bench.settings() {
            child.arg(key).arg(value);
        }
        let output = child.stdin(Stdio::null()).output()?;
        match (output.status.signal(), output.status.success()) {
            (Some(9), _) if at.is_some() => Ok(true),
            (None, true) => Ok(false),
            _ => {
                let said = String::from_utf8_lossy(&output.stderr);
                Err(format!("{operation}, to be killed at {at:?}, ended with {}: {said}", output.status)
                    .into())
            }
        }
    }

    /// Carries the operation out in this process.
    pub(super) fn perform(&self, store: &Store, operation: &str) -> Checked<()> {
        self.scene.perform(&self.bench, store, operation)
    }

    /// What can be seen now.
    pub(super) fn world(&self) -> Checked<World> {
        let store = self.bench.store();
        let dir = self.bench.dir().join("volumes");
        let names = self.bench.visible()?;
        let scene = &self.scene;
        let volumes = [&scene.volume, &scene.snapshot, &scene.housed, &self.target].into_iter().map(|at| {
            let driver = store.driver(at.driver())?;
            match driver.layout(at) {
                Ok(_) => self.bench.content(&store, at).map(Some),
                Err(e) if e.kind() == hull_storage::ErrorKind::NotFound => Ok(None),
                Err(e) => Err(e.into()),
            }
        });
        let volumes = volumes.collect::<Checked<_>>()?;
        Ok(World { names, volumes, config: fs::read(dir.join("home/config")).ok() })
    }
}

impl Scene {
    /// Where the operation's result will be.
    fn target(&self, bench: &Bench, store: &Store, operation: &str) -> Checked<Locator> {
        let into = Some(bench.driver().name());
        let plan = |mode, access, to: &Placement| {
            store.plan_clone(&self.volume, into, to, mode, access, TxId(0)).map(|new| new.at)
        };
        let to = bench.place("target");
        let (read, write) = (Access::ReadOnly, Access::ReadWrite);
        Ok(match operation {
            "create" | "receive" => bench.driver().new_layout(&to, None)?.at,
            "clone" => plan(CloneMode::SnapshotElseCopy, write, &to)?,
            "snapshot" => plan(CloneMode::SnapshotElseCopy, read, &to)?,
            "copy" | "stream" => plan(CloneMode::Copy, write, &to)?,
            "restore" | "restore_later" => store.plan_restore(&self.snapshot, &self.volume, TxId(0))?.at,
            "rename" => store.plan_rename(&self.volume, &to)?.at,
            "make_home" => plan(CloneMode::SnapshotElseCopy, write, &new_home(bench))?,
            _ => self.volume.clone(),
        })
    }

    /// Carries the operation out.
    fn perform(&self, bench: &Bench, store: &Store, operation: &str) -> Checked<()> {
        if let Some(operation) = operation.strip_suffix(LATER) {
            self.perform(bench, store, operation)?;
            return match store.reclaim_pending(&())?.failed.into_iter().next() {
                Some(e) => Err(e.into()),
                None => Ok(()),
            };
        }
        let to = bench.place("target");
        let driver = bench.driver().name();
        let clone =
            |mode, access| store.clone_volume(&self.volume, Some(driver), &to, mode, access).map(drop);
        match operation {
            "create" => store.create(driver, &to, &VolumeSpec::default()).map(drop)?,
            "clone" => clone(CloneMode::SnapshotElseCopy, Access::ReadWrite)?,
            "snapshot" => clone(CloneMode::SnapshotElseCopy, Access::ReadOnly)?,
            "copy" => clone(CloneMode::Copy, Access::ReadWrite)?,
            "stream" => super::transfer::copy_by_stream(bench, store, &self.volume, &to).map(drop)?,
            "receive" => {
                let stream = fs::read(stream_of(bench))?;
                super::exchange::receive(store, &stream, driver, &to, None).map(drop)?;
            }
            "restore" => store.restore(&self.snapshot, &self.volume).map(drop)?,
            "rename" => store.rename(&self.volume, &to).map(drop)?,
            "destroy" => store.destroy(&self.volume)?,
            "make_home" => self.make_home(bench, store)?,
            "destroy_home" => self.destroy_home(bench, store)?,
            "recover" => {
                if let Some(e) = store.recover()?.failed.into_iter().next() {
                    return Err(e.into());
                }
            }
            other => return Err(format!("no operation is called {other}").into()),
        }
        Ok(())
    }

    fn make_home(&self, bench: &Bench, store: &Store) -> hull_storage::Result<()> {
        store.transact("create", |tx| {
            let to = new_home(bench);
            let access = Access::ReadWrite;
            let mode = CloneMode::SnapshotElseCopy;
            let (driver, method) =
                store.method(&self.volume, Some(bench.driver().name()), &to, mode, access)?;
            let mut plan = Plan::default();
            plan.make_home(to.dir(), 0o770, None);
            let from = Source { driver: store.driver(self.volume.driver())?, at: &self.volume };
            plan.make(driver, &to, Content::Of { from, method, access }, tx.id())?;
            plan.write(&to.dir().join("config"), None, Some(b"config".to_vec()));
            tx.perform(plan)
        })
    }

    fn destroy_home(&self, bench: &Bench, store: &Store) -> hull_storage::Result<()> {
        store.transact("destroy", |tx| {
            let home = bench.dir().join("volumes/house");
            let driver = store.driver(self.housed.driver())?;
            let layout = driver.layout(&self.housed)?;
            let mut plan = Plan::default();
            if lies_in(&layout, &home) {
                plan.doom_home(&home, [(driver, layout)], tx.id())?;
            } else {
                plan.doom_volume(driver, &self.housed, tx.id())?;
                plan.doom_home(&home, [], tx.id())?;
            }
            tx.perform(plan)
        })
    }
}

/// Where a stream of the volume is.
fn stream_of(bench: &Bench) -> PathBuf {
    bench.dir().join("stream")
}

fn new_home(bench: &Bench) -> Placement {
    bench.place_in_home("home")
}

/// Runs a child of a `kill` case, if this process is one: the first thing that `main` does.
pub fn child(registration: &Registration, grounds: &[Ground]) -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next()? != CHILD {
        return None;
    }
    Some(match obey(registration, grounds, arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("{e}");
            ExitCode::FAILURE
        }
    })
}

fn obey(of: &Registration, grounds: &[Ground], arguments: impl Iterator<Item = OsString>) -> Checked<()> {
    let arguments: Vec<String> = arguments
        .map(|a| a.into_string().map_err(|a| format!("{a:?} is not UTF-8")))
        .collect::<Result<_, _>>()?;
    let [ground, dir, operation, at, volume, snapshot, housed, settings @ ..] = &arguments[..] else {
        return Err("a child lacks arguments".into());
    };
    let ground = grounds.iter().find(|g| g.name() == ground).ok_or("a child's ground has gone")?;
    let settings = settings.chunks_exact(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect();
    let bench = Bench::at(Path::new(dir).to_path_buf(), *of, ground, settings)?;
    let faults = match at.parse() {
        Ok(at) => Faults::call(Counted::Changes, at, Moment::Before, || {
            let _ = kill_process(getpid(), Signal::KILL);
        }),
        Err(_) => Faults::none(Counted::Changes),
    };
    let mut store = faulty_store(&bench, &faults);
    if operation.ends_with(LATER) {
        store = store.with_reclaim(Reclaim::Later(Effort::NONE));
    }
    let scene = Scene {
        volume: Locator::try_from(volume.clone())?,
        snapshot: Locator::try_from(snapshot.clone())?,
        housed: Locator::try_from(housed.clone())?,
    };
    scene.perform(&bench, &store, operation)
}

/// A store whose driver, journal and host share `faults`.
pub(super) fn faulty_store(bench: &Bench, faults: &Faults) -> Store {
    let journal = FileJournal::new(bench.journal_dir(), Durability::Crash);
    let host = RealHost::new(Box::new(()), Durability::Crash);
    bench.store_of(
        Arc::new(FaultyDriver::new(bench.shared_driver(), faults.clone())),
        Box::new(FaultyJournal::new(Box::new(journal), faults.clone())),
        Box::new(FaultyHost::new(Box::new(host), faults.clone())),
    )
}
