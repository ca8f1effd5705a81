//! The installed LXC's commands on containers that Hull started, and Hull's on containers that LXC started.

use std::os::unix::process::CommandExt;
use std::process::Stdio;
use std::time::Duration;

use hull_integration_tests::command::{self, eventually, finish};
use hull_integration_tests::house::{self, House};

/// A container that Hull made and started.
fn hull_started(test: &str) -> Option<House> {
    let house = house::plain(&format!("interop::{test}"))?;
    house.hull_creates("c1", &[]);
    house.hull(&["start", "c1"]).ok();
    Some(house)
}

/// A container that the installed LXC made and started.
fn stock_started(test: &str) -> Option<House> {
    let house = house::plain(&format!("interop::{test}"))?;
    house.stock_creates("s1", &[]);
    house.stock(&["lxc-start", "-n", "s1"]).ok();
    Some(house)
}

fn is_alive(pid: i32) -> bool {
    std::path::Path::new(&format!("/proc/{pid}")).exists()
}

#[test]
fn stock_info_on_ours() {
    let Some(house) = hull_started("stock_info_on_ours") else { return };
    assert_eq!(house.stock(&["lxc-info", "-n", "c1", "-s", "-H"]).ok(), "RUNNING\n");
    let pid = house.pid("c1");
    let command = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).expect("the first process");
    assert!(command.contains("init"), "{command:?}");
    assert_eq!(house.stock(&["lxc-info", "-n", "c1", "-H", "-c", "lxc.uts.name"]).ok(), "c1\n");
    assert_eq!(house.stock(&["lxc-info", "-n", "c1", "-c", "lxc.uts.name"]).ok(), "lxc.uts.name = c1\n");
    let both = house.stock(&["lxc-info", "-n", "c1", "-s", "-p"]).ok();
    assert_eq!(both, format!("{:<15} RUNNING\n{:<15} {pid}\n", "State:", "PID:"));
    let all = house.stock(&["lxc-info", "-n", "c1"]).ok();
    for field in ["Name:", "CPU use:", "Memory use:"] {
        assert!(all.contains(field), "no {field} in {all}");
    }
}

#[test]
fn both_infos_say_the_same() {
    let Some(house) = hull_started("both_infos_say_the_same") else { return };
    house.stock_creates("s1", &[]);
    house.stock(&["lxc-start", "-n", "s1"]).ok();
    for name in ["c1", "s1"] {
        for options in
            [["-s", "-p"].as_slice(), &["-H", "-p"], &["-i"], &["-c", "lxc.uts.name"], &["-H", "-s"]]
        {
            let words = [&["lxc-info", "-n", name], options].concat();
            assert_eq!(house.ours(&words).ok(), house.stock(&words).ok(), "{words:?}");
        }
    }
    for words in [["lxc-ls"].as_slice(), &["lxc-ls", "-1"], &["lxc-ls", "-f"], &["lxc-ls", "--running"]] {
        assert_eq!(house.ours(words).ok(), house.stock(words).ok(), "{words:?}");
    }
    house.stock(&["lxc-stop", "-k", "-n", "c1"]).ok();
    for words in [["lxc-ls", "-f"].as_slice(), &["lxc-ls", "--stopped"], &["lxc-info", "-n", "c1"]] {
        assert_eq!(house.ours(words).ok(), house.stock(words).ok(), "{words:?}");
    }
}

#[test]
fn stock_attach_on_ours() {
    let Some(house) = hull_started("stock_attach_on_ours") else { return };
    attach(&|words| house.stock_command(words), "c1");
}

#[test]
fn our_attach_on_stocks() {
    let Some(house) = stock_started("our_attach_on_stocks") else { return };
    attach(&|words| house.ours_command(words), "s1");
    assert_eq!(house.hull(&["exec", "s1", "/bin/sh", "-c", "exit 4"]).code(), 4);
    assert_eq!(house.hull(&["exec", "s1", "/bin/sh", "-c", "kill -TERM $$"]).code(), 128 + 15);
}

/// What `lxc-attach` must do, whoever's it is and whoever started the container.
fn attach(attach: &dyn Fn(&[&str]) -> std::process::Command, name: &str) {
    let run = |options: &[&str], line: &str, input: &[u8]| {
        let words = [&["lxc-attach", "-n", name], options, &["--", "/bin/sh", "-c", line]].concat();
        finish(attach(&words), input)
    };
    assert_eq!(run(&[], "hostname", b"").ok(), format!("{name}\n"));
    assert_eq!(run(&[], "exit 7", b"").code(), 7);
    assert_eq!(run(&[], "kill -9 $$", b"").code(), 128 + 9);
    let apart = run(&[], "echo one; echo two >&2", b"");
    assert_eq!((apart.stdout.as_str(), apart.stderr.as_str()), ("one\n", "two\n"));
    let bytes: Vec<u8> = (0..200_000u32).flat_map(|n| format!("{n}\n").into_bytes()).collect();
    let piped = run(&[], "md5sum", &bytes).ok();
    let outside = finish(std::process::Command::new("md5sum"), &bytes).ok();
    assert_eq!(piped, outside);
    assert_eq!(run(&["-v", "WORD=said"], "echo $WORD", b"").ok(), "said\n");
    assert_eq!(run(&["-u", "12", "-g", "34"], "id -u; id -g", b"").ok(), "12\n34\n");
    let bare = run(&["--clear-env", "-v", "A=1"], "echo $A $CARGO_MANIFEST_DIR $container", b"").ok();
    assert_eq!(bare, "1 lxc\n");
    let words = ["lxc-attach", "-n", name, "--", "/no/such/program"];
    assert_ne!(finish(attach(&words), b"").code(), 0);
}

#[test]
fn an_attached_process_is_confined() {
    let Some(house) = hull_started("an_attached_process_is_confined") else { return };
    let line =
        "grep -E 'Cap(Bnd|Eff)' /proc/self/status; cat /proc/self/cgroup | wc -l; readlink /proc/self/ns/mnt";
    let init = house.inside(
        "c1",
        "grep -E 'Cap(Bnd|Eff)' /proc/1/status; cat /proc/1/cgroup | wc -l; readlink /proc/1/ns/mnt",
    );
    assert_eq!(house.stock(&["lxc-attach", "-n", "c1", "--", "/bin/sh", "-c", line]).ok(), init);
    assert_eq!(house.inside("c1", line), init);
}

#[test]
fn stock_stops_ours() {
    let Some(house) = hull_started("stock_stops_ours") else { return };
    house.stock(&["lxc-stop", "-n", "c1", "-t", "20"]).ok();
    assert_eq!(house.state("c1"), "STOPPED");
    house.stock(&["lxc-stop", "-n", "c1"]).fails(2);
    house.hull(&["start", "c1"]).ok();
    house.stock(&["lxc-stop", "-n", "c1", "-k"]).ok();
    assert_eq!(house.state("c1"), "STOPPED");
    house.hull(&["start", "c1"]).ok();
    // Without waiting; the first process ends on the signal of lxc.signal.halt.
    house.stock(&["lxc-stop", "-n", "c1", "-W"]).ok();
    assert!(eventually(Duration::from_secs(20), || house.state("c1") == "STOPPED"));
}

#[test]
fn a_graceful_stop_lets_the_first_process_tidy_up() {
    let Some(house) = house::plain("interop::a_graceful_stop_lets_the_first_process_tidy_up") else { return };
    house.hull_creates("c1", &[]);
    let script =
        "#!/bin/sh\ntrap 'echo tidy > /tidy; exit 0' USR1\necho up > /up\nwhile :; do sleep 0.1; done\n";
    std::fs::write(house.at("c1", "rootfs/first"), script).expect("a file in the root file system");
    command::run("/bin/chmod", &["755", house::text(&house.at("c1", "rootfs/first"))]).ok();
    house.configure("c1", "lxc.init.cmd = /first");
    for stop in ["stock", "ours", "hull"] {
        house.hull(&["start", "c1"]).ok();
        assert!(eventually(Duration::from_secs(10), || house.at("c1", "rootfs/up").exists()));
        match stop {
            "stock" => house.stock(&["lxc-stop", "-n", "c1"]),
            "ours" => house.ours(&["lxc-stop", "-n", "c1"]),
            _ => house.hull(&["stop", "c1"]),
        }
        .ok();
        for file in ["rootfs/tidy", "rootfs/up"] {
            std::fs::remove_file(house.at("c1", file)).unwrap_or_else(|e| panic!("{stop}, {file}: {e}"));
        }
    }
}

#[test]
fn stock_reboots_ours() {
    let Some(house) = hull_started("stock_reboots_ours") else { return };
    let before = house.pid("c1");
    house.stock(&["lxc-stop", "-n", "c1", "-r", "-t", "20"]).ok();
    assert!(eventually(Duration::from_secs(20), || {
        let now = house.stock(&["lxc-info", "-n", "c1", "-p", "-H"]).stdout;
        now.trim().parse::<i32>().is_ok_and(|pid| pid != before)
    }));
    assert!(!is_alive(before));
    assert_eq!(house.inside("c1", "echo again"), "again\n");
}

#[test]
fn stock_waits_for_ours() {
    let Some(house) = hull_started("stock_waits_for_ours") else { return };
    wait(&house, "c1", &|words| house.stock_command(words));
}

#[test]
fn we_wait_for_stocks() {
    let Some(house) = stock_started("we_wait_for_stocks") else { return };
    wait(&house, "s1", &|words| house.ours_command(words));
}

fn wait(house: &House, name: &str, lxc: &dyn Fn(&[&str]) -> std::process::Command) {
    let at_once = |states, code: i32| {
        let ran = finish(lxc(&["lxc-wait", "-n", name, "-s", states, "-t", "1"]), b"");
        assert_eq!(ran.code(), code, "{ran}");
    };
    at_once("RUNNING", 0);
    at_once("STOPPED|RUNNING", 0);
    at_once("STOPPED", 1);
    let mut waiting = lxc(&["lxc-wait", "-n", name, "-s", "STOPPED", "-t", "25"]);
    waiting.stdin(Stdio::null()).process_group(0);
    let mut waiting = waiting.spawn().expect("lxc-wait");
    std::thread::sleep(Duration::from_millis(300));
    assert!(waiting.try_wait().expect("a child").is_none(), "lxc-wait ended before the container");
    house.stock(&["lxc-stop", "-n", name, "-k"]).ok();
    let ended =
        command::wait(&mut waiting, Duration::from_secs(20)).expect("lxc-wait ends with the container");
    assert!(ended.success(), "{ended}");
    at_once("STOPPED", 0);
    at_once("RUNNING", 1);
}

#[test]
fn stock_lists_ours() {
    let Some(house) = hull_started("stock_lists_ours") else { return };
    house.hull_creates("idle", &[]);
    assert_eq!(house.stock(&["lxc-ls", "-1"]).ok(), "c1\nidle\n");
    assert_eq!(house.stock(&["lxc-ls", "-1", "--running"]).ok(), "c1\n");
    assert_eq!(house.stock(&["lxc-ls", "-1", "--active"]).ok(), "c1\n");
    let table = house.stock(&["lxc-ls", "-f", "-F", "NAME,STATE,PID"]).ok();
    let pid = house.pid("c1").to_string();
    let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows, [["NAME", "STATE", "PID"], ["c1", "RUNNING", &pid], ["idle", "STOPPED", "-"]]);
}

#[test]
fn stock_reads_and_sets_cgroup_files_of_ours() {
    let Some(house) = hull_started("stock_reads_and_sets_cgroup_files_of_ours") else { return };
    let pids = |more: &[&str]| house.stock(&[&["lxc-cgroup", "-n", "c1", "pids.max"], more].concat());
    assert_eq!(pids(&[]).ok().trim(), "max");
    pids(&["77"]).ok();
    assert_eq!(pids(&[]).ok().trim(), "77");
    let count = house.stock(&["lxc-cgroup", "-n", "c1", "pids.current"]).ok();
    assert!(count.trim().parse::<u32>().is_ok_and(|count| count >= 1), "{count}");
    house.stock(&["lxc-cgroup", "-n", "c1", "no.such"]).fails(1);
}

#[test]
fn stock_freezes_ours() {
    let Some(house) = hull_started("stock_freezes_ours") else { return };
    house.stock(&["lxc-freeze", "-n", "c1"]).ok();
    assert_eq!(house.state("c1"), "FROZEN");
    assert_eq!(house.ours(&["lxc-info", "-n", "c1", "-s", "-H"]).ok(), "FROZEN\n");
    assert_eq!(house.ours(&["lxc-ls", "-1", "--frozen"]).ok(), "c1\n");
    house.stock(&["lxc-unfreeze", "-n", "c1"]).ok();
    assert_eq!(house.state("c1"), "RUNNING");
    house.stock(&["lxc-freeze", "-n", "c1"]).ok();
    house.stock(&["lxc-stop", "-n", "c1", "-k"]).ok();
    assert_eq!(house.state("c1"), "STOPPED");
}

#[test]
fn stock_console_on_ours() {
    let Some(house) = house::plain("interop::stock_console_on_ours") else { return };
    house.hull_creates("c1", &[]);
    house.configure("c1", "lxc.tty.max = 2");
    house.hull(&["start", "c1"]).ok();
    // lxc-console wants a terminal; script(1) gives it one, and types into it.
    let typed =
        "sleep 1; printf '\\r'; sleep 1; printf 'echo a$((20+3))b\\r'; sleep 1; printf '\\001q'; sleep 1";
    let console = format!("/usr/bin/lxc-console -P {} -n c1 -t 1", house.lxcpath().display());
    let mut shell = std::process::Command::new("/bin/sh");
    shell.args(["-c", &format!("({typed}) | /usr/bin/script -qec '{console}' /dev/null")]);
    let said = finish(shell, b"");
    assert!(said.stdout.contains("a23b"), "{said}");
}

#[test]
fn stock_monitor_hears_of_ours() {
    let Some(house) = house::plain("interop::stock_monitor_hears_of_ours") else { return };
    house.hull_creates("c1", &[]);
    let heard = house.root().join("heard");
    let mut monitor = house.stock_command(&["lxc-monitor", "-n", "c1"]);
    monitor.stdin(Stdio::null()).process_group(0);
    monitor.stdout(std::fs::File::create(&heard).expect("a new file"));
    let mut monitor = monitor.spawn().expect("lxc-monitor");
    std::thread::sleep(Duration::from_millis(1500));
    house.hull(&["start", "c1"]).ok();
    house.hull(&["stop", "--kill", "c1"]).ok();
    let text = || std::fs::read_to_string(&heard).unwrap_or_default();
    let complete = eventually(Duration::from_secs(10), || text().contains("[STOPPED]"));
    let _ = command::wait(&mut monitor, Duration::ZERO);
    house.stock(&["lxc-monitor", "-Q"]);
    let text = text();
    assert!(complete && text.contains("'c1' changed state to [RUNNING]"), "{text}");
    let order = ["[STARTING]", "[RUNNING]", "[STOPPED]"].map(|state| text.find(state));
    assert!(order.is_sorted() && order[0].is_some(), "{text}");
}

#[test]
fn we_look_at_stocks() {
    let Some(house) = stock_started("we_look_at_stocks") else { return };
    let pid = house.pid("s1");
    let info = house.hull(&["info", "s1", "--json"]).ok();
    let info: serde_json::Value = serde_json::from_str(&info).expect("JSON");
    assert_eq!((&info["state"], &info["pid"]), (&"RUNNING".into(), &pid.into()));
    assert_eq!(info["running"]["memory_bytes"].as_u64().map(|bytes| bytes > 0), Some(true), "{info}");
    let list = house.hull(&["ls", "--json"]).ok();
    let list: serde_json::Value = serde_json::from_str(&list).expect("JSON");
    assert_eq!((&list[0]["name"], &list[0]["state"]), (&"s1".into(), &"RUNNING".into()));
    house.hull(&["wait", "s1", "--state", "running", "--timeout", "2"]).ok();
    assert_ne!(house.hull(&["wait", "s1", "--timeout", "1"]).code(), 0);
    let said = house.hull(&["start", "s1"]).fails(1);
    assert!(said.contains("already running"), "{said}");
    let said = house.hull(&["destroy", "s1"]).fails(1);
    assert!(said.contains("running"), "{said}");
    assert_eq!(house.pid("s1"), pid);
}

#[test]
fn we_stop_stocks() {
    let Some(house) = stock_started("we_stop_stocks") else { return };
    house.ours(&["lxc-stop", "-n", "s1", "-t", "20"]).ok();
    assert_eq!(house.state("s1"), "STOPPED");
    house.ours(&["lxc-stop", "-n", "s1"]).fails(2);
    for words in [["stop", "s1"].as_slice(), &["stop", "--kill", "s1"]] {
        house.stock(&["lxc-start", "-n", "s1"]).ok();
        house.hull(words).ok();
        assert_eq!(house.state("s1"), "STOPPED");
    }
    house.stock(&["lxc-start", "-n", "s1"]).ok();
    let before = house.pid("s1");
    house.ours(&["lxc-stop", "-n", "s1", "-r", "-t", "20"]).ok();
    assert!(eventually(Duration::from_secs(20), || {
        let now = house.ours(&["lxc-info", "-n", "s1", "-p", "-H"]).stdout;
        now.trim().parse::<i32>().is_ok_and(|pid| pid != before)
    }));
    house.ours(&["lxc-stop", "-n", "s1", "-k"]).ok();
    assert_eq!(house.state("s1"), "STOPPED");
}

#[test]
fn stock_does_not_start_what_hull_runs() {
    let Some(house) = hull_started("stock_does_not_start_what_hull_runs") else { return };
    let pid = house.pid("c1");
    // LXC's lxc-start finds what it wants and succeeds; ours must do the same.
    for ran in [house.stock(&["lxc-start", "-n", "c1"]), house.ours(&["lxc-start", "-n", "c1"])] {
        let said = ran.stderr.clone();
        ran.ok();
        assert!(said.contains("already running"), "{said}");
    }
    assert_ne!(house.stock(&["lxc-destroy", "-n", "c1"]).code(), 0);
    assert_eq!(house.pid("c1"), pid);
    assert_eq!(house.inside("c1", "echo here"), "here\n");
}
