//! The built commands, run by their names on an lxcpath of a test's own.

use std::ffi::OsStr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A program of this workspace, built beside the running test; `None` when it has not been built.
pub fn program(name: &str) -> Option<PathBuf> {
    let test = std::env::current_exe().ok()?;
    // target/PROFILE/deps/TEST
    let path = test.parent()?.parent()?.join(name);
    path.is_file().then_some(path)
}

/// The built commands and an lxcpath for them; containers that still run are killed when it is dropped.
#[derive(Debug)]
pub struct Commands {
    hull: PathBuf,
    monitor: PathBuf,
    dir: tempfile::TempDir,
}

/// How a command ended and what it said.
#[derive(Debug)]
pub struct Ran {
    /// Its exit code.
    pub code: Option<i32>,
    /// What it printed.
    pub stdout: String,
    /// What it complained of.
    pub stderr: String,
}

impl Ran {
    /// What it printed, without the last newline. Panics, with all it said, unless it succeeded.
    pub fn good(self) -> String {
        assert_eq!(self.code, Some(0), "{self:?}");
        self.stdout.trim_end().to_owned()
    }
}

impl Commands {
    /// The commands, or why they cannot be tried here.
    pub fn new() -> Result<Self, String> {
        if !rustix::process::geteuid().is_root() {
            return Err("starting containers needs root".into());
        }
        let need = |name: &str| program(name).ok_or(format!("{name} is not built: cargo build --workspace"));
        if !Path::new("/bin/busybox").exists() {
            return Err("the package busybox-static is not installed".into());
        }
        let dir = tempfile::tempdir().map_err(|e| format!("no temporary directory: {e}"))?;
        // Containers' users must be able to pass through.
        std::fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .map_err(|e| format!("cannot open {} up: {e}", dir.path().display()))?;
        Ok(Self { hull: need("hull")?, monitor: need("hull-monitor")?, dir })
    }

    /// Where the containers are.
    pub fn lxcpath(&self) -> &Path {
        self.dir.path()
    }

    /// Makes a busybox container with `hull create`.
    pub fn create(&self, name: &str) {
        let template = Path::new(env!("CARGO_MANIFEST_DIR")).join("../templates/lxc-busybox");
        let template = template.to_str().expect("the source tree's path is text");
        let config = self.lxcpath().join(format!(".{name}.conf"));
        std::fs::write(&config, "lxc.net.0.type = empty\n").expect("a configuration");
        let config = config.to_str().expect("a temporary path is text").to_owned();
        self.hull(&["create", name, "--template", template, "--config", &config]).good();
    }

    /// Runs `hull` with these words.
    pub fn hull(&self, words: &[&str]) -> Ran {
        self.run("hull", words)
    }

    /// Runs one of our commands, by its name.
    pub fn run(&self, name: &str, words: &[&str]) -> Ran {
        let mut command = Command::new(&self.hull);
        command.arg0(name).env("HULL_MONITOR", &self.monitor);
        self.finish(command, words)
    }

    /// Runs a command of the installed LXC; `None` when there is none.
    pub fn stock(&self, name: &str, words: &[&str]) -> Option<Ran> {
        let program = Path::new("/usr/bin").join(name);
        program.exists().then(|| self.finish(Command::new(program), words))
    }

    fn finish(&self, mut command: Command, words: &[&str]) -> Ran {
        let (first, rest) = words.split_at(words.len().min(1));
        // Before any `--`, and after hull's subcommand.
        let output = command
            .args(first)
            .args([OsStr::new("-P"), self.lxcpath().as_os_str()])
            .args(rest)
            .stdin(Stdio::null())
            .output()
            .expect("the command runs");
        Ran {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Drop for Commands {
    fn drop(&mut self) {
        let running = self.run("lxc-ls", &["--active", "-1"]).stdout;
        for name in running.lines() {
            self.run("lxc-stop", &[name, "-k"]);
        }
        // Locks are kept by LXC's rule, per lxcpath; nobody else uses this one.
        let below = self.lxcpath().strip_prefix("/").unwrap_or(self.lxcpath());
        let _ = std::fs::remove_dir_all(Path::new("/run/lxc/lock").join(below));
    }
}
