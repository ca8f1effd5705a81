//! Finding the containers whose monitors listen.

use std::collections::BTreeSet;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use crate::{Address, Client, address};

/// The names of the containers under `lxcpath` that have a monitor, sorted.
///
/// Reads `/proc/net/unix`, so it sees the network namespace of the caller. Who listens at a hashed address is
/// asked for name and lxcpath, and left out if it does not answer within `timeout` or may not be asked.
pub fn running(lxcpath: &Path, timeout: Duration) -> io::Result<BTreeSet<String>> {
    Ok(running_in(&std::fs::read("/proc/net/unix")?, lxcpath, |address| {
        let client = Client::at(address, timeout);
        Some((client.lxcpath().ok()?, client.name().ok()?))
    }))
}

/// As [`running`], from the text of `/proc/net/unix`; `ask` tells lxcpath and name behind a hashed address.
pub fn running_in(
    table: &[u8],
    lxcpath: &Path,
    mut ask: impl FnMut(Address) -> Option<(String, String)>,
) -> BTreeSet<String> {
    let lxcpath = address::trim_slashes(lxcpath.as_os_str().as_bytes());
    let mut names = BTreeSet::new();
    let mut asked = BTreeSet::new();
    for name in table.split(|b| *b == b'\n').filter_map(listener) {
        let Some(container) = name.strip_suffix(b"/command") else { continue };
        if let Some(hash) = hash(container) {
            if asked.insert(hash)
                && let Some((path, name)) = ask(Address::hashed(hash))
                && address::trim_slashes(path.as_bytes()) == lxcpath
            {
                names.insert(name);
            }
        } else if let Some(name) = container.strip_prefix(lxcpath).and_then(|rest| rest.strip_prefix(b"/"))
            && !name.is_empty()
            && !name.contains(&b'/')
            && let Ok(name) = std::str::from_utf8(name)
        {
            names.insert(name.to_owned());
        }
    }
    names
}

/// The abstract name in a line, if a stream socket listens there.
fn listener(line: &[u8]) -> Option<&[u8]> {
    // Num RefCount Protocol Flags Type St Inode Path; the path may hold blanks.
    const LISTENS: u32 = 1 << 16;
    let at = line.windows(2).position(|w| w == b" @")?;
    let fields: Vec<&[u8]> = line[..at].split(|b| *b == b' ').filter(|field| !field.is_empty()).collect();
    let flags = u32::from_str_radix(std::str::from_utf8(fields.get(3)?).ok()?, 16).ok()?;
    (flags & LISTENS != 0).then_some(&line[at + 2..])
}

/// The hash in `lxc/<16 hexadecimal digits>`.
fn hash(container: &[u8]) -> Option<u64> {
    let digits = container.strip_prefix(b"lxc/")?;
    if digits.len() != 16 || !digits.iter().all(|d| matches!(d, b'0'..=b'9' | b'a'..=b'f')) {
        return None;
    }
    u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &[u8] = b"Num       RefCount Protocol Flags    Type St Inode Path\n\
        00000000ed44aabf: 00000002 00000000 00010000 0001 01  8933 @/var/lib/lxc/c1/command\n\
        00000000ed44aac0: 00000003 00000000 00000000 0001 03  8934 @/var/lib/lxc/connected/command\n\
        00000000ed44aac1: 00000002 00000000 00010000 0001 01  8935 @/var/lib/lxc/with blank/command\n\
        00000000ed44aac2: 00000002 00000000 00010000 0001 01  8936 @/var/lib/lxcother/c2/command\n\
        00000000ed44aac3: 00000002 00000000 00010000 0001 01  8937 @lxc/3bdb0110ff112695/command\n\
        00000000ed44aac4: 00000002 00000000 00010000 0001 01  8938 @lxc/00000000ff112695/command\n\
        00000000ed44aac5: 00000002 00000000 00010000 0001 01  8939 /run/some.sock\n\
        00000000ed44aac6: 00000002 00000000 00010000 0001 01  8940 @/var/lib/lxc/a/b/command\n\
        00000000ed44aac7: 00000003 00000000 00000000 0001 03  8941\n";

    #[test]
    fn plain_and_hashed_names_of_one_lxcpath() {
        let found = running_in(TABLE, Path::new("/var/lib/lxc/"), |address| {
            let path = if address.to_string().contains("3bdb") { "/var/lib/lxc" } else { "/elsewhere" };
            Some((path.into(), "long".into()))
        });
        assert_eq!(found.into_iter().collect::<Vec<_>>(), ["c1", "long", "with blank"]);
    }

    #[test]
    fn any_bytes_are_survived() {
        for junk in [&b""[..], b" @", b"a b c zzzz @/x/command", b"\xff\xff @\xff/command\n @lxc//command"] {
            assert!(running_in(junk, Path::new("/x"), |_| None).is_empty());
        }
    }
}
