//! Containers that Hull runs: how commands end, what the configuration brings about, hooks, reboots.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use hull_integration_tests::command::{self, eventually, finish};
use hull_integration_tests::house::{self, House, text};

/// A shell line as the words of a command.
fn shell(line: &str) -> [&str; 4] {
    ["--", "/bin/sh", "-c", line]
}

/// A house with the container `c1`, whose configuration ends in `lines`.
fn with(test: &str, lines: &str) -> Option<House> {
    let house = house::plain(&format!("end_to_end_run::{test}"))?;
    house.hull_creates("c1", &[]);
    house.configure("c1", lines);
    Some(house)
}

fn script(at: &Path, lines: &str) {
    std::fs::write(at, format!("#!/bin/sh\n{lines}\n")).expect("a new file");
    std::fs::set_permissions(at, std::fs::Permissions::from_mode(0o755)).expect("our file's mode");
}

#[test]
fn the_end_of_a_command_is_the_programs_end() {
    let Some(house) = with("the_end_of_a_command_is_the_programs_end", "") else { return };
    for (line, code) in
        [("exit 0", 0), ("exit 9", 9), ("exit 255", 255), ("kill -TERM $$; sleep 9", 128 + 15)]
    {
        let executed = house.ours(&[&["lxc-execute", "-n", "c1"], shell(line).as_slice()].concat());
        assert_eq!(executed.code(), code, "{executed}");
        // The same as LXC's, down to a death by a signal.
        let stock = house.stock(&[&["lxc-execute", "-n", "c1"], shell(line).as_slice()].concat());
        assert_eq!((executed.code(), executed.stdout), (stock.code(), stock.stdout));
    }
    for code in [0, 9] {
        let line = format!("exit {code}");
        assert_eq!(house.hull(&[&["start", "-F", "c1"], shell(&line).as_slice()].concat()).code(), code);
    }
    let ran = house.ours(&["lxc-execute", "-n", "c1", "--", "/no/such/program"]);
    assert!(ran.code() != 0 && ran.stderr.contains("/no/such/program"), "{ran}");
    house.hull(&["start", "c1"]).ok();
    for (line, code) in [("exit 3", 3), ("kill -KILL $$", 128 + 9), ("kill -HUP $$", 128 + 1)] {
        assert_eq!(house.hull(&[&["exec", "c1"], &shell(line)[1..]].concat()).code(), code);
        assert_eq!(house.ours(&[&["lxc-attach", "-n", "c1"], shell(line).as_slice()].concat()).code(), code);
    }
    house.hull(&["exec", "c1", "/no/such/program"]).fails(127);
}

#[test]
fn a_daemon_lets_go_of_what_its_starter_was_given() {
    let Some(house) = with("a_daemon_lets_go_of_what_its_starter_was_given", "") else { return };
    // A pipe ends when the last process that has it does, so a monitor that kept it would make the reader wait.
    let mut shell = Command::new("/bin/sh");
    let hull = format!("'{}' --lxcpath '{}'", house::hull().display(), house.lxcpath().display());
    shell.args([
        "-c",
        &format!("({hull} start c1 2>&1; echo over) 7>/dev/null | cat; {hull} stop -k c1 | cat"),
    ]);
    assert_eq!(finish(shell, b"").ok(), "started c1\nover\nkilled c1\n");
}

#[test]
fn everything_that_runs_in_a_container_is_in_its_groups() {
    let Some(house) = with("everything_that_runs_in_a_container_is_in_its_groups", "") else { return };
    let groups =
        |of: &str| std::fs::read_to_string(format!("/proc/{of}/cgroup")).expect("a process's groups");
    house.hull(&["start", "c1"]).ok();
    let first = groups(&house.pid("c1").to_string());
    assert!(first.lines().all(|line| line.ends_with("/lxc.payload.c1")), "{first}");
    // The container's cgroup namespace begins at its groups, so whoever is in them sees roots.
    let seen = house.inside("c1", "cat /proc/self/cgroup");
    assert!(seen.lines().all(|line| line.ends_with(":/")), "an attached command is in {seen}");
    assert_eq!(seen.lines().count(), first.lines().count());
    house.hull(&["stop", "-k", "c1"]).ok();
    let line = "cat /proc/self/cgroup";
    let executed = house.ours(&[&["lxc-execute", "-n", "c1"], shell(line).as_slice()].concat());
    let seen = executed.ok();
    assert!(seen.lines().all(|line| line.ends_with(":/")), "an executed command is in {seen}");
    for mounted in groups("self").lines() {
        assert!(!mounted.contains("lxc."), "the caller stays where it is: {mounted}");
    }
}

#[test]
fn mapped_users() {
    let lines =
        "lxc.idmap = u 0 100000 65536\nlxc.idmap = g 0 100000 65536\nlxc.rootfs.options = idmap=container";
    let Some(house) = with("mapped_users", lines) else { return };
    house.hull(&["start", "c1"]).ok();
    let said = house.inside(
        "c1",
        "id -u; touch /made /mine; chown 7:8 /made; stat -c %u:%g /made; awk '{print $2}' /proc/self/uid_map",
    );
    assert_eq!(said, "0\n7:8\n100000\n");
    let process = std::fs::metadata(format!("/proc/{}", house.pid("c1"))).expect("the first process");
    assert_eq!(process.uid(), 100_000);
    // The files belong to whom the container says, not to its users outside.
    let made = std::fs::metadata(house.at("c1", "rootfs/made")).expect("a file made inside");
    assert_eq!((made.uid(), made.gid()), (7, 8));
    let attached = house
        .stock(&["lxc-attach", "-n", "c1", "--", "/bin/sh", "-c", "id -u; grep CapEff /proc/self/status"])
        .ok();
    let ours = house.inside("c1", "id -u; grep CapEff /proc/self/status");
    assert_eq!(attached, ours);
    house.hull(&["stop", "c1"]).ok();
    assert_eq!(house.mounts(), Vec::<PathBuf>::new());
}

#[test]
fn hooks_run_with_lxcs_words_and_variables() {
    let Some(house) = with("hooks_run_with_lxcs_words_and_variables", "") else { return };
    let (log, outside) = (house.root().join("log"), house.root().join("hook"));
    // No file descriptor numbers nor pids, which differ each time; and each has its own mount point.
    let tell = |to: &Path| {
        format!(
            "{{ echo \"$@\" | sed 's/[0-9][0-9]*//g'; env | grep ^LXC | grep -vE '^LXC_(ROOTFS_MOUNT|CONSOLE.*)=' \
             | sed 's/\\(_PID\\|_NS\\)=.*/\\1/' | sort; }} >> {}",
            to.display()
        )
    };
    script(&outside, &tell(&log));
    script(&house.at("c1", "rootfs/hook"), &tell(Path::new("/log")));
    let base = std::fs::read_to_string(house.at("c1", "config")).expect("a configuration");
    for version in ["0", "1"] {
        let moments = ["pre-start", "pre-mount", "mount", "autodev", "start-host", "stop", "post-stop"];
        let hooks = moments.map(|moment| format!("lxc.hook.{moment} = {} x y\n", outside.display())).concat();
        let config = format!("{base}\nlxc.hook.version = {version}\n{hooks}lxc.hook.start = /hook\n");
        std::fs::write(house.at("c1", "config"), config).expect("the configuration");
        let told = || {
            let inside = house.at("c1", "rootfs/log");
            assert!(eventually(Duration::from_secs(5), || inside.exists()));
            let logs = [&log, &inside].map(|file| std::fs::read_to_string(file).unwrap_or_default());
            for file in [&log, &inside] {
                std::fs::remove_file(file).expect("a log");
            }
            // LXC's post-stop hooks are told of namespaces, too, that are gone.
            let [outside, inside] = logs;
            let (before, after) = outside.rsplit_once("x y").expect("the last hook of all");
            let after = after.lines().filter(|line| !line.ends_with("_NS")).collect::<Vec<_>>().join("\n");
            [before.to_owned(), after, inside]
        };
        house.stock(&["lxc-start", "-n", "c1"]).ok();
        house.stock(&["lxc-stop", "-k", "-n", "c1"]).ok();
        let by_stock = told();
        house.hull(&["start", "c1"]).ok();
        house.hull(&["stop", "-k", "c1"]).ok();
        assert_eq!(told(), by_stock, "version {version}");
    }
    // A hook that fails before the start prevents it; one after the end does not matter any more.
    std::fs::write(house.at("c1", "config"), format!("{base}\nlxc.hook.pre-start = /bin/false\n"))
        .expect("the configuration");
    let said = house.hull(&["start", "c1"]).fails(1);
    assert!(said.contains("pre-start") && said.contains("/bin/false"), "{said}");
    assert_eq!(house.state("c1"), "STOPPED");
}

/// An init that ends with `umount -a -r` asks for its root file system to be read-only, which for a directory is the
/// file system it lies on.
#[test]
fn the_hosts_file_system_stays_writable() {
    for kind in ["ext4", "btrfs", "xfs"] {
        let Some(house) = house::on("end_to_end_run::the_hosts_file_system_stays_writable", kind) else {
            return;
        };
        house.hull_creates("c1", &[]);
        house.hull(&["start", "c1"]).ok();
        house.hull(&["exec", "c1", "/bin/busybox", "mount", "-o", "remount,ro", "/"]);
        house.hull(&["stop", "c1"]).ok();
        std::fs::write(house.at("c1", "rootfs/new"), "").unwrap_or_else(|e| panic!("{kind}: {e}"));
        house.hull(&["snapshot", "c1"]).ok();
    }
}

#[test]
fn reboot_and_power_off_from_inside() {
    let Some(house) = with("reboot_and_power_off_from_inside", "") else { return };
    house.hull(&["start", "c1"]).ok();
    let before = house.pid("c1");
    // The command may be gone with the container before it can end well.
    house.hull(&["exec", "c1", "/bin/busybox", "reboot", "-f"]);
    assert!(eventually(Duration::from_secs(20), || {
        let now = house.stock(&["lxc-info", "-n", "c1", "-p", "-H"]).stdout;
        now.trim().parse::<i32>().is_ok_and(|pid| pid != before)
    }));
    assert_eq!(house.inside("c1", "hostname"), "c1\n");
    house.hull(&["exec", "c1", "/bin/busybox", "poweroff", "-f"]);
    house.hull(&["wait", "c1", "--timeout", "20"]).ok();
    assert_eq!(house.state("c1"), "STOPPED");
}

#[test]
fn what_confines_and_is_not_carried_out_prevents_the_start() {
    let name = "what_confines_and_is_not_carried_out_prevents_the_start";
    let Some(house) = with(name, "lxc.sched.core = 1") else { return };
    let said = house.hull(&["start", "c1"]).fails(1);
    assert!(said.contains("lxc.sched.core") && said.contains("--allow-unconfined"), "{said}");
    assert_eq!(house.state("c1"), "STOPPED");
    let doctor = house.hull(&["doctor", "c1"]);
    assert!(doctor.stdout.contains("lxc.sched.core"), "{doctor}");
    house.hull(&["start", "c1", "--allow-unconfined", "lxc.sched.core"]).ok();
    assert_eq!(house.state("c1"), "RUNNING");
}

#[test]
fn a_start_that_fails_leaves_nothing() {
    let Some(house) = with("a_start_that_fails_leaves_nothing", "lxc.init.cmd = /no/such/init") else {
        return;
    };
    let groups =
        || command::run("/usr/bin/find", &["/sys/fs/cgroup", "-maxdepth", "2", "-name", "lxc.*.c1*"]).stdout;
    let before = (groups(), house.mounts());
    let said = house.hull(&["start", "c1"]).fails(1);
    assert!(said.contains("/no/such/init") && said.lines().count() == 1, "{said}");
    assert_eq!(house.state("c1"), "STOPPED");
    assert_eq!(house.mounts(), before.1);
    let own = format!("@{}/", house.lxcpath().display());
    assert!(!std::fs::read_to_string("/proc/net/unix").expect("the list of sockets").contains(&own));
    // The same again with what is right: the failed start is in nobody's way.
    house.hull(&["start", "c1", "--set", "lxc.init.cmd=/sbin/init"]).ok();
}

#[test]
fn a_container_survives_its_starter_and_its_monitor_is_told_apart() {
    let name = "a_container_survives_its_starter_and_its_monitor_is_told_apart";
    let Some(house) = with(name, "") else { return };
    let pidfile = house.root().join("pid");
    house.hull(&["start", "c1", "--pidfile", text(&pidfile)]).ok();
    let pid = std::fs::read_to_string(&pidfile).expect("the file of the process number");
    assert_eq!(pid.trim(), house.pid("c1").to_string());
    let status = std::fs::read_to_string(format!("/proc/{}/status", pid.trim())).expect("the first process");
    let parent = status.lines().find_map(|line| line.strip_prefix("PPid:")).expect("its parent").trim();
    let monitor = std::fs::read_to_string(format!("/proc/{parent}/cmdline")).expect("the monitor");
    assert!(monitor.contains("monitor") && monitor.contains("c1"), "{monitor:?}");
    // Processes that ignore signals end with the container.
    house.inside("c1", "trap '' TERM HUP INT; nohup sleep 1000 >/dev/null 2>&1 &");
    house.hull(&["stop", "c1", "--timeout", "10"]).ok();
    assert!(!Path::new(&format!("/proc/{}", pid.trim())).exists());
}
