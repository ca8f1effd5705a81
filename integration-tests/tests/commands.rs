//! The commands on real containers, ours and the installed LXC's in turn.

use std::time::{Duration, Instant};

use hull_integration_tests::programs::Commands;

/// The commands; or says that, and why, the test is skipped.
fn commands(test: &str) -> Option<Commands> {
    Commands::new().map_err(|reason| hull_testskip::skip(&format!("commands::{test}"), reason)).ok()
}

/// The names in the lxcpath that are not hidden.
fn left(commands: &Commands) -> Vec<String> {
    let entries = commands.lxcpath().read_dir().expect("the lxcpath is there");
    let names = entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> = names.filter(|name| !name.starts_with('.')).collect();
    names.sort();
    names
}

#[test]
fn a_container_from_its_making_to_its_end() {
    let Some(it) = commands("a_container_from_its_making_to_its_end") else { return };
    it.create("c1");
    it.hull(&["start", "c1"]).good();
    assert_eq!(it.hull(&["exec", "c1", "--", "hostname"]).good(), "c1");
    assert_eq!(it.hull(&["exec", "c1", "--env", "A=b c", "--", "sh", "-c", "echo $A; exit 9"]).code, Some(9));
    it.hull(&["exec", "c1", "--", "sh", "-c", "echo before > /etc/state"]).good();
    let info: serde_json::Value = serde_json::from_str(&it.hull(&["info", "c1", "--json"]).good()).unwrap();
    assert_eq!(info["state"], "RUNNING");
    assert!(info["pid"].as_i64().is_some_and(|pid| pid > 1), "{info}");
    assert!(info["running"]["cpu_nanoseconds"].is_u64(), "{info}");
    assert_eq!(it.hull(&["destroy", "c1"]).code, Some(1), "a running container is not destroyed");
    it.hull(&["stop", "c1"]).good();

    it.hull(&["snapshot", "c1", "--comment", "as it was"]).good();
    let state = it.lxcpath().join("c1/rootfs/etc/state");
    std::fs::write(&state, "after\n").unwrap();
    let plan = it.hull(&["restore", "c1", "snap0", "--dry-run"]).good();
    assert!(plan.contains("snap0") && plan.contains("then delete"), "{plan}");
    assert_eq!(std::fs::read_to_string(&state).unwrap(), "after\n", "a dry run changes nothing");
    it.hull(&["restore", "c1", "snap0"]).good();
    assert_eq!(std::fs::read_to_string(&state).unwrap(), "before\n");

    it.hull(&["clone", "c1", "c2", "--copy"]).good();
    it.hull(&["rename", "c2", "c3"]).good();
    it.hull(&["start", "c3"]).good();
    assert_eq!(it.hull(&["exec", "c3", "hostname"]).good(), "c3");
    let listed: serde_json::Value = serde_json::from_str(&it.hull(&["ls", "--json"]).good()).unwrap();
    let states: Vec<(&str, &str)> = listed
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (row["name"].as_str().unwrap(), row["state"].as_str().unwrap()))
        .collect();
    assert_eq!(states, [("c1", "STOPPED"), ("c3", "RUNNING")]);
    it.hull(&["destroy", "c3", "--force"]).good();
    assert_eq!(it.hull(&["destroy", "c1"]).code, Some(1), "its snapshots keep it");
    it.hull(&["destroy", "c1", "--snapshots"]).good();
    assert_eq!(left(&it), Vec::<String>::new());
}

#[test]
fn stock_lxc_and_hull_see_each_others_containers() {
    let Some(it) = commands("stock_lxc_and_hull_see_each_others_containers") else { return };
    if it.stock("lxc-ls", &[]).is_none() {
        return hull_testskip::skip(
            "commands::stock_lxc_and_hull_see_each_others_containers",
            "the package lxc is not installed",
        );
    }
    let stock = |name: &str, words: &[&str]| it.stock(name, words).expect("stock LXC");
    it.create("ours");
    it.create("theirs");
    it.run("lxc-start", &["ours"]).good();
    stock("lxc-start", &["theirs"]).good();
    for name in ["ours", "theirs"] {
        // Whoever started it, whoever asks: the same answers.
        for (tool, words) in [
            ("lxc-info", vec![name, "-s"]),
            ("lxc-info", vec![name, "-pH"]),
            ("lxc-info", vec![name, "-i"]),
            ("lxc-info", vec![name, "-c", "lxc.uts.name", "-c", "lxc.rootfs.path"]),
            ("lxc-ls", vec!["-f", "-F", "NAME,STATE,PID,AUTOSTART,GROUPS,INTERFACE,IPV4,IPV6,UNPRIVILEGED"]),
            ("lxc-ls", vec!["--running", "-1"]),
            ("lxc-attach", vec![name, "--", "hostname"]),
            ("lxc-attach", vec![name, "--", "sh", "-c", "exit 5"]),
            ("lxc-wait", vec![name, "-s", "RUNNING"]),
        ] {
            let (ours, theirs) = (it.run(tool, &words), stock(tool, &words));
            assert_eq!((ours.code, &ours.stdout), (theirs.code, &theirs.stdout), "{tool} {words:?}");
        }
    }
    stock("lxc-stop", &["ours", "-t", "20"]).good();
    it.run("lxc-stop", &["theirs", "-t", "20"]).good();
    for name in ["ours", "theirs"] {
        assert_eq!(it.run("lxc-stop", &[name]).code, Some(2));
        assert_eq!(stock("lxc-stop", &[name]).code, Some(2));
    }
    // What one made, the other starts.
    it.run("lxc-start", &["theirs"]).good();
    stock("lxc-start", &["ours"]).good();
    assert_eq!(it.run("lxc-stop", &["ours", "-k"]).code, Some(0));
    assert_eq!(stock("lxc-stop", &["theirs", "-k"]).code, Some(0));
}

#[test]
fn a_command_in_a_container_of_its_own() {
    let Some(it) = commands("a_command_in_a_container_of_its_own") else { return };
    it.create("c1");
    let ran = it.run("lxc-execute", &["c1", "--", "sh", "-c", "hostname; exit 7"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(7), "c1\n"), "{}", ran.stderr);
    assert_eq!(it.run("lxc-start", &["c1", "-F", "--", "/bin/echo", "hello"]).good(), "hello");
    let pidfile = it.lxcpath().join(".pid");
    let words = ["c1", "-s", "lxc.uts.name=other", "-p", pidfile.to_str().unwrap()];
    it.run("lxc-start", &words).good();
    assert_eq!(it.run("lxc-attach", &["c1", "--", "hostname"]).good(), "other");
    let pid = it.run("lxc-info", &["c1", "-pH"]).good();
    assert_eq!(std::fs::read_to_string(&pidfile).unwrap().trim(), pid);
    assert_eq!(it.run("lxc-start", &["c1"]).code, Some(0), "it runs already, as was asked for");
    it.run("lxc-stop", &["c1", "-r"]).good();
    assert_ne!(it.run("lxc-info", &["c1", "-pH"]).good(), pid, "a reboot makes a new init");
    it.run("lxc-stop", &["c1", "-k"]).good();
    assert_eq!(it.run("lxc-wait", &["c1", "-s", "STOPPED", "-t", "5"]).code, Some(0));
}

/// LXC's `lxc-destroy -s` forgot the clones (lxc 4 to 7), and `lxc-snapshot -d` took any beginning of ALL for it.
#[test]
fn lxcs_commands_without_lxcs_defects() {
    let Some(it) = commands("lxcs_commands_without_lxcs_defects") else { return };
    it.create("c1");
    it.run("lxc-snapshot", &["c1"]).good();
    it.run("lxc-snapshot", &["c1"]).good();
    let listed = it.run("lxc-snapshot", &["c1", "-L"]).good();
    let dir = it.lxcpath().join("c1/snaps");
    for (line, name) in listed.lines().zip(["snap0", "snap1"]) {
        assert!(line.starts_with(&format!("{name} ({}) 20", dir.display())), "{line}");
    }
    assert_eq!(listed.lines().count(), 2);
    for wrong in ["A", "AL", "", "snap", "snap00"] {
        assert_eq!(it.run("lxc-snapshot", &["c1", "-d", wrong]).code, Some(1), "{wrong:?}");
    }
    assert_eq!(it.run("lxc-snapshot", &["c1", "-L"]).good(), listed);
    it.run("lxc-snapshot", &["c1", "-d", "ALL"]).good();
    assert_eq!(it.run("lxc-snapshot", &["c1", "-L"]).good(), "No snapshots");

    it.run("lxc-copy", &["c1", "-N", "c2", "-s"]).good();
    it.run("lxc-copy", &["c2", "-N", "c3", "-s"]).good();
    it.run("lxc-copy", &["-R", "c3", "-N", "c4"]).good();
    assert_eq!(left(&it), ["c1", "c2", "c4"]);
    let refused = it.run("lxc-destroy", &["c1"]);
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("c2"), "{}", refused.stderr);
    it.run("lxc-destroy", &["c1", "-s"]).good();
    assert_eq!(left(&it), Vec::<String>::new());
    let why = it.run("lxc-copy", &["gone", "-N", "c5"]).stderr;
    assert!(why.contains("gone"), "a copy that fails says why: {why:?}");
}

#[test]
fn a_throw_away_clone_goes_when_it_stops() {
    let Some(it) = commands("a_throw_away_clone_goes_when_it_stops") else { return };
    it.create("c1");
    let said = it.run("lxc-copy", &["c1", "-e", "-N", "e1"]).good();
    assert_eq!(said, "Created e1 as clone of c1");
    it.run("lxc-attach", &["e1", "--", "touch", "/new"]).good();
    assert!(!it.lxcpath().join("c1/rootfs/new").exists(), "the original stays as it was");
    it.run("lxc-stop", &["e1", "-k"]).good();
    let deadline = Instant::now() + Duration::from_secs(20);
    while left(&it) != ["c1"] {
        assert!(Instant::now() < deadline, "{:?} is left", left(&it));
        std::thread::sleep(Duration::from_millis(20));
    }
    let ran = it.run("lxc-copy", &["c1", "-e", "-F", "--", "/bin/sh", "-c", "exit 3"]);
    assert_eq!(ran.code, Some(3), "{ran:?}");
    assert!(ran.stdout.starts_with("Created c1_"), "{ran:?}");
    assert_eq!(left(&it), ["c1"]);
    let kept = it.run("lxc-copy", &["c1", "-e", "-D", "-N", "kept"]).good();
    assert_eq!(kept, "Created kept as clone of c1");
    it.run("lxc-stop", &["kept", "-k"]).good();
    assert_eq!(left(&it), ["c1", "kept"]);
}
