//! Containers for real: started, looked into, stopped, also together with stock LXC. Needs root.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod ground;

use ground::{Ground, eventually, missing, missing_lxc};
use hull_config::Config;
use hull_runtime::stop;
use libtest_mimic::{Arguments, Trial};
use std::time::{Duration, Instant};

fn main() {
    let own: &[(&str, fn())] = &[
        ("a_command_runs_and_its_status_comes_back", a_command_runs),
        ("what_cannot_start_says_why_and_leaves_nothing", what_cannot_start_says_why),
        ("the_container_has_its_own_dev_proc_and_names", own_dev),
        ("confinement_is_carried_out", confinement),
        ("mounts_stay_below_the_root", mounts_stay_below),
        ("read_only_and_optional_mounts", mount_options),
        ("hooks_run_in_order_with_their_environment", hooks),
        ("a_user_namespace_with_an_idmapped_root", user_namespace),
        ("nothing_of_the_host_is_left_in_process_1", nothing_left),
        ("settings_of_the_kernel", kernel_settings),
        ("init_boots_reboots_and_halts", life),
        ("attach_is_confined_like_the_container", attach),
        ("namespaces_are_shared_kept_and_chosen", shared),
        ("keys_that_confine_are_not_dropped", refusals),
        ("a_system_call_policy_holds_for_all", policy),
        ("an_unprivileged_user_has_containers", unprivileged),
        ("console_output_is_kept", console),
    ];
    let stock: &[(&str, fn())] = &[
        ("stock_tools_work_on_hulls_container", stock_on_ours),
        ("hull_enters_and_stops_stock_lxcs_container", ours_on_stock),
    ];
    let trials = |list: &[(&str, fn())], reason: Option<String>| -> Vec<Trial> {
        if let Some(reason) = &reason {
            eprintln!("skipping {} tests: {reason}", list.len());
        }
        let skip = reason.is_some();
        let one = |&(name, test): &(&str, fn())| {
            let run = move || {
                test();
                Ok(())
            };
            Trial::test(name, run).with_ignored_flag(skip)
        };
        list.iter().map(one).collect()
    };
    let all = trials(own, missing()).into_iter().chain(trials(stock, missing_lxc())).collect();
    libtest_mimic::run(&Arguments::from_args(), all).exit();
}

fn a_command_runs() {
    let g = Ground::new("lxc.environment = FROM_CONFIG=yes\n");
    let ran = g.execute(&[], "echo $0 $container $FROM_CONFIG; id -u; echo oops >&2; exit 7");
    assert_eq!((ran.code, ran.out.as_str(), ran.err.as_str()), (Some(7), "sh lxc yes\n0\n", "oops\n"));
    assert_eq!(g.execute(&[], "kill -9 $$").code, Some(137), "128 and the signal");
    let orphan = g.execute(&[], "(sleep 100 &) ; true");
    assert_eq!(orphan.code, Some(0), "{orphan:?}");
    assert!(!g.has_cgroups());
}

fn what_cannot_start_says_why() {
    let g = Ground::new("lxc.init.cmd = /no/such/init\n");
    let line = g.start().expect_err("there is no init");
    assert!(line.contains("/no/such/init") && line.contains("No such file"), "{line}");
    assert!(!g.has_cgroups(), "no cgroup is left");
    let g = Ground::new("lxc.mount.entry = /nowhere mnt none bind 0 0\n");
    let line = g.start().expect_err("there is nothing to mount");
    assert!(line.contains("/nowhere") && line.contains("lxc.mount.entry"), "{line}");
    std::fs::write(g.home().join("config"), "lxc.uts.nam = x\n").unwrap();
    let line = g.start().expect_err("the configuration is wrong");
    assert!(line.contains("lxc.uts.nam"), "{line}");
    let g = Ground::new("");
    g.start().expect("it starts");
    let line = g.start().expect_err("it runs already");
    assert!(line.contains("already running"), "{line}");
    let link = g.lxcpath().join("link");
    std::os::unix::fs::symlink(g.lxcpath(), &link).unwrap();
    let line = g.start_in(&link).expect_err("it runs already, whatever path leads to it");
    assert!(line.contains("another path"), "{line}");
}

fn own_dev() {
    let g = Ground::new("lxc.tty.max = 2\nlxc.tty.dir = lxc\nlxc.mount.auto = sys:mixed\n");
    let out = g.execute(
        &[],
        "hostname; for f in null tty1 ptmx fd; do ls -l /dev/$f | awk '{print $1, $NF}'; done; \
         echo x >/dev/null; readlink /dev/tty2; cat /proc/1/comm; \
         for f in kernel/msgmax net/ipv4/ip_forward; do (echo 1 >/proc/sys/$f) 2>/dev/null && echo w || echo ro; done; \
         ls /sys/class/net; ip addr show lo | grep -c UP; echo $container_ttys",
    );
    let want = format!(
        "{}\ncrw-rw-rw- /dev/null\nlrwxrwxrwx lxc/tty1\nlrwxrwxrwx pts/ptmx\nlrwxrwxrwx /proc/self/fd\n\
         lxc/tty2\nhull-monitor\nro\nw\nlo\n1\npts/0 pts/1\n",
        g.name
    );
    assert_eq!(out.ok(), want);
}

fn confinement() {
    let g = Ground::new(
        "lxc.cap.drop = sys_module mac_admin sys_time\nlxc.no_new_privs = 1\nlxc.prlimit.nofile = 123:456\n\
         lxc.cgroup.pids.max = 77\nlxc.init.groups = 5,7\nlxc.cgroup.devices.deny = a\n\
         lxc.cgroup.devices.allow = c 1:3 rwm\n",
    );
    let out = g
        .execute(
            &[],
            "grep -E '^(CapBnd|CapEff|CapInh|CapAmb|NoNewPrivs)' /proc/self/status; id -G; \
             grep 'open files' /proc/self/limits | awk '{print $4, $5}'; \
             echo x >/dev/null && echo null; (echo x >/dev/zero) 2>/dev/null || echo denied",
        )
        .ok();
    let field = |name: &str| {
        let line = out.lines().find(|l| l.starts_with(name)).expect(name);
        u64::from_str_radix(line.split_whitespace().nth(1).unwrap(), 16).unwrap()
    };
    let dropped = 1 << 16 | 1 << 33 | 1 << 25;
    assert_eq!(field("CapBnd") & dropped, 0);
    assert_eq!(
        (field("CapEff") & dropped, field("CapInh"), field("CapAmb"), field("NoNewPrivs")),
        (0, 0, 0, 1)
    );
    assert!(out.ends_with("0 5 7\n123 456\nnull\ndenied\n"), "{out}");
    let none = Ground::new("lxc.cap.keep = none\n").execute(&[], "grep CapEff /proc/self/status").ok();
    assert_eq!(none.split_whitespace().last(), Some("0000000000000000"));
    let user =
        Ground::new("lxc.init.uid = 1000\nlxc.init.gid = 1001\n").execute(&[], "id -u; id -g; id -G").ok();
    assert_eq!(user, "1000\n1001\n1001\n");
}

fn mounts_stay_below() {
    let g = Ground::new(
        "lxc.mount.entry = tmpfs out/inner tmpfs size=1m,create=dir 0 0\n\
         lxc.mount.entry = @/config up/file none bind,create=file 0 0\n",
    );
    let outside = tempfile::tempdir().unwrap();
    let victim = outside.path().join("victim");
    std::fs::create_dir(&victim).unwrap();
    // Symlinks of the container's own making, one absolute, one climbing.
    std::fs::create_dir_all(g.rootfs().join(victim.strip_prefix("/").unwrap())).unwrap();
    std::os::unix::fs::symlink(&victim, g.rootfs().join("out")).unwrap();
    std::os::unix::fs::symlink("../../../../../../../../mnt", g.rootfs().join("up")).unwrap();
    let out = g.execute(&[], "mount | grep -c out; grep -c rootfs.path /mnt/file; ls out").ok();
    assert!(out.contains("1\ninner\n"), "{out}");
    assert_eq!(std::fs::read_dir(&victim).unwrap().count(), 0, "nothing was made outside");
    // A /proc that is a symlink is not mounted on: what is there must be the kernel's.
    let g = Ground::new("");
    std::fs::remove_dir(g.rootfs().join("proc")).unwrap();
    std::os::unix::fs::symlink("/tmp", g.rootfs().join("proc")).unwrap();
    let line = g.execute(&[], "true").err;
    assert!(line.contains("/proc"), "{line}");
}

fn mount_options() {
    let g = Ground::new(
        "lxc.mount.entry = @/shared mnt none bind,ro 0 0\nlxc.mount.entry = /nowhere mnt none bind,optional 0 0\n\
         lxc.mount.fstab = @/fstab\nlxc.rootfs.options = ro,nodev\n",
    );
    std::fs::create_dir(g.home().join("shared")).unwrap();
    std::fs::create_dir(g.rootfs().join("abs")).unwrap();
    let target = g.rootfs().join("abs");
    std::fs::write(
        g.home().join("fstab"),
        format!("# old\ntmpfs {} tmpfs nosuid,mode=700 0 0\n", target.display()),
    )
    .unwrap();
    let out = g
        .execute(
            &[],
            "touch /mnt/x 2>/dev/null || echo ro; touch /x 2>/dev/null || echo root ro; stat -c %a /abs",
        )
        .ok();
    assert_eq!(out, "ro\nroot ro\n700\n");
}

fn hooks() {
    let lines: String = ["pre-start", "pre-mount", "mount", "autodev", "start-host", "stop", "post-stop"]
        .map(|m| format!("lxc.hook.{m} = @/hook\n"))
        .concat();
    let g = Ground::new(&format!("lxc.hook.version = 1\n{lines}lxc.hook.start = /hook\n"));
    let script = "#!/bin/sh\necho \"$LXC_HOOK_TYPE $LXC_HOOK_SECTION $# ${LXC_TARGET:-} $(test -d \"$LXC_ROOTFS_MOUNT/bin\" && echo root) ${LXC_PID:+pid}${LXC_NET_NS:+ns}\" >>FILE\n";
    let write = |path: std::path::PathBuf, text: String| {
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    };
    let log = g.home().join("log");
    write(g.home().join("hook"), script.replace("FILE", &log.to_string_lossy()));
    write(g.rootfs().join("hook"), script.replace("FILE", "/tmp/log"));
    g.execute(&[], "cat /tmp/log").ok();
    let said = std::fs::read_to_string(&log).unwrap();
    let said: Vec<String> =
        said.lines().map(|l| l.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    let want = [
        "pre-start lxc 0",
        "pre-mount lxc 0",
        "mount lxc 0 root",
        "autodev lxc 0 root",
        "start-host lxc 0 pid",
        "stop lxc 0 stop pidns",
        "post-stop lxc 0 stop pid",
    ];
    assert_eq!(said, want);
    let inside = std::fs::read_to_string(g.rootfs().join("tmp/log")).unwrap();
    assert!(inside.starts_with("start lxc 0"), "{inside}");
    let g = Ground::new("lxc.hook.pre-start = sh -c 'echo no luck; exit 3' -\n");
    let line = g.start().expect_err("the hook fails");
    assert!(line.contains("pre-start") && line.contains("no luck"), "{line}");
}

fn user_namespace() {
    let g = Ground::new(
        "lxc.idmap = u 0 100000 65536\nlxc.idmap = g 0 200000 65536\nlxc.rootfs.options = idmap=container\n\
         lxc.mount.auto = sys:mixed cgroup:mixed:force\nlxc.tty.max = 1\n",
    );
    let out = g
        .execute(
            &[],
            "id -u; stat -c %u:%g /bin/busybox /dev/null /dev/tty1; touch /etc/made; cat /proc/self/uid_map; echo x >/dev/null; \
             mount -t tmpfs none /mnt && echo can mount; ls /sys/fs/cgroup | grep -c .",
        )
        .ok();
    let words: Vec<&str> = out.split_whitespace().collect();
    assert_eq!(words[..2], ["0", "0:0"], "{out}");
    assert!(out.contains("100000") && out.contains("can mount"), "{out}");
    use std::os::unix::fs::MetadataExt;
    let made = std::fs::metadata(g.rootfs().join("etc/made")).unwrap();
    assert_eq!((made.uid(), made.gid()), (0, 0), "what it makes belongs to the unmapped owner on disk");
    g.start().expect("it starts");
    let pid = g.client().init_pid().unwrap().unwrap();
    assert_eq!(std::fs::metadata(format!("/proc/{pid}")).unwrap().uid(), 100_000);
    assert_eq!(g.attach(&[], "id -u; hostname").ok(), format!("0\n{}\n", g.name));
}

fn nothing_left() {
    let g = Ground::new("");
    let out = g
        .execute(
            &[],
            "ls -l /proc/1/fd /proc/self/fd | grep -v -E 'signalfd|pipe|/dev/null|total|:$|/fd$|cannot|/proc/' | grep .; \
             (echo x >>/proc/1/exe) 2>/dev/null && echo WRITABLE; grep -c . /proc/1/environ; true",
        )
        .out;
    assert!(!out.contains("WRITABLE"), "{out}");
    assert!(!out.contains("->"), "descriptors of the host's: {out}");
}

fn kernel_settings() {
    let g = Ground::new(
        "lxc.sysctl.net.ipv4.ip_forward = 1\nlxc.sysctl.kernel.msgmax = 4321\nlxc.proc.oom_score_adj = 10\n\
         lxc.time.offset.boot = 48h\nlxc.arch = i686\nlxc.init.cwd = /etc\n",
    );
    let script = "cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/msgmax /proc/1/oom_score_adj /proc/self/personality; \
                  pwd; awk '{print ($1 > 86400)}' /proc/uptime";
    assert_eq!(g.execute(&[], script).ok(), "1\n4321\n10\n00000008\n/etc\n1\n");
}

/// The parent of process `pid`.
fn parent(pid: i32) -> i32 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    status.lines().find_map(|l| l.strip_prefix("PPid:")).unwrap().trim().parse().unwrap()
}

fn life() {
    let g = Ground::new("");
    // Such as a caller leaves open, and would wait for the end of.
    let (_reader, writer) = rustix::pipe::pipe().expect("a pipe");
    assert_eq!(g.start().expect("it starts"), [""; 0]);
    let [monitor] = g.monitors()[..] else { panic!("{:?}", g.monitors()) };
    let ours =
        std::fs::read_link(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&writer))).unwrap();
    let fds = std::fs::read_dir(format!("/proc/{monitor}/fd")).unwrap().flatten();
    let held: Vec<_> = fds.filter_map(|fd| std::fs::read_link(fd.path()).ok()).collect();
    assert!(!held.contains(&ours) && held.len() > 3, "{held:?}");
    assert_eq!(std::fs::read_to_string(format!("/proc/{monitor}/comm")).unwrap(), "hull-monitor\n");
    let session = rustix::process::getsid(rustix::process::Pid::from_raw(monitor)).unwrap();
    assert_eq!(session.as_raw_nonzero().get(), monitor, "no terminal's signals reach it");
    eventually("it boots", || g.rootfs().join("etc/booted").exists());
    let boots = || std::fs::read_to_string(g.rootfs().join("etc/boots")).unwrap_or_default().lines().count();
    let first = g.client().init_pid().unwrap();
    assert_eq!(g.monitors(), [parent(first.unwrap())], "one monitor, in its groups, and nobody else");
    g.attach(&[], "reboot").ok();
    eventually("it boots again", || boots() == 2 && g.is_running());
    let second = g.client().init_pid().unwrap();
    assert_ne!(second, first);
    assert_eq!(g.monitors(), [parent(second.unwrap())]);
    let config = Config::load(&g.home().join("config")).unwrap();
    // Busybox's init halts upon SIGUSR1 or SIGUSR2; SIGPWR, the default, it halts upon, too.
    let deadline = Some(Instant::now() + Duration::from_secs(20));
    let ended = stop::shutdown(g.lxcpath(), &g.name, &config, deadline).expect("asked");
    assert_eq!(ended, stop::Ended::Yes);
    eventually("its cgroups go", || !g.has_cgroups());
    eventually("nobody answers any more", || {
        stop::kill(g.lxcpath(), &g.name, None).is_err_and(|e| e.to_string().contains("not running"))
    });
}

fn attach() {
    let g = Ground::new("lxc.cap.drop = sys_module\nlxc.no_new_privs = 1\nlxc.tty.max = 1\n");
    g.start().expect("it starts");
    let script = "grep -E 'CapEff|NoNewPrivs' /proc/self/status | awk '{print $2}'; cat /proc/self/cgroup | grep pids; ls /proc/self/fd | grep -c .; pwd";
    let inside = g.attach(&[], script).ok();
    let init = g.attach(&[], "grep -E 'CapEff|NoNewPrivs' /proc/1/status | awk '{print $2}'").ok();
    assert!(inside.starts_with(&init), "{inside} is not confined as {init}");
    assert!(inside.ends_with(":/\n4\n/\n"), "in its cgroup, with no descriptors but its own: {inside}");
    let elevated = g.attach(&["--elevated", "CAP"], "grep CapEff /proc/self/status").ok();
    assert!(!elevated.contains(init.lines().next().unwrap()), "{elevated}");
    assert_eq!(
        g.attach(&["--uid", "7", "--gid", "8", "--cwd", "/etc"], "id -u; id -g; pwd").ok(),
        "7\n8\n/etc\n"
    );
    assert_eq!(g.attach(&[], "exit 9").code, Some(9));
    assert_eq!(g.attach(&[], "kill -15 $$").code, Some(143));
    let kept = g.attach(&["--clear-env", "--set-var", "A=b"], "env | grep -v -E '^(PWD|SHLVL|_)='").ok();
    let mut kept: Vec<&str> = kept.lines().map(|l| l.split('=').next().unwrap()).collect();
    kept.sort_unstable();
    assert_eq!(kept, ["A", "HOME", "PATH", "container"]);
    let only = g.attach(&["--namespace", "uts"], "hostname; test -e /etc/booted && echo inside; true").ok();
    assert_eq!(only, format!("{}\n", g.name), "the host's files, the container's name");
    let gone = Ground::new("").attach(&[], "true");
    assert!(gone.code == Some(1) && gone.err.contains("not running"), "{gone:?}");
}

fn shared() {
    let first = Ground::new("");
    first.start().expect("it starts");
    let of = |g: &Ground, kind: &str| {
        let pid = g.client().init_pid().unwrap().unwrap();
        std::fs::read_link(format!("/proc/{pid}/ns/{kind}")).unwrap()
    };
    let second = Ground::new(&format!(
        "lxc.namespace.share.net = {}/{}\nlxc.namespace.share.ipc = {}\nlxc.namespace.keep = uts\n",
        first.lxcpath().display(),
        first.name,
        first.client().init_pid().unwrap().unwrap()
    ));
    second.start().expect("it starts");
    assert_eq!(of(&first, "net"), of(&second, "net"));
    assert_eq!(of(&first, "ipc"), of(&second, "ipc"));
    assert_eq!(of(&second, "uts"), std::fs::read_link("/proc/self/ns/uts").unwrap());
    assert_ne!(of(&first, "pid"), of(&second, "pid"));
}

fn refusals() {
    let g = Ground::new(
        "lxc.net.0.type = veth\nlxc.seccomp.notify.proxy = unix:/x\nlxc.console.rotate = 1\nlxc.seccomp.profile = /etc/hosts\n",
    );
    let line = g.start().expect_err("they are not carried out");
    for want in ["lxc.net.0.type", "lxc.seccomp.notify.proxy", "--allow-unconfined lxc.net.0.type"] {
        assert!(line.contains(want), "{line}");
    }
    assert!(!line.contains("lxc.console.rotate"), "that confines nothing: {line}");
    let mut waived =
        vec!["--allow-unconfined", "lxc.seccomp.notify.proxy", "--allow-unconfined", "lxc.net.0.type"];
    let line = g.execute(&waived, "true").err;
    assert!(line.contains("--allow-unconfined lxc.seccomp.profile"), "no policy is in that file: {line}");
    waived.extend(["--allow-unconfined", "lxc.seccomp.profile"]);
    g.execute(&waived, "true").ok();
}

fn policy() {
    let g = Ground::new("lxc.seccomp.profile = @/policy\n");
    std::fs::write(g.home().join("policy"), "2\ndenylist\n[all]\nsethostname errno 1\n").unwrap();
    let script = "grep Seccomp: /proc/self/status; hostname other 2>/dev/null && echo set; true";
    assert_eq!(g.execute(&[], script).ok(), "Seccomp:\t2\n");
    g.start().expect("it starts");
    assert_eq!(g.attach(&[], script).ok(), "Seccomp:\t2\n", "an attached command is under it, too");
    assert_eq!(g.attach(&["--elevated", "LSM"], script).ok(), "Seccomp:\t0\nset\n");
}

fn unprivileged() {
    const USER: u32 = 54_321;
    // A user may map itself without any grant in /etc/subuid.
    let g = Ground::new(&format!(
        "lxc.idmap = u 0 {USER} 1\nlxc.idmap = g 0 {USER} 1\nlxc.mount.auto = sys:mixed\n"
    ));
    g.give_to(USER);
    let run = |arguments: &[&str], script: &str| g.as_user(USER, arguments, script);
    let script = "id -u; hostname; touch /etc/made; grep -c . /proc/self/uid_map; echo x >/dev/null";
    assert_eq!(run(&["--foreground", "--reaped"], script).ok(), format!("0\n{}\n1\n", g.name));
    use std::os::unix::fs::MetadataExt;
    assert_eq!(std::fs::metadata(g.rootfs().join("etc/made")).unwrap().uid(), USER);
    run(&[], "").ok();
    eventually("it runs", || g.is_running());
    assert_eq!(run(&["--attach"], "id -u; hostname; exit 4").code, Some(4));
}

fn console() {
    let g = Ground::new(
        "lxc.console.logfile = @/console.log\nlxc.console.buffer.size = 4096\nlxc.init.cmd = /bin/sh -c \"echo said; exec sleep 1000\"\n",
    );
    g.start().expect("it starts");
    eventually("the log has it", || {
        std::fs::read_to_string(g.home().join("console.log")).is_ok_and(|t| t.contains("said\r\n"))
    });
    // Far more than a pty holds: a container never waits for somebody to read its console.
    g.attach(&[], "dd if=/dev/zero bs=1024 count=256 2>/dev/null >/dev/console; echo end >/dev/console").ok();
    eventually("the end is logged", || {
        std::fs::read(g.home().join("console.log")).is_ok_and(|t| t.ends_with(b"end\r\n"))
    });
}

fn stock_on_ours() {
    let g = Ground::new("lxc.tty.max = 1\n");
    g.start().expect("it starts");
    let info = g.stock("lxc-info", &[]).ok();
    assert!(
        info.contains("RUNNING") && info.contains(&g.client().init_pid().unwrap().unwrap().to_string()),
        "{info}"
    );
    assert_eq!(g.stock("lxc-attach", &["--", "hostname"]).ok(), format!("{}\n", g.name));
    assert_eq!(g.stock("lxc-info", &["-c", "lxc.uts.name", "-H"]).ok(), format!("{}\n", g.name));
    g.stock("lxc-wait", &["-s", "RUNNING", "-t", "5"]).ok();
    g.stock("lxc-freeze", &[]).ok();
    assert!(g.stock("lxc-info", &["-s"]).ok().contains("FROZEN"));
    g.stock("lxc-unfreeze", &[]).ok();
    g.stock("lxc-stop", &["-k"]).ok();
    assert!(g.stock("lxc-info", &["-s"]).ok().contains("STOPPED"));
    eventually("its cgroups go", || !g.has_cgroups());
}

fn ours_on_stock() {
    let g = Ground::new("lxc.cap.drop = sys_time\n");
    g.stock("lxc-start", &[]).ok();
    assert_eq!(g.attach(&[], "hostname").ok(), format!("{}\n", g.name));
    let mask = |text: &str| u64::from_str_radix(text.split_whitespace().last().unwrap(), 16).unwrap();
    let caps = mask(&g.attach(&[], "grep CapBnd /proc/self/status").ok());
    assert_eq!(caps & 1 << 25, 0, "attached commands are confined as the container is");
    let line = g.start().expect_err("stock LXC runs it already");
    assert!(line.contains("already running"), "{line}");
    let ended =
        stop::kill(g.lxcpath(), &g.name, Some(Instant::now() + Duration::from_secs(10))).expect("killed");
    assert_eq!(ended, stop::Ended::Yes);
}
