//! Starting a container: decide everything, clone, and let the first process carry it out.

mod automatic;
pub(crate) mod child;
pub(crate) mod devices;
mod enter;
mod entries;
pub(crate) mod idmap;
mod namespaces;
pub(crate) mod reaper;
pub(crate) mod spec;
pub(crate) mod sync;

use hull_cgroup::{Cgroups, Limit, Version, View};
use hull_config::Config;
use hull_config::value::{IdKind, IdMap, MountIdMap, Namespace};
use hull_sys::process::{self, Fork, namespace};
use rustix::fd::{AsFd, OwnedFd};
use rustix::process::{Pid, WaitOptions};
use std::any::Any;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::error::{During, Error, Named, Result};
use crate::hooks::Hooks;
use crate::log::Log;
use crate::rootfs::{RootfsOptions, RootfsProvider};
use crate::support::{Unsupported, unsupported};
use sync::{Message, Sync};

/// A container to start.
pub struct Start<'a> {
    /// Where containers are.
    pub lxcpath: PathBuf,
    /// Its name.
    pub name: String,
    /// Its configuration.
    pub config: Config,
    /// What runs in it.
    pub command: Command,
    /// Whose terminal it gets, and who waits for it.
    pub mode: Mode,
    /// Opens its root file system.
    pub provider: &'a dyn RootfsProvider,
    /// Where to tell that it runs, or one line why not; see [`crate::launch`].
    pub status: Option<OwnedFd>,
    /// A file for the number of its first process.
    pub pidfile: Option<PathBuf>,
    /// Where stock `lxc-monitord` has its FIFO: `/run` for root.
    pub rundir: Option<PathBuf>,
    /// Namespaces to share besides `lxc.namespace.share.*`: with a process, a path, a running container.
    pub share: Vec<(Namespace, String)>,
    /// Confining keys that are not carried out and that the user waives by name.
    pub allow_unconfined: Vec<String>,
    /// The caller's environment, from which `lxc.environment = NAME` takes values.
    pub inherited: Vec<(String, String)>,
    /// The caller's `TERM`, if the container gets the caller's terminal.
    pub term: Option<String>,
    /// Instead of `lxc.init.uid`.
    pub uid: Option<u32>,
    /// Instead of `lxc.init.gid`.
    pub gid: Option<u32>,
}

/// What runs in a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// `lxc.init.cmd`, or `/sbin/init`.
    Init,
    /// This, as process 1.
    AsInit(Vec<String>),
    /// This, below a process 1 of Hull's that passes signals on and reaps.
    Reaped(Vec<String>),
}

/// Who waits for a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The caller, whose terminal is the container's console.
    Foreground,
    /// Nobody.
    Daemon,
}

impl std::fmt::Debug for Start<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Start")
            .field("lxcpath", &self.lxcpath)
            .field("name", &self.name)
            .field("command", &self.command)
            .field("mode", &self.mode)
            .finish_non_exhaustive()
    }
}

impl Start<'_> {
    /// Whether the container is to have a console: a command run without any terminal needs none.
    pub(crate) fn wants_console(&self) -> bool {
        let terminal = rustix::termios::isatty(std::io::stdin())
            || rustix::termios::isatty(std::io::stdout())
            || rustix::termios::isatty(std::io::stderr());
        !matches!(self.command, Command::Reaped(_)) || (self.mode == Mode::Foreground && terminal)
    }
}

/// A container whose first process has executed.
pub(crate) struct Running {
    pub(crate) pid: Pid,
    pub(crate) pidfd: OwnedFd,
    /// The `CLONE_NEW…` flags of its namespaces.
    pub(crate) namespaces: u64,
    pub(crate) cgroups: Option<Cgroups>,
    pub(crate) console: Option<OwnedFd>,
    pub(crate) ttys: Vec<OwnedFd>,
    pub(crate) devpts: Option<OwnedFd>,
    pub(crate) hooks: Hooks,
    /// Namespaces of the container, for stop hooks: a name and a descriptor each.
    pub(crate) kept: Vec<(&'static str, OwnedFd)>,
    pub(crate) held: Option<Box<dyn Any>>,
}

/// How long groups may take to empty when a container ends.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// Refuses what must not be left out, and returns what may, for a warning.
pub(crate) fn check_support(start: &Start<'_>) -> Result<Vec<Unsupported>> {
    let (mut refused, mut warned) = (Vec::new(), Vec::new());
    for key in unsupported(&start.config) {
        let waived = start.allow_unconfined.contains(&key.key);
        if key.confines && !waived { refused.push(key) } else { warned.push(key) }
    }
    if refused.is_empty() {
        return Ok(warned);
    }
    let lines: Vec<String> = refused.iter().map(Unsupported::refusal).collect();
    Err(Error::new(format!(
        "container {} would be less confined than its configuration says: {}",
        start.name,
        lines.join("; ")
    )))
}

/// Starts `start` once, up to and including its exec.
///
/// Whatever fails, nothing is left behind: no process, cgroup or mount.
pub(crate) fn run(start: &Start<'_>, log: &Log) -> Result<Running> {
    let mountpoint = match start.config.rootfs_path() {
        Some(_) => spec::mountpoint(start)?,
        None => PathBuf::from("/"),
    };
    let hooks = spec::hooks(start, &mountpoint)?;
    hooks.run("pre-start", &[], &[], log)?;
    let mut cgroups = make_cgroups(start)?;
    let result = clone(start, log, &hooks, mountpoint, cgroups.as_mut());
    match result {
        Ok(running) => Ok(Running { cgroups, ..running }),
        Err(e) => {
            if let Some(cgroups) = cgroups {
                let _ = cgroups.remove(Instant::now() + PATIENCE);
            }
            // What a pre-start hook made, its counterpart removes.
            if let Err(after) = hooks.run("post-stop", &[("LXC_TARGET", "stop".to_owned())], &[], log) {
                log.error(&after.to_string());
            }
            Err(e)
        }
    }
}

/// Makes the container's groups, sets its limits, and moves this process to the monitor's group. Here a daemon becomes
/// one: it is a child of the process that called, which has ended.
fn make_cgroups(start: &Start<'_>) -> Result<Option<Cgroups>> {
    let c = &start.config;
    let view = View::of_self().map_err(|e| Error::new(e.to_string()))?;
    let text = |key: &str| c.value(key).filter(|v| !v.is_empty()).map(str::to_owned);
    let root = rustix::process::geteuid().is_root() && !c.flag("lxc.cgroup.relative", false);
    let dir_monitor = text("lxc.cgroup.dir.monitor");
    let plan = hull_cgroup::Plan {
        monitor_moves: match start.mode {
            Mode::Daemon => hull_cgroup::Moving::Reborn,
            Mode::Foreground if dir_monitor.is_none() => hull_cgroup::Moving::Stays,
            Mode::Foreground => hull_cgroup::Moving::Itself,
        },
        base: if root { hull_cgroup::Base::Init } else { hull_cgroup::Base::Own },
        dir: text("lxc.cgroup.dir"),
        dir_container: text("lxc.cgroup.dir.container"),
        dir_container_inner: text("lxc.cgroup.dir.container.inner"),
        dir_monitor,
        dir_monitor_pivot: text("lxc.cgroup.dir.monitor.pivot"),
        ..hull_cgroup::Plan::new(&start.name)
    };
    let cgroups = Cgroups::create(&view, &plan).map_err(|e| Error::new(e.to_string()))?;
    let entered = cgroups.enter_monitor();
    if start.mode == Mode::Daemon {
        let _ = rustix::process::setsid();
    }
    let prepared = entered.and_then(|()| cgroups.apply_limits(&limits(c)).map(drop));
    if let Err(e) = prepared {
        let _ = cgroups.remove(Instant::now() + PATIENCE);
        return Err(Error::new(e.to_string()));
    }
    Ok(Some(cgroups))
}

fn limits(c: &Config) -> Vec<Limit> {
    let limit = |version, s: hull_config::CgroupSetting<'_>| Limit {
        version,
        file: s.file.to_owned(),
        value: s.value.to_owned(),
    };
    let first = c.cgroup1().map(|s| limit(Version::One, s));
    first.chain(c.cgroup2().map(|s| limit(Version::Two, s))).collect()
}

fn clone(
    start: &Start<'_>,
    log: &Log,
    hooks: &Hooks,
    mountpoint: PathBuf,
    cgroups: Option<&mut Cgroups>,
) -> Result<Running> {
    let c = &start.config;
    let maps = spec::config(c.id_maps())?;
    let chosen = namespaces::choose(c, &start.lxcpath, &start.share)?;
    let options = RootfsOptions::of(c)?;
    let entries = spec::entries(c)?;
    let wants_map = options.idmap.is_some() || entries.iter().any(|e| e.idmap == Some(MountIdMap::Container));
    let own_map = if wants_map && !maps.is_empty() { Some(idmap::namespace_with(&maps)?) } else { None };
    let rootfs_map = match &options.idmap {
        None => None,
        Some(MountIdMap::Container) if own_map.is_none() => {
            return Err(Error::new(
                "lxc.rootfs.options: idmap=container needs lxc.idmap; set it, or drop the option",
            ));
        }
        Some(MountIdMap::Container) => {
            own_map.as_ref().map(OwnedFd::try_clone).transpose().named(|| "dup(userns)".into())?
        }
        Some(MountIdMap::Path(path)) => Some(devices::open_namespace(path)?),
    };
    let opened = start.provider.open(c, rootfs_map.as_ref().map(AsFd::as_fd))?;
    let (source, held) = opened.map(|r| (r.source, r.held)).unzip();
    let has_rootfs = source.is_some();
    let names = c.rootfs_path().map(|r| PathBuf::from(r.path())).into_iter().collect();
    let death = spec::config(c.parent_death_signal())?.number();
    let time = chosen.new & namespace::TIME != 0;
    let doors = cgroups.as_ref().map(|c| c.doors()).transpose().map_err(|e| Error::new(e.to_string()))?;
    let plan = child::Plan {
        doors,
        namespaces: chosen.new,
        shared: Vec::new(),
        time_offsets: if time { Some(spec::time_offsets(c)?) } else { None },
        death_signal: Some(death).filter(|n| *n != 0),
        hostname: spec::hostname(start, chosen.new),
        new_keyring: c.flag("lxc.keyring.session", true),
        rootfs: source.map(|source| child::Rootfs { source, mountpoint, names }),
        root_propagation: options.propagation.map(|(p, recursive)| (p.bits(), recursive)),
        devices: spec::devices(start, has_rootfs)?,
        automatic: spec::automatic(c)?,
        entries,
        userns: own_map,
        hooks: hooks.clone(),
        sysctls: c.sysctls().map(|(k, v)| (k.to_owned(), v.to_owned())).collect(),
        personality: spec::config(c.personality())?.map(|p| u64::from(p.number())),
        program: spec::program(start)?,
    };
    let run = Run { start, log, hooks, maps: &maps, limits: spec::limits(c)? };
    let mut running = run.clone(plan, chosen.shared, cgroups)?;
    running.held = held;
    Ok(running)
}

/// What the supervisor's side needs between the clone and the exec.
struct Run<'a> {
    start: &'a Start<'a>,
    log: &'a Log,
    hooks: &'a Hooks,
    maps: &'a [IdMap],
    limits: Vec<hull_security::limit::Limit>,
}

impl Run<'_> {
    fn clone(
        &self,
        mut plan: child::Plan,
        shared: Vec<(Namespace, OwnedFd)>,
        cgroups: Option<&mut Cgroups>,
    ) -> Result<Running> {
        // Cgroup and time namespaces are made by the child, which must first be placed and have its offsets set.
        let now = plan.namespaces & !(namespace::CGROUP | namespace::TIME);
        let namespaces = plan.namespaces;
        let own_pids = devices::open_namespace("/proc/self/ns/pid_for_children")?;
        let mut joined_pids = false;
        for (kind, fd) in shared {
            if kind == Namespace::Pid {
                // Takes effect on children only.
                process::join_one(&fd, namespace::PID)
                    .during("joining a pid namespace (lxc.namespace.share.pid)")?;
                joined_pids = true;
            } else {
                plan.shared.push((kind.clone_flag(), fd));
            }
        }
        let (ours, theirs) = sync::pair()?;
        let group = plan.doors.as_ref().and_then(hull_cgroup::Doors::birth_group);
        let forked = process::fork(now, group).during(format_args!("starting container {}", self.start.name));
        let forked = forked.map_err(|e| match e.errno() {
            Some(rustix::io::Errno::PERM)
                if now & namespace::USER == 0 && !rustix::process::geteuid().is_root() =>
            {
                Error::new(format!(
                    "{e}; without root it needs a user namespace: set lxc.idmap, or start it as root"
                ))
            }
            _ => e,
        });
        let (pid, pidfd) = match forked? {
            Fork::Child => {
                drop(ours);
                child::run(plan, theirs, self.log)
            }
            Fork::Parent { pid, pidfd } => (pid, pidfd),
        };
        drop(theirs);
        drop(plan);
        if joined_pids {
            process::join_one(own_pids, namespace::PID)?;
        }
        let made = self.bring_up(&ours, pid, namespaces, cgroups);
        match made {
            Ok(running) => Ok(Running { pidfd, ..running }),
            Err(e) => {
                let _ = hull_sys::signal::send(&pidfd, SIGKILL);
                let _ = rustix::process::waitpid(Some(pid), WaitOptions::empty());
                Err(e)
            }
        }
    }

    /// Does for the child what only the supervisor can, and waits for its exec.
    fn bring_up(
        &self,
        sync: &Sync,
        pid: Pid,
        namespaces: u64,
        mut cgroups: Option<&mut Cgroups>,
    ) -> Result<Running> {
        let c = &self.start.config;
        let number = pid.as_raw_nonzero().get();
        if namespaces & namespace::USER != 0 {
            idmap::write_maps(pid, self.maps)?;
        }
        self.limits.iter().try_for_each(|limit| limit.apply(Some(pid))).during("lxc.prlimit")?;
        if let Some(cgroups) = &cgroups {
            let root = |kind| idmap::outside(self.maps, kind, 0);
            if let (Some(uid), Some(gid)) = (root(IdKind::User), root(IdKind::Group)) {
                cgroups.delegate(uid, gid).map_err(|e| Error::new(e.to_string()))?;
            }
        }
        sync.send(&Message::SetUp).map_err(|_| died())?;
        let mut terminals = (None, None, Vec::new());
        loop {
            match sync.receive()? {
                Message::Terminals { devpts, console, ttys, .. } => terminals = (devpts, console, ttys),
                Message::Ready => break,
                Message::Failed(e) => {
                    return Err(e.during(format_args!("starting container {}", self.start.name)));
                }
                _ => return Err(died()),
            }
        }
        for (file, value) in c.proc_files() {
            let path = format!("/proc/{number}/{file}");
            std::fs::write(&path, value).named(|| format!("write({path}, {value:?}) (lxc.proc.{file})"))?;
        }
        if let Some(cgroups) = &mut cgroups {
            cgroups.apply_devices(&limits(c)).map_err(|e| Error::new(e.to_string()))?;
        }
        let kept = keep_namespaces(number, self.hooks)?;
        self.hooks.run("start-host", &[("LXC_PID", number.to_string())], &[], self.log)?;
        sync.send(&Message::Execute).map_err(|_| died())?;
        match sync.receive()? {
            Message::Closed => {}
            Message::Failed(e) => {
                return Err(e.during(format_args!("starting container {}", self.start.name)));
            }
            _ => return Err(died()),
        }
        let (devpts, console, ttys) = terminals;
        let pidfd = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty())
            .named(|| format!("pidfd_open({number})"))?;
        Ok(Running {
            pid,
            pidfd,
            namespaces,
            cgroups: None,
            console,
            ttys,
            devpts,
            hooks: self.hooks.clone(),
            kept,
            held: None,
        })
    }
}

const SIGKILL: i32 = 9;

fn died() -> Error {
    Error::new("the container's first process died while it was set up; see the kernel's log for the reason")
}

/// Keeps the container's own namespaces open past its end, if a stop hook wants to see them.
fn keep_namespaces(pid: i32, hooks: &Hooks) -> Result<Vec<(&'static str, OwnedFd)>> {
    if !hooks.any("stop") {
        return Ok(Vec::new());
    }
    let names = namespace::NAMES.iter().map(|(_, name)| *name);
    names
        .filter(|name| {
            let namespace = |of: &str| std::fs::read_link(format!("/proc/{of}/ns/{name}")).ok();
            let theirs = namespace(&pid.to_string());
            theirs.is_some() && theirs != namespace("self")
        })
        .map(|name| devices::open_namespace(format!("/proc/{pid}/ns/{name}")).map(|fd| (name, fd)))
        .collect()
}
