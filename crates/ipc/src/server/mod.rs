//! A monitor's end of the command socket.

mod answer;
mod connection;
mod handler;

pub use handler::{CgroupDirectories, CgroupDirectory, Group, Handler};

use hull_sys::socket::{self, Credentials};
use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use rustix::time::Timespec;
use std::collections::BTreeMap;
use std::path::Path;

use crate::wire::{Event, Message, Wanted};
use crate::{Address, State, address};
use answer::{Answer, Identity, Reply};
use connection::{Connection, Input};

/// The result of the server's calls.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why there is no server, or no longer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Another process listens at the container's address.
    #[error("container {name} is already running: another monitor listens at {address}; stop it first")]
    AlreadyRunning {
        /// The container.
        name: String,
        /// Its address.
        address: Address,
    },
    /// A call failed.
    #[error("the command socket {address} of container {name} cannot be served: {source}")]
    System {
        /// The container.
        name: String,
        /// Its address.
        address: Address,
        /// The call.
        source: hull_sys::Error,
    },
}

/// Connections served at once. Beyond, the one longest silent that holds nothing makes room.
const MOST_CONNECTIONS: usize = 512;
/// Requests answered to one peer before the others' turn comes.
const REQUESTS_PER_TURN: usize = 16;
/// As LXC has it.
const BACKLOG: i32 = 100;

/// The command socket of a running container.
///
/// While it lives, the container counts as running; dropping it makes it [`State::Stopped`] for everybody and
/// ends all connections. It has one descriptor to poll for reading, an epoll of its own; when that is ready,
/// call [`Server::dispatch`]. Nothing here blocks or keeps the descriptors of peers.
#[derive(Debug)]
pub struct Server {
    identity: Identity,
    address: Address,
    listener: OwnedFd,
    epoll: OwnedFd,
    /// Given up for a moment to turn a peer away when descriptors have run out.
    spare: Option<OwnedFd>,
    connections: BTreeMap<RawFd, Connection>,
    turn: u64,
}

impl Server {
    /// Listens at the address of container `name` under `lxcpath`.
    ///
    /// Fails with [`Error::AlreadyRunning`] when somebody already does.
    pub fn bind(lxcpath: &Path, name: &str) -> Result<Self> {
        let address = Address::new(lxcpath, name);
        let system = |source| Error::System { name: name.into(), address: address.clone(), source };
        let failed = |call: &str, e| system(hull_sys::Error::new(format!("{call}({address})"), e));
        let listener = rustix::net::socket_with(
            AddressFamily::UNIX,
            SocketType::STREAM,
            SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
            None,
        )
        .map_err(|e| failed("socket", e))?;
        socket::pass_credentials(&listener).map_err(system)?;
        let named = address.to_socket().map_err(|e| failed("bind", e))?;
        rustix::net::bind(&listener, &named).map_err(|e| match e {
            Errno::ADDRINUSE => Error::AlreadyRunning { name: name.into(), address: address.clone() },
            e => failed("bind", e),
        })?;
        rustix::net::listen(&listener, BACKLOG).map_err(|e| failed("listen", e))?;
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).map_err(|e| failed("epoll_create1", e))?;
        epoll::add(&epoll, &listener, tag(&listener), EventFlags::IN).map_err(|e| failed("epoll_ctl", e))?;
        let spare = rustix::io::fcntl_dupfd_cloexec(&listener, 0).ok();
        let lxcpath = address::trim_slashes(lxcpath.as_os_str().as_encoded_bytes());
        let identity =
            Identity { lxcpath: String::from_utf8_lossy(lxcpath).into_owned(), name: name.to_owned() };
        Ok(Self { identity, address, listener, epoll, spare, connections: BTreeMap::new(), turn: 0 })
    }

    /// Where it listens.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// How many peers are connected.
    pub fn connection_count(&self) -> usize {
        self.connections.len()
    }

    /// Accepts, reads and answers what is ready, without waiting.
    ///
    /// What peers do wrong ends their connection only; an error means the server itself cannot go on.
    pub fn dispatch(&mut self, handler: &mut dyn Handler) -> Result<()> {
        self.turn += 1;
        let mut events = Vec::with_capacity(64);
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        match epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&now)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(e) => return Err(self.failed("epoll_wait", e)),
        }
        for event in events {
            let number = event.data.u64() as RawFd;
            if number == self.listener.as_raw_fd() {
                self.accept(handler)?;
            } else {
                self.serve(number, handler);
            }
        }
        Ok(())
    }

    /// Tells the clients that wait for `state`. Call it at each change, after the handler knows it.
    pub fn state_changed(&mut self, state: State) {
        let message = Message { name: self.identity.name.clone(), event: Event::State(state) }.encode();
        let waiting = |c: &Connection| c.waits_for.is_some_and(|mask| mask.wants(state) != Wanted::No);
        let numbers: Vec<RawFd> =
            self.connections.iter().filter(|(_, c)| waiting(c)).map(|(n, _)| *n).collect();
        for number in numbers {
            if let Some(connection) = self.connections.get_mut(&number) {
                connection.waits_for = None;
                connection.push_bytes(&message);
                connection.closing = true;
                if connection.flush().is_err() || !connection.has_output() {
                    self.connections.remove(&number);
                } else {
                    self.watch(number);
                }
            }
        }
    }

    /// The container has rebooted: ends the connections that wait for its end, and those that wait for a
    /// state but did not say that they outlive a reboot.
    pub fn rebooted(&mut self) {
        self.connections.retain(|_, connection| {
            let ends = match connection.waits_for {
                Some(mask) => mask.wants(State::Running) != Wanted::OnChange,
                None => connection.awaits_end,
            };
            !ends
        });
    }

    fn accept(&mut self, handler: &mut dyn Handler) -> Result<()> {
        for _ in 0..BACKLOG {
            match rustix::net::accept_with(&self.listener, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK) {
                Ok(socket) => self.admit(socket, handler),
                Err(Errno::AGAIN) => return Ok(()),
                Err(Errno::INTR | Errno::CONNABORTED) => {}
                Err(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM) => return self.turn_away(),
                Err(e) => return Err(self.failed("accept4", e)),
            }
        }
        Ok(())
    }

    /// Takes a peer in, dropping the one longest silent when there are too many.
    fn admit(&mut self, socket: OwnedFd, handler: &mut dyn Handler) {
        if self.connections.len() >= MOST_CONNECTIONS {
            let idle = self.connections.iter().filter(|(_, c)| c.is_idle());
            let Some(number) = idle.min_by_key(|(_, c)| c.heard).map(|(n, _)| *n) else {
                return;
            };
            self.close(number, handler);
        }
        let number = socket.as_raw_fd();
        if epoll::add(&self.epoll, &socket, tag(&socket), EventFlags::IN).is_ok() {
            let mut connection = Connection::new(socket);
            connection.heard = self.turn;
            self.connections.insert(number, connection);
        }
    }

    /// Accepts and closes one peer with the spare descriptor's number, so that the loop does not spin on it.
    fn turn_away(&mut self) -> Result<()> {
        self.spare = None;
        let peer = rustix::net::accept_with(&self.listener, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK);
        drop(peer);
        self.spare = rustix::io::fcntl_dupfd_cloexec(&self.listener, 0).ok();
        Ok(())
    }

    fn serve(&mut self, number: RawFd, handler: &mut dyn Handler) {
        let turn = self.turn;
        for _ in 0..REQUESTS_PER_TURN {
            let Some(connection) = self.connections.get_mut(&number) else { return };
            connection.heard = turn;
            if connection.flush().is_err() {
                return self.close(number, handler);
            }
            if connection.has_output() {
                return self.watch(number);
            }
            if connection.closing {
                return self.close(number, handler);
            }
            let (header, data, sender) = match connection.read(|h| answer::refuse(h).is_some()) {
                Input::Request(header, data, sender) => (header, data, sender.or_else(|| connection.peer())),
                Input::Nothing => return self.watch(number),
                Input::End => return self.close(number, handler),
            };
            if connection.waits_for.is_some() || connection.awaits_end {
                // It has asked for something that ends this connection, so no other request can follow.
                return self.close(number, handler);
            }
            let answer = if !is_allowed(sender) {
                Answer::Last(Reply::error(Errno::PERM))
            } else if let Some(errno) = answer::refuse(header) {
                Answer::Last(Reply::error(errno))
            } else if !connection.ttys.is_empty() && answer::ends_connection(header) {
                // Its end is the return of the terminal, so it cannot mean something else, too.
                Answer::Reply(Reply::error(Errno::BUSY))
            } else {
                answer::answer(header, &data, &self.identity, handler)
            };
            self.carry_out(number, answer);
        }
        self.watch(number);
    }

    fn carry_out(&mut self, number: RawFd, answer: Answer) {
        let Some(connection) = self.connections.get_mut(&number) else { return };
        match answer {
            Answer::Reply(reply) => connection.push(reply),
            Answer::Last(reply) => {
                connection.push(reply);
                connection.closing = true;
            }
            Answer::Silence => connection.awaits_end = true,
            Answer::Wait(reply, mask) => {
                connection.push(reply);
                connection.waits_for = Some(mask);
            }
            Answer::Lend(reply, tty) => {
                connection.push(reply);
                connection.ttys.push(tty);
            }
            Answer::Announce(reply, state) => {
                connection.push(reply);
                self.state_changed(state);
            }
        }
    }

    /// Polls for writing while something is unsent, else for reading.
    fn watch(&self, number: RawFd) {
        if let Some(connection) = self.connections.get(&number) {
            let flags = if connection.has_output() { EventFlags::OUT } else { EventFlags::IN };
            // It was added when accepted, so this fails only for want of kernel memory; the peer then waits.
            let _ = epoll::modify(&self.epoll, connection, tag(connection), flags);
        }
    }

    fn close(&mut self, number: RawFd, handler: &mut dyn Handler) {
        if let Some(connection) = self.connections.remove(&number) {
            for tty in connection.ttys {
                handler.tty_released(tty);
            }
        }
    }

    fn failed(&self, call: &str, errno: Errno) -> Error {
        Error::System {
            name: self.identity.name.clone(),
            address: self.address.clone(),
            source: hull_sys::Error::new(format!("{call}({})", self.address), errno),
        }
    }
}

impl AsFd for Server {
    /// The descriptor to poll for reading.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }
}

/// Root, and who runs the monitor, may ask; as in LXC.
fn is_allowed(sender: Option<Credentials>) -> bool {
    let (uid, gid) = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
    sender.is_some_and(|s| s.uid == 0 || (s.uid == uid && s.gid == gid))
}

fn tag(fd: impl AsFd) -> EventData {
    EventData::new_u64(u64::try_from(fd.as_fd().as_raw_fd()).expect("a borrowed descriptor is not negative"))
}
