//! Programs a configuration wants run at certain moments: `lxc.hook.*`.
//!
//! A hook is a shell command. By convention 0 it gets the container's name, the section and the moment as
//! arguments, by convention 1 in its environment.

use std::process::{Command, Stdio};

use crate::error::{Error, Named, Result};
use crate::log::Log;

/// What every hook of one container is told.
#[derive(Clone, Debug)]
pub(crate) struct Hooks {
    pub(crate) name: String,
    /// `lxc.hook.version`.
    pub(crate) version: u32,
    /// What every hook finds in its environment.
    pub(crate) environment: Vec<(String, String)>,
    /// The commands by moment: `pre-start` and so on.
    pub(crate) commands: Vec<(&'static str, Vec<String>)>,
}

/// The moments, as the keys name them.
pub(crate) const MOMENTS: [&str; 8] =
    ["pre-start", "pre-mount", "mount", "autodev", "start-host", "start", "stop", "post-stop"];

/// Longer output than this is cut when it becomes part of an error.
const TAIL: usize = 400;

impl Hooks {
    /// Whether there is anything to run at `moment`.
    pub(crate) fn any(&self, moment: &str) -> bool {
        self.of(moment).next().is_some()
    }

    /// Runs the hooks of `moment` in order, with `more` in their environment and `arguments` at their end.
    /// The first that fails ends it.
    pub(crate) fn run(
        &self,
        moment: &str,
        more: &[(&str, String)],
        arguments: &[String],
        log: &Log,
    ) -> Result<()> {
        self.of(moment).try_for_each(|command| self.run_one(command, moment, more, arguments, log))
    }

    fn of(&self, moment: &str) -> impl Iterator<Item = &str> {
        self.commands.iter().filter(move |(m, _)| *m == moment).flat_map(|(_, c)| c).map(String::as_str)
    }

    fn run_one(
        &self,
        command: &str,
        moment: &str,
        more: &[(&str, String)],
        arguments: &[String],
        log: &Log,
    ) -> Result<()> {
        let fixed = [self.name.clone(), "lxc".to_owned(), moment.to_owned()];
        let given = if self.version == 0 { &fixed[..] } else { &[] };
        let mut line = format!("exec {command}");
        for argument in given.iter().chain(arguments) {
            line.push(' ');
            line.push_str(&quote(argument));
        }
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", &line]).env_clear().stdin(Stdio::null());
        shell.envs(self.environment.iter().map(|(k, v)| (k, v))).envs(more.iter().map(|(k, v)| (k, v)));
        shell.env("LXC_HOOK_VERSION", self.version.to_string());
        if self.version > 0 {
            shell.env("LXC_HOOK_TYPE", moment).env("LXC_HOOK_SECTION", "lxc");
        }
        let done = shell.output().named(|| format!("running the {moment} hook {command:?} by /bin/sh"))?;
        let said: Vec<u8> = done.stdout.iter().chain(&done.stderr).copied().collect();
        let said = String::from_utf8_lossy(&said);
        for text in said.lines() {
            log.debug(&format!("{moment} hook: {text}"));
        }
        if done.status.success() {
            return Ok(());
        }
        let tail: String =
            said.trim().chars().rev().take(TAIL).collect::<Vec<_>>().into_iter().rev().collect();
        let tail = tail.replace('\n', "; ");
        let colon = if tail.is_empty() { "" } else { ": " };
        Err(Error::new(format!(
            "the {moment} hook {command:?} of container {} failed ({}){colon}{tail}",
            self.name, done.status
        )))
    }
}

/// `text` as one word of a shell command.
fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hooks(version: u32, command: &str) -> Hooks {
        Hooks {
            name: "it's".into(),
            version,
            environment: vec![("LXC_NAME".into(), "it's".into())],
            commands: vec![("start", vec![command.into()])],
        }
    }

    #[test]
    fn convention_0_passes_arguments_and_convention_1_the_environment() {
        let log = Log::none();
        let zero = r#"test "$*" = "it's lxc start a b" -a "$LXC_NAME" = "it's" ;:"#;
        let zero = zero.strip_suffix(";:").expect("it ends so");
        // "exec test …" sees the arguments only through a shell of its own.
        let zero = format!("sh -c '{}' -", zero.trim().replace('\'', r"'\''"));
        hooks(0, &zero).run("start", &[], &["a b".into()], &log).expect("its arguments are these");
        let one = r#"sh -c 'test "$#,$LXC_HOOK_TYPE,$LXC_HOOK_SECTION,$X" = "0,start,lxc,y"' -"#;
        hooks(1, one).run("start", &[("X", "y".into())], &[], &log).expect("its environment is this");
    }

    #[test]
    fn a_failing_hook_is_named_with_what_it_said() {
        let error = hooks(1, "sh -c 'echo no such thing >&2; exit 3'").run("start", &[], &[], &Log::none());
        let line = error.expect_err("it fails").to_string();
        assert!(line.contains("the start hook") && line.contains("exit status: 3"), "{line}");
        assert!(line.ends_with("no such thing"), "{line}");
    }
}
