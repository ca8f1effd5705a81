//! One question and its answer on a connection of their own.

use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::sockopt::{self, Timeout};
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use std::time::{Duration, Instant};

use super::{Client, Error, Result, socket};
use crate::wire::{Command, HEADER_SIZE, Header};

/// Answers with more data than this are not LXC's; the longest are console logs.
const LARGEST_ANSWER: usize = 64 << 20;

/// A question.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) command: Command,
    scalar: u64,
    data: Vec<u8>,
}

impl Call {
    pub(super) fn new(command: Command) -> Self {
        Self { command, scalar: 0, data: Vec::new() }
    }

    pub(super) fn scalar(self, scalar: u64) -> Self {
        Self { scalar, ..self }
    }

    pub(super) fn data(self, data: Vec<u8>) -> Self {
        Self { data, ..self }
    }
}

/// An answer and the connection it came by.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) header: Header,
    pub(super) data: Vec<u8>,
    pub(super) fds: Vec<OwnedFd>,
    pub(super) socket: OwnedFd,
}

impl Client {
    /// Asks and takes a negative result as refusal.
    pub(super) fn call(&self, call: &Call) -> Result<Answer> {
        let command = call.command;
        let deadline = Instant::now().checked_add(self.timeout);
        let answer = self.exchange(call, deadline)?;
        if answer.header.code < 0 {
            let errno = Errno::from_raw_os_error(answer.header.code.saturating_neg());
            return Err(Error::Refused { name: self.name.clone(), command, errno });
        }
        Ok(answer)
    }

    /// Asks and answers whatever comes. No `deadline` is for ever.
    pub(super) fn exchange(&self, call: &Call, deadline: Option<Instant>) -> Result<Answer> {
        let command = call.command;
        let failed = |e| self.failed(command, e);
        let socket = self.connect(command, deadline)?;
        let length = i32::try_from(call.data.len()).expect("requests are short");
        let header = Header { code: command.number(), length, scalar: call.scalar };
        send_all(&socket, &header.encode(), true).map_err(failed)?;
        send_all(&socket, &call.data, false).map_err(failed)?;
        let mut bytes = [0; HEADER_SIZE];
        let mut fds = Vec::new();
        self.receive_all(&socket, &mut bytes, &mut fds, command, deadline)?;
        let header = Header::decode(&bytes);
        let length = usize::try_from(header.length).unwrap_or(0);
        if length > LARGEST_ANSWER {
            return Err(self.protocol(command, "claims to be more than 64 MiB long"));
        }
        let mut data = vec![0; length];
        self.receive_all(&socket, &mut data, &mut fds, command, deadline)?;
        Ok(Answer { header, data, fds, socket })
    }

    fn connect(&self, command: Command, deadline: Option<Instant>) -> Result<OwnedFd> {
        let failed = |call: &'static str| {
            move |e| self.failed(command, hull_sys::Error::new(format!("{call}({})", self.address), e))
        };
        let socket =
            rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)
                .map_err(failed("socket"))?;
        self.set_timeouts(&socket, command, deadline)?;
        let address = self.address.to_socket().map_err(failed("connect"))?;
        rustix::io::retry_on_intr(|| rustix::net::connect(&socket, &address)).map_err(failed("connect"))?;
        Ok(socket)
    }

    /// Fills `bytes`. The end of the connection within is [`Error::Stopped`].
    pub(super) fn receive_all(
        &self,
        from: &OwnedFd,
        bytes: &mut [u8],
        fds: &mut Vec<OwnedFd>,
        command: Command,
        deadline: Option<Instant>,
    ) -> Result<()> {
        let mut done = 0;
        while done < bytes.len() {
            self.set_timeouts(from, command, deadline)?;
            let received = socket::receive(from, &mut bytes[done..]).map_err(|e| self.failed(command, e))?;
            if received.length == 0 {
                return Err(Error::Stopped(self.name.clone()));
            }
            done += received.length;
            fds.extend(received.fds);
        }
        Ok(())
    }

    /// Lets the next calls on `socket` last until `deadline`; fails when it has passed.
    fn set_timeouts(&self, socket: &OwnedFd, command: Command, deadline: Option<Instant>) -> Result<()> {
        let Some(deadline) = deadline else { return Ok(()) };
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(self.timed_out(command));
        }
        // Under a microsecond would be rounded to 0, which is for ever; the kernel caps at its own longest.
        let left = left.clamp(Duration::from_millis(1), Duration::from_secs(365 * 86400));
        for direction in [Timeout::Send, Timeout::Recv] {
            sockopt::set_socket_timeout(socket, direction, Some(left)).map_err(|e| {
                self.failed(command, hull_sys::Error::new(format!("setsockopt(timeout {left:?})"), e))
            })?;
        }
        Ok(())
    }

    fn failed(&self, command: Command, source: hull_sys::Error) -> Error {
        match source.errno() {
            Errno::CONNREFUSED | Errno::PIPE | Errno::CONNRESET => Error::Stopped(self.name.clone()),
            Errno::AGAIN | Errno::TIMEDOUT => self.timed_out(command),
            _ => Error::System { name: self.name.clone(), source },
        }
    }

    fn timed_out(&self, command: Command) -> Error {
        Error::TimedOut { name: self.name.clone(), command, timeout: self.timeout }
    }
}

fn send_all(to: &OwnedFd, mut bytes: &[u8], credentials: bool) -> hull_sys::Result<()> {
    while !bytes.is_empty() {
        let sent = if credentials {
            socket::send_with_credentials(to, bytes)?
        } else {
            socket::send(to, bytes, &[])?
        };
        bytes = &bytes[sent..];
    }
    Ok(())
}
