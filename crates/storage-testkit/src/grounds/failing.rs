//! A file system whose disk fails when asked to: from one moment on, every read and write is an I/O error.
//!
//! The disk is a linear target of the device mapper, which another table, of one error target, takes the place of. What
//! has been written by then stays, and nothing else gets there: what is to be there afterwards must have been synced, so
//! operations on this ground are those that survive power cuts.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use hull_storage::Durability;
use hull_treefixture::make_file_system;
use tempfile::TempDir;

use crate::ground::{Ground, GroundInstance, SkipReason, Troubles};
use crate::grounds::{machine_maps_devices, output};

/// How large the file system is; sparse.
const SIZE: u64 = 2 << 30;

/// A ground in a file system of the kind `kind`, called `KIND-on-a-failing-disk`.
pub fn ground(kind: &'static str) -> Ground {
    named(&format!("{kind}-on-a-failing-disk"), kind, &[])
}

/// A ground of that name, with settings for the drivers.
pub fn named(name: &str, kind: &'static str, settings: &'static [(&str, &str)]) -> Ground {
    let make = move || {
        let disk = Arc::new(Disk::new(kind)?);
        let (dir, failing) = (disk.mounted(), Arc::clone(&disk));
        let troubles = Troubles {
            failing: Some(Arc::new(move |delay| Ok(Box::new(Failing::new(&failing, delay)?)))),
            ..Troubles::default()
        };
        let instance =
            GroundInstance::new(dir, disk).with_troubles(troubles).with_durability(Durability::Power);
        Ok(settings.iter().fold(instance, |instance, (key, value)| instance.with_setting(*key, *value)))
    };
    Ground::new(name, make).with_check(machine_maps_devices).with_only("troubles::a_device_that_fails")
}

/// A file system on a mapped device on a loop device. Dropping it removes them.
#[derive(Debug)]
struct Disk {
    mapped: String,
    device: String,
    directory: TempDir,
}

impl Disk {
    fn new(kind: &str) -> Result<Self, SkipReason> {
        static DISKS: AtomicUsize = AtomicUsize::new(0);
        machine_maps_devices()?;
        let directory = tempfile::Builder::new().prefix("hull-failing-").tempdir_in("/var/tmp")?;
        std::fs::create_dir(directory.path().join("mounted"))?;
        let image = directory.path().join("disk");
        File::create(&image)?.set_len(SIZE)?;
        let device = output(Command::new("losetup").args(["--find", "--show"]).arg(&image))?;
        let number = DISKS.fetch_add(1, Ordering::Relaxed);
        let mapped = format!("hull-failing-{}-{number}", std::process::id());
        let disk = Self { mapped, device: device.trim().to_owned(), directory };
        disk.map("create", &["--table", &disk.works()])?;
        make_file_system(kind, &disk.path())?;
        disk.mount()?;
        Ok(disk)
    }

    fn mounted(&self) -> PathBuf {
        self.directory.path().join("mounted")
    }

    fn path(&self) -> PathBuf {
        Path::new("/dev/mapper").join(&self.mapped)
    }

    fn mount(&self) -> Result<(), SkipReason> {
        output(Command::new("mount").arg(self.path()).arg(self.mounted())).map(drop)
    }

    fn unmount(&self) -> Result<(), SkipReason> {
        output(Command::new("umount").arg(self.mounted())).map(drop)
    }

    /// The table, in sectors, with which it works.
    fn works(&self) -> String {
        format!("0 {} linear {} 0", SIZE / 512, self.device)
    }

    fn map(&self, command: &str, arguments: &[&str]) -> Result<(), SkipReason> {
        output(Command::new("dmsetup").arg(command).arg(&self.mapped).args(arguments)).map(drop)
    }

    /// Puts the table in place that was loaded before. Nothing is written out first, and nobody waits for the file system,
    /// which would be able to end what it is at.
    fn switch(&self) -> Result<(), SkipReason> {
        self.map("resume", &["--noflush", "--nolockfs"])
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let unmounted = self.unmount().or_else(|_| {
            // Something still has a file open, as after a failed test.
            output(Command::new("umount").arg("--lazy").arg(self.mounted())).map(drop)
        });
        let removed = self.map("remove", &["--retry"]);
        let detached = output(Command::new("losetup").args(["--detach", &self.device])).map(drop);
        for left in [unmounted, removed, detached].into_iter().filter_map(Result::err) {
            eprintln!("something is left of the disk {}: {left}", self.mapped);
        }
    }
}

/// A disk that fails once some time has passed, until this is dropped. Then it works again, and its file system has been
/// unmounted and mounted.
struct Failing {
    disk: Arc<Disk>,
    /// Dropping it tells the thread that nothing needs to fail any longer.
    stop: Option<mpsc::Sender<()>>,
    switching: Option<thread::JoinHandle<Result<(), SkipReason>>>,
}

impl Failing {
    fn new(disk: &Arc<Disk>, delay: Duration) -> io::Result<Self> {
        // What was done before is on the disk.
        rustix::fs::syncfs(File::open(disk.mounted())?)?;
        let fails = format!("0 {} error", SIZE / 512);
        disk.map("load", &["--table", &fails]).map_err(told)?;
        let mut failing = Self { disk: Arc::clone(disk), stop: None, switching: None };
        if delay.is_zero() {
            disk.switch().map_err(told)?;
            return Ok(failing);
        }
        let (stop, stopped) = mpsc::channel();
        let disk = Arc::clone(disk);
        failing.stop = Some(stop);
        failing.switching = Some(thread::spawn(move || match stopped.recv_timeout(delay) {
            Err(RecvTimeoutError::Timeout) => disk.switch(),
            _ => Ok(()),
        }));
        Ok(failing)
    }

    fn end(&mut self) -> Result<(), SkipReason> {
        drop(self.stop.take());
        if let Some(thread) = self.switching.take() {
            thread.join().map_err(|_| SkipReason("the thread that breaks the disk panicked".into()))??;
        }
        // If the time was not over yet, what is loaded is the error table; in no case may the file system write any more.
        self.disk.map("load", &["--table", &format!("0 {} error", SIZE / 512)])?;
        self.disk.switch()?;
        self.disk.unmount()?;
        self.disk.map("load", &["--table", &self.disk.works()])?;
        self.disk.switch()?;
        self.disk.mount()
    }
}

impl Drop for Failing {
    fn drop(&mut self) {
        if let Err(why) = self.end() {
            // The case looks at what is there and fails; it must know why.
            eprintln!("the file system of {} is not mounted again: {why}", self.disk.mapped);
        }
    }
}

fn told(reason: SkipReason) -> io::Error {
    io::Error::other(reason.0)
}
