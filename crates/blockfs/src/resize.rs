//! Growing and shrinking a file system to its device, or before the device shrinks.

use std::path::Path;

use hull_command::{Runner, Tool, ToolCommand, failure};
use hull_storage::{Bytes, Error, ErrorKind, Result};

use crate::kind::FsKind;
use crate::probe::Found;
use crate::{mounted, probe};

const E2FSCK: Tool = Tool { program: "e2fsck", package: "e2fsprogs" };
const RESIZE2FS: Tool = Tool { program: "resize2fs", package: "e2fsprogs" };
const XFS_GROWFS: Tool = Tool { program: "xfs_growfs", package: "xfsprogs" };
const BTRFS: Tool = Tool { program: "btrfs", package: "btrfs-progs" };

/// Lets the file system on `device` fill the device.
///
/// It may be mounted. The kernel does it, through a mount of ours, under its own journal: dying on the way leaves the
/// old size or the new one. Nothing to do is success.
pub fn grow(runner: &dyn Runner, device: &Path) -> Result<()> {
    let (_, kind) = known(device)?;
    mounted::at_a_path(device, kind, |path| match kind {
        FsKind::Ext2 | FsKind::Ext3 | FsKind::Ext4 => {
            // It finds the mount by itself.
            let command = ToolCommand::new(RESIZE2FS).arg(device);
            let output = runner.attempt(&command)?;
            match output.succeeded() {
                true => Ok(Grown::Yes),
                false if output.complaint().contains("Permission denied") => Ok(Grown::NotMounted),
                false => Err(failure(&command, &output)),
            }
        }
        FsKind::Xfs => runner.run(&ToolCommand::new(XFS_GROWFS).arg("-d").arg(path)).map(|_| Grown::Yes),
        FsKind::Btrfs => {
            let command = ToolCommand::new(BTRFS).args(["filesystem", "resize", "max"]).arg(path);
            runner.run(&command).map(|_| Grown::Yes)
        }
    })
    .and_then(|grown| match grown {
        Grown::Yes => Ok(()),
        Grown::NotMounted => grow_ext_unmounted(runner, device),
    })
}

/// Whether the kernel did it.
enum Grown {
    Yes,
    /// It grows a mounted ext4 only for who has CAP_SYS_RESOURCE (fs/ext4/resize.c).
    NotMounted,
}

fn grow_ext_unmounted(runner: &dyn Runner, device: &Path) -> Result<()> {
    check_ext(runner, device).map_err(|e| match e.kind() {
        ErrorKind::InUse => {
            let device = device.display();
            let text =
                format!("a mounted file system grows only by CAP_SYS_RESOURCE: unmount {device} first");
            Error::new(ErrorKind::InUse, text).because(e)
        }
        _ => e,
    })?;
    runner.run(&ToolCommand::new(RESIZE2FS).arg(device)).map(drop)
}

/// Checks an ext2, ext3 or ext4 that is not mounted, as resize2fs(8) asks for before it works on one.
///
/// Fails with [`ErrorKind::InUse`] when it is mounted, in whatever mount namespace.
fn check_ext(runner: &dyn Runner, device: &Path) -> Result<()> {
    // Exit code 1 says that something was mended.
    let command = ToolCommand::new(E2FSCK).args(["-f", "-p"]).arg(device).or_code(1);
    let output = runner.attempt(&command)?;
    if output.succeeded() {
        return Ok(());
    }
    let said = output.text();
    match said.contains("is in use") || said.contains("is mounted") {
        true => Err(Error::new(ErrorKind::InUse, format!("{} is in use", device.display()))),
        false => Err(failure(&command, &output)),
    }
}

/// Makes the file system on `device`, which must not be mounted, occupy at most `to` bytes of it.
///
/// Fails with [`ErrorKind::CannotShrink`] and changes nothing when it holds more than that, and for file systems that
/// cannot shrink (xfs). Small enough already is success. May be repeated after it was interrupted; e2fsck(8) puts an
/// ext4 right that was interrupted while its blocks were moved.
pub fn shrink(runner: &dyn Runner, device: &Path, to: Bytes) -> Result<()> {
    let (found, kind) = known(device)?;
    let interrupted = found.clean == Some(false);
    if found.size.is_some_and(|size| size <= to) && !interrupted {
        return Ok(());
    }
    match kind {
        FsKind::Xfs => Err(cannot(device, to, "xfs cannot be made smaller: copy it into a smaller volume")),
        FsKind::Btrfs => shrink_btrfs(runner, device, to),
        FsKind::Ext2 | FsKind::Ext3 | FsKind::Ext4 => shrink_ext(runner, device, to),
    }
}

fn shrink_ext(runner: &dyn Runner, device: &Path, to: Bytes) -> Result<()> {
    check_ext(runner, device)?;
    let least = least_of_ext(runner, device)?;
    if to < least {
        return Err(cannot(device, to, &format!("what it holds needs {least}: remove something first")));
    }
    let size = format!("{}K", to.0 / 4096 * 4);
    runner.run(&ToolCommand::new(RESIZE2FS).arg(device).arg(size)).map(drop)
}

/// The least size by resize2fs's own estimate, below which it would refuse.
fn least_of_ext(runner: &dyn Runner, device: &Path) -> Result<Bytes> {
    let command = ToolCommand::new(RESIZE2FS).arg("-P").arg(device);
    let text = runner.run(&command)?.text();
    let blocks = text.rsplit(':').next().and_then(|number| number.trim().parse::<u64>().ok());
    let block = block_size_of_ext(device)?;
    let unreadable =
        || Error::new(ErrorKind::ToolFailed, format!("`{command}` named no size: {:?}", text.trim()));
    blocks.and_then(|count| count.checked_mul(block)).map(Bytes).ok_or_else(unreadable)
}

fn block_size_of_ext(device: &Path) -> Result<u64> {
    let mut shift = [0; 4];
    rustix::io::pread(probe::open(device)?, &mut shift, 1024 + 0x18)
        .map_err(|e| Error::os(format!("cannot read the superblock of {}", device.display()), e))?;
    // A file system that resize2fs has read has a sane one.
    Ok(1024 << u32::from_le_bytes(shift).min(6))
}

fn shrink_btrfs(runner: &dyn Runner, device: &Path, to: Bytes) -> Result<()> {
    if let Err(e) = FsKind::Btrfs.require_reachable(to) {
        return Err(cannot(device, to, &e.to_string()));
    }
    let size = (to.0 / 4096 * 4096).to_string();
    mounted::at_a_path(device, FsKind::Btrfs, |path| {
        let command = ToolCommand::new(BTRFS).args(["filesystem", "resize"]).arg(size).arg(path);
        let output = runner.attempt(&command)?;
        if output.succeeded() {
            return Ok(());
        }
        let failed = failure(&command, &output);
        match output.complaint().contains("No space left on device") {
            true => Err(cannot(device, to, "it holds too much: remove something first").because(failed)),
            false => Err(failed),
        }
    })
}

fn cannot(device: &Path, to: Bytes, why: &str) -> Error {
    let text = format!("the file system on {} cannot be shrunk to {to}: {why}", device.display());
    Error::new(ErrorKind::CannotShrink, text)
}

/// The file system on `device`, if it is one whose size can be changed.
fn known(device: &Path) -> Result<(Found, FsKind)> {
    let found = probe::probe_device(device)?.ok_or_else(|| {
        let text = format!("{} holds no file system that is known here", device.display());
        Error::new(ErrorKind::Unsupported, text)
    })?;
    let kind = found.kind().ok_or_else(|| {
        let text = format!("the size of {} on {} cannot be changed", found.fstype, device.display());
        Error::new(ErrorKind::Unsupported, text)
    })?;
    Ok((found, kind))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::LoopDevice;
    use crate::{MakeOptions, make};
    use hull_command::System;
    use hull_sys::fd::proc_path;

    const MIB: u64 = 1 << 20;

    fn size(device: &LoopDevice) -> u64 {
        probe::probe_device(device.path()).unwrap().unwrap().size.unwrap().0
    }

    fn content(device: &LoopDevice, kind: FsKind) -> u64 {
        let root = mounted::root(device.path(), kind).unwrap();
        std::fs::metadata(proc_path(&root).join("file")).unwrap().len()
    }

    /// A device with a file system that holds a file of `holds` bytes.
    fn filled(test: &str, kind: FsKind, size: u64, holds: u64) -> Option<LoopDevice> {
        let device = LoopDevice::new(test, size)?;
        make(&System, device.path(), kind, &MakeOptions::default()).unwrap();
        let root = mounted::root(device.path(), kind).unwrap();
        let noise: Vec<u8> = (0..holds).map(|n| ((n * 2_654_435_761) >> 13) as u8).collect();
        std::fs::write(proc_path(&root).join("file"), noise).unwrap();
        Some(device)
    }

    /// Whether this process has CAP_SYS_RESOURCE.
    fn may_grow_mounted_ext4() -> bool {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:")).unwrap();
        u64::from_str_radix(effective.trim(), 16).unwrap() & (1 << 24) != 0
    }

    #[test]
    fn all_grow_mounted_or_not() {
        for (kind, small, large) in [
            (FsKind::Ext2, 32, 64),
            (FsKind::Ext3, 32, 64),
            (FsKind::Ext4, 32, 128),
            (FsKind::Xfs, 300, 400),
            (FsKind::Btrfs, 128, 256),
        ] {
            let Some(device) = filled("all_grow_mounted_or_not", kind, small * MIB, MIB) else { return };
            device.set_size(large * MIB);
            grow(&System, device.path()).unwrap();
            grow(&System, device.path()).unwrap();
            assert_eq!(size(&device), large * MIB, "{kind}");
            device.set_size((large + 64) * MIB);
            let elsewhere = mounted::root(device.path(), kind).unwrap();
            let grown = grow(&System, device.path());
            drop(elsewhere);
            match grown {
                // Without CAP_SYS_RESOURCE ext4 grows when nobody has it mounted, and says so.
                Err(e) if e.kind() == ErrorKind::InUse && !may_grow_mounted_ext4() => {
                    grow(&System, device.path()).unwrap();
                }
                grown => grown.unwrap(),
            }
            assert_eq!(size(&device), (large + 64) * MIB, "{kind}, mounted");
            assert_eq!(content(&device, kind), MIB, "{kind}");
        }
    }

    #[test]
    fn some_shrink_as_far_as_what_they_hold() {
        let test = "some_shrink_as_far_as_what_they_hold";
        for (kind, large, holds, small, too_small) in [
            (FsKind::Ext2, 64, 20, 48, 16),
            (FsKind::Ext4, 64, 20, 52, 16),
            (FsKind::Btrfs, 512, 20, 300, 200),
            (FsKind::Btrfs, 640, 400, 600, 300),
            (FsKind::Xfs, 400, 1, 500, 350),
        ] {
            let Some(device) = filled(test, kind, large * MIB, holds * MIB) else { return };
            let refused = shrink(&System, device.path(), Bytes(too_small * MIB)).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::CannotShrink, "{kind}: {refused}");
            assert_eq!(size(&device), large * MIB, "{kind}");
            for _ in 0..2 {
                shrink(&System, device.path(), Bytes(small * MIB)).unwrap();
            }
            assert_eq!(size(&device), large.min(small) * MIB, "{kind}");
            assert_eq!(content(&device, kind), holds * MIB, "{kind}");
        }
    }

    #[test]
    fn what_is_unknown_keeps_its_size() {
        let Some(device) = LoopDevice::new("what_is_unknown_keeps_its_size", MIB) else { return };
        for done in [grow(&System, device.path()), shrink(&System, device.path(), Bytes(4096))] {
            assert_eq!(done.unwrap_err().kind(), ErrorKind::Unsupported);
        }
    }
}
