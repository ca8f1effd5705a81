//! The command lines of LVM's programs, as data.

use hull_command::{Tool, ToolCommand};
use hull_storage::{Access, Bytes, TxId};

use crate::naming::Name;

const PACKAGE: &str = "lvm2";
pub(crate) const LVM: Tool = Tool { program: "lvm", package: PACKAGE };
const LVCREATE: Tool = Tool { program: "lvcreate", package: PACKAGE };
const LVCHANGE: Tool = Tool { program: "lvchange", package: PACKAGE };
const LVRENAME: Tool = Tool { program: "lvrename", package: PACKAGE };
const LVREMOVE: Tool = Tool { program: "lvremove", package: PACKAGE };
const LVEXTEND: Tool = Tool { program: "lvextend", package: PACKAGE };
const LVREDUCE: Tool = Tool { program: "lvreduce", package: PACKAGE };
const VGMKNODES: Tool = Tool { program: "vgmknodes", package: PACKAGE };

/// The tag on every volume that Hull made.
pub(crate) const OURS: &str = "hull";

/// The tag on what the transaction `tx` made.
pub(crate) fn tag_of(tx: TxId) -> String {
    format!("hull.tx.{tx}")
}

/// How full, in percent, a thin pool may be for Hull to make another volume in it. lvcreate(8) itself would take a pool that
/// has nothing left but its last block.
pub(crate) const FULL: u8 = 95;

/// Who sees to it that a thin pool is not [`FULL`]. Of its metadata lvcreate(8) always does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Room {
    /// Somebody just has. What is made takes no block of the pool.
    Seen,
    /// lvcreate(8), under the lock of its group, which is told so by a setting: then it reads all settings again, looks at
    /// all devices anew, and takes a quarter longer.
    Unseen,
}

/// What a new volume is made in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It takes blocks from the thin pool of this name as they are written.
    Thin {
        /// The pool's name in the group.
        pool: String,
    },
    /// All its blocks are its own from the beginning.
    Thick,
}

/// Makes an empty volume of `size` bytes, wiping what signatures of file systems its blocks hold.
pub(crate) fn create(name: &Name, kind: &Kind, size: Bytes, by: TxId) -> ToolCommand {
    // LVM takes multiples of 512 only, and rounds up to its extents itself.
    let size = format!("{}b", size.0.next_multiple_of(512));
    let command = making(by, Room::Unseen).args(["--wipesignatures", "y"]);
    let command = match kind {
        Kind::Thin { pool } => command.args(["--thinpool", pool, "--virtualsize", &size]),
        Kind::Thick => command.args(["--zero", "y", "--size", &size]),
    };
    command.args(["--name", &name.lv, &name.vg])
}

/// Makes a clone of a thin volume, active at once: LVM would have snapshots wait to be activated by hand.
pub(crate) fn thin_snapshot(from: &Name, lv: &str, access: Access, by: TxId, room: Room) -> ToolCommand {
    let command = making(by, room).args(["--snapshot", "--setactivationskip", "n"]);
    permitting(command, access).args(["--name", lv]).arg(from.to_string())
}

/// Makes a clone of a thick volume, with room for every block of it to change.
pub(crate) fn thick_snapshot(from: &Name, lv: &str, access: Access, by: TxId) -> ToolCommand {
    let command = making(by, Room::Unseen).args(["--snapshot", "--extents", "100%ORIGIN"]);
    permitting(command, access).args(["--name", lv]).arg(from.to_string())
}

fn making(by: TxId, room: Room) -> ToolCommand {
    let command = ToolCommand::new(LVCREATE).args(["--quiet", "--yes"]);
    let command = match room {
        Room::Seen => command,
        Room::Unseen => {
            command.args(["--config", &format!("activation/thin_pool_autoextend_threshold={FULL}")])
        }
    };
    command.args(["--addtag", OURS, "--addtag", &tag_of(by)])
}

fn permitting(command: ToolCommand, access: Access) -> ToolCommand {
    match access {
        Access::ReadOnly => command.args(["--permission", "r"]),
        Access::ReadWrite => command,
    }
}

/// Renames a volume, which may be open.
pub(crate) fn rename(from: &Name, lv: &str) -> ToolCommand {
    ToolCommand::new(LVRENAME).args(["--quiet", &from.vg, &from.lv, lv])
}

/// Removes a volume, and would remove its thick snapshots with it.
pub(crate) fn remove(name: &Name) -> ToolCommand {
    ToolCommand::new(LVREMOVE).args(["--quiet", "--force", "--yes"]).arg(name.to_string())
}

/// Makes the device of a volume appear, whether or not it is marked to be passed over.
pub(crate) fn activate(name: &Name) -> ToolCommand {
    change(&["--activate", "y", "--ignoreactivationskip"], name)
}

/// Forbids writing to a volume.
pub(crate) fn forbid_writing(name: &Name) -> ToolCommand {
    change(&["--permission", "r"], name)
}

fn change(how: &[&str], name: &Name) -> ToolCommand {
    ToolCommand::new(LVCHANGE).arg("--quiet").args(how).arg(name.to_string())
}

/// Makes the device nodes of a volume that udev has not made.
pub(crate) fn make_nodes(name: &Name) -> ToolCommand {
    ToolCommand::new(VGMKNODES).arg("--quiet").arg(name.to_string())
}

/// Makes a volume larger; its file system stays as it is.
pub(crate) fn extend(name: &Name, size: Bytes) -> ToolCommand {
    let size = format!("{}b", size.0);
    ToolCommand::new(LVEXTEND).args(["--quiet", "--yes", "--size", &size]).arg(name.to_string())
}

/// Makes a volume smaller, whatever is on it.
pub(crate) fn reduce(name: &Name, size: Bytes) -> ToolCommand {
    let size = format!("{}b", size.0);
    ToolCommand::new(LVREDUCE).args(["--quiet", "--yes", "--force", "--size", &size]).arg(name.to_string())
}

/// Reports on the group `vg` and on those of its volumes that `selection` names (lvmreport(7)), as JSON.
pub(crate) fn report(vg: &str, selection: &str) -> ToolCommand {
    ToolCommand::new(LVM)
        .args(["fullreport", "--reportformat", "json", "--units", "b", "--nosuffix"])
        .args(["--configreport", "vg", "-o", "vg_name,vg_size,vg_free,vg_extent_size"])
        .args(["--configreport", "lv", "-o", LV_FIELDS, "-S", selection])
        .args(["--configreport", "pv", "-S", NOTHING_PV])
        .args(["--configreport", "pvseg", "-S", NOTHING_PV])
        .args(["--configreport", "seg", "-o", "lv_name,zero,discards", "-S", selection])
        .arg(vg)
}

const LV_FIELDS: &str = "lv_name,lv_size,origin_size,lv_active,lv_permissions,lv_role,lv_layout,lv_tags,origin,\
                         pool_lv,data_percent,metadata_percent,lv_health_status";
/// What no physical volume is called: a full report has these parts, too. What a volume does is a part of its own.
const NOTHING_PV: &str = "pv_name=\"\"";

/// Selects the volumes of these names.
pub(crate) fn named(names: &[&str]) -> String {
    // The names are of LVM's alphabet, so none needs quoting.
    names.iter().map(|name| format!("lv_name=\"{name}\"")).collect::<Vec<_>>().join(" || ")
}

/// Selects every volume.
pub(crate) const ALL: &str = "lv_name!=\"\"";

/// Selects the volume `lv` and all that were cloned from it.
pub(crate) fn with_clones(lv: &str) -> String {
    format!("lv_name=\"{lv}\" || origin=\"{lv}\"")
}

/// Selects the volumes of these names and all thin pools.
pub(crate) fn with_pools(names: &[&str]) -> String {
    format!("{} || lv_layout={{pool}}", named(names))
}

/// Asks how full a thin pool may become before LVM makes it larger by itself; 100 is never.
pub(crate) fn extension_threshold() -> ToolCommand {
    let setting = "activation/thin_pool_autoextend_threshold";
    ToolCommand::new(LVM).args(["lvmconfig", "--typeconfig", "full", setting])
}

#[cfg(test)]
mod tests {
    use super::*;

    const TX: TxId = TxId(0xabc);

    fn name() -> Name {
        Name { vg: "vg".into(), lv: "c1".into() }
    }

    #[test]
    fn each_command_as_it_would_be_typed() {
        let made = "lvcreate --quiet --yes --config activation/thin_pool_autoextend_threshold=95 --addtag hull \
                    --addtag hull.tx.0000000000000abc";
        let thin = Kind::Thin { pool: "lxc".into() };
        for (command, line) in [
            (
                create(&name(), &thin, Bytes(1000), TX),
                format!("{made} --wipesignatures y --thinpool lxc --virtualsize 1024b --name c1 vg"),
            ),
            (
                create(&name(), &Kind::Thick, Bytes(1024), TX),
                format!("{made} --wipesignatures y --zero y --size 1024b --name c1 vg"),
            ),
            (
                thin_snapshot(&name(), "c2", Access::ReadWrite, TX, Room::Unseen),
                format!("{made} --snapshot --setactivationskip n --name c2 vg/c1"),
            ),
            (
                thin_snapshot(&name(), "c2", Access::ReadOnly, TX, Room::Seen),
                "lvcreate --quiet --yes --addtag hull --addtag hull.tx.0000000000000abc --snapshot \
                 --setactivationskip n --permission r --name c2 vg/c1"
                    .into(),
            ),
            (
                thick_snapshot(&name(), "c2", Access::ReadWrite, TX),
                format!("{made} --snapshot --extents 100%ORIGIN --name c2 vg/c1"),
            ),
            (rename(&name(), "c2"), "lvrename --quiet vg c1 c2".into()),
            (remove(&name()), "lvremove --quiet --force --yes vg/c1".into()),
            (activate(&name()), "lvchange --quiet --activate y --ignoreactivationskip vg/c1".into()),
            (forbid_writing(&name()), "lvchange --quiet --permission r vg/c1".into()),
            (extend(&name(), Bytes(4096)), "lvextend --quiet --yes --size 4096b vg/c1".into()),
            (reduce(&name(), Bytes(4096)), "lvreduce --quiet --yes --force --size 4096b vg/c1".into()),
        ] {
            assert_eq!(command.to_string(), line);
        }
        assert_eq!(named(&["a", "b"]), "lv_name=\"a\" || lv_name=\"b\"");
    }
}
