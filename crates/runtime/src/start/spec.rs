//! From a configuration to what is to be done, as plain data: nothing has happened yet.

use hull_config::value::{CgroupView, Environment, MountEntry, Namespace, ProcAuto, SysAuto, TimeOffset};
use hull_config::{Capabilities, Config};
use hull_security::capability::Set;
use hull_security::limit::Limit;
use std::ffi::CString;
use std::path::{Path, PathBuf};

use super::Start;
use super::automatic::{Automatic, Cgroups, Writable};
use super::child::{Program, Stdio};
use super::devices::Devices;
use crate::error::{Error, Named, Result};
use crate::hooks::{Hooks, MOMENTS};

/// Where root's containers attach their root file systems before they pivot, each in its own mount namespace.
const DEFAULT_MOUNTPOINT: &str = "/run/hull/rootfs";
/// What programs of a container find their commands by, unless the configuration says otherwise.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Bytes of a private /dev, as in LXC.
const DEV_SIZE: u32 = 500_000;
/// The most ptys, as in LXC.
const PTYS: u32 = 1024;

/// What a configuration's typed values say; each error is already one line.
pub(crate) fn config<T>(value: hull_config::Result<T>) -> Result<T> {
    value.map_err(|e| Error::new(e.to_string()))
}

pub(crate) fn devices(start: &Start<'_>, has_rootfs: bool) -> Result<Devices> {
    let c = &start.config;
    let size = config(c.number("lxc.autodev.tmpfs.size", DEV_SIZE))?;
    let size = if size == 0 { DEV_SIZE } else { size };
    Ok(Devices {
        tmpfs: (has_rootfs && c.flag("lxc.autodev", true)).then_some(u64::from(size)),
        ptys: if has_rootfs { u64::from(config(c.number("lxc.pty.max", PTYS))?) } else { 0 },
        ttys: if has_rootfs { config(c.number("lxc.tty.max", 0))? } else { 0 },
        tty_dir: c.value("lxc.tty.dir").unwrap_or_default().trim_matches('/').to_owned(),
        console: c.value("lxc.console.path") != Some("none") && start.wants_console(),
    })
}

pub(crate) fn automatic(c: &Config) -> Result<Automatic> {
    let mounts = config(c.auto_mounts())?;
    Ok(Automatic {
        proc: mounts.proc.map(|p| match p {
            ProcAuto::Mixed => Writable::Some,
            ProcAuto::ReadWrite => Writable::All,
        }),
        sys: mounts.sys.map(|s| match s {
            SysAuto::Mixed => Writable::Some,
            SysAuto::ReadOnly => Writable::Nothing,
            SysAuto::ReadWrite => Writable::All,
        }),
        cgroup: mounts.cgroup.map(|g| Cgroups {
            writable: match g.view {
                Some(CgroupView::ReadOnly) => Writable::Nothing,
                Some(CgroupView::ReadWrite) => Writable::All,
                Some(CgroupView::Mixed) | None => Writable::Some,
            },
            full: g.full,
            force: g.force,
        }),
        network: capabilities(c)?.contains("net_admin"),
    })
}

/// `lxc.mount.fstab`, then `lxc.mount.entry`.
pub(crate) fn entries(c: &Config) -> Result<Vec<MountEntry>> {
    let mut all = Vec::new();
    if let Some(file) = c.value("lxc.mount.fstab").filter(|f| !f.is_empty()) {
        let text = std::fs::read_to_string(file).named(|| format!("open({file}) (lxc.mount.fstab)"))?;
        all = config(MountEntry::parse_fstab(&text, Path::new(file)))?;
    }
    all.extend(config(c.mount_entries())?);
    Ok(all)
}

/// The capabilities the container's processes may ever have.
pub(crate) fn capabilities(c: &Config) -> Result<Set> {
    let of = |list: &[hull_config::value::Capability]| {
        let bits =
            list.iter().fold(0u64, |bits, cap| bits | 1u64.checked_shl(cap.number().into()).unwrap_or(0));
        Set::from_bits(bits)
    };
    Ok(match config(c.capabilities())? {
        Capabilities::All => Set::ALL,
        Capabilities::Drop(list) => Set::ALL.without(of(&list)),
        Capabilities::Keep(list) => of(&list),
    })
}

pub(crate) fn limits(c: &Config) -> Result<Vec<Limit>> {
    let limit = |(number, limit): (u32, hull_config::value::Limit)| {
        Limit::new(number, limit.soft, limit.hard)
            .ok_or_else(|| Error::new(format!("lxc.prlimit: the kernel has no resource {number}")))
    };
    config(c.limits())?.into_iter().map(limit).collect()
}

pub(crate) fn program(start: &Start<'_>) -> Result<Program> {
    let c = &start.config;
    let (words, reaped) = match &start.command {
        super::Command::Init => (init_command(c)?, false),
        super::Command::AsInit(words) => (words.clone(), false),
        super::Command::Reaped(words) => (words.clone(), true),
    };
    let argv = words
        .into_iter()
        .map(|w| CString::new(w).map_err(|_| Error::new("the command holds a NUL byte; remove it")))
        .collect::<Result<Vec<_>>>()?;
    let uid = start.uid.map_or_else(|| config(c.number("lxc.init.uid", 0)), Ok)?;
    let gid = start.gid.map_or_else(|| config(c.number("lxc.init.gid", 0)), Ok)?;
    let mut environment = vec![
        ("PATH".to_owned(), PATH.to_owned()),
        ("TERM".to_owned(), start.term.clone().unwrap_or_else(|| "linux".to_owned())),
        ("HOME".to_owned(), if uid == 0 { "/root" } else { "/" }.to_owned()),
        ("container".to_owned(), "lxc".to_owned()),
    ];
    let wanted = config(c.environment())?.into_iter().chain(config(c.runtime_environment())?);
    set_all(&mut environment, wanted, &start.inherited);
    Ok(Program {
        argv,
        environment,
        reaped,
        stdio: if reaped { Stdio::ConsoleForTerminals } else { Stdio::Console },
        cwd: c.value("lxc.init.cwd").map(PathBuf::from),
        uid,
        gid,
        groups: config(c.init_groups())?,
        keep: capabilities(c)?,
        no_new_privs: c.flag("lxc.no_new_privs", false),
        seccomp: seccomp(c, &start.allow_unconfined)?,
    })
}

/// The compiled `lxc.seccomp.profile`, unless the caller does without it by name.
pub(crate) fn seccomp(c: &Config, allow_unconfined: &[String]) -> Result<Option<Vec<u8>>> {
    const KEY: &str = "lxc.seccomp.profile";
    let Some(path) = c.value(KEY).filter(|v| !v.is_empty()) else { return Ok(None) };
    if allow_unconfined.iter().any(|k| k == KEY) {
        return Ok(None);
    }
    let remedy = |why: String| {
        Error::new(format!("{KEY}: {why}; mend it, or start with --allow-unconfined {KEY} to do without"))
    };
    let text = std::fs::read_to_string(path).map_err(|e| {
        let text = e.to_string();
        remedy(format!("cannot read {path}: {}", text.split(" (os error").next().unwrap_or(&text)))
    })?;
    hull_security::seccomp::compile(&text, Path::new(path)).map(Some).map_err(remedy)
}

pub(crate) fn hooks(start: &Start<'_>, mountpoint: &Path) -> Result<Hooks> {
    let c = &start.config;
    let rootfs = c.rootfs_path().map_or("", |r| r.path());
    let version = u32::from(c.flag("lxc.hook.version", false));
    let text = |p: &Path| p.to_string_lossy().into_owned();
    let mut environment = vec![
        ("PATH".to_owned(), PATH.to_owned()),
        ("LXC_NAME".to_owned(), start.name.clone()),
        ("LXC_CONFIG_FILE".to_owned(), text(c.origin())),
        ("LXC_ROOTFS_MOUNT".to_owned(), text(mountpoint)),
        ("LXC_ROOTFS_PATH".to_owned(), rootfs.to_owned()),
        ("LXC_CONSOLE".to_owned(), c.value("lxc.console.path").unwrap_or_default().to_owned()),
        ("LXC_CONSOLE_LOGPATH".to_owned(), c.value("lxc.console.logfile").unwrap_or_default().to_owned()),
        ("LXC_CGNS_AWARE".to_owned(), "1".to_owned()),
        ("LXC_LOG_LEVEL".to_owned(), c.value("lxc.log.level").unwrap_or("ERROR").to_owned()),
    ];
    let wanted = config(c.environment())?.into_iter().chain(config(c.hook_environment())?);
    set_all(&mut environment, wanted, &start.inherited);
    let commands = MOMENTS.map(|m| (m, c.hooks(m).map(str::to_owned).collect())).to_vec();
    Ok(Hooks { name: start.name.clone(), version, environment, commands })
}

/// Where the root file system is attached before the pivot, made if it is ours to make.
pub(crate) fn mountpoint(start: &Start<'_>) -> Result<PathBuf> {
    if let Some(path) = start.config.value("lxc.rootfs.mount").filter(|p| !p.is_empty()) {
        return Ok(PathBuf::from(path));
    }
    let fixed = Path::new(DEFAULT_MOUNTPOINT);
    if rustix::process::geteuid().is_root() && std::fs::create_dir_all(fixed).is_ok() {
        return Ok(fixed.to_owned());
    }
    let own = start.lxcpath.join(&start.name).join("rootfs");
    if own.is_dir() {
        return Ok(own);
    }
    Err(Error::new(format!(
        "there is no directory to attach the root file system to: make {}, or set lxc.rootfs.mount",
        own.display()
    )))
}

/// The text of `timens_offsets`, time_namespaces(7).
pub(crate) fn time_offsets(c: &Config) -> Result<String> {
    let (boot, monotonic) = config(c.time_offsets())?;
    let line = |clock: &str, offset: Option<TimeOffset>| {
        offset.map_or(String::new(), |o| {
            let (seconds, nanoseconds) = o.normalised();
            format!("{clock} {seconds} {nanoseconds}\n")
        })
    };
    Ok(line("monotonic", monotonic) + &line("boottime", boot))
}

pub(crate) fn hostname(start: &Start<'_>, new: u64) -> Option<String> {
    let own = new & Namespace::Uts.clone_flag() != 0;
    own.then(|| start.config.value("lxc.uts.name").unwrap_or(&start.name).to_owned())
}

/// `lxc.init.cmd`, `/sbin/init` unless set: words, with quotes as in a shell.
fn init_command(c: &Config) -> Result<Vec<String>> {
    let text = c.value("lxc.init.cmd").filter(|t| !t.is_empty()).unwrap_or("/sbin/init");
    let words = split_words(text).ok_or_else(|| {
        Error::new(format!("lxc.init.cmd: {text:?} has an unfinished quote; close it or remove it"))
    })?;
    if words.is_empty() {
        return Err(Error::new("lxc.init.cmd names no program; set it to a path in the container"));
    }
    Ok(words)
}

/// Splits at blanks outside of quotes; `None` if a quote is not closed.
fn split_words(text: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some(q), c) if q == c => quote = None,
            (Some('\''), c) => word.get_or_insert_default().push(c),
            (_, '\\') => word.get_or_insert_default().push(chars.next()?),
            (Some(_), c) => word.get_or_insert_default().push(c),
            (None, '"' | '\'') => {
                word.get_or_insert_default();
                quote = Some(c);
            }
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (None, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    quote.is_none().then_some(words)
}

/// Sets variables, later ones winning; one without a value comes from `inherited`, if it is there.
fn set_all(
    environment: &mut Vec<(String, String)>,
    wanted: impl Iterator<Item = Environment>,
    inherited: &[(String, String)],
) {
    for variable in wanted {
        let there = || inherited.iter().find(|(k, _)| *k == variable.name).map(|(_, v)| v.clone());
        let Some(value) = variable.value.clone().or_else(there) else { continue };
        environment.retain(|(k, _)| *k != variable.name);
        environment.push((variable.name, value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_split_as_in_a_shell() {
        let cases: [(&str, Option<&[&str]>); 5] = [
            ("/sbin/init", Some(&["/sbin/init"])),
            ("  sh -c  'a b' \"c\\\" d\" e\\ f ", Some(&["sh", "-c", "a b", "c\" d", "e f"])),
            ("x ''", Some(&["x", ""])),
            ("x 'y", None),
            ("", Some(&[])),
        ];
        for (text, want) in cases {
            let words = split_words(text);
            assert_eq!(
                words.as_ref().map(|w| w.iter().map(String::as_str).collect::<Vec<_>>()).as_deref(),
                want
            );
        }
    }

    #[test]
    fn later_variables_win_and_bare_ones_are_inherited() {
        let mut environment = vec![("PATH".to_owned(), "/bin".to_owned())];
        let wanted = ["PATH=/x", "LANG", "NOT_THERE"].map(|e| Environment::parse(e).expect("a variable"));
        set_all(&mut environment, wanted.into_iter(), &[("LANG".to_owned(), "C".to_owned())]);
        let want = [("PATH", "/x"), ("LANG", "C")].map(|(k, v)| (k.to_owned(), v.to_owned()));
        assert_eq!(environment, want);
    }
}
