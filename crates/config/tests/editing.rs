//! Changes to a configuration and the text they leave behind.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

use std::path::Path;

use hull_config::{Config, FileIncludes};

fn config(text: &str) -> Config {
    Config::parse(text.as_bytes(), Path::new("/l/c/config"), None).unwrap()
}

fn text(config: &Config) -> String {
    String::from_utf8(config.to_text()).unwrap()
}

#[test]
fn a_changed_value_keeps_its_line() {
    let mut config = config("# name\n  lxc.uts.name=a\r\n\n# rest\nlxc.tty.max = 4");
    config.set("lxc.uts.name", "b").unwrap();
    assert_eq!(text(&config), "# name\n  lxc.uts.name=b\r\n\n# rest\nlxc.tty.max = 4");
    config.set("lxc.start.auto", "1").unwrap();
    assert_eq!(text(&config), "# name\n  lxc.uts.name=b\r\n\n# rest\nlxc.tty.max = 4\nlxc.start.auto = 1\n");
    assert!(config.flag("lxc.start.auto", false));
}

#[test]
fn lists_grow_and_are_replaced_as_a_whole() {
    let mut config = config("lxc.cap.drop = chown\n# why\nlxc.cap.drop = kill fowner\n");
    config.append("lxc.cap.drop", "mknod").unwrap();
    assert_eq!(config.values("lxc.cap.drop").collect::<Vec<_>>(), ["chown", "kill", "fowner", "mknod"]);
    config.replace("lxc.cap.drop", &["lease"]).unwrap();
    assert_eq!(text(&config), "# why\nlxc.cap.drop = lease\n");
    assert!(config.append("lxc.uts.name", "x").is_err());
    assert!(config.replace("lxc.cap.drop", &["chown", "bogus"]).is_err());
    assert_eq!(text(&config), "# why\nlxc.cap.drop = lease\n", "a refused change leaves nothing behind");
}

#[test]
fn odd_values_are_quoted_and_line_ends_refused() {
    let mut config = Config::empty();
    for value in [" a ", "\"a\"", "'", "a # b", "\t"] {
        config.set("lxc.tty.dir", value).unwrap();
        assert_eq!(config.get("lxc.tty.dir").as_deref(), Some(value));
        let again = self::config(&text(&config));
        assert_eq!(again.get("lxc.tty.dir").as_deref(), Some(value));
    }
    let message = config.set("lxc.tty.dir", "a\nlxc.hook.start = /evil").unwrap_err().to_string();
    assert!(message.contains("line end"), "{message}");
}

#[test]
fn clearing_what_an_include_sets_leaves_a_clearing_line() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(
        directory.path().join("inc.conf"),
        "lxc.cap.drop = chown\nlxc.tty.max = 4\nlxc.net.0.type = veth\n",
    )
    .unwrap();
    let path = directory.path().join("config");
    std::fs::write(&path, "lxc.include = inc.conf\nlxc.cap.drop = kill\nlxc.uts.name = c\n").unwrap();
    let mut config = Config::load(&path).unwrap();
    assert_eq!(config.get("lxc.cap.drop").as_deref(), Some("chown\nkill\n"));
    for key in ["lxc.cap.drop", "lxc.net.0.type", "lxc.uts.name"] {
        config.clear(key).unwrap();
    }
    config.set("lxc.tty.max", "6").unwrap();
    assert_eq!(text(&config), "lxc.include = inc.conf\nlxc.cap.drop =\nlxc.net.0 =\nlxc.tty.max = 6\n",);
    std::fs::write(&path, config.to_text()).unwrap();
    let again = Config::load(&path).unwrap();
    assert_eq!(again.get("lxc.cap.drop").as_deref(), Some(""));
    assert_eq!(again.get("lxc.tty.max").as_deref(), Some("6"));
    assert_eq!(again.networks().count(), 0);
}

#[test]
fn a_value_is_set_after_the_include_that_would_overrule_it() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("inc.conf"), "lxc.tty.max = 4\n").unwrap();
    let path = directory.path().join("config");
    std::fs::write(&path, "lxc.tty.max = 2\nlxc.include = inc.conf\n").unwrap();
    let mut config = Config::load(&path).unwrap();
    config.set("lxc.tty.max", "6").unwrap();
    assert_eq!(text(&config), "lxc.include = inc.conf\nlxc.tty.max = 6\n");
}

#[test]
fn includes_are_followed_in_order_and_named() {
    let directory = tempfile::tempdir().unwrap();
    let more = directory.path().join("more.d");
    std::fs::create_dir(&more).unwrap();
    std::fs::create_dir(more.join("z.conf")).unwrap();
    for (name, text) in [
        ("20-b.conf", "lxc.group = b\n"),
        ("10-a.conf", "lxc.group = a\n"),
        ("no.txt", "lxc.bogus = 1\n"),
        (".conf", "lxc.bogus = 1\n"),
    ] {
        std::fs::write(more.join(name), text).unwrap();
    }
    let path = directory.path().join("config");
    std::fs::write(
        &path,
        "lxc.group = first\nlxc.include = more.d\nlxc.include = /missing.d/\nlxc.group = last\n",
    )
    .unwrap();
    let mut config = Config::load(&path).unwrap();
    assert_eq!(config.values("lxc.group").collect::<Vec<_>>(), ["first", "a", "b", "last"]);
    let setting = &config.settings()[2];
    assert_eq!(
        (setting.key.as_str(), &*setting.file, setting.line),
        ("lxc.group", &*more.join("20-b.conf"), 1)
    );
    config.include("more.d/", &FileIncludes).unwrap();
    assert_eq!(config.values("lxc.group").count(), 6);
    assert!(text(&config).ends_with("lxc.include = more.d/\n"));
}

#[test]
fn legacy_keys_are_read_and_rewritten_when_something_changes() {
    let old = "# old\nlxc.utsname = a\nlxc.rootfs.backend = overlayfs\nlxc.rootfs = /l:/u\nlxc.kmsg = 0\n\
               lxc.id_map = u 0 100000 65536\nlxc.limit.core = 5\nlxc.network.type = veth\nlxc.network.link = br0\n\
               lxc.network.type = phys\nlxc.network.link = eth1\nlxc.network.0.mtu = 9000\nlxc.network.ipv4 = 10.0.0.1/24\n";
    let mut config = config(old);
    assert_eq!(text(&config), old);
    let table = [
        ("lxc.uts.name", "a"),
        ("lxc.rootfs.path", "/l:/u"),
        ("lxc.idmap", "u 0 100000 65536"),
        ("lxc.prlimit.core", "5"),
        ("lxc.net", "veth\nphys\n"),
        ("lxc.net.0.link", "br0"),
        ("lxc.net.0.mtu", "9000"),
        ("lxc.net.1.link", "eth1"),
        ("lxc.net.1.ipv4.address", "10.0.0.1/24"),
    ];
    for (key, value) in table {
        assert_eq!(config.get(key).as_deref(), Some(value), "{key}");
    }
    assert_eq!(config.rootfs_path().unwrap().kind(), Some("overlayfs"));
    assert_eq!(config.settings()[0].legacy.as_deref(), Some("lxc.utsname"));
    config.clear("lxc.net.0").unwrap();
    let new = text(&config);
    assert!(new.starts_with("# old\nlxc.uts.name = a\n") && new.contains("\n# lxc.kmsg = 0\n"), "{new}");
    assert!(!new.contains("lxc.network") && new.contains("lxc.net.1.link = eth1\n"), "{new}");
    let again = self::config(&new);
    assert_eq!(again.get("lxc.net.1.ipv4.address").as_deref(), Some("10.0.0.1/24"));
    assert_eq!(again.get("lxc.rootfs.path").as_deref(), Some("/l:/u"));
}

#[test]
fn what_confines_is_listed_with_its_place() {
    let config = config(
        "lxc.uts.name = a\nlxc.cap.drop = chown kill\nlxc.net.0.type = empty\nlxc.no_new_privs = 1\nlxc.sysctl.a = 1\nlxc.sysctl =\n",
    );
    let keys: Vec<_> = config.confining().map(|setting| (setting.key.as_str(), setting.line)).collect();
    assert_eq!(keys, [("lxc.cap.drop", 2), ("lxc.net.0.type", 3), ("lxc.no_new_privs", 4)]);
}

#[test]
fn keys_of_a_network_are_those_of_its_type() {
    let config = config("lxc.net.0.type = veth\n");
    let keys = config.keys("lxc.net.0");
    assert!(
        keys.contains(&"lxc.net.0.veth.pair".to_owned()) && !keys.contains(&"lxc.net.0.vlan.id".to_owned())
    );
    assert_eq!(config.keys("lxc.uts"), ["lxc.uts.name"]);
    assert!(config.keys("").len() > 80);
}
