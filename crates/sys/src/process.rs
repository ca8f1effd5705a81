//! Processes: clone3, exec, joining namespaces, personality, and the descriptors an exec hands on.

use rustix::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use rustix::io::Errno;
use std::convert::Infallible;
use std::ffi::{CStr, CString};

use crate::{Error, Result, fd};

/// Namespace kinds as `clone(2)` flags.
pub mod namespace {
    /// Time namespace (Linux 5.6).
    pub const TIME: u64 = libc::CLONE_NEWTIME as u64;
    /// Mount namespace.
    pub const MOUNT: u64 = libc::CLONE_NEWNS as u64;
    /// Cgroup namespace (Linux 4.6).
    pub const CGROUP: u64 = libc::CLONE_NEWCGROUP as u64;
    /// Host name.
    pub const UTS: u64 = libc::CLONE_NEWUTS as u64;
    /// System V IPC and POSIX message queues.
    pub const IPC: u64 = libc::CLONE_NEWIPC as u64;
    /// Users, groups and capabilities.
    pub const USER: u64 = libc::CLONE_NEWUSER as u64;
    /// Process ids.
    pub const PID: u64 = libc::CLONE_NEWPID as u64;
    /// Network.
    pub const NETWORK: u64 = libc::CLONE_NEWNET as u64;

    /// The name under `/proc/PID/ns` of each kind, in the order in which they are to be joined: the user
    /// namespace first, because it grants the rights over the others.
    pub const NAMES: [(u64, &str); 8] = [
        (USER, "user"),
        (MOUNT, "mnt"),
        (PID, "pid"),
        (UTS, "uts"),
        (IPC, "ipc"),
        (NETWORK, "net"),
        (CGROUP, "cgroup"),
        (TIME, "time"),
    ];
}

/// Which side of a [`fork`] this is.
#[derive(Debug)]
pub enum Fork {
    /// The new process.
    Child,
    /// The caller.
    Parent {
        /// The child's process id, as the caller sees it.
        pid: rustix::process::Pid,
        /// A descriptor of the child; it becomes readable when the child ends.
        pidfd: OwnedFd,
    },
}

/// Forks with `clone3(2)` (Linux 5.5): the child starts in new `namespaces` and, if given, in the cgroup v2
/// directory `cgroup` (Linux 5.7).
///
/// Requires the calling process to have one thread, since the child gets only that one: more are `EBUSY`.
/// Fails with the call as it was made.
pub fn fork(namespaces: u64, cgroup: Option<BorrowedFd<'_>>) -> Result<Fork> {
    clone(namespaces, libc::SIGCHLD as u64, cgroup)
}

/// Forks a process that is the child of the caller's parent, who waits for it: `clone3(2)` with
/// `CLONE_PARENT`. Otherwise as [`fork`].
pub fn fork_sibling() -> Result<Fork> {
    clone(libc::CLONE_PARENT as u64, 0, None)
}

fn clone(namespaces: u64, exit_signal: u64, cgroup: Option<BorrowedFd<'_>>) -> Result<Fork> {
    let describe = || {
        let into = cgroup.map_or(String::new(), |c| format!(", into {}", fd::name(c)));
        format!("clone3(namespaces {namespaces:#x}{into})")
    };
    if !is_alone() {
        return Err(Error::new(format!("{}, in a process of several threads", describe()), Errno::BUSY));
    }
    let mut pidfd: libc::c_int = -1;
    let mut args = libc::clone_args {
        flags: namespaces | libc::CLONE_PIDFD as u64,
        pidfd: (&raw mut pidfd) as u64,
        child_tid: 0,
        parent_tid: 0,
        exit_signal,
        stack: 0,
        stack_size: 0,
        tls: 0,
        set_tid: 0,
        set_tid_size: 0,
        cgroup: 0,
    };
    if let Some(cgroup) = cgroup {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = u64::try_from(cgroup.as_raw_fd()).expect("a borrowed descriptor is not negative");
    }
    // SAFETY: without CLONE_VM the child gets a copy of the address space, as with fork(2); the process has
    // one thread, so no lock is held by a thread that the child lacks. `args` is live and of the size given.
    let result = unsafe { libc::syscall(libc::SYS_clone3, &raw mut args, size_of::<libc::clone_args>()) };
    match result {
        0 => Ok(Fork::Child),
        -1 => Err(Error::last(describe())),
        pid => {
            let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
            let pid = pid.expect("clone3 returns a process id");
            // SAFETY: the kernel stored a new descriptor there, which nobody else owns.
            Ok(Fork::Parent { pid, pidfd: unsafe { OwnedFd::from_raw_fd(pidfd) } })
        }
    }
}

/// Ends the calling process at once: no destructors, no exit handlers. For the child of a [`fork`].
pub fn exit(code: i32) -> ! {
    // SAFETY: `_exit` has no preconditions.
    unsafe { libc::_exit(code) }
}

/// Replaces the program with the one at `path`: `execve(2)`. Returns only what failed.
pub fn exec(path: &CStr, argv: &[CString], environment: &[CString]) -> Result<Infallible> {
    let (argv_pointers, environment_pointers) = (pointers(argv), pointers(environment));
    // SAFETY: all three are NUL-terminated strings or NULL-terminated arrays of them that outlive the call.
    unsafe { libc::execve(path.as_ptr(), argv_pointers.as_ptr(), environment_pointers.as_ptr()) };
    Err(Error::last(format!("execve({path:?})")))
}

/// Replaces the program with the file `program` is open on: `execveat(2)` with `AT_EMPTY_PATH`.
pub fn exec_fd(program: impl AsFd, argv: &[CString], environment: &[CString]) -> Result<Infallible> {
    let (argv_pointers, environment_pointers) = (pointers(argv), pointers(environment));
    // SAFETY: as in `exec`; the path is the empty string constant.
    unsafe {
        libc::syscall(
            libc::SYS_execveat,
            program.as_fd().as_raw_fd(),
            c"".as_ptr(),
            argv_pointers.as_ptr(),
            environment_pointers.as_ptr(),
            libc::AT_EMPTY_PATH,
        )
    };
    Err(Error::last(format!("execveat({})", fd::name(program))))
}

/// Joins the namespaces of `kinds` that the process `pidfd` is in, all or none: `setns(2)` (Linux 5.8).
pub fn join(pidfd: impl AsFd, kinds: u64) -> Result<()> {
    let raw = pidfd.as_fd().as_raw_fd();
    set_namespace(raw, kinds).map_err(|e| Error::new(format!("setns(process, {kinds:#x})"), e))
}

/// Joins the one namespace, of kind `kind`, that `namespace` is open on: `setns(2)`.
pub fn join_one(namespace: impl AsFd, kind: u64) -> Result<()> {
    let raw = namespace.as_fd().as_raw_fd();
    set_namespace(raw, kind).map_err(|e| Error::new(format!("setns({}, {kind:#x})", fd::name(namespace)), e))
}

/// Moves the calling process into new namespaces of `kinds`: `unshare(2)`.
pub fn unshare(kinds: u64) -> Result<()> {
    let flags = i32::try_from(kinds).map_err(|_| Error::new(format!("unshare({kinds:#x})"), Errno::INVAL))?;
    // SAFETY: only namespace flags reach the kernel here, which do not touch memory or descriptors.
    let result = unsafe { libc::unshare(flags & NAMESPACE_FLAGS) };
    if result == 0 { Ok(()) } else { Err(Error::last(format!("unshare({kinds:#x})"))) }
}

/// Makes every descriptor from `first` on close at the next exec: `close_range(2)` with
/// `CLOSE_RANGE_CLOEXEC` (Linux 5.11).
pub fn close_on_exec_from(first: u32) -> Result<()> {
    // SAFETY: marking descriptors close-on-exec closes none now, so no owner loses one.
    let result = unsafe {
        libc::syscall(libc::SYS_close_range, first, u32::MAX, libc::CLOSE_RANGE_CLOEXEC as libc::c_uint)
    };
    if result == 0 { Ok(()) } else { Err(Error::last(format!("close_range({first}, CLOEXEC)"))) }
}

/// Closes every descriptor from `first` on: `close_range(2)` (Linux 5.9).
///
/// For a forked child that goes on without anything of its parent's: it must neither use nor drop a value
/// that owns one of these descriptors, and leave by [`exit`] or exec. `first` below 3 is `EBADF`.
pub fn close_all_from(first: u32) -> Result<()> {
    close_range(first, u32::MAX)
}

/// Closes what the program was started with but for the standard descriptors and `kept`: whoever left it open may wait
/// for its end.
///
/// Requires that it is called at the start of the program, before any value owns a descriptor.
pub fn close_inherited(kept: Option<i32>) -> Result<()> {
    let Some(kept) = kept.and_then(|raw| u32::try_from(raw).ok()).filter(|raw| *raw >= 3) else {
        return close_range(3, u32::MAX);
    };
    if kept > 3 {
        close_range(3, kept - 1)?;
    }
    close_range(kept.saturating_add(1), u32::MAX)
}

/// Closes the descriptors from `first` to `last`, no standard ones, which by the caller's requirement nobody uses again.
fn close_range(first: u32, last: u32) -> Result<()> {
    let describe = || format!("close_range({first}, {last})");
    if first < 3 {
        return Err(Error::new(describe(), Errno::BADF));
    }
    // SAFETY: by the callers' requirements no owner of these descriptors is used again.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, last, 0 as libc::c_uint) };
    if result == 0 { Ok(()) } else { Err(Error::last(describe())) }
}

/// Lets the calling process use the disk only when nobody else wants it: `ioprio_set(2)`, class idle.
pub fn set_idle_io_priority() -> Result<()> {
    const WHO_PROCESS: libc::c_int = 1;
    const IDLE: libc::c_int = 3 << 13;
    // SAFETY: the call takes numbers and changes only how this process is scheduled.
    let result = unsafe { libc::syscall(libc::SYS_ioprio_set, WHO_PROCESS, 0 as libc::c_int, IDLE) };
    if result == 0 { Ok(()) } else { Err(Error::last("ioprio_set(idle)")) }
}

/// Sets the execution domain, for instance a 32-bit one: `personality(2)`.
pub fn set_personality(persona: u64) -> Result<()> {
    // SAFETY: personality takes a number and changes flags of this process only.
    let result = unsafe { libc::personality(persona as libc::c_ulong) };
    if result == -1 { Err(Error::last(format!("personality({persona:#x})"))) } else { Ok(()) }
}

/// Makes descriptor number `target` name what `fd` names, without close-on-exec: `dup3(2)` onto a number.
///
/// Requires `target` to be 0, 1 or 2, which no value in Rust owns.
pub fn set_standard(fd: impl AsFd, target: i32) -> Result<()> {
    let describe = || format!("dup2({}, {target})", fd::name(fd.as_fd()));
    if !(0..=2).contains(&target) {
        return Err(Error::new(describe(), Errno::BADF));
    }
    // SAFETY: the standard descriptors are owned by the process, not by a value; std reads them by number.
    let result = unsafe { libc::dup2(fd.as_fd().as_raw_fd(), target) };
    if result == -1 { Err(Error::last(describe())) } else { Ok(()) }
}

/// Takes ownership of the descriptor number `raw` that the program was started with, if it is open. It is made
/// close-on-exec.
///
/// Requires that it is taken once, at the start of the program, before anything else could own that number.
pub fn inherited(raw: i32) -> Result<OwnedFd> {
    let describe = || format!("fcntl({raw}, F_SETFD)");
    if raw <= 2 {
        return Err(Error::new(describe(), Errno::BADF));
    }
    // SAFETY: fcntl checks the number; it changes only the close-on-exec flag.
    if unsafe { libc::fcntl(raw, libc::F_SETFD, libc::FD_CLOEXEC) } == -1 {
        return Err(Error::last(describe()));
    }
    // SAFETY: the number is open, and by this function's requirement nobody owns it yet.
    Ok(unsafe { OwnedFd::from_raw_fd(raw) })
}

/// Whether the calling process has no other thread and shares its memory with no other process: unshare(2)
/// takes `CLONE_VM`, without effect, from those alone.
pub fn is_alone() -> bool {
    // SAFETY: the flag has no effect when it is taken.
    unsafe { libc::unshare(libc::CLONE_VM) == 0 }
}

/// `CLONE_INTO_CGROUP` of `<linux/sched.h>`; libc's constant is too narrow for it.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

const NAMESPACE_FLAGS: libc::c_int = libc::CLONE_NEWNS
    | libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWTIME;

fn set_namespace(raw: libc::c_int, kinds: u64) -> Result<(), Errno> {
    let kinds = i32::try_from(kinds).map_err(|_| Errno::INVAL)?;
    // SAFETY: setns takes a descriptor and flags, and touches no memory of ours.
    if unsafe { libc::setns(raw, kinds) } == 0 {
        return Ok(());
    }
    let code = std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO);
    Err(Errno::from_raw_os_error(code))
}

fn pointers(strings: &[CString]) -> Vec<*const libc::c_char> {
    strings.iter().map(|s| s.as_ptr()).chain([std::ptr::null()]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_of_several_threads_does_not_fork() {
        // The test harness itself has a second thread; make sure of it.
        let (quit, wait) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::spawn(move || wait.recv());
        let refused = fork(0, None).expect_err("two threads");
        assert_eq!(refused.errno(), Errno::BUSY);
        drop(quit);
        let _ = thread.join();
    }

    #[test]
    fn only_standard_descriptors_are_overwritten() {
        assert_eq!(set_standard(std::io::stderr(), 3).expect_err("3 is not standard").errno(), Errno::BADF);
    }
}
