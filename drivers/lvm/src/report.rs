//! What LVM reports of a group and its volumes, read from JSON.

use hull_storage::{Access, Bytes, Error, ErrorKind, Result, TxId};
use hull_sys::mapper;
use serde::Deserialize;

use crate::tool;

/// A volume group and those of its volumes that were asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Group {
    /// Its size.
    pub(crate) size: Bytes,
    /// What no volume has.
    pub(crate) free: Bytes,
    /// Sizes of volumes are multiples of this.
    pub(crate) extent: Bytes,
    /// The volumes.
    pub(crate) volumes: Vec<Volume>,
}

/// A logical volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Volume {
    /// Its name in its group.
    pub(crate) name: String,
    /// The size of its device.
    pub(crate) size: Bytes,
    /// What is set aside for it: for a thick snapshot, the room for changes.
    pub(crate) own: Bytes,
    /// Whether it has a device.
    pub(crate) is_active: bool,
    /// Whether it may be written to, as far as the metadata say.
    pub(crate) access: Access,
    /// What it is of LVM's: `public`, `snapshot`, `thickorigin`, ...
    pub(crate) roles: Vec<String>,
    /// Its tags.
    pub(crate) tags: Vec<String>,
    /// How it is built: `thin`, `pool`, `linear`, ...
    pub(crate) parts: Vec<String>,
    /// What it was cloned from, while that is there.
    pub(crate) origin: Option<String>,
    /// The thin pool it takes its blocks from.
    pub(crate) pool: Option<String>,
    /// How much of its size is in use, in hundredths of a percent.
    pub(crate) data: Option<u32>,
    /// The same of a pool's metadata.
    pub(crate) metadata: Option<u32>,
    /// Whether a pool clears its blocks before it hands them out.
    pub(crate) zeroes: bool,
    /// Whether the kernel has given it up.
    pub(crate) has_failed: bool,
    /// What a pool does with blocks that file systems give up: `passdown`, `nopassdown`, `ignore`.
    pub(crate) discards: String,
}

impl Group {
    /// The volume called `name`.
    pub(crate) fn volume(&self, name: &str) -> Option<&Volume> {
        self.volumes.iter().find(|v| v.name == name)
    }

    /// `size` as LVM rounds it.
    pub(crate) fn rounded(&self, size: Bytes) -> Bytes {
        Bytes(size.0.next_multiple_of(self.extent.0.max(512)))
    }
}

impl Volume {
    /// Whether it is one that Hull can use: not a pool, not a part of another.
    pub(crate) fn is_public(&self) -> bool {
        self.has_role("public")
    }

    /// Whether it takes its blocks from a thin pool.
    pub(crate) fn is_thin(&self) -> bool {
        self.is_built_as("thin") && !self.is_built_as("pool")
    }

    /// Whether it is a thin pool.
    pub(crate) fn is_thin_pool(&self) -> bool {
        self.is_built_as("thin") && self.is_built_as("pool")
    }

    /// Whether it holds what has changed since its origin was thick-snapshotted.
    pub(crate) fn is_thick_snapshot(&self) -> bool {
        self.has_role(THICK_SNAPSHOT)
    }

    /// Whether snapshots would be lost with it.
    pub(crate) fn is_thick_origin(&self) -> bool {
        self.has_role("thickorigin")
    }

    /// Whether Hull made it.
    pub(crate) fn is_ours(&self) -> bool {
        self.tags.iter().any(|tag| tag == tool::OURS)
    }

    /// Whether the transaction `tx` made it.
    pub(crate) fn is_of(&self, tx: TxId) -> bool {
        let tag = tool::tag_of(tx);
        self.tags.contains(&tag)
    }

    /// What is in use of it: nearly all of a size that is not all mapped.
    pub(crate) fn mapped(&self) -> Bytes {
        let hundredths = u128::from(self.data.unwrap_or(10_000));
        Bytes(u64::try_from(u128::from(self.size.0) * hundredths / 10_000).unwrap_or(u64::MAX))
    }

    fn is_built_as(&self, part: &str) -> bool {
        self.parts.iter().any(|p| p == part)
    }

    fn has_role(&self, role: &str) -> bool {
        self.roles.iter().any(|r| r == role)
    }
}

const THICK_SNAPSHOT: &str = "thicksnapshot";

/// Reads the report of [`tool::report`]; `None` when there is no such group.
///
/// Fails with [`ErrorKind::ToolFailed`] for what LVM does not write.
pub(crate) fn read(text: &[u8]) -> Result<Option<Group>> {
    let odd = |why: String| Error::new(ErrorKind::ToolFailed, format!("cannot read LVM's report: {why}"));
    let full: Full = serde_json::from_slice(text).map_err(|e| odd(e.to_string()))?;
    let Some(part) = full.report.into_iter().next() else { return Ok(None) };
    let Some(vg) = part.vg.into_iter().next() else { return Ok(None) };
    let number = |text: &str| text.parse().map(Bytes).map_err(|_| odd(format!("{text:?} is no size")));
    let mut group = Group {
        size: number(&vg.vg_size)?,
        free: number(&vg.vg_free)?,
        extent: number(&vg.vg_extent_size)?,
        volumes: Vec::with_capacity(part.lv.len()),
    };
    for row in part.lv {
        let own = number(&row.lv_size)?;
        // A thick snapshot's own size is that of the room for changes.
        let size = match row.lv_role.split(',').any(|role| role == THICK_SNAPSHOT) {
            true => number(&row.origin_size)?,
            false => own,
        };
        let mut volume = row.into_volume(size, own);
        if let Some(segment) = part.seg.iter().find(|s| s.lv_name == volume.name) {
            volume.zeroes = segment.zero == "zero";
            volume.discards.clone_from(&segment.discards);
        }
        group.volumes.push(volume);
    }
    Ok(Some(group))
}

#[derive(Deserialize)]
struct Full {
    report: Vec<Part>,
}

#[derive(Deserialize)]
struct Part {
    #[serde(default)]
    vg: Vec<VgRow>,
    #[serde(default)]
    lv: Vec<LvRow>,
    #[serde(default)]
    seg: Vec<SegRow>,
}

/// What every segment of a volume says of the whole.
#[derive(Deserialize)]
struct SegRow {
    lv_name: String,
    zero: String,
    discards: String,
}

#[derive(Deserialize)]
struct VgRow {
    vg_size: String,
    vg_free: String,
    vg_extent_size: String,
}

#[derive(Deserialize)]
struct LvRow {
    lv_name: String,
    lv_size: String,
    origin_size: String,
    lv_active: String,
    lv_permissions: String,
    lv_role: String,
    lv_tags: String,
    lv_layout: String,
    origin: String,
    pool_lv: String,
    data_percent: String,
    metadata_percent: String,
    lv_health_status: String,
}

impl LvRow {
    fn into_volume(self, size: Bytes, own: Bytes) -> Volume {
        let list = |text: &str| text.split(',').filter(|s| !s.is_empty()).map(str::to_owned).collect();
        let named = |text: String| (!text.is_empty()).then_some(text);
        Volume {
            name: self.lv_name,
            size,
            own,
            is_active: self.lv_active.starts_with("active"),
            access: match self.lv_permissions.starts_with("read-only") {
                true => Access::ReadOnly,
                false => Access::ReadWrite,
            },
            roles: list(&self.lv_role),
            tags: list(&self.lv_tags),
            parts: list(&self.lv_layout),
            origin: named(self.origin),
            pool: named(self.pool_lv),
            data: hundredths(&self.data_percent),
            metadata: hundredths(&self.metadata_percent),
            zeroes: false,
            // lvs(8): such a pool only shows data, or not even that.
            has_failed: matches!(&*self.lv_health_status, "failed" | "metadata_read_only"),
            discards: String::new(),
        }
    }
}

/// How much of a thin pool's blocks are in use, in hundredths of a percent, by what the kernel says of it: what has been
/// taken since it last wrote its metadata out is counted, and what has been given back is not yet. Nothing for a pool that has
/// failed, and for what is none.
pub(crate) fn filled(status: &mapper::Status) -> Option<u32> {
    if status.kind != "thin-pool" {
        return None;
    }
    // The number of its last change, its metadata, its blocks (the kernel's thin-provisioning.rst).
    let (used, all) = status.text.split_whitespace().nth(2)?.split_once('/')?;
    let (used, all): (u128, u128) = (used.parse().ok()?, all.parse().ok()?);
    u32::try_from((used * 10_000).checked_div(all)?).ok()
}

/// `12.3` as 1230; nothing for what is no percentage.
fn hundredths(text: &str) -> Option<u32> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let part: u32 = format!("{part:0<2}").get(..2)?.parse().ok()?;
    whole.parse::<u32>().ok()?.checked_mul(100)?.checked_add(part)
}

/// A percentage for people.
pub(crate) fn percent(hundredths: u32) -> String {
    format!("{}.{} %", hundredths / 100, hundredths % 100 / 10)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A group of 2 GiB, half free, with the volumes `rows`.
    pub(crate) fn group(rows: &[String]) -> String {
        format!(
            r#"  {{ "report": [ {{ "vg": [
            {{"vg_name":"vg", "vg_size":"2147483648", "vg_free":"1073741824", "vg_extent_size":"4194304"}} ]
            , "pv": [ ] , "lv": [ {} ] , "pvseg": [ ] , "seg": [ {} ] }} ] }}"#,
            rows.join(", "),
            // LVM names each volume's fields in the part that they belong to; one row has them all here.
            rows.join(", ")
        )
    }

    /// A volume as LVM reports it, with `more` in place of what it has usually.
    pub(crate) fn row(name: &str, more: &[(&str, &str)]) -> String {
        let usual = [
            ("lv_name", name),
            ("lv_size", "33554432"),
            ("origin_size", ""),
            ("lv_active", "active"),
            ("lv_permissions", "writeable"),
            ("lv_role", "public"),
            ("lv_tags", "hull,hull.tx.0000000000000abc"),
            ("lv_layout", "thin,sparse"),
            ("origin", ""),
            ("pool_lv", "lxc"),
            ("data_percent", "14.45"),
            ("metadata_percent", ""),
            ("lv_health_status", ""),
            ("zero", "unknown"),
            ("discards", ""),
        ];
        let fields = usual.iter().map(|(key, value)| {
            let value = more.iter().find(|(k, _)| k == key).map_or(*value, |(_, v)| *v);
            format!("\"{key}\":\"{value}\"")
        });
        format!("{{{}}}", fields.collect::<Vec<_>>().join(", "))
    }

    #[test]
    fn a_report_is_read() {
        let pool = [
            ("lv_layout", "thin,pool"),
            ("lv_role", "private"),
            ("data_percent", "96.00"),
            ("metadata_percent", "12.7"),
            ("zero", "zero"),
            ("discards", "passdown"),
        ];
        let snapshot = [
            ("lv_layout", "linear"),
            ("lv_role", "public,snapshot,thicksnapshot"),
            ("origin", "a"),
            ("lv_size", "37748736"),
            ("origin_size", "33554432"),
            ("lv_permissions", "read-only"),
            ("lv_tags", ""),
        ];
        let text = group(&[row("a", &[]), row("lxc", &pool), row("s", &snapshot)]);
        let group = read(text.as_bytes()).unwrap().unwrap();
        assert_eq!((group.free, group.rounded(Bytes(1))), (Bytes(1 << 30), Bytes(4 << 20)));
        let a = group.volume("a").unwrap();
        assert!(a.is_public() && a.is_thin() && a.is_ours() && a.is_active && !a.is_thick_origin());
        assert!(a.is_of(TxId(0xabc)) && !a.is_of(TxId(0xab)));
        assert_eq!(a.mapped(), Bytes(33_554_432 * 1445 / 10_000));
        let pool = group.volume("lxc").unwrap();
        assert!(pool.is_thin_pool() && !pool.is_public() && pool.zeroes);
        assert_eq!((pool.data, pool.metadata), (Some(9600), Some(1270)));
        let s = group.volume("s").unwrap();
        assert!(s.is_thick_snapshot() && !s.is_ours());
        assert_eq!((s.size, s.own), (Bytes(32 << 20), Bytes(36 << 20)));
        assert_eq!((s.origin.as_deref(), s.access), (Some("a"), Access::ReadOnly));
    }

    #[test]
    fn what_lvm_does_not_write_is_refused() {
        let odd_size = group(&[row("a", &[("lv_size", "1g")])]);
        for none in ["{\"report\": []}", "{\"report\": [{\"vg\": [], \"lv\": []}]}"] {
            assert_eq!(read(none.as_bytes()).unwrap(), None);
        }
        for text in ["", "{}", &odd_size, "  VG not found\n"] {
            let e = read(text.as_bytes()).unwrap_err();
            assert_eq!(e.kind(), ErrorKind::ToolFailed);
            assert_eq!(e.to_string().lines().count(), 1, "{e}");
        }
    }

    #[test]
    fn a_pool_says_how_full_it_is() {
        for (status, expected) in [
            ("1 141/3072 2000/163840 - rw no_discard_passdown queue_if_no_space - 1024", Some(122)),
            ("1 141/3072 155648/163840 - ro discard_passdown error_if_no_space", Some(9500)),
            ("1 141/3072 163840/163840 - out_of_data_space", Some(10_000)),
            ("Fail", None),
            ("1 141/3072 0/0 - rw", None),
            ("", None),
        ] {
            let says = |kind: &str| mapper::Status { kind: kind.into(), text: status.into() };
            assert_eq!(filled(&says("thin-pool")), expected, "{status}");
            assert_eq!(filled(&says("linear")), None);
        }
    }

    #[test]
    fn percentages() {
        for (text, expected) in [
            ("14.45", Some(1445)),
            ("100", Some(10_000)),
            ("0.5", Some(50)),
            ("", None),
            ("x", None),
            ("-1", None),
        ] {
            assert_eq!(hundredths(text), expected, "{text:?}");
        }
        assert_eq!(percent(9645), "96.4 %");
    }
}
