//! Says that a test cannot run here, so that skips are counted and never silent.

use std::fs::OpenOptions;
use std::io::Write;

/// Prints one line, and appends it to the file that the environment variable `HULL_TEST_SKIPS` names.
pub(crate) fn skip(name: &str, reason: &str) {
    let reason: Vec<&str> = reason.split_whitespace().collect();
    let line = format!("skipped: {name}: {}\n", reason.join(" "));
    print!("{line}");
    if let Some(file) = std::env::var_os("HULL_TEST_SKIPS") {
        OpenOptions::new()
            .create(true)
            .append(true)
            .open(file)
            .and_then(|mut f| f.write_all(line.as_bytes()))
            .expect("the file that HULL_TEST_SKIPS names can be appended to");
    }
}
