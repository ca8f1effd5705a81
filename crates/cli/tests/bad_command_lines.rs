//! What is wrong with a command line, a name, a locator or a configuration is told in one line, and nothing changes.

mod ground;

use ground::{Ground, words};
use std::collections::BTreeSet;

/// Command lines that `hull` cannot understand: exit code 2.
const USAGE: &str = "
hull
hull --nonsense
hull nonsense
hull creat c
hull create
hull create c --store
hull create c --size
hull create c --size 0
hull create c --size 5X
hull create c --size 99999999999G
hull create c --template t --archive a
hull create c --empty --no-rootfs
hull create c --empty -- argument
hull create c --no-rootfs -- argument
hull create c --empty --dir relative
hull create c extra
hull start
hull start good --set nonsense
hull start good --set lxc.nonsense=1
hull start good extra
hull exec
hull exec good
hull exec good --uid x -- ls
hull exec good --env =x -- ls
hull exec good --env x -- ls
hull attach
hull attach good extra
hull stop
hull stop good --timeout x
hull stop good --timeout -1
hull stop good --kill --timeout 5
hull stop good --kill --reboot
hull wait
hull wait good --timeout x
hull ls extra
hull info
hull info good extra
hull clone
hull clone good
hull clone good new --snapshot --copy
hull snapshot
hull snapshot good --list --delete snap0
hull snapshot good --list --comment x
hull snapshot good --json
hull restore good
hull rename good
hull destroy
hull doctor a b
hull recover extra
hull bench
hull bench extra
hull bench --store dir
hull bench --store dir: --quick
hull bench --store dir:relative
hull bench --store lvm:a/b/c
hull bench --store zfs:a//b
hull bench --scratch=nonsense
hull bench --scratch --rounds 0
hull bench --scratch --rounds x
hull bench --scratch --seed -1
hull bench --scratch --caches lukewarm
hull bench --scratch --only nonsense
hull bench --from {dir}/r.json --quick
hull volume
hull volume nonsense
hull volume create
hull volume create dir:{dir}/v --size x
hull volume clone dir:{dir}/v
hull volume mount dir:{dir}/v
hull volume usage
hull volume rm
hull --lxcpath
hull --generate man
hull --reap {dir}
hull --generate nonsense {dir}/g
hull info \\xff
hull -P '' ls
";

/// Requests that are understood and refused.
const REFUSED: &str = "
hull bench --store nonsense:{dir}
hull bench --store nbd:{dir}
hull bench --store dir:{dir}/nothing
hull bench --store dir:{dir}/not-an-archive
hull bench --store dir:{dir} --rootfs {dir}/nothing
hull bench --store dir:{dir} --rootfs /dev/null
hull bench --store dir:{dir} --rootfs generate:files=0
hull bench --store dir:{dir} --rootfs generate:colour=1
hull bench --store dir:{dir} --rootfs {dir}/not-an-archive --quick --work {dir}
hull bench --store dir:{dir} --store dir:{dir}
hull bench --store dir:{dir} --work {dir}/nothing
hull bench --store dir:{dir} --save {dir}/nothing/r.json
hull bench --store dir:{dir} --html {dir}
hull bench --store dir:{dir} --compare {dir}/nothing
hull bench --store dir:{dir} --compare {dir}/not-an-archive
hull bench --from {dir}/nothing
hull bench --from {dir}/not-an-archive
hull info nothing
hull info ''
hull info .
hull info ..
hull info .hidden
hull info a/b
hull info ../x
hull info a\\nb
hull info {long}
hull create good --empty
hull create '' --empty
hull create .x --empty
hull create a/b --empty
hull create a\\nb --empty
hull create {long} --empty
hull create c --empty --store nonsense
hull create c --empty --store o
hull create c --empty --store zfs
hull create c --empty --store dir,
hull create c --empty --size 1G
hull create c --template no-such-template
hull create c --template ./relative
hull create c --template {dir}/no-such-file
hull create c --archive {dir}/no-such-file
hull create c --archive {dir}/not-an-archive
hull create c --empty --config {dir}/no-such-file
hull create c --empty --config {dir}
hull create c --empty --config {dir}/broken/config
hull start nothing
hull start broken
hull exec nothing -- ls
hull exec good -- ls
hull attach good
hull stop nothing
hull stop good
hull wait good --state nonsense
hull wait good --state running --timeout 0
hull clone nothing new
hull clone good good
hull clone good .new
hull clone good a/b
hull clone good new --store nonsense
hull clone good new --store rbd
hull clone broken new
hull snapshot nothing
hull snapshot broken
hull snapshot good --delete snap0
hull snapshot good --delete ''
hull snapshot good --delete ../good
hull restore good snap0
hull restore good ''
hull restore good ..
hull restore nothing snap0
hull rename nothing new
hull rename good good
hull rename good broken
hull rename good a/b
hull rename good ''
hull destroy nothing
hull destroy ..
hull config nothing
hull config broken
hull config good lxc.nonsense
hull doctor nothing
hull doctor broken
hull volume info ''
hull volume info relative
hull volume info relative/path
hull volume info :
hull volume info dir:
hull volume info :/path
hull volume info dir:relative
hull volume info dir:{dir}/no-such-volume
hull volume info {dir}/no-such-volume
hull volume info d:{dir}/good/rootfs
hull volume info direct:{dir}/good/rootfs
hull volume info zfs:pool/volume
hull volume info overlay:{dir}
hull volume info overlay::
hull volume info dir:/a\\nb
hull volume info dir:{dir}/not-an-archive
hull volume usage dir:{dir}/no-such-volume
hull volume create dir:relative
hull volume create relative
hull volume create dir:/
hull volume create dir:{dir}/good
hull volume create dir:{dir}/no/such/directory
hull volume create overlay:{dir}/a:{dir}/b
hull volume create dir:{dir}/new --size 1G
hull volume create nbd:{dir}/new
hull volume clone dir:{dir}/nothing dir:{dir}/new
hull volume clone dir:{dir}/good/rootfs dir:{dir}/good
hull volume clone dir:{dir}/good/rootfs dir:relative
hull volume clone dir:{dir}/good/rootfs dir:{dir}/new --snapshot
hull volume clone dir:{dir}/good/rootfs lvm:{dir}/new
hull volume restore dir:{dir}/nothing dir:{dir}/good/rootfs
hull volume rename dir:{dir}/nothing dir:{dir}/new
hull volume rename dir:{dir}/good/rootfs btrfs:{dir}/new
hull volume rename dir:{dir}/good/rootfs dir:{dir}/broken
hull volume mount dir:{dir}/good/rootfs {dir}/no-such-directory
hull volume mount dir:{dir}/nothing {dir}
hull volume umount {dir}
hull volume umount {dir}/no-such-directory
hull volume ls {dir}/no-such-directory
hull volume rm dir:{dir}/good
hull volume rm dir:{dir}/nothing
hull volume rm nothing
lxc-info
lxc-info --nonsense
lxc-info -z
lxc-info -n
lxc-info --st good
lxc-info good extra
lxc-info nothing
lxc-info broken
lxc-info ../good
lxc-info -n ''
lxc-info -P '' good
lxc-info good -l NONSENSE
lxc-info \\xff
lxc-ls --filter [
lxc-ls -f -F NONSENSE
lxc-ls --nesting
lxc-ls --nesting=x
lxc-ls a b
lxc-config nonsense
lxc-config --nonsense
lxc-create
lxc-create c
lxc-create c -t no-such-template
lxc-create c -t none extra
lxc-create good -t none
lxc-create ../c -t none
lxc-create .c -t none
lxc-create c -t none -B nonsense
lxc-create c -t none -B nbd
lxc-create c -t none -B o
lxc-create c -t none --dir relative
lxc-create c -t none --fssize 1G
lxc-create c -t none --vgname vg
lxc-create c -t none -f {dir}/no-such-file
lxc-create c -t none -f {dir}/broken/config
lxc-create c -t none --rcfile x
lxc-start
lxc-start nothing
lxc-start broken
lxc-start good -d -F
lxc-start good -s nonsense
lxc-start good -s lxc.nonsense=1
lxc-start good -f {dir}/no-such-file
lxc-execute nothing -- ls
lxc-execute good
lxc-execute good -u x -- ls
lxc-attach good
lxc-attach nothing
lxc-attach good -v nonsense
lxc-attach good -R
lxc-attach good -c context
lxc-attach good --clear-env --keep-env
lxc-attach good -u x
lxc-attach good -e=NONSENSE
lxc-attach good -s NONSENSE
lxc-attach good -a nonsense
lxc-stop nothing
lxc-stop good
lxc-stop good -k -t 5
lxc-stop good -k -r
lxc-stop good -k --nokill
lxc-stop good -t x
lxc-stop good -t -7
lxc-wait good
lxc-wait good -s NONSENSE
lxc-wait good -s running
lxc-wait good -s RUNNING -t x
lxc-copy good
lxc-copy nothing -N new
lxc-copy good -N good
lxc-copy good -N a/b
lxc-copy good -N new -B nonsense
lxc-copy good -N new -L 1G
lxc-copy good -N new -F
lxc-copy good -N new -t
lxc-copy good -N new -m bind=/x
lxc-copy nothing -e
lxc-copy good -e -N a/b
lxc-copy good -e -t
lxc-copy good -e -D -m nonsense
lxc-copy good -e -R -N new
lxc-copy good -R
lxc-copy good -R -N broken
lxc-copy good -R -N new -s
lxc-copy broken -N new
lxc-snapshot
lxc-snapshot nothing
lxc-snapshot nothing -L
lxc-snapshot good -L -r snap0
lxc-snapshot good -C
lxc-snapshot good -N new
lxc-snapshot good -r snap0
lxc-snapshot good -d snap0
lxc-snapshot good -d A
lxc-snapshot good -d ''
lxc-snapshot good -c {dir}/no-such-file
lxc-destroy
lxc-destroy nothing
lxc-destroy ''
lxc-destroy ../good
";

/// Configurations that cannot be used, each a file of its own.
const CONFIGS: &[&[u8]] = &[
    b"lxc.nonsense = 1\n",
    b"lxc.uts.name\n",
    b"lxc.start.auto = maybe\n",
    b"lxc.start.auto = 2\n",
    b"lxc.idmap = u 0\n",
    b"lxc.idmap = x 0 100000 65536\n",
    b"lxc.idmap = u 0 100000 4294967296\n",
    b"lxc.idmap = u -1 100000 10\n",
    b"lxc.net.0.link = br0\nlxc.net.0.type = nonsense\n",
    b"lxc.net.2147483647.type = veth\n",
    b"lxc.net. = x\n",
    b"lxc.cap.drop = nonsense\n",
    b"lxc.cap.drop = sys_time\nlxc.cap.keep = sys_time\n",
    b"lxc.mount.entry = only-a-source\n",
    b"lxc.mount.auto = proc:nonsense\n",
    b"lxc.signal.halt = SIGNONSENSE\n",
    b"lxc.signal.halt = 99\n",
    b"lxc.prlimit.nonsense = 1\n",
    b"lxc.prlimit.nofile = many\n",
    b"lxc.include = /no/such/file\n",
    b"lxc.include = config\n",
    b"lxc.pty.max = -1\n",
    b"lxc.tty.max = 99999999999\n",
    b"lxc.init.uid = root\n",
    b"lxc.arch = nonsense\n",
    b"lxc.namespace.keep = nonsense\n",
    b"lxc.environment = =x\n",
    b"lxc.uts.name = \xff\xfe\n",
    b"lxc.uts.name = a\0b\n",
    b"lxc.hook.version = 7\n",
    b"lxc.log.level = nonsense\n",
];

#[test]
fn each_bad_command_line_gives_one_line_and_changes_nothing() {
    let ground = Ground::new();
    let mut wrong = Vec::new();
    let mut lines = 0;
    for (table, code) in [(USAGE, Some(2)), (REFUSED, None)] {
        for line in table.lines().filter(|line| !line.is_empty()) {
            lines += 1;
            wrong.extend(check(&ground, line, code));
        }
    }
    assert!(lines >= 100, "only {lines} lines");
    assert!(wrong.is_empty(), "{} of {lines}:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn each_bad_configuration_gives_one_line_and_changes_nothing() {
    let ground = Ground::new();
    let mut wrong = Vec::new();
    for (number, text) in CONFIGS.iter().enumerate() {
        let name = format!("bad{number}");
        ground.container(&name, text);
        for command in ["hull start", "hull config", "hull snapshot", "lxc-start", "lxc-info"] {
            wrong.extend(check(&ground, &format!("{command} {name}"), None));
        }
        wrong.extend(check(&ground, &format!("hull create new --empty -f {{dir}}/{name}/config"), None));
        wrong.extend(check(&ground, &format!("lxc-copy {name} -N new"), None));
    }
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
}

/// One broken container does not hide the others.
#[test]
fn a_broken_container_is_listed_beside_the_others() {
    let ground = Ground::new();
    let names: BTreeSet<String> = ground
        .run(&words("hull ls", ground.dir()))
        .stdout
        .lines()
        .skip(1)
        .filter_map(|line| line.split(' ').next().map(str::to_owned))
        .collect();
    assert!(names.contains("good") && names.contains("broken"), "{names:?}");
    let lxc = ground.run(&words("lxc-ls -1", ground.dir()));
    assert_eq!(lxc.stdout, "good\n");
    assert!(lxc.stderr.contains("broken"), "{}", lxc.stderr);
}

/// Runs one line; what is wrong with how it went.
fn check(ground: &Ground, line: &str, code: Option<i32>) -> Option<String> {
    let before = ground.listing();
    let ran = ground.run(&words(line, ground.dir()));
    let after = ground.listing();
    let mut faults = Vec::new();
    match (ran.code, code) {
        (Some(0), _) => faults.push("succeeded".to_owned()),
        (None, _) => faults.push("was killed".to_owned()),
        (Some(got), Some(expected)) if got != expected => faults.push(format!("ended with {got}")),
        _ => {}
    }
    // lxc-wait says nothing when time is up.
    if ran.stderr.lines().count() != 1 || !ran.stderr.ends_with('\n') {
        faults.push(format!("said {:?}", ran.stderr));
    }
    if !ran.stdout.is_empty() {
        faults.push(format!("printed {:?}", ran.stdout));
    }
    if before != after {
        let changed: Vec<_> = before.symmetric_difference(&after).collect();
        faults.push(format!("changed {changed:?}"));
    }
    (!faults.is_empty()).then(|| format!("{line}: {}", faults.join("; ")))
}
