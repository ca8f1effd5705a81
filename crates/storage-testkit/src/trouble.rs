//! Trouble for scratch file systems: no space left, read-only.

use std::any::Any;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;
use rustix::mount::{MountFlags, mount_remount};

use crate::ground::Troubles;
use crate::grounds::{output, told};

/// What can befall the file system mounted at `point`.
pub(crate) fn of_file_system(point: &Path) -> Troubles {
    let (full, read_only) = (point.to_path_buf(), point.to_path_buf());
    Troubles {
        full: Some(Arc::new(move |left| fill(&full, left))),
        read_only: Some(Arc::new(move || protect(&read_only))),
        ..Troubles::default()
    }
}

/// Files that take all space but `left` bytes; they go when it is dropped.
struct Ballast {
    files: Vec<PathBuf>,
    point: PathBuf,
}

impl Drop for Ballast {
    fn drop(&mut self) {
        for file in &self.files {
            let _ = fs::remove_file(file);
        }
        // btrfs gives their space to others when it has written down that they are gone.
        let _ = File::open(&self.point).map(rustix::fs::syncfs);
    }
}

/// Waits until btrfs has taken apart what subvolumes were deleted on it, which it does in its own time: until then they keep
/// room that its metadata need.
fn settle(point: &Path) -> io::Result<()> {
    if hull_sys::btrfs::is_btrfs(File::open(point)?).map_err(io::Error::other)? {
        // The first has it begin now.
        for words in [["filesystem", "sync"], ["subvolume", "sync"]] {
            output(Command::new("btrfs").args(words).arg(point)).map_err(told)?;
        }
    }
    Ok(())
}

fn fill(point: &Path, left: u64) -> io::Result<Box<dyn Any>> {
    static BALLASTS: AtomicUsize = AtomicUsize::new(0);
    let number = BALLASTS.fetch_add(1, Ordering::Relaxed);
    // What others have written so far takes its place first.
    rustix::fs::syncfs(File::open(point)?)?;
    // Once for each operation, for it takes a second.
    if left == 0 {
        settle(point)?;
    }
    let spare = point.join(format!("spare{number}"));
    let mut ballast = Ballast { files: vec![spare.clone()], point: point.to_path_buf() };
    if left > 0 {
        fallocate(File::create(&spare)?, FallocateFlags::empty(), 0, left)?;
    }
    let mut size: u64 = 256 << 20;
    while size >= 4096 {
        // One file for each try: a file system may keep what it began to add to one.
        let file = point.join(format!("ballast{number}-{}", ballast.files.len()));
        let tried = File::create(&file).map_err(|e| Errno::from_io_error(&e).unwrap_or(Errno::IO));
        ballast.files.push(file);
        match tried.and_then(|file| fallocate(file, FallocateFlags::empty(), 0, size)) {
            Ok(()) => {}
            Err(Errno::NOSPC) => size /= 2,
            Err(e) => return Err(e.into()),
        }
    }
    let _ = fs::remove_file(spare);
    Ok(Box::new(ballast))
}

/// A mount that is read-only until this is dropped.
struct Protected(PathBuf);

impl Drop for Protected {
    fn drop(&mut self) {
        if let Err(e) = mount_remount(&self.0, MountFlags::empty(), c"") {
            eprintln!("{} stays read-only: {e}", self.0.display());
        }
    }
}

fn protect(point: &Path) -> io::Result<Box<dyn Any>> {
    mount_remount(point, MountFlags::RDONLY, c"")?;
    Ok(Box::new(Protected(point.to_path_buf())))
}
