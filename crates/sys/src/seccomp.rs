//! Compiling system call filters with libseccomp, loaded when first needed: no header and no library is needed to
//! build, and a machine without it says so.

use std::ffi::{CString, c_char, c_int, c_void};

use libloading::Library;
use rustix::fd::{AsRawFd, OwnedFd};
use rustix::fs::{MemfdFlags, SeekFrom};
use rustix::io::Errno;

use crate::{Error, Result};

/// What the kernel does with a system call: an action word of seccomp(2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// The call proceeds.
    Allow,
    /// The process is killed (`SCMP_ACT_KILL`, which kills the thread, as LXC uses it).
    Kill,
    /// The thread gets SIGSYS.
    Trap,
    /// The call fails with this error number.
    Errno(u16),
    /// A tracer is told this number.
    Trace(u16),
    /// The call proceeds and is logged (Linux 4.14).
    Log,
}

impl Action {
    fn word(self) -> u32 {
        match self {
            Self::Kill => 0,
            Self::Trap => 0x0003_0000,
            Self::Errno(n) => 0x0005_0000 | u32::from(n),
            Self::Trace(n) => 0x7ff0_0000 | u32::from(n),
            Self::Log => 0x7ffc_0000,
            Self::Allow => 0x7fff_0000,
        }
    }
}

/// How an argument is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
#[allow(missing_docs)]
pub enum Compare {
    NotEqual = 1,
    Less = 2,
    LessOrEqual = 3,
    Equal = 4,
    GreaterOrEqual = 5,
    Greater = 6,
    /// `argument & value == value2`.
    MaskedEqual = 7,
}

/// A condition on an argument of a system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Condition {
    /// The argument, 0 to 5.
    pub argument: u32,
    /// The comparison.
    pub compare: Compare,
    /// What it is compared with; the mask for [`Compare::MaskedEqual`].
    pub value: u64,
    /// For [`Compare::MaskedEqual`]: what the masked argument must be.
    pub value2: u64,
}

/// libseccomp's number of an architecture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arch(u32);

/// libseccomp.
#[derive(Debug)]
pub struct Libseccomp {
    handle: Library,
}

type Context = *mut c_void;

impl Libseccomp {
    /// Loads the library. Fails, naming the package to install, when it is not there.
    pub fn load() -> Result<Self> {
        // SAFETY: libseccomp has no constructor with effects on this process.
        let library = unsafe { Library::new("libseccomp.so.2") }.map_err(|_| {
            Error::new("dlopen(libseccomp.so.2), which package libseccomp2 has", Errno::NOENT)
        })?;
        Ok(Self { handle: library })
    }

    /// The architecture LXC and libseccomp call `name` (`x86_64`, `x86`, `x32`, `arm`, `aarch64`, …).
    pub fn arch(&self, name: &str) -> Result<Arch> {
        let text = CString::new(name).map_err(|_| Error::new("an architecture's name", Errno::INVAL))?;
        // SAFETY: the symbol has this type in every libseccomp 2; the text lives over the call.
        let number = unsafe {
            let resolve =
                self.symbol::<unsafe extern "C" fn(*const c_char) -> u32>(b"seccomp_arch_resolve_name\0")?;
            resolve(text.as_ptr())
        };
        match number {
            0 => Err(Error::new(format!("seccomp_arch_resolve_name({name:?})"), Errno::INVAL)),
            number => Ok(Arch(number)),
        }
    }

    /// The architecture of this process.
    pub fn native(&self) -> Result<Arch> {
        // SAFETY: the symbol has this type in every libseccomp 2.
        let number = unsafe { self.symbol::<unsafe extern "C" fn() -> u32>(b"seccomp_arch_native\0")?() };
        Ok(Arch(number))
    }

    /// How [`Filter::rule`] names the system call `name`; `None` where `arch` has no such call.
    ///
    /// Rules name calls by their numbers on the native architecture, whatever the filter's: libseccomp
    /// translates. A call that only the other architecture has gets a number that stands for its name.
    pub fn syscall(&self, arch: Arch, name: &str) -> Result<Option<i32>> {
        type Resolve = unsafe extern "C" fn(*const c_char) -> c_int;
        type ResolveOn = unsafe extern "C" fn(u32, *const c_char) -> c_int;
        /// `__NR_SCMP_ERROR`: no architecture has such a call.
        const UNKNOWN: c_int = -1;
        let text = CString::new(name).map_err(|_| Error::new("a system call's name", Errno::INVAL))?;
        // SAFETY: the symbols have these types in every libseccomp 2; the text lives over the calls.
        let (there, number) = unsafe {
            let there =
                self.symbol::<ResolveOn>(b"seccomp_syscall_resolve_name_arch\0")?(arch.0, text.as_ptr());
            (there, self.symbol::<Resolve>(b"seccomp_syscall_resolve_name\0")?(text.as_ptr()))
        };
        Ok((there >= 0 && number != UNKNOWN).then_some(number))
    }

    /// A filter for the one architecture `arch`, which does `default` to calls without a rule.
    pub fn filter(&self, arch: Arch, default: Action) -> Result<Filter<'_>> {
        // SAFETY: the symbols have these types in every libseccomp 2; the context is checked before use and
        // released by `Filter`'s drop.
        unsafe {
            let context =
                self.symbol::<unsafe extern "C" fn(u32) -> Context>(b"seccomp_init\0")?(default.word());
            if context.is_null() {
                return Err(Error::new("seccomp_init()", Errno::NOMEM));
            }
            let filter = Filter { of: self, context };
            if arch != self.native()? {
                let native = self.native()?;
                let add =
                    self.symbol::<unsafe extern "C" fn(Context, u32) -> c_int>(b"seccomp_arch_add\0")?;
                check(add(context, arch.0), || "seccomp_arch_add".into())?;
                let remove =
                    self.symbol::<unsafe extern "C" fn(Context, u32) -> c_int>(b"seccomp_arch_remove\0")?;
                check(remove(context, native.0), || "seccomp_arch_remove".into())?;
            }
            // Calls of other architectures are judged by their own filters, merged in later: SCMP_FLTATR_ACT_BADARCH
            // (2) allows them here. SCMP_FLTATR_CTL_NNP (3) off: who loads the filter decides.
            let set =
                self.symbol::<unsafe extern "C" fn(Context, c_int, u32) -> c_int>(b"seccomp_attr_set\0")?;
            check(set(context, 2, Action::Allow.word()), || "seccomp_attr_set(BADARCH)".into())?;
            check(set(context, 3, 0), || "seccomp_attr_set(NNP)".into())?;
            Ok(filter)
        }
    }

    /// # Safety
    /// `T` must be the symbol's type.
    unsafe fn symbol<T>(&self, name: &[u8]) -> Result<libloading::Symbol<'_, T>> {
        // SAFETY: promised by the caller.
        unsafe { self.handle.get(name) }.map_err(|_| {
            let name = String::from_utf8_lossy(name).trim_end_matches('\0').to_owned();
            Error::new(format!("dlsym({name}) in libseccomp.so.2"), Errno::NOSYS)
        })
    }
}

/// A filter being built.
#[derive(Debug)]
pub struct Filter<'l> {
    of: &'l Libseccomp,
    context: Context,
}

impl Filter<'_> {
    /// Adds a rule: calls of number `syscall` whose arguments meet all `conditions` get `action`.
    ///
    /// A rule that says what the default says already is left out, as libseccomp has no use for it.
    pub fn rule(&mut self, action: Action, syscall: i32, conditions: &[Condition]) -> Result<()> {
        type Add = unsafe extern "C" fn(Context, u32, c_int, u32, *const Condition) -> c_int;
        let count =
            u32::try_from(conditions.len()).map_err(|_| Error::new("a seccomp rule", Errno::INVAL))?;
        // SAFETY: the symbol has this type in libseccomp 2.2 and later; `Condition` is `struct scmp_arg_cmp`,
        // whose `op` is an enum of 32 bits; the slice lives over the call.
        let result = unsafe {
            self.of.symbol::<Add>(b"seccomp_rule_add_exact_array\0")?(
                self.context,
                action.word(),
                syscall,
                count,
                conditions.as_ptr(),
            )
        };
        if result == -libc::EACCES || result == -libc::EEXIST {
            return Ok(());
        }
        check(result, || format!("seccomp_rule_add(system call {syscall}, {action:?}, {conditions:?})"))
    }

    /// Takes the rules of `other`, a filter for another architecture with the same default.
    pub fn merge(&mut self, other: Self) -> Result<()> {
        // SAFETY: the symbol has this type in every libseccomp 2; on success it takes over the other context,
        // which is why `other` is forgotten.
        let result = unsafe {
            self.of.symbol::<unsafe extern "C" fn(Context, Context) -> c_int>(b"seccomp_merge\0")?(
                self.context,
                other.context,
            )
        };
        check(result, || "seccomp_merge".into())?;
        std::mem::forget(other);
        Ok(())
    }

    /// The filter as instructions for the kernel: an array of `struct sock_filter`.
    pub fn program(&self) -> Result<Vec<u8>> {
        let file: OwnedFd = rustix::fs::memfd_create("seccomp", MemfdFlags::CLOEXEC)
            .map_err(|e| Error::new("memfd_create(seccomp)", e))?;
        // SAFETY: the symbol has this type in every libseccomp 2; the descriptor is open for writing.
        let result = unsafe {
            self.of.symbol::<unsafe extern "C" fn(Context, c_int) -> c_int>(b"seccomp_export_bpf\0")?(
                self.context,
                file.as_raw_fd(),
            )
        };
        check(result, || "seccomp_export_bpf".into())?;
        rustix::fs::seek(&file, SeekFrom::Start(0)).map_err(|e| Error::new("lseek(memfd)", e))?;
        let mut program = Vec::new();
        std::io::Read::read_to_end(&mut std::fs::File::from(file), &mut program)
            .map_err(|e| Error::new("read(memfd)", Errno::from_io_error(&e).unwrap_or(Errno::IO)))?;
        Ok(program)
    }
}

impl Drop for Filter<'_> {
    fn drop(&mut self) {
        // SAFETY: the symbol has this type in every libseccomp 2; the context is released once.
        unsafe {
            if let Ok(release) = self.of.symbol::<unsafe extern "C" fn(Context)>(b"seccomp_release\0") {
                release(self.context);
            }
        }
    }
}

fn check(result: c_int, call: impl FnOnce() -> String) -> Result<()> {
    if result >= 0 { Ok(()) } else { Err(Error::new(call(), Errno::from_raw_os_error(-result))) }
}
