//! A container of busybox in an lxcpath of its own, cleaned up however the test ends.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

pub(crate) const MONITOR: &str = env!("CARGO_BIN_EXE_hull-monitor");
const BUSYBOX: &str = "/bin/busybox";
const APPLETS: [&str; 26] = [
    "sh", "ls", "cat", "mount", "ps", "id", "echo", "sleep", "stat", "hostname", "env", "kill", "poweroff",
    "reboot", "halt", "init", "tty", "ip", "dd", "grep", "test", "touch", "readlink", "true", "mkdir", "awk",
];

/// Why these tests cannot run here, if they cannot.
pub(crate) fn missing() -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("needs root".into());
    }
    (!Path::new(BUSYBOX).exists()).then(|| format!("needs {BUSYBOX}; install Debian's busybox-static"))
}

/// Why tests against stock LXC cannot run here, if they cannot.
pub(crate) fn missing_lxc() -> Option<String> {
    missing().or_else(|| {
        (!Path::new("/usr/bin/lxc-attach").exists()).then(|| "needs stock LXC; install Debian's lxc".into())
    })
}

/// One container.
pub(crate) struct Ground {
    dir: tempfile::TempDir,
    pub(crate) name: String,
}

impl Ground {
    /// Makes one whose configuration ends with `config`; `@` in it stands for the container's directory.
    pub(crate) fn new(config: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let dir = tempfile::tempdir().expect("a temporary directory");
        // The root of a user namespace must get through, too.
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(dir.path(), mode).expect("chmod");
        let name = format!("t{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let ground = Self { dir, name };
        let rootfs = ground.rootfs();
        for d in ["bin", "etc", "proc", "sys", "dev", "tmp", "root", "sbin", "mnt"] {
            std::fs::create_dir_all(rootfs.join(d)).expect("mkdir");
        }
        std::fs::copy(BUSYBOX, rootfs.join("bin/busybox")).expect("copy");
        for applet in APPLETS {
            std::os::unix::fs::symlink("busybox", rootfs.join("bin").join(applet)).expect("symlink");
        }
        std::os::unix::fs::symlink("../bin/busybox", rootfs.join("sbin/init")).expect("symlink");
        let inittab = "::sysinit:/bin/touch /etc/booted\n::sysinit:/bin/sh -c \"echo boot >>/etc/boots\"\n";
        std::fs::write(rootfs.join("etc/inittab"), inittab).expect("write");
        let own = ground.home();
        let config = config.replace('@', &own.to_string_lossy());
        let text = format!(
            "lxc.rootfs.path = dir:{}\nlxc.uts.name = {}\nlxc.net.0.type = empty\nlxc.mount.auto = proc:mixed\n{config}\n",
            rootfs.display(),
            ground.name
        );
        std::fs::write(own.join("config"), text).expect("write");
        ground
    }

    pub(crate) fn lxcpath(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn home(&self) -> PathBuf {
        self.dir.path().join(&self.name)
    }

    pub(crate) fn rootfs(&self) -> PathBuf {
        self.home().join("rootfs")
    }

    /// Runs `sh -c SCRIPT` in the container, in the foreground, with more options for the monitor.
    pub(crate) fn execute(&self, options: &[&str], script: &str) -> Ran {
        let mut command = self.limited(MONITOR);
        command.args(["--foreground", "--reaped"]).args(options).arg(self.lxcpath()).arg(&self.name);
        Ran::of(command.args(["--", "sh", "-c", script]))
    }

    /// Starts the container's init in the background; the monitor's answer.
    pub(crate) fn start(&self) -> Result<Vec<String>, String> {
        self.start_in(self.lxcpath())
    }

    /// As [`Ground::start`], with another path to the same lxcpath.
    #[allow(dead_code)]
    pub(crate) fn start_in(&self, lxcpath: &Path) -> Result<Vec<String>, String> {
        let arguments = [lxcpath.into(), self.name.clone().into()];
        hull_runtime::launch::daemonised(Path::new(MONITOR), &arguments).map_err(|e| e.to_string())
    }

    /// Runs `sh -c SCRIPT` in the running container.
    pub(crate) fn attach(&self, options: &[&str], script: &str) -> Ran {
        let mut command = self.limited(MONITOR);
        command.arg("--attach").args(options).arg(self.lxcpath()).arg(&self.name);
        Ran::of(command.args(["--", "sh", "-c", script]))
    }

    /// Gives everything to `user`, and puts a copy of the monitor where that user reaches it.
    pub(crate) fn give_to(&self, user: u32) {
        let monitor = self.lxcpath().join("hull-monitor");
        std::fs::copy(MONITOR, &monitor).expect("copy");
        let owner = format!("{user}:{user}");
        let done = Command::new("chown").args(["-R", "-h", &owner]).arg(self.lxcpath()).status();
        assert!(done.expect("chown").success());
    }

    /// Runs the monitor as `user`: `sh -c SCRIPT`, or the container's init if that is empty.
    pub(crate) fn as_user(&self, user: u32, options: &[&str], script: &str) -> Ran {
        let mut command = self.limited("setpriv");
        let user = user.to_string();
        command.args(["--reuid", &user, "--regid", &user, "--clear-groups"]);
        command.arg(self.lxcpath().join("hull-monitor")).args(options).arg(self.lxcpath()).arg(&self.name);
        if !script.is_empty() {
            command.args(["--", "sh", "-c", script]);
        }
        Ran::of(&mut command)
    }

    /// Runs a stock tool on the container.
    pub(crate) fn stock(&self, tool: &str, arguments: &[&str]) -> Ran {
        Ran::of(self.limited(tool).arg("-P").arg(self.lxcpath()).args(["-n", &self.name]).args(arguments))
    }

    /// Whether anything of the container is left in the host's cgroups.
    pub(crate) fn has_cgroups(&self) -> bool {
        let all = std::fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten();
        all.map(|e| e.path()).chain([PathBuf::from("/sys/fs/cgroup")]).any(|hierarchy| {
            ["payload", "monitor"].iter().any(|k| hierarchy.join(format!("lxc.{k}.{}", self.name)).exists())
        })
    }

    /// The processes in the monitor's groups of all hierarchies, each once.
    pub(crate) fn monitors(&self) -> Vec<i32> {
        let all = std::fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten();
        let groups = all.map(|e| e.path()).chain([PathBuf::from("/sys/fs/cgroup")]);
        let lists = groups.filter_map(|hierarchy| {
            std::fs::read_to_string(hierarchy.join(format!("lxc.monitor.{}/cgroup.procs", self.name))).ok()
        });
        let pids: BTreeSet<i32> =
            lists.flat_map(|l| l.lines().map(|pid| pid.parse().unwrap()).collect::<Vec<_>>()).collect();
        pids.into_iter().collect()
    }

    pub(crate) fn is_running(&self) -> bool {
        self.client().state().is_ok_and(|s| s == hull_ipc::State::Running)
    }

    pub(crate) fn client(&self) -> hull_ipc::Client {
        hull_ipc::Client::new(self.lxcpath(), &self.name, Duration::from_secs(10))
    }

    /// A command that is killed if it hangs.
    fn limited(&self, program: &str) -> Command {
        let mut command = Command::new("timeout");
        command.args(["-s", "KILL", "30", program]);
        command.stdin(Stdio::null());
        command
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        if self.client().init_pid().is_ok_and(|p| p.is_some()) {
            let _ = hull_runtime::stop::kill(self.lxcpath(), &self.name, None);
        }
    }
}

/// What a program said and how it ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    fn of(command: &mut Command) -> Self {
        let Output { status, stdout, stderr } = command.output().expect("it can be executed");
        let text = |b: Vec<u8>| String::from_utf8_lossy(&b).into_owned();
        Self { code: status.code(), out: text(stdout), err: text(stderr) }
    }

    /// Its output, if it exited with 0.
    #[track_caller]
    pub(crate) fn ok(self) -> String {
        assert_eq!(self.code, Some(0), "{self:?}");
        self.out
    }
}

/// Waits up to 10 s for `condition`.
#[track_caller]
pub(crate) fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    for _ in 0..200 {
        if condition() {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("never: {what}");
}
