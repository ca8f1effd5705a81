//! Scratch lxcpaths on the file systems the stores need.

use std::path::{Path, PathBuf};

use hull_treefixture::ScratchFs;

/// A scratch directory on a file system of its own; all is gone when it is dropped.
#[derive(Debug)]
pub struct Ground {
    fs: ScratchFs,
    next: std::cell::Cell<u32>,
}

impl Ground {
    /// A ground on a new file system of this kind (`ext4`, `xfs`, `btrfs`), or why there can be none.
    pub fn new(kind: &str) -> Result<Self, String> {
        Self::of_size(kind, 512 << 20)
    }

    /// As [`Ground::new`], with `size` bytes, which take space only when written.
    pub fn of_size(kind: &str, size: u64) -> Result<Self, String> {
        if !rustix::process::geteuid().is_root() {
            return Err("needs root to mount a file system".into());
        }
        let fs = ScratchFs::new(kind, size).map_err(|skip| skip.to_string())?;
        Ok(Self { fs, next: std::cell::Cell::new(0) })
    }

    /// A new empty lxcpath, and a run directory beside it.
    pub fn lxcpath(&self) -> Lxcpath {
        self.next.set(self.next.get() + 1);
        let root = self.fs.path().join(format!("t{}", self.next.get()));
        let (lxcpath, rundir) = (root.join("lxc"), root.join("run"));
        for dir in [&lxcpath, &rundir] {
            std::fs::create_dir_all(dir).expect("a scratch directory can be made");
        }
        Lxcpath { lxcpath, rundir }
    }
}

/// A scratch lxcpath.
#[derive(Clone, Debug)]
pub struct Lxcpath {
    /// Where the containers go.
    pub lxcpath: PathBuf,
    /// Where the locks go.
    pub rundir: PathBuf,
}

impl Lxcpath {
    /// The root directory of a container whose root file system is `rootfs`.
    pub fn rootfs(&self, name: &str) -> PathBuf {
        self.lxcpath.join(name).join("rootfs")
    }

    /// Its home.
    pub fn home(&self, name: &str) -> PathBuf {
        self.lxcpath.join(name)
    }

    /// The path as text.
    pub fn text(&self) -> &str {
        Path::to_str(&self.lxcpath).expect("a scratch path is text")
    }
}
