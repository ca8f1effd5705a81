//! What all `hull` commands share: where containers are, how to tell of success.

use std::path::PathBuf;

use clap::Args;
use hull_container::Made;
use hull_storage::{Settings, Store};

use crate::deletion;
use crate::environment::Environment;
use crate::errors::{Failure, one_line};
use crate::lxc::trimmed;
use crate::output;
use crate::progress::Progress;
use crate::session::{Purpose, Session};

/// The options all commands take.
#[derive(Debug, Args)]
pub(crate) struct Shared {
    /// Directory the containers are kept in
    #[arg(short = 'P', long, global = true, value_name = "PATH", help_heading = "Common options")]
    lxcpath: Option<String>,
    /// Print nothing but results and errors
    #[arg(short, long, global = true, help_heading = "Common options")]
    quiet: bool,
}

/// What all commands share.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) environment: Environment,
    lxcpath: PathBuf,
    pub(crate) quiet: bool,
}

impl Context {
    /// Looks at the environment.
    pub(crate) fn new(shared: Shared) -> Result<Self, Failure> {
        let environment = Environment::read()?;
        let lxcpath = match shared.lxcpath {
            Some(path) if path.is_empty() => return Err(Failure::usage("--lxcpath is empty")),
            Some(path) => trimmed(&path),
            None => trimmed(&environment.lxcpath().to_string_lossy()),
        };
        Ok(Self { environment, lxcpath, quiet: shared.quiet })
    }

    /// Where the containers are kept.
    pub(crate) fn lxcpath(&self) -> &std::path::Path {
        &self.lxcpath
    }

    /// The containers.
    pub(crate) fn session(&self, purpose: Purpose) -> Result<Session, Failure> {
        Session::open(&self.environment, self.lxcpath.clone(), purpose, self.quiet)
    }

    /// The containers, for a command that changes them unless it is only to be planned.
    pub(crate) fn session_to_change(&self, dry_run: bool) -> Result<Session, Failure> {
        self.session(if dry_run { Purpose::Look } else { Purpose::Change })
    }

    /// As [`Context::session_to_change`], with other settings for stores than those in `lxc.conf`.
    pub(crate) fn session_with(&self, settings: Settings, dry_run: bool) -> Result<Session, Failure> {
        let purpose = if dry_run { Purpose::Look } else { Purpose::Change };
        Session::with(
            settings,
            &self.environment,
            self.lxcpath.clone(),
            (purpose, deletion::LATER),
            self.quiet,
        )
    }

    /// Says on stdout what was done, unless quiet.
    pub(crate) fn say(&self, text: impl AsRef<str>) -> Result<(), Failure> {
        if self.quiet { Ok(()) } else { output::line(one_line(text.as_ref())) }
    }

    /// Says on stderr what the user should know although all went well.
    pub(crate) fn warn(&self, text: &str) {
        if !self.quiet {
            output::complain(format_args!("hull: {}", one_line(text)));
        }
    }

    /// Returns once nothing is left to be deleted; the first Ctrl-C leaves the rest to the background.
    pub(crate) fn wait_for_deletion(&self, store: &Store) -> Result<(), Failure> {
        let mut failed = deletion::finish(store, &Progress::new(self.quiet)?)?.failed;
        let Some(last) = failed.pop() else { return Ok(()) };
        failed.iter().for_each(|e| self.warn(&e.to_string()));
        Err(last.into())
    }

    /// Tells of a change: the plan if it was only planned, else `done` and the place and method.
    pub(crate) fn tell(&self, made: &Made, dry_run: bool, done: &str) -> Result<(), Failure> {
        made.notes.iter().chain(&made.warnings).for_each(|text| self.warn(text));
        if dry_run {
            return output::print(made.plan.to_string());
        }
        let mut text = done.to_owned();
        if let Some(at) = &made.at {
            text.push_str(&format!(" at {at}"));
        }
        if let Some(method) = &made.method {
            text.push_str(&format!(", {method}"));
        }
        self.say(text)
    }
}
