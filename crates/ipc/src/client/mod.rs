//! Asking the monitor of a running container.

mod call;
mod wait;

use hull_sys::socket;
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use std::path::Path;
use std::time::Duration;

use crate::server::Group;
use crate::wire::{self, CgroupContext, CgroupFd, Command, ConsoleLogRequest, DeviceRule};
use crate::{Address, State};
use call::{Answer, Call};

/// The result of a question.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No monitor listens, or it went while we asked.
    #[error("container {0} is not running")]
    Stopped(String),
    /// The monitor did not answer in time.
    #[error(
        "the monitor of container {name} did not answer {command:?} within {timeout:?}; it may be hanging"
    )]
    TimedOut {
        /// The container, or its address.
        name: String,
        /// What was asked.
        command: Command,
        /// How long we waited.
        timeout: Duration,
    },
    /// The monitor answered with an error.
    #[error("the monitor of container {name} refused {command:?}: {}", reason(*.errno))]
    Refused {
        /// The container, or its address.
        name: String,
        /// What was asked.
        command: Command,
        /// What it said.
        errno: Errno,
    },
    /// The answer was not LXC's protocol.
    #[error(
        "whoever listens for container {name} does not speak LXC's protocol: its answer to {command:?} {what}"
    )]
    Protocol {
        /// The container, or its address.
        name: String,
        /// What was asked.
        command: Command,
        /// What was wrong.
        what: &'static str,
    },
    /// A call failed on our side.
    #[error("the monitor of container {name} cannot be asked: {source}")]
    System {
        /// The container, or its address.
        name: String,
        /// The call.
        source: hull_sys::Error,
    },
}

impl Error {
    /// Whether the reason is that no monitor listens.
    pub fn is_stopped(&self) -> bool {
        matches!(self, Self::Stopped(_))
    }

    /// The error number nearest to it.
    pub fn errno(&self) -> Errno {
        match self {
            Self::Stopped(_) => Errno::CONNREFUSED,
            Self::TimedOut { .. } => Errno::TIMEDOUT,
            Self::Refused { errno, .. } => *errno,
            Self::Protocol { .. } => Errno::PROTO,
            Self::System { source, .. } => source.errno(),
        }
    }
}

fn reason(errno: Errno) -> String {
    match errno {
        Errno::PERM => "only root and the user who started the container may ask it".into(),
        Errno::NOSYS => "it does not know this request".into(),
        e => std::io::Error::from(e).to_string(),
    }
}

/// Asks the monitor of one container. Each question is a connection of its own; it holds none.
#[derive(Clone, Debug)]
pub struct Client {
    address: Address,
    name: String,
    timeout: Duration,
}

/// A terminal of the container, ours as long as this lives.
#[derive(Debug)]
pub struct Tty {
    /// Its number; the first is 1.
    pub number: u32,
    /// Its host side.
    pub fd: OwnedFd,
    _lease: OwnedFd,
}

/// The container's directories in all hierarchies.
#[derive(Debug)]
pub struct CgroupDirectories {
    /// How the host's hierarchies are laid out.
    pub context: CgroupContext,
    /// To join the container, write the process's number to `cgroup.procs` in each.
    pub fds: Vec<OwnedFd>,
}

impl Client {
    /// A client for container `name` under `lxcpath`. Each question waits at most `timeout` for its answer.
    pub fn new(lxcpath: &Path, name: &str, timeout: Duration) -> Self {
        Self { address: Address::new(lxcpath, name), name: name.into(), timeout }
    }

    /// A client for whoever listens at `address`.
    pub fn at(address: Address, timeout: Duration) -> Self {
        Self { name: address.to_string(), address, timeout }
    }

    /// What the container is doing; [`State::Stopped`] if no monitor listens.
    pub fn state(&self) -> Result<State> {
        let answer = match self.ask(Command::GetState) {
            Err(Error::Stopped(_)) => return Ok(State::Stopped),
            answer => answer?,
        };
        State::from_number(answer.header.int().into())
            .ok_or_else(|| self.protocol(Command::GetState, "is not a state"))
    }

    /// The number of the container's init in the monitor's pid namespace; `None` if it has none.
    pub fn init_pid(&self) -> Result<Option<i32>> {
        let answer = match self.ask(Command::GetInitPid) {
            Err(Error::Stopped(_)) => return Ok(None),
            answer => answer?,
        };
        Ok(Some(answer.header.int()).filter(|pid| *pid > 0))
    }

    /// A pidfd of the container's init.
    pub fn init_pidfd(&self) -> Result<OwnedFd> {
        self.ask_fd(Command::GetInitPidfd)
    }

    /// The `CLONE_NEW…` flags the container's init was made with.
    pub fn clone_flags(&self) -> Result<u64> {
        Ok(self.ask(Command::GetCloneFlags)?.header.scalar)
    }

    /// The container's group in the hierarchy of `controller` (or the first one), from the hierarchy's root.
    ///
    /// A monitor that does not know [`Group::Limit`] (LXC before 4.0.7) is asked for [`Group::Inner`] instead.
    /// Refused with `ENOENT` where there is no such group. Beside version 1, stock LXC finds its group of
    /// version 2 only by the name of one of that hierarchy's controllers.
    pub fn cgroup(&self, group: Group, controller: Option<&str>) -> Result<String> {
        let data = controller.map(wire::encode_text).unwrap_or_default();
        let ask = |command| self.ask_text(&Call::new(command).data(data.clone()));
        let answer = match group {
            Group::Inner => ask(Command::GetCgroup),
            Group::Limit => match ask(Command::GetLimitCgroup) {
                Err(Error::Stopped(_) | Error::Refused { errno: Errno::NOSYS, .. }) => {
                    ask(Command::GetCgroup)
                }
                answer => answer,
            },
        };
        match answer {
            // Stock LXC hangs up on a question it has no answer to.
            Err(Error::Stopped(_)) if self.ask(Command::GetState).is_ok() => Err(Error::Refused {
                name: self.name.clone(),
                command: Command::GetCgroup,
                errno: Errno::NOENT,
            }),
            answer => answer,
        }
    }

    /// The container's directory in the hierarchy of `controller`.
    pub fn cgroup_fd(&self, group: Group, controller: &str) -> Result<(CgroupFd, OwnedFd)> {
        let command = match group {
            Group::Inner => Command::GetCgroupFd,
            Group::Limit => Command::GetLimitCgroupFd,
        };
        let question = CgroupFd::question(controller).encode().to_vec();
        let mut answer = self.call(&Call::new(command).data(question))?;
        let found =
            CgroupFd::decode(&answer.data).ok_or_else(|| self.protocol(command, "is no cgroup_fd"))?;
        Ok((found, self.one_fd(command, &mut answer)?))
    }

    /// The container's directory in the version 2 hierarchy of a host that has no other.
    pub fn cgroup2_fd(&self, group: Group) -> Result<OwnedFd> {
        self.ask_fd(match group {
            Group::Inner => Command::GetCgroup2Fd,
            Group::Limit => Command::GetLimitCgroup2Fd,
        })
    }

    /// The container's directories in all hierarchies.
    pub fn cgroup_context(&self) -> Result<CgroupDirectories> {
        let command = Command::GetCgroupContext;
        let answer = self.call(&Call::new(command).data(vec![0; CgroupContext::SIZE]))?;
        let context =
            CgroupContext::decode(&answer.data).ok_or_else(|| self.protocol(command, "is no cgroup_ctx"))?;
        if answer.fds.len() != context.count as usize {
            return Err(self.protocol(command, "brought another number of descriptors than it says"));
        }
        Ok(CgroupDirectories { context, fds: answer.fds })
    }

    /// The value of a configuration key of the running container; `None` if it has none.
    pub fn config_item(&self, key: &str) -> Result<Option<String>> {
        let call = Call::new(Command::GetConfigItem).data(wire::encode_text(key));
        match self.ask_text(&call) {
            Ok(text) => Ok(Some(text).filter(|t| !t.is_empty())),
            // The plain -1 that LXC answers reads as EPERM; a peer that may not ask is told so, too, but then
            // cannot ask for the state, either.
            Err(Error::Refused { errno: Errno::PERM, .. }) if self.ask(Command::GetState).is_ok() => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// The container's name, as its monitor has it.
    pub fn name(&self) -> Result<String> {
        self.ask_text(&Call::new(Command::GetName))
    }

    /// The container's lxcpath, as its monitor has it.
    pub fn lxcpath(&self) -> Result<String> {
        self.ask_text(&Call::new(Command::GetLxcpath))
    }

    /// Kills the container and waits until its monitor has gone. One that is not running is success.
    pub fn stop(&self) -> Result<()> {
        match self.ask(Command::Stop) {
            Ok(_) | Err(Error::Stopped(_)) => Ok(()),
            Err(e) => Err(e),
        }
    }

    /// Borrows terminal `number` (the first is 1), or any free one.
    pub fn tty(&self, number: Option<u32>) -> Result<Tty> {
        let command = Command::GetTtyFd;
        let wanted = number.and_then(|n| i32::try_from(n).ok()).unwrap_or(-1);
        let mut answer = self.call(&Call::new(command).scalar(wire::scalar(wanted)))?;
        let fd = self.one_fd(command, &mut answer)?;
        let number = u32::try_from(answer.header.int())
            .map_err(|_| self.protocol(command, "has a negative terminal number"))?;
        Ok(Tty { number, fd, _lease: answer.socket })
    }

    /// Reads or clears the console's ring buffer. Refused with `ENODATA` when empty, `EFAULT` without one.
    pub fn console_log(&self, request: ConsoleLogRequest) -> Result<Vec<u8>> {
        Ok(self.call(&Call::new(Command::ConsoleLog).data(request.encode().to_vec()))?.data)
    }

    /// Has the monitor freeze the container by cgroup version 2. Refused with `ENOENT` on other hosts, where
    /// the caller freezes by version 1 and then calls [`Client::announce_state`].
    pub fn freeze(&self, patience: Option<Duration>) -> Result<()> {
        self.freezing(Command::Freeze, patience)
    }

    /// Undoes [`Client::freeze`].
    pub fn unfreeze(&self, patience: Option<Duration>) -> Result<()> {
        self.freezing(Command::Unfreeze, patience)
    }

    /// Tells the monitor (and so who waits) that we have frozen or thawed the container.
    pub fn announce_state(&self, state: State) -> Result<()> {
        let call = Call::new(Command::ServeStateClients).scalar(wire::scalar(state.number()));
        self.call(&call).map(drop)
    }

    /// The root of the container's devpts.
    pub fn devpts_fd(&self) -> Result<OwnedFd> {
        self.ask_fd(Command::GetDevptsFd)
    }

    /// The container's seccomp notifier.
    pub fn seccomp_notify_fd(&self) -> Result<OwnedFd> {
        self.ask_fd(Command::GetSeccompNotifyFd)
    }

    /// Adds a rule to the container's device program (cgroup version 2).
    pub fn add_device_rule(&self, rule: DeviceRule) -> Result<()> {
        self.call(&Call::new(Command::AddBpfDeviceCgroup).data(rule.encode().to_vec())).map(drop)
    }

    fn freezing(&self, command: Command, patience: Option<Duration>) -> Result<()> {
        let seconds = patience.map_or(-1, |p| i32::try_from(p.as_secs()).unwrap_or(i32::MAX));
        let longer = patience.map_or(Duration::MAX, |p| self.timeout.saturating_add(p));
        let patient = Self { timeout: longer, ..self.clone() };
        patient.call(&Call::new(command).scalar(wire::scalar(seconds))).map(drop)
    }

    fn ask(&self, command: Command) -> Result<Answer> {
        self.call(&Call::new(command))
    }

    fn ask_text(&self, call: &Call) -> Result<String> {
        let command = call.command;
        let answer = self.call(call)?;
        if answer.data.is_empty() {
            return Ok(String::new());
        }
        wire::decode_text(&answer.data)
            .map(str::to_owned)
            .ok_or_else(|| self.protocol(command, "is not a string"))
    }

    fn ask_fd(&self, command: Command) -> Result<OwnedFd> {
        let mut answer = self.ask(command)?;
        self.one_fd(command, &mut answer)
    }

    fn one_fd(&self, command: Command, answer: &mut Answer) -> Result<OwnedFd> {
        if answer.fds.len() > 1 {
            return Err(self.protocol(command, "brought more than one descriptor"));
        }
        answer.fds.pop().ok_or_else(|| self.protocol(command, "brought no descriptor"))
    }

    fn protocol(&self, command: Command, what: &'static str) -> Error {
        Error::Protocol { name: self.name.clone(), command, what }
    }
}
