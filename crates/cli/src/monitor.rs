//! Running `hull-monitor`: to start a container, or to execute a command in one.

use std::ffi::{OsStr, OsString};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};

use hull_config::value::{Namespace, Personality};
use hull_runtime::launch;
use hull_storage::Settings;
use hull_sys::entry::ExitCode;

use crate::environment::Environment;
use crate::errors::{Failure, Outcome};

/// What the monitor is to start, and how.
#[derive(Debug, Default)]
pub(crate) struct Launch {
    lxcpath: PathBuf,
    name: String,
    /// The command runs below a process 1 that reaps; else it is process 1.
    pub(crate) reaped: bool,
    /// The configuration instead of the container's own.
    pub(crate) config: Option<PathBuf>,
    /// Keys to set after it.
    pub(crate) set: Vec<(String, String)>,
    /// Where to write the number of the first process.
    pub(crate) pidfile: Option<PathBuf>,
    /// Namespaces to join, by kind.
    pub(crate) share: Vec<(&'static str, String)>,
    /// Confining keys that need not be carried out.
    pub(crate) allow_unconfined: Vec<String>,
    /// The user instead of `lxc.init.uid`.
    pub(crate) uid: Option<u32>,
    /// The group instead of `lxc.init.gid`.
    pub(crate) gid: Option<u32>,
    /// What to run instead of the container's init.
    pub(crate) command: Vec<OsString>,
}

impl Launch {
    /// Starts the container `name` of `lxcpath` as it is configured.
    pub(crate) fn new(lxcpath: &Path, name: &str) -> Self {
        Self { lxcpath: lxcpath.to_path_buf(), name: name.to_owned(), ..Self::default() }
    }

    /// Becomes the monitor; its exit status is the container's. Returns only when that fails.
    pub(crate) fn foreground(&self, environment: &Environment) -> Outcome {
        let mut arguments = vec![OsString::from("--foreground")];
        arguments.extend(self.arguments(&environment.store_settings()));
        Err(become_monitor(environment, &arguments))
    }

    /// As [`Launch::foreground`], in a process of its own, so that the caller can clean up afterwards.
    pub(crate) fn foreground_and_wait(&self, environment: &Environment) -> Outcome {
        let program = environment.monitor()?;
        let monitor = launch::sealed(&program).map_err(|e| Failure::new(e.to_string()))?;
        let arguments = self.arguments(&environment.store_settings());
        let status = monitor.command().arg("--foreground").args(arguments).status();
        let status = status.map_err(|e| Failure::io("run", &program, &e))?;
        let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(1);
        Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)))
    }

    /// Starts the monitor in the background and waits until the container runs. Returns its warnings.
    pub(crate) fn daemonised(&self, environment: &Environment) -> Result<Vec<String>, Failure> {
        let program = environment.monitor()?;
        launch::daemonised(&program, &self.arguments(&environment.store_settings()))
            .map_err(|e| Failure::new(e.to_string()))
    }

    /// As `hull_runtime::launch` documents them; `settings` are for stores.
    fn arguments(&self, settings: &Settings) -> Vec<OsString> {
        let mut arguments: Vec<OsString> = Vec::new();
        let mut option = |name: &str, value: &dyn AsRef<OsStr>| {
            arguments.push(name.into());
            arguments.push(value.as_ref().to_owned());
        };
        // The monitor reads no lxc.conf.
        settings.pairs().for_each(|(key, value)| option("--store-setting", &format!("{key}={value}")));
        self.config.iter().for_each(|file| option("--config", file));
        self.set.iter().for_each(|(key, value)| option("--set", &format!("{key}={value}")));
        self.pidfile.iter().for_each(|file| option("--pidfile", file));
        self.share.iter().for_each(|(kind, whose)| option("--share", &format!("{kind}={whose}")));
        self.allow_unconfined.iter().for_each(|key| option("--allow-unconfined", key));
        self.uid.iter().for_each(|uid| option("--uid", &uid.to_string()));
        self.gid.iter().for_each(|gid| option("--gid", &gid.to_string()));
        if self.reaped {
            arguments.push("--reaped".into());
        }
        arguments.push(self.lxcpath.clone().into_os_string());
        arguments.push(self.name.clone().into());
        if !self.command.is_empty() {
            arguments.push("--".into());
            arguments.extend(self.command.iter().cloned());
        }
        arguments
    }
}

/// A command in a running container.
#[derive(Debug, Default)]
pub(crate) struct Entry {
    lxcpath: PathBuf,
    name: String,
    /// Parts of the container's confinement to leave out.
    pub(crate) elevated: Vec<Elevated>,
    /// The namespaces to enter instead of all.
    pub(crate) namespaces: Vec<Namespace>,
    /// The environment begins empty.
    pub(crate) clear_environment: bool,
    /// Variables to set, `NAME=VALUE`.
    pub(crate) set: Vec<String>,
    /// Variables of the caller to keep though the environment begins empty.
    pub(crate) keep: Vec<String>,
    /// The execution domain instead of the container's.
    pub(crate) personality: Option<Personality>,
    /// The user.
    pub(crate) uid: Option<u32>,
    /// The group.
    pub(crate) gid: Option<u32>,
    /// The directory to start in.
    pub(crate) cwd: Option<PathBuf>,
    /// A file that gets a copy of what the terminal shows.
    pub(crate) log: Option<PathBuf>,
    /// What to run instead of a shell.
    pub(crate) command: Vec<OsString>,
}

/// A part of a container's confinement, by LXC's word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Elevated {
    /// Its capabilities.
    Cap,
    /// Its cgroups.
    Cgroup,
    /// Its security label.
    Lsm,
}

impl Elevated {
    /// All of them.
    pub(crate) const ALL: [Self; 3] = [Self::Cap, Self::Cgroup, Self::Lsm];

    /// LXC's word.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Cap => "CAP",
            Self::Cgroup => "CGROUP",
            Self::Lsm => "LSM",
        }
    }
}

impl Entry {
    /// A shell in the container `name` of `lxcpath`.
    pub(crate) fn new(lxcpath: &Path, name: &str) -> Self {
        Self { lxcpath: lxcpath.to_path_buf(), name: name.to_owned(), ..Self::default() }
    }

    /// Becomes the command; its exit status is the command's. Returns only when that fails.
    pub(crate) fn enter(&self, environment: &Environment) -> Outcome {
        Err(become_monitor(environment, &self.arguments()))
    }

    /// As `hull_runtime::launch` documents them; `settings` are for stores.
    fn arguments(&self) -> Vec<OsString> {
        let mut arguments: Vec<OsString> = vec!["--attach".into()];
        let mut option =
            |name: &str, value: &dyn AsRef<OsStr>| arguments.extend([name.into(), value.as_ref().to_owned()]);
        self.elevated.iter().for_each(|part| option("--elevated", &part.word()));
        self.namespaces.iter().for_each(|kind| option("--namespace", &kind.name()));
        self.set.iter().for_each(|text| option("--set-var", text));
        self.keep.iter().for_each(|name| option("--keep-var", name));
        self.personality.iter().for_each(|p| option("--personality", &p.number().to_string()));
        self.uid.iter().for_each(|uid| option("--uid", &uid.to_string()));
        self.gid.iter().for_each(|gid| option("--gid", &gid.to_string()));
        self.cwd.iter().for_each(|dir| option("--cwd", dir));
        self.log.iter().for_each(|file| option("--pty-log", file));
        if self.clear_environment {
            arguments.push("--clear-env".into());
        }
        arguments.push(self.lxcpath.clone().into_os_string());
        arguments.push(self.name.clone().into());
        if !self.command.is_empty() {
            arguments.push("--".into());
            arguments.extend(self.command.iter().cloned());
        }
        arguments
    }
}

/// Replaces this process by the monitor; returns why that failed.
fn become_monitor(environment: &Environment, arguments: &[OsString]) -> Failure {
    let program = match environment.monitor() {
        Ok(program) => program,
        Err(failure) => return failure,
    };
    let monitor = match launch::sealed(&program) {
        Ok(monitor) => monitor,
        Err(e) => return Failure::new(e.to_string()),
    };
    // Its messages are this command's.
    let own_name = std::env::args_os().next().unwrap_or_default();
    Failure::io("run", &program, &monitor.command().arg0(own_name).args(arguments).exec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_monitors_arguments() {
        let mut launch = Launch::new(Path::new("/x"), "c1");
        assert_eq!(launch.arguments(&Settings::default()), ["/x", "c1"]);
        let settings = Settings::default().with("lxc.bdev.lvm.vg", "vg0");
        assert_eq!(launch.arguments(&settings), ["--store-setting", "lxc.bdev.lvm.vg=vg0", "/x", "c1"]);
        launch.reaped = true;
        launch.set = vec![("a".into(), "b c".into())];
        launch.share = vec![("net", "c0".into())];
        launch.uid = Some(7);
        launch.command = vec!["ls".into(), "--uid".into()];
        let expected = [
            "--set", "a=b c", "--share", "net=c0", "--uid", "7", "--reaped", "/x", "c1", "--", "ls", "--uid",
        ];
        assert_eq!(launch.arguments(&Settings::default()), expected);
    }

    #[test]
    fn the_arguments_of_an_entry() {
        let mut entry = Entry::new(Path::new("/x"), "c1");
        entry.elevated = vec![Elevated::Lsm];
        entry.namespaces = vec![Namespace::Net];
        entry.clear_environment = true;
        entry.cwd = Some("/tmp".into());
        entry.command = vec!["ls".into()];
        let expected = [
            "--attach",
            "--elevated",
            "LSM",
            "--namespace",
            "net",
            "--cwd",
            "/tmp",
            "--clear-env",
            "/x",
            "c1",
            "--",
            "ls",
        ];
        assert_eq!(entry.arguments(), expected);
    }
}
