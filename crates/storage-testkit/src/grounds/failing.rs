//! A file system whose disk fails when asked to: from one moment on, every read and write is an I/O error.
//!
//! What is to be there afterwards must have been synced, so operations on this ground are those that survive power cuts.

use std::any::Any;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use hull_storage::Durability;
use hull_treefixture::make_file_system;
use tempfile::TempDir;

use crate::ground::{Ground, GroundInstance, SkipReason, Troubles};
use crate::grounds::mapped::{Later, Mapped};
use crate::grounds::{machine_maps_devices, output, told};

/// How large the file system is; sparse.
const SIZE: u64 = 2 << 30;

/// A round takes half a second in an emulated machine, and there are 45. Not a divisor of the number of moments, so that all
/// of them come.
const STRIDE: usize = 3;

/// A ground in a file system of the kind `kind`, called `KIND-on-a-failing-disk`.
pub fn ground(kind: &'static str) -> Ground {
    named(&format!("{kind}-on-a-failing-disk"), kind, &[])
}

/// A ground of that name, with settings for the drivers.
pub fn named(name: &str, kind: &'static str, settings: &'static [(&str, &str)]) -> Ground {
    let make = move || {
        let disk = Arc::new(Disk::new(kind)?);
        let (dir, failing, spoiled) = (disk.mounted(), Arc::clone(&disk), Arc::clone(&disk));
        let troubles = Troubles {
            failing: Some(Arc::new(move |delay| Ok(Box::new(Failing::new(&failing, delay)?)))),
            unreadable: Some(Arc::new(move |content| Disk::spoil(&spoiled, content))),
            ..Troubles::default()
        };
        let instance =
            GroundInstance::new(dir, disk).with_troubles(troubles).with_durability(Durability::Power);
        Ok(settings.iter().fold(instance, |instance, (key, value)| instance.with_setting(*key, *value)))
    };
    Ground::new(name, make).with_check(machine_maps_devices).with_only("troubles::a_").with_stride(STRIDE)
}

/// A file system on a disk that can fail. Dropping it removes them.
#[derive(Debug)]
struct Disk {
    mapped: Arc<Mapped>,
    directory: TempDir,
}

impl Disk {
    fn new(kind: &str) -> Result<Self, SkipReason> {
        let directory = tempfile::Builder::new().prefix("hull-failing-").tempdir_in("/var/tmp")?;
        std::fs::create_dir(directory.path().join("mounted"))?;
        let mapped = Arc::new(Mapped::new(directory.path(), SIZE)?);
        let disk = Self { mapped, directory };
        make_file_system(kind, &disk.mapped.path())?;
        disk.mount()?;
        Ok(disk)
    }

    fn mounted(&self) -> PathBuf {
        self.directory.path().join("mounted")
    }

    fn mount(&self) -> Result<(), SkipReason> {
        output(Command::new("mount").arg(self.mapped.path()).arg(self.mounted())).map(drop)
    }

    fn unmount(&self) -> Result<(), SkipReason> {
        output(Command::new("umount").arg(self.mounted())).map(drop)
    }

    /// Has what is written there as `content` be unreadable until what it returns is dropped.
    fn spoil(disk: &Arc<Self>, content: &[u8]) -> io::Result<Box<dyn Any>> {
        rustix::fs::syncfs(File::open(disk.mounted())?)?;
        // What has been read stays in memory; proc_sys_vm(5). Others read theirs again, that is all.
        std::fs::write("/proc/sys/vm/drop_caches", "1")?;
        disk.mapped.fail_where(content).map_err(told)?;
        Ok(Box::new(Spoiled(Arc::clone(disk))))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let unmounted = self.unmount().or_else(|_| {
            // Something still has a file open, as after a failed test.
            output(Command::new("umount").arg("--lazy").arg(self.mounted())).map(drop)
        });
        if let Err(left) = unmounted {
            eprintln!("something is left of a disk: {left}");
        }
    }
}

/// A disk that fails in places, until this is dropped.
struct Spoiled(Arc<Disk>);

impl Drop for Spoiled {
    fn drop(&mut self) {
        if let Err(why) = self.0.mapped.work() {
            eprintln!("a disk goes on failing: {why}");
        }
    }
}

/// A disk that fails once some time has passed, until this is dropped. Then it works again, and its file system has been
/// unmounted and mounted.
struct Failing {
    disk: Arc<Disk>,
    failure: Later,
}

impl Failing {
    fn new(disk: &Arc<Disk>, delay: Duration) -> io::Result<Self> {
        // What was done before is on the disk.
        rustix::fs::syncfs(File::open(disk.mounted())?)?;
        let failure = disk.mapped.fail_after(delay).map_err(told)?;
        Ok(Self { disk: Arc::clone(disk), failure })
    }

    fn end(&mut self) -> Result<(), SkipReason> {
        self.failure.end()?;
        // If the time was not over yet: in no case may the file system write any more.
        self.disk.mapped.fail()?;
        self.disk.unmount()?;
        self.disk.mapped.work()?;
        self.disk.mount()
    }
}

impl Drop for Failing {
    fn drop(&mut self) {
        if let Err(why) = self.end() {
            // The case looks at what is there and fails; it must know why.
            eprintln!("the file system of a disk that failed is not mounted again: {why}");
        }
    }
}
