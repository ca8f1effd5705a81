//! Images and loop devices for the tests of this crate.

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use hull_command::{Runner, System, Tool, ToolCommand};
use hull_sys::loopdev::{self, AttachOptions};
use tempfile::NamedTempFile;

use crate::FsKind;

const CP: Tool = Tool { program: "cp", package: "coreutils" };

/// A sparse image with a file system on it, or `None` after `test` was said to be skipped.
pub(crate) fn image(test: &str, kind: FsKind, size: u64, arguments: &[&str]) -> Option<NamedTempFile> {
    if !System.has(kind.maker()) {
        hull_testskip::skip(test, format!("no {}", kind.maker().program));
        return None;
    }
    let image = NamedTempFile::new().expect("a temporary file");
    image.as_file().set_len(size).expect("a sparse file");
    System.run(&ToolCommand::new(kind.maker()).args(arguments).arg(image.path())).expect("it can be made");
    Some(image)
}

/// An image on a loop device, which goes when dropped.
#[derive(Debug)]
pub(crate) struct LoopDevice {
    device: loopdev::LoopDevice,
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
    fn of(test: &str, image: NamedTempFile) -> Option<Self> {
        match loopdev::LoopDevice::attach(image.as_file(), &AttachOptions::default()) {
            Ok(device) => Some(Self { path: device.path(), device, image }),
            Err(e) => {
                hull_testskip::skip(test, format!("no loop device: {e}"));
                None
            }
        }
    }

    /// Another device with the same content.
    pub(crate) fn copy(&self, test: &str) -> Option<Self> {
        let image = NamedTempFile::new().expect("a temporary file");
        // What the device still holds back is not in the image.
        rustix::fs::fdatasync(self.device.as_fd()).expect("a device");
        let command = ToolCommand::new(CP).arg("--sparse=always").arg(self.image.path()).arg(image.path());
        System.run(&command).expect("cp runs");
        Self::of(test, image)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Makes the image, and with it the device, so large.
    pub(crate) fn set_size(&self, size: u64) {
        self.image.as_file().set_len(size).expect("a sparse file");
        self.device.set_capacity().expect("a device that grows");
    }
}
