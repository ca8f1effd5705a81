//! `lxc-snapshot`: make, list, restore and delete snapshots of a container.

use clap::Command;
use hull_container::{Container, Made, RestoreRequest, SnapshotRequest};
use hull_sys::entry::ExitCode;

use super::call::Call;
use super::table;
use crate::errors::{Failure, Outcome};
use crate::output;
use crate::session::Purpose;

pub(super) fn table() -> Command {
    let own = [
        table::flag("list", 'L', "list", "List the snapshots"),
        table::flag("showcomments", 'C', "showcomments", "With -L: print the comments, too"),
        table::value(
            "comment",
            'c',
            "comment",
            "FILE",
            "Keep the content of FILE as the new snapshot's comment",
        ),
        table::value("restore", 'r', "restore", "SNAPSHOT", "Put the container back to SNAPSHOT"),
        table::value(
            "newname",
            'N',
            "newname",
            "NEWNAME",
            "With -r: make a new container of the snapshot instead",
        ),
        table::value(
            "destroy",
            'd',
            "destroy",
            "SNAPSHOT",
            "Delete SNAPSHOT, by its whole name; ALL deletes all",
        ),
        table::rcfile('\0'),
    ];
    table::table("lxc-snapshot", "Make, list, restore or delete snapshots of a container", own)
}

/// Does one of the four.
pub(super) fn run(call: &Call<'_>) -> Outcome {
    let name = call.name()?;
    call.refuse(&["rcfile"])?;
    let acts: Vec<&str> =
        ["list", "restore", "destroy", "comment"].into_iter().filter(|a| call.has(a)).collect();
    if let [first, second, ..] = acts[..] {
        return Err(Failure::new(format!("--{first} and --{second} do not go together")));
    }
    for (option, needs) in [("showcomments", "list"), ("newname", "restore")] {
        if call.has(option) && !call.has(needs) {
            return Err(Failure::new(format!("--{option} needs --{needs}")));
        }
    }
    let look = call.has("list");
    let comment = call
        .path("comment")
        .map(|file| std::fs::read(&file).map_err(|e| Failure::io("read the comment", &file, &e)))
        .transpose()?;
    let session = call.session(if look { Purpose::Look } else { Purpose::Change })?;
    let container = session.containers().existing(name)?;
    // What is wrong with it is told before anything is made.
    container.config()?;
    if look {
        list(call, &container)?;
    } else if let Some(snapshot) = call.value("restore")? {
        let request = RestoreRequest { snapshot, new_name: call.value("newname")?, dry_run: false };
        warn(call, &container.restore(&request)?);
    } else if let Some(snapshot) = call.value("destroy")? {
        delete(call, &container, &snapshot)?;
    } else {
        warn(call, &container.snapshot(&SnapshotRequest { comment, ..SnapshotRequest::default() })?);
    }
    Ok(ExitCode::SUCCESS)
}

fn list(call: &Call<'_>, container: &Container<'_>) -> Result<(), Failure> {
    let snapshots = container.snapshots()?;
    if snapshots.is_empty() {
        return output::line("No snapshots");
    }
    for snapshot in snapshots {
        let time = snapshot.time.unwrap_or_default();
        output::line(format!("{} ({}) {time}", snapshot.name, snapshot.dir.display()))?;
        if let Some(mut comment) = snapshot.comment.filter(|c| call.has("showcomments") && !c.is_empty()) {
            if comment.last() != Some(&b'\n') {
                comment.push(b'\n');
            }
            output::print(comment)?;
        }
    }
    Ok(())
}

fn delete(call: &Call<'_>, container: &Container<'_>, snapshot: &str) -> Result<(), Failure> {
    // LXC takes any beginning of ALL for it, the empty name included.
    if snapshot != "ALL" {
        warn(call, &container.delete_snapshot(snapshot, false)?);
        return Ok(());
    }
    for snapshot in container.snapshots()? {
        warn(call, &container.delete_snapshot(&snapshot.name, false)?);
    }
    Ok(())
}

fn warn(call: &Call<'_>, made: &Made) {
    made.warnings.iter().for_each(|warning| call.warn(warning));
}
