//! What a process says about itself: its title, and the seccomp filter it installs.

use rustix::io::Errno;

use crate::{Error, Result};

/// Replaces the text that `ps` shows for this process: what lies between `arg_start` and `arg_end` of
/// proc_pid_stat(5) becomes `title`, through `prctl(PR_SET_MM_MAP)` (Linux 3.18; without
/// `CAP_SYS_RESOURCE` since 4.10 or so, as the map is checked as a whole).
///
/// Requires `/proc`. The text's memory is leaked: it must live as long as the process.
pub fn set_title(title: &str) -> Result<()> {
    let failed = |e| Error::new(format!("prctl(PR_SET_MM_MAP, title {title:?})"), e);
    let stat = std::fs::read_to_string("/proc/self/stat").map_err(|_| failed(Errno::NOENT))?;
    // The command's name, in parentheses, may hold anything; the last parenthesis ends it. Field 3 follows.
    let fields: Vec<u64> = stat
        .rsplit_once(')')
        .map(|(_, rest)| rest.split_ascii_whitespace().map(|f| f.parse().unwrap_or(0)).collect())
        .unwrap_or_default();
    let field = |number: usize| fields.get(number - 3).copied().unwrap_or(0);
    let mut text = title.as_bytes().to_vec();
    text.push(0);
    let text: &'static [u8] = Vec::leak(text);
    let start = text.as_ptr() as u64;
    // SAFETY: sbrk(0) only reports the current break.
    let brk = unsafe { libc::sbrk(0) } as u64;
    let map = MemoryMap {
        start_code: field(26),
        end_code: field(27),
        start_data: field(45),
        end_data: field(46),
        start_brk: field(47),
        brk,
        start_stack: field(28),
        arg_start: start,
        arg_end: start + text.len() as u64,
        env_start: field(50),
        env_end: field(51),
        auxv: 0,
        auxv_size: 0,
        exe_fd: u32::MAX,
    };
    // SAFETY: `map` is live and of the size given; the kernel checks that every address lies in a mapping of
    // this process, and the new argument area is leaked, so it stays one.
    let result = unsafe {
        libc::prctl(
            libc::PR_SET_MM,
            libc::PR_SET_MM_MAP,
            &raw const map,
            size_of::<MemoryMap>(),
            0 as libc::c_ulong,
        )
    };
    if result == 0 { Ok(()) } else { Err(Error::last(format!("prctl(PR_SET_MM_MAP, title {title:?})"))) }
}

/// Installs a compiled seccomp filter (an array of `struct sock_filter` as bytes) for this process and what
/// it execs: `seccomp(SECCOMP_SET_MODE_FILTER)`.
///
/// Requires `no_new_privs` or `CAP_SYS_ADMIN` in the user namespace. A length that is not a whole number of
/// instructions fails with `EINVAL`.
pub fn install_seccomp(program: &[u8]) -> Result<()> {
    let describe = || format!("seccomp(SET_MODE_FILTER, {} bytes)", program.len());
    let whole = program.chunks_exact(8);
    if program.is_empty() || !whole.remainder().is_empty() {
        return Err(Error::new(describe(), Errno::INVAL));
    }
    let filter: Vec<libc::sock_filter> = whole
        .map(|i| libc::sock_filter {
            code: u16::from_ne_bytes([i[0], i[1]]),
            jt: i[2],
            jf: i[3],
            k: u32::from_ne_bytes([i[4], i[5], i[6], i[7]]),
        })
        .collect();
    let len = u16::try_from(filter.len()).map_err(|_| Error::new(describe(), Errno::INVAL))?;
    let program = libc::sock_fprog { len, filter: filter.as_ptr().cast_mut() };
    // SAFETY: the program points to `len` live instructions, which the kernel copies and checks.
    let result = unsafe {
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0 as libc::c_uint, &raw const program)
    };
    if result == 0 { Ok(()) } else { Err(Error::last(describe())) }
}

/// `struct prctl_mm_map` of `<linux/prctl.h>`.
#[repr(C)]
struct MemoryMap {
    start_code: u64,
    end_code: u64,
    start_data: u64,
    end_data: u64,
    start_brk: u64,
    brk: u64,
    start_stack: u64,
    arg_start: u64,
    arg_end: u64,
    env_start: u64,
    env_end: u64,
    auxv: u64,
    auxv_size: u32,
    exe_fd: u32,
}
