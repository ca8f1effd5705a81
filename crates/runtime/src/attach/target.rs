//! The container to enter: its first process, and how that is confined.

use hull_cgroup::{Cgroups, Doors, View};
use hull_ipc::server::Group;
use hull_ipc::{Client, State};
use hull_security::capability;
use hull_sys::process::namespace;
use rustix::fd::OwnedFd;
use rustix::process::{Pid, PidfdFlags};
use std::path::Path;

use super::Options;
use crate::error::{Error, Named, Result};

/// What to enter, gathered before anything is entered: from the host's `/proc`, never the container's.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) pidfd: OwnedFd,
    /// The namespaces to join.
    pub(super) namespaces: u64,
    /// The capabilities the container's processes may have.
    pub(super) bounding: capability::Set,
    pub(super) no_new_privs: bool,
    pub(super) personality: Option<u64>,
    /// The container's compiled system call policy.
    pub(super) seccomp: Option<Vec<u8>>,
}

impl Target {
    pub(super) fn find(client: &Client, name: &str, options: &Options) -> Result<Self> {
        let told = |e: hull_ipc::client::Error| Error::new(e.to_string());
        let state = client.state().map_err(told)?;
        if state == State::Frozen {
            return Err(Error::new(format!(
                "container {name} is frozen, and so would the command be; thaw it first"
            )));
        }
        let pid = client.init_pid().map_err(told)?.and_then(Pid::from_raw);
        let pid = pid
            .ok_or_else(|| Error::new(format!("container {name} is {state}, not running; start it first")))?;
        let number = pid.as_raw_nonzero();
        // Monitors before LXC 4 have no such answer.
        let pidfd = client.init_pidfd().or_else(|_| rustix::process::pidfd_open(pid, PidfdFlags::empty()));
        let pidfd = pidfd.named(|| format!("pidfd_open({number})"))?;
        check_proc()?;
        let path = format!("/proc/{number}/status");
        let status = std::fs::read_to_string(&path).named(|| format!("open({path})"))?;
        let field =
            |name: &str| status.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(':')).map(str::trim);
        let bounding = field("CapBnd").and_then(|t| u64::from_str_radix(t, 16).ok());
        let bounding = bounding.ok_or_else(|| Error::new(format!("{path} has no CapBnd line")))?;
        let persona = std::fs::read_to_string(format!("/proc/{number}/personality")).ok();
        let namespaces = namespaces(number.get(), options)?;
        refuse_label(number.get(), name, options)?;
        let filtered = field("Seccomp") == Some("2") && !options.elevated.security;
        let seccomp = if filtered { policy(client, name)? } else { None };
        // All of it was the container's only if its first process still lives: its number could have been reused.
        hull_sys::signal::send(&pidfd, 0)
            .map_err(|_| Error::new(format!("container {name} has stopped meanwhile; start it first")))?;
        Ok(Self {
            pidfd,
            namespaces,
            bounding: capability::Set::from_bits(bounding),
            no_new_privs: field("NoNewPrivs") == Some("1"),
            seccomp,
            personality: persona.and_then(|p| u64::from_str_radix(p.trim(), 16).ok()),
        })
    }

    /// The ways into the container's groups.
    pub(super) fn doors(client: &Client) -> Result<Doors> {
        // Older monitors of LXC have no answer for all hierarchies at once.
        let doors = match client.cgroup_context() {
            Ok(directories) => Doors::to(directories.fds),
            // One that does not answer is not asked ten times more.
            Err(e @ hull_ipc::client::Error::TimedOut { .. }) => return Err(not_placed(e)),
            Err(_) => {
                let path = |controller: Option<&str>| client.cgroup(Group::Inner, controller).ok();
                View::of_self().and_then(|view| Cgroups::of_running(&view, path)?.doors())
            }
        };
        doors.map_err(not_placed)
    }
}

/// Why a command cannot be put into the container's groups, and what it can do without.
pub(super) fn not_placed(reason: impl std::fmt::Display) -> Error {
    Error::new(format!("{reason}; or stay out of its cgroups with -e CGROUP"))
}

/// The kinds to join: those asked for that the caller is not in already.
fn namespaces(pid: i32, options: &Options) -> Result<u64> {
    let mut kinds = 0;
    for (kind, name) in namespace::NAMES {
        let wanted =
            options.namespaces.as_ref().is_none_or(|list| list.iter().any(|n| n.clone_flag() == kind));
        let identity = |path: String| rustix::fs::stat(&path).map(|s| (s.st_dev, s.st_ino));
        let (theirs, own) =
            (identity(format!("/proc/{pid}/ns/{name}")), identity(format!("/proc/self/ns/{name}")));
        match (theirs, own) {
            // A kernel without this kind has nothing to join.
            (_, Err(rustix::io::Errno::NOENT)) => {}
            (Ok(theirs), Ok(own)) if theirs == own || !wanted => {}
            (Ok(_), Ok(_)) => kinds |= kind,
            (theirs, own) => {
                theirs.and(own).named(|| format!("stat(/proc/{pid}/ns/{name})"))?;
            }
        }
    }
    Ok(kinds)
}

/// The policy that the container runs under, by its monitor's word, compiled.
///
/// The policy is the file's of now, which may have changed since the start.
fn policy(client: &Client, name: &str) -> Result<Option<Vec<u8>>> {
    let path = client.config_item("lxc.seccomp.profile").map_err(|e| Error::new(e.to_string()))?;
    let Some(path) = path.map(|p| p.trim().to_owned()).filter(|p| !p.is_empty()) else { return Ok(None) };
    let told = |why: String| {
        Error::new(format!(
            "the lxc.seccomp.profile of container {name} cannot be given to the command: {why}; enter without it by -e LSM"
        ))
    };
    let text =
        std::fs::read_to_string(&path).named(|| format!("open({path})")).map_err(|e| told(e.to_string()))?;
    hull_security::seccomp::compile(&text, Path::new(&path)).map(Some).map_err(told)
}

/// What is read as `/proc` must be the kernel's (CVE-2015-1334).
fn check_proc() -> Result<()> {
    const PROC_SUPER_MAGIC: u64 = 0x9fa0;
    let found = rustix::fs::statfs("/proc").named(|| "statfs(/proc)".into())?;
    if u64::try_from(found.f_type).ok() != Some(PROC_SUPER_MAGIC) {
        return Err(Error::new("/proc is not the kernel's; mount proc there"));
    }
    Ok(())
}

/// A label of a security module cannot be given to the command yet, so a container that has one is not entered.
fn refuse_label(pid: i32, name: &str, options: &Options) -> Result<()> {
    let has = hull_security::lsm::has_apparmor() || hull_security::lsm::has_selinux();
    if !has || options.elevated.security {
        return Ok(());
    }
    let text = |pid: &str| std::fs::read_to_string(format!("/proc/{pid}/attr/current")).unwrap_or_default();
    let (theirs, own) = (text(&pid.to_string()), text("self"));
    if theirs == own {
        return Ok(());
    }
    Err(Error::new(format!(
        "container {name} has the security label {}, which commands cannot be given yet; enter without it by -e LSM",
        theirs.trim_end_matches(['\n', '\0'])
    )))
}
