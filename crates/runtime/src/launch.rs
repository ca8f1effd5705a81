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
//!   --store-setting KEY=VALUE  what a store is told (lxc.bdev.lvm.vg)
//!   --pidfile FILE           write the number of the first process there
//!   --share KIND=WHOSE       join a namespace: a process, a path, a container
//!   --allow-unconfined KEY   start although this key is not carried out
//!   --uid N, --gid N         instead of lxc.init.uid, lxc.init.gid
//! hull-monitor --attach [OPTION]… LXCPATH NAME [-- COMMAND…]
//!   --clear-env  --keep-var NAME  --set-var NAME=VALUE  --namespace KIND  --elevated CAP|CGROUP|LSM
//!   --uid N  --gid N  --cwd DIR  --personality N  --pty-log FILE
//! ```
//!
//! On the status descriptor the monitor writes lines: `?` and a warning, then `+` when the container runs, or
//! `!` and the one line that says why not.

use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::error::{Error, Named, Result};

/// The first argument of a monitor that runs from where no container can write to it already ([`hull_sys::sealed`]);
/// without it, it executes itself again from there, a millisecond later.
pub const SEALED: &str = "--sealed";

/// A monitor about to be executed from where no container can write to it.
#[derive(Debug)]
pub struct Sealed<'a> {
    program: &'a Path,
    file: OwnedFd,
}

/// Opens the monitor `program` such that nobody can write to what is executed. Fails where `/proc` is not mounted, or
/// neither an overlay nor a memfd can be had.
pub fn sealed(program: &Path) -> Result<Sealed<'_>> {
    let file = hull_sys::sealed::open(program)?;
    // The standard descriptors of the new process come in the way of the first three.
    let file = rustix::io::fcntl_dupfd_cloexec(&file, 3).named(|| format!("dup({})", program.display()))?;
    Ok(Sealed { program, file })
}

impl Sealed<'_> {
    /// The command that executes it, to be used while this lives; its arguments are to be added. It closes what it
    /// inherits but for the status descriptor.
    pub fn command(&self) -> Command {
        let mut command = Command::new(format!("/proc/self/fd/{}", self.file.as_raw_fd()));
        command.arg0(self.program).arg(SEALED);
        command
    }
}

/// Starts the monitor `program` with `arguments` (without `--foreground` and `--status-fd`) in the background and
/// waits until its container runs. Returns the warnings.
///
/// Fails with the monitor's own line.
pub fn daemonised(program: &Path, arguments: &[OsString]) -> Result<Vec<String>> {
    let monitor = sealed(program)?;
    let (read, write) = pipe()?;
    let mut child = monitor
        .command()
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

/// The arguments for `hull-monitor` that mean [`attach::run`](crate::attach::run) with `options`. A program
/// without more to do executes it in its own place; [`attach`] waits for it. The environment is the one it
/// is executed with, so [`Options::environment`] is not among the arguments.
///
/// [`Options::environment`]: crate::attach::Options::environment
pub fn attach_arguments(lxcpath: &Path, name: &str, options: &crate::attach::Options) -> Vec<OsString> {
    let mut all: Vec<OsString> = vec!["--attach".into()];
    let mut option = |name: &str, value: OsString| all.extend([OsString::from(name), value]);
    options.keep.iter().for_each(|k| option("--keep-var", k.into()));
    options.set.iter().for_each(|(k, v)| option("--set-var", format!("{k}={v}").into()));
    options.namespaces.iter().flatten().for_each(|n| option("--namespace", n.name().into()));
    let elevated = options.elevated;
    for (yes, word) in
        [(elevated.capabilities, "CAP"), (elevated.cgroups, "CGROUP"), (elevated.security, "LSM")]
    {
        if yes {
            option("--elevated", word.into());
        }
    }
    let numbers = [
        ("--uid", options.uid.map(u64::from)),
        ("--gid", options.gid.map(u64::from)),
        ("--personality", options.personality),
    ];
    for (name, value) in numbers {
        if let Some(value) = value {
            option(name, value.to_string().into());
        }
    }
    for (name, path) in [("--cwd", &options.cwd), ("--pty-log", &options.log)] {
        if let Some(path) = path {
            option(name, path.into());
        }
    }
    if options.clear_environment {
        all.push("--clear-env".into());
    }
    all.extend([lxcpath.into(), name.into()]);
    if let Some(command) = &options.command {
        all.push("--".into());
        all.extend(command.iter().map(OsString::from));
    }
    all
}

/// Executes a command in a running container through the monitor program, and waits for it: the way for
/// callers that have threads, or run from a file a container could overwrite. Returns the command's exit code,
/// 128 and the signal that ended it, or 1 if it could not be executed (said on standard error).
pub fn attach(program: &Path, lxcpath: &Path, name: &str, options: &crate::attach::Options) -> Result<i32> {
    let status = sealed(program)?
        .command()
        .args(attach_arguments(lxcpath, name, options))
        .env_clear()
        .envs(options.environment.iter().map(|(k, v)| (k, v)))
        .status()
        .named(|| format!("execve({})", program.display()))?;
    Ok(status.code().unwrap_or(1))
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
