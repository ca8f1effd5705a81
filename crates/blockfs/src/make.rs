//! Making a file system on a device that is the caller's own.

use std::os::fd::AsFd;
use std::path::Path;

use hull_command::{Runner, ToolCommand};
use hull_storage::{Bytes, Error, Result};
use rustix::fs::{AtFlags, Gid, Mode, Uid};
use rustix::io::Errno;

use crate::kind::FsKind;
use crate::{mounted, probe};

/// How [`make`] shall make it.
#[derive(Clone, Copy, Debug, Default)]
pub struct MakeOptions {
    /// Owner and group of its root directory; root otherwise.
    pub owner: Option<(u32, u32)>,
}

/// Makes an empty file system on `device`, whatever was there before: the device must be the caller's own.
///
/// It is really empty: the `lost+found` that mke2fs makes is taken away, for e2fsck(8) makes one when it needs it, and
/// two of them would meet when trees are copied. The root directory has the mode 0755.
///
/// Fails with [`ErrorKind::InvalidInput`] for a device that is too small, naming the least size, and with
/// [`ErrorKind::ToolMissing`].
pub fn make(runner: &dyn Runner, device: &Path, kind: FsKind, options: &MakeOptions) -> Result<()> {
    kind.require_room(size_of_device(device)?)?;
    runner.run(&command(device, kind))?;
    let root = mounted::root(device, kind)?;
    let failed = |e| Error::os(format!("cannot prepare the new file system on {}", device.display()), e);
    match rustix::fs::unlinkat(&root, c"lost+found", AtFlags::REMOVEDIR) {
        Ok(()) | Err(Errno::NOENT) => {}
        Err(e) => return Err(failed(e)),
    }
    let directory = hull_sys::fd::reopen(&root, rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::DIRECTORY)?;
    rustix::fs::fchmod(&directory, Mode::from_raw_mode(0o755)).map_err(failed)?;
    if let Some((uid, gid)) = options.owner {
        rustix::fs::fchown(&directory, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid))).map_err(failed)?;
    }
    Ok(())
}

fn command(device: &Path, kind: FsKind) -> ToolCommand {
    let command = ToolCommand::new(kind.maker());
    match kind {
        // Tables are zeroed by the kernel later on; on a sparse image they are zero already. Below 512 MiB mke2fs takes
        // blocks of 1 KiB, which leave little room for extended attributes and stay when the volume grows.
        FsKind::Ext2 | FsKind::Ext3 | FsKind::Ext4 => {
            command.args(["-q", "-F", "-b", "4096", "-E", "lazy_itable_init=1,lazy_journal_init=1"])
        }
        FsKind::Xfs => command.args(["-q", "-f", "-m", "reflink=1"]),
        FsKind::Btrfs => command.args(["-q", "-f"]),
    }
    .arg(device)
}

/// How large a device is.
fn size_of_device(device: &Path) -> Result<Bytes> {
    let file = probe::open(device)?;
    rustix::fs::seek(file.as_fd(), rustix::fs::SeekFrom::End(0))
        .map(Bytes)
        .map_err(|e| Error::os(format!("cannot find the size of {}", device.display()), e))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::LoopDevice;
    use hull_command::{Script, System};
    use hull_storage::ErrorKind;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn a_new_file_system_is_empty_and_belongs_to_whom_it_shall() {
        for (kind, size) in [
            (FsKind::Ext2, 8 << 20),
            (FsKind::Ext3, 8 << 20),
            (FsKind::Ext4, 8 << 20),
            (FsKind::Xfs, 300 << 20),
            (FsKind::Btrfs, 128 << 20),
        ] {
            let test = "a_new_file_system_is_empty_and_belongs_to_whom_it_shall";
            let Some(device) = LoopDevice::new(test, size) else { return };
            let options = MakeOptions { owner: Some((1000, 1001)) };
            // Twice: what is there does not matter.
            make(&System, device.path(), kind, &options).unwrap();
            make(&System, device.path(), kind, &options).unwrap();
            let found = probe::probe_device(device.path()).unwrap().unwrap();
            assert_eq!((found.fstype, found.size), (kind.name(), Some(Bytes(size))));
            mounted::at_a_path(device.path(), kind, |path| {
                let root = path.metadata().unwrap();
                assert_eq!((root.uid(), root.gid(), root.mode() & 0o7777), (1000, 1001, 0o755), "{kind}");
                assert_eq!(path.read_dir().unwrap().count(), 0, "{kind}");
                Ok(())
            })
            .unwrap();
            let taken = device.image.as_file().metadata().unwrap().blocks() * 512;
            // The log of xfs alone is 64 MiB.
            assert!(taken < 80 << 20, "{kind} takes {taken} bytes when empty");
        }
    }

    #[test]
    fn too_small_a_device_is_refused_with_the_least_size() {
        let Some(device) = LoopDevice::new("too_small_a_device_is_refused_with_the_least_size", 64 << 20)
        else {
            return;
        };
        for (kind, least) in [(FsKind::Xfs, "300.0 MiB"), (FsKind::Btrfs, "109.0 MiB")] {
            let refused = make(&Script::new(), device.path(), kind, &MakeOptions::default()).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::InvalidInput);
            assert!(refused.to_string().contains(least), "{refused}");
        }
    }
}
