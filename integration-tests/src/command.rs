//! Running programs within a time, so that no test hangs, and saying all about one that did not do as it should.

use std::ffi::OsStr;
use std::fmt;
use std::io::{Read, Seek, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// No command of a test takes longer, where nothing is emulated.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// How long a command of a test may take here.
fn patience() -> Duration {
    match std::env::var_os("HULL_VM") {
        // Everything takes ten times as long, and hosts are busy.
        Some(_) => 6 * PATIENCE,
        None => PATIENCE,
    }
}

/// How a command ended, and what it said.
#[derive(Debug)]
pub struct Ran {
    shown: String,
    status: ExitStatus,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

impl Ran {
    /// The exit code as a shell gives it: 128 and the signal's number for one that was killed.
    pub fn code(&self) -> i32 {
        self.status.code().unwrap_or_else(|| 128 + self.status.signal().unwrap_or(0))
    }

    /// The signal that killed it.
    pub fn signal(&self) -> Option<i32> {
        self.status.signal()
    }

    /// Its output, if it succeeded.
    ///
    /// # Panics
    /// When it did not.
    #[track_caller]
    pub fn ok(self) -> String {
        assert!(self.status.success(), "{self}");
        self.stdout
    }

    /// Its standard error, if it failed with `code`.
    ///
    /// # Panics
    /// When it did not.
    #[track_caller]
    pub fn fails(self, code: i32) -> String {
        assert_eq!(self.code(), code, "{self}");
        self.stderr
    }
}

impl fmt::Display for Ran {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { shown, status, stdout, stderr } = self;
        write!(f, "{shown}: {status}\nstdout: {stdout}\nstderr: {stderr}")
    }
}

/// Runs `program` with `words` and nothing to read.
///
/// # Panics
/// When it cannot be run or takes longer than [`PATIENCE`], in the VM lane's guest several times that.
#[track_caller]
pub fn run(program: impl AsRef<OsStr>, words: &[&str]) -> Ran {
    let mut command = Command::new(program);
    command.args(words);
    finish(command, b"")
}

/// Runs `command` with `input` to read. It is killed with all its process group when it takes too long.
///
/// What it says goes into files: a daemon that it leaves behind must not make the test wait.
///
/// # Panics
/// As [`run`].
#[track_caller]
pub fn finish(mut command: Command, input: &[u8]) -> Ran {
    let shown = format!("{command:?}");
    let mut read = tempfile::tempfile().expect("a temporary file");
    read.write_all(input).and_then(|()| read.rewind()).expect("a temporary file can be written");
    let [mut stdout, mut stderr] = [(); 2].map(|()| tempfile::tempfile().expect("a temporary file"));
    let copy = |file: &std::fs::File| Stdio::from(file.try_clone().expect("a descriptor can be copied"));
    command.stdin(read).stdout(copy(&stdout)).stderr(copy(&stderr)).process_group(0);
    let mut child = command.spawn().unwrap_or_else(|e| panic!("{shown}: {e}"));
    let patience = patience();
    let ended = wait(&mut child, patience);
    let [stdout, stderr] = [&mut stdout, &mut stderr].map(|file| {
        let mut bytes = Vec::new();
        file.rewind().and_then(|()| file.read_to_end(&mut bytes)).expect("a temporary file can be read");
        String::from_utf8_lossy(&bytes).into_owned()
    });
    let Some(status) = ended else {
        panic!("{shown} took longer than {patience:?}\nstdout: {stdout}\nstderr: {stderr}");
    };
    Ran { shown, status, stdout, stderr }
}

/// Waits for a child; kills it and the process group it leads, and answers nothing, after `patience`.
pub fn wait(child: &mut Child, patience: Duration) -> Option<ExitStatus> {
    let late = Instant::now() + patience;
    loop {
        if let Some(status) = child.try_wait().expect("a child can be waited for") {
            return Some(status);
        }
        if Instant::now() > late {
            let group = rustix::process::Pid::from_child(child);
            // It may have ended this moment; the wait below then finds it.
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
            let _ = child.kill();
            let _ = child.wait();
            return None;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Whether `done` holds within `patience`.
pub fn eventually(patience: Duration, mut done: impl FnMut() -> bool) -> bool {
    let late = Instant::now() + patience;
    while !done() {
        if Instant::now() > late {
            return false;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    true
}
