//! One call of an LXC command: its container, where it is, and where messages go.

use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::path::{Component, Path, PathBuf};

use hull_container::Made;
use hull_storage::Settings;

use super::Tool;
use super::getopt::Matches;
use crate::environment::Environment;
use crate::errors::{Failure, one_line};
use crate::output::{complain, log_time};
use crate::session::{Purpose, Session};

/// The levels of LXC's log, the least important first.
const LEVELS: [&str; 9] = ["TRACE", "DEBUG", "INFO", "NOTICE", "WARN", "ERROR", "CRIT", "ALERT", "FATAL"];

/// One call of an LXC command.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    tool: &'a Tool,
    matches: Matches,
    environment: Environment,
    name: Option<String>,
    rest: Vec<OsString>,
    lxcpath: PathBuf,
}

impl<'a> Call<'a> {
    /// Looks at the common options: name, lxcpath, log.
    pub(crate) fn new(tool: &'a Tool, matches: Matches) -> Result<Self, Failure> {
        let environment = Environment::read()?;
        let mut rest = matches.operands().to_vec();
        let name = match matches.value("name") {
            Some(name) => Some(name.to_owned()),
            None if rest.is_empty() => None,
            None => Some(rest.remove(0)),
        };
        let name = name.map(|name| utf8("container name", &name)).transpose()?;
        if let Some(extra) = rest.first().filter(|_| !tool.operands) {
            return Err(Failure::new(format!("unexpected argument {extra:?}")));
        }
        let lxcpath = match matches.value("lxcpath") {
            Some(path) if path.is_empty() => return Err(Failure::new("the lxcpath given with -P is empty")),
            Some(path) => trimmed(&utf8("lxcpath", path)?),
            None => trimmed(&environment.lxcpath().to_string_lossy()),
        };
        if let Some(level) = matches.value("logpriority")
            && !LEVELS.iter().any(|l| level.eq_ignore_ascii_case(l))
        {
            return Err(Failure::new(format!("{level:?} is no log level: use one of {}", LEVELS.join(" "))));
        }
        let call = Self { tool, matches, environment, name, rest, lxcpath };
        if !call.environment.privileged()
            && call.lxcpath.exists()
            && rustix::fs::access(&call.lxcpath, rustix::fs::Access::READ_OK).is_err()
        {
            return Err(Failure::new(format!("You lack access to {}", call.lxcpath.display())));
        }
        Ok(call)
    }

    /// Whether the option `id` was given.
    pub(crate) fn has(&self, id: &str) -> bool {
        self.matches.has(id)
    }

    /// The argument of the option `id`.
    pub(crate) fn value(&self, id: &str) -> Result<Option<String>, Failure> {
        self.matches.value(id).map(|value| utf8(&format!("argument of --{id}"), value)).transpose()
    }

    /// The arguments of the option `id`.
    pub(crate) fn values(&self, id: &str) -> Result<Vec<String>, Failure> {
        self.matches.values(id).map(|value| utf8(&format!("argument of --{id}"), value)).collect()
    }

    /// The argument of the option `id` as a path.
    pub(crate) fn path(&self, id: &str) -> Option<PathBuf> {
        self.matches.value(id).map(PathBuf::from)
    }

    /// The argument of the option `id` as a number.
    pub(crate) fn number<T: std::str::FromStr>(&self, id: &str) -> Result<Option<T>, Failure> {
        let Some(text) = self.value(id)? else { return Ok(None) };
        let number =
            text.parse().map_err(|_| Failure::new(format!("--{id} wants a number, not {text:?}")))?;
        Ok(Some(number))
    }

    /// Refuses the options `ids`, which Hull does not carry out yet.
    pub(crate) fn refuse(&self, ids: &[&str]) -> Result<(), Failure> {
        match ids.iter().find(|id| self.has(id)) {
            Some(id) => Err(Failure::new(format!("--{id} is not carried out by Hull yet: leave it out"))),
            None => Ok(()),
        }
    }

    /// The container's name; every command but lxc-ls and lxc-config needs one.
    pub(crate) fn name(&self) -> Result<&str, Failure> {
        self.name.as_deref().ok_or_else(|| Failure::new("No container name specified"))
    }

    /// The first operand, if there is one and `-n` does not name the container.
    pub(crate) fn optional_name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The operands that follow the name.
    pub(crate) fn rest(&self) -> &[OsString] {
        &self.rest
    }

    /// Where the process runs.
    pub(crate) fn environment(&self) -> &Environment {
        &self.environment
    }

    /// Whether messages are to be kept down.
    pub(crate) fn quiet(&self) -> bool {
        self.has("quiet")
    }

    /// The file messages are to be appended to.
    pub(crate) fn log_file(&self) -> Option<PathBuf> {
        self.path("logfile").filter(|p| p.as_os_str() != "none")
    }

    /// The containers of this call's lxcpath.
    pub(crate) fn session(&self, purpose: Purpose) -> Result<Session, Failure> {
        Session::open(&self.environment, self.lxcpath.clone(), purpose, self.quiet())
    }

    /// Opens the containers with other settings for stores than those in `lxc.conf`.
    pub(crate) fn session_with(&self, settings: Settings, purpose: Purpose) -> Result<Session, Failure> {
        Session::with(
            settings,
            &self.environment,
            self.lxcpath.clone(),
            (purpose, crate::deletion::LATER),
            self.quiet(),
        )
    }

    /// Tells what went wrong: on stderr unless quiet, and in the log file if there is one.
    pub(crate) fn report(&self, failure: &Failure) {
        let message = failure.to_string();
        if !self.quiet() {
            complain(format_args!("{}: {message}", self.tool.name));
        }
        self.log("ERROR", &message);
    }

    /// Tells what the user should know although all went well.
    pub(crate) fn warn(&self, message: &str) {
        let message = one_line(message);
        if !self.quiet() {
            complain(format_args!("{}: {message}", self.tool.name));
        }
        self.log("WARN", &message);
    }

    /// Tells of what `made` went well and not so well. LXC's commands say nothing of success, so notes go to the log only.
    pub(crate) fn tell(&self, made: &Made) {
        made.notes.iter().for_each(|note| self.log("NOTICE", &one_line(note)));
        made.warnings.iter().for_each(|warning| self.warn(warning));
    }

    /// Appends a line in LXC's form to the log file if its level is wanted.
    fn log(&self, level: &str, message: &str) {
        let Some(path) = self.log_file() else { return };
        let rank = |name: &OsStr| LEVELS.iter().position(|l| name.eq_ignore_ascii_case(l));
        let least = self.matches.value("logpriority").and_then(rank).unwrap_or(5);
        if rank(OsStr::new(level)).is_some_and(|r| r < least) {
            return;
        }
        let (tool, name) = (self.tool.name, self.name.as_deref().unwrap_or("-"));
        let line = format!("{tool} {name} {} {level:<8} hull - {message}\n", log_time());
        let file = std::fs::OpenOptions::new().create(true).append(true).open(&path);
        if let Err(e) = file.and_then(|mut file| file.write_all(line.as_bytes())) {
            complain(format_args!("{tool}: cannot write {}: {}", path.display(), crate::errors::reason(&e)));
        }
    }
}

/// Text that configurations and sockets can hold.
fn utf8(what: &str, text: &OsStr) -> Result<String, Failure> {
    match text.to_str() {
        Some(text) => Ok(text.to_owned()),
        None => Err(Failure::new(format!("the {what} {text:?} is not UTF-8"))),
    }
}

/// An absolute path as it was written, without slashes at its end: sockets are named after the text. One that is
/// relative or climbs (`..`) is resolved, or the same container would have a name for each working directory.
pub(crate) fn trimmed(path: &str) -> PathBuf {
    let path = match path.trim_end_matches('/') {
        "" if path.starts_with('/') => "/",
        path => path,
    };
    let plain = Path::new(path);
    if plain.is_absolute() && plain.components().all(|part| part != Component::ParentDir) {
        return plain.components().collect();
    }
    let absolute = std::path::absolute(path).unwrap_or_else(|_| PathBuf::from(path));
    // What is yet to be made has a parent that is there.
    let resolved = absolute.canonicalize().or_else(|_| {
        let leaf = absolute.file_name().unwrap_or_default();
        absolute.parent().unwrap_or(&absolute).canonicalize().map(|parent| parent.join(leaf))
    });
    resolved.unwrap_or(absolute)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_lxcpath_has_one_text() {
        let here = std::env::current_dir().unwrap().canonicalize().unwrap();
        let leaf = here.file_name().unwrap().to_str().unwrap();
        for relative in [".", "./", &format!("../{leaf}"), &format!("{}/../{leaf}/", here.display())] {
            assert_eq!(trimmed(relative), here, "{relative}");
        }
        assert_eq!(trimmed("not-made-yet"), here.join("not-made-yet"));
        assert_eq!(trimmed("/no/such//place/./x/"), Path::new("/no/such/place/x"));
        assert_eq!(trimmed("//"), Path::new("/"));
    }
}
