//! A container's own `/dev`: a tmpfs with the few device nodes every program expects, and its own ptys.

use hull_sys::mount::{self as call, FsContext};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{CWD, FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::MountAttrFlags;
use rustix::pty::OpenptFlags;
use std::ffi::OsStr;
use std::path::Path;

use crate::error::{During, Named, Result};
use crate::inside::Inside;

/// Device nodes and their numbers, as the kernel's devices.txt has them. Everybody may use them.
const NODES: [(&str, u32, u32); 6] =
    [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)];

const LINKS: [(&str, &str); 4] = [
    ("/proc/self/fd", "fd"),
    ("/proc/self/fd/0", "stdin"),
    ("/proc/self/fd/1", "stdout"),
    ("/proc/self/fd/2", "stderr"),
];

/// What `/dev` is to be.
#[derive(Clone, Debug)]
pub(crate) struct Devices {
    /// Mount a tmpfs of this many bytes (`lxc.autodev`); `None` uses the root file system's own `/dev`.
    pub(crate) tmpfs: Option<u64>,
    /// The most ptys the container may have; 0 gives it no `/dev/pts` of its own.
    pub(crate) ptys: u64,
    /// How many `/dev/ttyN` it gets.
    pub(crate) ttys: u32,
    /// The directory in `/dev` for the terminals (`lxc.tty.dir`); empty for `/dev` itself.
    pub(crate) tty_dir: String,
    /// Whether it gets a `/dev/console`.
    pub(crate) console: bool,
}

/// A pty of the container: the host's side, and its name in the container.
#[derive(Debug)]
pub(crate) struct Pty {
    pub(crate) master: OwnedFd,
    pub(crate) peer: OwnedFd,
    pub(crate) name: String,
}

/// The terminals made.
#[derive(Debug, Default)]
pub(crate) struct Terminals {
    pub(crate) devpts: Option<OwnedFd>,
    pub(crate) console: Option<Pty>,
    pub(crate) ttys: Vec<Pty>,
}

/// Mounts the tmpfs and makes nodes and links in it.
pub(crate) fn make_dev(inside: &Inside, devices: &Devices) -> Result<()> {
    let mask = rustix::process::umask(Mode::empty());
    let made = fill_dev(inside, devices);
    rustix::process::umask(mask);
    made
}

fn fill_dev(inside: &Inside, devices: &Devices) -> Result<()> {
    let Some(size) = devices.tmpfs else { return Ok(()) };
    let context = FsContext::open("tmpfs")?;
    context.set("source", OsStr::new("none"))?;
    context.set("size", OsStr::new(&size.to_string()))?;
    context.set("mode", OsStr::new("755"))?;
    let dev = context.mount(MountAttrFlags::MOUNT_ATTR_NOSUID)?;
    call::attach(&dev, inside.plain_directory("dev")?, Path::new(""))?;
    for (name, major, minor) in NODES {
        make_node(&dev, name, major, minor).during(format_args!("making /dev/{name}"))?;
    }
    for (target, name) in LINKS {
        rustix::fs::symlinkat(target, &dev, name).named(|| format!("symlink({target}, /dev/{name})"))?;
    }
    for directory in ["pts", "shm", "mqueue"] {
        let mode = if directory == "shm" { 0o1777 } else { 0o755 };
        rustix::fs::mkdirat(&dev, directory, Mode::from_raw_mode(mode))
            .named(|| format!("mkdir(/dev/{directory})"))?;
    }
    Ok(())
}

/// Mounts the container's devpts, and makes its console and terminals.
pub(crate) fn make_terminals(inside: &Inside, devices: &Devices) -> Result<Terminals> {
    let mut made = Terminals::default();
    if devices.ptys > 0 {
        made.devpts = Some(mount_devpts(inside, devices)?);
    }
    if devices.console {
        made.console = Some(terminal(inside, made.devpts.as_ref(), devices, "console")?);
    }
    for number in 1..=devices.ttys {
        let name = format!("tty{number}");
        made.ttys.push(terminal(inside, made.devpts.as_ref(), devices, &name)?);
    }
    Ok(made)
}

/// Opens a new pty of the instance `devpts`, or of the host's.
pub(crate) fn open_pty(devpts: Option<&OwnedFd>) -> Result<Pty> {
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let master = match devpts {
        Some(devpts) => rustix::fs::openat(devpts, "ptmx", flags, Mode::empty()),
        None => rustix::fs::open("/dev/ptmx", flags, Mode::empty()),
    }
    .named(|| "open(ptmx)".into())?;
    rustix::pty::unlockpt(&master).named(|| "ioctl(ptmx, TIOCSPTLCK)".into())?;
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let peer = rustix::pty::ioctl_tiocgptpeer(&master, flags).named(|| "ioctl(ptmx, TIOCGPTPEER)".into())?;
    let name = rustix::pty::ptsname(&master, Vec::new()).named(|| "ioctl(ptmx, TIOCGPTN)".into())?;
    let name = name.to_string_lossy();
    Ok(Pty { master, peer, name: name.strip_prefix("/dev/").unwrap_or(&name).to_owned() })
}

fn make_node(dev: &OwnedFd, name: &str, major: u32, minor: u32) -> Result<()> {
    let mode = Mode::from_raw_mode(0o666);
    let device = rustix::fs::makedev(major, minor);
    match rustix::fs::mknodat(dev, name, FileType::CharacterDevice, mode, device) {
        Ok(()) => return Ok(()),
        // In a user namespace nodes cannot be made; the host's are bound instead.
        Err(Errno::PERM) => {}
        Err(e) => Err(e).named(|| format!("mknod({name})"))?,
    }
    let host = format!("/dev/{name}");
    let host = rustix::fs::open(&host, OFlags::PATH | OFlags::CLOEXEC | OFlags::NOFOLLOW, Mode::empty())
        .named(|| format!("open({host})"))?;
    bind_new(dev, name, &host)
}

/// Makes the file `name` in `dir` and binds `what` over it.
fn bind_new(dir: &OwnedFd, name: &str, what: impl AsFd) -> Result<()> {
    let flags = OFlags::CREATE | OFlags::WRONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    rustix::fs::openat(dir, name, flags, Mode::from_raw_mode(0o666))
        .named(|| format!("open({name}, O_CREAT)"))?;
    call::attach(call::clone_tree(what, false)?, dir, Path::new(name))?;
    Ok(())
}

fn mount_devpts(inside: &Inside, devices: &Devices) -> Result<OwnedFd> {
    let instance = |group: bool| -> hull_sys::Result<OwnedFd> {
        let context = FsContext::open("devpts")?;
        context.set("source", OsStr::new("devpts"))?;
        context.set("ptmxmode", OsStr::new("0666"))?;
        context.set("mode", OsStr::new("0620"))?;
        // `lxc.pty.max` is what the container may open beside its terminals and console, as LXC counts.
        let most = devices.ptys + u64::from(devices.ttys) + u64::from(devices.console);
        context.set("max", OsStr::new(&most.to_string()))?;
        if group {
            // Group tty, which Debian and others number 5.
            context.set("gid", OsStr::new("5"))?;
        }
        context.mount(MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NOEXEC)
    };
    // A user namespace may have no group 5.
    let devpts = instance(true).or_else(|_| instance(false))?;
    call::attach(&devpts, inside.directory(Path::new("dev/pts"))?, Path::new(""))?;
    let ptmx = Path::new("dev/ptmx");
    match inside.open(ptmx) {
        // A /dev of the root file system may have a node there, which would lead to the host's ptys.
        Ok(node) => {
            let own = rustix::fs::openat(&devpts, "ptmx", OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
                .named(|| "open(pts/ptmx)".into())?;
            call::attach(call::clone_tree(own, false)?, node, Path::new(""))?;
        }
        Err(_) => inside.symlink("pts/ptmx", ptmx)?,
    }
    Ok(devpts)
}

/// Makes a pty and shows it as `/dev/NAME`, or as `/dev/DIR/NAME` with a link to it.
fn terminal(inside: &Inside, devpts: Option<&OwnedFd>, devices: &Devices, name: &str) -> Result<Pty> {
    let pty = open_pty(devpts).during(format_args!("making the terminal {name}"))?;
    let dev = inside.open_with(Path::new("dev"), OFlags::PATH | OFlags::DIRECTORY)?;
    let show = |path: &Path| -> Result<()> {
        let place = inside.file(path)?;
        Ok(call::attach(call::clone_tree(&pty.peer, false)?, place, Path::new(""))?)
    };
    if devices.tty_dir.is_empty() {
        show(&Path::new("dev").join(name)).during(format_args!("binding /dev/{name}"))?;
        return Ok(pty);
    }
    let in_dir = Path::new("dev").join(&devices.tty_dir).join(name);
    show(&in_dir).during(format_args!("binding /{}", in_dir.display()))?;
    if name == "console" {
        // Programs insist that /dev/console be a device, not a link.
        show(Path::new("dev/console")).during("binding /dev/console")?;
    } else {
        let _ = rustix::fs::unlinkat(&dev, name, rustix::fs::AtFlags::empty());
        inside.symlink(&format!("{}/{name}", devices.tty_dir), &Path::new("dev").join(name))?;
    }
    Ok(pty)
}

/// Opens the file or directory `path` of the caller's own root as a name only.
pub(crate) fn open_host(path: &Path) -> Result<OwnedFd> {
    rustix::fs::openat(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
        .named(|| format!("open({})", path.display()))
}

/// Opens a namespace by its name in `/proc`.
pub(crate) fn open_namespace(path: impl AsRef<Path>) -> Result<OwnedFd> {
    let path = path.as_ref();
    rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .named(|| format!("open({})", path.display()))
}

/// Opens `/dev/null` for reading and writing.
pub(crate) fn open_null() -> Result<OwnedFd> {
    rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
        .named(|| "open(/dev/null)".into())
}
