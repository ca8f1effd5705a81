//! Which cgroup hierarchies are mounted, and where pid 1 and we are in them.

use rustix::io::Errno;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use crate::{Base, Error, Result};

/// The version of a hierarchy's interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// One hierarchy per set of controllers.
    One,
    /// The unified hierarchy.
    Two,
}

/// How a host's hierarchies are laid out; the numbers are LXC's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// No hierarchy is mounted.
    None,
    /// Version 1 only.
    Legacy,
    /// Version 1, and version 2 beside it.
    Hybrid,
    /// Version 2 only.
    Unified,
}

/// A mounted hierarchy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hierarchy {
    /// Its interface.
    pub version: Version,
    /// Its controllers as the kernel names them, `name=systemd` among them; of version 2 those that can be enabled.
    pub controllers: Vec<String>,
    /// Where it is mounted.
    pub mount_point: PathBuf,
    /// Which of its groups is mounted there.
    pub mount_root: PathBuf,
    /// The group of pid 1.
    pub init_group: PathBuf,
    /// Our group.
    pub own_group: PathBuf,
}

/// The hierarchies of a host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// The hierarchies, in the order they are mounted.
    pub hierarchies: Vec<Hierarchy>,
}

impl View {
    /// What this process sees in `/proc/self/mountinfo`, `/proc/self/cgroup` and `/proc/1/cgroup`.
    ///
    /// Where pid 1 is hidden from us, our own groups stand in for its.
    pub fn of_self() -> Result<Self> {
        let read = |path: &str| {
            std::fs::read(path).map_err(|e| {
                let errno = e.raw_os_error().map_or(Errno::IO, Errno::from_raw_os_error);
                Error::call(&format!("read {path}"), errno)
            })
        };
        let own = read("/proc/self/cgroup")?;
        let init = read("/proc/1/cgroup").unwrap_or_else(|_| own.clone());
        let mut view = Self::parse(&read("/proc/self/mountinfo")?, &own, &init);
        for hierarchy in view.hierarchies.iter_mut().filter(|h| h.version == Version::Two) {
            let file = hierarchy.mount_point.join("cgroup.controllers");
            let text = std::fs::read_to_string(file).unwrap_or_default();
            hierarchy.controllers = text.split_whitespace().map(str::to_owned).collect();
        }
        Ok(view)
    }

    /// The hierarchies in these three files' content. The controllers of version 2 are in none of them.
    ///
    /// A hierarchy that is mounted twice counts at its first place.
    pub fn parse(mountinfo: &[u8], own: &[u8], init: &[u8]) -> Self {
        let (own, init) = (groups(own), groups(init));
        let mut hierarchies: Vec<Hierarchy> = Vec::new();
        for mount in mountinfo.split(|b| *b == b'\n').filter_map(Mount::parse) {
            let is_mine = |membership: &&Membership<'_>| match mount.version {
                Version::Two => membership.controllers.is_empty(),
                Version::One => {
                    !membership.controllers.is_empty()
                        && membership.controllers.iter().all(|c| mount.options.iter().any(|o| o == c))
                }
            };
            let Some(mine) = own.iter().find(is_mine) else { continue };
            let controllers: Vec<String> = mine.controllers.iter().map(|c| (*c).to_owned()).collect();
            if hierarchies.iter().any(|h| h.version == mount.version && h.controllers == controllers) {
                continue;
            }
            let init_group = init.iter().find(is_mine).map_or(mine.group, |m| m.group);
            hierarchies.push(Hierarchy {
                version: mount.version,
                controllers,
                mount_point: mount.point,
                mount_root: mount.root,
                init_group: path(init_group),
                own_group: path(mine.group),
            });
        }
        Self { hierarchies }
    }

    /// How the hierarchies are laid out.
    pub fn layout(&self) -> Layout {
        let has = |version| self.hierarchies.iter().any(|h| h.version == version);
        match (has(Version::One), has(Version::Two)) {
            (false, false) => Layout::None,
            (true, false) => Layout::Legacy,
            (true, true) => Layout::Hybrid,
            (false, true) => Layout::Unified,
        }
    }
}

impl Hierarchy {
    /// The directory below which groups are made; `None` if it lies outside what is mounted.
    pub(crate) fn base(&self, base: Base) -> Option<PathBuf> {
        let group = match base {
            // systemd keeps pid 1 in a group of its own below the one it manages.
            Base::Init => self.init_group.strip_suffix_component("init.scope"),
            Base::Own => self.own_group.as_path(),
        };
        Some(self.mount_point.join(group.strip_prefix(&self.mount_root).ok()?))
    }

    /// For messages.
    pub(crate) fn label(&self) -> String {
        match self.version {
            Version::One => self.controllers.join(","),
            Version::Two => "cgroup2".into(),
        }
    }
}

trait StripSuffix {
    fn strip_suffix_component(&self, last: &str) -> &Path;
}

impl StripSuffix for PathBuf {
    fn strip_suffix_component(&self, last: &str) -> &Path {
        if self.ends_with(last) { self.parent().unwrap_or(self) } else { self }
    }
}

/// A line of `/proc/<pid>/cgroup`.
struct Membership<'a> {
    controllers: Vec<&'a str>,
    group: &'a [u8],
}

fn groups(text: &[u8]) -> Vec<Membership<'_>> {
    let parse = |line| {
        let mut fields = <[u8]>::splitn(line, 3, |b| *b == b':');
        let number = fields.next()?;
        let controllers = std::str::from_utf8(fields.next()?).ok()?;
        let group = fields.next()?;
        // A hierarchy of version 1 without controllers has a name, so only version 2 has nothing here.
        if controllers.is_empty() && number != b"0" {
            return None;
        }
        Some(Membership { controllers: controllers.split(',').filter(|c| !c.is_empty()).collect(), group })
    };
    text.split(|b| *b == b'\n').filter_map(parse).collect()
}

struct Mount {
    version: Version,
    root: PathBuf,
    point: PathBuf,
    options: Vec<String>,
}

impl Mount {
    /// From a line of mountinfo (proc(5)) that is about a cgroup file system.
    fn parse(line: &[u8]) -> Option<Self> {
        let fields: Vec<&[u8]> = line.split(|b| *b == b' ').collect();
        let dash = fields.iter().position(|f| *f == b"-")?;
        let version = match *fields.get(dash + 1)? {
            b"cgroup" => Version::One,
            b"cgroup2" => Version::Two,
            _ => return None,
        };
        let options = String::from_utf8_lossy(fields.get(dash + 3)?);
        Some(Self {
            version,
            root: path(&unescape(fields.get(3)?)),
            point: path(&unescape(fields.get(4)?)),
            options: options.split(',').map(str::to_owned).collect(),
        })
    }
}

/// Undoes mountinfo's octal escapes of blanks, tabs, newlines and backslashes.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((byte, tail)) = rest.split_first() {
        let octal = tail.get(..3).filter(|d| *byte == b'\\' && d.iter().all(|b| (b'0'..=b'7').contains(b)));
        if let Some(digits) = octal {
            out.push(digits.iter().fold(0u8, |n, d| n.wrapping_mul(8).wrapping_add(d - b'0')));
            rest = &tail[3..];
        } else {
            out.push(*byte);
            rest = tail;
        }
    }
    out
}

fn path(bytes: &[u8]) -> PathBuf {
    PathBuf::from(OsString::from_vec(bytes.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &[u8] = b"31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n\
        32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct\n\
        33 31 0:30 / /sys/fs/cgroup/with\\040blank rw - cgroup cgroup rw,xattr,name=systemd\n\
        34 31 0:29 / /elsewhere rw,relatime - cgroup cgroup rw,cpu,cpuacct\n\
        41 31 0:38 / /sys/fs/cgroup/unified rw shared:3 - cgroup2 cgroup2 rw,nsdelegate\n";
    const OWN: &[u8] = b"2:cpu,cpuacct:/a:b\n1:name=systemd:/user.slice\n0::/user.slice/s\n";
    const INIT: &[u8] = b"2:cpu,cpuacct:/\n1:name=systemd:/init.scope\n0::/init.scope\n";

    #[test]
    fn hierarchies_meet_their_groups() {
        let view = View::parse(HYBRID, OWN, INIT);
        assert_eq!(view.layout(), Layout::Hybrid);
        let got: Vec<_> = view.hierarchies.iter().map(|h| (h.label(), h.base(Base::Own).unwrap())).collect();
        assert_eq!(
            got,
            [
                ("cpu,cpuacct".into(), "/sys/fs/cgroup/cpu,cpuacct/a:b".into()),
                ("name=systemd".into(), "/sys/fs/cgroup/with blank/user.slice".into()),
                ("cgroup2".into(), "/sys/fs/cgroup/unified/user.slice/s".into()),
            ]
        );
        let init: Vec<_> = view.hierarchies.iter().map(|h| h.base(Base::Init).unwrap()).collect();
        assert_eq!(init[1], Path::new("/sys/fs/cgroup/with blank"), "init.scope is stepped out of");
    }

    #[test]
    fn a_mount_of_a_subtree_shows_groups_below_it_only() {
        let info = b"41 31 0:38 /docker/x /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
        let view = View::parse(info, b"0::/docker/x/mine\n", b"0::/\n");
        assert_eq!(view.layout(), Layout::Unified);
        assert_eq!(view.hierarchies[0].base(Base::Own), Some("/sys/fs/cgroup/mine".into()));
        assert_eq!(view.hierarchies[0].base(Base::Init), None);
    }

    #[test]
    fn nonsense_is_no_hierarchy() {
        for junk in
            [&b""[..], b"-", b"- cgroup", b"a b c d e - cgroup2", b"\xff \xff - cgroup - -", b"0::\n:::"]
        {
            assert_eq!(View::parse(junk, junk, junk).layout(), Layout::None);
        }
    }
}
