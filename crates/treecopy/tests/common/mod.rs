//! What the tests share.
#![allow(dead_code, reason = "each test program uses a part")]
#![allow(clippy::unwrap_used, reason = "a test may end here")]

pub(crate) mod drafts;

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use hull_treecopy::{Copied, CopyOptions, copy_tree};
use hull_treefixture::{CompareOptions, ScratchFs, compare};
use rustix::fs::{Mode, OFlags};

/// Makes a scratch file system, or says why the test is skipped.
pub(crate) fn scratch(kind: &str) -> Option<ScratchFs> {
    sized(kind, 384 << 20)
}

/// Makes a scratch file system of a size, or says why the test is skipped.
pub(crate) fn sized(kind: &str, size: u64) -> Option<ScratchFs> {
    match ScratchFs::new(kind, size) {
        Ok(fs) => Some(fs),
        Err(skip) => {
            eprintln!("SKIPPED: {skip}");
            None
        }
    }
}

pub(crate) fn is_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        eprintln!("SKIPPED: this test takes root");
    }
    root
}

pub(crate) fn open(path: impl AsRef<Path>) -> OwnedFd {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(path.as_ref(), flags, Mode::empty())
        .unwrap_or_else(|e| panic!("open {}: {e}", path.as_ref().display()))
}

/// Copies and requires that both trees are the same, to the access times and holes.
pub(crate) fn copy_exactly(from: &OwnedFd, to: &OwnedFd, options: &CopyOptions<'_>) -> Copied {
    let copied = copy_tree(from.as_fd(), to.as_fd(), options).unwrap_or_else(|e| panic!("copy: {e}"));
    assert_same(from, to);
    copied
}

pub(crate) fn assert_same(from: &OwnedFd, to: &OwnedFd) {
    let options = CompareOptions { access_times: true, ..CompareOptions::default() };
    let differences = compare(from, to, &options).unwrap();
    let lines: Vec<String> = differences.iter().map(ToString::to_string).collect();
    assert!(lines.is_empty(), "the copy differs:\n{}", lines.join("\n"));
}

/// Runs the calling test once more, alone in a child process started by `wrapper` (prlimit, setpriv…).
/// True in the child.
pub(crate) fn in_child(test: &str, wrapper: &[&str]) -> bool {
    const MARK: &str = "HULL_TREECOPY_TEST_CHILD";
    if std::env::var_os(MARK).is_some() {
        return true;
    }
    let output = std::process::Command::new(wrapper[0])
        .args(&wrapper[1..])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--include-ignored"])
        .env(MARK, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    eprint!("{said}");
    assert!(output.status.success(), "the child failed: {}\n{said}", String::from_utf8_lossy(&output.stdout));
    false
}
