//! Malformed configurations, each of which must give one clear line.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

use std::path::Path;

use hull_config::{Config, IncludeReader, Included};

/// Line 3 holds the text under test, so that the line number is not right by accident.
fn message(text: &str) -> String {
    let whole = format!("# a comment\n\n{text}\n");
    match Config::parse(whole.as_bytes(), Path::new("/l/c/config"), Some(&Fake)) {
        Ok(_) => panic!("{text:?} was accepted"),
        Err(error) => error.to_string(),
    }
}

/// A file system of a few includes.
struct Fake;

impl IncludeReader for Fake {
    fn read(&self, path: &Path) -> std::io::Result<Included> {
        Ok(match path.to_str().unwrap() {
            "/i/loop.conf" => Included::File(b"lxc.include = /i/loop2.conf".to_vec()),
            "/i/loop2.conf" => Included::File(b"lxc.include = /i/loop.conf".to_vec()),
            "/l/c/config" => Included::File(b"".to_vec()),
            "/i/bad.conf" => Included::File(b"\nlxc.uts.nam = x".to_vec()),
            "/i/fan.conf" => Included::File(b"lxc.include = /i/wide.d".to_vec()),
            "/i/wide.d" => Included::Directory((0..2000).map(|n| format!("/i/w{n}").into()).collect()),
            "/i/denied.conf" => return Err(std::io::ErrorKind::PermissionDenied.into()),
            path if path.starts_with("/i/w") => Included::File(Vec::new()),
            path if path.starts_with("/deep/") => {
                let depth: u32 = path["/deep/".len()..].parse().unwrap();
                Included::File(format!("lxc.include = /deep/{}", depth + 1).into_bytes())
            }
            _ => Included::Missing,
        })
    }
}

/// The text, and what its message must say besides file and line.
const TABLE: &[(&str, &[&str])] = &[
    ("lxc.uts.name", &["no \"=\"", "key = value"]),
    ("lxc.uts.nam = x", &["lxc.uts.nam: no such key", "lxc.uts.name is the closest"]),
    ("lxc. = x", &["no such key"]),
    ("lxc.hook.prestart = x", &["lxc.hook.pre-start is the closest"]),
    ("lxc.cgrup2.memory.max = 1", &["no such key"]),
    ("lxc.cgroup2. = 3", &["no such key", "lxc.cgroup2.NAME"]),
    ("lxc.cgroup2 = 3", &["takes no value", "lxc.cgroup2.NAME"]),
    ("lxc.sysctl = 3", &["takes no value"]),
    ("lxc.uts.name = aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", &["65 bytes", "64"]),
    ("lxc.arch = vax", &["\"vax\" is not an architecture", "uname -m"]),
    ("lxc.autodev = 2", &["\"2\" is neither 0 nor 1"]),
    ("lxc.no_new_privs = yes", &["\"yes\" is neither 0 nor 1"]),
    ("lxc.start.auto = -1", &["neither 0 nor 1"]),
    ("lxc.hook.version = 2", &["neither 0 nor 1"]),
    ("lxc.pty.max = many", &["\"many\" is not a number", "4294967295"]),
    ("lxc.pty.max = 5000000000", &["is not a number"]),
    ("lxc.tty.max = -1", &["is not a number"]),
    ("lxc.autodev.tmpfs.size = 5M", &["\"5M\" is not a number"]),
    ("lxc.start.order = 3000000000", &["2147483647"]),
    ("lxc.init.uid = root", &["\"root\" is not a numeric id"]),
    ("lxc.init.gid = 4294967295", &["is not a numeric id"]),
    ("lxc.init.groups = 1,wheel", &["\"wheel\" is not a numeric id"]),
    ("lxc.console.size = 5XB", &["\"5XB\" is not a size", "kB, MB or GB"]),
    ("lxc.console.buffer.size = 99999999999GB", &["63 bits"]),
    ("lxc.signal.halt = USR1", &["\"USR1\" is not a signal", "SIGTERM"]),
    ("lxc.signal.stop = SIGRTMIN+99", &["is not a signal", "SIGRTMIN+n"]),
    ("lxc.log.level = loud", &["\"loud\" is not a log level", "trace"]),
    ("lxc.log.syslog = kern", &["\"kern\" is not a syslog facility"]),
    ("lxc.cap.drop = CAP_SYS_TIME", &["\"CAP_SYS_TIME\" is not a capability", "sys_time is closest"]),
    ("lxc.cap.drop = chown sys_tim", &["\"sys_tim\"", "sys_time"]),
    ("lxc.cap.keep = 64", &["\"64\" is not a capability"]),
    ("lxc.cap.drop = none", &["\"none\" is not a capability"]),
    (
        "lxc.cap.drop = chown\nlxc.cap.keep = kill",
        &["/l/c/config:4: lxc.cap.keep: lxc.cap.drop is set as well, in /l/c/config:3"],
    ),
    (
        "lxc.namespace.clone = pid\nlxc.namespace.keep = net",
        &[":4: lxc.namespace.keep: lxc.namespace.clone is set as well"],
    ),
    ("lxc.namespace.clone = network", &["\"network\" is not a namespace", "net"]),
    ("lxc.namespace.share.network = c1", &["\"network\" is not a namespace"]),
    ("lxc.time.offset.boot = 5", &["\"5\" is not an offset", "ms"]),
    ("lxc.time.offset.monotonic = 9223372036854775807h", &["64 bits"]),
    ("lxc.idmap = u 0 100000", &["\"u 0 100000\" is not an id map", "u 0 100000 65536"]),
    ("lxc.idmap = x 0 100000 1", &["is not an id map"]),
    ("lxc.idmap = u 0 100000 0", &["maps no ids", "at least 1"]),
    ("lxc.idmap = g 0 4294967290 100", &["past the last id"]),
    ("lxc.rootfs.options = ro,bind", &["no meaning for the root"]),
    ("lxc.rootfs.options = idmap=", &["names no id map"]),
    ("lxc.mount.entry = /a b", &["fewer than three fields", "\\040"]),
    ("lxc.mount.entry = /a b c d 0 0 e", &["more than six fields"]),
    ("lxc.mount.entry = /a b none bind,create=link", &["create=\"link\"", "create=dir or create=file"]),
    ("lxc.mount.entry = /a ../../b none bind", &["climbs"]),
    ("lxc.mount.entry = /a b none bind,idmap=", &["idmap names no id map"]),
    ("lxc.mount.auto = proc:ro", &["\"proc:ro\" is not an automatic mount", "proc:mixed"]),
    ("lxc.mount.auto = dev", &["\"dev\" is not an automatic mount", "cgroup-full"]),
    ("lxc.mount.auto = cgroup:mixed:maybe", &[":force"]),
    ("lxc.mount.auto = shmounts", &["shmounts:/directory-on-the-host"]),
    ("lxc.cgroup.dir = a/../../b", &["\"..\""]),
    ("lxc.prlimit.nofile = lots", &["\"lots\" is not a limit", "soft[:hard]"]),
    ("lxc.prlimit.nofile = 200:100", &["exceeds the hard one"]),
    ("lxc.prlimit.files = 5", &["\"files\" is not a limit the kernel knows"]),
    ("lxc.environment = =x", &["is not the name of a variable"]),
    ("lxc.seccomp.notify.proxy = /sock", &["\"/sock\" is not a unix socket", "unix:"]),
    ("lxc.net = veth", &["takes no value"]),
    ("lxc.net.0 = veth", &["takes no value"]),
    ("lxc.net.x.type = veth", &["no such key", "lxc.net.0.type"]),
    ("lxc.net.2147483647.type = veth", &["no such key"]),
    ("lxc.net.0. = veth", &["no such key"]),
    ("lxc.net.0.typ = veth", &["lxc.net.0.type is the closest"]),
    ("lxc.net.0.type = bridge", &["\"bridge\" is not known here", "veth"]),
    ("lxc.net.0.veth.pair = v", &["network 0 has no type yet", "lxc.net.0.type = veth"]),
    (
        "lxc.net.0.type = veth\nlxc.net.0.macvlan.mode = vepa",
        &[":4: ", "network 0 has type veth, not macvlan"],
    ),
    ("lxc.net.0.type = macvlan\nlxc.net.0.macvlan.mode = x", &["private, vepa, bridge, passthru"]),
    ("lxc.net.0.flags = down", &["write up, or nothing"]),
    ("lxc.net.0.link = a-very-long-interface", &["is not the name of an interface", "15"]),
    ("lxc.net.0.name = a/b", &["is not the name of an interface"]),
    ("lxc.net.0.hwaddr = 00:16:3e:zz:00:00", &["is not a hardware address", "00:16:3e:xx:xx:xx"]),
    ("lxc.net.0.mtu = big", &["\"big\" is not an MTU"]),
    ("lxc.net.0.ipv4.address = 300.0.0.1/24", &["is not an IPv4 address", "10.0.3.5/24"]),
    ("lxc.net.0.ipv4.gateway = here", &["is not an IPv4 gateway", "auto or dev"]),
    ("lxc.net.0.ipv6.address = fe80::1/200", &["is not an IPv6 address"]),
    ("lxc.net.0.type = veth\nlxc.net.0.veth.ipv4.route = 10.0.0.0", &["is not an IPv4 network"]),
    ("lxc.net.0.type = veth\nlxc.net.0.veth.vlan.id = 9999", &["is not a VLAN id", "4094"]),
    ("lxc.net.0.type = vlan\nlxc.net.0.vlan.id = 5000", &["is not a VLAN id"]),
    ("lxc.network.typ = veth", &["no such key"]),
    ("lxc.id_map = u 0", &["lxc.id_map: \"u 0\" is not an id map"]),
    ("lxc.include = /missing.conf", &["lxc.include: /missing.conf does not exist", "create it"]),
    ("lxc.include = missing.conf", &["/l/c/missing.conf does not exist"]),
    ("lxc.include = /i/denied.conf", &["cannot read /i/denied.conf: permission denied"]),
    ("lxc.include = /l/c/config", &["/l/c/config includes itself", "break the loop"]),
    ("lxc.include = /deep/0", &["deeper than 32"]),
    ("lxc.include = /i/fan.conf", &["more than 1024 included files"]),
    ("lxc.uts.name = a\0b", &["NUL byte"]),
];

#[test]
fn each_gives_one_clear_line() {
    assert!(TABLE.len() >= 60);
    for (text, parts) in TABLE {
        let message = message(text);
        assert!(!message.contains('\n') && !message.chars().any(char::is_control), "{message:?}");
        assert!(message.len() < 400, "{message}");
        assert!(message.contains("; "), "no remedy: {message}");
        for part in *parts {
            assert!(message.contains(part), "{text:?}: {part:?} is not in: {message}");
        }
        let inside_an_include = text.contains("/deep") || text.contains("/i/");
        let line = 2 + text.lines().count();
        if !inside_an_include {
            assert!(message.starts_with(&format!("/l/c/config:{line}: ")), "{message}");
        }
    }
}

#[test]
fn faults_in_included_files_name_those() {
    assert!(message("lxc.include = /i/bad.conf").starts_with("/i/bad.conf:2: lxc.uts.nam: no such key"));
    assert!(
        message("lxc.include = /i/loop.conf")
            .starts_with("/i/loop2.conf:1: lxc.include: /i/loop.conf includes")
    );
}

#[test]
fn hostile_values_cannot_forge_lines() {
    let text = "lxc.signal.halt = \u{1b}[2J\rlxc.uts.name: all is well";
    assert!(message(text).contains("\\u{1b}[2J\\r"), "{}", message(text));
    let long = format!("lxc.arch = {}", "é".repeat(5000));
    assert!(message(&long).len() < 400);
    let long = format!("lxc.{} = 1", "é".repeat(5000));
    assert!(message(&long).len() < 600, "{}", message(&long));
}

#[test]
fn sizes_are_bounded() {
    let parse = |text: Vec<u8>| Config::parse(&text, "c".as_ref(), None).unwrap_err().to_string();
    assert!(parse(vec![b'\n'; (1 << 20) + 1]).contains("1 MiB"));
    assert!(parse(b"lxc.group = a\n".repeat(1 << 15)).contains("more than 8192 settings"));
}

#[test]
fn bytes_that_are_no_text_are_refused_in_settings_only() {
    let parse = |text: &[u8]| Config::parse(text, "c".as_ref(), None);
    assert!(
        parse(b"lxc.uts.name = \xff")
            .unwrap_err()
            .to_string()
            .starts_with("c:1: the line is not valid UTF-8")
    );
    assert!(parse(b"# \xff\nfoo \xfe\0\n").is_ok());
}

#[test]
fn overlapping_id_maps_are_found_when_asked_for() {
    let text = "lxc.idmap = u 0 100000 65536\nlxc.idmap = g 0 100000 65536\nlxc.idmap = u 5 300000 1\n";
    let config = Config::parse(text.as_bytes(), "c".as_ref(), None).unwrap();
    let message = config.id_maps().unwrap_err().to_string();
    assert!(message.starts_with("c:3: lxc.idmap: ") && message.contains("overlap"), "{message}");
}

#[test]
fn an_unreadable_file_is_named() {
    let message = Config::load(Path::new("/nonexistent/config")).unwrap_err().to_string();
    assert!(message.starts_with("/nonexistent/config: cannot read it: No such file"), "{message}");
    assert!(Config::load(Path::new("/dev/zero")).unwrap_err().to_string().contains("not a regular file"));
}
