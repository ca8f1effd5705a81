//! Finding, making, activating and removing volumes, and saying why LVM would not.

use std::time::{Duration, Instant};

use hull_command::{ToolCommand, failure};
use hull_mount::Access;
use hull_storage::{Bytes, Error, ErrorKind, Outcome, Result, TxId};

use crate::LvmDriver;
use crate::device::{self, Device, Makeup};
use crate::driver::{absent, taken};
use crate::naming::{self, Name};
use crate::report::{self, Group, Volume};
use crate::tool::{self, Kind};

/// How long a device may take to appear or to be let go of: udev looks into every one that appears.
const PATIENCE: Duration = Duration::from_secs(3);
const PAUSE: Duration = Duration::from_millis(20);
/// How much metadata a pool may use, in hundredths of a percent, before LVM makes no more volumes in it; pools with
/// little metadata are refused from here on, larger ones later (lib/metadata/thin_manip.c).
const METADATA_FULL: u32 = 7500;

/// A volume that is there.
#[derive(Debug)]
pub(crate) struct Seen {
    /// What it is made of.
    pub(crate) makeup: Makeup,
    /// Its device, if it is active.
    pub(crate) device: Option<Device>,
    /// How large its device is.
    pub(crate) size: Bytes,
}

impl LvmDriver {
    /// What LVM says of the group `vg` and of the volumes that `selection` names.
    pub(crate) fn group(&self, vg: &str, selection: &str) -> Result<Group> {
        let command = tool::report(vg, selection);
        let output = self.runner.attempt(&command)?;
        // A group that is not there is a failure, too, and told by what the report lacks.
        match report::read(&output.stdout) {
            Ok(Some(group)) if output.succeeded() => Ok(group),
            Ok(None) => Err(no_group(vg, device::has_volumes_of(vg))),
            Err(unreadable) if output.succeeded() => Err(unreadable),
            Ok(Some(_)) | Err(_) => Err(failure(&command, &output)),
        }
    }

    /// What LVM says of a volume that is there.
    pub(crate) fn volume(&self, name: &Name) -> Result<Volume> {
        let group = self.group(&name.vg, &tool::named(&[&name.lv]))?;
        usable(&group, name).cloned()
    }

    /// Looks at a volume that is there; without starting anything if it is active.
    pub(crate) fn see(&self, name: &Name) -> Result<Seen> {
        if let Some(device) = Device::of(name) {
            return Ok(Seen { makeup: device.makeup(), size: device.size()?, device: Some(device) });
        }
        let volume = self.volume(name)?;
        let makeup = Makeup {
            thin: volume.is_thin(),
            thick_origin: volume.is_thick_origin(),
            thick_snapshot: volume.is_thick_snapshot(),
        };
        Ok(Seen { makeup, size: volume.size, device: None })
    }

    /// The device of a volume, which is activated if it is not active.
    pub(crate) fn active(&self, name: &Name) -> Result<Device> {
        if let Some(device) = Device::of(name) {
            return Ok(device);
        }
        let group = self.group(&name.vg, &tool::named(&[&name.lv]))?;
        let volume = usable(&group, name)?;
        // A thick snapshot is active when its origin is.
        let of = match (&volume.origin, volume.is_thick_snapshot()) {
            (Some(origin), true) => name.sibling(origin),
            _ => name.clone(),
        };
        self.runner.run(&tool::activate(&of))?;
        self.appeared(name)
    }

    /// The device of a volume that is active, once its node is there.
    fn appeared(&self, name: &Name) -> Result<Device> {
        let begun = Instant::now();
        let mut asked = false;
        loop {
            if let Some(device) = Device::of(name) {
                return Ok(device);
            }
            if begun.elapsed() > PATIENCE {
                return Err(Error::new(
                    ErrorKind::NotFound,
                    format!(
                        "the logical volume {name} is active, but {} does not appear: see that udev runs, or that \
                         /dev is one that LVM can write to",
                        name.path().display()
                    ),
                ));
            }
            if begun.elapsed() > PATIENCE / 4 && !asked {
                asked = true;
                // Without udev nobody else makes the node. If that fails, waiting says more.
                let _ = self.runner.attempt(&tool::make_nodes(name));
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Makes a volume with nothing on it, exclusively: thin if its group has the pool for it.
    pub(crate) fn make_volume(&self, name: &Name, size: Bytes, by: TxId) -> Result<Device> {
        let pool = self.pool();
        let group = self.group(&name.vg, &tool::named(&[&name.lv, pool]))?;
        if group.volume(&name.lv).is_some() {
            return Err(taken(name));
        }
        let kind = match group.volume(pool).is_some_and(Volume::is_thin_pool) {
            true => Kind::Thin { pool: pool.to_owned() },
            false => Kind::Thick,
        };
        if let Some(full) = no_space(&group, name, &kind, size) {
            return Err(full);
        }
        self.making(&tool::create(name, &kind, size, by), name, by, &[], |group| {
            no_space(group, name, &kind, size)
        })
    }

    /// Runs `command`, which makes the volume `name`. Should it fail, `why` is asked, by a report that has the
    /// volumes `others`, too, whether there is no room.
    pub(crate) fn making(
        &self,
        command: &ToolCommand,
        name: &Name,
        by: TxId,
        others: &[&str],
        why: impl FnOnce(&Group) -> Option<Error>,
    ) -> Result<Device> {
        let output = self.runner.attempt(command)?;
        if output.succeeded() {
            return self.appeared(name);
        }
        let mut names = vec![&*name.lv];
        names.extend(others);
        Err(match self.group(&name.vg, &tool::with_pools(&names)) {
            Ok(group) if group.volume(&name.lv).is_some_and(|v| !v.is_of(by)) => taken(name),
            Ok(group) => why(&group).unwrap_or_else(|| failure(command, &output)),
            Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::Os) => e,
            Err(_) => failure(command, &output),
        })
    }

    /// The thick snapshots of a volume: LVM would remove them with it. Those that are ours and condemned do not count:
    /// they may go, whoever is first.
    pub(crate) fn snapshots_of(&self, name: &Name) -> Result<Vec<Name>> {
        if Device::of(name).is_some_and(|device| !device.makeup().thick_origin) {
            return Ok(Vec::new());
        }
        let group = self.group(&name.vg, &tool::with_clones(&name.lv))?;
        let clones = group.volumes.iter().filter(|v| v.is_thick_snapshot() && v.name != name.lv);
        let clones = clones.filter(|v| !(v.is_ours() && naming::is_condemned(&v.name)));
        Ok(clones.map(|v| name.sibling(&v.name)).collect())
    }

    /// Fails when thick snapshots need the volume.
    pub(crate) fn require_no_snapshots(&self, name: &Name) -> Result<()> {
        let clones = self.snapshots_of(name)?;
        if clones.is_empty() {
            return Ok(());
        }
        let clones: Vec<String> = clones.iter().map(|clone| clone.path().display().to_string()).collect();
        Err(Error::new(
            ErrorKind::HasDependents,
            format!(
                "{} is needed by its thick snapshots {}: remove those first",
                name.path().display(),
                clones.join(", ")
            ),
        ))
    }

    /// Removes a volume; gone already is success.
    pub(crate) fn remove(&self, name: &Name) -> Result<Outcome> {
        self.require_no_snapshots(name)?;
        let command = tool::remove(name);
        let begun = Instant::now();
        loop {
            let output = self.runner.attempt(&command)?;
            if output.succeeded() {
                return Ok(Outcome::Done);
            }
            let group = self.group(&name.vg, &tool::named(&[&name.lv]))?;
            if group.volume(&name.lv).is_none() {
                return Ok(Outcome::AlreadyDone);
            }
            if begun.elapsed() > PATIENCE / 2 {
                return Err(match Device::of(name).is_some_and(|d| d.is_held().unwrap_or(false)) {
                    true => Error::new(
                        ErrorKind::InUse,
                        format!("{} is mounted or open: end that first", name.path().display()),
                    ),
                    false => failure(&command, &output),
                });
            }
            // Whoever looked at it last, such as udev, may not have let go of it yet.
            std::thread::sleep(PATIENCE / 6);
        }
    }

    /// Makes a volume one that may only be read.
    pub(crate) fn forbid_writing(&self, name: &Name, device: &Device) -> Result<()> {
        if device.access() == Access::ReadWrite {
            self.runner.run(&tool::forbid_writing(name))?;
        }
        Ok(())
    }
}

/// What to say of a group that LVM does not find. Of a disk that gives nothing but errors it says nothing else, and where
/// volumes of the group are active, the group is not gone.
pub(crate) fn no_group(vg: &str, is_active: bool) -> Error {
    match is_active {
        true => Error::new(
            ErrorKind::Os,
            format!(
                "LVM cannot read the volume group {vg}, of which volumes are active: see in `dmesg` whether its disk fails; \
                 once it works, `vgchange --activate n {vg}` and `vgchange --activate y {vg}` undo what the failure did"
            ),
        ),
        false => Error::new(
            ErrorKind::NotFound,
            format!(
                "there is no volume group {vg}: make one with `vgcreate {vg} DEVICE`, or name another with \
                 lxc.bdev.lvm.vg"
            ),
        ),
    }
}

/// The volume `name` of the group, if it is one that can be used.
fn usable<'g>(group: &'g Group, name: &Name) -> Result<&'g Volume> {
    let volume = group.volume(&name.lv).ok_or_else(|| absent(name))?;
    match volume.is_public() {
        true => Ok(volume),
        false => Err(Error::new(
            ErrorKind::InvalidInput,
            format!(
                "{} is a part of LVM's own ({}), not a volume",
                name.path().display(),
                volume.parts.join(" ")
            ),
        )),
    }
}

/// Why there is no room for a volume of `size` bytes, with figures and what to do, or that its pool has failed; `None`
/// otherwise, or if only LVM can tell.
pub(crate) fn no_space(group: &Group, name: &Name, kind: &Kind, size: Bytes) -> Option<Error> {
    let vg = &name.vg;
    let text = match kind {
        Kind::Thick => {
            let needed = group.rounded(size);
            if needed <= group.free {
                return None;
            }
            format!(
                "the volume group {vg} has {} free of {}, and {} needs {needed}: add a disk with `vgextend {vg} \
                 DEVICE`, or ask for less",
                group.free, group.size, name.lv
            )
        }
        Kind::Thin { pool } => {
            let row = group.volume(pool)?;
            if row.has_failed {
                let text = format!(
                    "the thin pool {vg}/{pool} has failed, as one does that cannot write its metadata: see in `dmesg` \
                     whether its disk works; then `vgchange --activate n {vg}` and `vgchange --activate y {vg}` have it \
                     checked, and `lvconvert --repair {vg}/{pool}` mends what is damaged"
                );
                return Some(Error::new(ErrorKind::Os, text));
            }
            let (data, metadata) = (row.data?, row.metadata.unwrap_or(0));
            let figures = format!(
                "the thin pool {vg}/{pool} of {} is {} full, its metadata {}",
                row.size,
                report::percent(data),
                report::percent(metadata)
            );
            if data >= u32::from(tool::FULL) * 100 {
                format!(
                    "{figures}, and from {} % on no volume is made in it: make it larger with `lvextend --size \
                     +SIZE {vg}/{pool}`, or remove something",
                    tool::FULL
                )
            } else if metadata >= METADATA_FULL {
                format!(
                    "{figures}, which is too much for another volume: make them larger with `lvextend \
                     --poolmetadatasize +SIZE {vg}/{pool}`, or remove something"
                )
            } else {
                return None;
            }
        }
    };
    Some(Error::new(ErrorKind::NoSpace, text))
}
