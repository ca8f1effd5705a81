//! A mount as `lxc.mount.entry` and the file of `lxc.mount.fstab` describe it.

use crate::error::{Fault, quoted};

/// One mount of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountEntry {
    /// What is mounted: a path, a device, or a word the file system type understands.
    pub source: String,
    /// Where, below the container's root.
    pub target: String,
    /// The file system type; `none` for binds.
    pub fstype: String,
    /// `bind` or `rbind` was given; the value is whether submounts come along.
    pub bind: Option<Recursive>,
    /// `move`: the source mount is moved here.
    pub move_mount: bool,
    /// `remount`: an existing mount is changed.
    pub remount: bool,
    /// The `MOUNT_ATTR_*` bits to set, as `mount_setattr`(2) takes them.
    pub attributes_set: u64,
    /// The `MOUNT_ATTR_*` bits to clear, as `mount_setattr`(2) takes them.
    pub attributes_clear: u64,
    /// The propagation given last, if any.
    pub propagation: Option<Propagation>,
    /// Options of the file system itself, in order: `size=1m`, `sync`, `lowerdir=/a`.
    pub data: Vec<String>,
    /// `optional`: the container starts even if this mount fails.
    pub optional: bool,
    /// `create=`: what to make at the target if nothing is there.
    pub create: Option<Create>,
    /// `relative`: the source is below the container's root as well.
    pub relative: bool,
    /// `idmap=`: which id map the mount gets.
    pub idmap: Option<MountIdMap>,
}

/// How the root file system is mounted: `lxc.rootfs.options`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RootfsOptions {
    /// The `MOUNT_ATTR_*` bits to set, as `mount_setattr`(2) takes them.
    pub attributes_set: u64,
    /// The `MOUNT_ATTR_*` bits to clear, as `mount_setattr`(2) takes them.
    pub attributes_clear: u64,
    /// The propagation given last, if any.
    pub propagation: Option<Propagation>,
    /// Options of the file system itself, in order.
    pub data: Vec<String>,
    /// `idmap=`: which id map the mount gets.
    pub idmap: Option<MountIdMap>,
}

impl RootfsOptions {
    /// Reads options separated by commas. Options that say how a mount comes about (`bind`, `move`,
    /// `remount`, `create=`, `optional`, `relative`) have no meaning for the root and are refused.
    pub fn parse(value: &str) -> Result<Self, Fault> {
        let mut entry = MountEntry::plain(String::new(), String::new(), String::new());
        for option in value.split(',').filter(|option| !option.is_empty()) {
            entry.apply(option)?;
        }
        let foreign =
            entry.bind.is_some() || entry.move_mount || entry.remount || entry.optional || entry.relative;
        if foreign || entry.create.is_some() {
            return Err(Fault::new(
                format!("{} holds an option that has no meaning for the root", quoted(value)),
                "leave out bind, move, remount, create=, optional and relative",
            ));
        }
        let MountEntry { attributes_set, attributes_clear, propagation, data, idmap, .. } = entry;
        Ok(Self { attributes_set, attributes_clear, propagation, data, idmap })
    }
}

/// Whether submounts take part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recursive {
    /// The mount alone.
    No,
    /// The mount and all below it.
    Yes,
}

/// What `create=` makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Create {
    /// A directory, with its parents.
    Directory,
    /// An empty file, with its parents.
    File,
}

/// How mounts and unmounts spread (`mount_namespaces`(7)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Propagation {
    /// The type.
    pub kind: PropagationKind,
    /// Whether submounts take part.
    pub recursive: Recursive,
}

/// The four propagation types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PropagationKind {
    /// Nothing spreads.
    Private,
    /// Both ways.
    Shared,
    /// Only into this mount.
    Slave,
    /// Private, and not to be bind-mounted.
    Unbindable,
}

/// The id map a mount gets (`mount_setattr`(2), `MOUNT_ATTR_IDMAP`, Linux 5.12).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MountIdMap {
    /// The container's own.
    Container,
    /// That of the user namespace at this path.
    Path(String),
}

/// `MOUNT_ATTR_*` of `linux/mount.h`.
const RDONLY: u64 = 0x1;
const NOSUID: u64 = 0x2;
const NODEV: u64 = 0x4;
const NOEXEC: u64 = 0x8;
const ATIME: u64 = 0x70;
const RELATIME: u64 = 0x0;
const NOATIME: u64 = 0x10;
const STRICTATIME: u64 = 0x20;
const NODIRATIME: u64 = 0x80;
const NOSYMFOLLOW: u64 = 0x0020_0000;

/// The options that are attributes of the mount: the bits they set and the bits they clear.
const ATTRIBUTES: &[(&str, u64, u64)] = &[
    ("ro", RDONLY, 0),
    ("rw", 0, RDONLY),
    ("nosuid", NOSUID, 0),
    ("suid", 0, NOSUID),
    ("nodev", NODEV, 0),
    ("dev", 0, NODEV),
    ("noexec", NOEXEC, 0),
    ("exec", 0, NOEXEC),
    // The kernel wants the whole field cleared before it sets one of its values.
    ("noatime", NOATIME, ATIME),
    ("atime", RELATIME, ATIME),
    ("relatime", RELATIME, ATIME),
    ("norelatime", RELATIME, ATIME),
    ("strictatime", STRICTATIME, ATIME),
    ("nostrictatime", RELATIME, ATIME),
    ("nodiratime", NODIRATIME, 0),
    ("diratime", 0, NODIRATIME),
    ("nosymfollow", NOSYMFOLLOW, 0),
    ("symfollow", 0, NOSYMFOLLOW),
];

impl MountEntry {
    /// Reads one line of an fstab (`fstab`(5)): `source target type [options [freq [passno]]]`, blanks
    /// inside a field written `\040`.
    pub fn parse(line: &str) -> Result<Self, Fault> {
        let fields: Vec<&str> = line.split([' ', '\t']).filter(|field| !field.is_empty()).collect();
        let (&[source, target, fstype], rest) = fields.split_first_chunk::<3>().ok_or_else(|| {
            Fault::new(
                format!("{} is not a mount: it has fewer than three fields", quoted(line)),
                "write \"source target type options\", blanks inside a field as \\040",
            )
        })?;
        if rest.len() > 3 {
            return Err(Fault::new(
                format!("{} is not a mount: it has more than six fields", quoted(line)),
                "write blanks inside a field as \\040",
            ));
        }
        let mut entry = Self::plain(unescape(source)?, unescape(target)?, unescape(fstype)?);
        if entry.target.split('/').any(|part| part == "..") {
            return Err(Fault::new(
                format!("the target {} climbs by \"..\"", quoted(&entry.target)),
                "write the path below the container's root without \"..\"",
            ));
        }
        for option in rest.first().unwrap_or(&"").split(',').filter(|option| !option.is_empty()) {
            entry.apply(&unescape(option)?)?;
        }
        Ok(entry)
    }

    /// Reads the text of an fstab file; blank lines and comments are left out. The error names the line.
    pub fn parse_fstab(text: &str, file: &std::path::Path) -> crate::Result<Vec<Self>> {
        text.lines()
            .enumerate()
            .map(|(index, line)| (index, line.trim()))
            .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
            .map(|(index, line)| {
                Self::parse(line).map_err(|fault| crate::Error::new(file, fault).at(index + 1))
            })
            .collect()
    }

    fn plain(source: String, target: String, fstype: String) -> Self {
        Self {
            source,
            target,
            fstype,
            bind: None,
            move_mount: false,
            remount: false,
            attributes_set: 0,
            attributes_clear: 0,
            propagation: None,
            data: Vec::new(),
            optional: false,
            create: None,
            relative: false,
            idmap: None,
        }
    }

    fn apply(&mut self, option: &str) -> Result<(), Fault> {
        if let Some((_, set, clear)) = ATTRIBUTES.iter().find(|(name, ..)| *name == option) {
            self.attributes_set = self.attributes_set & !clear | set;
            self.attributes_clear = self.attributes_clear & !set | clear;
            return Ok(());
        }
        if let Some(propagation) = Propagation::parse(option) {
            self.propagation = Some(propagation);
            return Ok(());
        }
        match option.split_once('=').unwrap_or((option, "")) {
            ("defaults", "") => {}
            ("bind", "") => self.bind = Some(self.bind.unwrap_or(Recursive::No)),
            ("rbind", "") => self.bind = Some(Recursive::Yes),
            ("move", "") => self.move_mount = true,
            ("remount", "") => self.remount = true,
            ("optional", "") => self.optional = true,
            ("relative", "") => self.relative = true,
            ("create", "dir") => self.create = Some(Create::Directory),
            ("create", "file") => self.create = Some(Create::File),
            ("create", other) => {
                return Err(Fault::new(
                    format!("the mount option create={} is not known", quoted(other)),
                    "use create=dir or create=file",
                ));
            }
            ("idmap", "") => {
                return Err(Fault::new(
                    "the mount option idmap names no id map",
                    "use idmap=container or idmap=/proc/PID/ns/user",
                ));
            }
            ("idmap", "container") => self.idmap = Some(MountIdMap::Container),
            ("idmap", path) => self.idmap = Some(MountIdMap::Path(path.to_owned())),
            _ => self.data.push(option.to_owned()),
        }
        Ok(())
    }
}

impl Propagation {
    fn parse(option: &str) -> Option<Self> {
        let (recursive, name) = match option.strip_prefix('r') {
            Some(rest) => (Recursive::Yes, rest),
            None => (Recursive::No, option),
        };
        let kind = match name {
            "private" => PropagationKind::Private,
            "shared" => PropagationKind::Shared,
            "slave" => PropagationKind::Slave,
            "unbindable" => PropagationKind::Unbindable,
            _ => return None,
        };
        Some(Self { kind, recursive })
    }
}

/// Decodes `\ooo`, as `getmntent`(3) does. A backslash before anything else stays.
fn unescape(field: &str) -> Result<String, Fault> {
    let mut out = Vec::with_capacity(field.len());
    let mut rest = field.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let code = after.first_chunk::<3>().filter(|digits| digits.iter().all(|d| (b'0'..=b'7').contains(d)));
        match code {
            Some([a, b, c]) if byte == b'\\' && *a <= b'3' => {
                out.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
                rest = &after[3..];
            }
            _ => {
                out.push(byte);
                rest = after;
            }
        }
    }
    String::from_utf8(out).ok().filter(|text| !text.contains('\0')).ok_or_else(|| {
        Fault::new(
            format!("the escapes of {} make no text", quoted(field)),
            "escape only blanks (\\040), tabs (\\011), line ends (\\012) and backslashes (\\134)",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_stock_entries() {
        let entry =
            MountEntry::parse("/sys/fs/fuse/connections sys/fs/fuse/connections none bind,optional 0 0")
                .unwrap();
        assert_eq!(entry.source, "/sys/fs/fuse/connections");
        assert_eq!((entry.bind, entry.optional), (Some(Recursive::No), true));
        let entry = MountEntry::parse("proc dev/.lxc/proc proc create=dir,optional 0 0").unwrap();
        assert_eq!((entry.create, entry.fstype.as_str()), (Some(Create::Directory), "proc"));
    }

    #[test]
    fn splits_options() {
        let entry = MountEntry::parse(
            r"/a\040b c\134d none rbind,ro,noatime,rw,rslave,idmap=container,size=1m,relative,create=file",
        )
        .unwrap();
        assert_eq!((entry.source.as_str(), entry.target.as_str()), ("/a b", "c\\d"));
        assert_eq!(
            (entry.attributes_set, entry.attributes_clear),
            (NOATIME, (ATIME & !NOATIME) | RDONLY | NOATIME)
        );
        assert_eq!(entry.propagation.unwrap().kind, PropagationKind::Slave);
        assert_eq!((entry.idmap, entry.data), (Some(MountIdMap::Container), vec!["size=1m".to_owned()]));
    }

    #[test]
    fn refuses_what_is_no_mount() {
        for line in [
            "",
            "a",
            "a b",
            "a b c d 0 0 x",
            "a b c create=x",
            "a b c idmap=",
            "a ../b c",
            r"\377 b c",
            r"\000 b c",
        ] {
            assert!(MountEntry::parse(line).is_err(), "{line}");
        }
    }
}
