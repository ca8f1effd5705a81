//! The mounts `lxc.mount.auto` asks for.

use std::fmt::Write as _;

use crate::error::{Fault, quoted};

/// What is mounted of its own accord; later words replace earlier ones for the same part.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AutoMounts {
    /// `/proc`.
    pub proc: Option<ProcAuto>,
    /// `/sys`.
    pub sys: Option<SysAuto>,
    /// `/sys/fs/cgroup`.
    pub cgroup: Option<CgroupAuto>,
    /// A directory shared between host and container for injecting mounts.
    pub shmounts: Option<SharedMounts>,
}

/// How `/proc` is mounted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProcAuto {
    /// Writable but for `/proc/sys` and `/proc/sysrq-trigger`, `/proc/sys/net` being writable again.
    Mixed,
    /// Writable.
    ReadWrite,
}

/// How `/sys` is mounted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SysAuto {
    /// Read-only but for `/sys/devices/virtual/net`.
    Mixed,
    /// Read-only.
    ReadOnly,
    /// Writable.
    ReadWrite,
}

/// How `/sys/fs/cgroup` is mounted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CgroupAuto {
    /// What is writable; `None` leaves it to the container's capabilities.
    pub view: Option<CgroupView>,
    /// `cgroup-full`: the whole hierarchy, not only the container's part.
    pub full: bool,
    /// `:force`: mounted even where a cgroup namespace would let the container do it itself.
    pub force: bool,
}

/// What of a cgroup hierarchy is writable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CgroupView {
    /// The container's own cgroup only.
    Mixed,
    /// Nothing.
    ReadOnly,
    /// All that is mounted.
    ReadWrite,
}

/// `shmounts:HOST[:CONTAINER]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedMounts {
    /// The directory on the host.
    pub host: String,
    /// The directory in the container; `/dev/.lxc-mounts` by default.
    pub container: String,
}

/// Checks one word.
pub(crate) fn check(word: &str) -> Result<(), Fault> {
    AutoMounts::default().apply(word)
}

/// The words in effect, as LXC prints them: shared mounts and forced cgroups are not among them.
pub(crate) fn merge<'a>(words: impl Iterator<Item = &'a str>) -> String {
    let mut mounts = AutoMounts::default();
    for word in words {
        // Words are checked before they come into effect.
        let _checked = mounts.apply(word);
    }
    mounts.print()
}

impl AutoMounts {
    /// Adds one word of the value.
    pub fn apply(&mut self, word: &str) -> Result<(), Fault> {
        let (part, mode) = word.split_once(':').map_or((word, None), |(part, mode)| (part, Some(mode)));
        let fault = |remedy: &str| Fault::new(format!("{} is not an automatic mount", quoted(word)), remedy);
        match part {
            "proc" => {
                self.proc = Some(match mode {
                    None | Some("mixed") => ProcAuto::Mixed,
                    Some("rw") => ProcAuto::ReadWrite,
                    Some(_) => return Err(fault("use proc, proc:mixed or proc:rw")),
                });
            }
            "sys" => {
                self.sys = Some(match mode {
                    None | Some("mixed") => SysAuto::Mixed,
                    Some("ro") => SysAuto::ReadOnly,
                    Some("rw") => SysAuto::ReadWrite,
                    Some(_) => return Err(fault("use sys, sys:mixed, sys:ro or sys:rw")),
                });
            }
            "cgroup" | "cgroup-full" => {
                let (view, force) = match mode {
                    None => (None, false),
                    Some("force") => (None, true),
                    Some(mode) => match mode.strip_suffix(":force") {
                        Some(mode) => (Some(mode), true),
                        None => (Some(mode), false),
                    },
                };
                let view = match view {
                    None => None,
                    Some("mixed") => Some(CgroupView::Mixed),
                    Some("ro") => Some(CgroupView::ReadOnly),
                    Some("rw") => Some(CgroupView::ReadWrite),
                    Some(_) => {
                        return Err(fault("use cgroup or cgroup-full, then :mixed, :ro or :rw, then :force"));
                    }
                };
                self.cgroup = Some(CgroupAuto { view, full: part == "cgroup-full", force });
            }
            "shmounts" => {
                let remedy = "write shmounts:/directory-on-the-host[:/directory-in-the-container]";
                let (host, container) = match mode.ok_or_else(|| fault(remedy))?.split_once(':') {
                    Some((host, container)) => (host, container),
                    None => (mode.unwrap_or_default(), "/dev/.lxc-mounts"),
                };
                if host.is_empty() || container.is_empty() {
                    return Err(fault(remedy));
                }
                self.shmounts = Some(SharedMounts { host: host.to_owned(), container: container.to_owned() });
            }
            _ => {
                return Err(fault(
                    "use proc, sys, cgroup, cgroup-full or shmounts, optionally with a mode such as proc:mixed",
                ));
            }
        }
        Ok(())
    }

    fn print(&self) -> String {
        let mut out = String::new();
        let mut word = |text: &str| {
            if !out.is_empty() {
                out.push(' ');
            }
            // Writing to a String cannot fail.
            let _infallible = out.write_str(text);
        };
        match self.proc {
            Some(ProcAuto::Mixed) => word("proc:mixed"),
            Some(ProcAuto::ReadWrite) => word("proc:rw"),
            None => {}
        }
        match self.sys {
            Some(SysAuto::Mixed) => word("sys:mixed"),
            Some(SysAuto::ReadOnly) => word("sys:ro"),
            Some(SysAuto::ReadWrite) => word("sys:rw"),
            None => {}
        }
        if let Some(CgroupAuto { view, full, force: false }) = self.cgroup {
            let name = if full { "cgroup-full" } else { "cgroup" };
            let mode = match view {
                None => "",
                Some(CgroupView::Mixed) => ":mixed",
                Some(CgroupView::ReadOnly) => ":ro",
                Some(CgroupView::ReadWrite) => ":rw",
            };
            word(&format!("{name}{mode}"));
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_words_replace_earlier_ones() {
        let table = [
            ("proc:mixed sys:ro cgroup", "proc:mixed sys:ro cgroup"),
            ("proc:mixed sys:ro proc:rw", "proc:rw sys:ro"),
            ("cgroup-full cgroup:rw", "cgroup:rw"),
            ("cgroup:mixed:force proc", "proc:mixed"),
            ("shmounts:/a:/b", ""),
        ];
        for (words, printed) in table {
            assert_eq!(merge(words.split(' ')), printed, "{words}");
        }
    }

    #[test]
    fn refuses_other_words() {
        for word in [
            "",
            "bogus",
            "proc:ro",
            "proc:",
            "sys:bogus",
            "cgroup:mixed:bogus",
            "shmounts",
            "shmounts:",
            "cgroup2",
        ] {
            assert!(check(word).is_err(), "{word}");
        }
    }
}
