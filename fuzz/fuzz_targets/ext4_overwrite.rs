//! Overwriting a file on an ext4 never panics, whatever the file system says of itself, and changes at most one block and
//! one inode. The input is what begins at the superblock, behind the first KiB; what it leaves open is zeroes. Read a
//! second time with a checksum that holds, or none would get far with them.

#![no_main]

use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;

use hull_blockfs::ext4::{self, Overwritten};
use libfuzzer_sys::fuzz_target;

const LENGTH: usize = 64 << 10;
const SUPERBLOCK: usize = 1024;

fuzz_target!(|data: &[u8]| {
    let mut image = vec![0; LENGTH];
    let given = data.len().min(LENGTH - SUPERBLOCK);
    image[SUPERBLOCK..SUPERBLOCK + given].copy_from_slice(&data[..given]);
    look(&image);
    let sum = !crc32c::crc32c(&image[SUPERBLOCK..SUPERBLOCK + 0x3fc]);
    image[SUPERBLOCK + 0x3fc..SUPERBLOCK + 0x400].copy_from_slice(&sum.to_le_bytes());
    look(&image);
});

fn look(image: &[u8]) {
    let fd = rustix::fs::memfd_create("image", rustix::fs::MemfdFlags::CLOEXEC).expect("a file in memory");
    let mut file = std::fs::File::from(fd);
    file.write_all(image).expect("written");
    let came = ext4::overwrite(file.as_fd(), "etc", "hostname", b"name\n").expect("memory does not fail");
    let mut after = vec![0; image.len()];
    assert_eq!(file.metadata().expect("a file").len(), image.len() as u64, "it has grown");
    file.read_exact_at(&mut after, 0).expect("read");
    let changed = image.iter().zip(&after).filter(|(a, b)| a != b).count();
    // The largest block and the largest inode.
    let most = if came == Overwritten::Done { (64 << 10) + 1024 } else { 0 };
    assert!(changed <= most, "{came:?}: {changed} bytes changed");
}
