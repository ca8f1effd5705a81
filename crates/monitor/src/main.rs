//! One running container's supervisor: reads its command line, loads the configuration, and hands both to
//! `hull-runtime`.

#![cfg_attr(all(not(test), target_env = "gnu"), no_main)]
// eprintln! panics when stderr is full or its reader gone.
#![deny(clippy::print_stderr, clippy::print_stdout)]

mod arguments;
mod volumes;

use arguments::Arguments;
use hull_config::Config;
use hull_runtime::{Command, Error, Mode, Result, Start, launch, supervise};
use hull_storage::Settings;
use hull_storage::lock::{FileLock, Kind, Wait};
use hull_sys::process;
use std::ffi::CString;
use std::io::Write;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hull_sys::entry::ExitCode;
use volumes::Volumes;

#[cfg(not(test))]
hull_sys::entry!(begin);

#[cfg_attr(test, allow(dead_code))]
fn begin() -> ExitCode {
    let mut words: Vec<String> =
        std::env::args_os().skip(1).map(|w| w.to_string_lossy().into_owned()).collect();
    if words.first().map(String::as_str) != Some(launch::SEALED) {
        // Never from here on: a container's first process starts as a copy of this one.
        return fail(&seal(), 1);
    }
    words.remove(0);
    let options = words.iter().take_while(|w| *w != "--");
    let status = options.skip_while(|w| *w != "--status-fd").nth(1).and_then(|w| w.parse().ok());
    // A daemon that kept, say, the end of somebody's pipe would let them wait for ever.
    if let Err(e) = process::close_inherited(status) {
        return fail(&e.to_string(), 1);
    }
    // Executed through a descriptor it would be called by that one's number.
    let _ = rustix::thread::set_name(c"hull-monitor");
    match run(words) {
        Ok(code) => ExitCode::from(code),
        Err(e) => fail(&e.to_string(), e.exit_code()),
    }
}

fn fail(line: &str, status: u8) -> ExitCode {
    // The command that became this program gave it its own name.
    let program = std::env::args_os().next().unwrap_or_default();
    let program = Path::new(&program).file_name().unwrap_or("hull-monitor".as_ref()).to_string_lossy();

    // Whoever closed standard error, or filled it, misses the line; that is no reason to panic.
    let _ = writeln!(std::io::stderr(), "{program}: {line}");
    ExitCode::from(status)
}

/// Executes this program again from a sealed copy; returns why that failed.
fn seal() -> String {
    let bytes = |word: std::ffi::OsString| CString::new(word.into_vec()).unwrap_or_default();
    let mut argv: Vec<CString> = std::env::args_os().map(bytes).collect();
    argv.insert(1.min(argv.len()), CString::new(launch::SEALED).unwrap_or_default());
    let environment: Vec<CString> = std::env::vars_os()
        .map(|(mut key, value)| {
            key.push("=");
            key.push(value);
            bytes(key)
        })
        .collect();
    match hull_sys::sealed::reexec(&argv, &environment) {
        Ok(never) => match never {},
        Err(e) => format!("this program cannot be put out of the container's reach: {e}"),
    }
}

fn run(words: Vec<String>) -> Result<u8> {
    let code = |ended: supervise::ExitStatus| u8::try_from(ended.code() & 0xff).unwrap_or(u8::MAX);
    if words.first().map(String::as_str) == Some("--attach") {
        let (lxcpath, name, options) =
            arguments::attach(words.into_iter().skip(1), std::env::vars().collect()).map_err(Error::new)?;
        return hull_runtime::attach::run(&lxcpath, &name, &options).map(code);
    }
    let arguments = Arguments::parse(words).map_err(Error::new)?;
    let status = arguments.status_fd.map(process::inherited).transpose()?;
    if !arguments.foreground {
        // It becomes a daemon when it has its groups; until then, what interrupts the caller is not to interrupt it.
        // Who leads a process group cannot, and will be able to as a daemon.
        let _ = rustix::process::setsid();
    }
    let starting = lock(&arguments);
    let marked = hull_container::RunningMark::set(&arguments.lxcpath, &arguments.name);
    let prepared = starting.as_ref().and(marked.as_ref());
    let config = match prepared.map_err(|e| Error::new(e.to_string())).and_then(|_| load(&arguments)) {
        Ok(config) => config,
        Err(e) => {
            launch::report_failure(status, &e);
            return Err(e);
        }
    };
    if !arguments.foreground {
        // Whoever reads the caller's output to its end must not wait for the container's.
        let null = rustix::fs::open(
            "/dev/null",
            rustix::fs::OFlags::RDWR | rustix::fs::OFlags::CLOEXEC,
            rustix::fs::Mode::empty(),
        );
        let null = null.map_err(|e| hull_sys::Error::new("open(/dev/null)", e))?;
        (0..=2).try_for_each(|target| process::set_standard(&null, target))?;
    }
    let settings = arguments.store_settings.iter().cloned();
    let settings = settings.fold(Settings::default(), |all, (key, value)| all.with(key, value));
    let volumes = Volumes::new(settings, starting.ok().flatten());
    supervise::run(Start { status, ..start(arguments, config, &volumes) }).map(code)
}

/// Locks the container against being destroyed or renamed while it starts. Who may not write lock files starts it
/// without, as LXC does.
fn lock(arguments: &Arguments) -> hull_storage::Result<Option<FileLock>> {
    let Some(rundir) = rundir() else { return Ok(None) };
    let wait = Wait::UpTo(Duration::from_secs(30));
    match hull_container::lock_container(&rundir, &arguments.lxcpath, &arguments.name, Kind::Shared, wait) {
        Ok(lock) => Ok(Some(lock)),
        Err(e) if e.kind() == hull_storage::ErrorKind::InUse => Err(e),
        Err(_) => Ok(None),
    }
}

/// Where locks and sockets are: as LXC, root's under /run, a user's in his runtime directory.
fn rundir() -> Option<PathBuf> {
    match rustix::process::geteuid().is_root() {
        true => Some("/run".into()),
        false => std::env::var("XDG_RUNTIME_DIR").ok().map(PathBuf::from),
    }
}

fn load(arguments: &Arguments) -> Result<Config> {
    let default = arguments.lxcpath.join(&arguments.name).join("config");
    let path: &Path = arguments.config.as_deref().unwrap_or(&default);
    let mut config = Config::load(path).map_err(|e| Error::new(e.to_string()))?;
    for (key, value) in &arguments.set {
        config.set(key, value).map_err(|e| Error::new(e.to_string()))?;
    }
    Ok(config)
}

fn start(arguments: Arguments, config: Config, volumes: &Volumes) -> Start<'_> {
    let variable = |name: &str| std::env::var(name).ok();
    let command = match (arguments.command.is_empty(), arguments.reaped) {
        (true, _) => Command::Init,
        (false, true) => Command::Reaped(arguments.command),
        (false, false) => Command::AsInit(arguments.command),
    };
    Start {
        lxcpath: arguments.lxcpath,
        name: arguments.name,
        config,
        command,
        mode: if arguments.foreground { Mode::Foreground } else { Mode::Daemon },
        provider: volumes,
        status: None,
        pidfile: arguments.pidfile,
        rundir: rundir(),
        share: arguments.share,
        allow_unconfined: arguments.allow_unconfined,
        inherited: std::env::vars().collect(),
        term: variable("TERM").filter(|_| arguments.foreground),
        uid: arguments.uid,
        gid: arguments.gid,
    }
}
