//! What the command socket is answered while a container starts, runs and stops.

use hull_cgroup::GroupOf;
use hull_ipc::monitord::publish_state;
use hull_ipc::server::{CgroupDirectories, CgroupDirectory, Group, Handler};
use hull_ipc::wire::{CgroupLayout, ConsoleLogRequest, DeviceRule};
use hull_ipc::{Server, State};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::{send, stop_signal};
use crate::error::{Named, Result};
use crate::start::{Running, Start, devices};

/// The state of a container as its monitor tells it.
pub(super) struct Live<'a> {
    start: &'a Start<'a>,
    state: State,
    pub(super) running: Option<Running>,
    /// The last output of the console, if it is kept.
    pub(super) ring: Option<Ring>,
    /// Which terminals are lent out.
    lent: Vec<bool>,
    /// The console's proxy: lent to one client, whose other end the monitor relays.
    proxy: Proxy,
}

/// The pty through which a client sees the console.
enum Proxy {
    Absent,
    /// Made, and to be taken by the relay.
    New(OwnedFd),
    Lent,
    /// Given back; the relay is to be told.
    Returned,
}

/// The last bytes written to a console.
pub(super) struct Ring {
    bytes: VecDeque<u8>,
    size: usize,
}

impl Ring {
    pub(super) fn push(&mut self, new: &[u8]) {
        let new = &new[new.len().saturating_sub(self.size)..];
        let over = (self.bytes.len() + new.len()).saturating_sub(self.size);
        self.bytes.drain(..over);
        self.bytes.extend(new);
    }
}

impl<'a> Live<'a> {
    pub(super) fn new(start: &'a Start<'a>, state: State) -> Self {
        let size = start.config.console().map_or(0, |c| c.buffer_size);
        let size = usize::try_from(size).unwrap_or(0);
        let ring = (size > 0).then(|| Ring { bytes: VecDeque::new(), size });
        Self { start, state, running: None, ring, lent: Vec::new(), proxy: Proxy::Absent }
    }

    /// Goes over to `state` and tells everybody who waits.
    pub(super) fn enter(&mut self, state: State, server: &mut Server) {
        self.state = state.lasting();
        server.state_changed(state);
        if let Some(rundir) = &self.start.rundir {
            // For stock lxc-monitor; a daemon that cannot be told harms nobody.
            let _ = publish_state(rundir, &self.start.lxcpath, &self.start.name, state);
        }
    }

    /// A copy of the first process's descriptor.
    pub(super) fn pidfd(&self) -> Result<OwnedFd> {
        self.init_pidfd().named(|| "dup(pidfd)".into())
    }

    /// Passes a signal on to the first process.
    pub(super) fn signal(&self, number: i32) {
        if let Some(running) = &self.running {
            send(&running.pidfd, number);
        }
    }

    /// What has become of the console's proxy, if anything: `Some(None)` is that it is gone.
    pub(super) fn take_proxy(&mut self) -> Option<Option<OwnedFd>> {
        match std::mem::replace(&mut self.proxy, Proxy::Absent) {
            Proxy::New(fd) => {
                self.proxy = Proxy::Lent;
                Some(Some(fd))
            }
            Proxy::Returned => Some(None),
            other => {
                self.proxy = other;
                None
            }
        }
    }

    fn running(&self) -> Result<&Running, Errno> {
        self.running.as_ref().ok_or(Errno::SRCH)
    }

    fn layout(&self) -> CgroupLayout {
        match self.running.as_ref().and_then(|r| r.cgroups.as_ref()).map(hull_cgroup::Cgroups::layout) {
            Some(hull_cgroup::Layout::Unified) => CgroupLayout::Unified,
            Some(hull_cgroup::Layout::Legacy) => CgroupLayout::Legacy,
            Some(hull_cgroup::Layout::Hybrid) => CgroupLayout::Hybrid,
            Some(hull_cgroup::Layout::None) | None => CgroupLayout::Unknown,
        }
    }
}

impl Handler for Live<'_> {
    fn state(&self) -> State {
        self.state
    }

    fn init_pid(&self) -> Option<i32> {
        self.running.as_ref().map(|r| r.pid.as_raw_nonzero().get())
    }

    fn init_pidfd(&self) -> Result<OwnedFd, Errno> {
        rustix::io::fcntl_dupfd_cloexec(&self.running()?.pidfd, 3)
    }

    fn clone_flags(&self) -> u64 {
        self.running.as_ref().map_or(0, |r| r.namespaces)
    }

    fn config_item(&mut self, key: &str) -> Option<String> {
        self.start.config.get(key)
    }

    fn stop(&mut self) -> Result<(), Errno> {
        let running = self.running()?;
        send(&running.pidfd, stop_signal(self.start));
        if let Some(cgroups) = &running.cgroups {
            // A frozen process does not act upon signals.
            let _ = cgroups.thaw(Some(Instant::now()));
        }
        Ok(())
    }

    fn cgroup(&mut self, group: Group, controller: Option<&str>) -> Result<String, Errno> {
        let cgroups = self.running()?.cgroups.as_ref().ok_or(Errno::NOENT)?;
        cgroups.path(which(group), controller).ok_or(Errno::NOENT)
    }

    fn cgroup_fd(&mut self, group: Group, controller: &str) -> Result<CgroupDirectory, Errno> {
        let layout = self.layout();
        let cgroups = self.running()?.cgroups.as_ref().ok_or(Errno::BADF)?;
        let found = cgroups.directory(which(group), Some(controller).filter(|c| !c.is_empty()));
        let (version, fd) = found.ok_or(Errno::BADF)?.map_err(|e| e.errno())?;
        let magic = match version {
            hull_cgroup::Version::One => hull_ipc::wire::CGROUP_MAGIC,
            hull_cgroup::Version::Two => hull_ipc::wire::CGROUP2_MAGIC,
        };
        Ok(CgroupDirectory { layout, utilities: 0, magic, fd })
    }

    fn cgroup2_fd(&mut self, group: Group) -> Result<OwnedFd, Errno> {
        let cgroups = self.running()?.cgroups.as_ref().ok_or(Errno::BADF)?;
        if cgroups.layout() != hull_cgroup::Layout::Unified {
            return Err(Errno::INVAL);
        }
        let (_, fd) = cgroups.directory(which(group), None).ok_or(Errno::BADF)?.map_err(|e| e.errno())?;
        Ok(fd)
    }

    fn cgroup_context(&mut self) -> Result<CgroupDirectories, Errno> {
        let layout = self.layout();
        let cgroups = self.running()?.cgroups.as_ref().ok_or(Errno::BADF)?;
        let fds = cgroups.directories().map_err(|e| e.errno())?;
        Ok(CgroupDirectories { layout, utilities: 0, fds })
    }

    fn freeze(&mut self, timeout: Option<Duration>) -> Result<(), Errno> {
        self.set_frozen(true, timeout)
    }

    fn unfreeze(&mut self, timeout: Option<Duration>) -> Result<(), Errno> {
        self.set_frozen(false, timeout)
    }

    fn set_state(&mut self, state: State) -> Result<(), Errno> {
        self.state = state.lasting();
        Ok(())
    }

    fn tty(&mut self, number: Option<u32>) -> Result<(u32, OwnedFd), Errno> {
        if number == Some(0) {
            return self.lend_console().map(|fd| (0, fd));
        }
        let count = self.running()?.ttys.len();
        self.lent.resize(count, false);
        let free = |index: &usize| !self.lent.get(*index).copied().unwrap_or(true);
        let index = match number {
            Some(n) => usize::try_from(n).ok().and_then(|n| n.checked_sub(1)).filter(|i| *i < count),
            None => (0..count).find(free),
        };
        let index = index.ok_or(Errno::BADF)?;
        if !free(&index) {
            return Err(Errno::BUSY);
        }
        let fd = rustix::io::fcntl_dupfd_cloexec(&self.running()?.ttys[index], 3)?;
        self.lent[index] = true;
        Ok((u32::try_from(index + 1).map_err(|_| Errno::BADF)?, fd))
    }

    fn tty_released(&mut self, number: u32) {
        match usize::try_from(number).ok().and_then(|n| n.checked_sub(1)) {
            None => self.proxy = Proxy::Returned,
            Some(index) => {
                if let Some(lent) = self.lent.get_mut(index) {
                    *lent = false;
                }
            }
        }
    }

    fn console_log(&mut self, request: ConsoleLogRequest) -> Result<Vec<u8>, Errno> {
        let ring = self.ring.as_mut().ok_or(Errno::FAULT)?;
        if request.read && ring.bytes.is_empty() {
            return Err(Errno::NODATA);
        }
        let wanted = usize::try_from(request.read_max).unwrap_or(usize::MAX);
        let length = if wanted == 0 { ring.bytes.len() } else { wanted.min(ring.bytes.len()) };
        let bytes = if request.read { ring.bytes.iter().take(length).copied().collect() } else { Vec::new() };
        if request.clear {
            ring.bytes.clear();
        }
        Ok(bytes)
    }

    fn devpts_fd(&mut self) -> Result<OwnedFd, Errno> {
        let devpts = self.running()?.devpts.as_ref().ok_or(Errno::BADF)?;
        rustix::io::fcntl_dupfd_cloexec(devpts, 3)
    }

    fn add_device_rule(&mut self, rule: DeviceRule) -> Result<(), Errno> {
        let running = self.running.as_mut().ok_or(Errno::SRCH)?;
        let cgroups = running.cgroups.as_mut().ok_or(Errno::NODEV)?;
        let number = |n: i32| if n < 0 { "*".to_owned() } else { n.to_string() };
        let access: String =
            rule.access.iter().filter(|b| b"rwm".contains(b)).map(|b| char::from(*b)).collect();
        let kind = char::from(rule.kind);
        let text = format!("{kind} {}:{} {access}", number(rule.major), number(rule.minor));
        let rule = hull_cgroup::devices::Rule::parse(rule.allow == 1, &text).map_err(|e| e.errno())?;
        cgroups.change_device(rule).map_err(|e| e.errno())
    }
}

impl Live<'_> {
    fn set_frozen(&mut self, frozen: bool, timeout: Option<Duration>) -> Result<(), Errno> {
        let cgroups = self.running()?.cgroups.as_ref().ok_or(Errno::NOENT)?;
        if !cgroups.freezes_by_version_two() {
            // What stock clients take as the order to do it themselves, and then to announce the state.
            return Err(Errno::NOENT);
        }
        let deadline = Some(Instant::now() + timeout.unwrap_or(Duration::from_secs(5)));
        let done = if frozen { cgroups.freeze(deadline) } else { cgroups.thaw(deadline) };
        done.map_err(|e| e.errno())?;
        self.state = if frozen { State::Frozen } else { State::Running };
        Ok(())
    }

    /// Makes a pty of the host through which one client at a time sees the console.
    fn lend_console(&mut self) -> Result<OwnedFd, Errno> {
        if self.running()?.console.is_none() {
            return Err(Errno::BADF);
        }
        if matches!(self.proxy, Proxy::New(_) | Proxy::Lent) {
            return Err(Errno::BUSY);
        }
        let pty = devices::open_pty(None).map_err(|e| e.errno().unwrap_or(Errno::IO))?;
        self.proxy = Proxy::New(pty.peer);
        Ok(pty.master)
    }
}

fn which(group: Group) -> GroupOf {
    match group {
        Group::Inner => GroupOf::Processes,
        Group::Limit => GroupOf::Limits,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ring_keeps_the_last_bytes() {
        let mut ring = Ring { bytes: VecDeque::new(), size: 4 };
        ring.push(b"abc");
        ring.push(b"de");
        assert_eq!(ring.bytes, b"bcde");
        ring.push(b"0123456789");
        assert_eq!(ring.bytes, b"6789");
    }
}
