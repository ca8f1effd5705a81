//! What a runtime gets from a configuration that sets nearly everything.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

use std::path::Path;

use hull_config::value::{
    Capability, CgroupView, Environment, Gateway4, MountEntry, MountIdMap, Namespace, Personality, ProcAuto,
    SysAuto,
};
use hull_config::{Capabilities, Config};

fn config(text: &str) -> Config {
    Config::parse(text.as_bytes(), Path::new("/l/c/config"), None).unwrap()
}

#[test]
fn an_empty_configuration_gives_the_defaults() {
    let config = Config::empty();
    assert_eq!(config.personality(), Ok(None));
    assert!(config.rootfs_path().is_none() && config.mount_entries().unwrap().is_empty());
    assert_eq!(config.capabilities(), Ok(Capabilities::All));
    let signals = config.signals().unwrap();
    assert_eq!((signals.halt.number(), signals.reboot.number(), signals.stop.number()), (30, 2, 9));
    assert!(!signals.halt_is_set);
    assert_eq!(config.parent_death_signal().unwrap().number(), 9);
    assert_eq!(config.console().unwrap().path, None);
    assert!(config.flag("lxc.autodev", true) && !config.flag("lxc.autodev", false));
    assert_eq!(config.number("lxc.autodev.tmpfs.size", 500_000), Ok(500_000));
    assert_eq!(
        (config.networks().count(), config.id_maps().unwrap().len(), config.start_order()),
        (0, 0, Ok(0))
    );
    assert_eq!(config.namespaces().unwrap().clone, None);
}

#[test]
fn process_and_security() {
    let config = config(
        "lxc.arch = i686\nlxc.cap.keep = chown none kill 12\nlxc.prlimit.nofile = 5:unlimited\n\
         lxc.signal.halt = SIGRTMIN+3\nlxc.environment = A=b\nlxc.environment = C\nlxc.environment.runtime = D=e\n\
         lxc.init.groups = 1, 2\nlxc.init.uid = 5\nlxc.sysctl.kernel.shmmax = 7\nlxc.sysctl.kernel.shmmax = 8\n\
         lxc.proc.oom_score_adj = 10\nlxc.hook.start = /a b\nlxc.hook.start = /c\nlxc.hook.start-host = /d\n\
         lxc.idmap = u 0 100000 65536\nlxc.idmap = g 0 100000 65536\nlxc.time.offset.boot = -1500ms\nlxc.start.order = -3\n",
    );
    assert_eq!(config.personality(), Ok(Some(Personality::Linux32)));
    let Capabilities::Keep(keep) = config.capabilities().unwrap() else { panic!("keep was set") };
    assert_eq!(keep.into_iter().map(Capability::number).collect::<Vec<_>>(), [5, 12]);
    let (number, limit) = config.limits().unwrap()[0];
    assert_eq!((number, limit.soft, limit.hard), (7, Some(5), None));
    assert_eq!(config.signals().unwrap().halt.number(), 37);
    let variable =
        |name: &str, value: Option<&str>| Environment { name: name.into(), value: value.map(Into::into) };
    assert_eq!(config.environment().unwrap(), [variable("A", Some("b")), variable("C", None)]);
    assert_eq!(config.runtime_environment().unwrap(), [variable("D", Some("e"))]);
    assert_eq!((config.init_groups().unwrap(), config.number("lxc.init.uid", 0)), (vec![1, 2], Ok(5)));
    assert_eq!(config.sysctls().collect::<Vec<_>>(), [("kernel.shmmax", "8")]);
    assert_eq!(config.proc_files().collect::<Vec<_>>(), [("oom_score_adj", "10")]);
    assert_eq!(config.hooks("start").collect::<Vec<_>>(), ["/a b", "/c"]);
    assert_eq!(config.id_maps().unwrap().len(), 2);
    assert_eq!(config.time_offsets().unwrap().0.unwrap().normalised(), (-2, 500_000_000));
    assert_eq!(config.start_order(), Ok(-3));
    let none = self::config("lxc.cap.keep = none\n");
    assert_eq!(none.capabilities(), Ok(Capabilities::Keep(Vec::new())));
}

#[test]
fn mounts_and_cgroups() {
    let config = config(
        "lxc.rootfs.path = overlay:/l:/u\nlxc.rootfs.options = ro,nodev,idmap=container,size=5\n\
         lxc.mount.auto = cgroup:mixed:force proc:rw\nlxc.mount.auto = sys:ro shmounts:/h\n\
         lxc.mount.entry = /a b none bind,optional\nlxc.cgroup.devices.deny = a\nlxc.cgroup2.devices.allow = c 1:3 rwm\n\
         lxc.cgroup2.memory.max = 5M\nlxc.cgroup.dir = x\nlxc.namespace.clone = net pid\nlxc.namespace.share.ipc = other\n\
         lxc.console.buffer.size = auto\nlxc.console.logfile = /log\nlxc.console.rotate = 1\n",
    );
    let rootfs = config.rootfs_path().unwrap();
    assert_eq!((rootfs.kind(), rootfs.path(), rootfs.whole()), (Some("overlay"), "/l:/u", "overlay:/l:/u"));
    let options = config.rootfs_options().unwrap();
    assert_eq!((options.attributes_set, options.idmap), (0x5, Some(MountIdMap::Container)));
    assert_eq!(options.data, ["size=5"]);
    let auto = config.auto_mounts().unwrap();
    assert_eq!((auto.proc, auto.sys), (Some(ProcAuto::ReadWrite), Some(SysAuto::ReadOnly)));
    let cgroup = auto.cgroup.unwrap();
    assert_eq!((cgroup.view, cgroup.force, cgroup.full), (Some(CgroupView::Mixed), true, false));
    assert_eq!(auto.shmounts.unwrap().container, "/dev/.lxc-mounts");
    assert!(config.mount_entries().unwrap()[0].optional);
    let files: Vec<_> = config.cgroup2().map(|setting| (setting.file, setting.value)).collect();
    assert_eq!(files, [("devices.allow", "c 1:3 rwm"), ("memory.max", "5M")]);
    let files: Vec<_> = config.cgroup1().map(|setting| (setting.file, setting.value)).collect();
    assert_eq!(files, [("devices.deny", "a")], "lxc.cgroup.dir is no file of a cgroup");
    let namespaces = config.namespaces().unwrap();
    assert!(namespaces.clone.unwrap().into_iter().eq([Namespace::Pid, Namespace::Net]));
    assert_eq!(namespaces.share, [(Namespace::Ipc, "other".to_owned())]);
    let console = config.console().unwrap();
    assert_eq!((console.buffer_size, console.logfile, console.rotate), (131_072, Some("/log"), true));
}

#[test]
fn networks() {
    let config = config(
        "lxc.net.5.type = phys\nlxc.net.0.type = veth\nlxc.net.0.flags = up\nlxc.net.0.mtu = 1500\n\
         lxc.net.0.hwaddr = 00:16:3e:xx:xx:xx\nlxc.net.0.ipv4.address = 10.0.0.1/24\nlxc.net.0.ipv4.address = 10.0.1.1/24\n\
         lxc.net.0.ipv4.gateway = auto\nlxc.net.2.link = l\n",
    );
    let networks: Vec<_> = config.networks().collect();
    assert_eq!(
        networks.iter().map(|net| (net.index(), net.kind())).collect::<Vec<_>>(),
        [(0, "veth"), (2, "empty"), (5, "phys")]
    );
    let veth = networks[0];
    assert!(veth.is_up() && !networks[2].is_up());
    assert_eq!((veth.number("mtu"), veth.ipv4_gateway()), (Ok(Some(1500)), Ok(Some(Gateway4::Auto))));
    assert_eq!(veth.ipv4_addresses().unwrap()[1].broadcast.to_string(), "10.0.1.255");
    assert_eq!(veth.hardware_address().unwrap().unwrap().0[..3], [0x00, 0x16, 0x3e]);
    assert_eq!(networks[1].value("link"), Some("l"));
}

#[test]
fn an_fstab_is_read_line_by_line() {
    let entries =
        MountEntry::parse_fstab("# c\n\n/a b none bind\n  proc p proc defaults 0 0\n", Path::new("f"))
            .unwrap();
    assert_eq!(entries.iter().map(|entry| entry.target.as_str()).collect::<Vec<_>>(), ["b", "p"]);
    let message = MountEntry::parse_fstab("/a b none\n\n/c\n", Path::new("/f")).unwrap_err().to_string();
    assert!(message.starts_with("/f:3: \"/c\" is not a mount"), "{message}");
}
