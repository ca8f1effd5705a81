//! The container's first process, from the clone to the exec. Everything was decided before; each step here
//! is a system call or a few, and a step that fails says which.

use hull_cgroup::Doors;
use hull_config::value::MountEntry;
use hull_mount::DetachedMount;
use hull_security::capability;
use hull_sys::process::{self, Fork};
use hull_sys::{keyring, netif, prctl, signal};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{Mode, OFlags};
use rustix::process::{DumpableBehavior, Pid, Signal};
use rustix::thread::{Gid, Uid};
use std::convert::Infallible;
use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::automatic::{self, Automatic};
use super::devices::{self, Devices, Terminals};
use super::sync::{Message, Sync};
use super::{enter, entries, reaper};
use crate::error::{During, Error, Named, Result};
use crate::hooks::Hooks;
use crate::inside::Inside;
use crate::log::Log;
use crate::rootfs::RootfsSource;

/// Everything the first process carries out, in this order.
#[derive(Debug)]
pub(crate) struct Plan {
    /// The ways to its cgroups; the one of version 2 it is born in.
    pub(crate) doors: Option<Doors>,
    /// The kinds of namespaces the clone made new; cgroup and time are made here.
    pub(crate) namespaces: u64,
    /// Namespaces of others to join, with their kinds.
    pub(crate) shared: Vec<(u64, OwnedFd)>,
    /// What goes to `timens_offsets`, if the container gets a time namespace.
    pub(crate) time_offsets: Option<String>,
    /// What the process gets when its supervisor dies.
    pub(crate) death_signal: Option<i32>,
    pub(crate) hostname: Option<String>,
    pub(crate) new_keyring: bool,
    pub(crate) rootfs: Option<Rootfs>,
    /// Propagation of the root (`MS_*`, recursive), from `lxc.rootfs.options`.
    pub(crate) root_propagation: Option<(u64, bool)>,
    pub(crate) devices: Devices,
    pub(crate) automatic: Automatic,
    pub(crate) entries: Vec<MountEntry>,
    /// The container's user namespace (its maps, to be exact), for entries with `idmap=container`.
    pub(crate) userns: Option<OwnedFd>,
    pub(crate) hooks: Hooks,
    pub(crate) sysctls: Vec<(String, String)>,
    pub(crate) personality: Option<u64>,
    pub(crate) program: Program,
}

/// The root file system, ready to be attached.
#[derive(Debug)]
pub(crate) struct Rootfs {
    pub(crate) source: RootfsSource,
    /// Where it is attached in the container's mount namespace before it becomes the root.
    pub(crate) mountpoint: PathBuf,
    /// By what names old configurations call it in mount targets.
    pub(crate) names: Vec<PathBuf>,
}

/// What is executed, and as whom.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    pub(crate) argv: Vec<CString>,
    pub(crate) environment: Vec<(String, String)>,
    /// Stay process 1 and reap, with the program as a child; else be the program.
    pub(crate) reaped: bool,
    /// The program's terminal: which of the standard descriptors are replaced by the console.
    pub(crate) stdio: Stdio,
    pub(crate) cwd: Option<PathBuf>,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) groups: Vec<u32>,
    pub(crate) keep: capability::Set,
    pub(crate) no_new_privs: bool,
    /// A compiled filter.
    pub(crate) seccomp: Option<Vec<u8>>,
}

/// What becomes of the standard descriptors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stdio {
    /// All three are the console, or `/dev/null` if there is none.
    Console,
    /// Those that are terminals become the console; the others stay.
    ConsoleForTerminals,
}

/// Carries `plan` out and executes. A failure is told over `sync`; the process ends in every case.
pub(crate) fn run(plan: Plan, sync: Sync, log: &Log) -> ! {
    match set_up(plan, &sync, log) {
        Ok(command) => {
            // The reaper closes it with everything else; only the command's copy stays open, until its exec.
            std::mem::forget(sync);
            process::exit(reaper::run(command).unwrap_or(EXIT_FAILED))
        }
        Err(error) => {
            // Nobody else can be told if the supervisor is gone.
            let _ = sync.send(&Message::Failed(error));
            process::exit(EXIT_FAILED)
        }
    }
}

/// The status of a first process that could not execute.
const EXIT_FAILED: i32 = 127;

/// Returns the command to wait for, in the process that stays to reap; in any other case it executes.
fn set_up(mut plan: Plan, sync: &Sync, log: &Log) -> Result<Pid> {
    signal::reset()?;
    rustix::process::umask(Mode::from_raw_mode(0o022));
    if let Some(doors) = plan.doors.take() {
        doors.enter().map_err(|e| Error::new(e.to_string()))?;
    }
    match sync.receive()? {
        Message::SetUp => {}
        _ => return Err(Error::new("the supervisor ended before the container was set up")),
    }
    if plan.namespaces & process::namespace::PID == 0 {
        // Others see this process, and are not to look into it while it holds what is the host's.
        rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)
            .named(|| "prctl(PR_SET_DUMPABLE, 0)".into())?;
    }
    join_namespaces(&mut plan)?;
    if let Some(name) = &plan.hostname {
        rustix::system::sethostname(name.as_bytes()).named(|| format!("sethostname({name:?})"))?;
    }
    if plan.namespaces & process::namespace::NETWORK != 0 {
        netif::bring_up("lo")?;
    }
    if plan.new_keyring {
        match keyring::new_session() {
            // A kernel without keyrings has nothing to hide.
            Err(e) if e.errno() == rustix::io::Errno::NOSYS => {}
            other => other?,
        }
    }
    let inside = mount_all(&mut plan, log)?;
    let terminals = match &inside {
        Some(inside) => devices::make_terminals(inside, &plan.devices)?,
        None => host_terminals(&plan.devices)?,
    };
    let console = send_terminals(terminals, sync, &mut plan.program)?;
    // Written through a procfs of our own, opened while the host's is still in view: without one in view a
    // user namespace may not mount it.
    let needs_proc = !plan.sysctls.is_empty();
    let proc =
        if needs_proc { Some(automatic::detached_proc().during("applying lxc.sysctl")?) } else { None };
    if let Some(inside) = &inside {
        enter::pivot(inside)?;
        if let Some((bits, recursive)) = plan.root_propagation {
            enter::set_root_propagation(bits, recursive)?;
        }
    }
    drop(inside);
    if let Some(proc) = proc {
        plan.sysctls.iter().try_for_each(|(name, value)| set_sysctl(&proc, name, value))?;
    }
    if let Some(persona) = plan.personality {
        process::set_personality(persona)?;
    }
    plan.hooks.run("start", &[], &[], log)?;
    sync.send(&Message::Ready)?;
    match sync.receive()? {
        Message::Execute => {}
        _ => return Err(Error::new("the supervisor ended before the container was started")),
    }
    start_program(&plan, console.as_ref())
}

/// Becomes root of the user namespace, and joins or makes the namespaces that the clone could not.
fn join_namespaces(plan: &mut Plan) -> Result<()> {
    for (kind, namespace) in plan.shared.drain(..) {
        process::join_one(&namespace, kind).during("joining a namespace (lxc.namespace.share)")?;
    }
    if plan.namespaces & process::namespace::USER != 0 {
        let groups = rustix::thread::set_thread_groups(&[]);
        rustix::thread::set_thread_res_gid(Gid::ROOT, Gid::ROOT, Gid::ROOT)
            .named(|| "setresgid(0)".into())?;
        rustix::thread::set_thread_res_uid(Uid::ROOT, Uid::ROOT, Uid::ROOT)
            .named(|| "setresuid(0)".into())?;
        match groups.or_else(|_| rustix::thread::set_thread_groups(&[])) {
            // Where the caller may map only itself, the kernel lets nobody drop a group that may deny access.
            Err(rustix::io::Errno::PERM) => {}
            other => other.named(|| "setgroups([])".into())?,
        }
    }
    if let Some(offsets) = &plan.time_offsets {
        process::unshare(process::namespace::TIME)?;
        std::fs::write("/proc/self/timens_offsets", offsets)
            .named(|| format!("write(/proc/self/timens_offsets, {offsets:?})"))?;
        let own = devices::open_namespace("/proc/self/ns/time_for_children")?;
        process::join_one(own, process::namespace::TIME)?;
    }
    if plan.namespaces & process::namespace::CGROUP != 0 {
        // Now that the process is in the container's group, that group becomes the root it sees.
        process::unshare(process::namespace::CGROUP)?;
    }
    if let Some(number) = plan.death_signal {
        // After the change of user, which would clear it.
        let signal = Signal::from_named_raw(number);
        rustix::process::set_parent_process_death_signal(signal)
            .named(|| format!("prctl(PR_SET_PDEATHSIG, {number})"))?;
    }
    Ok(())
}

/// Every mount of the container, into its root file system, or into the host's as this process sees it.
fn mount_all(plan: &mut Plan, log: &Log) -> Result<Option<Inside>> {
    if plan.namespaces & process::namespace::MOUNT == 0 {
        return Ok(None);
    }
    enter::isolate_mounts()?;
    plan.hooks.run("pre-mount", &[], &[], log)?;
    let own_cgroups = plan.namespaces & process::namespace::CGROUP != 0;
    let can_mount = plan.program.keep.contains("sys_admin");
    let (rootfs, roots): (_, Vec<PathBuf>) = match plan.rootfs.take() {
        Some(rootfs) => {
            let mount = match rootfs.source {
                RootfsSource::Mount(mount) => mount,
                RootfsSource::Plan(plan) => DetachedMount::build(&plan, None)?,
            };
            let inside = enter::attach(mount, &rootfs.mountpoint)
                .during(format_args!("attaching the root file system at {}", rootfs.mountpoint.display()))?;
            (Some(inside), rootfs.names.into_iter().chain([rootfs.mountpoint]).collect())
        }
        None => (None, Vec::new()),
    };
    let host;
    let inside = match &rootfs {
        Some(inside) => inside,
        None => {
            host = Inside::new(devices::open_host(Path::new("/"))?);
            &host
        }
    };
    if rootfs.is_some() {
        devices::make_dev(inside, &plan.devices)?;
    } else if plan.namespaces & process::namespace::PID != 0 && plan.automatic.proc.is_none() {
        // The host's /proc would show the host's processes under numbers that are not theirs here.
        plan.automatic.proc = Some(automatic::Writable::All);
    }
    automatic::mount_kernel(inside, plan.automatic)?;
    let roots: Vec<&Path> = roots.iter().map(PathBuf::as_path).collect();
    entries::mount(inside, &plan.entries, &roots, plan.userns.as_ref().map(AsFd::as_fd))?;
    if let Some(cgroups) = plan.automatic.cgroup {
        automatic::mount_cgroups(inside, cgroups, own_cgroups, can_mount).during("mounting cgroups")?;
    }
    plan.hooks.run("mount", &[], &[], log)?;
    if plan.devices.tmpfs.is_some() && rootfs.is_some() {
        plan.hooks.run("autodev", &[], &[], log)?;
    }
    Ok(rootfs)
}

/// A container that shares the host's root has a console of the host's devpts, if any.
fn host_terminals(devices: &Devices) -> Result<Terminals> {
    let console = if devices.console { Some(devices::open_pty(None)?) } else { None };
    Ok(Terminals { console, ..Terminals::default() })
}

/// Sends the host sides to the supervisor and returns the console's other side.
fn send_terminals(terminals: Terminals, sync: &Sync, program: &mut Program) -> Result<Option<OwnedFd>> {
    let names: Vec<&str> = terminals.ttys.iter().map(|t| t.name.as_str()).collect();
    let names = names.join(" ");
    if !names.is_empty() {
        program.environment.push(("container_ttys".into(), names.clone()));
    }
    let (peer, master) = terminals.console.map(|c| (c.peer, c.master)).unzip();
    let ttys = terminals.ttys.into_iter().map(|t| t.master).collect();
    sync.send(&Message::Terminals { devpts: terminals.devpts, console: master, ttys, names })?;
    Ok(peer)
}

/// Writes `value` to the setting `name` (dots or slashes between its parts) below `sys` of the procfs `proc`.
fn set_sysctl(proc: &OwnedFd, name: &str, value: &str) -> Result<()> {
    // sysctl(8): in a name with slashes dots are part of names, else dots separate.
    let below = if name.contains('/') { name.to_owned() } else { name.replace('.', "/") };
    let path = format!("sys/{below}");
    let call = || format!("write(/proc/{path}, {value:?}) (lxc.sysctl.{name})");
    let resolve = rustix::fs::ResolveFlags::BENEATH | rustix::fs::ResolveFlags::NO_SYMLINKS;
    let file = rustix::fs::openat2(proc, &path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty(), resolve)
        .named(call)?;
    rustix::io::write(&file, value.as_bytes()).named(call).map(drop)
}

/// Becomes the program, or forks it and returns it to the process that stays.
fn start_program(plan: &Plan, console: Option<&OwnedFd>) -> Result<Pid> {
    let on_console = set_stdio(plan.program.stdio, console)?;
    if !plan.program.reaped {
        // Fails only for a process that leads a group already, and then nothing is lost.
        let _ = rustix::process::setsid();
        return execute(&plan.program).map(|never| match never {});
    }
    match process::fork(0, None)? {
        Fork::Parent { pid, .. } => Ok(pid),
        Fork::Child => {
            let _ = rustix::process::setsid();
            if let Some(console) = console.filter(|_| on_console) {
                rustix::process::ioctl_tiocsctty(console).named(|| "ioctl(console, TIOCSCTTY)".into())?;
            }
            execute(&plan.program).map(|never| match never {})
        }
    }
}

/// Replaces the standard descriptors, and tells whether standard input is now the console.
fn set_stdio(stdio: Stdio, console: Option<&OwnedFd>) -> Result<bool> {
    let null;
    let terminal = match console {
        Some(console) => console,
        None => {
            null = devices::open_null()?;
            &null
        }
    };
    let terminals = [
        rustix::termios::isatty(std::io::stdin()),
        rustix::termios::isatty(std::io::stdout()),
        rustix::termios::isatty(std::io::stderr()),
    ];
    for (target, is_terminal) in (0..).zip(terminals) {
        if stdio == Stdio::Console || is_terminal {
            process::set_standard(terminal, target)?;
        }
    }
    Ok(console.is_some() && (stdio == Stdio::Console || terminals[0]))
}

/// Gives up what the program is not to have, and executes it.
fn execute(program: &Program) -> Result<Infallible> {
    capability::limit_bounding(program.keep).during("dropping capabilities (lxc.cap.drop, lxc.cap.keep)")?;
    if program.no_new_privs {
        rustix::thread::set_no_new_privs(true).named(|| "prctl(PR_SET_NO_NEW_PRIVS)".into())?;
    }
    if let Some(filter) = &program.seccomp {
        prctl::install_seccomp(filter).during("installing lxc.seccomp.profile")?;
    }
    let groups: Vec<Gid> = program.groups.iter().map(|g| Gid::from_raw(*g)).collect();
    match rustix::thread::set_thread_groups(&groups) {
        // A user namespace that denies setgroups has none to drop.
        Err(rustix::io::Errno::PERM) if groups.is_empty() => {}
        other => other.named(|| format!("setgroups({:?}) (lxc.init.groups)", program.groups))?,
    }
    let gid = Gid::from_raw(program.gid);
    rustix::thread::set_thread_res_gid(gid, gid, gid)
        .named(|| format!("setresgid({}) (lxc.init.gid)", program.gid))?;
    let uid = Uid::from_raw(program.uid);
    rustix::thread::set_thread_res_uid(uid, uid, uid)
        .named(|| format!("setresuid({}) (lxc.init.uid)", program.uid))?;
    capability::limit_own(program.keep)?;
    let cwd = program.cwd.as_deref().unwrap_or(Path::new("/"));
    rustix::process::chdir(cwd).named(|| format!("chdir({}) (lxc.init.cwd)", cwd.display()))?;
    process::close_on_exec_from(3)?;
    exec(&program.argv, &program.environment)
}

/// Executes `argv`, looked for along the `PATH` of `environment` if its name has no slash, as execvp(3) does.
pub(crate) fn exec(argv: &[CString], environment: &[(String, String)]) -> Result<Infallible> {
    let variables: Vec<CString> =
        environment.iter().filter_map(|(k, v)| CString::new(format!("{k}={v}")).ok()).collect();
    let name = argv.first().ok_or_else(|| Error::new("there is no program to execute"))?;
    if name.as_bytes().contains(&b'/') {
        return process::exec(name, argv, &variables)
            .map_err(|e| Error::executing(&name.to_string_lossy(), None, e.errno()));
    }
    let path = environment.iter().rev().find(|(k, _)| k == "PATH").map_or("", |(_, v)| v);
    let mut failed = None;
    for directory in path.split(':').filter(|d| !d.is_empty()) {
        let full = Path::new(directory).join(std::ffi::OsStr::from_bytes(name.as_bytes()));
        let Ok(full) = CString::new(full.into_os_string().into_encoded_bytes()) else { continue };
        match process::exec(&full, argv, &variables) {
            Ok(never) => match never {},
            Err(e) if e.errno() == rustix::io::Errno::NOENT => {}
            Err(e) => failed = Some(e.errno()),
        }
    }
    let errno = failed.unwrap_or(rustix::io::Errno::NOENT);
    Err(Error::executing(&name.to_string_lossy(), Some(path), errno))
}
