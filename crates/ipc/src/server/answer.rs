//! From a request to its answer.

use rustix::fd::OwnedFd;
use rustix::io::Errno;
use std::time::Duration;

use super::handler::{Group, Handler};
use crate::State;
use crate::wire::{
    self, CgroupContext, CgroupFd, Command, ConsoleLogRequest, DeviceRule, Header, STATE_COUNT, StateMask,
    Wanted,
};

/// What becomes of a request and its connection.
#[derive(Debug)]
pub(super) enum Answer {
    /// Send this and go on.
    Reply(Reply),
    /// Send this and close: the rest of the stream cannot be understood or is not wanted.
    Last(Reply),
    /// Send nothing; the end of the connection is the answer.
    Silence,
    /// Send this and keep the connection for one message at a change of state.
    Wait(Reply, StateMask),
    /// Send this; this terminal is lent as long as the connection stands.
    Lend(Reply, u32),
    /// Send this and tell all waiting clients.
    Announce(Reply, State),
}

/// An answer before it is bytes.
#[derive(Debug, Default)]
pub(super) struct Reply {
    pub(super) code: i32,
    pub(super) scalar: u64,
    pub(super) data: Vec<u8>,
    pub(super) fds: Vec<OwnedFd>,
}

impl Reply {
    pub(super) fn error(errno: Errno) -> Self {
        Self { code: -errno.raw_os_error(), ..Self::default() }
    }

    fn done(result: Result<(), Errno>) -> Self {
        result.map_or_else(Self::error, |()| Self::default())
    }

    fn scalar(scalar: u64) -> Self {
        Self { scalar, ..Self::default() }
    }

    fn fd(result: Result<OwnedFd, Errno>) -> Self {
        result.map_or_else(Self::error, |fd| Self { fds: vec![fd], ..Self::default() })
    }

    fn text(text: &str) -> Self {
        // A NUL within would end the string early for C readers.
        let text = text.split('\0').next().unwrap_or_default();
        Self { data: wire::encode_text(text), ..Self::default() }
    }

    fn some_text(text: Option<&str>) -> Self {
        text.filter(|t| !t.is_empty()).map_or(Self { code: -1, ..Self::default() }, Self::text)
    }
}

/// Names the container where the server answers without asking its handler.
#[derive(Debug)]
pub(super) struct Identity {
    pub(super) lxcpath: String,
    pub(super) name: String,
}

/// Refuses a header whose data we will not read; `None` admits it.
pub(super) fn refuse(header: Header) -> Option<Errno> {
    let length = usize::try_from(header.length).unwrap_or(0);
    if length > wire::LARGEST_DATA {
        return Some(Errno::TOOBIG);
    }
    None
}

/// Whether the answer to this request is, sooner or later, the end of its connection.
pub(super) fn ends_connection(header: Header) -> bool {
    matches!(Command::from_number(header.code), Some(Command::Stop | Command::AddStateClient))
}

/// Carries out one request whose data is complete.
pub(super) fn answer(header: Header, data: &[u8], identity: &Identity, handler: &mut dyn Handler) -> Answer {
    let Some(command) = Command::from_number(header.code) else {
        return Answer::Reply(Reply::error(Errno::NOSYS));
    };
    let invalid = || Answer::Reply(Reply::error(Errno::INVAL));
    let group = match command {
        Command::GetLimitCgroup | Command::GetLimitCgroup2Fd | Command::GetLimitCgroupFd => Group::Limit,
        _ => Group::Inner,
    };
    let reply = match command {
        Command::GetTtyFd => {
            let wanted = u32::try_from(header.int()).ok().filter(|n| *n > 0);
            return match handler.tty(wanted) {
                Ok((number, fd)) => {
                    let reply = Reply { scalar: number.into(), fds: vec![fd], ..Reply::default() };
                    Answer::Lend(reply, number)
                }
                Err(e) => Answer::Reply(Reply::error(e)),
            };
        }
        Command::TerminalWinch => Reply::error(Errno::NOSYS),
        Command::Stop => {
            return match handler.stop() {
                Ok(()) => Answer::Silence,
                Err(e) => Answer::Reply(Reply::error(e)),
            };
        }
        Command::GetState => Reply::scalar(wire::scalar(handler.state().number())),
        Command::GetInitPid => Reply::scalar(wire::scalar(handler.init_pid().unwrap_or(-1))),
        Command::GetCloneFlags => Reply::scalar(handler.clone_flags()),
        Command::GetCgroup | Command::GetLimitCgroup => {
            let controller = if data.is_empty() {
                None
            } else {
                match wire::decode_text(data) {
                    Some(text) => Some(text),
                    None => return invalid(),
                }
            };
            handler.cgroup(group, controller).map_or_else(Reply::error, |path| Reply::text(&path))
        }
        Command::GetConfigItem => match wire::decode_text(data) {
            Some(key) => Reply::some_text(handler.config_item(key).as_deref()),
            None => return invalid(),
        },
        Command::GetName => Reply::text(&identity.name),
        Command::GetLxcpath => Reply::text(&identity.lxcpath),
        Command::AddStateClient => match StateMask::decode(data) {
            Some(mask) => return wait(mask, handler.state()),
            None => return invalid(),
        },
        Command::ConsoleLog => match ConsoleLogRequest::decode(data) {
            Some(request) => handler
                .console_log(request)
                .map_or_else(Reply::error, |data| Reply { data, ..Reply::default() }),
            None => return invalid(),
        },
        Command::ServeStateClients => match State::from_number(header.int().into()) {
            Some(state) => match handler.set_state(state) {
                Ok(()) => return Answer::Announce(Reply::default(), state),
                Err(e) => Reply::error(e),
            },
            None => return invalid(),
        },
        // The sender's next message carries the descriptor; we close rather than lose step with it.
        Command::SeccompNotifyAddListener => return Answer::Last(Reply::error(Errno::NOSYS)),
        Command::AddBpfDeviceCgroup => match DeviceRule::decode(data) {
            Some(rule) => Reply::done(handler.add_device_rule(rule)),
            None => return invalid(),
        },
        Command::Freeze => Reply::done(handler.freeze(timeout(header))),
        Command::Unfreeze => Reply::done(handler.unfreeze(timeout(header))),
        Command::GetCgroup2Fd | Command::GetLimitCgroup2Fd => Reply::fd(handler.cgroup2_fd(group)),
        Command::GetInitPidfd => Reply::fd(handler.init_pidfd()),
        Command::GetDevptsFd => Reply::fd(handler.devpts_fd()),
        Command::GetSeccompNotifyFd => Reply::fd(handler.seccomp_notify_fd()),
        Command::GetCgroupContext => context(handler, data.len()),
        Command::GetCgroupFd | Command::GetLimitCgroupFd => match CgroupFd::decode(data) {
            Some(question) => directory(handler, group, question),
            None => return invalid(),
        },
        Command::GetSystemdScope => Reply::some_text(handler.systemd_scope().as_deref()),
    };
    Answer::Reply(reply)
}

fn wait(mask: StateMask, current: State) -> Answer {
    let number = |n: i32| Reply { code: n, scalar: wire::scalar(n), ..Reply::default() };
    if mask.wants(current) == Wanted::Yes {
        Answer::Reply(number(current.number()))
    } else {
        Answer::Wait(number(STATE_COUNT), mask)
    }
}

fn context(handler: &mut dyn Handler, size: usize) -> Reply {
    match handler.cgroup_context() {
        Ok(mut directories) => {
            directories.fds.truncate(wire::CGROUP_CONTEXT_FDS);
            let count = u32::try_from(directories.fds.len()).expect("at most 20");
            let context =
                CgroupContext { layout: directories.layout, utilities: directories.utilities, count };
            let mut data = context.encode().to_vec();
            data.truncate(size);
            Reply { data, fds: directories.fds, ..Reply::default() }
        }
        Err(e) => Reply::error(e),
    }
}

fn directory(handler: &mut dyn Handler, group: Group, question: CgroupFd) -> Reply {
    match handler.cgroup_fd(group, &question.controller) {
        Ok(found) => {
            let answer = CgroupFd {
                layout: found.layout,
                utilities: found.utilities,
                magic: found.magic,
                controller: question.controller,
            };
            Reply { data: answer.encode().to_vec(), fds: vec![found.fd], ..Reply::default() }
        }
        Err(e) => Reply::error(e),
    }
}

/// The seconds a peer allows; negative is for ever.
fn timeout(header: Header) -> Option<Duration> {
    u64::try_from(header.int()).ok().map(Duration::from_secs)
}
