//! Where `lxc.include` finds its files.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

/// The largest configuration file read; LXC's own stock files stay below 4 KiB.
pub(crate) const LARGEST_FILE: u64 = 1 << 20;

/// What stands at an included path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Included {
    /// A configuration file and its text.
    File(Vec<u8>),
    /// A directory: its files that end in `.conf`, sorted by name.
    Directory(Vec<PathBuf>),
    /// Nothing.
    Missing,
}

/// Reads what `lxc.include` names. Tests and fuzzers bring their own.
pub trait IncludeReader {
    /// Reads the file or lists the directory at `path`.
    fn read(&self, path: &Path) -> io::Result<Included>;
}

/// Reads includes from the file system.
#[derive(Debug, Clone, Copy, Default)]
pub struct FileIncludes;

impl IncludeReader for FileIncludes {
    fn read(&self, path: &Path) -> io::Result<Included> {
        match std::fs::metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Included::Missing),
            Err(error) => Err(error),
            Ok(metadata) if metadata.is_dir() => list(path).map(Included::Directory),
            Ok(_) => read_file(path).map(Included::File),
        }
    }
}

/// Reads a regular file of bounded size, without waiting on a FIFO or a device.
pub(crate) fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    use rustix::fs::{Mode, OFlags};
    let fd = rustix::fs::open(
        path,
        OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY,
        Mode::empty(),
    )?;
    let file = std::fs::File::from(fd);
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    // Reading begins with small pieces where there is no room. The last byte of it sees the end.
    let room = metadata.len().min(LARGEST_FILE) + 1;
    let mut text = Vec::with_capacity(usize::try_from(room).unwrap_or_default());
    file.take(LARGEST_FILE + 1).read_to_end(&mut text)?;
    if text.len() as u64 > LARGEST_FILE {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "larger than 1 MiB"));
    }
    Ok(text)
}

/// Lists the `*.conf` files of a directory by name: LXC takes them in directory order, which the file
/// system chooses; sorting makes the outcome the same everywhere.
fn list(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let name = entry?.file_name();
        // LXC asks for at least one character before ".conf".
        if name.len() > ".conf".len() && name.as_encoded_bytes().ends_with(b".conf") {
            files.push(directory.join(name));
        }
    }
    files.sort();
    Ok(files)
}
