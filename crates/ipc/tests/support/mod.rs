//! A monitor without a container, in a thread of the test.
#![allow(dead_code, reason = "each test file uses its part")]
#![allow(clippy::unwrap_used, reason = "helpers of tests may panic, too")]

use hull_ipc::server::{CgroupDirectories, CgroupDirectory, Group};
use hull_ipc::wire::{CGROUP_MAGIC, CgroupLayout, ConsoleLogRequest};
use hull_ipc::{Client, Handler, Server, State};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Longer than anything here takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// A server in a thread; dropping it ends it.
pub(crate) struct Monitor {
    pub(crate) name: String,
    lxcpath: tempfile::TempDir,
    end: Arc<AtomicBool>,
    connections: Arc<AtomicUsize>,
    thread: Option<JoinHandle<()>>,
}

impl Monitor {
    pub(crate) fn start(name: &str) -> Self {
        let lxcpath = tempfile::tempdir().unwrap();
        let mut server = Server::bind(lxcpath.path(), name).unwrap();
        let end = Arc::new(AtomicBool::new(false));
        let connections = Arc::new(AtomicUsize::new(0));
        let (ended, counted) = (Arc::clone(&end), Arc::clone(&connections));
        let thread = std::thread::spawn(move || {
            let mut fake = Fake { state: State::Running, stopping: false, lent: [false; 2] };
            while !fake.stopping && !ended.load(Ordering::SeqCst) {
                let tick = rustix::time::Timespec { tv_sec: 0, tv_nsec: 10_000_000 };
                poll(&mut [PollFd::new(&server, PollFlags::IN)], Some(&tick)).unwrap();
                server.dispatch(&mut fake).unwrap();
                counted.store(server.connection_count(), Ordering::SeqCst);
            }
        });
        Self { name: name.into(), lxcpath, end, connections, thread: Some(thread) }
    }

    pub(crate) fn lxcpath(&self) -> &Path {
        self.lxcpath.path()
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(self.lxcpath(), &self.name, PATIENCE)
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Whether the monitor ends by itself.
    pub(crate) fn finished(&self) -> bool {
        until(|| self.thread.as_ref().is_some_and(JoinHandle::is_finished));
        true
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        self.end.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            let result = thread.join();
            assert!(result.is_ok() || std::thread::panicking(), "the monitor panicked");
        }
    }
}

struct Fake {
    state: State,
    stopping: bool,
    lent: [bool; 2],
}

fn null() -> Result<OwnedFd, Errno> {
    Ok(std::fs::File::open("/dev/null").unwrap().into())
}

impl Handler for Fake {
    fn state(&self) -> State {
        self.state
    }
    fn init_pid(&self) -> Option<i32> {
        Some(std::process::id() as i32)
    }
    fn init_pidfd(&self) -> Result<OwnedFd, Errno> {
        rustix::process::pidfd_open(rustix::process::getpid(), rustix::process::PidfdFlags::empty())
    }
    fn clone_flags(&self) -> u64 {
        0x6c02_0000
    }
    fn config_item(&mut self, key: &str) -> Option<String> {
        (key == "lxc.uts.name").then(|| "fake".into())
    }
    fn stop(&mut self) -> Result<(), Errno> {
        self.stopping = true;
        Ok(())
    }
    fn cgroup(&mut self, group: Group, controller: Option<&str>) -> Result<String, Errno> {
        let group = if group == Group::Limit { "limit" } else { "inner" };
        Ok(format!("/{group}/{}", controller.unwrap_or_default()))
    }
    fn cgroup_fd(&mut self, _: Group, _: &str) -> Result<CgroupDirectory, Errno> {
        let fd = null()?;
        Ok(CgroupDirectory { layout: CgroupLayout::Hybrid, utilities: 0, magic: CGROUP_MAGIC, fd })
    }
    fn cgroup_context(&mut self) -> Result<CgroupDirectories, Errno> {
        let fds = vec![null()?, null()?, null()?];
        Ok(CgroupDirectories { layout: CgroupLayout::Hybrid, utilities: 0, fds })
    }
    fn set_state(&mut self, state: State) -> Result<(), Errno> {
        self.state = state.lasting();
        Ok(())
    }
    fn tty(&mut self, number: Option<u32>) -> Result<(u32, OwnedFd), Errno> {
        let free = |i: &usize| !self.lent[*i];
        let index = match number {
            Some(n) => Some(n as usize - 1).filter(|i| *i < 2).filter(free),
            None => (0..2).find(free),
        };
        let index = index.ok_or(Errno::BADF)?;
        self.lent[index] = true;
        Ok((index as u32 + 1, null()?))
    }
    fn tty_released(&mut self, number: u32) {
        self.lent[number as usize - 1] = false;
    }
    fn console_log(&mut self, request: ConsoleLogRequest) -> Result<Vec<u8>, Errno> {
        if request.read { Ok(vec![b'l'; 1 << 20]) } else { Err(Errno::NODATA) }
    }
}

/// Waits until `holds`.
pub(crate) fn until(holds: impl Fn() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < end, "it does not come to hold");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Runs one of stock LXC's tools: its exit code and standard output. `None`: it is not installed.
pub(crate) fn stock(tool: &str, lxcpath: &str, name: &str, arguments: &[&str]) -> Option<(i32, String)> {
    let path = Path::new("/usr/bin").join(tool);
    if !path.exists() {
        return None;
    }
    let mut command = Command::new("timeout");
    command.arg("20").arg(path).args(["-P", lxcpath]);
    if tool != "lxc-ls" {
        command.args(["-n", name]);
    }
    let output = command.args(arguments).stdin(Stdio::null()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Some((output.status.code().unwrap_or(-1), text))
}
