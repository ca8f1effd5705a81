//! Runs the programs of other storage systems (`lvm`, `zfs`, `mkfs.*`) through one seam.
//!
//! A [`ToolCommand`] is data: a program and its arguments, which prints as a line one can paste into a shell. A
//! [`Runner`] carries it out: [`System`] for real, from a fixed search path and with a clean environment, [`Script`]
//! in tests, by a transcript that says which commands are expected and what they answer.
//!
//! ```
//! use hull_command::{Runner, Script, Tool, ToolCommand};
//!
//! const LVS: Tool = Tool { program: "lvs", package: "lvm2" };
//! let script = Script::new().expect("lvs --reportformat json vg", "{\"report\": []}");
//! let output = script.run(&ToolCommand::new(LVS).args(["--reportformat", "json", "vg"]))?;
//! assert_eq!(output.text(), "{\"report\": []}");
//! # Ok::<(), hull_storage::Error>(())
//! ```
#![forbid(unsafe_code)]

mod command;
mod script;
mod system;

pub use command::{Output, Tool, ToolCommand};
pub use script::Script;
pub use system::System;

use std::os::fd::BorrowedFd;

use hull_storage::{Error, ErrorKind, Result};

/// What a program reads and writes in place of nothing and of what is kept for [`Output::stdout`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Streams<'a> {
    /// Its standard input.
    pub stdin: Option<BorrowedFd<'a>>,
    /// Its standard output.
    pub stdout: Option<BorrowedFd<'a>>,
}

/// Carries commands out.
pub trait Runner: std::fmt::Debug + Send + Sync {
    /// Runs `command` to its end, whatever that is, with `streams`.
    ///
    /// Fails with [`ErrorKind::ToolMissing`] when there is no such program, naming the package that has it.
    fn attempt_with(&self, command: &ToolCommand, streams: Streams<'_>) -> Result<Output>;

    /// Runs `command` to its end, whatever that is. Fails as [`Runner::attempt_with`] does.
    fn attempt(&self, command: &ToolCommand) -> Result<Output> {
        self.attempt_with(command, Streams::default())
    }

    /// Runs `command`, which must succeed.
    ///
    /// Fails with [`ErrorKind::ToolFailed`], quoting the command and what it said last.
    fn run(&self, command: &ToolCommand) -> Result<Output> {
        let output = self.attempt(command)?;
        match output.succeeded() {
            true => Ok(output),
            false => Err(failure(command, &output)),
        }
    }

    /// Whether the program is installed.
    fn has(&self, tool: Tool) -> bool;
}

/// What to say of a program that is not there.
#[must_use]
pub fn not_installed(tool: Tool) -> Error {
    let text = format!("the program {} is not installed: install {}", tool.program, tool.package);
    Error::new(ErrorKind::ToolMissing, text)
}

/// What to say of a command that failed.
#[must_use]
pub fn failure(command: &ToolCommand, output: &Output) -> Error {
    let said = output.complaint();
    let text = match said.is_empty() {
        true => format!("`{command}` failed with {} and said nothing", output.ending()),
        false => format!("`{command}` failed: {said}"),
    };
    Error::new(ErrorKind::ToolFailed, text)
}
