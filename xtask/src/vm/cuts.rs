//! Power cuts: a machine that works on a disk is killed at a random moment, again and again, and each time it starts it
//! looks whether everything on the disk is whole.

use std::fs::File;
use std::path::Path;
use std::time::{Duration, Instant};

use super::boot::{Line, Machine, Running};
use super::lane::{Folder, Lane};
use super::payload::{self, Mode};
use super::targets::{Built, Program, Target};
use super::{cache, lacking};
use crate::workspace::root;
use crate::{Result, process, test};

/// What `hull-powercut` works on, one after the other.
const GROUNDS: &[&str] =
    &["dir", "btrfs", "overlay", "loop-xfs", "lvm", "zfs", "dir-xfs", "lvm-thick", "loop"];

/// How often the power of one disk is cut before the next ground has its turn; each disk is looked at once more.
const CUTS_EACH: u64 = 5;

/// The longest time a machine works, in milliseconds; one with a pool, whose every act takes a second in an emulated
/// machine, works longer.
const LONGEST: u64 = 12_000;
const LONGEST_ON_POOLS: u64 = 60_000;
const POOLS: &[&str] = &["lvm", "lvm-thick", "zfs"];

/// For a machine to boot, and to look at the disk.
const PATIENCE: Duration = Duration::from_secs(900);

/// Where the guest sees the disk that is worked on.
const DISK: &str = "/dev/vdb";

/// Cuts the power from the seed on, for the time; false when something was not whole.
pub(crate) fn soak(seed: u64, time: Duration) -> Result<bool> {
    if let Some(reason) = lacking() {
        return Err(reason);
    }
    let root = root();
    process::succeed(process::cargo(&root).args(["build", "-p", "hull-integration-tests", "--bins"]))?;
    let until = Instant::now() + time;
    let mut tally = Tally::default();
    for seed in (0..).map(|n| seed.wrapping_add(n)) {
        let ground = GROUNDS[(seed % GROUNDS.len() as u64) as usize];
        let found = disk(&root, ground, seed)?;
        tally.cuts += found.cuts;
        tally.operations += found.operations;
        found.notes.iter().for_each(|note| println!("seed {seed}: {ground}: {note}"));
        match found.wrong.as_slice() {
            [] => println!(
                "seed {seed}: {ground}: {} cuts, {} operations between them, all whole",
                found.cuts, found.operations
            ),
            wrong => {
                println!("seed {seed}: {ground}: FAILED\n{}", wrong.join("\n"));
                return Ok(false);
            }
        }
        if Instant::now() >= until {
            break;
        }
    }
    println!("{} power cuts, {} operations between them", tally.cuts, tally.operations);
    Ok(true)
}

/// What came of the cuts of one disk.
#[derive(Debug, Default)]
struct Tally {
    cuts: u64,
    operations: u64,
    /// What was done before the last cut.
    last: Vec<String>,
    /// What was found and is not wrong.
    notes: Vec<String>,
    wrong: Vec<String>,
}

fn disk(root: &Path, ground: &str, seed: u64) -> Result<Tally> {
    let folder = Folder::new(root, false)?;
    let mut tally = Tally::default();
    let scratch = folder.path().join("cut.img");
    File::create(&scratch)
        .and_then(|file| file.set_len(8 << 30))
        .map_err(|error| format!("cannot make {}: {error}", scratch.display()))?;
    for cut in 0..=CUTS_EACH {
        let last = cut == CUTS_EACH;
        let number = seed.wrapping_mul(1000).wrapping_add(cut);
        let mut machine = machine(root, &folder, ground, number, last)?;
        machine.scratch = vec![scratch.clone()];
        let mut running = machine.start()?;
        // Of every magnitude: a machine that only began is as good a test as one that did a hundred operations.
        let magnitude = splitmix(number) % 5;
        let longest = if POOLS.contains(&ground) { LONGEST_ON_POOLS } else { LONGEST };
        let time = Duration::from_millis((splitmix(number ^ 1) % longest) >> magnitude);
        let heard = listen(&mut running, (!last).then_some(time));
        running.kill();
        tally.operations += heard.done.len() as u64;
        tally.cuts += u64::from(!last);
        tally.notes.extend(heard.notes.iter().map(|note| format!("after cut {cut}: {note}")));
        if let Some(why) = heard.wrong {
            let before = format!("before it: {}", tally.last.join("; "));
            tally.wrong = vec![format!("after cut {cut}: {why}"), before, running.last_words()];
            break;
        }
        if !last {
            tally.last = heard.done;
        }
        // The first start finds nothing to look at.
        if cut > 0 && !heard.whole {
            tally.wrong = vec![format!("after cut {cut}: the disk was not looked at"), running.last_words()];
            break;
        }
    }
    Ok(tally)
}

fn machine(root: &Path, folder: &Folder, ground: &str, seed: u64, last: bool) -> Result<Machine> {
    let file = test::target(root)?.join("debug/hull-powercut");
    let mut arguments = vec![ground.to_owned(), seed.to_string(), DISK.to_owned()];
    arguments.extend(last.then(|| "--last".to_owned()));
    let target = Target { package: "hull-integration-tests".into(), test: "powercut".into(), arguments };
    let program = Program { target, file, folder: root.to_path_buf(), cases: Vec::new() };
    let built = Built { programs: vec![program], helpers: Vec::new() };
    let lane = Lane::default();
    let payload = payload::make(folder.path(), root, &built, Mode::Disk, lane.limit)?;
    lane.machine(&cache::guest()?, &payload, &folder.path().join("machine"))
}

/// What a machine said.
#[derive(Debug, Default)]
struct Heard {
    whole: bool,
    /// The operations it did.
    done: Vec<String>,
    notes: Vec<String>,
    wrong: Option<String>,
}

/// Listens until the machine has worked for `time`; without a time, until it has looked.
fn listen(running: &mut Running, time: Option<Duration>) -> Heard {
    let mut heard = Heard::default();
    let mut until = Instant::now() + PATIENCE;
    let mut works = false;
    loop {
        let line = match running.line(until) {
            Line::Text(line) => line,
            Line::Late if works => return heard,
            Line::Late => {
                heard.wrong.get_or_insert_with(|| format!("nothing within {PATIENCE:?}"));
                return heard;
            }
            Line::Off => {
                heard.wrong.get_or_insert_with(|| "the machine went off by itself".into());
                return heard;
            }
        };
        match line.strip_prefix('|') {
            // The only line of its manifest.
            None if line == "#ready" => running.say("0"),
            Some("whole") => heard.whole = true,
            Some("working") => {
                works = true;
                until = Instant::now() + time.unwrap_or_default();
            }
            Some(text) if text.starts_with("note ") => heard.notes.push(text["note ".len()..].to_owned()),
            Some(text) if text.starts_with("did ") => heard.done.push(text["did ".len()..].to_owned()),
            Some(text) if text.starts_with("WRONG") || text.contains("panicked") => {
                let all = heard.wrong.take().map_or_else(String::new, |said| said + "\n");
                heard.wrong = Some(all + text);
                // The rest of what it says comes soon.
                (works, until) = (true, Instant::now() + Duration::from_secs(5));
            }
            _ if line.starts_with("#end 0 ") => {
                if !line.starts_with("#end 0 0 ") {
                    heard.wrong.get_or_insert_with(|| format!("it ended: {line}"));
                } else if time.is_some() {
                    heard.wrong.get_or_insert_with(|| "it ended and should have worked on".into());
                }
                return heard;
            }
            _ => {}
        }
    }
}

/// A number that looks random, of one that does not.
fn splitmix(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
