//! `hull create`: make a container.

use std::ffi::OsString;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;

use clap::ArgGroup;
use hull_container::{Content, CreateRequest, Template};
use hull_storage::{Bytes, VolumeSpec};
use hull_sys::entry::ExitCode;
use rustix::fs::MemfdFlags;

use super::context::Context;
use super::volume::takes_size;
use crate::errors::{Failure, Outcome};
use crate::sizes;

/// The template a container is made from unless another content is asked for: it needs no network.
const USUAL_TEMPLATE: &str = "busybox";

/// Make a container
///
/// Its files come from a template (busybox unless told otherwise), from an archive, or there are none yet.
#[derive(Debug, clap::Args)]
#[command(group(ArgGroup::new("content").args(["template", "archive", "empty", "no_rootfs"])))]
pub(crate) struct Args {
    /// Name of the container
    name: String,
    /// Program that fills the root file system, by name (busybox, debian) or absolute path
    #[arg(short, long)]
    template: Option<String>,
    /// Unpack this tar archive (plain or gzip) as root file system
    #[arg(short, long, value_name = "FILE")]
    archive: Option<PathBuf>,
    /// Make an empty root file system
    #[arg(long)]
    empty: bool,
    /// Make no root file system, only a configuration
    #[arg(long)]
    no_rootfs: bool,
    /// Kind of store to keep the files in; several, comma-separated, are tried in order
    #[arg(short, long, value_delimiter = ',')]
    store: Vec<String>,
    /// Put the root file system at this absolute path
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Size of the volume, for stores whose volumes have one (1G, 512M)
    #[arg(long, value_parser = |text: &str| sizes::parse(text, 1 << 20))]
    size: Option<Bytes>,
    /// File system of the volume, for stores that make one (ext4, xfs, btrfs)
    #[arg(long, value_name = "TYPE")]
    fstype: Option<String>,
    /// Name of the volume in its pool, for stores that have one; the container's otherwise
    #[arg(long, value_name = "NAME")]
    volume_name: Option<String>,
    /// What lxc.conf would say to the store (lxc.bdev.lvm.vg=vg0, lxc.bdev.zfs.root=tank/lxc)
    #[arg(long, value_name = "KEY=VALUE", value_parser = store_setting)]
    store_setting: Vec<(String, String)>,
    /// Configuration to begin with, instead of LXC's default.conf or, where Hull could not start what that
    /// asks for, a network namespace with only the loopback interface
    #[arg(short = 'f', long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print what would be done and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Arguments for the template
    #[arg(last = true, value_name = "TEMPLATE ARGS")]
    args: Vec<OsString>,
}

pub(super) fn run(args: &Args, context: &Context) -> Outcome {
    let content = content(args, context)?;
    if let Some(dir) = args.dir.as_ref().filter(|dir| !dir.is_absolute()) {
        return Err(Failure::usage(format!("--dir wants an absolute path, not {}", dir.display())));
    }
    if let Some(file) = args.config.as_ref().filter(|file| !file.exists() || file.is_dir()) {
        return Err(Failure::new(format!("there is no configuration file {}", file.display())));
    }
    let settings = args.store_setting.iter().cloned();
    let settings = settings.fold(context.environment.settings(), |all, (key, value)| all.with(key, value));
    let session = context.session_with(settings, args.dry_run)?;
    let containers = session.containers();
    let mut stores = Vec::new();
    for name in &args.store {
        stores.push(containers.registry().resolve(name)?.name);
    }
    if args.size.is_some() || args.fstype.is_some() {
        let fits = |name| {
            let driver = containers.store().driver(name);
            driver.is_ok_and(|d| d.capabilities().block_backed || (args.fstype.is_none() && takes_size(d)))
        };
        if stores.is_empty() || !stores.iter().all(|name| fits(*name)) {
            return Err(Failure::new(
                "--size needs a --store whose volumes have a size or a limit, --fstype one whose volumes have a file system of their own",
            ));
        }
    }
    let beginning = Beginning::choose(args, context)?;
    let request = CreateRequest {
        config: args.config.clone(),
        default_config: beginning.path(),
        stores,
        exactly: args.dir.clone(),
        volume_name: args.volume_name.clone(),
        spec: VolumeSpec { size: args.size, fstype: args.fstype.clone(), owner: None },
        content,
        dry_run: args.dry_run,
    };
    let made = containers.get(&args.name)?.create(&request)?;
    if let Beginning::Own(_, Some(why)) = &beginning {
        context.warn(why);
    }
    context.tell(&made, args.dry_run, &format!("created {}", made.name))?;
    Ok(ExitCode::SUCCESS)
}

/// A key for stores and its value.
fn store_setting(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if key.starts_with("lxc.bdev.") || key.starts_with("hull.volume.") => {
            Ok((key.trim().to_owned(), value.trim().to_owned()))
        }
        _ => Err("write KEY=VALUE, with a key that begins with lxc.bdev. or hull.volume.".to_owned()),
    }
}

fn content(args: &Args, context: &Context) -> Result<Content, Failure> {
    let other = match () {
        () if args.no_rootfs => Some(Content::None),
        () if args.empty => Some(Content::Empty),
        () => args.archive.clone().map(Content::Archive),
    };
    if let Some(content) = other {
        return match args.args.first() {
            None => Ok(content),
            Some(arg) => {
                Err(Failure::usage(format!("without a template nothing takes the argument {arg:?}")))
            }
        };
    }
    let program = context.environment.template(args.template.as_deref().unwrap_or(USUAL_TEMPLATE))?;
    Ok(Content::Template(Template { program, args: args.args.clone(), quiet: context.quiet }))
}

/// The configuration a container begins with when none is given.
enum Beginning {
    /// LXC's, or the one the command line gives.
    Lxcs(Option<PathBuf>),
    /// Hull's own, in memory, and why LXC's was passed over.
    Own(OwnedFd, Option<String>),
}

/// A network of its own with nobody on it; without a network key a container would use the host's.
const OWN: &[u8] = b"lxc.net.0.type = empty\n";

impl Beginning {
    /// LXC's `default.conf` if Hull can start what it asks for, else Hull's own.
    fn choose(args: &Args, context: &Context) -> Result<Self, Failure> {
        if args.config.is_some() {
            return Ok(Self::Lxcs(None));
        }
        let mut why = None;
        if let Some(path) = context.environment.default_config() {
            let config = hull_config::Config::load(&path)?;
            match hull_runtime::unsupported(&config).iter().find(|key| key.confines) {
                None => return Ok(Self::Lxcs(Some(path))),
                Some(key) => {
                    why = Some(format!(
                        "not beginning with {}, as {}: {}; --config {0} insists",
                        path.display(),
                        key.key,
                        key.reason
                    ));
                }
            }
        }
        let failed = |e: rustix::io::Errno| {
            Failure::new(format!("cannot keep a configuration in memory: {}", std::io::Error::from(e)))
        };
        let file = rustix::fs::memfd_create("config", MemfdFlags::CLOEXEC).map_err(failed)?;
        rustix::io::write(&file, OWN).map_err(failed)?;
        Ok(Self::Own(file, why))
    }

    /// Where it can be read while this lives.
    fn path(&self) -> Option<PathBuf> {
        match self {
            Self::Lxcs(path) => path.clone(),
            Self::Own(file, _) => Some(PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()))),
        }
    }
}
