//! The grounds of stores with pools, and of disks that fail: each of its own and gone when dropped.
//!
//! They are kept out of [`crate::scratch`], which needs nothing but a file system: these need programs, and a kernel,
//! that most machines lack.

pub mod failing;
pub mod failing_group;
pub mod failing_zpool;
mod mapped;
pub mod volume_group;
pub mod zpool;

use std::io;
use std::process::Command;

use crate::SkipReason;

/// Why this machine has no device mapper for tests.
fn machine_maps_devices() -> Result<(), SkipReason> {
    if !rustix::process::geteuid().is_root() {
        return Err(SkipReason("mapping devices takes root".into()));
    }
    let devices = std::fs::read_to_string("/proc/devices")?;
    match devices.lines().any(|line| line.ends_with(" device-mapper")) {
        true => Ok(()),
        false => Err(SkipReason("this kernel has no device mapper".into())),
    }
}

/// What a program prints.
pub(crate) fn output(command: &mut Command) -> Result<String, SkipReason> {
    let output = command.env("LVM_SUPPRESS_FD_WARNINGS", "1").output()?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(SkipReason(format!("{command:?}: {}", said.trim().replace('\n', "; "))))
}

/// A failure of the ground in a case that works on it.
pub(crate) fn told(reason: SkipReason) -> io::Error {
    io::Error::other(reason.0)
}
