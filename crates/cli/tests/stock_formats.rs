//! Output and exit codes compared with the installed LXC, command by command on the same containers.

mod ground;

use ground::{Ground, words};

/// Lines that both must answer alike, word for word.
const SAME: &str = "
lxc-ls
lxc-ls -1
lxc-ls -f
lxc-ls -f -F NAME,STATE,PID,RAM,SWAP,AUTOSTART,GROUPS,INTERFACE,IPV4,IPV6,UNPRIVILEGED
lxc-ls -fF name,state
lxc-ls -f -F NAME,IPV6,NAME
lxc-ls -F NAME,STATE
lxc-ls --running
lxc-ls --running --stopped -1
lxc-ls --frozen -f
lxc-ls --active
lxc-ls --stopped -1
lxc-ls --defined -1
lxc-ls -g g1 -1
lxc-ls -g g1,g2 -f
lxc-ls -g g2,g3 -f
lxc-ls -1 --filter=^s
lxc-ls -1 --filter goo|set
lxc-ls -1 ^.e
lxc-ls nothing
lxc-ls -P {dir}/no-such-directory
lxc-ls --vers
lxc-info good
lxc-info good -H
lxc-info -n good -s
lxc-info good -sH
lxc-info good -p
lxc-info good -pH
lxc-info good -i
lxc-info good -S
lxc-info good -spiS
lxc-info --name=good --state
lxc-info --na good
lxc-info good -c lxc.uts.name
lxc-info good -c lxc.rootfs.path -c lxc.start.auto -s
lxc-info good -H -c lxc.rootfs.path
lxc-info good -Hc lxc.uts.name
lxc-info settings -c lxc.group -c lxc.uts.name -c lxc.idmap -c lxc.net.0.type -c lxc.cap.drop
lxc-info settings -H -c lxc.group -s
lxc-info good -c lxc.nonsense
lxc-info nothing
lxc-info --version
lxc-stop --version
lxc-wait good -s STOPPED
lxc-wait good -s STOPPED|RUNNING -t 0
lxc-wait nothing -s STOPPED -t 1
lxc-snapshot good -L
lxc-snapshot good -LC
lxc-snapshot kept -L
lxc-snapshot kept -L -C
lxc-config -l
lxc-config lxc.lxcpath
lxc-config lxc
lxc-config lxc.bdev.zfs.root
lxc-config lxc.cgroup.use
";

/// Lines that both must refuse with the same exit code, in whatever words.
const SAME_CODE: &str = "
lxc-info
lxc-info nothing
lxc-info --nonsense
lxc-ls --nonsense
lxc-stop good
lxc-stop nothing
lxc-stop good -k -t 5
lxc-stop good -t x
lxc-wait good -s RUNNING -t 0
lxc-wait good -s RUNNING -t 1
lxc-wait good -s NONSENSE
lxc-wait good
lxc-snapshot nothing
lxc-snapshot nothing -L
lxc-snapshot good -d snap0
lxc-destroy nothing
lxc-copy good
lxc-copy nothing -N new
lxc-create
lxc-create c
lxc-create good -t none
lxc-create c -t no-such-template
lxc-create c -t none -B nonsense
lxc-create c -t none --dir relative
lxc-create c -t none --fssize 1G
lxc-start nothing
lxc-attach good
lxc-attach nothing
lxc-execute nothing
lxc-config nonsense
";

/// What scripts look for in messages; ours must hold it as LXC's does.
const SAME_WORDS: &[(&str, &str)] = &[
    ("lxc-info nothing", "nothing doesn't exist"),
    ("lxc-stop good", "good is not running"),
    ("lxc-destroy nothing", "Container is not defined"),
    ("lxc-create good -t none", "Container already exists"),
    ("lxc-create c", "A template must be specified"),
    ("lxc-info", "No container name specified"),
    ("lxc-info --nonsense", "unrecognized option '--nonsense'"),
    ("lxc-info -z", "invalid option -- 'z'"),
    ("lxc-info -n", "option requires an argument -- 'n'"),
    ("lxc-info good -c lxc.nonsense", "lxc.nonsense invalid"),
    ("lxc-config nonsense", "Unknown configuration item: nonsense"),
];

/// The ground with what the tables need; `None`, and why, when there is no LXC to compare with.
fn ground() -> Option<Ground> {
    if !std::path::Path::new("/usr/bin/lxc-ls").exists() || !rustix::process::geteuid().is_root() {
        println!("skipped: comparing needs root and the Debian package lxc");
        return None;
    }
    let ground = Ground::new();
    std::fs::remove_dir_all(ground.dir().join("broken")).expect("the broken container goes");
    ground.container(
        "settings",
        b"# a comment\nlxc.uts.name = \"other\"\nlxc.start.auto = 1\nlxc.group = g1\nlxc.group = g2\n\
          lxc.net.0.type = empty\nlxc.cap.drop = sys_time sys_module\n\
          lxc.idmap = u 0 100000 65536\nlxc.idmap = g 0 100000 65536\n",
    );
    ground.container("kept", b"lxc.uts.name = kept\n");
    ground.container("kept/snaps/snap0", b"lxc.uts.name = kept\n");
    let snapshot = ground.dir().join("kept/snaps/snap0");
    std::fs::write(snapshot.join("ts"), "2026:11:23 11:09:50").expect("a time");
    std::fs::write(snapshot.join("comment"), "why it was kept\n").expect("a comment");
    std::fs::create_dir(ground.dir().join(".hidden")).expect("a directory");
    std::fs::create_dir(ground.dir().join("without-config")).expect("a directory");
    Some(ground)
}

#[test]
fn answers_are_the_installed_lxcs_word_for_word() {
    let Some(ground) = ground() else { return };
    let mut wrong = Vec::new();
    for line in SAME.lines().filter(|line| !line.is_empty()) {
        let line = words(line, ground.dir());
        let (ours, theirs) = (ground.run(&line), ground.run_stock(&line).expect("stock LXC"));
        if (ours.code, &ours.stdout) != (theirs.code, &theirs.stdout) {
            wrong.push(format!(
                "{line:?}:\n ours   {:?} {:?} {:?}\n theirs {:?} {:?} {:?}",
                ours.code, ours.stdout, ours.stderr, theirs.code, theirs.stdout, theirs.stderr
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn refusals_have_the_installed_lxcs_exit_codes() {
    let Some(ground) = ground() else { return };
    let mut wrong = Vec::new();
    for line in SAME_CODE.lines().filter(|line| !line.is_empty()) {
        let line = words(line, ground.dir());
        let (ours, theirs) = (ground.run(&line), ground.run_stock(&line).expect("stock LXC"));
        if ours.code != theirs.code || theirs.code == Some(0) {
            wrong.push(format!("{line:?}: ours {:?} {}, theirs {:?}", ours.code, ours.stderr, theirs.code));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn messages_hold_what_scripts_look_for() {
    let Some(ground) = ground() else { return };
    for (line, expected) in SAME_WORDS {
        let line = words(line, ground.dir());
        let (ours, theirs) = (ground.run(&line), ground.run_stock(&line).expect("stock LXC"));
        for (whose, ran) in [("ours", ours), ("theirs", theirs)] {
            let said = ran.stdout + &ran.stderr;
            assert!(said.contains(expected), "{whose} {line:?}: {said:?}");
        }
    }
}
