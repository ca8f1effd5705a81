//! Session keyrings.

use crate::{Error, Result};

/// Gives the calling process a new, empty session keyring, so that it sees no keys of whoever started it:
/// `keyctl(KEYCTL_JOIN_SESSION_KEYRING, NULL)`.
///
/// Fails with `ENOSYS` on a kernel without keyrings and with `EDQUOT` when the user has too many.
pub fn new_session() -> Result<()> {
    let nothing = std::ptr::null::<libc::c_char>();
    // SAFETY: the name is NULL, which asks for an anonymous keyring.
    let result = unsafe { libc::syscall(libc::SYS_keyctl, libc::KEYCTL_JOIN_SESSION_KEYRING, nothing) };
    if result == -1 { Err(Error::last("keyctl(JOIN_SESSION_KEYRING)")) } else { Ok(()) }
}
