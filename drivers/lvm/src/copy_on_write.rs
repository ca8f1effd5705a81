//! Clones: of a thin volume, one more volume of its pool that stands alone; of a thick one, a snapshot tied to it.

use hull_blockfs::FsKind;
use hull_mount::Access;
use hull_storage::{
    CopyOnWrite, Cost, Error, ErrorKind, Kept, Layout, Offer, Placement, Result, Source, Tie, TxId,
};
use hull_sys::mapper;

use crate::device::{Device, Makeup};
use crate::driver::require_one_group;
use crate::naming::{self, Name};
use crate::tool::{self, Kind, Room};
use crate::volumes::no_space;
use crate::{LvmDriver, NAME, report};

impl CopyOnWrite for LvmDriver {
    /// Clones volumes of its own into their own group. LVM makes no snapshot of a thick snapshot.
    fn offer(&self, from: Source<'_>, to: &Placement, _access: Access) -> Option<Offer> {
        if from.driver.name() != NAME {
            return None;
        }
        let source = Name::of(from.at).ok()?;
        if naming::group_of(to).is_some_and(|vg| vg != source.vg) {
            return None;
        }
        let tie = tie_to(self.see(&source).ok()?.makeup)?;
        Some(Offer { cost: Cost::Constant, tie, lies_over: false })
    }

    fn clone_volume(&self, from: Source<'_>, to: &Layout, access: Access, by: TxId) -> Result<Kept> {
        let (source, target) = (Name::of(from.at)?, Name::of(&to.at)?);
        require_one_group(&source, &target)?;
        let seen = self.see(&source)?;
        let tie = tie_to(seen.makeup).ok_or_else(|| {
            let text =
                format!("{} is a thick snapshot, which cannot be cloned: ask for a copy of it", from.at);
            Error::new(ErrorKind::Unsupported, text)
        })?;
        let as_it_is = match &seen.device {
            Some(device) => {
                write_out(device)?;
                is_good_as_it_is(device, access)?
            }
            None => false,
        };
        // What needs a change is made writable first.
        let first = if as_it_is { access } else { Access::ReadWrite };
        let command = match tie {
            Tie::None => {
                let room = self.room_seen(seen.device.as_ref());
                tool::thin_snapshot(&source, &target.lv, first, by, room)
            }
            _ => tool::thick_snapshot(&source, &target.lv, first, by),
        };
        let device = self.making(&command, &target, by, &[&source.lv], |group| {
            let kind = match &group.volume(&source.lv)?.pool {
                Some(pool) => Kind::Thin { pool: pool.clone() },
                None => Kind::Thick,
            };
            no_space(group, &target, &kind, seen.size)
        })?;
        if as_it_is {
            return Ok(None);
        }
        hull_blockfs::new_identity(&*self.runner, &device.path)?;
        if access == Access::ReadOnly {
            hull_blockfs::replay(&device.path)?;
            self.forbid_writing(&target, &device)?;
        }
        Ok(None)
    }
}

impl LvmDriver {
    /// Asks the kernel whether the pool of a thin volume has room; where it does not tell, or the pool is full, LVM shall.
    fn room_seen(&self, device: Option<&Device>) -> Room {
        let filled = || report::filled(&mapper::status(&device?.pool()?).ok()??);
        match filled() {
            Some(filled) if filled < u32::from(tool::FULL) * 100 => Room::Seen,
            _ => Room::Unseen,
        }
    }
}

/// What ties a clone of such a volume to it; `None` where LVM makes none.
fn tie_to(makeup: Makeup) -> Option<Tie> {
    match makeup {
        Makeup { thick_snapshot: true, .. } => None,
        Makeup { thin: true, .. } => Some(Tie::None),
        Makeup { thin: false, .. } => Some(Tie::Unguarded),
    }
}

/// Writes out what a mounted btrfs holds back: LVM freezes file systems before it makes a snapshot, but btrfs belongs to
/// no device of its own, so the kernel does not find it there.
fn write_out(device: &Device) -> Result<()> {
    let found = device.probe()?;
    match found.and_then(|found| found.kind()) {
        Some(FsKind::Btrfs) if device.is_held()? => hull_blockfs::sync(&device.path),
        _ => Ok(()),
    }
}

/// Whether a clone of `device` needs no change.
fn is_good_as_it_is(device: &Device, access: Access) -> Result<bool> {
    let Some(found) = device.probe()? else { return Ok(true) };
    match found.kind() {
        // Told from its original by nothing but its UUID.
        Some(FsKind::Xfs | FsKind::Btrfs) => Ok(false),
        // A journal is replayed when the clone is mounted, if it may be written to. A file system that is mounted is
        // frozen while LVM makes the snapshot, which leaves it with nothing to replay.
        Some(FsKind::Ext2 | FsKind::Ext3 | FsKind::Ext4) => {
            Ok(access == Access::ReadWrite || found.clean == Some(true) || device.is_held()?)
        }
        None => Ok(true),
    }
}
