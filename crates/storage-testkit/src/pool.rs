//! Grounds whose volumes lie in a pool: a volume group, a zfs dataset.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

type List = dyn Fn() -> io::Result<Vec<String>> + Send + Sync;
type Free = dyn Fn() -> io::Result<u64> + Send + Sync;
type Clear = dyn Fn(&str) + Send + Sync;

/// A pool that volumes of the store under test lie in. All cases share it, each with names of its own.
#[derive(Clone)]
pub struct Pool {
    place: PathBuf,
    list: Arc<List>,
    clear: Arc<Clear>,
    free: Option<Arc<Free>>,
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("place", &self.place).finish_non_exhaustive()
    }
}

impl Pool {
    /// The pool at `place`: what stands before the last `/` in the name of a volume (`/dev/vg`, `tank/lxc`).
    /// `list` returns the last components of the names of all its volumes; `clear` removes those that begin with
    /// its argument, whatever state they are in.
    pub fn new(
        place: impl Into<PathBuf>,
        list: impl Fn() -> io::Result<Vec<String>> + Send + Sync + 'static,
        clear: impl Fn(&str) + Send + Sync + 'static,
    ) -> Self {
        Self { place: place.into(), list: Arc::new(list), clear: Arc::new(clear), free: None }
    }

    /// Says how many bytes nobody has taken yet.
    #[must_use]
    pub fn with_free(mut self, free: impl Fn() -> io::Result<u64> + Send + Sync + 'static) -> Self {
        self.free = Some(Arc::new(free));
        self
    }

    pub(crate) fn free(&self) -> io::Result<Option<u64>> {
        self.free.as_ref().map(|free| free()).transpose()
    }

    /// What stands before the last `/` in the name of a volume.
    pub fn place(&self) -> &Path {
        &self.place
    }

    /// The names of volumes that begin with `prefix`.
    pub fn names(&self, prefix: &str) -> io::Result<Vec<String>> {
        Ok((self.list)()?.into_iter().filter(|name| name.starts_with(prefix)).collect())
    }

    pub(crate) fn clear(&self, prefix: &str) {
        (self.clear)(prefix);
    }
}

/// One case's names in a pool. A file in the case's directory tells its child processes.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    place: PathBuf,
    prefix: String,
}

impl Names {
    const FILE: &str = "pool";

    /// The names that begin with `prefix` in `pool`, for the case in the directory `dir`.
    pub(crate) fn new(pool: &Pool, prefix: String, dir: &Path) -> io::Result<Self> {
        Self { place: pool.place.clone(), prefix }.kept_in(dir)
    }

    /// The names of the case in `dir`, as another process has noted them.
    pub(crate) fn of(dir: &Path) -> Option<Self> {
        let text = fs::read(dir.join(Self::FILE)).ok()?;
        let end = text.iter().position(|&b| b == b'\n')?;
        let prefix = String::from_utf8(text[..end].to_vec()).ok()?;
        Some(Self { place: OsString::from_vec(text[end + 1..].to_vec()).into(), prefix })
    }

    /// Names of their own for the bench `name` in `dir`.
    pub(crate) fn below(&self, name: &str, dir: &Path) -> io::Result<Self> {
        Self { place: self.place.clone(), prefix: format!("{}.{name}", self.prefix) }.kept_in(dir)
    }

    fn kept_in(self, dir: &Path) -> io::Result<Self> {
        let text = [self.prefix.as_bytes(), b"\n", self.place.as_os_str().as_bytes()].concat();
        fs::write(dir.join(Self::FILE), text)?;
        Ok(self)
    }

    /// What all of them begin with.
    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// What the volume `name` is called.
    pub(crate) fn name(&self, name: &OsStr) -> OsString {
        let mut whole = OsString::from(format!("{}.", self.prefix));
        whole.push(name);
        whole
    }

    /// Where it is.
    pub(crate) fn path(&self, name: &OsStr) -> PathBuf {
        self.place.join(self.name(name))
    }
}
