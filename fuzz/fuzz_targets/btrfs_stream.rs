//! Streams of btrfs: reading never panics, gives one-line errors, and lets no path through that leads anywhere.

#![no_main]

use hull_driver_btrfs::stream::{Command, Reader};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Err(error) = read(data) {
        let message = error.to_string();
        assert!(!message.is_empty() && !message.chars().any(char::is_control), "{message:?}");
    }
    // The checksums stop the fuzzer at the first command: once more with right ones.
    let data = repaired(data);
    if let Err(error) = read(&data) {
        let message = error.to_string();
        assert!(!message.is_empty() && !message.chars().any(char::is_control), "{message:?}");
    }
});

fn read(data: &[u8]) -> hull_storage::Result<()> {
    let mut reader = Reader::new(data)?;
    loop {
        match reader.read()? {
            Command::End => return reader.finish(),
            Command::MakeFile { path }
            | Command::MakeDirectory { path }
            | Command::Symlink { path, .. }
            | Command::Unlink { path }
            | Command::Write { path, .. } => {
                let names = path.as_bytes().split(|&byte| byte == b'/');
                assert!(!path.is_root(), "an entry has a name");
                names.for_each(|name| assert!(!name.is_empty() && name != b"." && name != b".." && !name.contains(&0)));
            }
            Command::Rename { path, to } => assert!(!path.as_bytes().starts_with(b"/") && !to.is_root()),
            _ => {}
        }
    }
}

/// `data` after the magic word and version of a stream, and with the checksum of each command put right.
fn repaired(data: &[u8]) -> Vec<u8> {
    let mut stream = [&b"btrfs-stream\0"[..], &1u32.to_le_bytes()].concat();
    let mut rest = data;
    while let Some((head, after)) = rest.split_at_checked(10) {
        let length = u32::from_le_bytes([head[0], head[1], 0, 0]) as usize;
        let length = length.min(after.len());
        let mut command = [&(length as u32).to_le_bytes()[..], &head[4..6], &[0; 4], &after[..length]].concat();
        let sum = !crc32c::crc32c_append(!0, &command);
        command[6..10].copy_from_slice(&sum.to_le_bytes());
        stream.extend(command);
        rest = &after[length..];
    }
    stream.extend(rest);
    stream
}
