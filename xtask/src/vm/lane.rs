//! One run of the lane: what is to run, and the machines it runs in.

use std::fs::{self, File};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::boot::Machine;
use super::cache::{self, Guest};
use super::crew;
use super::payload::{self, Mode};
use super::targets::{self, Built, Scope, Target};
use crate::test::results::Results;
use crate::{Result, process};

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

    /// Runs the programs, in as many guests beside each other as this machine has processors and memory for.
    pub(crate) fn run(&self, root: &Path, built: &Built) -> Result<Results> {
        let guest = cache::guest()?;
        let folder = Folder::new(root, self.keep)?;
        let begun = Instant::now();
        let payload = payload::make(&folder.path, root, built, Mode::Run, self.limit)?;
        let count = machines(built.programs.len());
        println!("vm: the payload took {}; machines that boot: {count}", shown(begun.elapsed()));
        let machines = (1..=count).map(|number| {
            let folder = folder.path.join(format!("machine-{number}"));
            self.machine(&guest, &payload, &folder)
        });
        crew::run(&machines.collect::<Result<Vec<_>>>()?, &built.programs, self.limit)
    }

    /// Opens a shell in the guest, with the programs in place.
    pub(super) fn shell(&self, root: &Path, built: &Built) -> Result<()> {
        let guest = cache::guest()?;
        let folder = Folder::new(root, self.keep)?;
        let payload = payload::make(&folder.path, root, built, Mode::Shell, self.limit)?;
        let machine = self.machine(&guest, &payload, &folder.path.join("machine"))?;
        println!("vm: booting; `exit` in the guest ends it, Ctrl-A X at once");
        machine.interact()
    }

    /// A machine with the disk `payload` and a blank one, with everything of it in `folder`, which is made.
    pub(super) fn machine(&self, guest: &Guest, payload: &Path, folder: &Path) -> Result<Machine> {
        let scratch = folder.join("scratch.img");
        let blank = fs::create_dir_all(folder).and_then(|()| File::create(&scratch));
        blank
            .and_then(|file| file.set_len(SCRATCH_BYTES))
            .map_err(|error| format!("cannot make {}: {error}", scratch.display()))?;
        Ok(Machine {
            kernel: self.kernel.as_ref().unwrap_or(&guest.kernel).clone(),
            initrd: self.kernel.is_none().then(|| guest.initrd.clone()),
            image: guest.image.clone(),
            payload: payload.to_path_buf(),
            scratch: vec![scratch],
            memory_mib: MEMORY_MIB,
            folder: folder.to_path_buf(),
        })
    }
}

/// How many machines to run `programs` in: each has one processor to itself, and its memory.
fn machines(programs: usize) -> usize {
    let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
    let memory = fs::read_to_string("/proc/meminfo").ok().as_deref().and_then(available_mib);
    let room = memory.map_or(1, |mib| mib / MEMORY_MIB as usize);
    processors.min(room).min(programs).max(1)
}

/// `MemAvailable` of proc_meminfo(5), in MiB.
fn available_mib(text: &str) -> Option<usize> {
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix(" kB")?.parse::<usize>().ok().map(|kib| kib / 1024)
}

pub(super) fn shown(time: Duration) -> String {
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

    use super::{available_mib, machines, sweep};

    #[test]
    fn there_is_a_machine_for_each_program_at_most() {
        assert_eq!(machines(1), 1);
        assert!((1..=1000).contains(&machines(1000)));
        assert_eq!(available_mib("MemTotal:  9 kB\nMemAvailable:   8192 kB\n"), Some(8));
        assert_eq!(available_mib("MemTotal: 9 kB\n"), None);
    }

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
