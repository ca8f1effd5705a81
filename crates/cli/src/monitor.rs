//! Running `hull-monitor`: to start a container, or to execute a command in one.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::environment::Environment;
use crate::errors::{Failure, Outcome, reason};

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
        arguments.extend(self.arguments());
        Err(become_monitor(environment, &arguments))
    }

    /// Starts the monitor in the background and waits until the container runs. Returns its warnings.
    pub(crate) fn daemonised(&self, environment: &Environment) -> Result<Vec<String>, Failure> {
        let program = environment.monitor()?;
        hull_runtime::launch::daemonised(&program, &self.arguments()).map_err(|e| Failure::new(e.to_string()))
    }

    /// As `hull_runtime::launch` documents them.
    fn arguments(&self) -> Vec<OsString> {
        let mut arguments: Vec<OsString> = Vec::new();
        let mut option = |name: &str, value: &dyn AsRef<std::ffi::OsStr>| {
            arguments.push(name.into());
            arguments.push(value.as_ref().to_owned());
        };
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

/// Replaces this process by the monitor; returns why that failed.
pub(crate) fn become_monitor(environment: &Environment, arguments: &[OsString]) -> Failure {
    match environment.monitor() {
        Ok(program) => {
            let error = Command::new(&program).args(arguments).exec();
            Failure::new(format!("cannot run {}: {}", program.display(), reason(&error)))
        }
        Err(failure) => failure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_monitors_arguments() {
        let mut launch = Launch::new(Path::new("/x"), "c1");
        assert_eq!(launch.arguments(), ["/x", "c1"]);
        launch.reaped = true;
        launch.set = vec![("a".into(), "b c".into())];
        launch.share = vec![("net", "c0".into())];
        launch.uid = Some(7);
        launch.command = vec!["ls".into(), "--uid".into()];
        let expected =
            ["--set", "a=b c", "--share", "net=c0", "--uid", "7", "--reaped", "/x", "c1", "--", "ls", "--uid"];
        assert_eq!(launch.arguments(), expected);
    }
}
