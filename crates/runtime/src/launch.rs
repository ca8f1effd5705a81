//! Starting `hull-monitor` from another program, and how the two talk.
//!
//! The monitor is executed, never forked from the caller, which may have threads. Its arguments:
//!
//! ```text
//! hull-monitor [OPTION]… LXCPATH NAME [-- COMMAND…]
//!   --foreground             the caller waits, and its terminal is the console
//!   --reaped                 COMMAND runs below a process 1 that reaps; else it is process 1
//!   --status-fd N            tell there that the container runs, or why not
//!   --config FILE            instead of LXCPATH/NAME/config
//!   --set KEY=VALUE          after the configuration
//!   --pidfile FILE           write the number of the first process there
//!   --share KIND=WHOSE       join a namespace: a process, a path, a container
//!   --allow-unconfined KEY   start although this key is not carried out
//!   --uid N, --gid N         instead of lxc.init.uid, lxc.init.gid
//! hull-monitor --attach [OPTION]… LXCPATH NAME [-- COMMAND…]     see [`crate::attach::Options`]
//! ```
//!
//! On the status descriptor the monitor writes lines: `?` and a warning, then `+` when the container runs, or
//! `!` and the one line that says why not.

use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::error::{Error, Named, Result};

/// Starts the monitor `program` with `arguments` (without `--foreground` and `--status-fd`) in the background and
/// waits until its container runs. Returns the warnings.
///
/// Fails with the monitor's own line.
pub fn daemonised(program: &Path, arguments: &[OsString]) -> Result<Vec<String>> {
    let (read, write) = pipe()?;
    let mut child = Command::new(program)
        .arg("--status-fd")
        .arg(write.as_raw_fd().to_string())
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .named(|| format!("execve({})", program.display()))?;
    drop(write);
    let answer = read_status(read);
    // It has left its daemon behind by now, or failed.
    let _ = child.wait();
    answer
}

/// Reads the lines of a status descriptor to their end.
pub fn read_status(status: OwnedFd) -> Result<Vec<String>> {
    let mut warnings = Vec::new();
    for line in BufReader::new(std::fs::File::from(status)).lines() {
        let line = line.named(|| "read(the monitor's status)".into())?;
        match line.split_at_checked(1) {
            Some(("?", warning)) => warnings.push(warning.to_owned()),
            Some(("+", _)) => return Ok(warnings),
            Some(("!", reason)) => return Err(Error::new(reason)),
            _ => {}
        }
    }
    Err(Error::new("the monitor ended without a word; look for its end in the kernel's log"))
}

/// Tells a launcher at the other end of `status` that the container cannot be started: for failures that come
/// before [`crate::supervise::run`], which tells its own.
pub fn report_failure(status: Option<OwnedFd>, error: &Error) {
    if let Some(status) = status {
        crate::terminal::write_all(
            &status,
            format!("!{}\n", error.to_string().replace('\n', " ")).as_bytes(),
        );
    }
}

/// A pipe whose writing end survives an exec.
fn pipe() -> Result<(OwnedFd, OwnedFd)> {
    let (read, write) =
        rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).named(|| "pipe2()".into())?;
    rustix::io::fcntl_setfd(&write, rustix::io::FdFlags::empty()).named(|| "fcntl(pipe, F_SETFD)".into())?;
    Ok((read, write))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(text: &str) -> Result<Vec<String>> {
        let (read, write) = pipe().expect("a pipe");
        crate::terminal::write_all(&write, text.as_bytes());
        drop(write);
        read_status(read)
    }

    #[test]
    fn the_monitor_is_understood() {
        assert_eq!(answer("?slow\n+\n").expect("running"), ["slow"]);
        assert_eq!(answer("?slow\n!no root\n").expect_err("failed").to_string(), "no root");
        assert!(answer("").is_err(), "an end without an answer is a failure");
    }
}
