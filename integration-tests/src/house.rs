//! One lxcpath that Hull's programs and the installed LXC share, for one test; whatever runs in it, is mounted or
//! locked below it goes with it, also when the test fails.

use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use hull_ipc::client::Client;
use hull_treefixture::ScratchFs;

use crate::command::{self, Ran};

/// Where the distribution's commands are; a shell's `lxc-start` may be anybody's.
const STOCK: &str = "/usr/bin";

/// A shared lxcpath.
#[derive(Debug)]
pub struct House {
    root: PathBuf,
    // Unmounted and removed in this order, after everything below is gone.
    _fs: Option<ScratchFs>,
    _dir: tempfile::TempDir,
}

/// A house on the file system of `/tmp` for the test `name`, unless it must be skipped, which is then said.
pub fn plain(name: &str) -> Option<House> {
    ready(name)?;
    Some(House::new(None))
}

/// A house on a new file system of the kind `fs` for the test `name`, unless it must be skipped, which is then said.
pub fn on(name: &str, fs: &str) -> Option<House> {
    ready(name)?;
    match ScratchFs::new(fs, 512 << 20) {
        Ok(scratch) => Some(House::new(Some(scratch))),
        Err(skip) => {
            hull_testskip::skip(name, skip);
            None
        }
    }
}

/// Whether this machine can run containers of both.
fn ready(name: &str) -> Option<()> {
    let lacking = if !rustix::process::geteuid().is_root() {
        Some("needs root to run containers")
    } else if !Path::new(STOCK).join("lxc-start").exists() {
        Some("the distribution's LXC is not installed")
    } else if !Path::new("/bin/busybox").exists() {
        Some("busybox-static is not installed")
    } else {
        None
    };
    match lacking {
        Some(reason) => {
            hull_testskip::skip(name, reason);
            None
        }
        None => Some(()),
    }
}

impl House {
    fn new(fs: Option<ScratchFs>) -> Self {
        let dir = tempfile::Builder::new().prefix("hull-house-").tempdir().expect("a temporary directory");
        // Users that a container's are mapped to must get through.
        let through = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(dir.path(), through).expect("our directory can be opened to all");
        let root = fs.as_ref().map_or(dir.path(), ScratchFs::path).to_path_buf();
        let house = Self { root, _fs: fs, _dir: dir };
        std::fs::create_dir(house.lxcpath()).expect("a new directory");
        std::fs::write(house.root.join("empty.conf"), "").expect("a new file");
        house
    }

    /// A directory for what a test needs beside its containers.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where the containers are.
    pub fn lxcpath(&self) -> PathBuf {
        self.root.join("lxc")
    }

    /// A path below the home of the container `name`.
    pub fn at(&self, name: &str, below: &str) -> PathBuf {
        self.lxcpath().join(name).join(below)
    }

    /// Runs `hull` on this lxcpath.
    #[track_caller]
    pub fn hull(&self, words: &[&str]) -> Ran {
        let mut command = Command::new(hull());
        command.arg("--lxcpath").arg(self.lxcpath()).args(words);
        command::finish(command, b"")
    }

    /// Runs Hull's program for LXC's command `words[0]` on this lxcpath.
    #[track_caller]
    pub fn ours(&self, words: &[&str]) -> Ran {
        command::finish(self.ours_command(words), b"")
    }

    /// What [`Self::ours`] runs.
    pub fn ours_command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(hull());
        command.arg0(words[0]).arg("-P").arg(self.lxcpath()).args(&words[1..]);
        command
    }

    /// Runs the distribution's LXC command `words[0]` on this lxcpath.
    #[track_caller]
    pub fn stock(&self, words: &[&str]) -> Ran {
        command::finish(self.stock_command(words), b"")
    }

    /// What [`Self::stock`] runs.
    pub fn stock_command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(Path::new(STOCK).join(words[0]));
        command.arg("-P").arg(self.lxcpath()).args(&words[1..]);
        command
    }

    /// Makes a busybox container with Hull, of Hull's template, with `more` words for `hull create`.
    #[track_caller]
    pub fn hull_creates(&self, name: &str, more: &[&str]) {
        let config = self.root.join("empty.conf");
        let template = template();
        let words = ["create", name, "--config", text(&config), "--template", text(&template)];
        self.hull(&[&words, more].concat()).ok();
    }

    /// Makes a busybox container with the distribution's LXC and template.
    #[track_caller]
    pub fn stock_creates(&self, name: &str, more: &[&str]) {
        let config = self.root.join("empty.conf");
        let words = ["lxc-create", "-n", name, "-t", "busybox", "-f", text(&config)];
        self.stock(&[&words, more].concat()).ok();
    }

    /// Appends lines to a container's configuration.
    pub fn configure(&self, name: &str, lines: &str) {
        let config = self.at(name, "config");
        let before = std::fs::read_to_string(&config).expect("a container has a configuration");
        std::fs::write(&config, format!("{before}\n{lines}\n")).expect("a configuration can be written");
    }

    /// The state that stock `lxc-info` tells.
    #[track_caller]
    pub fn state(&self, name: &str) -> String {
        self.stock(&["lxc-info", "-n", name, "-s", "-H"]).ok().trim().to_owned()
    }

    /// The first process that stock `lxc-info` tells, of a container that runs.
    #[track_caller]
    pub fn pid(&self, name: &str) -> i32 {
        let text = self.stock(&["lxc-info", "-n", name, "-p", "-H"]).ok();
        text.trim().parse().unwrap_or_else(|_| panic!("{name} has no first process: {text:?}"))
    }

    /// Runs a shell line in a running container by Hull and returns what it printed.
    #[track_caller]
    pub fn inside(&self, name: &str, line: &str) -> String {
        self.hull(&["exec", name, "/bin/sh", "-c", line]).ok()
    }

    /// All files below the lxcpath with what tells whether they changed.
    pub fn listing(&self) -> Vec<String> {
        let script = "find . -path ./.hull -prune -o -printf '%P %y %m %U %G %s %T@ %l\\n' | sort";
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]).current_dir(self.lxcpath());
        command::finish(command, b"").ok().lines().map(str::to_owned).collect()
    }

    /// Mount points below the house, the deepest first.
    pub fn mounts(&self) -> Vec<PathBuf> {
        let own = self.root.clone();
        let table = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let points = table.lines().filter_map(|line| line.split(' ').nth(1)).map(PathBuf::from);
        let mut below: Vec<PathBuf> = points.filter(|at| at.starts_with(&own) && *at != own).collect();
        below.sort_by_key(|at| std::cmp::Reverse(at.components().count()));
        below
    }

    /// Names of the containers whose command sockets are open: the kernel lists them by their addresses.
    fn running(&self) -> Vec<String> {
        let prefix = format!(" @{}/", self.lxcpath().display());
        let sockets = std::fs::read_to_string("/proc/net/unix").unwrap_or_default();
        let mut names: Vec<String> = sockets
            .lines()
            .filter_map(|line| line.split_once(&prefix)?.1.strip_suffix("/command").map(str::to_owned))
            .collect();
        names.sort();
        names.dedup();
        names
    }

    fn kill(&self, name: &str) {
        let client = Client::new(&self.lxcpath(), name, Duration::from_secs(5));
        let init = client.init_pid().ok().flatten().and_then(rustix::process::Pid::from_raw);
        let _ = client.unfreeze(Some(Duration::from_secs(1)));
        let _ = client.stop();
        if !command::eventually(Duration::from_secs(5), || client.state().is_err())
            && let Some(init) = init
        {
            let _ = rustix::process::kill_process(init, rustix::process::Signal::KILL);
            command::eventually(Duration::from_secs(5), || client.state().is_err());
        }
    }
}

impl Drop for House {
    fn drop(&mut self) {
        for name in self.running() {
            self.kill(&name);
        }
        for at in self.mounts() {
            // What cannot be unmounted is reported by the removal that follows.
            let _ = rustix::mount::unmount(&at, rustix::mount::UnmountFlags::DETACH);
        }
        let lxcpath = self.lxcpath();
        let below = lxcpath.strip_prefix("/").unwrap_or(&lxcpath);
        // Locks stay by LXC's rule; nobody else has this lxcpath.
        let _ = std::fs::remove_dir_all(Path::new("/run/lxc/lock").join(below));
        let _ = std::fs::remove_dir_all(Path::new("/run/lxc").join(below));
    }
}

/// The built `hull`, in the directory of the test's own program or above it, where cargo puts both.
///
/// # Panics
/// When it or its monitor has not been built: cargo does not build other packages' programs for a test.
pub fn hull() -> PathBuf {
    let own = std::env::current_exe().expect("a program knows where it is");
    let built = own.ancestors().skip(1).take(3).map(|dir| dir.join("hull")).find(|program| program.is_file());
    let built = built.filter(|program| program.with_file_name("hull-monitor").is_file());
    built.unwrap_or_else(|| {
        panic!("hull and hull-monitor are not built: run `cargo build -p hull-cli -p hull-monitor` first")
    })
}

/// Hull's busybox template.
pub fn template() -> PathBuf {
    let workspace =
        Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a package is inside the workspace");
    workspace.join("templates/lxc-busybox")
}

/// A path of ours as text.
pub fn text(path: &(impl AsRef<OsStr> + ?Sized)) -> &str {
    path.as_ref().to_str().expect("a scratch path is text")
}
