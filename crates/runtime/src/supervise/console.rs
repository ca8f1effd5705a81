//! The console: relayed to the caller's terminal, a log file, a ring buffer and a client, or only drained, so
//! that a container that writes to it never waits for a reader.

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{Mode, OFlags};
use rustix::pty::OpenptFlags;
use std::path::Path;

use super::has_terminal;
use super::live::Ring;
use crate::error::{Named, Result};
use crate::start::Start;
use crate::terminal::{Raw, copy_size, write_all};

/// The host's side of a container's console.
pub(super) struct Console {
    master: Option<OwnedFd>,
    /// Our own opening of the container's side: with it, the master never hangs up between two openings.
    _peer: Option<OwnedFd>,
    /// Relay from and to the caller's standard descriptors.
    input: Option<OwnedFd>,
    output: Option<OwnedFd>,
    /// A device of the host given by `lxc.console.path`.
    device: Option<OwnedFd>,
    log: Option<OwnedFd>,
    proxy: Option<OwnedFd>,
    /// Restores the caller's terminal when dropped.
    _raw: Option<Raw>,
}

/// What [`Console::sources`] lists, in order.
enum Source {
    Master,
    Input,
    Device,
    Proxy,
}

impl Console {
    /// Takes the console of `start`, whose host side is `master`, if it has one.
    pub(super) fn new(start: &Start<'_>, master: Option<&OwnedFd>) -> Result<Self> {
        let mut console = Self {
            master: None,
            _peer: None,
            input: None,
            output: None,
            device: None,
            log: None,
            proxy: None,
            _raw: None,
        };
        let Some(master) = master else { return Ok(console) };
        let dup =
            |fd: BorrowedFd<'_>| rustix::io::fcntl_dupfd_cloexec(fd, 3).named(|| "dup(terminal)".into());
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        console._peer = rustix::pty::ioctl_tiocgptpeer(master, flags).ok();
        console.master = Some(dup(master.as_fd())?);
        let open = |path: &str, flags: OFlags| {
            rustix::fs::open(path, flags | OFlags::CLOEXEC | OFlags::NOCTTY, Mode::from_raw_mode(0o600))
                .named(|| format!("open({path}) (lxc.console)"))
        };
        if let Some(file) = start.config.value("lxc.console.logfile").filter(|f| !f.is_empty()) {
            console.log = Some(open(file, OFlags::WRONLY | OFlags::CREATE | OFlags::APPEND)?);
        }
        if let Some(path) = start.config.value("lxc.console.path").filter(|p| !p.is_empty() && *p != "none") {
            if Path::new(path).exists() && !std::fs::metadata(path).is_ok_and(|m| m.is_file()) {
                console.device = Some(open(path, OFlags::RDWR | OFlags::NONBLOCK)?);
            } else if console.log.is_none() {
                // LXC's old meaning: a file takes the output.
                console.log = Some(open(path, OFlags::WRONLY | OFlags::CREATE | OFlags::APPEND)?);
            }
        } else if has_terminal(start) {
            console.input = Some(dup(std::io::stdin().as_fd())?);
            console.output = Some(dup(std::io::stdout().as_fd())?);
            console._raw = Raw::enter(std::io::stdin())?;
            console.resize();
        }
        Ok(console)
    }

    /// The descriptors to poll for reading; [`Console::relay`] takes their index.
    pub(super) fn sources(&self) -> Vec<BorrowedFd<'_>> {
        self.listed().into_iter().map(|(_, fd)| fd).collect()
    }

    /// Passes on what one source has.
    pub(super) fn relay(&mut self, index: usize, ring: &mut Option<Ring>) {
        let mut buffer = [0; 4096];
        let listed = self.listed();
        let Some((source, from)) = listed.get(index) else { return };
        let got = match rustix::io::read(from, &mut buffer) {
            Ok(n) => n,
            Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => return,
            Err(_) => 0,
        };
        let bytes = &buffer[..got];
        match (source, got) {
            (Source::Master, 0) => self.master = None,
            (Source::Input, 0) => self.input = None,
            (Source::Device, 0) => self.device = None,
            (Source::Proxy, 0) => self.proxy = None,
            (Source::Master, _) => self.show(bytes, ring),
            (Source::Input | Source::Device | Source::Proxy, _) => {
                if let Some(master) = &self.master {
                    write_all(master, bytes);
                }
            }
        }
    }

    /// Passes on what the container wrote last, after its end.
    pub(super) fn drain(&mut self, ring: &mut Option<Ring>) {
        let Some(master) = &self.master else { return };
        let flags = rustix::fs::fcntl_getfl(master).unwrap_or(OFlags::empty());
        if rustix::fs::fcntl_setfl(master, flags | OFlags::NONBLOCK).is_err() {
            return;
        }
        let mut buffer = [0; 4096];
        while let Some(Ok(n @ 1..)) = self.master.as_ref().map(|m| rustix::io::read(m, &mut buffer)) {
            self.show(&buffer[..n], ring);
        }
    }

    /// Gives the console the size of the caller's terminal.
    pub(super) fn resize(&self) {
        if let (Some(input), Some(master)) = (&self.input, &self.master) {
            copy_size(input, master);
        }
    }

    /// Takes over a proxy, or forgets the one it has.
    pub(super) fn set_proxy(&mut self, change: Option<Option<OwnedFd>>) {
        if let Some(proxy) = change {
            // What the container writes is terminal output already; the proxy is not to change it.
            if let Some(fd) = &proxy
                && let Ok(mut settings) = rustix::termios::tcgetattr(fd)
            {
                settings.make_raw();
                let _ = rustix::termios::tcsetattr(fd, rustix::termios::OptionalActions::Now, &settings);
            }
            self.proxy = proxy;
        }
    }

    fn show(&self, bytes: &[u8], ring: &mut Option<Ring>) {
        for to in [&self.output, &self.device, &self.log].into_iter().flatten() {
            write_all(to, bytes);
        }
        if let Some(proxy) = &self.proxy {
            // A client that does not read loses output; the container must not wait for it.
            let _ = rustix::fs::fcntl_setfl(proxy, OFlags::NONBLOCK | OFlags::RDWR);
            let _ = rustix::io::write(proxy, bytes);
        }
        if let Some(ring) = ring {
            ring.push(bytes);
        }
    }

    fn listed(&self) -> Vec<(Source, BorrowedFd<'_>)> {
        let all = [
            (Source::Master, &self.master),
            (Source::Input, &self.input),
            (Source::Device, &self.device),
            (Source::Proxy, &self.proxy),
        ];
        all.into_iter().filter_map(|(source, fd)| fd.as_ref().map(|fd| (source, fd.as_fd()))).collect()
    }
}
