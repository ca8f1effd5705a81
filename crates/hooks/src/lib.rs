//! Runs the programs a container's configuration wants run at certain moments (`lxc.hook.*`), by LXC's conventions.
//!
//! A hook is a shell command. By convention 0 it gets the container's name, the section and the moment as
//! arguments, by convention 1 in its environment.
#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::process::{Command, Stdio};

/// The `PATH` of hooks, whatever the caller's.
pub const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Longer output than this is cut when it becomes part of an error.
const TAIL: usize = 400;

/// One hook at one moment.
#[derive(Clone, Debug)]
pub struct Hook<'a> {
    /// The shell command.
    pub command: &'a str,
    /// The moment: `pre-start`, `clone` and so on.
    pub moment: &'a str,
    /// The container's name.
    pub container: &'a str,
    /// `lxc.hook.version`: the convention.
    pub version: u32,
    /// All it finds in its environment, beside what the convention adds.
    pub environment: Vec<(&'a str, OsString)>,
    /// Further arguments, after those of the convention.
    pub arguments: &'a [String],
}

impl Hook<'_> {
    /// Runs the hook to its end and returns what it printed.
    ///
    /// Fails with one line that names hook, container and exit status, with the end of what it said.
    pub fn run(&self) -> Result<String, String> {
        let fixed = [self.container, "lxc", self.moment];
        let given = if self.version == 0 { &fixed[..] } else { &[] };
        let mut line = format!("exec {}", self.command);
        for argument in given.iter().copied().chain(self.arguments.iter().map(String::as_str)) {
            line.push(' ');
            line.push_str(&quote(argument));
        }
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", &line]).env_clear().env("PATH", PATH).stdin(Stdio::null());
        shell.envs(self.environment.iter().map(|(k, v)| (k, v)));
        shell.env("LXC_HOOK_VERSION", self.version.to_string());
        if self.version > 0 {
            shell.env("LXC_HOOK_TYPE", self.moment).env("LXC_HOOK_SECTION", "lxc");
        }
        let what = format!("the {} hook {:?} of container {}", self.moment, self.command, self.container);
        let done = shell.output().map_err(|e| {
            let text = e.to_string();
            format!("{what} cannot be run by /bin/sh: {}", text.split(" (os error").next().unwrap_or(&text))
        })?;
        let said: Vec<u8> = done.stdout.iter().chain(&done.stderr).copied().collect();
        let said = String::from_utf8_lossy(&said).into_owned();
        if done.status.success() {
            return Ok(said);
        }
        let tail: String =
            said.trim().chars().rev().take(TAIL).collect::<Vec<_>>().into_iter().rev().collect();
        let tail = tail.replace('\n', "; ");
        let colon = if tail.is_empty() { "" } else { ": " };
        Err(format!("{what} failed ({}){colon}{tail}", done.status))
    }
}

/// `text` as one word of a shell command: single quotes keep everything but themselves.
fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hook<'a>(version: u32, command: &'a str, arguments: &'a [String]) -> Hook<'a> {
        let environment = vec![("LXC_NAME", "it's".into()), ("X", "y".into())];
        Hook { command, moment: "start", container: "it's", version, environment, arguments }
    }

    #[test]
    fn convention_0_passes_arguments_and_convention_1_the_environment() {
        // "exec test …" sees the arguments only through a shell of its own.
        let zero = r#"test "$*" = "it's lxc start a b" -a "$LXC_NAME" = "it's""#;
        let zero = format!("sh -c '{}' -", zero.replace('\'', r"'\''"));
        hook(0, &zero, &["a b".into()]).run().expect("its arguments are these");
        let one = r#"sh -c 'test "$#,$LXC_HOOK_TYPE,$LXC_HOOK_SECTION,$X" = "0,start,lxc,y"' -"#;
        hook(1, one, &[]).run().expect("its environment is this");
    }

    #[test]
    fn a_failing_hook_is_named_with_what_it_said() {
        let line = hook(1, "sh -c 'echo no such thing >&2; exit 3'", &[]).run().expect_err("it fails");
        assert!(line.contains("the start hook") && line.contains("exit status: 3"), "{line}");
        assert!(line.ends_with("no such thing"), "{line}");
    }

    #[test]
    fn words_stay_words() {
        assert_eq!(quote("a b"), "'a b'");
        assert_eq!(quote("it's; rm"), r"'it'\''s; rm'");
    }
}
