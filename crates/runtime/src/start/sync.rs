//! What the supervisor and the container's first process tell each other before the exec: a sequenced-packet
//! socket. The child's end closes at a successful exec.

use hull_sys::socket;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::net::{AddressFamily, SocketFlags, SocketType};

use crate::error::{Error, Named, Result};

/// One end.
#[derive(Debug)]
pub(crate) struct Sync(OwnedFd);

/// What is said.
#[derive(Debug)]
pub(crate) enum Message {
    /// To the child: id maps, cgroups and limits are in place; set the container up.
    SetUp,
    /// To the supervisor: the terminals, host side: devpts if any, console if any, ttys.
    Terminals { devpts: Option<OwnedFd>, console: Option<OwnedFd>, ttys: Vec<OwnedFd>, names: String },
    /// To the supervisor: all is set up.
    Ready,
    /// To the child: execute.
    Execute,
    /// From the helper of an attach: the command's process number.
    Entered(i32),
    /// To the supervisor: this failed.
    Failed(Error),
    /// The other end is gone: at the supervisor's, because the child has executed or died.
    Closed,
}

const SET_UP: u8 = 1;
const TERMINALS: u8 = 2;
const READY: u8 = 3;
const EXECUTE: u8 = 4;
const FAILED: u8 = 5;
const ENTERED: u8 = 6;
const LONGEST: usize = 4096;

/// Makes both ends.
pub(crate) fn pair() -> Result<(Sync, Sync)> {
    let (a, b) =
        rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
            .named(|| "socketpair(AF_UNIX, SOCK_SEQPACKET)".into())?;
    Ok((Sync(a), Sync(b)))
}

impl Sync {
    /// Sends `message`.
    pub(crate) fn send(&self, message: &Message) -> Result<()> {
        let mut bytes = Vec::new();
        let mut fds: Vec<BorrowedFd<'_>> = Vec::new();
        match message {
            Message::SetUp => bytes.push(SET_UP),
            Message::Ready => bytes.push(READY),
            Message::Execute => bytes.push(EXECUTE),
            Message::Terminals { devpts, console, ttys, names } => {
                bytes.extend([TERMINALS, u8::from(devpts.is_some()), u8::from(console.is_some())]);
                bytes.extend(names.as_bytes());
                fds.extend(devpts.iter().chain(console).chain(ttys).map(AsFd::as_fd));
            }
            Message::Entered(number) => {
                bytes.push(ENTERED);
                bytes.extend(number.to_ne_bytes());
            }
            Message::Failed(error) => {
                bytes.push(FAILED);
                bytes.extend(error.errno().map_or(0, rustix::io::Errno::raw_os_error).to_ne_bytes());
                let text = error.to_string();
                let fits = (0..=text.len().min(LONGEST - 16)).rev().find(|i| text.is_char_boundary(*i));
                bytes.extend(&text.as_bytes()[..fits.unwrap_or(0)]);
            }
            Message::Closed => return Ok(()),
        }
        socket::send(&self.0, &bytes, &fds)?;
        Ok(())
    }

    /// Waits for the next message.
    pub(crate) fn receive(&self) -> Result<Message> {
        let mut buffer = [0; LONGEST];
        let got = match socket::receive(&self.0, &mut buffer) {
            // The child's end closed with something unread.
            Err(e) if e.errno() == rustix::io::Errno::CONNRESET => return Ok(Message::Closed),
            other => other?,
        };
        let Some((&tag, rest)) = buffer[..got.length].split_first() else { return Ok(Message::Closed) };
        let mut fds = got.fds.into_iter();
        Ok(match (tag, rest) {
            (SET_UP, _) => Message::SetUp,
            (READY, _) => Message::Ready,
            (EXECUTE, _) => Message::Execute,
            (TERMINALS, [devpts, console, names @ ..]) => {
                let devpts = (*devpts == 1).then(|| fds.next()).flatten();
                let console = (*console == 1).then(|| fds.next()).flatten();
                let names = String::from_utf8_lossy(names).into_owned();
                Message::Terminals { devpts, console, ttys: fds.collect(), names }
            }
            (ENTERED, [a, b, c, d]) => Message::Entered(i32::from_ne_bytes([*a, *b, *c, *d])),
            (FAILED, [a, b, c, d, text @ ..]) => {
                let errno = i32::from_ne_bytes([*a, *b, *c, *d]);
                Message::Failed(Error::received(String::from_utf8_lossy(text).into_owned(), errno))
            }
            _ => {
                return Err(Error::new(format!(
                    "the container's first process sent an unknown message {tag}"
                )));
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_and_terminals_cross() {
        let (a, b) = pair().expect("a pair");
        a.send(&Message::Failed(Error::call("mount(x)", rustix::io::Errno::NODEV))).expect("sent");
        let Ok(Message::Failed(error)) = b.receive() else { panic!("a failure") };
        assert_eq!(
            (error.to_string().as_str(), error.errno()),
            ("mount(x): No such device", Some(rustix::io::Errno::NODEV))
        );
        let tty = || OwnedFd::from(std::fs::File::open("/dev/null").expect("open"));
        let made = Message::Terminals {
            devpts: None,
            console: Some(tty()),
            ttys: vec![tty(), tty()],
            names: "pts/1".into(),
        };
        a.send(&made).expect("sent");
        let Ok(Message::Terminals { devpts, console, ttys, names }) = b.receive() else {
            panic!("terminals")
        };
        assert_eq!(
            (devpts.is_some(), console.is_some(), ttys.len(), names.as_str()),
            (false, true, 2, "pts/1")
        );
        drop(a);
        assert!(matches!(b.receive(), Ok(Message::Closed)));
    }
}
