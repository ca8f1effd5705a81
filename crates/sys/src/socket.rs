//! Passing descriptors and credentials over unix sockets.

use rustix::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, UCred};
use std::io::IoSlice;
use std::mem::MaybeUninit;

use crate::{Error, Result, fd};

/// The most descriptors the kernel takes in one message (`SCM_MAX_FD`, unix(7)).
pub const MAX_FDS: usize = 253;

/// Who is at the other end, as the kernel vouches for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// The process, 0 if it has no number in our pid namespace.
    pub pid: i32,
    /// Its user in our user namespace.
    pub uid: u32,
    /// Its group in our user namespace.
    pub gid: u32,
}

/// What one `recvmsg(2)` brought.
#[derive(Debug)]
pub struct Received {
    /// Bytes put into the buffer; 0 when the peer has closed.
    pub length: usize,
    /// Descriptors, close-on-exec.
    pub fds: Vec<OwnedFd>,
    /// Who sent it, if the socket passes credentials ([`pass_credentials`]).
    pub credentials: Option<Credentials>,
    /// Whether the kernel had to drop descriptors for lack of space.
    pub truncated: bool,
}

/// Makes `socket` tell with each message who sent it: `SO_PASSCRED`. Sockets accepted from a listener inherit it.
pub fn pass_credentials(socket: impl AsFd) -> Result<()> {
    rustix::net::sockopt::set_socket_passcred(&socket, true)
        .map_err(|e| Error::new(format!("setsockopt({}, SO_PASSCRED)", fd::name(&socket)), e))
}

/// Who connected `socket`, noted by the kernel at `connect(2)`: `SO_PEERCRED`.
///
/// Not rustix's: a peer outside our pid namespace has pid 0, which its type cannot hold.
pub fn peer_credentials(socket: impl AsFd) -> Result<Credentials> {
    let mut raw = libc::ucred { pid: 0, uid: 0, gid: 0 };
    let mut size = u32::try_from(size_of::<libc::ucred>()).expect("12 fits");
    // SAFETY: `raw` is a live `ucred` of the size given, both are written only during the call.
    let result = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            (&raw mut raw).cast(),
            &raw mut size,
        )
    };
    if result != 0 {
        return Err(Error::last(format!("getsockopt({}, SO_PEERCRED)", fd::name(socket))));
    }
    Ok(Credentials { pid: raw.pid, uid: raw.uid, gid: raw.gid })
}

/// Sends `bytes` with `fds` (at most [`MAX_FDS`]) attached to the first byte. Returns how many bytes went.
///
/// A closed peer is `EPIPE`, never a signal. A non-blocking socket whose peer does not read is `EAGAIN`.
pub fn send(socket: impl AsFd, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> Result<usize> {
    send_message(socket, bytes, fds, None)
}

/// Sends `bytes` with our process, real user and real group attached, as `SCM_CREDENTIALS`.
pub fn send_with_credentials(socket: impl AsFd, bytes: &[u8]) -> Result<usize> {
    let own = UCred {
        pid: rustix::process::getpid(),
        uid: rustix::process::getuid(),
        gid: rustix::process::getgid(),
    };
    send_message(socket, bytes, &[], Some(own))
}

/// Receives at most `buffer.len()` bytes with what descriptors and credentials come along.
pub fn receive(socket: impl AsFd, buffer: &mut [u8]) -> Result<Received> {
    const SPACE: usize = {
        // SAFETY: CMSG_SPACE only computes.
        unsafe {
            (libc::CMSG_SPACE((MAX_FDS * size_of::<i32>()) as u32)
                + libc::CMSG_SPACE(size_of::<libc::ucred>() as u32)) as usize
        }
    };
    let mut control = [0u64; SPACE.div_ceil(8)];
    let mut slice = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    // SAFETY: all-zero is a valid `msghdr`: null pointers with zero lengths.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = &raw mut slice;
    message.msg_iovlen = 1;
    message.msg_control = control.as_mut_ptr().cast();
    message.msg_controllen = size_of_val(&control);
    let length = loop {
        // SAFETY: `message` points at `slice` and `control`, which live on, with their true lengths.
        let n =
            unsafe { libc::recvmsg(socket.as_fd().as_raw_fd(), &raw mut message, libc::MSG_CMSG_CLOEXEC) };
        if let Ok(n) = usize::try_from(n) {
            break n;
        }
        let error = Error::last(format!("recvmsg({})", fd::name(&socket)));
        if error.errno() != rustix::io::Errno::INTR {
            return Err(error);
        }
    };
    let mut received = Received {
        length,
        fds: Vec::new(),
        credentials: None,
        truncated: message.msg_flags & libc::MSG_CTRUNC != 0,
    };
    // SAFETY: the kernel has filled `message`, whose control buffer is aligned for `cmsghdr`; the macros walk
    // it within `msg_controllen`. Payloads are read unaligned and only as far as `cmsg_len` says. Each
    // descriptor was just installed for us and is owned by nobody else.
    unsafe {
        let mut header = libc::CMSG_FIRSTHDR(&raw const message);
        while !header.is_null() {
            let payload = libc::CMSG_DATA(header);
            let length = ((*header).cmsg_len).saturating_sub(libc::CMSG_LEN(0) as usize);
            match ((*header).cmsg_level, (*header).cmsg_type) {
                (libc::SOL_SOCKET, libc::SCM_RIGHTS) => {
                    for i in 0..length / size_of::<i32>() {
                        let raw = payload.cast::<i32>().add(i).read_unaligned();
                        received.fds.push(OwnedFd::from_raw_fd(raw));
                    }
                }
                (libc::SOL_SOCKET, libc::SCM_CREDENTIALS) if length >= size_of::<libc::ucred>() => {
                    let raw = payload.cast::<libc::ucred>().read_unaligned();
                    received.credentials = Some(Credentials { pid: raw.pid, uid: raw.uid, gid: raw.gid });
                }
                _ => {}
            }
            header = libc::CMSG_NXTHDR(&raw const message, header);
        }
    }
    Ok(received)
}

fn send_message(
    socket: impl AsFd,
    bytes: &[u8],
    fds: &[BorrowedFd<'_>],
    credentials: Option<UCred>,
) -> Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS), ScmCredentials(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let named = |e| Error::new(format!("sendmsg({}, {} bytes)", fd::name(&socket), bytes.len()), e);
    if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(named(rustix::io::Errno::TOOMANYREFS));
    }
    if let Some(own) = credentials
        && !control.push(SendAncillaryMessage::ScmCredentials(own))
    {
        return Err(named(rustix::io::Errno::NOBUFS));
    }
    rustix::io::retry_on_intr(|| {
        rustix::net::sendmsg(&socket, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL)
    })
    .map_err(named)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

    fn pair() -> (OwnedFd, OwnedFd) {
        socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None).unwrap()
    }

    #[test]
    fn descriptors_and_credentials_arrive_with_the_bytes() {
        let (a, b) = pair();
        pass_credentials(&b).unwrap();
        let null = std::fs::File::open("/dev/null").unwrap();
        send(&a, b"hello", &[null.as_fd(), null.as_fd()]).unwrap();
        let mut buffer = [0; 16];
        let got = receive(&b, &mut buffer).unwrap();
        assert_eq!((&buffer[..got.length], got.fds.len(), got.truncated), (&b"hello"[..], 2, false));
        assert_eq!(got.credentials.unwrap().pid, rustix::process::getpid().as_raw_nonzero().get());
        let flags = rustix::io::fcntl_getfd(&got.fds[0]).unwrap();
        assert!(flags.contains(rustix::io::FdFlags::CLOEXEC), "received descriptors close on exec");
    }

    #[test]
    fn explicit_credentials_and_end_of_file() {
        let (a, b) = pair();
        pass_credentials(&b).unwrap();
        send_with_credentials(&a, b"x").unwrap();
        let got = receive(&b, &mut [0; 4]).unwrap();
        assert_eq!(got.credentials, Some(peer_credentials(&b).unwrap()));
        drop(a);
        assert_eq!(receive(&b, &mut [0; 4]).unwrap().length, 0, "a closed peer reads as end of file");
        assert_eq!(send(&b, b"x", &[]).unwrap_err().errno(), rustix::io::Errno::PIPE);
    }

    #[test]
    fn the_most_descriptors_fit_and_one_more_does_not() {
        let (a, b) = pair();
        let null = std::fs::File::open("/dev/null").unwrap();
        let many = vec![null.as_fd(); MAX_FDS];
        send(&a, b"x", &many).unwrap();
        assert_eq!(receive(&b, &mut [0; 4]).unwrap().fds.len(), MAX_FDS);
        let more = vec![null.as_fd(); MAX_FDS + 1];
        assert!(send(&a, b"x", &more).is_err());
    }
}
