//! One container's life, from its start to its end, in a process of its own.

mod console;
mod live;

use hull_ipc::{Server, State};
use hull_sys::signal::{self, SignalFd};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fd::{AsFd, OwnedFd};
use rustix::process::{WaitId, WaitIdOptions};
use std::cell::RefCell;
use std::fmt;
use std::time::Instant;

use crate::error::{Error, Named, Result};
use crate::log::{Level, Log};
use crate::start::{self, Mode, PATIENCE, Running, Start, spec};
use console::Console;
use live::Live;

/// How a container ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitStatus {
    /// Its first process exited with this code.
    Code(i32),
    /// This signal ended its first process.
    Signal(i32),
}

impl ExitStatus {
    /// The code by which shells report it: 128 and the signal.
    pub fn code(self) -> i32 {
        match self {
            Self::Code(code) => code,
            Self::Signal(signal) => 128 + signal,
        }
    }
}

impl fmt::Display for ExitStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exited with status {code}"),
            Self::Signal(signal) => write!(f, "was ended by signal {signal}"),
        }
    }
}

/// Runs a container until it ends for good, rebooting it when it asks to be, and returns how it ended.
///
/// Requires a process of one thread, which becomes the container's monitor: its signals, title and cgroup
/// change. A daemon ([`Mode::Daemon`]) goes on as a child of itself, once when it starts and again when it removes its
/// cgroup; the processes before end with status 0. Fails, with nothing left behind, when the container cannot be
/// started; the line goes to [`Start::status`], too.
pub fn run(mut start: Start<'_>) -> Result<ExitStatus> {
    let status = start.status.take();
    let told = Told(RefCell::new(status));
    let result = supervise(&start, &told);
    if let Err(e) = &result {
        told.failed(e);
    }
    result
}

/// Signals that are passed on to the container, and those the supervisor wants for itself.
const SIGNALS: [i32; 12] = [SIGHUP, SIGINT, 3, 10, 12, SIGTERM, SIGCHLD, 20, 25, SIGWINCH, 29, 30];
const SIGHUP: i32 = 1;
const SIGINT: i32 = 2;
const SIGPIPE: i32 = 13;
const SIGTERM: i32 = 15;
const SIGCHLD: i32 = 17;
const SIGWINCH: i32 = 28;

fn supervise(start: &Start<'_>, told: &Told) -> Result<ExitStatus> {
    let mut server = Server::bind(&start.lxcpath, &start.name).map_err(|e| Error::new(e.to_string()))?;
    let log = open_log(start)?;
    // Without the right to change it, the title stays the command line.
    let _ = hull_sys::prctl::set_title(&format!("[lxc monitor] {} {}", start.lxcpath.display(), start.name));
    for key in start::check_support(start)? {
        let line = format!("{} is not carried out: {}", key.key, key.reason);
        log.warn(&line);
        told.warn(&line);
    }
    let signals = SignalFd::block(&[&SIGNALS[..], &[SIGPIPE]].concat())?;
    let mut before = State::Starting;
    loop {
        let mut live = Live::new(start, before);
        let (status, reboot) = once(start, told, &mut server, &mut live, &signals, &log)?;
        if !reboot {
            let released = start.provider.stopped(&start.config);
            // Who waits for this may start the container again at once: the address must be free then.
            live.enter(State::Stopped, &mut server);
            drop(server);
            return released.map(|()| status);
        }
        log.info("rebooting");
        server.rebooted();
        before = State::Starting;
    }
}

/// One run of the container, up to its halt or reboot. Returns whether it asks for a reboot.
fn once(
    start: &Start<'_>,
    told: &Told,
    server: &mut Server,
    live: &mut Live<'_>,
    signals: &SignalFd,
    log: &Log,
) -> Result<(ExitStatus, bool)> {
    live.enter(State::Starting, server);
    let running = match start::run(start, log) {
        Ok(running) => running,
        Err(e) => {
            log.error(&e.to_string());
            live.enter(State::Aborting, server);
            return Err(e);
        }
    };
    if let Some(path) = &start.pidfile {
        let number = running.pid.as_raw_nonzero();
        std::fs::write(path, format!("{number}\n")).named(|| format!("write({})", path.display()))?;
    }
    let mut console = Console::new(start, running.console.as_ref())?;
    live.running = Some(running);
    live.enter(State::Running, server);
    told.running();
    let status = serve(server, live, signals, &mut console)?;
    drop(console);
    let Some(running) = live.running.take() else { return Ok((status, false)) };
    live.enter(State::Stopping, server);
    let own_pids = running.namespaces & hull_sys::process::namespace::PID != 0;
    // pid_namespaces(7): reboot(2) in a pid namespace ends its init with SIGHUP for a restart, SIGINT for a halt.
    let reboot = own_pids && status == ExitStatus::Signal(SIGHUP);
    let status = if own_pids && status == ExitStatus::Signal(SIGINT) { ExitStatus::Code(0) } else { status };
    log.info(&format!("the container's first process {status}"));
    release(running, reboot, log);
    Ok((status, reboot))
}

/// Serves everybody until the container's first process has ended.
fn serve(
    server: &mut Server,
    live: &mut Live<'_>,
    signals: &SignalFd,
    console: &mut Console,
) -> Result<ExitStatus> {
    loop {
        let pidfd = live.pidfd()?;
        let mut fds = vec![
            PollFd::new(&pidfd, PollFlags::IN),
            PollFd::from_borrowed_fd(server.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(signals.as_fd(), PollFlags::IN),
        ];
        let fixed = fds.len();
        let sources = console.sources();
        fds.extend(sources.iter().map(|s| PollFd::from_borrowed_fd(s.as_fd(), PollFlags::IN)));
        match poll(&mut fds, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(e).named(|| "poll(container)".into()),
        }
        let ready: Vec<bool> = fds.iter().map(|f| !f.revents().is_empty()).collect();
        drop(fds);
        let ready_sources: Vec<usize> = (0..sources.len()).filter(|i| ready[fixed + i]).collect();
        drop(sources);
        if ready[2] {
            while let Some(arrived) = signals.next()? {
                match arrived.number {
                    SIGCHLD => {}
                    SIGPIPE => {}
                    SIGWINCH => console.resize(),
                    // The terminal is gone, not the user's wish to keep the container's data.
                    SIGHUP => live.signal(SIGTERM),
                    other => live.signal(other),
                }
            }
        }
        for index in ready_sources {
            console.relay(index, &mut live.ring);
        }
        if ready[1] {
            server.dispatch(live).map_err(|e| Error::new(e.to_string()))?;
            console.set_proxy(live.take_proxy());
        }
        if ready[0] {
            let waited = rustix::process::waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED)
                .named(|| "waitid(container)".into())?;
            console.drain(&mut live.ring);
            if let Some(ended) = waited {
                return Ok(match (ended.exit_status(), ended.terminating_signal()) {
                    (Some(code), _) => ExitStatus::Code(code),
                    (None, signal) => ExitStatus::Signal(signal.unwrap_or(0)),
                });
            }
        }
    }
}

/// Runs the hooks of the end and removes what the run made.
fn release(running: Running, reboot: bool, log: &Log) {
    let target = [
        ("LXC_TARGET", if reboot { "reboot" } else { "stop" }.to_owned()),
        ("LXC_PID", running.pid.as_raw_nonzero().to_string()),
    ];
    let own = std::process::id();
    let path = |fd: &OwnedFd| format!("/proc/{own}/fd/{}", std::os::fd::AsRawFd::as_raw_fd(fd));
    let (mut more, mut arguments) = (target.to_vec(), Vec::new());
    for (name, fd) in &running.kept {
        if running.hooks.version == 0 {
            arguments.push(format!("{name}:{}", path(fd)));
        }
        // LXC sets them by either convention.
        let variable = NAMESPACE_VARIABLES.iter().find(|(n, _)| n == name);
        more.extend(variable.map(|(_, variable)| (*variable, path(fd))));
    }
    // It has ended: what its hooks think of that changes nothing.
    if let Err(e) = running.hooks.run("stop", &more, &arguments, log) {
        log.error(&e.to_string());
    }
    drop(running.kept);
    if let Some(mut cgroups) = running.cgroups {
        let deadline = Instant::now() + PATIENCE;
        // Only a container without a pid namespace of its own leaves processes behind, or groups that it made.
        let killed = if cgroups.remove_empty() { Ok(()) } else { cgroups.kill(deadline) };
        if let Err(e) = killed.and_then(|()| cgroups.remove(deadline)) {
            log.warn(&e.to_string());
        }
    }
    drop((running.console, running.ttys, running.devpts, running.pidfd));
    drop(running.held);
    if let Err(e) = running.hooks.run("post-stop", &target, &[], log) {
        log.error(&e.to_string());
    }
}

const NAMESPACE_VARIABLES: [(&str, &str); 8] = [
    ("user", "LXC_USER_NS"),
    ("mnt", "LXC_MNT_NS"),
    ("pid", "LXC_PID_NS"),
    ("uts", "LXC_UTS_NS"),
    ("ipc", "LXC_IPC_NS"),
    ("net", "LXC_NET_NS"),
    ("cgroup", "LXC_CGROUP_NS"),
    ("time", "LXC_TIME_NS"),
];

fn open_log(start: &Start<'_>) -> Result<Log> {
    let c = &start.config;
    let level = c.value("lxc.log.level").and_then(Level::parse).unwrap_or(Level::Error);
    match c.value("lxc.log.file").filter(|f| !f.is_empty() && *f != "none") {
        Some(path) => Log::open(std::path::Path::new(path), level, &start.name),
        None => Ok(Log::none()),
    }
}

/// The launcher at the other end of the status pipe, told once. See [`crate::launch`] for the lines.
struct Told(RefCell<Option<OwnedFd>>);

impl Told {
    fn say(&self, tag: char, text: &str) {
        if let Some(fd) = &*self.0.borrow() {
            crate::terminal::write_all(fd, format!("{tag}{}\n", text.replace('\n', " ")).as_bytes());
        }
    }

    fn running(&self) {
        self.say('+', "");
        // Whoever waits for the end of the lines has it, now and not when the container ends.
        self.0.take();
    }

    fn warn(&self, line: &str) {
        self.say('?', line);
    }

    fn failed(&self, error: &Error) {
        self.say('!', &error.to_string());
    }
}

/// Whether the container of `start` is to have the caller's terminal.
fn has_terminal(start: &Start<'_>) -> bool {
    start.mode == Mode::Foreground
}

/// The signal a stop request means.
fn stop_signal(start: &Start<'_>) -> i32 {
    spec::config(start.config.signals()).map_or(9, |s| s.stop.number())
}

/// Sends `number` to the process of `pidfd`; one that has ended needs none.
fn send(pidfd: impl AsFd, number: i32) {
    let _ = signal::send(pidfd, number);
}
