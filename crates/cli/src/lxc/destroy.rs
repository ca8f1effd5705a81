//! `lxc-destroy`: delete a container.

use std::collections::HashSet;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Command;
use hull_container::DestroyRequest;
use hull_ipc::State;

use super::call::Call;
use super::table;
use crate::errors::{Failure, Outcome};
use crate::session::{Purpose, Session};
use crate::shutdown::{How, shut_down};

pub(super) fn table() -> Command {
    let own = [
        table::flag("snapshots", 's', "snapshots", "Delete its snapshots and the clones that need it, too"),
        table::flag("force", 'f', "force", "Stop it first if it runs"),
        table::rcfile('\0'),
    ];
    table::table("lxc-destroy", "Delete a container", own)
}

/// Deletes the container, with `-s` after all that depends on it.
pub(super) fn run(call: &Call<'_>) -> Outcome {
    let name = call.name()?;
    call.refuse(&["rcfile"])?;
    let session = call.session(Purpose::Change)?;
    if !session.containers().get(name)?.is_defined() {
        return Err(Failure::new("Container is not defined").about(name));
    }
    let mut seen = HashSet::new();
    destroy(call, &session, name, &mut seen)?;
    Ok(ExitCode::SUCCESS)
}

fn destroy(
    call: &Call<'_>,
    session: &Session,
    name: &str,
    seen: &mut HashSet<(PathBuf, String)>,
) -> Result<(), Failure> {
    let containers = session.containers();
    // Files that name each other must not lead us in circles.
    if !seen.insert((containers.lxcpath().to_path_buf(), name.to_owned())) {
        return Ok(());
    }
    let container = containers.existing(name)?;
    if container.state()? != State::Stopped {
        if !call.has("force") {
            return Err(Failure::new(format!("{name} is running: stop it first, or use -f")));
        }
        shut_down(&container, How::Kill)?;
    }
    if call.has("snapshots") {
        for dependent in container.dependents()? {
            let home = dependent.lxcpath.join(&dependent.name);
            // Its own snapshots go with it.
            if home.starts_with(container.home()) || !home.join("config").exists() {
                continue;
            }
            if dependent.lxcpath == containers.lxcpath() {
                destroy(call, session, &dependent.name, seen)?;
            } else {
                let there =
                    Session::open(call.environment(), dependent.lxcpath, Purpose::Look, call.quiet())?;
                destroy(call, &there, &dependent.name, seen)?;
            }
        }
    }
    let request = DestroyRequest { snapshots: call.has("snapshots"), ..DestroyRequest::default() };
    let made = container.destroy(&request)?;
    made.warnings.iter().for_each(|warning| call.warn(warning));
    Ok(())
}
