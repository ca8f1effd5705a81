//! A program to be run and what came of it, as data.

use std::ffi::{OsStr, OsString};
use std::fmt;

/// A program, and where it comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tool {
    /// The name of its executable.
    pub program: &'static str,
    /// The Debian package that has it, for messages.
    pub package: &'static str,
}

/// A program with its arguments. Nothing has happened yet.
///
/// `Display` is the line one would type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolCommand {
    tool: Tool,
    arguments: Vec<OsString>,
    success: Vec<i32>,
}

impl ToolCommand {
    /// `tool` without arguments.
    pub fn new(tool: Tool) -> Self {
        Self { tool, arguments: Vec::new(), success: vec![0] }
    }

    /// The command with one more argument.
    #[must_use]
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.arguments.push(argument.as_ref().to_owned());
        self
    }

    /// The command with more arguments.
    #[must_use]
    pub fn args<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(mut self, arguments: I) -> Self {
        self.arguments.extend(arguments.into_iter().map(|a| a.as_ref().to_owned()));
        self
    }

    /// The command, which has succeeded with the exit code `code`, too (`e2fsck` answers 1 when it mended something).
    #[must_use]
    pub fn or_code(mut self, code: i32) -> Self {
        self.success.push(code);
        self
    }

    /// The program.
    pub fn tool(&self) -> Tool {
        self.tool
    }

    /// Its arguments.
    pub fn arguments(&self) -> &[OsString] {
        &self.arguments
    }

    pub(crate) fn is_success(&self, code: Option<i32>) -> bool {
        code.is_some_and(|code| self.success.contains(&code))
    }
}

impl fmt::Display for ToolCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.tool.program)?;
        for argument in &self.arguments {
            let text = argument.to_string_lossy();
            let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,@+%".contains(c);
            match !text.is_empty() && text.chars().all(plain) {
                true => write!(f, " {text}")?,
                false => write!(f, " '{}'", text.replace('\'', "'\\''"))?,
            }
        }
        Ok(())
    }
}

/// What came of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// What it wrote to its standard output.
    pub stdout: Vec<u8>,
    /// What it wrote to its standard error.
    pub stderr: Vec<u8>,
    /// Its exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    pub(crate) success: bool,
}

impl Output {
    /// Whether its exit code is one that means success.
    pub fn succeeded(&self) -> bool {
        self.success
    }

    /// Its standard output; bytes that are not UTF-8 become U+FFFD.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// The last lines of its standard error, in one line of bounded length.
    pub fn complaint(&self) -> String {
        const MOST: usize = 400;
        let text = String::from_utf8_lossy(&self.stderr);
        let lines: Vec<&str> = text.lines().map(str::trim).filter(|l| !l.is_empty()).collect();
        let mut said = lines[lines.len().saturating_sub(3)..].join("; ");
        if let Some((end, _)) = said.char_indices().nth(MOST) {
            said.truncate(end);
            said.push('…');
        }
        said
    }

    pub(crate) fn ending(&self) -> String {
        self.code.map_or_else(|| "a signal".into(), |code| format!("exit code {code}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOOL: Tool = Tool { program: "zfs", package: "zfsutils-linux" };

    #[test]
    fn a_command_prints_as_it_would_be_typed() {
        let command = ToolCommand::new(TOOL).args(["set", "user:x=it's", "tank/a b", ""]);
        assert_eq!(command.to_string(), r#"zfs set 'user:x=it'\''s' 'tank/a b' ''"#);
    }

    #[test]
    fn a_complaint_is_one_bounded_line() {
        let mut output = Output { stdout: vec![], stderr: vec![], code: Some(1), success: false };
        assert_eq!(output.complaint(), "");
        output.stderr = b"first\n\n  second \nthird\nfourth\n".to_vec();
        assert_eq!(output.complaint(), "second; third; fourth");
        output.stderr = "ä".repeat(10_000).into_bytes();
        assert_eq!(output.complaint().chars().count(), 401);
    }
}
