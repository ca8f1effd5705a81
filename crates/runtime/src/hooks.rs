//! The hooks of a container's run: which, when, and what they are told.

use crate::error::{Error, Result};
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
        let shared = self.environment.iter().map(|(k, v)| (k.as_str(), v.into()));
        let environment = shared.chain(more.iter().map(|(k, v)| (*k, v.into()))).collect();
        let (container, version) = (self.name.as_str(), self.version);
        let said = hull_hooks::Hook { command, moment, container, version, environment, arguments }
            .run()
            .map_err(Error::new)?;
        for text in said.lines() {
            log.debug(&format!("{moment} hook: {text}"));
        }
        Ok(())
    }
}
