//! `cargo xtask vm --race`: Hull beside stock LXC in the guest, on a volume group and a zfs pool.

use std::path::Path;
use std::time::Instant;

use super::boot::Line;
use super::lane::{Folder, Lane, shown};
use super::payload::{self, Mode};
use super::targets::{Built, Program, Target};
use super::{cache, lacking};
use crate::install::{self, Profile};
use crate::{Result, demo, process, test};

/// Rounds that count; each copies a root file system in an emulated machine.
const ROUNDS: &str = "5";

/// Runs it and prints the table; false when it came to no end.
pub(super) fn run(root: &Path, lane: &Lane) -> Result<bool> {
    if let Some(reason) = lacking() {
        return Err(reason);
    }
    process::succeed(process::cargo(root).args(["build", "--release", "-p", "hull-compare-lxc"]))?;
    let target = test::target(root)?;
    let folder = Folder::new(root, lane.keep)?;
    let prefix = folder.path().join("prefix");
    install::install(&prefix, Profile::Release)?;
    let rootfs = demo::debian(&target)?;
    let mut helpers = vec![rootfs.clone(), prefix.join("libexec/hull/hull-monitor")];
    for entry in std::fs::read_dir(prefix.join("bin")).map_err(|e| format!("cannot read the prefix: {e}"))? {
        helpers.push(entry.map_err(|e| e.to_string())?.path());
    }
    let words = ["--pools", "--markdown", "--rounds", ROUNDS, "--hull"].map(str::to_owned);
    let paths = [prefix.display().to_string(), "--rootfs".into(), rootfs.display().to_string()];
    let program = Program {
        target: Target {
            package: "hull-compare-lxc".into(),
            test: "race".into(),
            arguments: words.into_iter().chain(paths).collect(),
        },
        file: target.join("release/hull-compare-lxc"),
        folder: root.to_path_buf(),
        cases: Vec::new(),
    };
    let built = Built { programs: vec![program], helpers };
    let payload = payload::make(folder.path(), root, &built, Mode::Run, lane.limit)?;
    let machine = lane.machine(&cache::guest()?, &payload, &folder.path().join("machine"))?;
    let mut running = machine.start()?;
    let begun = Instant::now();
    let until = begun + lane.limit;
    loop {
        match running.line(until) {
            // The only line of its manifest.
            Line::Text(line) if line == "#ready" => running.say("0"),
            Line::Text(line) if line.starts_with("#end ") => {
                println!("vm: ended after {}", shown(begun.elapsed()));
                return Ok(line.starts_with("#end 0 0 "));
            }
            Line::Text(line) => {
                if let Some(text) = line.strip_prefix('|') {
                    println!("{text}");
                }
            }
            Line::Late | Line::Off => {
                println!("vm: it came to no end; the guest's last words:\n{}", running.last_words());
                return Ok(false);
            }
        }
    }
}
