//! What the kernel says of an active volume: its device, and what the device mapper made it of.
//!
//! All of it is read from sysfs, so that nothing need be started to look at a volume that is active, as volumes are.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hull_storage::{Access, Bytes, Error, ErrorKind, Result};
use rustix::fs::{CWD, FileType, Mode, OFlags};
use rustix::io::Errno;

use crate::naming::{self, Name};

/// The device of an active volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Device {
    /// A node of it.
    pub(crate) path: PathBuf,
    /// Its directory in sysfs.
    sys: PathBuf,
}

/// What a device is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Makeup {
    /// Its blocks are those of a thin pool.
    pub(crate) thin: bool,
    /// Thick snapshots need it.
    pub(crate) thick_origin: bool,
    /// It shows another volume, and what has changed since.
    pub(crate) thick_snapshot: bool,
}

/// The device mapper's UUID of a volume: `LVM-`, the group's UUID, the volume's. Parts of volumes have a suffix.
const UUID: usize = "LVM-".len() + 32 + 32;

impl Device {
    /// The device of the volume `name`, if it is active and has a node.
    pub(crate) fn of(name: &Name) -> Option<Self> {
        // Without udev there may be only one of the two, and a node may stay when its device has gone.
        [name.path(), name.mapper_path()].into_iter().find_map(|path| {
            let device = Self::at(&path)?;
            let is_its = device.attribute("dm/name")? == name.mapped() && is_volume(&device.uuid()?);
            is_its.then_some(device)
        })
    }

    /// The file system on it; `None` if it has none that Hull knows.
    ///
    /// What cannot be read says what may help: the volume's own device is not what has failed.
    pub(crate) fn probe(&self) -> Result<Option<hull_blockfs::Found>> {
        hull_blockfs::probe_device(&self.path).map_err(|e| match e.errno() {
            Errno::IO => Error::new(
                ErrorKind::Os,
                format!(
                    "cannot read {}: its disk fails, or its thin pool, if it has one, gave up when one did (`dmesg` and `lvs -a -o \
                     +health_status` say which): once the disk works, deactivate the group and activate it again with \
                     vgchange(8)",
                    self.path.display()
                ),
            )
            .because(e),
            _ => e,
        })
    }

    /// The block device whose node is `path`.
    fn at(path: &Path) -> Option<Self> {
        let stat = rustix::fs::stat(path).ok()?;
        let (major, minor) = (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev));
        (FileType::from_raw_mode(stat.st_mode) == FileType::BlockDevice)
            .then(|| Self { path: path.to_owned(), sys: format!("/sys/dev/block/{major}:{minor}").into() })
    }

    /// Whether it may be written to.
    pub(crate) fn access(&self) -> Access {
        match self.attribute("ro").as_deref() {
            Some("1") => Access::ReadOnly,
            _ => Access::ReadWrite,
        }
    }

    /// Its size.
    pub(crate) fn size(&self) -> Result<Bytes> {
        // In sectors of 512 bytes, whatever those of the disk are.
        self.attribute("size")
            .and_then(|text| text.parse::<u64>().ok()?.checked_mul(512))
            .map(Bytes)
            .ok_or_else(|| {
                Error::os(format!("cannot read the size of {}", self.path.display()), Errno::NODEV)
            })
    }

    /// What it is made of.
    pub(crate) fn makeup(&self) -> Makeup {
        let own = self.uuid().unwrap_or_default();
        makeup(&own, &below(&self.sys, &own))
    }

    /// The device mapper's name of the thin pool that its blocks are of.
    pub(crate) fn pool(&self) -> Option<String> {
        pool_below(&self.sys, &self.uuid()?)
    }

    /// Whether it is mounted, in whatever mount namespace, or held by a program in the same way.
    pub(crate) fn is_held(&self) -> Result<bool> {
        for _ in 0..HELD_TRIES {
            // open(2): a block device that is mounted cannot be opened exclusively.
            let flags = OFlags::RDONLY | OFlags::EXCL | OFlags::CLOEXEC;
            match rustix::fs::openat(CWD, &self.path, flags, Mode::empty()) {
                Ok(_) => return Ok(false),
                // Somebody else may just be asking the same.
                Err(Errno::BUSY) => std::thread::sleep(HELD_PAUSE),
                Err(Errno::NOENT | Errno::NXIO | Errno::NODEV) => return Ok(false),
                Err(e) => return Err(Error::os(format!("cannot open {}", self.path.display()), e)),
            }
        }
        Ok(true)
    }

    fn uuid(&self) -> Option<String> {
        self.attribute("dm/uuid")
    }

    fn attribute(&self, name: &str) -> Option<String> {
        attribute(&self.sys, name)
    }
}

const HELD_TRIES: u32 = 4;
const HELD_PAUSE: Duration = Duration::from_millis(15);

/// Whether `path` is the node of an active logical volume, in a spelling that tells its name.
pub(crate) fn is_volume_at(path: &Path) -> bool {
    Name::at(path).is_some_and(|name| Device::of(&name).is_some())
}

/// Whether the kernel has volumes of the group `vg`, whatever LVM says.
pub(crate) fn has_volumes_of(vg: &str) -> bool {
    has_volumes_in(Path::new("/sys/block"), vg)
}

fn has_volumes_in(block: &Path, vg: &str) -> bool {
    // No volume's name begins with a hyphen, so a group whose name begins with `vg-` is told from it.
    let begin = format!("{}-", naming::doubled(vg));
    let is_of = |sys: &Path| {
        let name = attribute(sys, "dm/name")?;
        let lv = name.strip_prefix(&begin).filter(|lv| !lv.starts_with('-'))?;
        Some(!lv.is_empty() && attribute(sys, "dm/uuid")?.starts_with("LVM-"))
    };
    let Ok(entries) = fs::read_dir(block) else { return false };
    entries.flatten().any(|entry| is_of(&entry.path()).unwrap_or(false))
}

fn is_volume(uuid: &str) -> bool {
    uuid.len() == UUID && uuid.starts_with("LVM-")
}

/// What a device with the UUID `own` is made of, whose blocks are those of devices with the UUIDs `below`.
fn makeup(own: &str, below: &[String]) -> Makeup {
    let real = format!("{own}-real");
    Makeup {
        thin: below.iter().any(|uuid| uuid.ends_with("-tpool")),
        thick_origin: below.contains(&real),
        thick_snapshot: below.iter().any(|uuid| uuid.ends_with("-cow")),
    }
}

/// The UUIDs of the devices below the one with the UUID `own`, and of those below the hidden half of an origin.
fn below(sys: &Path, own: &str) -> Vec<String> {
    let mut all = Vec::new();
    let Ok(entries) = fs::read_dir(sys.join("slaves")) else { return all };
    for entry in entries.flatten() {
        let Some(uuid) = attribute(&entry.path(), "dm/uuid") else { continue };
        if !own.is_empty() && uuid == format!("{own}-real") {
            all.extend(below(&entry.path(), ""));
        }
        all.push(uuid);
    }
    all
}

/// The name of the thin pool among the devices below the one with the UUID `own`, or below the hidden half of an origin.
fn pool_below(sys: &Path, own: &str) -> Option<String> {
    let real = format!("{own}-real");
    fs::read_dir(sys.join("slaves")).ok()?.flatten().find_map(|entry| {
        match attribute(&entry.path(), "dm/uuid")? {
            uuid if uuid.ends_with("-tpool") => attribute(&entry.path(), "dm/name"),
            uuid if !own.is_empty() && uuid == real => pool_below(&entry.path(), ""),
            _ => None,
        }
    })
}

fn attribute(sys: &Path, name: &str) -> Option<String> {
    Some(fs::read_to_string(sys.join(name)).ok()?.trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_devices_are_made_of() {
        let own = format!("LVM-{}", "x".repeat(64));
        let of = |below: &[&str]| makeup(&own, &below.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>());
        let real = format!("{own}-real");
        assert_eq!(of(&[]), Makeup::default());
        assert_eq!(of(&["LVM-y-tpool"]), Makeup { thin: true, ..Makeup::default() });
        assert_eq!(of(&[&real]), Makeup { thick_origin: true, ..Makeup::default() });
        assert_eq!(of(&["LVM-y-real", "LVM-z-cow"]), Makeup { thick_snapshot: true, ..Makeup::default() });
        assert_eq!(
            of(&[&real, "LVM-y-tpool"]),
            Makeup { thin: true, thick_origin: true, ..Makeup::default() },
            "a thin volume can be snapshotted like a thick one"
        );
        assert!(is_volume(&own) && !is_volume(&real) && !is_volume("CRYPT-LUKS2-x") && !is_volume(""));
    }

    #[test]
    fn a_group_is_told_from_others_by_its_whole_name() {
        let block = tempfile::tempdir().unwrap();
        let devices = [
            ("dm-0", "vg-a", "LVM-x"),
            ("dm-1", "my--vg-a", "LVM-y"),
            ("dm-2", "other-a", "CRYPT-LUKS2-x"),
            ("dm-3", "long--name-a--b", "LVM-z-tpool"),
        ];
        for (device, name, uuid) in devices {
            let dm = block.path().join(device).join("dm");
            fs::create_dir_all(&dm).unwrap();
            fs::write(dm.join("name"), format!("{name}\n")).unwrap();
            fs::write(dm.join("uuid"), format!("{uuid}\n")).unwrap();
        }
        fs::create_dir(block.path().join("sda")).unwrap();
        for (vg, is_there) in [
            ("vg", true),
            ("my-vg", true),
            ("long-name", true),
            ("long", false),
            ("my", false),
            ("other", false),
            ("v", false),
        ] {
            assert_eq!(has_volumes_in(block.path(), vg), is_there, "{vg}");
        }
    }

    #[test]
    fn what_is_no_volume_is_none() {
        for path in ["/dev/null", "/dev/no-such-group/x", "/dev/mapper/control", "/tmp", "/dev/mapper/a-b"] {
            assert!(!is_volume_at(Path::new(path)), "{path}");
        }
    }
}
