//! What survives a crash: a tree of directories and small files, with the refusals of a real one.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use hull_storage::{Error, ErrorKind, Outcome, Result};
use rustix::io::Errno;

/// A directory or a small file.
#[derive(Clone, PartialEq, Eq)]
pub enum Node {
    /// A directory.
    Dir,
    /// A file and what it holds.
    File(Vec<u8>),
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dir => f.write_str("dir"),
            Self::File(content) => write!(f, "file {:?}", String::from_utf8_lossy(content)),
        }
    }
}

/// A tree of directories and files by absolute path. The root is always there.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Disk(BTreeMap<PathBuf, Node>);

/// One line a node.
impl fmt::Debug for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|(path, node)| writeln!(f, "  {} {node:?}", path.display()))
    }
}

impl Disk {
    /// The disk with one more directory and those above it.
    #[must_use]
    pub fn dir(mut self, path: impl AsRef<Path>) -> Self {
        for above in path.as_ref().ancestors().filter(|p| p.parent().is_some()) {
            self.0.insert(above.to_path_buf(), Node::Dir);
        }
        self
    }

    /// The disk with one more file and the directories above it.
    #[must_use]
    pub fn file(self, path: impl AsRef<Path>, content: impl AsRef<[u8]>) -> Self {
        let path = path.as_ref();
        let mut disk = self.dir(path.parent().unwrap_or(Path::new("/")));
        disk.0.insert(path.to_path_buf(), Node::File(content.as_ref().to_vec()));
        disk
    }

    /// What is called `path`.
    pub fn get(&self, path: &Path) -> Option<&Node> {
        self.0.get(path)
    }

    /// Whether anything is called `path`.
    pub fn has(&self, path: &Path) -> bool {
        path.parent().is_none() || self.0.contains_key(path)
    }

    /// What is called `path` and all below it, parents first.
    pub fn tree<'a>(&'a self, path: &'a Path) -> impl Iterator<Item = (&'a Path, &'a Node)> {
        // Paths sort by component, so a tree is one stretch.
        let all = self.0.range::<Path, _>((std::ops::Bound::Included(path), std::ops::Bound::Unbounded));
        all.map(|(p, n)| (p.as_path(), n)).take_while(move |(p, _)| p.starts_with(path))
    }

    /// All paths, in order.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.0.keys().map(PathBuf::as_path)
    }

    /// Makes a directory, exclusively, in one that is there.
    pub fn make_dir(&mut self, path: &Path) -> Result<()> {
        self.must_be_free(path, "make the directory")?;
        self.0.insert(path.to_path_buf(), Node::Dir);
        Ok(())
    }

    /// Makes a file, exclusively, in a directory that is there.
    pub fn make_file(&mut self, path: &Path, content: &[u8]) -> Result<()> {
        self.must_be_free(path, "make the file")?;
        self.0.insert(path.to_path_buf(), Node::File(content.to_vec()));
        Ok(())
    }

    /// Makes a file or overwrites one.
    pub fn put(&mut self, path: &Path, content: &[u8]) -> Result<()> {
        match self.get(path) {
            Some(Node::Dir) => return Err(refuse("write", path, Errno::ISDIR)),
            Some(Node::File(_)) => {}
            None => self.must_be_free(path, "make the file")?,
        }
        self.0.insert(path.to_path_buf(), Node::File(content.to_vec()));
        Ok(())
    }

    /// Copies what is called `from`, with all below it, to the free name `to`.
    pub fn copy(&mut self, from: &Path, to: &Path) -> Result<()> {
        if !self.has(from) {
            return Err(refuse("copy", from, Errno::NOENT));
        }
        self.must_be_free(to, "make")?;
        let copies: Vec<_> = self.tree(from).map(|(p, n)| (rebase(p, from, to), n.clone())).collect();
        self.0.extend(copies);
        Ok(())
    }

    /// As [`hull_storage::Driver::rename`].
    pub fn rename(&mut self, from: &Path, to: &Path) -> Result<Outcome> {
        if !self.has(from) {
            return Ok(Outcome::AlreadyDone);
        }
        self.must_be_free(to, "rename to")?;
        let moved: Vec<_> = self.tree(from).map(|(p, n)| (p.to_path_buf(), n.clone())).collect();
        for (path, node) in moved {
            self.0.remove(&path);
            self.0.insert(rebase(&path, from, to), node);
        }
        Ok(Outcome::Done)
    }

    /// Renames the file `from` to `to`, which is replaced if it is there.
    pub fn replace(&mut self, from: &Path, to: &Path) -> Result<()> {
        match (self.get(from), self.get(to)) {
            (Some(Node::File(content)), None | Some(Node::File(_))) => {
                let content = content.clone();
                self.put(to, &content)?;
                self.0.remove(from);
                Ok(())
            }
            (None, _) => Err(refuse("rename", from, Errno::NOENT)),
            _ => Err(refuse("rename", from, Errno::ISDIR)),
        }
    }

    /// Removes a file or an empty directory.
    pub fn remove(&mut self, path: &Path) -> Result<Outcome> {
        if self.tree(path).count() > 1 {
            return Err(refuse("remove", path, Errno::NOTEMPTY));
        }
        Ok(if self.0.remove(path).is_some() { Outcome::Done } else { Outcome::AlreadyDone })
    }

    fn must_be_free(&self, path: &Path, verb: &str) -> Result<()> {
        if self.has(path) {
            return Err(refuse(verb, path, Errno::EXIST));
        }
        match path.parent() {
            Some(parent) if parent.parent().is_none() || self.get(parent) == Some(&Node::Dir) => Ok(()),
            _ => Err(refuse(verb, path, Errno::NOENT)),
        }
    }
}

fn refuse(verb: &str, path: &Path, errno: Errno) -> Error {
    let kind = match errno {
        Errno::ISDIR => ErrorKind::InvalidInput,
        other => ErrorKind::of(other),
    };
    Error::new(kind, format!("cannot {verb} {}", path.display())).because(std::io::Error::from(errno))
}

fn rebase(path: &Path, from: &Path, to: &Path) -> PathBuf {
    match path.strip_prefix(from) {
        Ok(below) if below.as_os_str().is_empty() => to.to_path_buf(),
        Ok(below) => to.join(below),
        Err(_) => path.to_path_buf(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exclusive_acts_refuse_taken_names_and_missing_parents() {
        let mut disk = Disk::default().file("/a/b", "1").dir("/c");
        let kind = |r: Result<()>| r.unwrap_err().kind();
        assert_eq!(kind(disk.make_dir(Path::new("/a"))), ErrorKind::AlreadyExists);
        assert_eq!(kind(disk.make_file(Path::new("/x/y"), b"")), ErrorKind::NotFound);
        assert_eq!(kind(disk.rename(Path::new("/a"), Path::new("/c")).map(drop)), ErrorKind::AlreadyExists);
        assert_eq!(kind(disk.rename(Path::new("/a"), Path::new("/x/y")).map(drop)), ErrorKind::NotFound);
        assert_eq!(kind(disk.remove(Path::new("/a")).map(drop)), ErrorKind::AlreadyExists);
        assert_eq!(disk.rename(Path::new("/none"), Path::new("/c")).unwrap(), Outcome::AlreadyDone);
        assert_eq!(disk, Disk::default().file("/a/b", "1").dir("/c"), "nothing has changed");
    }

    #[test]
    fn a_tree_moves_whole_and_names_that_begin_alike_stay() {
        let mut disk = Disk::default().file("/a/b/c", "1").file("/a.meta", "2").file("/ab/c", "3");
        disk.rename(Path::new("/a"), Path::new("/z")).unwrap();
        assert_eq!(disk, Disk::default().file("/z/b/c", "1").file("/a.meta", "2").file("/ab/c", "3"));
    }
}
