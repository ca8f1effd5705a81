//! Standard streams that cannot be written to: no panic, and an exit code that tells.

#[allow(dead_code)]
mod ground;

use std::fs::{File, OpenOptions};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

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
