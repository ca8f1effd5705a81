//! A monitor that is born in its groups. With a main of its own: only a process of one thread goes on as its child.
#![allow(clippy::unwrap_used, reason = "tests may panic")]

mod support;

use hull_cgroup::{Cgroups, Moving, Plan, Version, View};
use libtest_mimic::{Arguments, Failed, Trial};
use std::process::Command;
use support::{Ground, groups_of, soon};

/// The first argument of the process that is to be the monitor; the second is the group around its own.
const MONITOR: &str = "--be-the-monitor";

fn main() {
    let words: Vec<String> = std::env::args().collect();
    if let [_, first, dir] = &words[..]
        && first == MONITOR
    {
        return monitor(dir);
    }
    let unfit = Ground::new("reborn-at-all").is_none();
    let trial = Trial::test("a_daemon_is_born_in_its_groups_and_in_the_pivot", daemon);
    libtest_mimic::run(&Arguments::from_args(), vec![trial.with_ignored_flag(unfit)]).exit();
}

/// Says where it was and is: a process's number, then its groups.
fn monitor(dir: &str) {
    let plan = Plan { dir: Some(dir.into()), monitor_moves: Moving::Reborn, ..Plan::new("c") };
    let cgroups = Cgroups::create(&View::of_self().unwrap(), &plan).unwrap();
    let say = || {
        let pid = std::process::id();
        println!("{pid}\n{}", groups_of(i32::try_from(pid).unwrap()));
    };
    say();
    cgroups.enter_monitor().unwrap();
    say();
    cgroups.remove(soon()).unwrap();
    say();
}

fn daemon() -> Result<(), Failed> {
    let ground = Ground::new("reborn").unwrap();
    let versions: Vec<Version> = ground.view.hierarchies.iter().map(|h| h.version).collect();
    // Read to its end, which the last of the three brings about.
    let ran = Command::new(std::env::current_exe()?).args([MONITOR, &ground.dir]).output()?;
    let said = String::from_utf8(ran.stdout)?;
    assert!(ran.status.success() && ran.stderr.is_empty(), "{}", String::from_utf8_lossy(&ran.stderr));
    let all: Vec<&str> = said.trim().split("\n\n").collect();
    let [before, inside, after] = all[..] else { panic!("it says where it is three times: {said}") };
    let pid = |text: &str| text.lines().next().unwrap().to_owned();
    assert_ne!(pid(before), pid(inside), "{said}");
    // Without version 2 nothing would be gained.
    assert_eq!(pid(inside) != pid(after), versions.contains(&Version::Two), "{said}");
    for (text, group) in [(inside, "lxc.monitor.c"), (after, "lxc.pivot")] {
        for line in text.lines().skip(1) {
            assert!(line.ends_with(&format!("/{}/{group}", ground.dir)), "{line}");
        }
    }
    for directory in ground.directories() {
        assert!(!directory.join("lxc.monitor.c").exists() && !directory.join("lxc.payload.c").exists());
    }
    Ok(())
}
