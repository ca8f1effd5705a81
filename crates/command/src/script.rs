//! The runner of tests: a transcript in place of programs.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use hull_storage::{Error, ErrorKind, Result};

use crate::command::{Output, Tool, ToolCommand};
use crate::{Runner, Streams};

/// Answers commands from a transcript: each must be the next one expected.
#[derive(Debug, Default)]
pub struct Script {
    left: Mutex<VecDeque<(String, Output)>>,
}

impl Script {
    /// A transcript that expects nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The transcript, which then expects the command that prints as `line` and lets it succeed, printing `stdout`.
    #[must_use]
    pub fn expect(self, line: &str, stdout: &str) -> Self {
        self.push(line, Output { stdout: stdout.into(), stderr: vec![], code: Some(0), success: true })
    }

    /// The transcript, which then expects the command that prints as `line` and lets it fail with the exit code
    /// `code`, saying `stderr`.
    #[must_use]
    pub fn fail(self, line: &str, code: i32, stderr: &str) -> Self {
        self.push(line, Output { stdout: vec![], stderr: stderr.into(), code: Some(code), success: false })
    }

    /// The transcript, which then expects the command that prints as `line` and lets it fail with the exit code
    /// `code`, printing `stdout` as a report of its failure.
    #[must_use]
    pub fn fail_saying(self, line: &str, code: i32, stdout: &str) -> Self {
        self.push(line, Output { stdout: stdout.into(), stderr: vec![], code: Some(code), success: false })
    }

    /// The commands that were expected and did not come.
    pub fn left(&self) -> Vec<String> {
        self.lines().iter().map(|(line, _)| line.clone()).collect()
    }

    fn push(self, line: &str, output: Output) -> Self {
        self.lines().push_back((line.to_owned(), output));
        self
    }

    fn lines(&self) -> std::sync::MutexGuard<'_, VecDeque<(String, Output)>> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Runner for Script {
    fn attempt_with(&self, command: &ToolCommand, _: Streams<'_>) -> Result<Output> {
        let line = command.to_string();
        match self.lines().pop_front() {
            Some((expected, mut output)) if expected == line => {
                output.success |= command.is_success(output.code);
                Ok(output)
            }
            other => {
                let expected = other.map_or("nothing".into(), |(line, _)| format!("`{line}`"));
                Err(Error::new(ErrorKind::Os, format!("`{line}` was run where {expected} was expected")))
            }
        }
    }

    fn has(&self, _tool: Tool) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LVS: Tool = Tool { program: "lvs", package: "lvm2" };

    #[test]
    fn commands_come_in_order_or_fail() {
        let script = Script::new().expect("lvs a", "x").fail("lvs b", 5, "no such volume");
        assert_eq!(script.run(&ToolCommand::new(LVS).arg("a")).unwrap().text(), "x");
        assert_eq!(script.left(), ["lvs b"]);
        let error = script.run(&ToolCommand::new(LVS).arg("b")).unwrap_err();
        assert_eq!(error.to_string(), "`lvs b` failed: no such volume");
        let error = script.run(&ToolCommand::new(LVS).arg("c")).unwrap_err();
        assert_eq!(error.to_string(), "`lvs c` was run where nothing was expected");
    }
}
