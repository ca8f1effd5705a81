//! Where volumes are: `lvm:/dev/VG/LV`, one logical volume, and what LVM lets it be called. Nothing is looked up.

use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};

use hull_storage::{Error, ErrorKind, Layout, Locator, Placement, Resource, Result, paths};

use crate::NAME;

/// A logical volume's name. Both parts are of LVM's alphabet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Name {
    /// The volume group.
    pub(crate) vg: String,
    /// The volume in it.
    pub(crate) lv: String,
}

/// `VG/LV`, as LVM's programs take it.
impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.vg, self.lv)
    }
}

impl Name {
    /// The volume that `at` names: as `/dev/VG/LV` or `/dev/mapper/VG-LV`.
    pub(crate) fn of(at: &Locator) -> Result<Self> {
        let path = paths::absolute(at)?;
        Self::at(&path).ok_or_else(|| {
            let text = format!("the locator {at} names no logical volume: write {NAME}:/dev/VG/LV");
            Error::new(ErrorKind::InvalidInput, text)
        })
    }

    /// The volume whose device is called `path`, as far as that can be told from the path.
    pub(crate) fn at(path: &Path) -> Option<Self> {
        let below = path.strip_prefix("/dev").ok()?.to_str()?;
        let (vg, lv) = match below.split_once('/')? {
            ("mapper", mapped) => unmapped(mapped)?,
            (vg, lv) => (vg.to_owned(), lv.to_owned()),
        };
        (is_of_alphabet(&vg) && is_of_alphabet(&lv)).then_some(Self { vg, lv })
    }

    /// The volume that is the part `what` of a layout.
    pub(crate) fn of_part(what: &Resource) -> Result<Self> {
        Self::of(&Locator::new(NAME, what.name.clone()))
    }

    /// The name for a new volume at `to`, whose group is that of the place if it is one, else `otherwise`.
    pub(crate) fn for_new(to: &Placement, otherwise: &str) -> Result<Self> {
        let vg = group_of(to).unwrap_or(otherwise).to_owned();
        let name = Self { lv: leaf(&vg, &to.pooled())?, vg };
        match refusal(&name) {
            None => Ok(name),
            Some(why) => Err(Error::new(ErrorKind::InvalidInput, why)),
        }
    }

    /// The volume `lv` of the same group.
    pub(crate) fn sibling(&self, lv: &str) -> Self {
        Self { vg: self.vg.clone(), lv: lv.to_owned() }
    }

    /// The device, as locators write it.
    pub(crate) fn path(&self) -> PathBuf {
        Path::new("/dev").join(&self.vg).join(&self.lv)
    }

    /// What the device mapper calls it.
    pub(crate) fn mapped(&self) -> String {
        format!("{}-{}", doubled(&self.vg), doubled(&self.lv))
    }

    /// Where the device mapper's name leads to the device.
    pub(crate) fn mapper_path(&self) -> PathBuf {
        Path::new("/dev/mapper").join(self.mapped())
    }

    /// Its layout: itself.
    pub(crate) fn layout(&self) -> Layout {
        paths::layout(NAME, self.path())
    }
}

/// The volume group whose directory of devices `to` lies in exactly.
pub(crate) fn group_of(to: &Placement) -> Option<&str> {
    let below = to.dir().strip_prefix("/dev").ok()?;
    let vg = below.to_str()?;
    (is_of_alphabet(vg) && vg != "mapper").then_some(vg)
}

/// Where the existing volume `name` is.
pub(crate) fn placement(name: &Name) -> Result<Placement> {
    paths::placement(&name.path())
}

/// LVM's limit for the group's and the volume's name together, each hyphen in them counted twice.
const LONGEST: usize = 126;
/// A transaction's stamp, its hyphen counted twice.
const STAMP: usize = ".new--0123456789abcdef".len();

/// The name in the pool, which is cut where it would leave no room for the stamp of a transaction: that alone makes
/// the name unique, the rest is for people.
fn leaf(vg: &str, pooled: &OsStr) -> Result<String> {
    let name = pooled.to_str().ok_or_else(|| {
        let text = format!("{} cannot be the name of a logical volume: {ALLOWED}", pooled.display());
        Error::new(ErrorKind::InvalidInput, text)
    })?;
    let Some((head, stamp)) = stamp_of(name) else { return Ok(name.to_owned()) };
    let room = LONGEST.saturating_sub(width(vg) + STAMP);
    let mut kept = head;
    while width(kept) > room {
        let Some((end, _)) = kept.char_indices().next_back() else { break };
        kept = &kept[..end];
    }
    Ok(format!("{kept}{stamp}"))
}

/// Whether the logical volume `lv` is called what is called that is condemned: its transaction deletes it.
pub(crate) fn is_condemned(lv: &str) -> bool {
    stamp_of(lv).is_some_and(|(_, stamp)| stamp.starts_with(".old-"))
}

/// `name` split before the stamp of a transaction that it ends in.
fn stamp_of(name: &str) -> Option<(&str, &str)> {
    const LENGTH: usize = ".new-0123456789abcdef".len();
    let (head, stamp) = name.split_at_checked(name.len().checked_sub(LENGTH)?)?;
    let id = stamp.strip_prefix(".new-").or_else(|| stamp.strip_prefix(".old-"))?;
    id.bytes().all(|b| b.is_ascii_hexdigit()).then_some((head, stamp))
}

const ALLOWED: &str = "LVM takes letters, digits and any of + _ . - (not as the first character)";

/// What LVM keeps for itself: beginnings of names, and parts of them.
const RESERVED_BEGINNINGS: [&str; 2] = ["snapshot", "pvmove"];
const RESERVED_PARTS: [&str; 17] = [
    "_cdata", "_cmeta", "_corig", "_cpool", "_cvol", "_imeta", "_iorig", "_mimage", "_mlog", "_pmspare",
    "_rimage", "_rmeta", "_tdata", "_tmeta", "_vdata", "_vorigin", "_wcorig",
];

/// Why LVM would not make a volume called `name`, and what it takes instead; `None` if it would.
fn refusal(name: &Name) -> Option<String> {
    let Name { vg, lv } = name;
    let shown = lv.escape_debug();
    if !is_of_alphabet(lv) {
        return Some(format!("{shown} cannot be the name of a logical volume: {ALLOWED}"));
    }
    if !is_of_alphabet(vg) {
        let shown = vg.escape_debug();
        return Some(format!("{shown} cannot be the name of a volume group: {ALLOWED}"));
    }
    let begins = RESERVED_BEGINNINGS.iter().find(|word| lv.starts_with(**word));
    let holds = RESERVED_PARTS.iter().find(|word| lv.contains(**word));
    if let Some(word) = begins.or(holds) {
        return Some(format!(
            "{shown} cannot be the name of a logical volume: LVM keeps the word {word} for itself, choose a name \
             without it"
        ));
    }
    let longest = LONGEST.saturating_sub(width(vg));
    if width(lv) > longest {
        return Some(format!(
            "{shown} is too long for a logical volume of {vg}: at most {longest} characters, hyphens counted twice"
        ));
    }
    None
}

/// Whether `name` could be that of a group or volume.
fn is_of_alphabet(name: &str) -> bool {
    let fine = |b: u8| b.is_ascii_alphanumeric() || b"+_.-".contains(&b);
    !name.is_empty() && !name.starts_with('-') && name != "." && name != ".." && name.bytes().all(fine)
}

/// How long the device mapper's form of `name` is.
fn width(name: &str) -> usize {
    name.len() + name.bytes().filter(|b| *b == b'-').count()
}

pub(crate) fn doubled(name: &str) -> String {
    name.replace('-', "--")
}

/// The group and volume of a device mapper's name: they are separated by the hyphen that stands alone.
fn unmapped(mapped: &str) -> Option<(String, String)> {
    let mut parts = vec![String::new()];
    let mut characters = mapped.chars().peekable();
    while let Some(c) = characters.next() {
        match c {
            '-' if characters.next_if_eq(&'-').is_some() => parts.last_mut()?.push('-'),
            '-' => parts.push(String::new()),
            c => parts.last_mut()?.push(c),
        }
    }
    match <[String; 2]>::try_from(parts) {
        Ok([vg, lv]) => Some((vg, lv)),
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hull_storage::TxId;

    fn name(vg: &str, lv: &str) -> Name {
        Name { vg: vg.into(), lv: lv.into() }
    }

    #[test]
    fn locators_in_both_spellings() {
        for (path, expected) in [
            ("/dev/vg/c1", Some(name("vg", "c1"))),
            ("/dev//vg/./c1/", Some(name("vg", "c1"))),
            ("/dev/mapper/vg-c1", Some(name("vg", "c1"))),
            ("/dev/mapper/my--vg-c--1", Some(name("my-vg", "c-1"))),
            ("/dev/mapper/vg-a---b", None),
            ("/dev/mapper/vg-a----b", Some(name("vg", "a--b"))),
            ("/dev/mapper/vg", None),
            ("/dev/mapper/vg-c1-real", None),
            ("/dev/vg/deep/c1", None),
            ("/dev/c1", None),
            ("/dev/vg/..", None),
            ("/srv/vg/c1", None),
            ("dev/vg/c1", None),
            ("/dev/vg/c 1", None),
        ] {
            let read = Name::of(&Locator::new(NAME, path)).ok();
            assert_eq!(read, expected, "{path}");
        }
        let odd = name("my-vg", "c-1");
        assert_eq!(odd.mapper_path(), Path::new("/dev/mapper/my--vg-c--1"));
        assert_eq!(odd.layout().at.to_string(), "lvm:/dev/my-vg/c-1");
    }

    #[test]
    fn the_place_decides_on_the_group() {
        let home = Placement::in_home("/lxc/c1", "c1");
        assert_eq!(Name::for_new(&home, "lxc").unwrap(), name("lxc", "c1"));
        let exact = Placement::exactly(Path::new("/dev/other/c1")).unwrap();
        assert_eq!(Name::for_new(&exact, "lxc").unwrap(), name("other", "c1"));
        for elsewhere in ["/dev/mapper/c1", "/dev/c1", "/dev/a/b/c1", "/srv/c1"] {
            let exact = Placement::exactly(Path::new(elsewhere)).unwrap();
            assert_eq!(Name::for_new(&exact, "lxc").unwrap(), name("lxc", "c1"), "{elsewhere}");
        }
    }

    #[test]
    fn stamped_names_prove_their_transaction_and_fit() {
        let tx = TxId(0xabc);
        let home = Placement::in_home("/lxc/c1", "c-1").staged(tx);
        let made = Name::for_new(&home, "vg").unwrap();
        assert_eq!(made.lv, "c-1.new-0000000000000abc");
        assert!(made.layout().parts[0].carries(tx) && !made.layout().parts[0].carries(TxId(1)));
        for long in ["n".repeat(124), "n-".repeat(41), "-n-".repeat(24)[1..].to_owned()] {
            let at = Placement::in_home("/lxc/x", &long);
            let plain = Name::for_new(&at, "vg").unwrap();
            assert_eq!(plain.lv, long);
            let doomed = placement(&plain).unwrap().doomed(tx);
            let doomed = Name::for_new(&doomed, "vg").unwrap();
            assert!(width(&doomed.vg) + width(&doomed.lv) <= LONGEST, "{doomed}");
            assert!(doomed.layout().parts[0].carries(tx), "{doomed}");
        }
    }

    #[test]
    fn what_lvm_refuses_is_refused_in_one_line_that_says_what_it_takes() {
        let long = "n".repeat(125);
        for (lv, says) in [
            ("with space", "letters, digits"),
            ("-rf", "letters, digits"),
            ("ünïcödé", "letters, digits"),
            ("a\nb", "letters, digits"),
            ("", "letters, digits"),
            ("snapshot1", "keeps the word snapshot"),
            ("pvmove0", "keeps the word pvmove"),
            ("a_tmeta_b", "keeps the word _tmeta"),
            ("lvol0_pmspare", "keeps the word _pmspare"),
            (&long, "at most 124 characters"),
            (&"a-".repeat(42), "at most 124 characters"),
        ] {
            let to = Placement::in_home("/lxc/x", lv);
            let e = Name::for_new(&to, "vg").unwrap_err();
            assert_eq!(e.kind(), ErrorKind::InvalidInput, "{lv:?}");
            assert!(e.to_string().contains(says) && e.to_string().lines().count() == 1, "{lv:?}: {e}");
        }
        for lv in ["c1", ".hidden", "+x", "a_b", "web.1-2", "my_snapshot", "1"] {
            let to = Placement::in_home("/lxc/x", lv);
            assert_eq!(Name::for_new(&to, "vg").unwrap().lv, lv);
        }
    }
}
