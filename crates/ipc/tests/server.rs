//! Our server with a made-up container behind it, asked by our client, by stock LXC's tools, and by nuisances.
#![allow(clippy::unwrap_used, reason = "helpers of tests may panic, too")]

mod support;

use hull_ipc::server::Group;
use hull_ipc::wire::{Command, ConsoleLogRequest, HEADER_SIZE, Header, scalar};
use hull_ipc::{Address, Client, State, client, discover};
use rustix::io::Errno;
use std::io::{Read, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::time::{Duration, Instant};
use support::{Monitor, PATIENCE, stock};

fn raw(monitor: &Monitor) -> UnixStream {
    let address = Address::new(monitor.lxcpath(), &monitor.name);
    let stream =
        UnixStream::connect_addr(&SocketAddr::from_abstract_name(address.as_bytes()).unwrap()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

fn request(code: i32, length: i32) -> [u8; HEADER_SIZE] {
    Header { code, length, scalar: 0 }.encode()
}

fn response(stream: &mut UnixStream) -> Header {
    let mut bytes = [0; HEADER_SIZE];
    stream.read_exact(&mut bytes).unwrap();
    Header::decode(&bytes)
}

#[test]
fn our_client_gets_every_answer() {
    let monitor = Monitor::start("answers");
    let client = monitor.client();
    assert_eq!(client.state().unwrap(), State::Running);
    assert_eq!(client.init_pid().unwrap(), Some(std::process::id() as i32));
    assert_eq!(client.clone_flags().unwrap(), 0x6c02_0000);
    assert_eq!(client.name().unwrap(), monitor.name);
    assert_eq!(client.lxcpath().unwrap(), monitor.lxcpath().to_str().unwrap());
    assert_eq!(client.config_item("lxc.uts.name").unwrap().as_deref(), Some("fake"));
    assert_eq!(client.config_item("lxc.arch").unwrap(), None);
    assert_eq!(client.cgroup(Group::Inner, Some("pids")).unwrap(), "/inner/pids");
    assert_eq!(client.cgroup(Group::Limit, None).unwrap(), "/limit/");
    let log = client.console_log(ConsoleLogRequest { read: true, ..Default::default() }).unwrap();
    assert_eq!(log.len(), 1 << 20, "an answer larger than socket buffers comes whole");
    let pidfd = client.init_pidfd().unwrap();
    rustix::process::pidfd_send_signal(&pidfd, rustix::process::Signal::CONT).unwrap();
    let (found, fd) = client.cgroup_fd(Group::Inner, "pids").unwrap();
    assert_eq!((found.controller.as_str(), found.magic), ("pids", hull_ipc::wire::CGROUP_MAGIC));
    rustix::fs::fstat(&fd).unwrap();
    let context = client.cgroup_context().unwrap();
    assert_eq!(context.fds.len(), 3);
    let refused = client.devpts_fd().unwrap_err();
    assert_eq!(refused.errno(), Errno::BADF, "{refused}");
    assert_eq!(client.freeze(None).unwrap_err().errno(), Errno::NOENT);
    assert!(discover::running(monitor.lxcpath(), PATIENCE).unwrap().contains(&monitor.name));
}

#[test]
fn a_second_monitor_is_refused_and_a_gone_one_is_stopped() {
    let monitor = Monitor::start("second");
    let error = hull_ipc::Server::bind(monitor.lxcpath(), &monitor.name).unwrap_err();
    assert!(matches!(error, hull_ipc::server::Error::AlreadyRunning { .. }), "{error}");
    let (client, lxcpath, name) = (monitor.client(), monitor.lxcpath().to_owned(), monitor.name.clone());
    drop(monitor);
    assert_eq!(client.state().unwrap(), State::Stopped);
    assert!(client.init_pidfd().unwrap_err().is_stopped());
    assert!(!discover::running(&lxcpath, PATIENCE).unwrap().contains(&name));
}

#[test]
fn long_names_are_hashed_and_found_again() {
    let monitor = Monitor::start(&"long".repeat(30));
    assert_eq!(monitor.client().name().unwrap(), monitor.name);
    let found = discover::running(monitor.lxcpath(), PATIENCE).unwrap();
    assert!(found.contains(&monitor.name), "{found:?}");
}

#[test]
fn terminals_are_lent_until_the_connection_ends() {
    let monitor = Monitor::start("ttys");
    let client = monitor.client();
    let first = client.tty(None).unwrap();
    let second = client.tty(Some(2)).unwrap();
    assert_eq!((first.number, second.number), (1, 2));
    assert_eq!(client.tty(None).unwrap_err().errno(), Errno::BADF, "both are lent");
    drop(first);
    support::until(|| client.tty(Some(1)).is_ok());
}

#[test]
fn waiting_sees_the_state_that_is_and_the_one_that_comes() {
    let monitor = Monitor::start("waiting");
    let client = monitor.client();
    let soon = || Some(Instant::now() + PATIENCE);
    assert_eq!(client.wait(&[State::Running], soon()).unwrap(), Some(State::Running));
    let now = Some(Instant::now() + Duration::from_millis(80));
    assert_eq!(client.wait(&[State::Frozen], now).unwrap(), None);
    let waiter = {
        let client = client.clone();
        std::thread::spawn(move || client.wait(&[State::Frozen, State::Aborting], soon()).unwrap())
    };
    let stopped = {
        let client = client.clone();
        std::thread::spawn(move || client.wait(&[State::Stopped], soon()).unwrap())
    };
    support::until(|| monitor.connections() >= 2);
    client.announce_state(State::Frozen).unwrap();
    assert_eq!(waiter.join().unwrap(), Some(State::Frozen));
    assert_eq!(client.state().unwrap(), State::Frozen);
    client.announce_state(State::Thawed).unwrap();
    assert_eq!(client.state().unwrap(), State::Running, "thawed is only announced");
    client.stop().unwrap();
    assert_eq!(stopped.join().unwrap(), Some(State::Stopped));
    assert!(monitor.finished());
}

#[test]
fn a_hanging_monitor_times_out() {
    let lxcpath = tempfile::tempdir().unwrap();
    let _deaf = hull_ipc::Server::bind(lxcpath.path(), "deaf").unwrap();
    let client = Client::new(lxcpath.path(), "deaf", Duration::from_millis(60));
    let error = client.state().unwrap_err();
    assert!(matches!(error, client::Error::TimedOut { .. }), "{error}");
    assert!(error.to_string().contains("60ms"), "{error}");
}

#[test]
fn malformed_requests_are_refused_and_the_loop_goes_on() {
    let monitor = Monitor::start("malformed");
    let check = |code: i32, data: &[u8], expect: Errno| {
        let mut stream = raw(&monitor);
        stream.write_all(&request(code, data.len() as i32)).unwrap();
        stream.write_all(data).unwrap();
        assert_eq!(response(&mut stream).code, -expect.raw_os_error(), "command {code}, data {data:?}");
    };
    check(27, b"", Errno::NOSYS);
    check(-1, b"", Errno::NOSYS);
    check(i32::MAX, b"xyz", Errno::NOSYS);
    let get = Command::GetConfigItem.number();
    check(get, b"no end", Errno::INVAL);
    check(get, b"two\0ends\0", Errno::INVAL);
    check(get, b"", Errno::INVAL);
    check(get, b"\xff\xfe\0", Errno::INVAL);
    check(Command::ConsoleLog.number(), &[0; 23], Errno::INVAL);
    check(Command::AddStateClient.number(), &[0; 31], Errno::INVAL);
    check(Command::GetCgroupFd.number(), &[b'x'; 80], Errno::INVAL);
    check(Command::AddBpfDeviceCgroup.number(), &[0; 39], Errno::INVAL);
    for length in [8193, i32::MAX] {
        let mut stream = raw(&monitor);
        stream.write_all(&request(get, length)).unwrap();
        assert_eq!(response(&mut stream).code, -Errno::TOOBIG.raw_os_error());
        assert_eq!(stream.read(&mut [0]).unwrap(), 0, "the stream is closed after an oversized request");
    }
    let mut stream = raw(&monitor);
    stream.write_all(&request(Command::GetState.number(), i32::MIN)).unwrap();
    assert_eq!(response(&mut stream).scalar, scalar(State::Running.number()), "no data is no data");
    assert_eq!(monitor.client().state().unwrap(), State::Running);
}

#[test]
fn byte_by_byte_pipelined_and_abandoned_requests() {
    let monitor = Monitor::start("trickle");
    let mut stream = raw(&monitor);
    let mut bytes = request(Command::GetConfigItem.number(), 13).to_vec();
    bytes.extend_from_slice(b"lxc.uts.name\0");
    for byte in &bytes {
        stream.write_all(&[*byte]).unwrap();
    }
    assert_eq!(response(&mut stream).length, 5);
    stream.read_exact(&mut [0; 5]).unwrap();
    let many: Vec<u8> = (0..100).flat_map(|_| request(Command::GetState.number(), 0)).collect();
    stream.write_all(&many).unwrap();
    for _ in 0..100 {
        assert_eq!(response(&mut stream).int(), 2);
    }
    let mut abandoned = raw(&monitor);
    abandoned.write_all(&bytes[..20]).unwrap();
    drop(abandoned);
    assert_eq!(monitor.client().state().unwrap(), State::Running);
}

#[test]
fn one_who_does_not_read_blocks_nobody() {
    let monitor = Monitor::start("deaf-peer");
    let mut peers = Vec::new();
    for _ in 0..8 {
        let mut stream = raw(&monitor);
        let mut bytes = request(Command::ConsoleLog.number(), 24).to_vec();
        bytes.extend_from_slice(&ConsoleLogRequest { read: true, ..Default::default() }.encode());
        stream.write_all(&bytes).unwrap();
        peers.push(stream);
    }
    assert_eq!(monitor.client().state().unwrap(), State::Running);
    let mut stream = peers.pop().unwrap();
    let mut all = vec![0; response(&mut stream).length as usize];
    stream.read_exact(&mut all).unwrap();
    assert!(all.iter().all(|b| *b == b'l'), "the slow reader gets all of it, too");
}

#[test]
fn a_crowd_of_silent_peers_makes_room() {
    let monitor = Monitor::start("crowd");
    let crowd: Vec<_> = (0..600).map(|_| raw(&monitor)).collect();
    assert_eq!(monitor.client().state().unwrap(), State::Running);
    assert!(monitor.connections() <= 512, "{}", monitor.connections());
    drop(crowd);
    support::until(|| monitor.connections() == 0);
}

#[test]
fn only_root_and_the_owner_may_ask() {
    if !rustix::process::getuid().is_root() {
        eprintln!("skipped: needs root to become somebody else");
        return;
    }
    let monitor = Monitor::start("foreign");
    // setresuid by the raw call changes this thread only, which then ends.
    let result = std::thread::scope(|scope| {
        let monitor = &monitor;
        let foreign = scope.spawn(move || {
            let nobody = rustix::process::Uid::from_raw(65534);
            rustix::thread::set_thread_res_uid(nobody, nobody, nobody).unwrap();
            let mut stream = raw(monitor);
            stream.write_all(&request(Command::GetState.number(), 0)).unwrap();
            let header = response(&mut stream);
            (header.code, stream.read(&mut [0]).unwrap())
        });
        foreign.join().unwrap()
    });
    assert_eq!(result, (-1, 0), "refused with EPERM and closed");
    assert_eq!(monitor.client().state().unwrap(), State::Running);
}

#[test]
fn stock_tools_take_it_for_lxc() {
    let monitor = Monitor::start("stock");
    let lxcpath = monitor.lxcpath().to_str().unwrap();
    std::fs::create_dir(monitor.lxcpath().join(&monitor.name)).unwrap();
    let config = monitor.lxcpath().join(&monitor.name).join("config");
    std::fs::write(config, "lxc.uts.name = fake\nlxc.net.0.type = empty\n").unwrap();
    let name = monitor.name.clone();
    let run = move |tool: &str, arguments: &[&str]| stock(tool, lxcpath, &name, arguments);
    let Some((0, info)) = run("lxc-info", &["-s", "-p"]) else {
        eprintln!("skipped: stock lxc-info is not installed");
        return;
    };
    assert!(info.contains("RUNNING") && info.contains(&std::process::id().to_string()), "{info}");
    assert_eq!(run("lxc-info", &["-c", "lxc.uts.name"]).unwrap().1, "lxc.uts.name = fake\n");
    assert_eq!(run("lxc-wait", &["-s", "RUNNING", "-t", "3"]).unwrap().0, 0);
    assert_eq!(run("lxc-wait", &["-s", "FROZEN", "-t", "1"]).unwrap().0, 1);
    let announcer = monitor.client();
    let frozen = std::thread::spawn(move || {
        // Once stock lxc-wait has registered; it is the one that holds a connection.
        std::thread::sleep(Duration::from_millis(300));
        announcer.announce_state(State::Frozen).unwrap();
    });
    assert_eq!(run("lxc-wait", &["-s", "FROZEN|ABORTING", "-t", "5"]).unwrap().0, 0);
    frozen.join().unwrap();
    assert!(run("lxc-info", &["-s"]).unwrap().1.contains("FROZEN"));
    let lists = run("lxc-ls", &["-1", "--running"]).unwrap().1;
    assert!(lists.contains(&monitor.name), "{lists}");
    assert_eq!(run("lxc-stop", &["-k"]).unwrap().0, 0);
    assert!(monitor.finished());
    assert!(run("lxc-info", &["-s"]).unwrap().1.contains("STOPPED"));
}

#[test]
fn stock_lxc_monitor_hears_what_we_publish() {
    let tool = std::path::Path::new("/usr/bin/lxc-monitor");
    if !tool.exists() || !rustix::process::getuid().is_root() {
        eprintln!("skipped: needs root and stock lxc-monitor");
        return;
    }
    let lxcpath = tempfile::tempdir().unwrap();
    let (run, path) = (std::path::Path::new("/run"), lxcpath.path());
    let mut listener = std::process::Command::new(tool)
        .args(["-n", "heard", "-P", path.to_str().unwrap()])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let output = listener.stdout.take().unwrap();
    let lines = std::thread::spawn(move || {
        use std::io::BufRead;
        let mut lines = std::io::BufReader::new(output).lines().map_while(Result::ok);
        lines.find(|l| l.contains("exited"))
    });
    let end = Instant::now() + PATIENCE;
    // It takes a while until it has started its daemon and registered there.
    while !lines.is_finished() && Instant::now() < end {
        hull_ipc::monitord::publish_state(run, path, "unheard", State::Running).unwrap();
        hull_ipc::monitord::publish_state(run, path, "heard", State::Running).unwrap();
        hull_ipc::monitord::publish_exit(run, path, "heard", 3 << 8).unwrap();
        std::thread::sleep(Duration::from_millis(50));
    }
    listener.kill().unwrap();
    listener.wait().unwrap();
    let quit = stock("lxc-monitor", path.to_str().unwrap(), "heard", &["-Q"]);
    let directory = run.join("lxc").join(path.strip_prefix("/").unwrap());
    let _ = std::fs::remove_dir_all(directory);
    assert_eq!(lines.join().unwrap().as_deref(), Some("'heard' exited with status [3]"), "{quit:?}");
}
