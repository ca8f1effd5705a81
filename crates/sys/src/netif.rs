//! Network interfaces.

use rustix::fd::AsRawFd;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType};

use crate::{Error, Result};

/// Brings the interface `name` of the calling process's network namespace up: `ioctl(SIOCSIFFLAGS)`,
/// netdevice(7).
pub fn bring_up(name: &str) -> Result<()> {
    let describe = || format!("ioctl({name}, SIOCSIFFLAGS, IFF_UP)");
    let socket = rustix::net::socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)
        .map_err(|e| Error::new(describe(), e))?;
    // SAFETY: an all-zero `ifreq` is a value of the type.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    if name.len() >= request.ifr_name.len() {
        return Err(Error::new(describe(), Errno::NAMETOOLONG));
    }
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from as libc::c_char;
    }
    // SAFETY: the request is live; the kernel fills its flags.
    if unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCGIFFLAGS, &raw mut request) } != 0 {
        return Err(Error::last(describe()));
    }
    // SAFETY: flags are the variant that the call above filled.
    unsafe { request.ifr_ifru.ifru_flags |= libc::IFF_UP as libc::c_short };
    // SAFETY: the request is live and its flags are set.
    if unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) } != 0 {
        return Err(Error::last(describe()));
    }
    Ok(())
}
