//! One configuration, started by LXC and by Hull: what the container's first process finds must be the same.

use std::os::unix::fs::PermissionsExt;

use hull_integration_tests::command::run;
use hull_integration_tests::house::{self, House, text};

/// Prints what a first process may and has: privileges, limits, environment, devices, mounts, network, identity.
const LOOK: &str = "
    grep -E '^(Cap|NoNew|Seccomp:|Uid|Gid|Groups)' /proc/1/status
    grep -E '^(Cap|NoNew|Seccomp:|Uid|Gid|Groups)' /proc/self/status
    cut -c1-60 /proc/1/limits
    tr '\\0' '\\n' < /proc/1/environ | grep -vE '^(HOME|PATH|TERM|container_ttys)=' | sort
    ls -l /dev | awk 'NF > 5 { print substr($1, 1, 10), $3, $4 }' | sort | uniq -c
    hostname; cat /proc/sys/net/ipv4/ip_forward /proc/1/oom_score_adj /proc/self/uid_map /proc/1/cgroup
    readlink /proc/1/cwd; ls /sys/class/net; uname -m; cat /mnt/f /new/deep/dir/f /etc/file 2>/dev/null
    touch /mnt/g 2>/dev/null && echo writable; touch /touched 2>/dev/null && echo writable root; exit 0";

/// Mount points, kinds and whether they can be written, but for what the two do differently on purpose: `/dev/ptmx` is
/// a link or a mount, the host's boot_id is hidden or not.
fn mounts(table: &str) -> Vec<String> {
    let lines = table.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let short = |words: Vec<&str>| format!("{} {} {}", words[1], words[2], &words[3][..2]);
    let mut all: Vec<String> =
        lines.map(short).filter(|m| !m.contains("ptmx") && !m.contains("boot_id")).collect();
    all.sort();
    all
}

/// What is found in the container, without what is known to differ.
fn look(house: &House) -> (String, Vec<String>) {
    let enter = |line| house.stock(&["lxc-attach", "-n", "c1", "--", "/bin/sh", "-c", line]).ok();
    let found = enter(LOOK);
    // LXC gives the terminal it attaches for the console other permissions.
    let found = found.lines().filter(|line| !line.contains("root tty") && !line.contains("pts/ptmx"));
    let found: Vec<&str> = found
        .filter(|line| !line.ends_with("crw-rw-rw- root root") && !line.ends_with("lrwxrwxrwx root root"))
        .collect();
    (found.join("\n"), mounts(&enter("cat /proc/mounts")))
}

/// Starts a container with each of `cases` added to its configuration, with LXC and with Hull, and compares.
fn compare(test: &str, cases: &[&str]) {
    let Some(house) = house::plain(&format!("interop_config::{test}")) else { return };
    house.hull_creates("c1", &[]);
    let shared = house.root().join("shared");
    std::fs::create_dir(&shared).expect("a new directory");
    std::fs::set_permissions(&shared, std::fs::Permissions::from_mode(0o777)).expect("our directory's mode");
    std::fs::write(shared.join("f"), "a shared file\n").expect("a new file");
    std::fs::write(house.root().join("fstab"), format!("{} mnt none bind,ro 0 0\n", shared.display()))
        .expect("a new file");
    let base = std::fs::read_to_string(house.at("c1", "config")).expect("a configuration");
    for case in cases {
        let lines = case.replace("{root}", text(house.root()));
        std::fs::write(house.at("c1", "config"), format!("{base}{lines}\n")).expect("the configuration");
        let (stock, hull) = (house.stock(&["lxc-start", "-n", "c1"]), &house);
        if stock.code() != 0 {
            let said = hull.hull(&["start", "c1"]).fails(1);
            assert_eq!(said.lines().count(), 1, "{case}: {said}");
            continue;
        }
        let by_stock = look(&house);
        house.stock(&["lxc-stop", "-n", "c1", "-k"]).ok();
        house.hull(&["start", "c1"]).ok();
        let by_hull = look(&house);
        house.hull(&["stop", "--kill", "c1"]).ok();
        assert_eq!(by_hull, by_stock, "with {case}");
    }
}

#[test]
fn privileges() {
    compare(
        "privileges",
        &[
            "",
            "lxc.cap.drop =\nlxc.cap.keep = chown setuid setgid kill sys_admin",
            "lxc.cap.drop = net_raw chown",
            "lxc.cap.drop = net_admin\nlxc.mount.auto = sys:mixed",
            "lxc.no_new_privs = 1",
            "lxc.init.groups = 5,6",
            "lxc.cap.drop = all_wrong",
        ],
    );
}

#[test]
fn limits_and_environment() {
    compare(
        "limits_and_environment",
        &[
            "lxc.prlimit.nofile = 100:200\nlxc.prlimit.core = 0",
            "lxc.environment = A=b c\nlxc.environment = B=",
            "lxc.sysctl.net.ipv4.ip_forward = 1",
            "lxc.proc.oom_score_adj = 10",
            "lxc.init.cwd = /tmp\nlxc.uts.name = other",
            "lxc.arch = i686",
        ],
    );
}

#[test]
fn mounted() {
    compare(
        "mounted",
        &[
            "lxc.mount.auto =\nlxc.mount.auto = proc:rw sys:rw",
            "lxc.mount.auto =\nlxc.mount.auto = proc:mixed sys:mixed cgroup-full:rw",
            "lxc.mount.entry = {root}/shared new/deep/dir none bind,ro,create=dir 0 0\n\
             lxc.mount.entry = {root}/shared/f etc/file none bind,create=file 0 0",
            "lxc.mount.entry = {root}/shared mnt none bind 0 0",
            "lxc.mount.entry = /nosuch mnt none bind,optional 0 0",
            "lxc.mount.entry = /nosuch mnt none bind 0 0",
            "lxc.mount.fstab = {root}/fstab",
            "lxc.rootfs.options = ro",
        ],
    );
}

#[test]
fn devices_and_network() {
    // A container on the host's network must leave it as it is.
    let network = || std::fs::read_to_string("/proc/net/fib_trie").unwrap_or_default();
    let before = network();
    compare(
        "devices_and_network",
        &[
            "lxc.tty.max = 0",
            "lxc.tty.max = 4",
            "lxc.autodev.tmpfs.size = 1000000",
            "lxc.net.0.type = none",
            "lxc.net.0.type = empty",
            "lxc.hook.start-host = /bin/false",
            "lxc.cgroup.nosuch.file = 1",
        ],
    );
    assert_eq!(network(), before, "the host's addresses and routes");
}

#[test]
fn the_distributions_common_configuration() {
    compare(
        "the_distributions_common_configuration",
        &[
            "lxc.include = /usr/share/lxc/config/common.conf",
            "lxc.seccomp.profile = /usr/share/lxc/config/common.seccomp",
            "lxc.include = /usr/share/lxc/config/common.conf\nlxc.cap.drop = net_raw\nlxc.mount.auto = proc:rw",
        ],
    );
}

/// The cgroup directory of the first process for a v1 controller.
fn cgroup(house: &House, controller: &str) -> std::path::PathBuf {
    let table =
        std::fs::read_to_string(format!("/proc/{}/cgroup", house.pid("c1"))).expect("the first process");
    let of = |line: &str| line.split(':').nth(1) == Some(controller);
    let line = table.lines().find(|line| of(line)).unwrap_or_else(|| panic!("no {controller} in {table}"));
    let path = line.splitn(3, ':').nth(2).expect("a path").trim_start_matches('/');
    std::path::Path::new("/sys/fs/cgroup").join(controller).join(path)
}

#[test]
fn limits_of_control_groups_are_set_alike() {
    let Some(house) = house::plain("interop_config::limits_of_control_groups_are_set_alike") else { return };
    if !std::path::Path::new("/sys/fs/cgroup/pids").exists() {
        return hull_testskip::skip(
            "interop_config::limits_of_control_groups_are_set_alike",
            "no cgroup v1 here",
        );
    }
    house.hull_creates("c1", &[]);
    house.configure(
        "c1",
        "lxc.cgroup.pids.max = 40\nlxc.cgroup.memory.limit_in_bytes = 64M\nlxc.cgroup.cpu.shares = 512\n\
         lxc.cgroup.devices.deny = a\nlxc.cgroup.devices.allow = c 1:3 rwm\nlxc.cgroup.devices.allow = c 136:* rw",
    );
    let files = [
        ("pids", "pids.max"),
        ("memory", "memory.limit_in_bytes"),
        ("cpu", "cpu.shares"),
        ("devices", "devices.list"),
    ];
    let read = || {
        files.map(|(controller, file)| {
            std::fs::read_to_string(cgroup(&house, controller).join(file))
                .unwrap_or_else(|e| panic!("{file}: {e}"))
        })
    };
    house.stock(&["lxc-start", "-n", "c1"]).ok();
    let by_stock = read();
    house.stock(&["lxc-stop", "-n", "c1", "-k"]).ok();
    house.hull(&["start", "c1"]).ok();
    assert_eq!(read(), by_stock);
    assert_eq!(by_stock[0], "40\n");
    let place = cgroup(&house, "pids");
    assert!(place.to_string_lossy().contains("lxc.payload.c1"), "{}", place.display());
    // They hold: neither a device that is not allowed nor the 41st process.
    let null = house.inside("c1", "echo x > /dev/null && ! head -c1 /dev/zero 2>/dev/null && echo refused");
    assert_eq!(null, "refused\n");
    let many = "n=0; while [ $n -lt 60 ]; do sleep 1 & n=$((n+1)); done; wait";
    let forked = house.hull(&["exec", "c1", "/bin/sh", "-c", many]);
    assert!(forked.stderr.contains("fork"), "{forked}");
    house.hull(&["stop", "--kill", "c1"]).ok();
    assert!(!place.exists(), "{} is left", place.display());
}

#[test]
fn a_system_call_policy_holds() {
    let Some(house) = house::plain("interop_config::a_system_call_policy_holds") else { return };
    house.hull_creates("c1", &[]);
    let policy = house.root().join("policy");
    std::fs::write(&policy, "2\ndenylist\nmkdir errno 13\nmkdirat errno 13\n").expect("a new file");
    house.configure("c1", &format!("lxc.seccomp.profile = {}", policy.display()));
    let line =
        "mkdir /forbidden 2>/dev/null || echo refused; rmdir /forbidden 2>/dev/null; rmdir /nosuch 2>&1";
    house.stock(&["lxc-start", "-n", "c1"]).ok();
    let by_stock = house.stock(&["lxc-attach", "-n", "c1", "--", "/bin/sh", "-c", line]);
    let by_hull = house.hull(&["exec", "c1", "/bin/sh", "-c", line]);
    assert_eq!((by_hull.code(), &by_hull.stdout), (by_stock.code(), &by_stock.stdout));
    assert!(by_hull.stdout.starts_with("refused\n"), "{by_hull}");
    house.hull(&["stop", "--kill", "c1"]).ok();
    house.hull(&["start", "c1"]).ok();
    let again = house.stock(&["lxc-attach", "-n", "c1", "--", "/bin/sh", "-c", line]);
    assert_eq!(again.stdout, by_stock.stdout);
    assert_eq!(house.hull(&["exec", "c1", "/bin/sh", "-c", line]).stdout, by_stock.stdout);
    // A policy that cannot be read confines nobody, so nothing starts.
    std::fs::write(&policy, "2\ndenylist\nno_such_call errno 13\n[nonsense\n").expect("our file");
    house.hull(&["stop", "--kill", "c1"]).ok();
    std::fs::remove_file(&policy).expect("our file");
    let said = house.hull(&["start", "c1"]).fails(1);
    assert!(said.contains(text(&policy)), "{said}");
    assert_eq!(run("/bin/ls", &[text(&house.at("c1", "rootfs"))]).ok().matches("forbidden").count(), 0);
}
