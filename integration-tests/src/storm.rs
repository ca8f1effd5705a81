//! A kill storm: several processes work on the same few containers side by side and are killed at random moments,
//! in their journals or anywhere; then every container must be whole or gone, and nothing else be left.

pub(crate) mod aftermath;
mod operations;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use hull_container::Containers;
use hull_treefixture::Random;

use crate::command;
use crate::grounds::{Ground, Lxcpath};
use crate::{manifest, operation};

/// No operation takes longer, also when it waits for all others.
const PATIENCE: Duration = Duration::from_secs(60);

/// What happens in a storm.
#[derive(Clone, Copy, Debug)]
pub struct Storm {
    /// Decides what is drawn: kinds of operations and deaths. How they meet, and so whom they are aimed at, is the
    /// machine's choice.
    pub seed: u64,
    /// How many processes work side by side.
    pub workers: u64,
    /// How many operations each carries out, one process after the other.
    pub operations: u64,
    /// How processes die.
    pub deaths: Deaths,
}

/// How processes die.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deaths {
    /// At a moment of their journal: where it says that something is done or to be done.
    InTheJournal,
    /// There, or killed from outside after a random time: anywhere.
    Anywhere,
}

/// How the operations of a storm ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// They did what they should.
    pub done: u64,
    /// They said why not: no such container, a name that is taken, clones that need it.
    pub refused: u64,
    /// They were killed.
    pub killed: u64,
}

/// How one operation ended.
enum Ended {
    Done,
    Refused,
    Killed,
}

/// Storms over a new lxcpath of `ground` whose containers are on `store`, with the program `crasher`, and looks at
/// what is left.
///
/// # Errors
/// What is wrong, a line each: an operation that failed as it should not, and all that recovery did not put right.
pub fn run(ground: &Ground, store: &str, crasher: &Path, storm: Storm) -> Result<Tally, Vec<String>> {
    let at = ground.lxcpath();
    let archives = archives(at.lxcpath.parent().expect("an lxcpath has a parent"));
    let draws = operations::Draws { store, archives: &archives, shares: true };
    let outcomes: Vec<_> = thread::scope(|scope| {
        let workers = (0..storm.workers).map(|worker| {
            let (at, draws) = (&at, &draws);
            scope.spawn(move || work(at, crasher, storm, worker, draws))
        });
        let threads: Vec<_> = workers.collect();
        threads.into_iter().map(|thread| thread.join().expect("a worker does not panic")).collect()
    });
    let mut tally = Tally::default();
    let mut wrong = Vec::new();
    for (of_worker, what) in outcomes {
        tally.done += of_worker.done;
        tally.refused += of_worker.refused;
        tally.killed += of_worker.killed;
        wrong.extend(what);
    }
    let contents = archives.iter().map(|a| manifest::of(&a.with_extension(""))).collect::<Vec<_>>();
    wrong.extend(aftermath::findings(&at, &contents));
    if wrong.is_empty() { Ok(tally) } else { Err(wrong) }
}

/// Carries out random operations in this process, one after the other, until it is killed; says each that is done.
/// `shares` is whether clones on `store` can share blocks with their source.
///
/// # Errors
/// The first operation that failed as it should not.
pub fn until_killed(
    at: &Lxcpath,
    (store, shares): (&str, bool),
    seed: u64,
    open: &dyn Fn() -> hull_container::Result<Containers>,
) -> Result<(), String> {
    let archives = archives(at.lxcpath.parent().expect("an lxcpath has a parent"));
    let draws = operations::Draws { store, archives: &archives, shares };
    let mut random = Random::new(seed);
    for number in 0.. {
        let words = draws.draw(&mut random, &at.lxcpath);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let done = open().and_then(|all| operation::run(&all, &words));
        match done {
            Ok(()) => println!("did {number}: {}", words.join(" ")),
            Err(e) if operations::is_refusal(&e) => {}
            Err(e) => return Err(format!("{}: {e}", words.join(" "))),
        }
    }
    Ok(())
}

/// What is wrong after [`until_killed`], which nothing is left of then. `all` are the containers at `at`.
pub fn wrong_after(all: &Containers, at: &Lxcpath) -> Vec<String> {
    let archives = archives(at.lxcpath.parent().expect("an lxcpath has a parent"));
    let contents: Vec<_> = archives.iter().map(|a| manifest::of(&a.with_extension(""))).collect();
    aftermath::findings_of(all, at, &contents)
}

/// Carries out one worker's operations; what went wrong is in the list.
fn work(
    at: &Lxcpath,
    crasher: &Path,
    storm: Storm,
    worker: u64,
    draws: &operations::Draws<'_>,
) -> (Tally, Vec<String>) {
    let mut random = Random::new(storm.seed ^ worker.wrapping_mul(0x5851_f42d_4c95_7f2d));
    let (mut tally, mut wrong) = (Tally::default(), Vec::new());
    for _ in 0..storm.operations {
        let words = draws.draw(&mut random, &at.lxcpath);
        let death = Death::draw(&mut random, storm.deaths);
        match carry_out(at, crasher, &words, death) {
            Ok(Ended::Done) => tally.done += 1,
            Ok(Ended::Refused) => tally.refused += 1,
            Ok(Ended::Killed) => tally.killed += 1,
            Err(said) => wrong.push(format!("{} ({death:?}): {said}", words.join(" "))),
        }
    }
    (tally, wrong)
}

/// When an operation's process dies.
#[derive(Clone, Copy, Debug)]
enum Death {
    Never,
    AtMoment(u64),
    After(Duration),
}

impl Death {
    fn draw(random: &mut Random, deaths: Deaths) -> Self {
        // Drawn alike for both kinds, so that a seed means the same operations.
        let (choice, moment) = (random.below(6), random.below(16));
        // Times of every magnitude: an operation takes from one millisecond to a hundred.
        let magnitude = 9 + random.below(8);
        let time = random.below(1 << magnitude);
        match (choice, deaths) {
            (0 | 1, _) => Self::Never,
            (2 | 3, Deaths::Anywhere) => Self::After(Duration::from_micros(time)),
            _ => Self::AtMoment(moment),
        }
    }
}

fn carry_out(at: &Lxcpath, crasher: &Path, words: &[String], death: Death) -> Result<Ended, String> {
    let moment = match death {
        Death::AtMoment(n) => n.to_string(),
        Death::Never | Death::After(_) => "never".to_owned(),
    };
    let mut said = tempfile::tempfile().map_err(|e| e.to_string())?;
    let mut child = Command::new(crasher)
        .args([&at.lxcpath, &at.rundir])
        .arg(moment)
        .args(words)
        .stdin(Stdio::null())
        .stderr(said.try_clone().map_err(|e| e.to_string())?)
        .spawn()
        .map_err(|e| format!("{}: {e}", crasher.display()))?;
    if let Death::After(time) = death {
        thread::sleep(time);
        child.kill().map_err(|e| e.to_string())?;
    }
    let Some(status) = command::wait(&mut child, PATIENCE) else {
        return Err(format!("it did not end within {PATIENCE:?}"));
    };
    let killed = std::os::unix::process::ExitStatusExt::signal(&status) == Some(9);
    let mut text = String::new();
    std::io::Seek::rewind(&mut said)
        .and_then(|()| std::io::Read::read_to_string(&mut said, &mut text))
        .map_err(|e| e.to_string())?;
    match status.code() {
        Some(0) => Ok(Ended::Done),
        None if killed && !matches!(death, Death::Never) => Ok(Ended::Killed),
        Some(1) if operations::may_be_refused(&text) => Ok(Ended::Refused),
        _ => Err(format!("{status}: {}", text.trim())),
    }
}

/// Archives of two trees that no mixture of equals: every file names its tree. Each tree lies beside its archive.
pub(crate) fn archives(dir: &Path) -> Vec<PathBuf> {
    let make = |tree: &str| {
        let root = dir.join(tree);
        for n in 0..60 {
            let folder = root.join(format!("{tree}/folder{}", n % 7));
            fs::create_dir_all(&folder).expect("a new directory");
            fs::write(folder.join(format!("file{n}")), tree.repeat(n * 20)).expect("a new file");
        }
        fs::write(root.join("tree"), tree).expect("a new file");
        let archive = dir.join(format!("{tree}.tar"));
        let status = Command::new("tar").arg("-cf").arg(&archive).arg("-C").arg(&root).arg(".").status();
        assert!(status.is_ok_and(|s| s.success()), "tar packs {}", root.display());
        archive
    };
    ["first", "second"].map(make).to_vec()
}
