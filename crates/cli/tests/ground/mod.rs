//! An lxcpath of its own for a test, and running the commands on it by their names.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A directory with a whole container `good`, one with an unreadable configuration `broken`, and a file that is no
/// archive. All goes when it is dropped.
pub(crate) struct Ground {
    dir: tempfile::TempDir,
}

/// How a command ended and what it said.
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ground {
    pub(crate) fn new() -> Self {
        let ground = Self { dir: tempfile::tempdir().expect("a temporary directory") };
        let root = ground.dir().join("good/rootfs");
        std::fs::create_dir_all(&root).expect("a root file system");
        std::fs::write(root.join("file"), "content").expect("a file");
        ground.container("good", format!("lxc.rootfs.path = dir:{}\n", root.display()).as_bytes());
        ground.container("broken", b"lxc.nonsense = 1\n");
        std::fs::write(ground.dir().join("not-an-archive"), "text").expect("a file");
        ground
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Writes a container's configuration.
    pub(crate) fn container(&self, name: &str, config: &[u8]) {
        let home = self.dir().join(name);
        std::fs::create_dir_all(&home).expect("a container's directory");
        std::fs::write(home.join("config"), config).expect("a configuration");
    }

    /// Runs a command of ours on this lxcpath.
    pub(crate) fn run(&self, words: &[OsString]) -> Ran {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hull"));
        command.arg0(&words[0]);
        self.finish(command, words)
    }

    /// Runs a command of the installed LXC on this lxcpath; `None` when there is none.
    #[allow(dead_code)]
    pub(crate) fn run_stock(&self, words: &[OsString]) -> Option<Ran> {
        let program = Path::new("/usr/bin").join(&words[0]);
        program.exists().then(|| self.finish(Command::new(program), words))
    }

    fn finish(&self, mut command: Command, words: &[OsString]) -> Ran {
        // lxc-config and hull volume need no lxcpath, but a line may give its own.
        if !words[1..].iter().any(|word| word == "-P") && words[0] != OsStr::new("lxc-config") {
            command.arg("-P").arg(self.dir());
        }
        let output = command
            .args(&words[1..])
            .env("HOME", self.dir())
            .env("HULL_MONITOR", "/bin/false")
            .env("XDG_STATE_HOME", self.dir())
            .stdin(Stdio::null())
            .output()
            .expect("the command runs");
        Ran {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Every path below, with what would change if somebody wrote to it.
    #[allow(dead_code)]
    pub(crate) fn listing(&self) -> BTreeSet<(PathBuf, u32, u64, i64)> {
        let mut found = BTreeSet::new();
        let mut left = vec![self.dir().to_path_buf()];
        while let Some(path) = left.pop() {
            let meta = path.symlink_metadata().expect("a file that is listed");
            if meta.is_dir() {
                left.extend(
                    path.read_dir().expect("a directory").map(|entry| entry.expect("an entry").path()),
                );
            }
            // The empty journal stays for the next command, with its lock and what it keeps for a full disk.
            let journal = self.dir().join(".hull/journal");
            let kept = [".lock", ".reserve", ".spare"].iter().any(|name| path == journal.join(name));
            if journal.starts_with(&path) && path != self.dir() || kept {
                continue;
            }
            let size = if meta.is_dir() { 0 } else { meta.size() };
            let time = if meta.is_dir() { 0 } else { meta.mtime_nsec() };
            found.insert((path, meta.mode(), size, time));
        }
        found
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        // Locks are kept by LXC's rule, per lxcpath; nobody else uses this one.
        let below = self.dir().strip_prefix("/").unwrap_or(self.dir());
        let _ = std::fs::remove_dir_all(Path::new("/run/lxc/lock").join(below));
    }
}

/// A line as words: `''` is empty, `\\n` a newline, `\\xff` a byte that is not UTF-8, `{dir}` the lxcpath, `{long}`
/// a name that is too long.
pub(crate) fn words(line: &str, dir: &Path) -> Vec<OsString> {
    let word = |text: &str| {
        let text = if text == "''" { "" } else { text };
        let text = text.replace("\\\\n", "\n").replace("\\n", "\n").replace("{long}", &"x".repeat(256));
        let mut bytes = Vec::new();
        for (index, part) in text.split("{dir}").enumerate() {
            if index > 0 {
                bytes.extend_from_slice(dir.as_os_str().as_bytes());
            }
            bytes.extend_from_slice(part.as_bytes());
        }
        match text.as_str() {
            "\\\\xff" | "\\xff" => OsString::from_vec(vec![0xff]),
            _ => OsString::from_vec(bytes),
        }
    };
    line.split(' ').map(word).collect()
}
