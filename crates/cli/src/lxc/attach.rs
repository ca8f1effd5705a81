//! `lxc-attach`: run a command, or a shell, in a running container.

use clap::Command;
use hull_config::value::{Namespace, Personality};
use hull_ipc::State;

use super::call::Call;
use super::table;
use crate::errors::{Failure, Outcome};
use crate::monitor::{Elevated, Entry};
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
        .arg(table::operands("COMMAND", "What to run instead of a shell, and its arguments"))
}

/// Becomes the command; its exit status is the status of this one.
pub(super) fn run(call: &Call<'_>) -> Outcome {
    let name = call.name()?;
    call.refuse(&["rcfile", "context", "remount-sys-proc"])?;
    if call.has("clear-env") && call.has("keep-env") {
        return Err(Failure::new("--clear-env and --keep-env do not go together"));
    }
    let session = call.session(Purpose::Look)?;
    let container = session.containers().get(name)?;
    let mut entry = Entry::new(session.containers().lxcpath(), name);
    // As in LXC: who enters some namespaces only is not confined at all.
    if call.has("elevated-privileges") || call.has("namespaces") {
        entry.elevated = Elevated::ALL.to_vec();
    }
    if let Some(words) = call.value("elevated-privileges")?.filter(|_| !call.has("namespaces")) {
        entry.elevated = words.split('|').map(elevated).collect::<Result<_, _>>()?;
    }
    if let Some(words) = call.value("namespaces")? {
        entry.namespaces = words.split('|').map(namespace).collect::<Result<_, _>>()?;
    }
    if let Some(name) = call.value("arch")? {
        let personality = Personality::parse(&name);
        entry.personality = Some(personality.map_err(|e| Failure::new(format!("--arch: {e}")))?);
    }
    entry.log = call.path("pty-log");
    entry.clear_environment = call.has("clear-env");
    entry.set = call.values("set-var")?;
    if let Some(text) = entry.set.iter().find(|text| text.find('=').is_none_or(|at| at == 0)) {
        return Err(Failure::new(format!("--set-var wants NAME=VALUE, not {text:?}")));
    }
    entry.keep = call.values("keep-var")?;
    entry.uid = call.number("uid")?;
    entry.gid = call.number("gid")?;
    entry.command = call.rest().to_vec();
    // The monitor's program asks, too; whoever names a stopped container need not wait for a second program to say so.
    if container.state()? == State::Stopped {
        return Err(Failure::new(format!("{name} is not running")));
    }
    entry.enter(call.environment())
}

fn elevated(word: &str) -> Result<Elevated, Failure> {
    Elevated::ALL.into_iter().find(|part| part.word() == word.trim()).ok_or_else(|| {
        Failure::new(format!(
            "--elevated-privileges wants CAP, CGROUP or LSM with | between them, not {word:?}"
        ))
    })
}

/// A namespace by LXC's word for attaching, or by the kernel's.
fn namespace(word: &str) -> Result<Namespace, Failure> {
    const WORDS: [(&str, Namespace); 8] = [
        ("USER", Namespace::User),
        ("MOUNT", Namespace::Mount),
        ("PID", Namespace::Pid),
        ("UTSNAME", Namespace::Uts),
        ("IPC", Namespace::Ipc),
        ("NETWORK", Namespace::Net),
        ("CGROUP", Namespace::Cgroup),
        ("TIME", Namespace::Time),
    ];
    let word = word.trim();
    let found = WORDS.iter().find(|(name, kind)| *name == word || kind.name() == word);
    found.map(|(_, kind)| *kind).ok_or_else(|| {
        let names = WORDS.map(|(name, _)| name).join(" ");
        Failure::new(format!("--namespaces: {word:?} is none; write some of {names} with | between them"))
    })
}
