//! Acts on zfs datasets with libzfs_core, loaded when first needed: no header and no library is needed to build, and
//! a machine without it says so.
//!
//! Its functions are a stable interface: each is one atomic call of the kernel, and safe to be called by several
//! threads. Names are checked by the kernel, not here.

use std::ffi::{CStr, CString, c_char, c_int, c_uint, c_void};
use std::ptr;

use libloading::{Library, Symbol};
use rustix::fd::{AsFd, AsRawFd};
use rustix::io::Errno;

use crate::{Error, Result};

/// libzfs_core and libnvpair, in the version that OpenZFS 2.0 and later have.
#[derive(Debug)]
pub struct Libzfs {
    core: Library,
    pairs: Library,
    /// Whether it has been initialised, which drop undoes.
    open: bool,
}

/// The value of a property, as the kernel wants it: a choice (`on`, `noauto`) is the number of that choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// A text.
    Text(&'a str),
    /// A number.
    Number(u64),
}

/// Named values.
pub type Properties<'a> = [(&'a str, Value<'a>)];

type List = *mut c_void;

impl Libzfs {
    /// Loads the libraries and opens `/dev/zfs`.
    ///
    /// Fails with `ENOENT`, naming the package to install, when a library is not there, and with the kernel's word
    /// when the device cannot be opened.
    pub fn load() -> Result<Self> {
        let open = |name: &str, package: &str| {
            // SAFETY: neither library has a constructor with effects on this process.
            unsafe { Library::new(name) }
                .map_err(|_| Error::new(format!("dlopen({name}), which package {package} has"), Errno::NOENT))
        };
        let mut libraries = Self {
            pairs: open("libnvpair.so.3", "libnvpair3linux")?,
            core: open("libzfs_core.so.3", "libzfs4linux")?,
            open: false,
        };
        // SAFETY: the symbol has this type; its effect, an open /dev/zfs, is counted and undone by our drop.
        let result = unsafe { libraries.core::<unsafe extern "C" fn() -> c_int>(b"libzfs_core_init\0")?() };
        check(result, || "open(/dev/zfs)".into())?;
        libraries.open = true;
        Ok(libraries)
    }

    /// Whether there is a dataset or snapshot called `name`.
    pub fn exists(&self, name: &str) -> Result<bool> {
        let name = text(name)?;
        // SAFETY: the symbol has this type (`boolean_t` is an enum); the text lives over the call.
        Ok(unsafe {
            self.core::<unsafe extern "C" fn(*const c_char) -> c_int>(b"lzc_exists\0")?(name.as_ptr()) != 0
        })
    }

    /// Makes the empty file system `dataset`. `EEXIST`: there is one; `ENOENT`: its parent is missing.
    pub fn create(&self, dataset: &str, properties: &Properties<'_>) -> Result<()> {
        type Create = unsafe extern "C" fn(*const c_char, c_int, List, *const u8, c_uint) -> c_int;
        /// `LZC_DATSET_TYPE_ZFS`.
        const FILE_SYSTEM: c_int = 2;
        let (name, list) = (text(dataset)?, Pairs::of(self, properties)?);
        // SAFETY: the symbol has this type since 0.8; text and list live over the call, and there is no key.
        let result = unsafe {
            self.core::<Create>(b"lzc_create\0")?(name.as_ptr(), FILE_SYSTEM, list.list, ptr::null(), 0)
        };
        check(result, || format!("lzc_create({dataset})"))
    }

    /// Makes the snapshot `name` (`DATASET@SNAPSHOT`).
    pub fn snapshot(&self, name: &str) -> Result<()> {
        type Snapshot = unsafe extern "C" fn(List, List, *mut List) -> c_int;
        let list = Pairs::names(self, &[name])?;
        let mut failed = Pairs::none(self);
        // SAFETY: the symbol has this type; the list lives over the call; what is returned in `failed` is freed once.
        let result = unsafe {
            self.core::<Snapshot>(b"lzc_snapshot\0")?(list.list, ptr::null_mut(), &raw mut failed.list)
        };
        check(result, || format!("lzc_snapshot({name})"))
    }

    /// Makes the file system `dataset` of the snapshot `origin`.
    pub fn clone_of(&self, origin: &str, dataset: &str, properties: &Properties<'_>) -> Result<()> {
        type Clone = unsafe extern "C" fn(*const c_char, *const c_char, List) -> c_int;
        let (name, of, list) = (text(dataset)?, text(origin)?, Pairs::of(self, properties)?);
        // SAFETY: the symbol has this type; texts and list live over the call.
        let result = unsafe { self.core::<Clone>(b"lzc_clone\0")?(name.as_ptr(), of.as_ptr(), list.list) };
        check(result, || format!("lzc_clone({dataset}, {origin})"))
    }

    /// Renames a dataset with all below it; its mounts stay as they are. `EEXIST`: `to` is taken.
    pub fn rename(&self, from: &str, to: &str) -> Result<()> {
        type Rename = unsafe extern "C" fn(*const c_char, *const c_char) -> c_int;
        let (old, new) = (text(from)?, text(to)?);
        // SAFETY: the symbol has this type; the texts live over the call.
        let result = unsafe { self.core::<Rename>(b"lzc_rename\0")?(old.as_ptr(), new.as_ptr()) };
        check(result, || format!("lzc_rename({from}, {to})"))
    }

    /// Makes the clone `dataset` the owner of the snapshots it shares, and what owned them its clone.
    ///
    /// `EEXIST`: both have a snapshot of one name, which the error's call names.
    pub fn promote(&self, dataset: &str) -> Result<()> {
        type Promote = unsafe extern "C" fn(*const c_char, *mut c_char, c_int) -> c_int;
        let name = text(dataset)?;
        let mut conflict = [0u8; 256];
        // SAFETY: the symbol has this type since 0.7; the text lives over the call, and the buffer is as long as said.
        let result = unsafe {
            self.core::<Promote>(b"lzc_promote\0")?(
                name.as_ptr(),
                conflict.as_mut_ptr().cast(),
                conflict.len() as c_int,
            )
        };
        check(result, || {
            let conflict =
                CStr::from_bytes_until_nul(&conflict).map(CStr::to_string_lossy).unwrap_or_default();
            match conflict.is_empty() {
                true => format!("lzc_promote({dataset})"),
                false => format!("lzc_promote({dataset}), of whose snapshots {conflict} has a name twice"),
            }
        })
    }

    /// Removes a file system without snapshots and children. `EBUSY`: it is mounted somewhere.
    pub fn destroy(&self, dataset: &str) -> Result<()> {
        let name = text(dataset)?;
        // SAFETY: the symbol has this type; the text lives over the call.
        let result = unsafe {
            self.core::<unsafe extern "C" fn(*const c_char) -> c_int>(b"lzc_destroy\0")?(name.as_ptr())
        };
        check(result, || format!("lzc_destroy({dataset})"))
    }

    /// Removes the snapshot `name`; gone already is success. `deferred`: if it still has clones or holds, it goes when
    /// the last of them does. Otherwise `EEXIST`: it has clones; `EBUSY`: it is held.
    pub fn destroy_snapshot(&self, name: &str, deferred: bool) -> Result<()> {
        type Destroy = unsafe extern "C" fn(List, c_int, *mut List) -> c_int;
        let list = Pairs::names(self, &[name])?;
        let mut failed = Pairs::none(self);
        // SAFETY: the symbol has this type; the list lives over the call; what is returned in `failed` is freed once.
        let result = unsafe {
            self.core::<Destroy>(b"lzc_destroy_snaps\0")?(
                list.list,
                c_int::from(deferred),
                &raw mut failed.list,
            )
        };
        check(result, || format!("lzc_destroy_snaps({name})"))
    }

    /// Writes the snapshot `name` to `to` as a stream; with `since`, only what has changed since that earlier snapshot.
    /// `raw`: encrypted blocks stay as they are on disk, and no key is needed.
    pub fn send(&self, name: &str, since: Option<&str>, raw: bool, to: impl AsFd) -> Result<()> {
        type Send = unsafe extern "C" fn(*const c_char, *const c_char, c_int, c_int) -> c_int;
        /// `LZC_SEND_FLAG_RAW`.
        const RAW: c_int = 1 << 3;
        let (snapshot, from) = (text(name)?, since.map(text).transpose()?);
        let from = from.as_ref().map_or(ptr::null(), |f| f.as_ptr());
        // SAFETY: the symbol has this type (the flags are an enum); texts and descriptor live over the call.
        let result = unsafe {
            self.core::<Send>(b"lzc_send\0")?(
                snapshot.as_ptr(),
                from,
                to.as_fd().as_raw_fd(),
                if raw { RAW } else { 0 },
            )
        };
        check(result, || format!("lzc_send({name})"))
    }

    /// Runs the channel program `program` (zfs-program(8)), which may only look, in the pool `pool`, and returns the
    /// text that it returns. Its argument is a table of `arguments`.
    ///
    /// All that it sees is of one moment. `ENOENT`: there is no such pool.
    pub fn ask(&self, pool: &str, program: &str, arguments: &[(&str, &str)]) -> Result<String> {
        self.run(b"lzc_channel_program_nosync\0", "a look into", pool, program, arguments)
    }

    /// [`Libzfs::ask`] with a program that may change things: all that it does is in one transaction group of the pool, and
    /// on its disks when this returns.
    pub fn tell(&self, pool: &str, program: &str, arguments: &[(&str, &str)]) -> Result<String> {
        self.run(b"lzc_channel_program\0", "acts in", pool, program, arguments)
    }

    fn run(
        &self,
        call: &[u8],
        what: &str,
        pool: &str,
        program: &str,
        arguments: &[(&str, &str)],
    ) -> Result<String> {
        type Run = unsafe extern "C" fn(*const c_char, *const c_char, u64, u64, List, *mut List) -> c_int;
        type Lookup = unsafe extern "C" fn(List, *const c_char, *mut *const c_char) -> c_int;
        /// The most that the kernel allows.
        const INSTRUCTIONS: u64 = 100_000_000;
        const MEMORY: u64 = 100 << 20;
        let (name, lines) = (text(pool)?, text(program)?);
        let values: Vec<_> = arguments.iter().map(|&(key, value)| (key, Value::Text(value))).collect();
        let list = Pairs::of(self, &values)?;
        let mut answer = Pairs::none(self);
        // SAFETY: both symbols have this type since 0.8; texts and list live over the call; `answer` is freed once.
        let result = unsafe {
            self.core::<Run>(call)?(
                name.as_ptr(),
                lines.as_ptr(),
                INSTRUCTIONS,
                MEMORY,
                list.list,
                &raw mut answer.list,
            )
        };
        let found = |key: &CStr| -> Result<Option<String>> {
            let mut value = ptr::null();
            if answer.list.is_null() {
                return Ok(None);
            }
            // SAFETY: the symbol has this type; the list is one that the library made, and the text lives in it, which
            // is not changed before the text is copied.
            unsafe {
                let lookup = self.pairs::<Lookup>(b"nvlist_lookup_string\0")?;
                match lookup(answer.list, key.as_ptr(), &raw mut value) {
                    0 if !value.is_null() => Ok(Some(CStr::from_ptr(value).to_string_lossy().into_owned())),
                    _ => Ok(None),
                }
            }
        };
        if result != 0 {
            let said = found(c"error")?.unwrap_or_default();
            let said = said.lines().next().unwrap_or_default();
            return check(result, || format!("{what} the pool {pool} {said}").trim_end().to_owned())
                .map(|()| String::new());
        }
        found(c"return")?
            .ok_or_else(|| Error::new(format!("{what} the pool {pool} returned no text"), Errno::PROTO))
    }

    /// # Safety
    /// `T` must be the symbol's type.
    unsafe fn core<T>(&self, name: &[u8]) -> Result<Symbol<'_, T>> {
        // SAFETY: promised by the caller.
        unsafe { self.core.get(name) }.map_err(|_| missing(name, "libzfs_core.so.3"))
    }

    /// # Safety
    /// `T` must be the symbol's type.
    unsafe fn pairs<T>(&self, name: &[u8]) -> Result<Symbol<'_, T>> {
        // SAFETY: promised by the caller.
        unsafe { self.pairs.get(name) }.map_err(|_| missing(name, "libnvpair.so.3"))
    }
}

impl Drop for Libzfs {
    fn drop(&mut self) {
        if !self.open {
            return;
        }
        // SAFETY: the symbol has this type; it closes what `load` opened.
        unsafe {
            if let Ok(end) = self.core::<unsafe extern "C" fn()>(b"libzfs_core_fini\0") {
                end();
            }
        }
    }
}

fn missing(name: &[u8], library: &str) -> Error {
    let name = String::from_utf8_lossy(name).trim_end_matches('\0').to_owned();
    Error::new(format!("dlsym({name}) in {library}"), Errno::NOSYS)
}

/// libnvpair's list of named values; freed when dropped.
struct Pairs<'l> {
    of: &'l Libzfs,
    list: List,
}

impl<'l> Pairs<'l> {
    /// No list, for the library to put one there.
    fn none(of: &'l Libzfs) -> Self {
        Self { of, list: ptr::null_mut() }
    }

    fn empty(of: &'l Libzfs) -> Result<Self> {
        type Alloc = unsafe extern "C" fn(*mut List, c_uint, c_int) -> c_int;
        /// `NV_UNIQUE_NAME`.
        const UNIQUE: c_uint = 1;
        let mut pairs = Self::none(of);
        // SAFETY: the symbol has this type; the list is freed by drop.
        let result = unsafe { of.pairs::<Alloc>(b"nvlist_alloc\0")?(&raw mut pairs.list, UNIQUE, 0) };
        check(result, || "nvlist_alloc()".into())?;
        Ok(pairs)
    }

    fn of(of: &'l Libzfs, values: &Properties<'_>) -> Result<Self> {
        type AddText = unsafe extern "C" fn(List, *const c_char, *const c_char) -> c_int;
        type AddNumber = unsafe extern "C" fn(List, *const c_char, u64) -> c_int;
        let pairs = Self::empty(of)?;
        for (key, value) in values {
            let name = text(key)?;
            // SAFETY: the symbols have these types; the list is ours; the library copies the texts.
            let result = unsafe {
                match value {
                    Value::Text(value) => {
                        let value = text(value)?;
                        of.pairs::<AddText>(b"nvlist_add_string\0")?(
                            pairs.list,
                            name.as_ptr(),
                            value.as_ptr(),
                        )
                    }
                    Value::Number(value) => {
                        of.pairs::<AddNumber>(b"nvlist_add_uint64\0")?(pairs.list, name.as_ptr(), *value)
                    }
                }
            };
            check(result, || format!("nvlist_add({key})"))?;
        }
        Ok(pairs)
    }

    /// A list of names without values.
    fn names(of: &'l Libzfs, names: &[&str]) -> Result<Self> {
        type Add = unsafe extern "C" fn(List, *const c_char) -> c_int;
        let pairs = Self::empty(of)?;
        for name in names {
            let text = text(name)?;
            // SAFETY: the symbol has this type; the list is ours; the library copies the text.
            let result = unsafe { of.pairs::<Add>(b"nvlist_add_boolean\0")?(pairs.list, text.as_ptr()) };
            check(result, || format!("nvlist_add({name})"))?;
        }
        Ok(pairs)
    }
}

impl Drop for Pairs<'_> {
    fn drop(&mut self) {
        if self.list.is_null() {
            return;
        }
        // SAFETY: the symbol has this type; the list is one that the library made, and freed once.
        unsafe {
            if let Ok(free) = self.of.pairs::<unsafe extern "C" fn(List)>(b"nvlist_free\0") {
                free(self.list);
            }
        }
    }
}

fn text(text: &str) -> Result<CString> {
    CString::new(text).map_err(|_| Error::new(format!("the name {text:?}"), Errno::INVAL))
}

/// libzfs_core returns error numbers, or numbers of its own from 1024 on.
fn check(result: c_int, call: impl FnOnce() -> String) -> Result<()> {
    match result {
        0 => Ok(()),
        1..1024 => Err(Error::new(call(), Errno::from_raw_os_error(result))),
        // `ZFS_ERR_…` of the kernel module, none of which these calls should meet.
        other => Err(Error::new(format!("{} (zfs error {other})", call()), Errno::IO)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Everywhere, the library is there or its absence is one line that names what lacks.
    #[test]
    fn it_loads_or_says_why_not() {
        match Libzfs::load() {
            Ok(zfs) => assert!(!zfs.exists("no-such-pool-of-hull/x").is_ok_and(|there| there)),
            Err(e) => {
                let said = e.to_string();
                assert!(said.contains("package lib") || said.contains("/dev/zfs"), "{said}");
                assert_eq!(said.lines().count(), 1, "{said}");
            }
        }
    }

    #[test]
    fn numbers_that_are_no_errors_of_the_system_are_named() {
        assert!(check(0, String::new).is_ok());
        assert_eq!(check(libc::EBUSY, || "x".into()).map_err(|e| e.errno()), Err(Errno::BUSY));
        assert!(check(1029, || "x".into()).is_err_and(|e| e.to_string().contains("1029")));
    }
}
