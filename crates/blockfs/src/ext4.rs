//! Overwriting a small file on an ext4 that is not mounted.
//!
//! Attaching, mounting and unmounting a file system to write a host name into it takes several times as long as making the
//! clone that the name is for. So the one block that the file has, and the inode with its length, are written where they
//! lie, and nothing else: nothing is allocated, freed, linked or moved. Whatever is out of the ordinary is left to the
//! kernel: a file system that is not clean, features not known here, a checksum that does not hold, a path with a
//! symlink in it, a file that has no block or more than one. The layout is that of the kernel's
//! `Documentation/filesystems/ext4`.

mod checksum;
mod directory;
mod extents;
mod inode;
mod superblock;
#[cfg(test)]
mod tests;

use std::os::fd::BorrowedFd;
use std::time::SystemTime;

use hull_storage::{Error, Result};

use crate::raw;
use inode::{Inode, Kind};
use superblock::Superblock;

/// What came of [`overwrite`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overwritten {
    /// The file holds the content.
    Done,
    /// There is no regular file by that name, and nothing was to be done.
    NoFile,
    /// This needs the kernel. Nothing was changed.
    Unable,
}

/// Overwrites the regular file `dir/name`, both single names, of the ext4 at the beginning of `file`, a block device or an
/// image, with `content`. The caller vouches that nobody has it mounted, and that a file system with half of this done
/// is thrown away: the file's block and its inode are two writes.
///
/// Fails only where reading or writing does.
pub fn overwrite(file: BorrowedFd<'_>, dir: &str, name: &str, content: &[u8]) -> Result<Overwritten> {
    let volume = Volume { file };
    let Some(superblock) = Superblock::read(&volume)? else { return Ok(Overwritten::Unable) };
    let root = match superblock.inode(&volume, superblock::ROOT)? {
        Some(root) if root.kind() == Kind::Directory => root,
        _ => return Ok(Overwritten::Unable),
    };
    let dir = match child(&volume, &superblock, &root, dir, Kind::Directory)? {
        Ok(dir) => dir,
        Err(ends) => return Ok(ends),
    };
    let mut inode = match child(&volume, &superblock, &dir, name, Kind::File)? {
        Ok(inode) => inode,
        Err(ends) => return Ok(ends),
    };
    let Some(block) = superblock.only_block(&inode) else { return Ok(Overwritten::Unable) };
    let mut filled = vec![0; superblock.block_size()];
    let Some(start) = filled.get_mut(..content.len()) else { return Ok(Overwritten::Unable) };
    start.copy_from_slice(content);
    inode.set_written(content.len(), SystemTime::now());
    superblock.seal(&mut inode);
    volume.write(block, &filled)?;
    volume.write(inode.at, inode.bytes())?;
    Ok(Overwritten::Done)
}

/// The inode called `name` in `dir`, which is to be of `kind`; else what that means for the whole.
fn child(
    volume: &Volume<'_>,
    superblock: &Superblock,
    dir: &Inode,
    name: &str,
    kind: Kind,
) -> Result<std::result::Result<Inode, Overwritten>> {
    let Some(found) = superblock.find(volume, dir, name)? else { return Ok(Err(Overwritten::Unable)) };
    let Some(number) = found else { return Ok(Err(Overwritten::NoFile)) };
    Ok(match superblock.inode(volume, number)? {
        Some(inode) if inode.kind() == kind => Ok(inode),
        // The kernel would follow it.
        Some(other) if other.kind() == Kind::Symlink => Err(Overwritten::Unable),
        Some(_) => Err(Overwritten::NoFile),
        None => Err(Overwritten::Unable),
    })
}

/// Where it is all read from and written to.
struct Volume<'a> {
    file: BorrowedFd<'a>,
}

impl Volume<'_> {
    /// `length` bytes from byte `at` on; `None` where it ends before.
    fn read(&self, at: u64, length: usize) -> Result<Option<Vec<u8>>> {
        let mut bytes = vec![0; length];
        let filled = raw::read_at(self.file, at, &mut bytes).map_err(|e| self.failed("read", e))?;
        Ok((filled == length).then_some(bytes))
    }

    fn write(&self, at: u64, bytes: &[u8]) -> Result<()> {
        let mut written = 0;
        while written < bytes.len() {
            match rustix::io::pwrite(self.file, &bytes[written..], at + written as u64) {
                Ok(0) => return Err(self.failed("write to", rustix::io::Errno::IO)),
                Ok(more) => written += more,
                Err(rustix::io::Errno::INTR) => {}
                Err(e) => return Err(self.failed("write to", e)),
            }
        }
        Ok(())
    }

    fn failed(&self, what: &str, errno: rustix::io::Errno) -> Error {
        Error::os(format!("cannot {what} the file system on {}", hull_sys::fd::name(self.file)), errno)
    }
}
