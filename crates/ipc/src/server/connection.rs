//! One peer: its unfinished request, its unsent answer, what it holds.

use hull_sys::socket::{self, Credentials};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;

use super::answer::Reply;
use crate::wire::{HEADER_SIZE, Header, StateMask};

/// A peer's connection. It never blocks.
#[derive(Debug)]
pub(super) struct Connection {
    socket: OwnedFd,
    input: Vec<u8>,
    sender: Option<Credentials>,
    output: Vec<u8>,
    fds: Vec<OwnedFd>,
    /// Close once all is sent.
    pub(super) closing: bool,
    /// Asked to stop the container and waits for the end.
    pub(super) awaits_end: bool,
    /// Waits for these states.
    pub(super) waits_for: Option<StateMask>,
    /// Terminals lent to it.
    pub(super) ttys: Vec<u32>,
    /// When it was last heard of, in dispatches.
    pub(super) heard: u64,
}

/// What reading brought.
#[derive(Debug)]
pub(super) enum Input {
    /// A header is complete; its data may not be.
    Request(Header, Vec<u8>, Option<Credentials>),
    /// Nothing complete yet.
    Nothing,
    /// The peer has gone.
    End,
}

impl Connection {
    pub(super) fn new(socket: OwnedFd) -> Self {
        Self {
            socket,
            input: Vec::new(),
            sender: None,
            output: Vec::new(),
            fds: Vec::new(),
            closing: false,
            awaits_end: false,
            waits_for: None,
            ttys: Vec::new(),
            heard: 0,
        }
    }

    /// Whether it holds nothing and could be dropped to make room.
    pub(super) fn is_idle(&self) -> bool {
        !self.awaits_end && self.waits_for.is_none() && self.ttys.is_empty()
    }

    pub(super) fn has_output(&self) -> bool {
        !self.output.is_empty()
    }

    /// Reads at most one request. `refuses` says of a header that its data is not worth reading.
    pub(super) fn read(&mut self, refuses: impl Fn(Header) -> bool) -> Input {
        loop {
            let header = self.input.first_chunk::<HEADER_SIZE>().map(Header::decode);
            let wanted = match header {
                None => HEADER_SIZE,
                Some(header) => {
                    let data = if refuses(header) { 0 } else { usize::try_from(header.length).unwrap_or(0) };
                    if self.input.len() == HEADER_SIZE + data {
                        let data = self.input.split_off(HEADER_SIZE);
                        self.input.clear();
                        return Input::Request(header, data, self.sender.take());
                    }
                    HEADER_SIZE + data
                }
            };
            let mut buffer = [0; 4096];
            let missing = (wanted - self.input.len()).min(buffer.len());
            match socket::receive(&self.socket, &mut buffer[..missing]) {
                Ok(received) if received.length == 0 => return Input::End,
                // Descriptors nobody asked for are closed here.
                Ok(received) => {
                    self.input.extend_from_slice(&buffer[..received.length]);
                    self.sender = self.sender.or(received.credentials);
                }
                Err(e) if e.errno() == Errno::AGAIN => return Input::Nothing,
                Err(_) => return Input::End,
            }
        }
    }

    /// Puts an answer after what is still unsent.
    pub(super) fn push(&mut self, reply: Reply) {
        let header = Header {
            code: reply.code,
            length: i32::try_from(reply.data.len()).unwrap_or(i32::MAX),
            scalar: reply.scalar,
        };
        self.output.extend_from_slice(&header.encode());
        self.output.extend_from_slice(&reply.data);
        self.fds = reply.fds;
    }

    /// Puts bytes after what is still unsent.
    pub(super) fn push_bytes(&mut self, bytes: &[u8]) {
        self.output.extend_from_slice(bytes);
    }

    /// Sends what the socket takes. `Err`: the peer has gone.
    pub(super) fn flush(&mut self) -> Result<(), Errno> {
        while !self.output.is_empty() {
            let fds: Vec<BorrowedFd<'_>> = self.fds.iter().map(AsFd::as_fd).collect();
            match socket::send(&self.socket, &self.output, &fds) {
                Ok(sent) => {
                    // Descriptors go with the first byte.
                    self.fds.clear();
                    self.output.drain(..sent);
                }
                Err(e) if e.errno() == Errno::AGAIN => return Ok(()),
                Err(e) => return Err(e.errno()),
            }
        }
        Ok(())
    }

    /// Who connected, for a message without credentials of its own.
    pub(super) fn peer(&self) -> Option<Credentials> {
        socket::peer_credentials(&self.socket).ok()
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
