//! Ctrl-C during a copy: it is undone, and the command says so.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

#[test]
fn an_interrupted_copy_leaves_nothing() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let source = dir.path().join("source");
    // Enough files that the copy still runs when the signal comes.
    for folder in 0..50 {
        let folder = source.join(folder.to_string());
        std::fs::create_dir_all(&folder).expect("a folder");
        for file in 0..100 {
            std::fs::write(folder.join(file.to_string()), "content").expect("a file");
        }
    }
    let locator = |name: &str| format!("dir:{}", dir.path().join(name).display());
    let child = Command::new(env!("CARGO_BIN_EXE_hull"))
        .args(["volume", "clone", "--copy", &locator("source"), &locator("copy")])
        .env("HOME", dir.path())
        .env("XDG_STATE_HOME", dir.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("hull runs");
    let deadline = Instant::now() + Duration::from_secs(30);
    while !entries(dir.path()).iter().any(|name| name.starts_with(".new-")) {
        assert!(Instant::now() < deadline, "the copy never began");
        std::thread::sleep(Duration::from_millis(1));
    }
    let pid = Pid::from_child(&child);
    rustix::process::kill_process(pid, Signal::INT).expect("the signal is sent");
    let output = child.wait_with_output().expect("hull ends");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(130), "{said}");
    assert_eq!(said, "hull: cancelled; nothing was changed\n");
    let left = entries(dir.path());
    assert!(left.iter().all(|name| ["source", "hull"].contains(&name.as_str())), "{left:?}");
}

fn entries(dir: &Path) -> Vec<String> {
    let entries = dir.read_dir().expect("the directory is there");
    entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect()
}
