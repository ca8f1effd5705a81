//! The root file system that volumes hold: from an archive, a directory, or made up.

use std::fs;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::path::{Path, PathBuf};

use hull_command::{Runner, System, Tool, ToolCommand};
use hull_storage::{Bytes, Error, ErrorKind, HOME, Resource, Result, files};

use crate::generate::Shape;
use crate::results::Rootfs;

pub(crate) const TAR: Tool = Tool { program: "tar", package: "tar" };

/// Where the root file system comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A tar archive, of any compression that GNU tar knows.
    Archive(PathBuf),
    /// A directory.
    Directory(PathBuf),
    /// One that is made up.
    Generated(Shape),
}

impl Source {
    /// Reads `generate:…`, or the path of a directory or an archive, which must be there; `otherwise` says what
    /// `generate:` leaves out.
    pub fn parse(text: &str, otherwise: Shape) -> Result<Self> {
        if let Some(shape) = text.strip_prefix("generate:") {
            return Shape::parse(shape, otherwise).map(Self::Generated);
        }
        let path = Path::new(text);
        let invalid = |why: &str| Error::new(ErrorKind::InvalidInput, format!("{}: {why}", path.display()));
        let found = fs::metadata(path).map_err(|e| {
            invalid("cannot be looked at: name an archive, a directory or generate:…").because(e)
        })?;
        match path.canonicalize() {
            Ok(path) if found.is_dir() => Ok(Self::Directory(path)),
            Ok(path) if found.is_file() => Ok(Self::Archive(path)),
            _ => Err(invalid("is neither a directory nor an archive")),
        }
    }

    /// What the results say of it.
    pub(crate) fn facts(&self) -> Rootfs {
        // A path is of one machine; results are compared between machines.
        let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let (kind, description) = match self {
            Self::Archive(path) => ("archive", name(path)),
            Self::Directory(path) => ("directory", name(path)),
            Self::Generated(shape) => ("generated", shape.to_string()),
        };
        Rootfs { kind: kind.into(), description, entries: 0, bytes: 0 }
    }

    /// About how many bytes it takes unpacked, found out without unpacking it.
    pub(crate) fn estimate(&self) -> Result<u64> {
        // A file takes half a block more than it holds, and an inode.
        let padded = |entries: u64, bytes: u64| bytes + entries * 4096;
        match self {
            Self::Generated(shape) => Ok(padded(shape.files + shape.files / 12, shape.bytes)),
            Self::Directory(path) => {
                let dir = fs::File::open(path).map_err(|e| opening(path, &e))?;
                let measured = hull_treecopy::measure_tree(std::os::fd::AsFd::as_fd(&dir))
                    .map_err(|e| Error::tree(format!("cannot measure {}", path.display()), e))?;
                Ok(padded(measured.entries, measured.apparent_bytes))
            }
            Self::Archive(path) => {
                let size = fs::metadata(path).map_err(|e| opening(path, &e))?.len();
                // Compressed ones shrink to a third or so.
                let plain = path.extension().is_some_and(|extension| extension == "tar");
                Ok(if plain { size } else { size * 4 })
            }
        }
    }

    /// Makes an archive of it in the directory `work`, unless it is one.
    pub(crate) fn archive(&self, work: &Path) -> Result<PathBuf> {
        let tree = match self {
            Self::Archive(path) => return Ok(path.clone()),
            Self::Directory(path) => path.clone(),
            Self::Generated(shape) => {
                let tree = work.join("tree");
                fs::create_dir(&tree).map_err(|e| opening(&tree, &e))?;
                shape.make(&tree)?;
                tree
            }
        };
        let archive = work.join("rootfs.tar");
        let command = ToolCommand::new(TAR)
            .args(["--create", "--numeric-owner", "--sparse", "--acls", "--xattrs", "--one-file-system"])
            .args(["--sort=name", "--file"])
            .arg(&archive)
            .arg("--directory")
            .arg(&tree)
            .arg(".");
        System.run(&command)?;
        if matches!(self, Self::Generated(_)) {
            files::reclaim(&Resource::new(HOME, tree), &())?;
        }
        Ok(archive)
    }
}

/// Unpacks `archive` into the directory `root`, as `hull create --archive` does.
pub(crate) fn unpack(archive: &Path, root: BorrowedFd<'_>) -> Result<()> {
    let command = ToolCommand::new(TAR)
        .args(["--extract", "--preserve-permissions", "--numeric-owner", "--sparse", "--acls", "--xattrs"])
        .args(["--xattrs-include=*", "--delay-directory-restore", "--file"])
        .arg(archive)
        .arg("--directory")
        .arg(format!("/proc/{}/fd/{}/.", std::process::id(), root.as_raw_fd()));
    System.run(&command).map(drop)
}

/// What the tree below `root` holds.
pub(crate) fn measure(root: BorrowedFd<'_>) -> Result<(u64, Bytes)> {
    let measured = hull_treecopy::measure_tree(root)
        .map_err(|e| Error::tree("cannot measure the root file system", e))?;
    Ok((measured.entries, Bytes(measured.apparent_bytes)))
}

fn opening(path: &Path, error: &std::io::Error) -> Error {
    Error::new(ErrorKind::Os, format!("cannot use {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("x.tar");
        fs::write(&file, "").unwrap();
        let read = |text: &str| Source::parse(text, Shape::default());
        assert!(matches!(read(file.to_str().unwrap()).unwrap(), Source::Archive(_)));
        assert!(matches!(read(dir.path().to_str().unwrap()).unwrap(), Source::Directory(_)));
        assert!(matches!(read("generate:files=3").unwrap(), Source::Generated(Shape { files: 3, .. })));
        for wrong in ["", "/dev/null", "no-such-file", "generate:files=none"] {
            let error = read(wrong).unwrap_err();
            assert!(error.kind() == ErrorKind::InvalidInput && !error.to_string().contains('\n'), "{error}");
        }
    }

    #[test]
    fn a_made_up_tree_is_archived_and_unpacked() {
        let (work, root) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let source = Source::Generated(Shape { files: 24, bytes: 9000, seed: 1 });
        let archive = source.archive(work.path()).unwrap();
        let root = fs::File::open(root.path()).unwrap();
        unpack(&archive, std::os::fd::AsFd::as_fd(&root)).unwrap();
        assert_eq!(measure(std::os::fd::AsFd::as_fd(&root)).unwrap(), (26, Bytes(9000)));
        assert!(!work.path().join("tree").exists(), "the tree is gone once it is packed");
        assert!(source.estimate().unwrap() > 9000);
    }
}
