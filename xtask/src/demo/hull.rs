//! How the demo calls `hull`: every invocation stands here.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Result, process};

/// The installed `hull`, working on one folder of containers.
#[derive(Debug)]
pub(super) struct Hull {
    program: PathBuf,
    lxcpath: PathBuf,
}

impl Hull {
    pub(super) fn new(program: &Path, lxcpath: PathBuf) -> Self {
        Self { program: program.to_path_buf(), lxcpath }
    }

    /// The folder of the container `name`.
    pub(super) fn folder(&self, name: &str) -> PathBuf {
        self.lxcpath.join(name)
    }

    pub(super) fn create_from_template(&self, name: &str, template: &str) -> Result<()> {
        self.act(&["create", name, "--template", template])
    }

    pub(super) fn create_from_archive(&self, name: &str, archive: &Path, store: &str) -> Result<()> {
        let mut command = self.command(&["create", name, "--store", store, "--archive"]);
        process::capture(command.arg(archive)).map(drop)
    }

    pub(super) fn start(&self, name: &str) -> Result<()> {
        self.act(&["start", name])
    }

    /// Runs `arguments` inside the container and returns its stdout.
    pub(super) fn execute(&self, name: &str, arguments: &[&str]) -> Result<String> {
        process::capture(self.command(&["exec", name, "--"]).args(arguments))
    }

    /// Asks the container to shut down and waits until it has.
    pub(super) fn stop(&self, name: &str) -> Result<()> {
        self.act(&["stop", name])
    }

    pub(super) fn kill(&self, name: &str) -> Result<()> {
        self.act(&["stop", name, "--kill"])
    }

    /// Takes a snapshot and returns its name, the first of the container.
    pub(super) fn snapshot(&self, name: &str, comment: &str) -> Result<String> {
        self.act(&["snapshot", name, "--comment", comment])?;
        // LXC counts a container's snapshots from snap0.
        Ok("snap0".to_owned())
    }

    pub(super) fn restore(&self, name: &str, snapshot: &str) -> Result<()> {
        self.act(&["restore", name, snapshot])
    }

    /// A copy that shares nothing with its source.
    pub(super) fn copy(&self, name: &str, new: &str) -> Result<()> {
        self.act(&["clone", name, new])
    }

    /// A clone that shares what it can with its source.
    pub(super) fn clone(&self, name: &str, new: &str, store: &str) -> Result<()> {
        self.act(&["clone", name, new, "--snapshot", "--store", store])
    }

    pub(super) fn destroy(&self, name: &str) -> Result<()> {
        self.act(&["destroy", name, "--force", "--snapshots"])
    }

    pub(super) fn is_running(&self, name: &str) -> Result<bool> {
        let text = process::capture(&mut self.command(&["info", name, "--json"]))?;
        let info: serde_json::Value =
            serde_json::from_str(&text).map_err(|error| format!("hull info --json is not JSON: {error}"))?;
        let state = info["state"].as_str().ok_or_else(|| format!("hull info --json has no state: {text}"))?;
        Ok(state.eq_ignore_ascii_case("running"))
    }

    fn act(&self, arguments: &[&str]) -> Result<()> {
        process::capture(&mut self.command(arguments)).map(drop)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = process::command(&self.program);
        command.arg("--lxcpath").arg(&self.lxcpath).args(arguments);
        command
    }
}
