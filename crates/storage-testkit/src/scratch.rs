//! The grounds of drivers that need nothing but a directory: scratch file systems, as root and in a user namespace.

use std::error::Error;
use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use hull_storage::Registration;
use hull_testskip::skip;
use hull_treefixture::ScratchFs;
use libtest_mimic::{Arguments, Completion, Failed, Trial};

use crate::ground::{Ground, GroundInstance, SkipReason};
use crate::grounds::failing;
use crate::{conformance, trouble};

/// Names the scratch directory to the test program that runs in a user namespace.
const INSIDE: &str = "HULL_TESTKIT_SCRATCH";
/// The first of the 65,536 ids that are the user namespace's.
const FIRST_ID: u32 = 100_000;
/// Large enough for the suite, and for xfs to make.
const SIZE: u64 = 512 << 20;

/// Runs the suite for `registration` as root on each of `file_systems` (`ext4`, `xfs` with reflink, `btrfs`,
/// `tmpfs`, and with quotas `btrfs+quota`, `ext4+prjquota`, `xfs+prjquota`), and once more on each of `unprivileged` as the root of a user namespace, which is an ordinary
/// user outside. The whole `main` of a test target with `harness = false`.
pub fn run(registration: &Registration, file_systems: &[&'static str], unprivileged: &[&str]) -> ExitCode {
    if let Some(dir) = inside_user_namespace() {
        // Every case makes a directory of its own in it; who made the scratch directory removes it.
        let ground = Ground::new("userns", move || Ok(GroundInstance::new(dir.clone(), ())));
        return conformance::run(registration, ground);
    }
    let on_disks = file_systems.iter().filter(|kind| matches!(**kind, "ext4" | "xfs" | "btrfs"));
    let failing = on_disks.map(|kind| failing::ground(kind));
    let grounds: Vec<Ground> = file_systems.iter().map(|kind| ground(kind)).chain(failing).collect();
    if let Some(done) = conformance::child(registration, &grounds) {
        return done;
    }
    let of_root = grounds.into_iter().flat_map(|ground| conformance::cases(registration, ground));
    let of_users = unprivileged.iter().map(|kind| {
        let kind = (*kind).to_owned();
        let name = format!("userns::{kind}");
        Trial::ignorable_test(name.clone(), move || in_user_namespace(&name, &kind))
    });
    let trials = of_root.chain(of_users).collect();
    let mut arguments = Arguments::from_args();
    // Some cases start processes. Until such a process has replaced itself it holds, too, the locks that cases
    // in other threads hold and let go of, and their recovery would find records that seem to be in use.
    arguments.test_threads.get_or_insert(1);
    let code = libtest_mimic::run(&arguments, trials).exit_code();
    conformance::say_tally();
    code
}

/// A scratch file system of the kind `kind` on a loop device.
pub fn ground(kind: &str) -> Ground {
    let name = kind.to_owned();
    let ground = Ground::new(kind, move || {
        let scratch = ScratchFs::new(&name, SIZE)?;
        keeps_attributes(scratch.path())?;
        let troubles = trouble::of_file_system(scratch.path());
        Ok(GroundInstance::new(scratch.path().to_path_buf(), scratch).with_troubles(troubles))
    });
    match kind {
        "ext4+prjquota" => ground.with_check(ext4_keeps_project_quotas),
        "xfs+prjquota" => ground.with_check(xfs_keeps_project_quotas),
        _ => ground,
    }
}

/// Fails where files keep no extended attributes of users, which the suite copies: on a tmpfs before Linux 6.6.
fn keeps_attributes(dir: &Path) -> Result<(), SkipReason> {
    let set = rustix::fs::setxattr(dir, "user.hull.trial", b"", rustix::fs::XattrFlags::empty());
    set.map_err(|e| SkipReason(format!("no extended attributes of users on {}: {e}", dir.display())))?;
    rustix::fs::removexattr(dir, "user.hull.trial")
        .map_err(|e| SkipReason(format!("an attribute of {} cannot be removed: {e}", dir.display())))
}

/// Why ext4 keeps no project quotas here. It needs a quota format that is often a module, of which no file says
/// whether the kernel itself has it, so kernels without lists of modules are taken to lack it.
fn ext4_keeps_project_quotas() -> Result<(), SkipReason> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let modules = Path::new("/lib/modules").join(release.trim());
    let listed =
        |list: &str| fs::read_to_string(modules.join(list)).is_ok_and(|all| all.contains("/quota_v2.ko"));
    match listed("modules.dep") || listed("modules.builtin") {
        true => Ok(()),
        false => Err(SkipReason("this kernel has no quota_v2, which ext4 keeps project quotas by".into())),
    }
}

/// Why xfs keeps none: whether it can, it shows once it is loaded.
fn xfs_keeps_project_quotas() -> Result<(), SkipReason> {
    let shown = Path::new("/proc/fs/xfs");
    match shown.exists() && !shown.join("xqm").exists() {
        true => Err(SkipReason("this kernel's xfs has no quotas (CONFIG_XFS_QUOTA)".into())),
        false => Ok(()),
    }
}

/// The scratch directory, when this program was run by [`rerun_in_user_namespace`].
pub fn inside_user_namespace() -> Option<PathBuf> {
    std::env::var_os(INSIDE).map(PathBuf::from)
}

/// Runs this program again in a user namespace, on a scratch file system that belongs to its root.
fn in_user_namespace(name: &str, kind: &str) -> Result<Completion, Failed> {
    let scratch = match ScratchFs::new(kind, SIZE) {
        Ok(scratch) => scratch,
        Err(reason) => return Ok(skipped(name, &reason.to_string())),
    };
    let (status, said) = match rerun_in_user_namespace(scratch.path(), &["--test-threads=1"]) {
        Ok(ended) => ended,
        Err(reason) => return Ok(skipped(name, &reason.0)),
    };
    // The file that collects skips is not the namespace's to write.
    for line in said.lines().filter_map(|line| line.strip_prefix("skipped: ")) {
        let (case, reason) = line.split_once(": ").unwrap_or((line, ""));
        skip(&format!("{name}::{case}"), reason);
    }
    match status.success() {
        true => Ok(Completion::Completed),
        false => Err(Failed::from(format!("in a user namespace, {status}:\n{said}"))),
    }
}

/// Runs this test program with `arguments` as the root of a user namespace, which is an ordinary user outside
/// and owns the directory `dir` from then on; returns how it ended and what it said.
///
/// Requires root, and that the directory above `dir` is a temporary one, which is opened to everybody.
pub fn rerun_in_user_namespace(
    dir: &Path,
    arguments: &[&str],
) -> Result<(std::process::ExitStatus, String), SkipReason> {
    let above = dir.parent().ok_or_else(|| SkipReason("the scratch directory has no parent".into()))?;
    fs::set_permissions(above, Permissions::from_mode(0o755))?;
    std::os::unix::fs::chown(dir, Some(FIRST_ID), Some(FIRST_ID))?;
    // Where it was built, the namespace's users may not look.
    let program = above.join("program");
    fs::copy(std::env::current_exe()?, &program)?;
    fs::set_permissions(&program, Permissions::from_mode(0o755))?;
    let namespace = match Namespace::new() {
        Ok(namespace) => namespace,
        Err(e) => return Err(SkipReason(format!("no user namespace: {e}"))),
    };
    let output = Command::new("nsenter")
        .arg(format!("--user=/proc/{}/ns/user", namespace.0.id()))
        .args(["--setuid=0", "--setgid=0", "unshare", "--mount"])
        .arg(&program)
        .args(arguments)
        .env(INSIDE, dir)
        .env_remove("HULL_TEST_SKIPS")
        .current_dir("/")
        .stdin(Stdio::null())
        .output()?;
    let said = [output.stdout, output.stderr].concat();
    Ok((output.status, String::from_utf8_lossy(&said).into_owned()))
}

/// A user namespace with 65,536 ids of its own, kept by a process that waits until this is dropped.
struct Namespace(std::process::Child);

impl Namespace {
    fn new() -> Result<Self, Box<dyn Error>> {
        let keeper = Command::new("unshare")
            .args(["--user", "sh", "-c", "echo ready; read -r _"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut namespace = Self(keeper);
        let mut line = String::new();
        let said = namespace.0.stdout.take().ok_or("its output is piped")?;
        BufReader::new(said).read_line(&mut line)?;
        if line != "ready\n" {
            return Err("unshare(1) failed".into());
        }
        for map in ["gid_map", "uid_map"] {
            let file = format!("/proc/{}/{map}", namespace.0.id());
            fs::write(file, format!("0 {FIRST_ID} 65536\n"))?;
        }
        Ok(namespace)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // The end of its input ends it.
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

fn skipped(name: &str, reason: &str) -> Completion {
    skip(name, reason);
    Completion::ignored_with(reason)
}
