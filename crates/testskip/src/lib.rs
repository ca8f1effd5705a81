//! How a test says that it cannot run here, so that skips are counted and never silent.
//!
//! Rust's test harness knows passed, failed and ignored, but not "this machine lacks what I need". A test
//! that finds its ground missing calls [`skip`] and returns:
//!
//! ```
//! fn clones_share_blocks() {
//!     if !std::path::Path::new("/dev/loop-control").exists() {
//!         return hull_testskip::skip("btrfs::clones_share_blocks", "no loop devices");
//!     }
//!     // ...
//! }
//! # clones_share_blocks();
//! ```
//!
//! `cargo xtask test` names a file in [`FILE_VARIABLE`], collects the lines written there, and fails a run as
//! root with a skip it does not expect.

use std::fmt::Display;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

/// The environment variable that names the file to which each skip is appended.
pub const FILE_VARIABLE: &str = "HULL_TEST_SKIPS";

/// Says that `test` cannot run here because of `reason`: prints one line, and appends it to the file that
/// [`FILE_VARIABLE`] names, if it is set. The caller then returns from the test.
///
/// `test` is the test's path as the harness prints it, with or without the crate's name before it.
///
/// # Panics
/// When the file cannot be written: a skip nobody hears of must not look like a pass.
pub fn skip(test: &str, reason: impl Display) {
    let line = line(test, &reason.to_string());
    println!("{}", line.trim_end());
    if let Some(file) = std::env::var_os(FILE_VARIABLE) {
        append(Path::new(&file), &line).expect("the file that HULL_TEST_SKIPS names can be appended to");
    }
}

fn line(test: &str, reason: &str) -> String {
    let one_line = reason.split_whitespace().collect::<Vec<_>>().join(" ");
    format!("skipped: {test}: {one_line}\n")
}

/// Appends with one write, so that the lines of tests running side by side do not mix (open(2), `O_APPEND`).
fn append(file: &Path, line: &str) -> std::io::Result<()> {
    OpenOptions::new().create(true).append(true).open(file)?.write_all(line.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::{append, line};

    #[test]
    fn a_skip_is_one_line_whatever_the_reason() {
        assert_eq!(line("a::b", "no\n  loop: devices"), "skipped: a::b: no loop: devices\n");
    }

    #[test]
    fn skips_add_up_in_the_file() {
        let file = std::env::temp_dir().join(format!("hull-testskip-{}", std::process::id()));
        append(&file, &line("a", "x")).expect("the file is made");
        append(&file, &line("b", "y")).expect("the file is appended to");
        let text = std::fs::read_to_string(&file).expect("the file is there");
        std::fs::remove_file(&file).expect("the file is removed");
        assert_eq!(text, "skipped: a: x\nskipped: b: y\n");
    }
}
