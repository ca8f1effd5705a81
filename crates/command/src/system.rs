//! The runner that runs programs.

use std::os::fd::BorrowedFd;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use hull_storage::{Error, ErrorKind, Result};

use crate::command::{Output, Tool, ToolCommand};
use crate::{Runner, Streams};

/// Where programs are looked for. Not `PATH`: who calls us with another one must not choose what root runs.
const FOLDERS: [&str; 4] = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// What every program sees. Messages and numbers must not depend on a locale; lvm need not warn of descriptors
/// that the caller has open.
const ENVIRONMENT: [(&str, &str); 3] =
    [("LC_ALL", "C"), ("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"), ("LVM_SUPPRESS_FD_WARNINGS", "1")];

/// Runs programs for real.
#[derive(Clone, Copy, Debug, Default)]
pub struct System;

impl System {
    fn find(tool: Tool) -> Option<PathBuf> {
        FOLDERS.iter().map(|folder| PathBuf::from(folder).join(tool.program)).find(|path| path.is_file())
    }
}

impl Runner for System {
    fn attempt_with(&self, command: &ToolCommand, streams: Streams<'_>) -> Result<Output> {
        let tool = command.tool();
        let program = Self::find(tool).ok_or_else(|| crate::not_installed(tool))?;
        let failed =
            |e: std::io::Error| Error::new(ErrorKind::Os, format!("cannot run `{command}`")).because(e);
        let end =
            |fd: Option<BorrowedFd<'_>>| fd.map(|fd| fd.try_clone_to_owned().map(Stdio::from)).transpose();
        let stdin = end(streams.stdin).map_err(failed)?.unwrap_or_else(Stdio::null);
        let stdout = end(streams.stdout).map_err(failed)?.unwrap_or_else(Stdio::piped);
        let output = Command::new(program)
            .args(command.arguments())
            .env_clear()
            .envs(ENVIRONMENT)
            .current_dir("/")
            .stdin(stdin)
            .stdout(stdout)
            .stderr(Stdio::piped())
            .spawn()
            .and_then(std::process::Child::wait_with_output)
            .map_err(failed)?;
        let code = output.status.code();
        let success = command.is_success(code);
        Ok(Output { stdout: output.stdout, stderr: output.stderr, code, success })
    }

    fn has(&self, tool: Tool) -> bool {
        Self::find(tool).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SH: Tool = Tool { program: "sh", package: "dash" };

    #[test]
    fn a_program_runs_in_a_clean_environment() {
        let output = System.run(&ToolCommand::new(SH).args(["-c", "echo $LC_ALL:$HOME; pwd"])).unwrap();
        assert_eq!(output.text(), "C:\n/\n");
    }

    #[test]
    fn what_fails_is_quoted_and_some_codes_are_success() {
        let failing = ToolCommand::new(SH).args(["-c", "echo no luck >&2; exit 3"]);
        let error = System.run(&failing).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ToolFailed);
        assert_eq!(error.to_string(), "`sh -c 'echo no luck >&2; exit 3'` failed: no luck");
        assert!(System.run(&failing.or_code(3)).is_ok());
    }

    #[test]
    fn a_stream_goes_through() {
        use std::io::{Read, Seek, Write};
        use std::os::fd::AsFd;
        let (mut from, mut to) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
        from.write_all(b"text").unwrap();
        from.rewind().unwrap();
        let streams = Streams { stdin: Some(from.as_fd()), stdout: Some(to.as_fd()) };
        let output =
            System.attempt_with(&ToolCommand::new(SH).args(["-c", "cat; echo end"]), streams).unwrap();
        assert!(output.succeeded() && output.stdout.is_empty());
        let mut text = String::new();
        to.rewind().unwrap();
        to.read_to_string(&mut text).unwrap();
        assert_eq!(text, "textend\n");
    }

    #[test]
    fn what_is_missing_names_its_package() {
        const NONE: Tool = Tool { program: "no-such-program-of-hull", package: "some-package" };
        let error = System.run(&ToolCommand::new(NONE)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ToolMissing);
        assert!(error.to_string().ends_with("install some-package"), "{error}");
        assert!(!System.has(NONE) && System.has(SH));
    }
}
