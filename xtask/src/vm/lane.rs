//! One run of the lane: builds what is to run, boots, listens until all is said or it takes too long.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::boot::{Line, Machine, Running};
use super::cache::{self, Guest};
use super::payload::{self, Mode};
use super::report::{Heard, Report};
use super::targets::{self, Built, Program, Scope, Target};
use crate::test::results::Results;
use crate::{Result, process};

/// From the start of QEMU until the guest can run tests. Far more than the ten seconds it takes on two free
/// processors: on a busy machine a minute has been seen.
const BOOT: Duration = Duration::from_secs(300);

/// For a program to be stopped and the guest to say so, beyond the program's own time.
const GRACE: Duration = Duration::from_secs(90);

/// For the guest to power off.
const SHUTDOWN: Duration = Duration::from_secs(60);

/// The guest's memory; its `/tmp` is in it.
const MEMORY_MIB: u32 = 4096;

/// The blank disk for pools; it takes room only where it is written.
const SCRATCH_BYTES: u64 = 16 << 30;

/// What to run, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lane {
    /// Only targets with this in their package's or their own name.
    pub(crate) only: Option<String>,
    /// Only tests with this in their name, instead of those that the list names.
    pub(crate) filter: Option<String>,
    /// A kernel to take instead of Debian's.
    pub(crate) kernel: Option<PathBuf>,
    /// What one program may take.
    pub(crate) limit: Duration,
    /// Leave the run's folder behind.
    pub(crate) keep: bool,
}

impl Default for Lane {
    fn default() -> Self {
        Self { only: None, filter: None, kernel: None, limit: Duration::from_secs(30 * 60), keep: false }
    }
}

impl Lane {
    /// The targets of the list that are to run.
    fn targets(&self, root: &Path) -> Result<Vec<Target>> {
        let only =
            |target: &Target| self.only.as_ref().is_none_or(|only| target.name().contains(only.as_str()));
        let chosen = targets::listed(root)?.into_iter().filter(only);
        Ok(match &self.filter {
            None => chosen.collect(),
            Some(filter) => {
                let mut one_each: Vec<Target> = Vec::new();
                for target in chosen.map(|target| targets::filtered(target, filter)) {
                    if !one_each.contains(&target) {
                        one_each.push(target);
                    }
                }
                one_each
            }
        })
    }

    /// Builds the programs that have something to run.
    pub(crate) fn build(&self, root: &Path, scope: Scope) -> Result<Built> {
        let targets = self.targets(root)?;
        if targets.is_empty() {
            return Ok(Built { programs: Vec::new(), helpers: Vec::new() });
        }
        let mut built = targets::build(root, &targets, scope)?;
        if self.filter.is_some() {
            built.programs.retain(|program| !program.cases.is_empty());
        }
        Ok(built)
    }

    /// Runs the programs in the guest.
    pub(crate) fn run(&self, root: &Path, built: &Built) -> Result<Results> {
        let guest = cache::guest()?;
        let folder = Folder::new(root, self.keep)?;
        let begun = Instant::now();
        let machine = self.machine(guest, root, built, &folder.path, Mode::Run)?;
        println!("vm: the payload took {}; booting", shown(begun.elapsed()));
        let mut running = machine.start()?;
        let (results, why) = listen(&mut running, &built.programs, self.limit)?;
        if let Some(why) = why {
            println!("vm: {why}; the guest's last words on its console:\n{}", running.last_words());
        }
        Ok(results)
    }

    /// Opens a shell in the guest, with the programs in place.
    pub(super) fn shell(&self, root: &Path, built: &Built) -> Result<()> {
        let guest = cache::guest()?;
        let folder = Folder::new(root, self.keep)?;
        let machine = self.machine(guest, root, built, &folder.path, Mode::Shell)?;
        println!("vm: booting; `exit` in the guest ends it, Ctrl-A X at once");
        machine.interact()
    }

    /// The machine, its payload made and its scratch disk blank, with everything of it in `folder`.
    pub(super) fn machine(
        &self,
        guest: Guest,
        root: &Path,
        built: &Built,
        folder: &Path,
        mode: Mode,
    ) -> Result<Machine> {
        let (payload, scratch) = (folder.join("payload.img"), folder.join("scratch.img"));
        payload::make(&payload, root, built, mode, self.limit)?;
        let blank = File::create(&scratch).and_then(|file| file.set_len(SCRATCH_BYTES));
        blank.map_err(|error| format!("cannot make {}: {error}", scratch.display()))?;
        let initrd = self.kernel.is_none().then_some(guest.initrd);
        Ok(Machine {
            kernel: self.kernel.clone().unwrap_or(guest.kernel),
            initrd,
            image: guest.image,
            payload,
            scratch: vec![scratch],
            memory_mib: MEMORY_MIB,
            folder: folder.to_path_buf(),
        })
    }
}

/// Shows what comes until the end, and judges it. With it comes why the machine did not reach its end, if so.
fn listen(running: &mut Running, programs: &[Program], limit: Duration) -> Result<(Results, Option<String>)> {
    let mut report = Report::new(programs);
    let begun = Instant::now();
    let mut until = begun + BOOT;
    let mut what = "the guest did not boot";
    loop {
        let line = match running.line(until) {
            Line::Text(line) => line,
            Line::Late => {
                running.kill();
                let why = format!("{what} within {}, and was killed", shown(until - begun));
                return Ok((report.finish(&why)?, Some(why)));
            }
            Line::Off => {
                let why = "the guest went off before its end".to_owned();
                return Ok((report.finish(&why)?, Some(why)));
            }
        };
        match report.take(&line)? {
            Heard::Ready => {
                println!("vm: ready after {}", shown(begun.elapsed()));
                (what, until) = ("the guest hung: it had not run all", Instant::now() + GRACE);
            }
            Heard::Begun(number) => {
                let program = &programs[number];
                println!("vm: {}, tests to run: {}", program.target.name(), program.cases.len());
                until = Instant::now() + limit + GRACE;
            }
            Heard::Text(text) => {
                // A closed stdout of ours is no reason to stop counting results.
                let _ = writeln!(std::io::stdout(), "{text}");
            }
            Heard::Ended(seconds) => {
                println!("vm: ended after {seconds} s");
                until = Instant::now() + GRACE;
            }
            Heard::Noise => {}
            Heard::Done => break,
        }
    }
    // All results are there; a guest that cannot power off has lost nothing, but something is wrong in it.
    if !running.is_off_within(SHUTDOWN) {
        running.kill();
        let why = format!("the guest ran everything and then did not power off within {}", shown(SHUTDOWN));
        let mut results = report.finish(&why)?;
        results.failed.push(format!("the VM lane: {why}"));
        return Ok((results, Some(why)));
    }
    println!("vm: the guest was on for {}", shown(begun.elapsed()));
    Ok((report.finish("")?, None))
}

fn shown(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

/// A folder for one run, below cargo's. Removed with everything in it, unless it is to be kept.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    keep: bool,
}

impl Folder {
    pub(super) fn new(root: &Path, keep: bool) -> Result<Self> {
        let all = crate::test::target(root)?.join("vm");
        let path = all.join(format!("run-{}", std::process::id()));
        fs::create_dir_all(&all).map_err(|error| format!("cannot make {}: {error}", all.display()))?;
        sweep(&all);
        fs::create_dir(&path).map_err(|error| format!("cannot make {}: {error}", path.display()))?;
        Ok(Self { path, keep })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

/// Removes what runs left behind that were killed. A kept folder stays until its process's number is seen free by
/// the next run, too: `--keep` is for a look now.
fn sweep(all: &Path) {
    for entry in fs::read_dir(all).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let process = name.to_str().and_then(|name| name.strip_prefix("run-"));
        if process.is_some_and(|process| !Path::new("/proc").join(process).exists()) {
            // It is litter; the next run tries again.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.keep {
            println!("vm: kept until the next run: {}", self.path.display());
        } else {
            // What is left is swept by the next run.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// Whether this machine can run the lane: the reason and the remedy if not.
pub(crate) fn lacking() -> Option<String> {
    use crate::packages::{self, Provision};
    if let Provision::Lacking(reason) = packages::provide(packages::FOR_VM) {
        return Some(reason);
    }
    if !process::is_root() && !cache::is_warm() {
        return Some("the guest is not built yet, and building it needs root: run `sudo cargo xtask vm`, or copy root's cache folder hull/vm into yours".into());
    }
    None
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::sweep;

    #[test]
    fn only_folders_of_processes_that_are_gone_are_swept() {
        let all = std::env::temp_dir().join(format!("hull-xtask-sweep-{}", std::process::id()));
        // No process has a number as large (proc(5), pid_max).
        let (dead, ours) = (all.join("run-4194305"), all.join(format!("run-{}", std::process::id())));
        for folder in [&dead, &ours, &all.join("other")] {
            fs::create_dir_all(folder).expect("the folder is made");
        }
        sweep(&all);
        let left = [dead.exists(), ours.exists(), all.join("other").exists()];
        fs::remove_dir_all(&all).expect("the folder is removed");
        assert_eq!(left, [false, true, true]);
    }
}
