//! `lxc-attach`: run a command, or a shell, in a running container.

use clap::Command;
use hull_ipc::State;

use super::call::Call;
use super::table;
use crate::errors::{Failure, Outcome};
use crate::monitor::Entry;
use crate::session::Purpose;

pub(super) fn table() -> Command {
    let own = [
        table::optional(
            "elevated-privileges",
            'e',
            "elevated-privileges",
            "PRIVILEGES",
            "Keep privileges the container has not: CAP, CGROUP, LSM with | between them; all unless given",
        ),
        table::value("arch", 'a', "arch", "ARCH", "Architecture the command sees"),
        table::value(
            "namespaces",
            's',
            "namespaces",
            "KINDS",
            "Enter only these namespaces, with | between them: MOUNT PID UTSNAME IPC USER NETWORK CGROUP",
        ),
        table::flag("remount-sys-proc", 'R', "remount-sys-proc", "Mount /proc and /sys anew for the command"),
        table::flag("clear-env", '\0', "clear-env", "Begin with an empty environment"),
        table::flag("keep-env", '\0', "keep-env", "Keep the caller's environment, which is usual"),
        table::value("pty-log", 'L', "pty-log", "FILE", "Log what the terminal shows to FILE"),
        table::value("set-var", 'v', "set-var", "NAME=VALUE", "Set a variable for the command"),
        table::value("keep-var", '\0', "keep-var", "NAME", "With --clear-env: keep a variable of the caller"),
        table::rcfile('f'),
        table::value("uid", 'u', "uid", "UID", "Run the command as UID inside"),
        table::value("gid", 'g', "gid", "GID", "Run the command as GID inside"),
        table::value("context", 'c', "context", "CONTEXT", "SELinux context of the command"),
    ];
    table::table("lxc-attach", "Run COMMAND, or a shell, in a running container", own)
}

/// Becomes the command; its exit status is the status of this one.
pub(super) fn run(call: &Call<'_>) -> Outcome {
    let name = call.name()?;
    call.refuse(&["rcfile", "context", "pty-log", "remount-sys-proc", "arch"])?;
    if call.has("clear-env") && call.has("keep-env") {
        return Err(Failure::new("--clear-env and --keep-env do not go together"));
    }
    let session = call.session(Purpose::Look)?;
    let container = session.containers().get(name)?;
    if container.state()? == State::Stopped {
        return Err(Failure::new(format!("{name} is not running")));
    }
    let mut entry = Entry::new(session.containers().lxcpath(), name);
    if call.has("elevated-privileges") {
        entry.elevated = Some(call.value("elevated-privileges")?.unwrap_or_default());
    }
    entry.namespaces = call.value("namespaces")?;
    entry.clear_environment = call.has("clear-env");
    entry.set = call.values("set-var")?;
    if let Some(text) = entry.set.iter().find(|text| text.find('=').is_none_or(|at| at == 0)) {
        return Err(Failure::new(format!("--set-var wants NAME=VALUE, not {text:?}")));
    }
    entry.keep = call.values("keep-var")?;
    entry.uid = call.number("uid")?;
    entry.gid = call.number("gid")?;
    entry.command = call.rest().to_vec();
    entry.enter(call.environment())
}
