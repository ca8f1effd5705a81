//! A monitor that is born in its groups. With a main of its own: only a process of one thread goes on as its child.
#![allow(clippy::unwrap_used, reason = "tests may panic")]

mod support;

use hull_cgroup::{Cgroups, Moving, Plan, Version, View};
use libtest_mimic::{Arguments, Failed, Trial};
use std::process::Command;
use support::{Ground, groups_of, soon};

/// The first argument of the process that is to be the monitor; the second is the group around its own, and the others the
/// versions that it uses.
const MONITOR: &str = "--be-the-monitor";

fn main() {
    let words: Vec<String> = std::env::args().collect();
    if let [_, first, dir, versions @ ..] = &words[..]
        && first == MONITOR
    {
        return monitor(dir, versions);
    }
    let unfit = Ground::new("reborn-at-all").is_none();
    let trial = |name: &'static str, versions: &'static [Version]| {
        Trial::test(name, move || daemon(name, versions)).with_ignored_flag(unfit)
    };
    let trials = vec![
        trial("a_daemon_is_born_in_its_groups_and_in_the_pivot", &[Version::One, Version::Two]),
        trial("without_version_two_it_is_a_child_of_itself_all_the_same", &[Version::One]),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

/// Says where it was and is: a process's number, then its groups.
fn monitor(dir: &str, versions: &[String]) {
    let mut view = View::of_self().unwrap();
    view.hierarchies.retain(|h| versions.contains(&format!("{:?}", h.version)));
    let plan = Plan { dir: Some(dir.into()), monitor_moves: Moving::Reborn, ..Plan::new("c") };
    let cgroups = Cgroups::create(&view, &plan).unwrap();
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

fn daemon(name: &str, versions: &[Version]) -> Result<(), Failed> {
    let mut ground = Ground::new(name).unwrap();
    ground.view.hierarchies.retain(|h| versions.contains(&h.version));
    let second = ground.view.hierarchies.iter().any(|h| h.version == Version::Two);
    let mut command = Command::new(std::env::current_exe()?);
    command.args([MONITOR, &ground.dir]).args(versions.iter().map(|v| format!("{v:?}")));
    // Read to its end, which the last of the three brings about.
    let ran = command.output()?;
    let said = String::from_utf8(ran.stdout)?;
    assert!(ran.status.success() && ran.stderr.is_empty(), "{}", String::from_utf8_lossy(&ran.stderr));
    let all: Vec<&str> = said.trim().split("\n\n").collect();
    let [before, inside, after] = all[..] else { panic!("it says where it is three times: {said}") };
    let pid = |text: &str| text.lines().next().unwrap().to_owned();
    assert_ne!(pid(before), pid(inside), "{said}");
    // Without version 2 nothing would be gained.
    assert_eq!(pid(inside) != pid(after), second, "{said}");
    for (text, group) in [(inside, "lxc.monitor.c"), (after, "lxc.pivot")] {
        let there = |line: &&str| line.ends_with(&format!("/{}/{group}", ground.dir));
        assert_eq!(text.lines().filter(there).count(), ground.view.hierarchies.len(), "{said}");
    }
    for directory in ground.directories() {
        assert!(!directory.join("lxc.monitor.c").exists() && !directory.join("lxc.payload.c").exists());
    }
    Ok(())
}
