//! `lxc-copy`: clone, rename, or start a throw-away clone of a container.

use clap::Command;
use hull_container::{CloneMode, CloneRequest, Container};
use hull_storage::DriverName;
use hull_sys::entry::ExitCode;

use super::call::{Call, trimmed};
use super::create::stores;
use super::ephemeral;
use super::table;
use crate::errors::{Failure, Outcome};
use crate::session::Purpose;

/// Options that only mean something for throw-away clones.
const EPHEMERAL_ONLY: [&str; 5] = ["foreground", "daemon", "mount", "tmpfs", "keepdata"];

pub(super) fn table() -> Command {
    let own = [
        table::value("newname", 'N', "newname", "NEWNAME", "Name of the new container"),
        table::value("newpath", 'p', "newpath", "PATH", "Directory the new container is kept in"),
        table::flag("rename", 'R', "rename", "Rename the container instead"),
        table::flag("snapshot", 's', "snapshot", "Share the root file system with the original"),
        table::flag(
            "allowrunning",
            'a',
            "allowrunning",
            "Copy although the container runs: it is frozen meanwhile",
        ),
        table::flag("foreground", 'F', "foreground", "With -e: the terminal is the new container's console"),
        table::flag("daemon", 'd', "daemon", "With -e: start in the background, which is usual"),
        table::flag("ephemeral", 'e', "ephemeral", "Make a throw-away clone and start it"),
        table::value(
            "mount",
            'm',
            "mount",
            "KIND=FROM[:TO[:ro]]",
            "With -e: mount the host's directory FROM at TO; KIND is bind",
        ),
        table::value("backingstorage", 'B', "backingstorage", "STORE", "Kind of store for the new container"),
        table::flag("tmpfs", 't', "tmpfs", "With -e: keep the changes in memory"),
        table::value("fssize", 'L', "fssize", "SIZE", "Size of a new block device"),
        table::flag("keepdata", 'D', "keepdata", "With -e: keep the clone when it stops"),
        table::flag("keepname", 'K', "keepname", "Keep the original's host name"),
        table::flag("keepmac", 'M', "keepmac", "Keep the original's hardware addresses"),
        table::rcfile('\0'),
    ];
    table::table("lxc-copy", "Copy a container; what follows -- goes to its clone hooks", own)
        .arg(table::operands("ARGS", "For the clone hooks; with -e, what to run instead of init"))
}

/// Clones, renames, or starts a throw-away clone. Unlike LXC's, says why when it fails.
pub(super) fn run(call: &Call<'_>) -> Outcome {
    let name = call.name()?;
    call.refuse(&["rcfile", "fssize"])?;
    let ephemeral = call.has("ephemeral");
    if let Some(option) = EPHEMERAL_ONLY.iter().find(|o| call.has(o) && !ephemeral) {
        return Err(Failure::new(format!("--{option} needs --ephemeral")));
    }
    if ephemeral && call.has("rename") {
        return Err(Failure::new("--ephemeral and --rename do not go together"));
    }
    let new = call.value("newname")?;
    let new = match new {
        None if !ephemeral => return Err(Failure::new("say what the new container is called: -N NEWNAME")),
        new => new,
    };
    let session = call.session(Purpose::Change)?;
    let container = session.containers().existing(name)?;
    if call.has("rename") {
        return rename(call, &container, &new.unwrap_or_default());
    }
    let request = CloneRequest {
        lxcpath: call.value("newpath")?.map(|path| trimmed(&path)),
        mode: match call.has("snapshot") || (ephemeral && !call.has("keepdata")) {
            true => CloneMode::Snapshot,
            false if ephemeral => CloneMode::SnapshotElseCopy,
            false => CloneMode::Copy,
        },
        store: store(&stores(&session, call.value("backingstorage")?.as_deref())?)?,
        keep_name: call.has("keepname"),
        keep_mac: call.has("keepmac"),
        allow_running: call.has("allowrunning"),
        ..CloneRequest::new(new.unwrap_or_default())
    };
    if ephemeral {
        return ephemeral::run(call, &container, request);
    }
    let hook_args = hook_args(call)?;
    call.tell(&container.clone_to(&CloneRequest { hook_args, ..request })?);
    Ok(ExitCode::SUCCESS)
}

fn rename(call: &Call<'_>, container: &Container<'_>, new: &str) -> Outcome {
    let meaningless = ["snapshot", "backingstorage", "newpath", "keepname", "keepmac", "allowrunning"];
    if let Some(option) = meaningless.iter().find(|o| call.has(o)) {
        return Err(Failure::new(format!("--{option} means nothing with --rename")));
    }
    let made = container.rename(new, false)?;
    made.warnings.iter().for_each(|warning| call.warn(warning));
    Ok(ExitCode::SUCCESS)
}

/// What follows `--`, for the clone hooks.
fn hook_args(call: &Call<'_>) -> Result<Vec<String>, Failure> {
    let text = |arg: &std::ffi::OsString| {
        arg.to_str()
            .map(str::to_owned)
            .ok_or_else(|| Failure::new(format!("the hook argument {arg:?} is not UTF-8")))
    };
    call.rest().iter().map(text).collect()
}

/// One store or none; a list makes no sense for a copy.
fn store(stores: &[DriverName]) -> Result<Option<DriverName>, Failure> {
    match stores {
        [] => Ok(None),
        [one] => Ok(Some(*one)),
        _ => Err(Failure::new("--backingstorage takes one store")),
    }
}
