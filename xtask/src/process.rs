//! Running other programs: without a stdin to wait on, and with failures that show the call as it was made.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::Result;

/// A command that runs `program` with nothing to read on its stdin.
pub(crate) fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.stdin(Stdio::null());
    command
}

/// The cargo that runs this program, working on the workspace at `root`.
pub(crate) fn cargo(root: &Path) -> Command {
    let mut cargo = command(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root);
    cargo
}

/// Whether `program --version` can be run.
pub(crate) fn is_installed(program: &str) -> bool {
    command(program)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Runs `command` with its output going where ours goes; fails when it does not exit with 0.
pub(crate) fn succeed(command: &mut Command) -> Result<()> {
    let status = command.status().map_err(|error| cannot_run(command, &error))?;
    if status.success() { Ok(()) } else { Err(format!("{} failed ({status})", shown(command))) }
}

/// Runs `command` and returns its stdout; fails with its stderr when it does not exit with 0.
pub(crate) fn capture(command: &mut Command) -> Result<String> {
    let output = command.output().map_err(|error| cannot_run(command, &error))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.trim();
    let separator = if said.is_empty() { "" } else { ": " };
    Err(format!("{} failed ({}){separator}{said}", shown(command), output.status))
}

/// Runs `command`, passes its stdout through line by line and returns it with whether it exited with 0.
pub(crate) fn tee(command: &mut Command) -> Result<(String, bool)> {
    command.stdout(Stdio::piped());
    let mut child = command.spawn().map_err(|error| cannot_run(command, &error))?;
    let mut text = String::new();
    if let Some(stdout) = child.stdout.take() {
        let mut reader = BufReader::new(stdout);
        let mut line = Vec::new();
        // Tests may print bytes that are not UTF-8 (file names); only our copy is made readable.
        while reader.read_until(b'\n', &mut line).map_err(|error| error.to_string())? > 0 {
            // A closed stdout of ours is no reason to stop counting results.
            let _ = std::io::stdout().write_all(&line);
            text.push_str(&String::from_utf8_lossy(&line));
            line.clear();
        }
    }
    let status = child.wait().map_err(|error| error.to_string())?;
    Ok((text, status.success()))
}

/// Whether this process runs as root.
pub(crate) fn is_root() -> bool {
    // The owner of /proc/self is the effective user (proc(5)).
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").is_ok_and(|metadata| metadata.uid() == 0)
}

/// `command` as a person would type it.
pub(crate) fn shown(command: &Command) -> String {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| {
            let word = word.to_string_lossy();
            let plain = |c: char| c.is_alphanumeric() || "-_=./:,+@%".contains(c);
            if !word.is_empty() && word.chars().all(plain) {
                word.into_owned()
            } else {
                format!("'{}'", word.replace('\'', r"'\''"))
            }
        })
        .collect::<Vec<_>>()
        .join(" ")
}

fn cannot_run(command: &Command, error: &std::io::Error) -> String {
    format!("cannot run {}: {error}", shown(command))
}

#[cfg(test)]
mod tests {
    use super::{capture, command, is_installed, shown, succeed, tee};

    #[test]
    fn a_failure_shows_the_call_and_what_the_program_said() {
        let error = capture(command("sh").args(["-c", "echo why it broke >&2; exit 3"])).unwrap_err();
        assert!(error.contains("sh -c 'echo why it broke >&2; exit 3'"), "{error}");
        assert!(error.contains("exit status: 3"), "{error}");
        assert!(error.ends_with("): why it broke"), "{error}");
        assert!(succeed(command("sh").args(["-c", "exit 1"])).is_err());
    }

    #[test]
    fn a_missing_program_is_an_error_and_not_installed() {
        assert!(!is_installed("no-such-program-anywhere"));
        assert!(capture(&mut command("no-such-program-anywhere")).unwrap_err().starts_with("cannot run"));
    }

    #[test]
    fn tee_returns_all_lines_and_the_status() {
        let (text, passed) = tee(command("sh").args(["-c", "echo a; echo b; exit 1"])).expect("sh runs");
        assert_eq!((text.as_str(), passed), ("a\nb\n", false));
    }

    #[test]
    fn quotes_in_arguments_survive_copy_and_paste() {
        assert_eq!(shown(command("echo").args(["it's", ""])), r"echo 'it'\''s' ''");
    }
}
