//! Our client against the monitor of a container that stock LXC started.
#![allow(clippy::unwrap_used, reason = "helpers of tests may panic, too")]

mod support;

use hull_ipc::server::Group;
use hull_ipc::wire::{CgroupLayout, ConsoleLogRequest};
use hull_ipc::{Client, State, discover};
use rustix::io::Errno;
use std::path::Path;
use std::time::Instant;
use support::{PATIENCE, stock};

/// A container of stock LXC with busybox in it; gone when dropped.
struct Container {
    lxcpath: tempfile::TempDir,
    name: String,
}

impl Container {
    /// `None`, and a word why, where it cannot be.
    fn start(name: &str) -> Option<Self> {
        let busybox = Path::new("/usr/bin/busybox");
        if !rustix::process::getuid().is_root() || !busybox.exists() {
            eprintln!("skipped: needs root and busybox-static");
            return None;
        }
        let name = format!("hull-{name}-{}", std::process::id());
        let container = Self { lxcpath: tempfile::tempdir().unwrap(), name };
        let rootfs = container.lxcpath.path().join(&container.name).join("rootfs");
        for directory in ["bin", "dev", "proc", "sys", "etc", "tmp"] {
            std::fs::create_dir_all(rootfs.join(directory)).unwrap();
        }
        std::fs::copy(busybox, rootfs.join("bin/busybox")).unwrap();
        std::os::unix::fs::symlink("busybox", rootfs.join("bin/sleep")).unwrap();
        let config = format!(
            "lxc.uts.name = inside\nlxc.net.0.type = empty\nlxc.rootfs.path = dir:{}\n\
             lxc.mount.auto = proc:mixed\nlxc.init.cmd = /bin/sleep 600\nlxc.pty.max = 8\n\
             lxc.tty.max = 2\nlxc.console.buffer.size = auto\n",
            rootfs.display()
        );
        std::fs::write(container.directory().join("config"), config).unwrap();
        let Some((code, _)) = container.tool("lxc-start", &[]) else {
            eprintln!("skipped: stock lxc-start is not installed");
            return None;
        };
        if code != 0 {
            eprintln!("skipped: stock lxc-start cannot start a container here (exit code {code})");
            return None;
        }
        Some(container)
    }

    fn directory(&self) -> std::path::PathBuf {
        self.lxcpath.path().join(&self.name)
    }

    fn tool(&self, tool: &str, arguments: &[&str]) -> Option<(i32, String)> {
        stock(tool, self.lxcpath.path().to_str().unwrap(), &self.name, arguments)
    }

    fn client(&self) -> Client {
        Client::new(self.lxcpath.path(), &self.name, PATIENCE)
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        self.tool("lxc-stop", &["-k"]);
    }
}

#[test]
fn our_client_asks_stock_lxc_everything() {
    let Some(container) = Container::start("ask") else { return };
    let client = container.client();
    assert_eq!(client.state().unwrap(), State::Running);
    let pid = client.init_pid().unwrap().unwrap();
    let comm = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap();
    assert_eq!(comm.trim(), "sleep");
    assert_eq!(client.clone_flags().unwrap() & 0x2000_0000, 0x2000_0000, "CLONE_NEWPID");
    assert_eq!(client.name().unwrap(), container.name);
    assert_eq!(client.lxcpath().unwrap(), container.lxcpath.path().to_str().unwrap());
    assert_eq!(client.config_item("lxc.uts.name").unwrap().as_deref(), Some("inside"));
    assert_eq!(client.config_item("lxc.arch").unwrap(), None);
    let mut first = [0; 16];
    let pidfd = client.init_pidfd().unwrap();
    let info =
        std::fs::read_to_string(format!("/proc/self/fdinfo/{}", std::os::fd::AsRawFd::as_raw_fd(&pidfd)));
    assert!(info.unwrap().contains(&format!("Pid:\t{pid}\n")), "the pidfd is init's");
    let log = client.console_log(ConsoleLogRequest { read: true, ..Default::default() });
    assert!(log.as_ref().is_err_and(|e| e.errno() == Errno::NODATA) || log.is_ok(), "{log:?}");
    let tty = client.tty(Some(1)).unwrap();
    assert_eq!(tty.number, 1);
    assert!(rustix::termios::isatty(&tty.fd));
    assert!(client.tty(Some(1)).is_err(), "it is lent");
    drop(tty);
    support::until(|| client.tty(Some(1)).is_ok());
    let devpts = client.devpts_fd().unwrap();
    assert!(rustix::fs::openat(&devpts, "ptmx", rustix::fs::OFlags::PATH, rustix::fs::Mode::empty()).is_ok());
    assert!(discover::running(container.lxcpath.path(), PATIENCE).unwrap().contains(&container.name));

    let groups = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    for line in groups.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (controller, path) = (fields.next().unwrap(), fields.next().unwrap());
        let controller = Some(controller).filter(|c| !c.is_empty());
        for group in [Group::Inner, Group::Limit] {
            match client.cgroup(group, controller) {
                Ok(answer) => assert_eq!(answer, path, "{line}"),
                // Beside version 1, stock LXC knows version 2 only by one of its controllers.
                Err(e) => assert_eq!((controller, e.errno()), (None, Errno::NOENT), "{line}: {e}"),
            }
        }
        if let Some(controller) = controller {
            let (found, fd) = client.cgroup_fd(Group::Inner, controller).unwrap();
            assert_eq!(found.controller, controller);
            let procs = rustix::fs::OFlags::RDONLY;
            let file = rustix::fs::openat(&fd, "cgroup.procs", procs, rustix::fs::Mode::empty()).unwrap();
            let read = rustix::io::read(&file, &mut first).unwrap();
            assert!(String::from_utf8_lossy(&first[..read]).starts_with(&pid.to_string()));
        }
    }
    let context = client.cgroup_context().unwrap();
    assert_eq!(context.fds.len(), groups.lines().count());
    if context.context.layout != CgroupLayout::Unified {
        assert_eq!(client.freeze(None).unwrap_err().errno(), Errno::NOENT);
        assert!(client.cgroup2_fd(Group::Inner).is_err());
    }
}

#[test]
fn our_client_waits_for_and_stops_stock_lxc() {
    let Some(container) = Container::start("stop") else { return };
    let client = container.client();
    let soon = || Some(Instant::now() + PATIENCE);
    assert_eq!(client.wait(&[State::Running], soon()).unwrap(), Some(State::Running));
    let wait_for = |state: State| {
        let client = client.clone();
        std::thread::spawn(move || client.wait(&[state], soon()).unwrap())
    };
    let waiters = [wait_for(State::Frozen), wait_for(State::Stopped)];
    // They have registered when the monitor serves them; the announcements below go until one does.
    support::until(|| {
        client.announce_state(State::Frozen).unwrap();
        waiters[0].is_finished()
    });
    assert!(container.tool("lxc-info", &["-s"]).unwrap().1.contains("FROZEN"), "stock LXC believes us");
    client.announce_state(State::Thawed).unwrap();
    client.stop().unwrap();
    for (waiter, state) in waiters.into_iter().zip([State::Frozen, State::Stopped]) {
        assert_eq!(waiter.join().unwrap(), Some(state));
    }
    assert_eq!(client.state().unwrap(), State::Stopped);
    client.stop().unwrap();
}
