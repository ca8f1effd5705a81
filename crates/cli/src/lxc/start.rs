//! `lxc-start`: start a container.

use clap::{Arg, Command};
use hull_sys::entry::ExitCode;

use super::call::Call;
use super::table;
use crate::errors::{Failure, Outcome};
use crate::monitor::Launch;
use crate::session::Purpose;

pub(super) fn table() -> Command {
    let own = [
        table::flag("daemon", 'd', "daemon", "Start in the background, which is usual"),
        table::flag("foreground", 'F', "foreground", "Stay, and be the container's console"),
        table::value("pidfile", 'p', "pidfile", "FILE", "Write the process number of init to FILE"),
        table::rcfile('f'),
        table::value("console", 'c', "console", "FILE", "Use the device or file FILE as console"),
        table::value("console-log", 'L', "console-log", "FILE", "Log the console's output to FILE"),
        table::flag(
            "close-all-fds",
            'C',
            "close-all-fds",
            "Let no descriptor of the caller into the container; always so",
        ),
        define(),
    ];
    table::table(
        "lxc-start",
        "Start a container, or COMMAND in it instead of its init",
        own.into_iter().chain(share()),
    )
    .arg(table::operands("COMMAND", "What to run instead of init, and its arguments"))
}

/// Starts the container and returns once it runs; in the foreground, once it has ended.
pub(super) fn run(call: &Call<'_>) -> Outcome {
    let name = call.name()?;
    if call.has("daemon") && call.has("foreground") {
        return Err(Failure::new("--daemon and --foreground do not go together"));
    }
    let session = call.session(Purpose::Look)?;
    let container = session.containers().get(name)?;
    if !container.is_defined() && !call.has("rcfile") {
        return Err(Failure::new(format!(
            "there is no container {name} in {}: create it, or give a configuration with --rcfile",
            session.containers().lxcpath().display()
        )));
    }
    if container.state()? != hull_ipc::State::Stopped {
        // LXC's lxc-start says so and succeeds: what was asked for is the case.
        call.warn(&format!("{name} is already running"));
        return Ok(ExitCode::SUCCESS);
    }
    container.require_complete()?;
    let mut launch = Launch::new(session.containers().lxcpath(), name);
    launch.config = rcfile(call)?;
    launch.pidfile = call.path("pidfile");
    launch.set = defines(call)?;
    for (option, key) in [("console", "lxc.console.path"), ("console-log", "lxc.console.logfile")] {
        launch.set.extend(call.value(option)?.map(|file| (key.to_owned(), file)));
    }
    launch.share = shares(call)?;
    launch.command = call.rest().to_vec();
    if call.has("foreground") {
        return launch.foreground(call.environment());
    }
    launch.daemonised(call.environment())?.iter().for_each(|warning| call.warn(warning));
    Ok(ExitCode::SUCCESS)
}

/// `-s KEY=VAL`.
pub(super) fn define() -> Arg {
    table::value("define", 's', "define", "KEY=VALUE", "Set a configuration key for this start only")
}

/// `--share-net` and its like.
pub(super) fn share() -> [Arg; 4] {
    [
        table::value("share-net", '\0', "share-net", "NAME", "Use the network of a container or process"),
        table::value(
            "share-ipc",
            '\0',
            "share-ipc",
            "NAME",
            "Use the IPC namespace of a container or process",
        ),
        table::value("share-uts", '\0', "share-uts", "NAME", "Use the host name of a container or process"),
        table::value(
            "share-pid",
            '\0',
            "share-pid",
            "NAME",
            "Use the process numbers of a container or process",
        ),
    ]
}

/// The configuration given instead of the container's own.
pub(super) fn rcfile(call: &Call<'_>) -> Result<Option<std::path::PathBuf>, Failure> {
    let Some(file) = call.path("rcfile") else { return Ok(None) };
    // Read here, too, so that what is wrong with it is told before anything starts.
    hull_config::Config::load(&file)?;
    Ok(Some(std::path::absolute(&file).unwrap_or(file)))
}

/// The keys set for this start, and the log file if one was asked for.
pub(super) fn defines(call: &Call<'_>) -> Result<Vec<(String, String)>, Failure> {
    let mut set = Vec::new();
    for text in call.values("define")? {
        let Some((key, value)) = text.split_once('=') else {
            return Err(Failure::new(format!("--define wants KEY=VALUE, not {text:?}")));
        };
        let key = key.trim();
        if !hull_config::keys::is_supported(key) {
            let closest = hull_config::keys::closest(key);
            return Err(Failure::new(format!(
                "--define: {key:?} is no configuration key; the nearest is {closest}"
            )));
        }
        set.push((key.to_owned(), value.trim().to_owned()));
    }
    if let Some(file) = call.log_file() {
        let file = std::path::absolute(&file).unwrap_or(file);
        set.push(("lxc.log.file".to_owned(), file.to_string_lossy().into_owned()));
        set.extend(call.value("logpriority")?.map(|level| ("lxc.log.level".to_owned(), level)));
    }
    Ok(set)
}

/// The namespaces to share, by kind.
pub(super) fn shares(call: &Call<'_>) -> Result<Vec<(&'static str, String)>, Failure> {
    let kinds = [("share-net", "net"), ("share-ipc", "ipc"), ("share-uts", "uts"), ("share-pid", "pid")];
    let mut shares = Vec::new();
    for (option, kind) in kinds {
        shares.extend(call.value(option)?.map(|whose| (kind, whose)));
    }
    Ok(shares)
}
