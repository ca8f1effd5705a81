//! `hull volume send` and `receive`, through real pipes.

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use hull_treefixture::ScratchFs;
use rustix::process::{Pid, Signal, kill_process};

/// A scratch directory, its own home to the commands in it.
struct Scratch(tempfile::TempDir);

impl Scratch {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a scratch directory"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn at(&self, name: &str) -> String {
        format!("dir:{}", self.path(name).display())
    }

    fn hull(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hull"));
        command
            .arg("volume")
            .args(words)
            .env("XDG_STATE_HOME", self.path("state"))
            .env("HOME", self.0.path());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// A volume with so many files of 4 KiB.
    fn volume(&self, name: &str, files: usize) {
        let made = self.hull(&["create", &self.at(name)]).output().expect("hull runs");
        assert!(made.status.success(), "{made:?}");
        for i in 0..files {
            fs::write(self.path(name).join(format!("file {i}")), [i as u8; 4096]).expect("a file");
        }
    }

    /// What is there beside the state.
    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.0.path()).expect("it is there");
        let mut names: Vec<String> =
            entries.map(|e| e.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
        names.retain(|name| name != "state" && name != ".cache");
        names.sort();
        names
    }

    fn send(&self, name: &str) -> Vec<u8> {
        let sent = self.hull(&["send", &self.at(name)]).output().expect("hull runs");
        assert!(sent.status.success(), "{}", said(&sent));
        sent.stdout
    }

    fn receive(&self, words: &[&str], stream: &[u8]) -> Output {
        let mut child =
            self.hull(&[&["receive"], words].concat()).stdin(Stdio::piped()).spawn().expect("hull runs");
        // It may have given up before all was written.
        let _ = child.stdin.take().expect("piped").write_all(stream);
        child.wait_with_output().expect("hull ends")
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn require_refused(output: &Output, why: &str) {
    let line = said(output);
    assert_eq!(output.status.code(), Some(1), "{line}");
    assert!(line.contains(why) && line.lines().count() == 1, "{why}: {line}");
}

fn same(one: &Path, other: &Path) -> bool {
    let diff = Command::new("diff").arg("-r").args([one, other]).status();
    diff.expect("diff runs").success()
}

#[test]
fn from_one_to_another() {
    let scratch = Scratch::new();
    scratch.volume("a", 20);
    let stream = scratch.send("a");
    let received = scratch.receive(&[&scratch.at("b")], &stream);
    assert!(received.status.success(), "{}", said(&received));
    assert!(same(&scratch.path("a"), &scratch.path("b")));
    // Only where, and the store is the sender's.
    let received = scratch.receive(&[scratch.path("c").to_str().expect("UTF-8")], &stream);
    assert_eq!(String::from_utf8_lossy(&received.stdout), format!("received {}\n", scratch.at("c")));
    require_refused(&scratch.receive(&[&scratch.at("b")], &stream), "is there already");
    require_refused(
        &scratch.receive(&[&scratch.at("d"), "--since", &scratch.at("a")], &stream),
        "without --since",
    );
    require_refused(
        &scratch.receive(&[&scratch.at("d")], b"a shell's welcome message\n"),
        "hull volume send",
    );
    let cut = scratch.receive(&[&scratch.at("d")], &stream[..stream.len() / 2]);
    require_refused(&cut, "ends too early");
    let mut damaged = stream.clone();
    damaged[stream.len() / 2] ^= 1;
    require_refused(&scratch.receive(&[&scratch.at("d")], &damaged), "checksum");
    let none =
        scratch.hull(&["send", &scratch.at("a"), "--since", &scratch.at("b")]).output().expect("hull runs");
    require_refused(&none, "send it whole");
    let none = scratch.hull(&["send", &scratch.at("nothing")]).output().expect("hull runs");
    require_refused(&none, "nothing");
    assert_eq!(scratch.names(), ["a", "b", "c"]);
}

#[test]
fn a_reader_that_goes_away_is_said() {
    let scratch = Scratch::new();
    scratch.volume("a", 200);
    let mut child = scratch.hull(&["send", &scratch.at("a")]).spawn().expect("hull runs");
    let mut some = [0; 100];
    let mut stdout = child.stdout.take().expect("piped");
    stdout.read_exact(&mut some).expect("the stream begins");
    drop(stdout);
    let output = child.wait_with_output().expect("hull ends");
    require_refused(&output, "nobody reads it");
}

/// A receiver that has made its staged volume and waits for more.
fn waiting(scratch: &Scratch) -> (Child, std::process::ChildStdin) {
    scratch.volume("a", 200);
    let stream = scratch.send("a");
    let mut child =
        scratch.hull(&["receive", &scratch.at("b")]).stdin(Stdio::piped()).spawn().expect("hull runs");
    let mut stdin = child.stdin.take().expect("piped");
    stdin.write_all(&stream[..stream.len() * 3 / 4]).expect("it reads");
    let deadline = Instant::now() + Duration::from_secs(30);
    while !scratch.names().iter().any(|name| name.starts_with(".new-")) {
        assert!(Instant::now() < deadline, "it never began");
        std::thread::sleep(Duration::from_millis(5));
    }
    (child, stdin)
}

#[test]
fn ctrl_c_leaves_nothing_though_nothing_comes_in() {
    let scratch = Scratch::new();
    let (child, _stdin) = waiting(&scratch);
    kill_process(Pid::from_child(&child), Signal::INT).expect("the signal is sent");
    let output = child.wait_with_output().expect("hull ends");
    assert_eq!(output.status.code(), Some(130), "{}", said(&output));
    assert_eq!(said(&output), "hull: cancelled; nothing was changed\n");
    assert_eq!(scratch.names(), ["a"]);
}

#[test]
fn what_a_killed_receiver_left_goes_with_the_next_command() {
    let scratch = Scratch::new();
    let (mut child, _stdin) = waiting(&scratch);
    child.kill().expect("it is killed");
    child.wait().expect("it ends");
    assert_eq!(scratch.names().len(), 2, "the staged volume is still there");
    let next = scratch.hull(&["create", &scratch.at("c")]).output().expect("hull runs");
    assert!(
        next.status.success() && said(&next).contains("settled an interrupted receive"),
        "{}",
        said(&next)
    );
    assert_eq!(scratch.names(), ["a", "c"]);
}

#[test]
fn ctrl_c_ends_a_sender_that_nobody_reads() {
    let scratch = Scratch::new();
    scratch.volume("a", 200);
    let child = scratch.hull(&["send", &scratch.at("a")]).spawn().expect("hull runs");
    std::thread::sleep(Duration::from_millis(300));
    kill_process(Pid::from_child(&child), Signal::INT).expect("the signal is sent");
    let deadline = Instant::now() + Duration::from_secs(30);
    let mut child = child;
    let status = loop {
        if let Some(status) = child.try_wait().expect("it is ours") {
            break status;
        }
        assert!(Instant::now() < deadline, "it goes on");
        std::thread::sleep(Duration::from_millis(20));
    };
    assert_eq!(status.code(), Some(130));
}

/// Between two file systems of a kind that sends increments, as between two machines.
#[test]
fn what_is_new_goes_alone() {
    let (here, there) = match (ScratchFs::new("btrfs+quota", 256 << 20), ScratchFs::new("btrfs", 256 << 20)) {
        (Ok(here), Ok(there)) => (here, there),
        (Err(reason), _) | (_, Err(reason)) => {
            return hull_testskip::skip("what_is_new_goes_alone", reason.to_string());
        }
    };
    let scratch = Scratch::new();
    let done = |words: &[&str]| {
        let output = scratch.hull(words).output().expect("hull runs");
        assert!(output.status.success(), "{words:?}: {}", said(&output));
        output.stdout
    };
    let at = |fs: &ScratchFs, name: &str| format!("btrfs:{}/{name}", fs.path().display());
    done(&["create", &at(&here, "v"), "--size", "100M"]);
    fs::write(here.path().join("v/large"), vec![7; 4 << 20]).expect("written");
    done(&["snapshot", &at(&here, "v"), &at(&here, "mon")]);
    let monday = done(&["send", &at(&here, "mon")]);
    fs::write(here.path().join("v/new"), "tuesday's").expect("written");
    done(&["snapshot", &at(&here, "v"), &at(&here, "tue")]);
    let tuesday = done(&["send", &at(&here, "tue"), "--since", &at(&here, "mon")]);
    assert!(monday.len() > 4 << 20 && tuesday.len() < 64 << 10, "{} {}", monday.len(), tuesday.len());

    require_refused(&scratch.receive(&[&at(&there, "tue")], &tuesday), "--since");
    require_refused(&scratch.receive(&[&scratch.at("mon")], &monday), "--format tree");
    for (name, stream, since) in [("mon", &monday, None), ("tue", &tuesday, Some(at(&there, "mon")))] {
        let to = at(&there, name);
        let words: Vec<&str> = since.iter().flat_map(|since| ["--since", since]).chain([&*to]).collect();
        let received = scratch.receive(&words, stream);
        assert!(received.status.success(), "{}", said(&received));
        assert!(same(&here.path().join(name), &there.path().join(name)));
    }
    require_refused(
        &scratch.receive(&["--since", &at(&there, "tue"), &at(&there, "w")], &tuesday),
        "continues",
    );
    // The limit is the volume's, not its snapshots', and comes back with it.
    let usage = |name: &str| -> serde_json::Value {
        serde_json::from_slice(&done(&["usage", "--json", &at(&here, name)])).expect("JSON")
    };
    assert_eq!(usage("v")[0]["size"], 100 << 20);
    assert!(usage("v")[0]["available_bytes"].as_u64().is_some_and(|left| left < 97 << 20), "{}", usage("v"));
    assert_eq!(usage("mon")[0]["size"], serde_json::Value::Null);
    done(&["restore", &at(&here, "mon"), &at(&here, "v")]);
    assert_eq!(usage("v")[0]["size"], 100 << 20);
    require_refused(&scratch.hull(&["resize", &at(&here, "v"), "1M"]).output().expect("hull runs"), "holds");
    assert_eq!(
        done(&["resize", &at(&here, "v"), "none"]),
        format!("{} has no limit now\n", at(&here, "v")).as_bytes()
    );
    require_refused(
        &scratch.hull(&["resize", &at(&there, "mon"), "1G"]).output().expect("hull runs"),
        "btrfs quota enable",
    );
}
