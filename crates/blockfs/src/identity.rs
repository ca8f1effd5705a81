//! Giving a copy an identity of its own, so that it can be mounted beside the original.

use std::path::Path;

use hull_command::{Runner, Tool, ToolCommand, failure};
use hull_storage::{Error, ErrorKind, Result};

use crate::kind::FsKind;
use crate::{mounted, probe};

const XFS_ADMIN: Tool = Tool { program: "xfs_admin", package: "xfsprogs" };
const BTRFSTUNE: Tool = Tool { program: "btrfstune", package: "btrfs-progs" };

/// Gives the file system on `device`, a copy of another one block by block, a UUID of its own where the kernel tells
/// file systems by it: xfs refuses to mount two alike, and btrfs takes two alike for one (it knows better only for a
/// single device since Linux 6.7). Others are left as they are.
///
/// The device must not be mounted. Takes the same time for every size. A journal that is to be replayed is replayed.
pub fn new_identity(runner: &dyn Runner, device: &Path) -> Result<()> {
    let Some(before) = probe::probe_device(device)? else {
        return Ok(());
    };
    let (kind, command) = match before.kind() {
        Some(kind @ FsKind::Xfs) => (kind, ToolCommand::new(XFS_ADMIN).args(["-U", "generate"])),
        // -m changes the superblock alone and keeps what stands in every block as "metadata UUID" (Linux 5.0);
        // -u would rewrite every block of metadata, and leave a ruin if it were interrupted.
        Some(kind @ FsKind::Btrfs) => (kind, ToolCommand::new(BTRFSTUNE).arg("-m")),
        _ => return Ok(()),
    };
    if before.clean != Some(true) {
        // Both programs refuse a log that is to be replayed, which only the kernel can do.
        drop(mounted::mount(device, kind)?);
    }
    let command = command.arg(device);
    let output = runner.run(&command)?;
    match probe::probe_device(device)? {
        Some(after) if after.uuid != before.uuid => Ok(()),
        // xfs_admin(8) complains and succeeds.
        Some(_) => Err(failure(&command, &output)),
        None => Err(Error::new(
            ErrorKind::Corrupt,
            format!("{} holds no file system any more after `{command}`", device.display()),
        )),
    }
}

/// Replays the journal of the file system on `device`, which must not be mounted, unless it is known to need none: then
/// it can be mounted from a device that may only be read.
pub fn replay(device: &Path) -> Result<()> {
    match probe::probe_device(device)? {
        Some(found) if found.clean != Some(true) => match found.kind() {
            Some(kind) => mounted::mount(device, kind).map(drop),
            None => Ok(()),
        },
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::LoopDevice;
    use crate::{MakeOptions, make};
    use hull_command::System;
    use hull_sys::fd::proc_path;

    #[test]
    fn a_copy_taken_while_mounted_can_be_mounted_beside_its_original() {
        let test = "a_copy_taken_while_mounted_can_be_mounted_beside_its_original";
        for (kind, size) in [(FsKind::Xfs, 300 << 20), (FsKind::Btrfs, 128 << 20), (FsKind::Ext4, 32 << 20)] {
            let Some(original) = LoopDevice::new(test, size) else { return };
            make(&System, original.path(), kind, &MakeOptions::default()).unwrap();
            let root = mounted::root(original.path(), kind).unwrap();
            std::fs::write(proc_path(&root).join("file"), "content").unwrap();
            let file = std::fs::File::open(proc_path(&root).join("file")).unwrap();
            // Into the log: for btrfs that is what fsync(2) is for.
            file.sync_all().unwrap();
            let Some(copy) = original.copy(test) else { return };
            let uuid = |device: &LoopDevice| probe::probe_device(device.path()).unwrap().unwrap().uuid;
            assert_eq!(uuid(&original), uuid(&copy));
            for _ in 0..2 {
                new_identity(&System, copy.path()).unwrap();
            }
            assert_eq!(uuid(&original) == uuid(&copy), kind == FsKind::Ext4, "{kind}");
            let beside = mounted::root(copy.path(), kind).unwrap();
            let content = std::fs::read_to_string(proc_path(&beside).join("file")).unwrap();
            assert_eq!(content, "content", "{kind}");
            std::fs::write(proc_path(&beside).join("own"), "x").unwrap();
            assert!(!proc_path(&root).join("own").exists(), "{kind}: one file system for two devices");
        }
    }
}
