//! A volume group of its own on a loop device over a sparse file, or on a disk that fails.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::ground::{Fill, Troubles};
use crate::grounds::mapped::Mapped;
use crate::grounds::{machine_maps_devices, output};
use crate::{Ground, GroundInstance, Pool, SkipReason};
use tempfile::TempDir;

/// Large enough for what one case makes, which it removes; sparse.
const DISK: u64 = 12 << 30;

/// A ground whose volumes are thin, of `size` bytes, with the file system `fstype`.
pub fn thin(name: &str, fstype: &'static str, size: u64) -> Ground {
    let make = move || {
        let group = VolumeGroup::new()?;
        group.run("lvcreate", &["--type", "thin-pool", "--size", "10g", "--name", "pool"], &[])?;
        group.into_ground(fstype, size)
    };
    Ground::new(name, make).with_check(machine).with_stride(STRIDE)
}

/// A ground whose volumes are thick.
pub fn thick(name: &str, fstype: &'static str, size: u64) -> Ground {
    let make = move || {
        let group = VolumeGroup::new()?;
        let filled = group.name.clone();
        let full: Arc<Fill> = Arc::new(move |left| Ok(Box::new(Ballast::thick(&filled, left)?)));
        let troubles = Troubles { full: Some(full), ..Troubles::default() };
        Ok(group.into_ground(fstype, size)?.with_troubles(troubles))
    };
    Ground::new(name, make).with_check(machine).with_stride(STRIDE)
}

/// A ground whose volumes are thin, in a pool so small that it can be filled; for what happens then.
pub fn thin_full(name: &str, fstype: &'static str, size: u64) -> Ground {
    let make = move || {
        let group = VolumeGroup::new()?;
        let small = ["--type", "thin-pool", "--size", "256m", "--chunksize", "64k", "--name", "pool"];
        group.run("lvcreate", &small, &[])?;
        // It refuses at once, not after the minute for which it would wait for somebody to make it larger.
        let pool = format!("{}/pool", group.name);
        output(Command::new("lvchange").args(["--quiet", "--errorwhenfull", "y", &pool]))?;
        let filled = group.name.clone();
        let full: Arc<Fill> = Arc::new(move |left| Ok(Box::new(Ballast::thin(&filled, left)?)));
        let troubles = Troubles { full: Some(full), ..Troubles::default() };
        Ok(group.into_ground(fstype, size)?.with_troubles(troubles))
    };
    Ground::new(name, make).with_check(machine).with_only("troubles::no_space_left")
}

/// Each act runs programs of LVM, which take a second each in an emulated machine: a kill before every act would take
/// most of an hour. Volumes that are made under their final names take few acts, so not too many may be left out.
const STRIDE: usize = 2;

/// What every group needs of the machine.
pub fn machine() -> Result<(), SkipReason> {
    machine_maps_devices()?;
    if !["/sbin", "/usr/sbin"].iter().any(|dir| Path::new(dir).join("lvm").exists()) {
        return Err(SkipReason("no program lvm (package lvm2)".into()));
    }
    Ok(())
}

/// A volume group. Dropping it removes it, whatever state its volumes are in.
#[derive(Debug)]
pub struct VolumeGroup {
    name: String,
    disk: Disk,
    directory: TempDir,
}

/// What a group lies on.
#[derive(Debug)]
enum Disk {
    Loop(String),
    Failing(Arc<Mapped>),
}

impl Disk {
    fn path(&self) -> PathBuf {
        match self {
            Self::Loop(device) => device.into(),
            Self::Failing(mapped) => mapped.path(),
        }
    }
}

impl VolumeGroup {
    /// A group on a loop device. Two runs side by side do not meet: the name holds the process's id.
    pub fn new() -> Result<Self, SkipReason> {
        let directory = directory()?;
        let disk = directory.path().join("disk");
        std::fs::File::create(&disk)?.set_len(DISK)?;
        let device = output(Command::new("losetup").args(["--find", "--show"]).arg(&disk))?;
        Self::on(Disk::Loop(device.trim().to_owned()), directory)
    }

    /// A group on a disk of `size` bytes that fails when it is asked to.
    pub(super) fn on_a_failing_disk(size: u64) -> Result<(Self, Arc<Mapped>), SkipReason> {
        let directory = directory()?;
        let mapped = Arc::new(Mapped::new(directory.path(), size)?);
        Ok((Self::on(Disk::Failing(Arc::clone(&mapped)), directory)?, mapped))
    }

    fn on(disk: Disk, directory: TempDir) -> Result<Self, SkipReason> {
        static GROUPS: AtomicUsize = AtomicUsize::new(0);
        let number = GROUPS.fetch_add(1, Ordering::Relaxed);
        let name = format!("hull-test-{}-{number}", std::process::id());
        let group = Self { name, disk, directory };
        let path = group.disk.path();
        group.run("vgcreate", &["--physicalextentsize", "1m"], &[&*path.to_string_lossy()])?;
        Ok(group)
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs one of LVM's programs on the group.
    pub fn run(&self, program: &str, options: &[&str], last: &[&str]) -> Result<String, SkipReason> {
        run(program, options, &self.name, last)
    }

    /// The names of all its volumes.
    pub fn volumes(name: &str) -> std::io::Result<Vec<String>> {
        let said = run("lvs", &["--noheadings", "-o", "lv_name"], name, &[]);
        let said = said.map_err(|reason| std::io::Error::other(reason.0))?;
        Ok(said.lines().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect())
    }

    pub(super) fn into_ground(self, fstype: &str, size: u64) -> Result<GroundInstance, SkipReason> {
        let dir: PathBuf = self.directory.path().join("scratch");
        std::fs::create_dir(&dir)?;
        let (listed, cleared, measured) = (self.name.clone(), self.name.clone(), self.name.clone());
        let pool = Pool::new(
            Path::new("/dev").join(&self.name),
            move || Self::volumes(&listed),
            move |prefix| remove(&cleared, prefix),
        );
        let is_thin = Self::volumes(&self.name)?.iter().any(|name| name == "pool");
        let pool =
            pool.with_free(move || if is_thin { free_of_pool(&measured) } else { free_of_group(&measured) });
        let name = self.name.clone();
        Ok(GroundInstance::new(dir, self)
            .with_pool(pool)
            .with_setting("lxc.bdev.lvm.vg", name)
            .with_setting("lxc.bdev.lvm.thin_pool", "pool")
            .with_setting("hull.volume.fstype", fstype)
            .with_setting("hull.volume.size", size.to_string()))
    }
}

impl Drop for VolumeGroup {
    fn drop(&mut self) {
        let path = self.disk.path().to_string_lossy().into_owned();
        let mut steps = vec![
            ("vgremove", vec!["--quiet", "--force", "--force", "--yes", &self.name]),
            ("pvremove", vec!["--quiet", "--yes", &path]),
        ];
        if let Disk::Loop(device) = &self.disk {
            steps.push(("losetup", vec!["--detach", device]));
        }
        for (program, arguments) in steps {
            if let Err(reason) = output(Command::new(program).args(arguments)) {
                eprintln!("the volume group {} stays: {reason}", self.name);
            }
        }
    }
}

/// Where a group's content is. Not where other tests are: before Linux 6.6 a tmpfs keeps no extended attributes, which the
/// suite copies.
fn directory() -> Result<TempDir, SkipReason> {
    machine()?;
    Ok(tempfile::Builder::new().prefix("hull-lvm-").tempdir_in("/var/tmp")?)
}

/// A volume that takes all space but some; it goes when this is dropped.
struct Ballast(String);

impl Ballast {
    fn thick(group: &str, left: u64) -> io::Result<Self> {
        let size = format!("{}m", free_of_group(group)?.saturating_sub(left) >> 20);
        Self::made(group, &["--size", &size, "--zero", "n"])
    }

    fn thin(group: &str, left: u64) -> io::Result<Self> {
        let size = ["--thinpool", "pool", "--virtualsize", "256m"];
        let ballast = Self::made(group, &size)?;
        let free = free_of_pool(group)?;
        let mut device = std::fs::OpenOptions::new().write(true).open(Path::new("/dev").join(&ballast.0))?;
        let piece = vec![7; 1 << 20];
        for _ in 0..free.saturating_sub(left) >> 20 {
            device.write_all(&piece)?;
        }
        device.sync_data()?;
        Ok(ballast)
    }

    fn made(group: &str, how: &[&str]) -> io::Result<Self> {
        let made =
            run("lvcreate", &[how, &["--wipesignatures", "n", "--name", "ballast"]].concat(), group, &[]);
        made.map(|_| Self(format!("{group}/ballast"))).map_err(|reason| io::Error::other(reason.0))
    }
}

impl Drop for Ballast {
    fn drop(&mut self) {
        let removed = output(Command::new("lvremove").args(["--quiet", "--force", "--yes", &self.0]));
        if let Err(reason) = removed {
            eprintln!("{} stays: {reason}", self.0);
        }
    }
}

fn free_of_group(group: &str) -> io::Result<u64> {
    let said = ask("vgs", &["--noheadings", "--units", "b", "--nosuffix", "-o", "vg_free"], group)?;
    said.trim().parse().map_err(io::Error::other)
}

/// What is left of the thin pool, if the group has one, to a ten-thousandth of it.
fn free_of_pool(group: &str) -> io::Result<u64> {
    let pool = format!("{group}/pool");
    let fields = ["--noheadings", "--units", "b", "--nosuffix", "-o", "lv_size,data_percent"];
    let said = ask("lvs", &fields, &pool)?;
    let words: Vec<&str> = said.split_whitespace().collect();
    let odd = || io::Error::other(format!("lvs says {said:?} of {pool}"));
    let [size, percent] = words[..] else { return Err(odd()) };
    let size: u64 = size.parse().map_err(|_| odd())?;
    let hundredths: u64 = percent.replace('.', "").parse().map_err(|_| odd())?;
    Ok(size / 10_000 * 10_000_u64.saturating_sub(hundredths))
}

fn ask(program: &str, options: &[&str], what: &str) -> io::Result<String> {
    output(Command::new(program).args(options).arg(what)).map_err(|reason| io::Error::other(reason.0))
}

/// Removes the volumes of the group whose names begin with `prefix`: in one go, for each command takes its time.
fn remove(group: &str, prefix: &str) {
    let Ok(all) = VolumeGroup::volumes(group) else { return };
    let mine: Vec<String> =
        all.into_iter().filter(|n| n.starts_with(prefix)).map(|n| format!("{group}/{n}")).collect();
    if !mine.is_empty() {
        let _ = output(Command::new("lvremove").args(["--quiet", "--force", "--yes"]).args(mine));
    }
}

fn run(program: &str, options: &[&str], group: &str, last: &[&str]) -> Result<String, SkipReason> {
    output(Command::new(program).arg("--quiet").arg("--yes").args(options).arg(group).args(last))
}
