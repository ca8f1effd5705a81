//! `lxc-destroy`: delete a container.

use clap::Command;
use hull_container::{Container, Dependents, DestroyRequest};
use hull_sys::entry::ExitCode;

use super::call::Call;
use super::table;
use crate::errors::{Failure, Outcome};
use crate::hull::stop_all;
use crate::session::Purpose;

pub(super) fn table() -> Command {
    let own = [
        table::flag("snapshots", 's', "snapshots", "Delete its snapshots and the clones that need it, too"),
        table::flag("force", 'f', "force", "Stop it first if it runs"),
        table::rcfile('\0'),
    ];
    table::table("lxc-destroy", "Delete a container", own)
}

/// Deletes the container, with `-s` all that depends on it at the same time. Its files go in the background.
pub(super) fn run(call: &Call<'_>) -> Outcome {
    let name = call.name()?;
    call.refuse(&["rcfile"])?;
    let session = call.session(Purpose::Change)?;
    let container = session.containers().get(name)?;
    if !container.is_defined() {
        return Err(Failure::new("Container is not defined").about(name));
    }
    let (dependents, others) = match call.has("snapshots") {
        true => (Dependents::Destroy, container.all_dependents()?),
        false => (Dependents::Keep, Vec::new()),
    };
    let all: Vec<&Container<'_>> = others.iter().chain([&container]).collect();
    stop_all(&all, call.has("force"))?;
    let made = container.destroy(&DestroyRequest { dependents, ..DestroyRequest::default() })?;
    made.warnings.iter().for_each(|warning| call.warn(warning));
    Ok(ExitCode::SUCCESS)
}
