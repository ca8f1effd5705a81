//! A volume group of its own on a loop device over a sparse file.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

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
    let make = move || VolumeGroup::new()?.into_ground(fstype, size);
    Ground::new(name, make).with_check(machine).with_stride(STRIDE)
}

/// Each act runs programs of LVM, which take a second each in an emulated machine: a kill before every act would take
/// most of an hour. Volumes that are made under their final names take few acts, so not too many may be left out.
const STRIDE: usize = 2;

/// What every group needs of the machine.
pub fn machine() -> Result<(), SkipReason> {
    if !rustix::process::geteuid().is_root() {
        return Err(SkipReason("making a volume group takes root".into()));
    }
    let devices = std::fs::read_to_string("/proc/devices")?;
    if !devices.lines().any(|line| line.ends_with(" device-mapper")) {
        return Err(SkipReason("this kernel has no device mapper".into()));
    }
    if !["/sbin", "/usr/sbin"].iter().any(|dir| Path::new(dir).join("lvm").exists()) {
        return Err(SkipReason("no program lvm (package lvm2)".into()));
    }
    Ok(())
}

/// A volume group. Dropping it removes it, whatever state its volumes are in.
#[derive(Debug)]
pub struct VolumeGroup {
    name: String,
    device: String,
    directory: TempDir,
}

impl VolumeGroup {
    /// A group on a loop device. Two runs side by side do not meet: the name holds the process's id.
    pub fn new() -> Result<Self, SkipReason> {
        static GROUPS: AtomicUsize = AtomicUsize::new(0);
        machine()?;
        // Not where other tests are: before Linux 6.6 a tmpfs keeps no extended attributes, which the suite copies.
        let directory = tempfile::Builder::new().prefix("hull-lvm-").tempdir_in("/var/tmp")?;
        let disk = directory.path().join("disk");
        std::fs::File::create(&disk)?.set_len(DISK)?;
        let device = output(Command::new("losetup").args(["--find", "--show"]).arg(&disk))?;
        let number = GROUPS.fetch_add(1, Ordering::Relaxed);
        let name = format!("hull-test-{}-{number}", std::process::id());
        let group = Self { name, device: device.trim().to_owned(), directory };
        group.run("vgcreate", &["--physicalextentsize", "1m"], &[&group.device])?;
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

    fn into_ground(self, fstype: &str, size: u64) -> Result<GroundInstance, SkipReason> {
        let dir: PathBuf = self.directory.path().join("scratch");
        std::fs::create_dir(&dir)?;
        let (listed, cleared) = (self.name.clone(), self.name.clone());
        let pool = Pool::new(
            Path::new("/dev").join(&self.name),
            move || Self::volumes(&listed),
            move |prefix| remove(&cleared, prefix),
        );
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
        for (program, arguments) in [
            ("vgremove", &["--quiet", "--force", "--force", "--yes", &self.name][..]),
            ("pvremove", &["--quiet", "--yes", &self.device]),
            ("losetup", &["--detach", &self.device]),
        ] {
            if let Err(reason) = output(Command::new(program).args(arguments)) {
                eprintln!("the volume group {} stays: {reason}", self.name);
            }
        }
    }
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

fn output(command: &mut Command) -> Result<String, SkipReason> {
    let output = command.env("LVM_SUPPRESS_FD_WARNINGS", "1").output()?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(SkipReason(format!("{command:?}: {}", said.trim().replace('\n', "; "))))
}
