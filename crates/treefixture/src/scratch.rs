//! Scratch file systems on loop devices.

use std::fmt;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::{Mode, OFlags};
use tempfile::TempDir;

/// A file system of its own in a sparse image, mounted in a temporary directory.
///
/// Dropping it unmounts and removes everything. Two runs side by side do not meet: each has its own
/// temporary directory, and the kernel picks the loop device.
#[derive(Debug)]
#[must_use = "dropping it unmounts the file system"]
pub struct ScratchFs {
    mount_point: PathBuf,
    // Removes the image and the mount point when dropped, which happens after `drop` unmounted.
    _directory: TempDir,
}

/// Why a scratch file system cannot be made here. Tests print it and count as skipped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skip(String);

impl fmt::Display for Skip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Skip {}

impl ScratchFs {
    /// Makes and mounts a file system: `ext4`, `xfs` (with reflink, at least 300 MiB), `btrfs` (at least
    /// 128 MiB) `btrfs+quota`, `ext4+prjquota` and `xfs+prjquota` (with project quotas that are enforced), or `tmpfs`,
    /// of `size` bytes, which take space only when written.
    ///
    /// Requires root, a loop device and the mkfs program; what is lacking is in the [`Skip`].
    pub fn new(kind: &str, size: u64) -> Result<Self, Skip> {
        let least = match kind {
            "ext4" | "ext4+prjquota" => 8 << 20,
            "xfs" | "xfs+prjquota" => 300 << 20,
            "btrfs" | "btrfs+quota" => 128 << 20,
            "tmpfs" => 0,
            _ => return Err(unknown(kind)),
        };
        if !rustix::process::geteuid().is_root() {
            return Err(Skip(format!("mounting a scratch {kind} takes root")));
        }
        let directory = tempfile::Builder::new()
            .prefix("hull-scratch-")
            .tempdir()
            .map_err(|e| Skip(format!("no temporary directory: {e}")))?;
        let mount_point = directory.path().join("mounted");
        std::fs::create_dir(&mount_point)
            .map_err(|e| Skip(format!("mkdir {}: {e}", mount_point.display())))?;
        let size = size.max(least);
        let mut mount = Command::new("mount");
        if kind == "tmpfs" {
            mount.args(["-t", "tmpfs", "-o", &format!("size={size},mode=755"), "tmpfs"]);
        } else {
            let image = directory.path().join("image");
            std::fs::File::create(&image)
                .and_then(|file| file.set_len(size))
                .map_err(|e| Skip(format!("create {}: {e}", image.display())))?;
            make_file_system(kind, &image)?;
            let options = if kind.ends_with("+prjquota") { "loop,prjquota" } else { "loop" };
            mount.args(["-t", kind.split('+').next().unwrap_or(kind), "-o", options]).arg(&image);
        }
        run(mount.arg(&mount_point))?;
        Ok(Self { mount_point, _directory: directory })
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        &self.mount_point
    }

    /// Makes a directory at its top and opens it.
    ///
    /// # Panics
    /// When that fails, for this is test support.
    pub fn directory(&self, name: &str) -> OwnedFd {
        let path = self.mount_point.join(name);
        std::fs::create_dir(&path).unwrap_or_else(|e| panic!("mkdir {}: {e}", path.display()));
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        rustix::fs::open(&path, flags, Mode::empty())
            .unwrap_or_else(|e| panic!("open {}: {e}", path.display()))
    }
}

impl Drop for ScratchFs {
    fn drop(&mut self) {
        if run(Command::new("umount").arg(&self.mount_point)).is_err() {
            // Something still has a file open, as after a failed test: let go of it when that ends.
            if let Err(error) = run(Command::new("umount").arg("--lazy").arg(&self.mount_point)) {
                eprintln!("{} stays mounted: {error}", self.mount_point.display());
            }
        }
    }
}

/// Makes a file system of the kind `kind`, one of [`ScratchFs::new`]'s but for tmpfs, on a device or in an image.
pub fn make_file_system(kind: &str, on: &Path) -> Result<(), Skip> {
    let (program, arguments): (&str, &[&str]) = match kind {
        "ext4" => ("mkfs.ext4", &["-q", "-F", "-b", "4096", "-I", "256", "-i", "4096"]),
        "ext4+prjquota" => (
            "mkfs.ext4",
            &[
                "-q",
                "-F",
                "-b",
                "4096",
                "-I",
                "256",
                "-i",
                "4096",
                "-O",
                "quota,project",
                "-E",
                "quotatype=prjquota",
            ],
        ),
        "xfs" | "xfs+prjquota" => ("mkfs.xfs", &["-q", "-m", "reflink=1,bigtime=1"]),
        "btrfs" => ("mkfs.btrfs", &["-q"]),
        "btrfs+quota" => ("mkfs.btrfs", &["-q", "-R", "quota"]),
        _ => return Err(unknown(kind)),
    };
    run(Command::new(program).args(arguments).arg(on))
}

fn unknown(kind: &str) -> Skip {
    Skip(format!("no scratch file system of kind {kind:?} is known"))
}

fn run(command: &mut Command) -> Result<(), Skip> {
    let output = command.output().map_err(|e| Skip(format!("{command:?}: {e}")))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(Skip(format!("{command:?}: {}: {}", output.status, said.trim().replace('\n', " "))))
}
