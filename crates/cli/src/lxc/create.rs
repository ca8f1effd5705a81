//! `lxc-create`: make a container.

use std::path::PathBuf;

use clap::Command;
use hull_container::{Content, CreateRequest, Template};
use hull_storage::{DriverName, Settings};
use hull_sys::entry::ExitCode;

use super::bdev::Wanted;
use super::call::Call;
use super::table;
use crate::errors::{Failure, Outcome};
use crate::session::{Purpose, Session, default_store};

pub(super) fn table() -> Command {
    let own = [
        table::value("config", 'f', "config", "FILE", "Configuration to begin with"),
        table::value(
            "template",
            't',
            "template",
            "TEMPLATE",
            "Program that fills the root file system, by name or absolute path; none is no root file system",
        ),
        table::value(
            "bdev",
            'B',
            "bdev",
            "STORE",
            "Kind of store; several, comma-separated, are tried in order; best is the best there is",
        ),
        table::value("dir", '\0', "dir", "DIR", "Put the root file system at the absolute path DIR"),
        table::value("lvname", '\0', "lvname", "NAME", "Logical volume, for lvm"),
        table::value("vgname", '\0', "vgname", "NAME", "Volume group, for lvm"),
        table::value("thinpool", '\0', "thinpool", "NAME", "Thin pool, for lvm"),
        table::value("fstype", '\0', "fstype", "TYPE", "File system, for lvm, loop and rbd"),
        table::value("fssize", '\0', "fssize", "SIZE", "Size, for lvm, loop and rbd"),
        table::value("zfsroot", '\0', "zfsroot", "DATASET", "Parent data set, for zfs"),
        table::value("rbdname", '\0', "rbdname", "NAME", "Block device, for rbd"),
        table::value("rbdpool", '\0', "rbdpool", "NAME", "Pool, for rbd"),
        table::value("rbduser", '\0', "rbduser", "NAME", "User, for rbd"),
        table::rcfile('\0'),
    ];
    table::table("lxc-create", "Make a container; what follows -- goes to the template", own)
        .arg(table::operands("ARGS", "For the template"))
}

/// Makes the container; the template's own output goes through.
pub(super) fn run(call: &Call<'_>) -> Outcome {
    let name = call.name()?;
    call.refuse(&["rcfile"])?;
    let Some(template) = call.value("template")? else {
        return Err(Failure::new(
            "A template must be specified; use -t none for a container without a root file system",
        ));
    };
    let bdev = call.value("bdev")?;
    let wanted = Wanted::read(bdev.as_deref(), |option| call.value(option))?;
    let exactly = call.path("dir");
    if let Some(dir) = exactly.as_ref().filter(|dir| !dir.is_absolute()) {
        return Err(Failure::new(format!("--dir should use an absolute path, not {}", dir.display())));
    }
    let config = call.path("config");
    if let Some(file) = config.as_ref().filter(|file| !file.exists() || file.is_dir()) {
        return Err(Failure::new(format!("there is no configuration file {}", file.display())));
    }
    let content = content(call, &template, call.rest())?;
    let session = call.session_with(wanted.over(call.environment().settings()), Purpose::Change)?;
    let container = session.containers().get(name)?;
    if container.is_defined() {
        return Err(Failure::new(format!("Container already exists: {}", container.home().display())));
    }
    let request = CreateRequest {
        config,
        default_config: call.environment().default_config(),
        stores: stores(&session, bdev.as_deref())?,
        exactly,
        volume_name: wanted.name,
        spec: wanted.spec,
        content,
        dry_run: false,
    };
    let made = container.create(&request)?;
    made.warnings.iter().for_each(|warning| call.warn(warning));
    Ok(ExitCode::SUCCESS)
}

fn content(call: &Call<'_>, template: &str, args: &[std::ffi::OsString]) -> Result<Content, Failure> {
    if template == "none" {
        return match args.first() {
            None => Ok(Content::None),
            Some(arg) => Err(Failure::new(format!("without a template nothing takes the argument {arg:?}"))),
        };
    }
    let program: PathBuf = call.environment().template(template)?;
    Ok(Content::Template(Template { program, args: args.to_vec(), quiet: call.quiet() }))
}

/// The stores that `-B` names, in order; none for the default.
pub(crate) fn stores(session: &Session, list: Option<&str>) -> Result<Vec<DriverName>, Failure> {
    let registry = session.containers().registry();
    let Some(list) = list else { return Ok(Vec::new()) };
    let mut names = Vec::new();
    for word in list.split(',').map(str::trim) {
        match word {
            "best" => names.extend(best(session)),
            // LXC's word for the store that needs nothing.
            "none" => names.push(default_store(registry, &Settings::default())?),
            word => names.push(registry.resolve(word)?.name),
        }
    }
    Ok(names)
}

/// Stores that volumes can be made in, those that can clone first; but an image of a fixed size is not better than the
/// directory it lies in.
fn best(session: &Session) -> Vec<DriverName> {
    let store = session.containers().store();
    let drivers = session.containers().registry().drivers().iter().filter_map(|r| store.driver(r.name).ok());
    let (cloning, copying): (Vec<_>, Vec<_>) =
        drivers.filter(|d| d.capabilities().standalone).partition(|d| {
            let facts = d.capabilities();
            d.copy_on_write().is_some() && !(facts.block_backed && facts.anywhere)
        });
    cloning.iter().chain(&copying).map(|d| d.name()).collect()
}
