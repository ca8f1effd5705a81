//! Many snapshots of one container, and long chains of clones: that all are whole, go in any order and leave nothing, and
//! what the last one costs beside the first.

use std::fmt;
use std::fs;
use std::time::{Duration, Instant};

use hull_container::{Containers, DestroyRequest};
use hull_storage::{Durability, Error, ErrorKind, Settings};
use hull_treefixture::Random;

use crate::grounds::Lxcpath;
use crate::storm::{aftermath, archives};
use crate::{manifest, operation};

/// How much of both.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    /// Snapshots of one container.
    pub snapshots: usize,
    /// Clones, each of the one before.
    pub depth: usize,
    /// Decides the order in which they go.
    pub seed: u64,
}

/// How long each act took, in the order in which they were done.
#[derive(Clone, Debug, Default)]
pub struct Times {
    /// Making a snapshot.
    pub create: Vec<Duration>,
    /// Listing those there are after each.
    pub list: Vec<Duration>,
    /// Deleting one.
    pub delete: Vec<Duration>,
    /// Making a clone of the last clone.
    pub clone: Vec<Duration>,
    /// Destroying one of the chain, refusals not counted.
    pub destroy: Vec<Duration>,
}

/// Does it all at `at`, on `store`; where that has no containers of its own, with clones of a plain directory. `settings`
/// say where a store with names of its own keeps them.
///
/// # Errors
/// What is not as it should be.
pub fn run(at: &Lxcpath, store: &str, settings: &Settings, scale: Scale) -> Result<Times, String> {
    let all = operation::containers_with(&at.lxcpath, &at.rundir, settings, Durability::Crash)
        .map_err(|e| e.to_string())?;
    let archives = archives(at.lxcpath.parent().expect("an lxcpath has a parent"));
    let content = [manifest::of(&archives[0].with_extension(""))];
    let archive = archives[0].display().to_string();
    let act = |words: &[&str]| operation::run(&all, words).map_err(|e| format!("{}: {e}", words.join(" ")));
    let mut times = Times::default();
    match act(&["unpack", "c0", store, &archive]) {
        Ok(()) => {}
        Err(_) if store == "overlay" => {
            act(&["unpack", "base", "dir", &archive])?;
            act(&["clone", "base", "c0", store])?;
        }
        Err(why) => return Err(why),
    }
    let mut random = Random::new(scale.seed);
    snapshots(&all, scale, &mut random, &mut times)?;
    for n in 0..scale.depth {
        let (from, to) = (format!("c{n}"), format!("c{}", n + 1));
        let begun = Instant::now();
        act(&["clone", &from, &to, "-"])?;
        times.clone.push(begun.elapsed());
        aftermath::whole(&all, &at.home(&to), &content).map_err(|why| format!("{to}: {why}"))?;
    }
    destroy_all(&all, &mut random, &mut times)?;
    let left: Vec<_> =
        fs::read_dir(&at.lxcpath).into_iter().flatten().flatten().map(|e| e.file_name()).collect();
    match left.iter().find(|name| *name != ".hull") {
        Some(name) => Err(format!("after all is destroyed there is {}", name.display())),
        None => Ok(times),
    }
}

fn snapshots(all: &Containers, scale: Scale, random: &mut Random, times: &mut Times) -> Result<(), String> {
    let container = all.existing("c0").map_err(|e| e.to_string())?;
    for n in 1..=scale.snapshots {
        let begun = Instant::now();
        operation::run(all, &["snapshot", "c0"]).map_err(|e| format!("snapshot {n}: {e}"))?;
        times.create.push(begun.elapsed());
        let begun = Instant::now();
        let listed = container.snapshots().map_err(|e| e.to_string())?.len();
        times.list.push(begun.elapsed());
        if listed != n {
            return Err(format!("{listed} snapshots are listed and there are {n}"));
        }
    }
    let mut left: Vec<String> = (0..scale.snapshots).map(|n| format!("snap{n}")).collect();
    while !left.is_empty() {
        let name = left.swap_remove(random.below(left.len() as u64) as usize);
        let begun = Instant::now();
        operation::run(all, &["unsnapshot", "c0", &name]).map_err(|e| format!("deleting {name}: {e}"))?;
        times.delete.push(begun.elapsed());
    }
    match container.snapshots().map_err(|e| e.to_string())?.len() {
        0 => Ok(()),
        n => Err(format!("{n} snapshots are left when all are deleted")),
    }
}

/// Destroys every container in a random order; those that others need are refused, and go later.
fn destroy_all(all: &Containers, random: &mut Random, times: &mut Times) -> Result<(), String> {
    let failed = |e: Error| e.to_string();
    let mut left = all.list().map_err(failed)?;
    let mut refused = 0;
    while !left.is_empty() {
        let index = random.below(left.len() as u64) as usize;
        let begun = Instant::now();
        let request = DestroyRequest::default();
        match all.existing(&left[index]).and_then(|container| container.destroy(&request)) {
            Ok(_) => {
                times.destroy.push(begun.elapsed());
                left.swap_remove(index);
            }
            Err(e) if e.kind() == ErrorKind::HasDependents => refused += 1,
            Err(e) => return Err(format!("destroying {}: {e}", left[index])),
        }
        // Drawn blindly, whoever may go next is met long before.
        if refused > 10_000 {
            return Err(format!("{} containers keep each other", left.len()));
        }
    }
    Ok(())
}

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = [
            ("snapshot", &self.create),
            ("list", &self.list),
            ("delete", &self.delete),
            ("clone of a clone", &self.clone),
            ("destroy", &self.destroy),
        ];
        for (what, times) in rows {
            // The machine's moods are in every single time, so a few neighbours stand for each.
            let near = |part: usize| {
                let middle = (times.len().saturating_sub(1)) * part / 4;
                let (from, to) = (middle.saturating_sub(4), (middle + 5).min(times.len()));
                let mut some = times[from..to].to_vec();
                some.sort_unstable();
                some.get(some.len() / 2).copied().unwrap_or_default()
            };
            let shown: Vec<String> =
                (0..=4).map(|part| format!("{:.2}", near(part).as_secs_f64() * 1000.0)).collect();
            let ratio = near(4).as_secs_f64() / near(0).as_secs_f64();
            writeln!(
                f,
                "  {what:<18} {:>3}: {} ms, last ÷ first {ratio:.2}",
                times.len(),
                shown.join(" … ")
            )?;
        }
        Ok(())
    }
}
