//! The way in: the helper joins and forks, the command gives up what it is not to have and executes.

use hull_cgroup::Doors;
use hull_security::capability;
use hull_sys::process::{self, Fork, namespace};
use hull_sys::{prctl, signal};
use rustix::fd::OwnedFd;
use rustix::fs::Mode;
use rustix::process::DumpableBehavior;
use rustix::thread::{Gid, Uid};
use std::convert::Infallible;
use std::ffi::CString;
use std::path::Path;

use super::Options;
use super::target::{Target, not_placed};
use crate::error::{Error, Named, Result};
use crate::start::child;
use crate::start::sync::{Message, Sync};

/// What a command finds its programs by, unless told otherwise.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The helper's whole life. `doors`: to groups of the container. `terminal`: the container's side of a pty, and which
/// standard descriptors it replaces.
pub(super) fn run(
    target: &Target,
    options: &Options,
    doors: Option<Doors>,
    terminal: Option<&(OwnedFd, [bool; 3])>,
    sync: &Sync,
) -> ! {
    let code = match enter(target, options, doors, terminal, sync) {
        Ok(()) => 0,
        Err(error) => {
            let code = error.exit_code();
            // Nobody else can be told if the caller is gone.
            let _ = sync.send(&Message::Failed(error));
            code.into()
        }
    };
    process::exit(code)
}

fn enter(
    target: &Target,
    options: &Options,
    doors: Option<Doors>,
    terminal: Option<&(OwnedFd, [bool; 3])>,
    sync: &Sync,
) -> Result<()> {
    signal::reset()?;
    if let Some(doors) = doors {
        doors.enter().map_err(not_placed)?;
    }
    match sync.receive()? {
        Message::SetUp => {}
        _ => return Err(Error::new("the caller ended")),
    }
    // From here on nobody in the container may look into this process, whatever it is root of.
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .named(|| "prctl(PR_SET_DUMPABLE, 0)".into())?;
    if target.namespaces != 0 {
        process::join(&target.pidfd, target.namespaces)?;
    }
    // A pid namespace is that of the children.
    match process::fork_sibling()? {
        Fork::Parent { pid, .. } => sync.send(&Message::Entered(pid.as_raw_nonzero().get())),
        Fork::Child => execute(target, options, terminal).map(|never| match never {}),
    }
}

fn execute(
    target: &Target,
    options: &Options,
    terminal: Option<&(OwnedFd, [bool; 3])>,
) -> Result<Infallible> {
    rustix::process::umask(Mode::from_raw_mode(0o022));
    if let Some(persona) = options.personality.or(target.personality) {
        process::set_personality(persona)?;
    }
    let keep = if options.elevated.capabilities { capability::Set::ALL } else { target.bounding };
    if target.namespaces & namespace::USER != 0 || !options.elevated.capabilities {
        capability::limit_bounding(keep)?;
    }
    if target.no_new_privs {
        rustix::thread::set_no_new_privs(true).named(|| "prctl(PR_SET_NO_NEW_PRIVS)".into())?;
    }
    if let Some(filter) = &target.seccomp {
        prctl::install_seccomp(filter)?;
    }
    set_user(target, options)?;
    capability::limit_own(keep)?;
    set_terminal(terminal)?;
    change_directory(options.cwd.as_deref())?;
    let uid = options.uid.unwrap_or(0);
    let (home, shell) = passwd_entry(uid).unzip();
    let words = options.command.clone().filter(|c| !c.is_empty());
    let words = words.unwrap_or_else(|| vec![shell.clone().unwrap_or_else(|| "/bin/sh".to_owned())]);
    let argv = words
        .into_iter()
        .map(|w| CString::new(w).map_err(|_| Error::new("the command holds a NUL byte; remove it")))
        .collect::<Result<Vec<_>>>()?;
    let environment = environment(options, home, shell);
    process::close_on_exec_from(3)?;
    child::exec(&argv, &environment).map_err(Error::of_command)
}

fn set_user(target: &Target, options: &Options) -> Result<()> {
    let joined = target.namespaces & namespace::USER != 0;
    if !joined && !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    match rustix::thread::set_thread_groups(&[]) {
        // A user namespace that denies setgroups has none to drop.
        Err(rustix::io::Errno::PERM) if joined => {}
        other => other.named(|| "setgroups([])".into())?,
    }
    let gid = Gid::from_raw(options.gid.unwrap_or(0));
    rustix::thread::set_thread_res_gid(gid, gid, gid).named(|| format!("setresgid({})", gid.as_raw()))?;
    let uid = Uid::from_raw(options.uid.unwrap_or(0));
    rustix::thread::set_thread_res_uid(uid, uid, uid).named(|| format!("setresuid({})", uid.as_raw()))
}

fn set_terminal(terminal: Option<&(OwnedFd, [bool; 3])>) -> Result<()> {
    let _ = rustix::process::setsid();
    let Some((peer, replaced)) = terminal else { return Ok(()) };
    rustix::process::ioctl_tiocsctty(peer).named(|| "ioctl(terminal, TIOCSCTTY)".into())?;
    for (target, _) in (0..).zip(replaced).filter(|(_, yes)| **yes) {
        process::set_standard(peer, target)?;
    }
    Ok(())
}

/// Goes to `wanted`, or to `/`, and makes sure to be inside.
fn change_directory(wanted: Option<&Path>) -> Result<()> {
    rustix::process::chdir("/").named(|| "chdir(/)".into())?;
    if let Some(wanted) = wanted {
        let call = || format!("chdir({}) in the container", wanted.display());
        rustix::process::chdir(wanted).named(call)?;
    }
    // The kernel writes "(unreachable)" before a directory outside of the root (CVE-2024-21626).
    let at = rustix::process::getcwd(Vec::new()).named(|| "getcwd()".into())?;
    if at.as_bytes().first() == Some(&b'/') {
        return Ok(());
    }
    rustix::process::chdir("/").named(|| "chdir(/)".into())
}

fn environment(options: &Options, home: Option<String>, shell: Option<String>) -> Vec<(String, String)> {
    let kept = |name: &str| !options.clear_environment || options.keep.iter().any(|k| k == name);
    let mut all: Vec<(String, String)> =
        options.environment.iter().filter(|(k, _)| kept(k)).cloned().collect();
    let mut set = |key: &str, value: String| {
        all.retain(|(k, _)| k != key);
        all.push((key.to_owned(), value));
    };
    // The caller's would name programs of the host.
    set("PATH", PATH.to_owned());
    set("container", "lxc".to_owned());
    set("HOME", home.unwrap_or_else(|| "/".to_owned()));
    if let Some(shell) = shell {
        set("SHELL", shell);
    }
    for (key, value) in &options.set {
        set(key, value.clone());
    }
    all
}

/// The home directory and shell of `uid`, by the container's `/etc/passwd`.
fn passwd_entry(uid: u32) -> Option<(String, String)> {
    // Somebody else's file: not too much of it.
    let mut text = String::new();
    let file = std::fs::File::open("/etc/passwd").ok()?;
    std::io::Read::read_to_string(&mut std::io::Read::take(file, 1 << 20), &mut text).ok()?;
    find_passwd(&text, uid)
}

fn find_passwd(text: &str, uid: u32) -> Option<(String, String)> {
    text.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        let [_, _, number, _, _, home, shell] = fields[..] else { return None };
        let shell = if shell.is_empty() { "/bin/sh" } else { shell };
        (number.parse() == Ok(uid)).then(|| (home.to_owned(), shell.to_owned()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shells_are_found_by_number() {
        let text = "broken\nroot:x:0:0:r:/root:/bin/ash\nu:x:7:7::/home/u:\n";
        assert_eq!(find_passwd(text, 0), Some(("/root".into(), "/bin/ash".into())));
        assert_eq!(find_passwd(text, 7), Some(("/home/u".into(), "/bin/sh".into())));
        assert_eq!(find_passwd(text, 1), None);
    }

    #[test]
    fn a_cleared_environment_keeps_what_is_named() {
        let pair = |k: &str, v: &str| (k.to_owned(), v.to_owned());
        let options = Options {
            clear_environment: true,
            environment: vec![pair("A", "1"), pair("B", "2")],
            keep: vec!["B".into()],
            set: vec![pair("HOME", "/x")],
            ..Options::default()
        };
        let all = environment(&options, None, None);
        assert!(
            all.contains(&pair("B", "2"))
                && all.contains(&pair("HOME", "/x"))
                && !all.contains(&pair("A", "1"))
        );
    }
}
