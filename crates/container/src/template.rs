//! Running a template: a program that fills a root file system and writes the container's config.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use hull_storage::{Error, ErrorKind, Result};

/// A template and its own arguments.
#[derive(Clone, Debug)]
pub struct Template {
    /// The program. It is given `--path=DIR --name=NAME --rootfs=DIR` first, as LXC gives them.
    pub program: PathBuf,
    /// The user's arguments.
    pub args: Vec<OsString>,
    /// Its output goes nowhere.
    pub quiet: bool,
}

impl Template {
    /// Runs the template for the container `name` in `home`, whose root file system is mounted at `rootfs`.
    pub(crate) fn run(&self, home: &Path, name: &str, rootfs: &Path) -> Result<()> {
        let option = |key: &str, value: &Path| {
            let mut text = OsString::from(format!("--{key}="));
            text.push(value);
            text
        };
        let mut command = Command::new(&self.program);
        command
            .arg(option("path", home))
            .arg(option("name", Path::new(name)))
            .arg(option("rootfs", rootfs))
            .args(&self.args)
            .stdin(Stdio::null());
        if self.quiet {
            command.stdout(Stdio::null()).stderr(Stdio::null());
        }
        let shown = self.program.display();
        let status = command.status().map_err(|e| {
            Error::new(ErrorKind::ToolMissing, format!("the template {shown} cannot be run")).because(e)
        })?;
        if status.success() {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::ToolFailed,
            format!("the template {shown} failed ({status}): see its output above"),
        ))
    }
}
