//! Executing a command in a running container, whoever started it.
//!
//! Three processes: the caller stays outside, waits, and relays a terminal; a second one joins the container's
//! namespaces and forks the third, a child of the caller, which is the command. Neither of the two that enter
//! can be looked into from inside (they are not dumpable, and run from a program nobody there can write to,
//! CVE-2019-5736), and neither holds a descriptor of the host's that the command could inherit.

mod join;
mod relay;
mod target;

use hull_cgroup::Doors;
use hull_config::value::Namespace;
use hull_ipc::Client;
use hull_sys::process::{self, Fork};
use hull_sys::signal::SignalFd;
use rustix::fd::OwnedFd;
use rustix::process::{Pid, PidfdFlags, WaitOptions};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::{During, Error, Named, Result};
use crate::start::devices;
use crate::start::sync::{self, Message};
use crate::supervise::ExitStatus;
use target::Target;

/// What to execute, and as whom.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The command; without one, the user's shell by the container's `/etc/passwd`, or `/bin/sh`.
    pub command: Option<Vec<String>>,
    /// Start from an empty environment instead of [`Options::environment`].
    pub clear_environment: bool,
    /// The caller's environment.
    pub environment: Vec<(String, String)>,
    /// Variables of the caller's to keep when it is cleared.
    pub keep: Vec<String>,
    /// Variables to set.
    pub set: Vec<(String, String)>,
    /// Only these namespaces are joined; `None` joins all that differ from the caller's.
    pub namespaces: Option<Vec<Namespace>>,
    /// What of the container's confinement the command does not get.
    pub elevated: Elevated,
    /// The user in the container, 0 if not given.
    pub uid: Option<u32>,
    /// The group in the container, 0 if not given.
    pub gid: Option<u32>,
    /// Where it starts, `/` if not given; a directory the container must have.
    pub cwd: Option<PathBuf>,
    /// The execution domain (personality(2)); `None` takes that of the container's init.
    pub personality: Option<u64>,
    /// A file that gets a copy of what the terminal shows.
    pub log: Option<PathBuf>,
}

/// Parts of a container's confinement to leave out (`lxc-attach -e`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Elevated {
    /// Keep all capabilities.
    pub capabilities: bool,
    /// Stay out of its cgroups.
    pub cgroups: bool,
    /// Do without its security label and its system call policy.
    pub security: bool,
}

/// How long a monitor may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Executes a command in container `name` and returns how it ended.
///
/// Requires a process of one thread that runs from a sealed program, as `hull-monitor --attach` does
/// ([`hull_sys::sealed`]); other programs use [`crate::launch::attach`]. Fails when the container does not run,
/// when it cannot be entered, or when the command cannot be executed.
pub fn run(lxcpath: &Path, name: &str, options: &Options) -> Result<ExitStatus> {
    let client = Client::new(lxcpath, name, PATIENCE);
    let target = Target::find(&client, name, options)?;
    let terminal = [
        rustix::termios::isatty(std::io::stdin()),
        rustix::termios::isatty(std::io::stdout()),
        rustix::termios::isatty(std::io::stderr()),
    ];
    // Never the caller's own terminal: what runs inside could type into it (CVE-2016-10124).
    let pty = if terminal.contains(&true) {
        // One of the container's devpts has a name there, which ttyname(3) finds.
        let devpts: Option<OwnedFd> = client.devpts_fd().ok();
        Some(devices::open_pty(devpts.as_ref()).or_else(|_| devices::open_pty(None))?)
    } else {
        None
    };
    let signals = SignalFd::block(&relay::SIGNALS)?;
    let (ours, theirs) = sync::pair()?;
    let (pty, peer) = pty.map(|p| (p.master, p.peer)).unzip();
    let doors = if options.elevated.cgroups { None } else { Some(Target::doors(&client)?) };
    let group = doors.as_ref().and_then(Doors::birth_group);
    let forked = process::fork(0, group).map_err(|e| match group {
        Some(_) => target::not_placed(e),
        None => e.into(),
    });
    let (helper, _) = match forked? {
        Fork::Child => {
            drop((ours, pty, signals));
            join::run(&target, options, doors, peer.map(|p| (p, terminal)).as_ref(), &theirs)
        }
        Fork::Parent { pid, pidfd } => (pid, pidfd),
    };
    drop((theirs, peer, doors));
    let command = match enter(&ours, helper) {
        Ok(command) => command,
        Err(e) => {
            // It waits for a word that does not come, or has failed.
            drop(ours);
            let _ = rustix::process::waitpid(Some(helper), WaitOptions::empty());
            return Err(e.during(format_args!("entering container {name}")));
        }
    };
    let pidfd = rustix::process::pidfd_open(command, PidfdFlags::empty())
        .named(|| format!("pidfd_open({})", command.as_raw_nonzero()))?;
    let log = options.log.as_deref().map(relay::open_log).transpose()?;
    let failed = match ours.receive()? {
        Message::Failed(e) => Some(e),
        _ => None,
    };
    drop(ours);
    let status = relay::run(command, &pidfd, pty.as_ref(), log.as_ref(), &signals)?;
    let code = u8::try_from(status.code()).unwrap_or(u8::MAX);
    failed.map_or(Ok(status), |e| Err(e.ending_with(code)))
}

/// Lets the helper go and waits for the command it forks, a child of ours.
fn enter(sync: &sync::Sync, helper: Pid) -> Result<Pid> {
    sync.send(&Message::SetUp)?;
    let entered = match sync.receive()? {
        Message::Entered(number) => {
            Pid::from_raw(number).ok_or_else(|| Error::new("the command has no number"))
        }
        Message::Failed(e) => Err(e),
        _ => Err(Error::new("the helper died; see the kernel's log for the reason")),
    };
    if entered.is_ok() {
        let _ = rustix::process::waitpid(Some(helper), WaitOptions::empty());
    }
    entered.during("joining its namespaces")
}
