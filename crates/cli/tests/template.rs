//! The busybox template, run as `lxc-create` and `hull create` run it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use hull_config::Config;

fn template(arguments: &[&str]) -> Output {
    let program: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../templates/lxc-busybox");
    Command::new(program).args(arguments).stdin(Stdio::null()).output().expect("the template runs")
}

#[test]
fn what_is_wrong_is_one_line() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = format!("--path={}", dir.path().display());
    for arguments in [
        &[][..],
        &["--name=c"],
        &[&path],
        &[&path, "--name"],
        &[&path, "--name=c", "--nonsense=1"],
        &[&path, "--name=c", "operand"],
        &[&path, "--name=c", "--", "operand"],
        &[&path, "--name=c", "-z"],
        &[&path, "--name=c", "--busybox=/no/such/program"],
        &[&path, "--name=c", "--busybox=/etc/passwd"],
    ] {
        let output = template(arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        assert!(said.starts_with("lxc-busybox: ") && said.lines().count() == 1, "{arguments:?}: {said}");
        let left = dir.path().read_dir().expect("the directory").count();
        assert_eq!(left, 0, "{arguments:?} left something");
    }
    assert!(template(&["--help"]).status.success());
}

#[test]
fn a_program_that_needs_libraries_is_refused() {
    if !rustix::process::geteuid().is_root() {
        return hull_testskip::skip(
            "template::a_program_that_needs_libraries_is_refused",
            "needs root for chroot",
        );
    }
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = format!("--path={}", dir.path().display());
    let output = template(&[&path, "--name=c", "--busybox=/bin/ls"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(said.contains("not statically linked") && said.lines().count() == 1, "{said}");
}

#[test]
fn the_root_is_whole_and_the_configuration_keeps_what_it_said() {
    const TEST: &str = "template::the_root_is_whole_and_the_configuration_keeps_what_it_said";
    if !rustix::process::geteuid().is_root() {
        return hull_testskip::skip(TEST, "needs root for chroot");
    }
    if !Path::new("/usr/bin/busybox").exists() && !Path::new("/bin/busybox").exists() {
        return hull_testskip::skip(TEST, "the package busybox-static is not installed");
    }
    let dir = tempfile::tempdir().expect("a temporary directory");
    let config = dir.path().join("config");
    // Without a newline at its end, as editors leave it.
    std::fs::write(&config, "lxc.uts.name = kept\nlxc.tty.max = 4").expect("a configuration");
    let root = dir.path().join("a root");
    let output = template(&[
        &format!("--path={}", dir.path().display()),
        "--name",
        "other",
        "--rootfs",
        root.to_str().expect("text"),
    ]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.stderr.is_empty() && output.stdout.is_empty());
    let config = Config::load(&config).expect("a configuration Hull reads");
    assert_eq!(config.value("lxc.uts.name"), Some("kept"));
    assert_eq!(config.value("lxc.tty.max"), Some("4"));
    assert_eq!(config.values("lxc.rootfs.path").count(), 1);
    assert_eq!(config.signals().expect("signals").halt.number(), 10);
    for link in ["sbin/init", "bin/sh", "bin/ls"] {
        assert_eq!(std::fs::read_link(root.join(link)).expect("a link"), Path::new("/bin/busybox"), "{link}");
    }
    for dir in ["dev", "proc", "sys", "tmp", "run", "root", "etc/init.d"] {
        assert!(root.join(dir).is_dir(), "{dir}");
    }
    assert_eq!(std::fs::read_to_string(root.join("etc/hostname")).expect("a host name"), "other\n");
}
