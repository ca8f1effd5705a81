//! Standard streams that cannot be written to, or are not there: no panic, and an exit code that tells.

#[allow(dead_code)]
mod ground;

use std::fs::{File, OpenOptions};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use ground::{Ground, words};

/// What needs stderr, and the exit code it has when stderr works.
const FAILING: &[(&str, i32)] = &[
    ("hull info nothing", 1),
    ("hull nonsense", 2),
    ("hull start broken", 1),
    ("lxc-info nothing", 1),
    ("lxc-info good --nonsense", 1),
    ("lxc-start nothing", 1),
];

/// What needs stdout.
const TALKING: &[&str] =
    &["hull ls", "hull --help", "hull doctor", "lxc-ls", "lxc-info good", "lxc-ls --help"];

fn code(ground: &Ground, line: &str, stdout: Stdio, stderr: Stdio) -> Option<i32> {
    let words = words(line, ground.dir());
    Command::new(env!("CARGO_BIN_EXE_hull"))
        .arg0(&words[0])
        .args(&words[1..])
        .arg("-P")
        .arg(ground.dir())
        .env("HOME", ground.dir())
        .stdin(Stdio::null())
        .stdout(stdout)
        .stderr(stderr)
        .status()
        .expect("the command runs")
        .code()
}

fn full() -> File {
    OpenOptions::new().write(true).open("/dev/full").expect("/dev/full")
}

/// The end of a pipe nobody reads.
fn unread() -> std::io::PipeWriter {
    std::io::pipe().expect("a pipe").1
}

#[test]
fn a_failure_nobody_can_be_told_of_keeps_its_exit_code() {
    let ground = Ground::new();
    for (line, expected) in FAILING {
        for stderr in [full().into(), unread().into()] {
            assert_eq!(code(&ground, line, Stdio::null(), stderr), Some(*expected), "{line}");
        }
    }
}

#[test]
fn a_full_output_fails_and_a_reader_that_has_gone_ends_the_command() {
    let ground = Ground::new();
    for line in TALKING {
        assert_eq!(code(&ground, line, full().into(), Stdio::null()), Some(1), "{line}, full");
        assert_eq!(code(&ground, line, unread().into(), Stdio::null()), Some(141), "{line}, unread");
    }
}

/// The next file that is opened would get the number of one that is closed, and be written to as if it were that one.
#[test]
fn streams_that_are_closed_are_replaced_before_anything_is_opened() {
    let ground = Ground::new();
    let state = ground.dir().join("state");
    let mut waiting = Command::new("sh")
        .args([
            "-c",
            "exec \"$@\" <&- >&- 2>&-",
            "sh",
            env!("CARGO_BIN_EXE_hull"),
            "wait",
            "good",
            "-s",
            "running",
            "-P",
        ])
        .arg(ground.dir())
        .env("HOME", ground.dir())
        .env("XDG_STATE_HOME", &state)
        .spawn()
        .expect("the command runs");
    let standard = |number: i32| std::fs::read_link(format!("/proc/{}/fd/{number}", waiting.id())).ok();
    let all = || (0..=2).map(standard).collect::<Vec<_>>();
    let null = Some(std::path::PathBuf::from("/dev/null"));
    let deadline = Instant::now() + Duration::from_secs(30);
    while all() != [null.clone(), null.clone(), null.clone()] && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(2));
    }
    let seen = all();
    waiting.kill().expect("it still waits");
    waiting.wait().expect("it ends");
    assert_eq!(
        seen,
        [null.clone(), null.clone(), null],
        "standard streams of a command that began without them"
    );
}
