//! Images and loop devices for the tests of this crate.

use std::path::{Path, PathBuf};
use std::process::Command;

use hull_command::{Runner, System};
use tempfile::NamedTempFile;

use crate::FsKind;

/// A sparse image with a file system on it, or `None` after `test` was said to be skipped.
pub(crate) fn image(test: &str, kind: FsKind, size: u64, arguments: &[&str]) -> Option<NamedTempFile> {
    if !System.has(kind.maker()) {
        hull_testskip::skip(test, format!("no {}", kind.maker().program));
        return None;
    }
    let image = NamedTempFile::new().expect("a temporary file");
    image.as_file().set_len(size).expect("a sparse file");
    let output = Command::new(kind.maker().program).args(arguments).arg(image.path()).output();
    assert!(output.expect("it is installed").status.success(), "{kind} cannot be made");
    Some(image)
}

/// An image on a loop device, which goes when dropped.
#[derive(Debug)]
pub(crate) struct LoopDevice {
    path: PathBuf,
    pub(crate) image: NamedTempFile,
}

impl LoopDevice {
    /// A sparse one of `size` bytes, or `None` after `test` was said to be skipped.
    pub(crate) fn new(test: &str, size: u64) -> Option<Self> {
        let image = NamedTempFile::new().expect("a temporary file");
        image.as_file().set_len(size).expect("a sparse file");
        Self::of(test, image)
    }

    /// One that shows `image`.
    pub(crate) fn of(test: &str, image: NamedTempFile) -> Option<Self> {
        let output = Command::new("losetup").args(["--find", "--show"]).arg(image.path()).output();
        match output {
            Ok(output) if output.status.success() => {
                let path = String::from_utf8(output.stdout).expect("a device's name").trim().into();
                Some(Self { path, image })
            }
            other => {
                hull_testskip::skip(test, format!("no loop device: {other:?}"));
                None
            }
        }
    }

    /// Another device with the same content.
    pub(crate) fn copy(&self, test: &str) -> Option<Self> {
        let image = NamedTempFile::new().expect("a temporary file");
        let done =
            Command::new("cp").arg("--sparse=always").arg(self.image.path()).arg(image.path()).status();
        assert!(done.expect("cp runs").success());
        Self::of(test, image)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Makes the image, and with it the device, so large.
    pub(crate) fn set_size(&self, size: u64) {
        self.image.as_file().set_len(size).expect("a sparse file");
        let done = Command::new("losetup").arg("--set-capacity").arg(&self.path).status();
        assert!(done.expect("losetup runs").success());
    }
}

impl Drop for LoopDevice {
    fn drop(&mut self) {
        let _ = Command::new("losetup").arg("--detach").arg(&self.path).status();
    }
}
