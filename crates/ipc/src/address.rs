//! The abstract socket names of monitors.

use rustix::net::SocketAddrUnix;
use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Names longer than this are replaced by a hash of what they name.
const LONGEST_PLAIN: usize = 105;

/// Where a container's monitor listens: a name in the abstract namespace, which belongs to the network namespace.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Address(Vec<u8>);

impl Address {
    /// The address of container `name` under `lxcpath`, which is taken as it is configured (LXC hashes and
    /// compares it as text) but for trailing slashes.
    pub fn new(lxcpath: &Path, name: &str) -> Self {
        let mut container = trim_slashes(lxcpath.as_os_str().as_bytes()).to_vec();
        container.push(b'/');
        container.extend_from_slice(name.as_bytes());
        if container.len() + "/command".len() > LONGEST_PLAIN {
            return Self::hashed(fnv1a_64(&container));
        }
        container.extend_from_slice(b"/command");
        Self(container)
    }

    /// The address that stands for a long name with this hash.
    pub(crate) fn hashed(hash: u64) -> Self {
        Self(format!("lxc/{hash:016x}/command").into_bytes())
    }

    /// The name, without the NUL that makes it abstract.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn to_socket(&self) -> rustix::io::Result<SocketAddrUnix> {
        SocketAddrUnix::new_abstract_name(&self.0)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "@{}", OsStr::from_bytes(&self.0).display())
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}

/// The 64-bit FNV-1a hash, with which LXC shortens socket names.
pub fn fnv1a_64(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// `path` without the slashes at its end; the root stays.
pub(crate) fn trim_slashes(mut path: &[u8]) -> &[u8] {
    while let [rest @ .., b'/'] = path
        && !rest.is_empty()
    {
        path = rest;
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name_of_length(total: usize) -> String {
        "x".repeat(total - "/tmp/ipctest/y/".len() - "/command".len())
    }

    #[test]
    fn plain_up_to_105_characters_hashed_beyond() {
        let at = |length| Address::new(Path::new("/tmp/ipctest/y"), &name_of_length(length)).to_string();
        assert_eq!(at(105).len(), 106);
        assert!(at(105).ends_with("xxx/command"));
        // As stock LXC 5.0.2 was seen to connect to.
        assert_eq!(at(106), "@lxc/3bdb0110ff112695/command");
        assert_eq!(at(107), "@lxc/c649bce16a2524b7/command");
        assert_eq!(at(108), "@lxc/1470c2075d1d8bbd/command");
    }

    #[test]
    fn trailing_slashes_do_not_count() {
        let check = |path: &str, expect: &str| {
            assert_eq!(Address::new(Path::new(path), "c").to_string(), expect);
        };
        check("/var/lib/lxc", "@/var/lib/lxc/c/command");
        check("/var/lib/lxc///", "@/var/lib/lxc/c/command");
    }
}
