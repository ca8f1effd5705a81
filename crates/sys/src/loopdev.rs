//! Loop devices: block devices that show a file, loop(4).
//!
//! A device is attached with `LO_FLAGS_AUTOCLEAR`, so that the kernel detaches it when its last user is gone: the
//! last descriptor closed and the last file system on it unmounted, also by `kill -9`.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::Duration;

use linux_raw_sys::loop_device as raw;
use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;

use crate::{Error, Result, fd};

const CONTROL: &str = "/dev/loop-control";
/// Other programs want a free device at the same time as we, and one of them may get it first.
const TRIES: u32 = 64;

/// How [`LoopDevice::attach`] shall attach.
#[derive(Clone, Copy, Debug, Default)]
pub struct AttachOptions {
    /// The device can only be read.
    pub read_only: bool,
    /// The device bypasses the page cache of the file (Linux 4.10), if the file system of the file lets it with blocks
    /// of 512 bytes; so nothing is cached twice.
    pub direct: bool,
}

/// A loop device, kept open: while it is, the device stays attached.
#[derive(Debug)]
pub struct LoopDevice {
    fd: OwnedFd,
    number: u32,
}

/// What a loop device shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// The number of the device that the file's file system is on, as `st_dev`.
    pub device: u64,
    /// The file's inode number.
    pub inode: u64,
    /// Where in the file the device begins.
    pub offset: u64,
    /// How much of the file it shows; 0 is all.
    pub size_limit: u64,
    /// It can only be read.
    pub read_only: bool,
    /// The kernel detaches it after its last user.
    pub autoclear: bool,
    /// It bypasses the file's page cache.
    pub direct: bool,
}

impl LoopDevice {
    /// Attaches the file `image` to a free device.
    ///
    /// Requires `CAP_SYS_ADMIN`, `/dev/loop-control` and that `image` is open for writing unless the device is to be
    /// read only. Uses `LOOP_CONFIGURE` (Linux 5.8), else `LOOP_SET_FD` and `LOOP_SET_STATUS64`. When other programs
    /// keep taking the free devices first, it fails with `EBUSY` after many tries.
    pub fn attach(image: impl AsFd, options: &AttachOptions) -> Result<Self> {
        let control = rustix::fs::openat(CWD, CONTROL, OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
            .map_err(|e| Error::new(format!("open({CONTROL})"), e))?;
        let mut last = Error::new("ioctl(LOOP_CTL_GET_FREE)", Errno::BUSY);
        for round in 0..TRIES {
            let number = free_device(&control)?;
            let attached = Self::open_with(number, options.read_only)
                .and_then(|device| device.configure(&image, options));
            match attached {
                Ok(device) => return Ok(device),
                // Somebody has taken it, or is letting go of it, or udev has not made its node yet.
                Err(e) if matches!(e.errno(), Errno::BUSY | Errno::NXIO | Errno::NODEV | Errno::NOENT) => {
                    last = e;
                }
                Err(e) => return Err(e),
            }
            // Processes that started together do not meet again.
            let spread = u64::from(std::process::id().wrapping_add(round * 7) % 5);
            std::thread::sleep(Duration::from_millis(1 + spread));
        }
        Err(last)
    }

    /// Opens the device `number`, whether anything is attached to it or not.
    ///
    /// If it is attached with autoclear, it stays so while this is open.
    pub fn open(number: u32) -> Result<Self> {
        Self::open_with(number, true)
    }

    fn open_with(number: u32, read_only: bool) -> Result<Self> {
        let path = path_of(number);
        let flags = if read_only { OFlags::RDONLY } else { OFlags::RDWR };
        let fd = rustix::fs::openat(CWD, &path, flags | OFlags::CLOEXEC, Mode::empty())
            .map_err(|e| Error::new(format!("open({})", path.display()), e))?;
        Ok(Self { fd, number })
    }

    /// Its node.
    pub fn path(&self) -> PathBuf {
        path_of(self.number)
    }

    /// What it shows: `LOOP_GET_STATUS64`. Fails with `ENXIO` when nothing is attached.
    pub fn status(&self) -> Result<Status> {
        let mut info = zeroed_info();
        // SAFETY: this request writes a `loop_info64`, which lives and is ours alone.
        let result = unsafe { libc::ioctl(self.raw(), raw::LOOP_GET_STATUS64 as libc::Ioctl, &raw mut info) };
        check(result, || format!("ioctl({}, LOOP_GET_STATUS64)", self.path().display()))?;
        let has = |flag: raw::_bindgen_ty_1| info.lo_flags & flag as u32 != 0;
        Ok(Status {
            device: info.lo_device,
            inode: info.lo_inode,
            offset: info.lo_offset,
            size_limit: info.lo_sizelimit,
            read_only: has(raw::LO_FLAGS_READ_ONLY),
            autoclear: has(raw::LO_FLAGS_AUTOCLEAR),
            direct: has(raw::LO_FLAGS_DIRECT_IO),
        })
    }

    /// Gives the device the size that its file has now: `LOOP_SET_CAPACITY`.
    pub fn set_capacity(&self) -> Result<()> {
        // SAFETY: this request takes no argument.
        let result = unsafe { libc::ioctl(self.raw(), raw::LOOP_SET_CAPACITY as libc::Ioctl, 0) };
        check(result, || format!("ioctl({}, LOOP_SET_CAPACITY)", self.path().display()))
    }

    /// Attaches `image` to this device, which is free.
    fn configure(self, image: &impl AsFd, options: &AttachOptions) -> Result<Self> {
        match self.configure_at_once(image, options) {
            Err(e) if options.direct && e.errno() == Errno::INVAL => {
                self.configure(image, &AttachOptions { direct: false, ..*options })
            }
            Err(e) if matches!(e.errno(), Errno::NOTTY | Errno::INVAL | Errno::NOSYS) => {
                self.configure_in_two_steps(image, options)?;
                Ok(self)
            }
            done => done.map(|()| self),
        }
    }

    fn configure_at_once(&self, image: &impl AsFd, options: &AttachOptions) -> Result<()> {
        let config = raw::loop_config {
            fd: number_of(image.as_fd()),
            // Whatever the file lies on: the file system in it may be made for 512.
            block_size: 512,
            info: info(options),
            __reserved: [0; 8],
        };
        // SAFETY: this request reads a `loop_config`, which lives.
        let result =
            unsafe { libc::ioctl(self.raw(), raw::LOOP_CONFIGURE as libc::Ioctl, &raw const config) };
        check(result, || {
            format!("ioctl({}, LOOP_CONFIGURE, {})", self.path().display(), fd::name(image.as_fd()))
        })
    }

    fn configure_in_two_steps(&self, image: &impl AsFd, options: &AttachOptions) -> Result<()> {
        let descriptor = image.as_fd().as_raw_fd();
        // SAFETY: this request takes a descriptor by value.
        let result = unsafe { libc::ioctl(self.raw(), raw::LOOP_SET_FD as libc::Ioctl, descriptor) };
        check(result, || {
            format!("ioctl({}, LOOP_SET_FD, {})", self.path().display(), fd::name(image.as_fd()))
        })?;
        let info = info(&AttachOptions { direct: false, ..*options });
        // SAFETY: this request reads a `loop_info64`, which lives.
        let result =
            unsafe { libc::ioctl(self.raw(), raw::LOOP_SET_STATUS64 as libc::Ioctl, &raw const info) };
        check(result, || format!("ioctl({}, LOOP_SET_STATUS64)", self.path().display())).inspect_err(|_| {
            // Without autoclear nobody would detach it. That this fails too could only be reported in its place.
            // SAFETY: this request takes no argument.
            unsafe { libc::ioctl(self.raw(), raw::LOOP_CLR_FD as libc::Ioctl, 0) };
        })
    }

    fn raw(&self) -> i32 {
        self.fd.as_raw_fd()
    }
}

impl AsFd for LoopDevice {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// The devices that `image` is attached to, in the order of their numbers, each held open.
///
/// Files are compared by device and inode number: the names that the kernel keeps are truncated, and may have changed
/// since. Requires `/sys`.
pub fn attached_to(image: impl AsFd) -> Result<Vec<LoopDevice>> {
    let stat =
        rustix::fs::fstat(&image).map_err(|e| Error::new(format!("fstat({})", fd::name(&image)), e))?;
    let mut found = Vec::new();
    for number in attached_numbers()? {
        let device = match LoopDevice::open(number) {
            Ok(device) => device,
            // It has gone since.
            Err(e) if matches!(e.errno(), Errno::NXIO | Errno::NODEV) => continue,
            // A device without a node: only its name can be looked at.
            Err(e) if e.errno() == Errno::NOENT && !names(number, &image) => continue,
            Err(e) => return Err(e),
        };
        match device.status() {
            Ok(status) if (status.device, status.inode) == (stat.st_dev, stat.st_ino) => found.push(device),
            Ok(_) => {}
            Err(e) if e.errno() == Errno::NXIO => {}
            Err(e) => return Err(e),
        }
    }
    Ok(found)
}

/// The numbers of all devices that something is attached to.
fn attached_numbers() -> Result<Vec<u32>> {
    const BLOCKS: &str = "/sys/block";
    let failed = |e: io::Error| {
        Error::new(format!("readdir({BLOCKS})"), Errno::from_io_error(&e).unwrap_or(Errno::IO))
    };
    let mut numbers = Vec::new();
    for entry in std::fs::read_dir(BLOCKS).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        let number: Option<u32> = name.to_str().and_then(|name| name.strip_prefix("loop")?.parse().ok());
        // The folder is there while something is attached.
        numbers.extend(number.filter(|n| PathBuf::from(format!("{BLOCKS}/loop{n}/loop")).is_dir()));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// Whether the kernel says that the device `number` shows a file that is called as `image` is now.
fn names(number: u32, image: &impl AsFd) -> bool {
    let shown = std::fs::read(format!("/sys/block/loop{number}/loop/backing_file")).unwrap_or_default();
    let name = std::fs::read_link(fd::proc_path(image)).unwrap_or_default();
    shown.strip_suffix(b"\n") == Some(name.as_os_str().as_bytes())
}

fn free_device(control: &OwnedFd) -> Result<u32> {
    // SAFETY: this request takes no argument.
    let number = unsafe { libc::ioctl(control.as_raw_fd(), raw::LOOP_CTL_GET_FREE as libc::Ioctl, 0) };
    u32::try_from(number).map_err(|_| Error::last(format!("ioctl({CONTROL}, LOOP_CTL_GET_FREE)")))
}

fn path_of(number: u32) -> PathBuf {
    PathBuf::from(format!("/dev/loop{number}"))
}

fn number_of(fd: BorrowedFd<'_>) -> u32 {
    u32::try_from(fd.as_raw_fd()).expect("a borrowed descriptor is not negative")
}

fn check(result: i32, described: impl FnOnce() -> String) -> Result<()> {
    if result < 0 { Err(Error::last(described())) } else { Ok(()) }
}

fn info(options: &AttachOptions) -> raw::loop_info64 {
    let mut flags = raw::LO_FLAGS_AUTOCLEAR as u32;
    if options.read_only {
        flags |= raw::LO_FLAGS_READ_ONLY as u32;
    }
    if options.direct {
        flags |= raw::LO_FLAGS_DIRECT_IO as u32;
    }
    raw::loop_info64 { lo_flags: flags, ..zeroed_info() }
}

fn zeroed_info() -> raw::loop_info64 {
    raw::loop_info64 {
        lo_device: 0,
        lo_inode: 0,
        lo_rdevice: 0,
        lo_offset: 0,
        lo_sizelimit: 0,
        lo_number: 0,
        lo_encrypt_type: 0,
        lo_encrypt_key_size: 0,
        lo_flags: 0,
        lo_file_name: [0; 64],
        lo_crypt_name: [0; 64],
        lo_encrypt_key: [0; 32],
        lo_init: [0; 2],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    /// A sparse file of 1 MiB, removed when dropped.
    struct Image(PathBuf, File);

    impl Image {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("hull-loopdev-{}-{name}", std::process::id()));
            let file =
                File::options().read(true).write(true).create(true).truncate(true).open(&path).unwrap();
            file.set_len(1 << 20).unwrap();
            Self(path, file)
        }
    }

    impl Drop for Image {
        fn drop(&mut self) {
            let _ = std::fs::remove_file(&self.0);
        }
    }

    /// A device that shows `image`, unless there can be none here.
    fn attach(test: &str, image: &File, options: &AttachOptions) -> Option<LoopDevice> {
        match LoopDevice::attach(image, options) {
            Ok(device) => Some(device),
            Err(e) if matches!(e.errno(), Errno::NOENT | Errno::ACCESS | Errno::PERM | Errno::NODEV) => {
                // The convention of hull-testskip, which this lowest crate cannot use.
                println!("skipped: loopdev::tests::{test}: {e}");
                None
            }
            Err(e) => panic!("{e}"),
        }
    }

    fn size(device: &LoopDevice) -> u64 {
        rustix::fs::seek(device, rustix::fs::SeekFrom::End(0)).unwrap()
    }

    #[test]
    fn an_image_is_attached_found_grown_and_let_go() {
        let image = Image::new("life");
        let options = AttachOptions { read_only: false, direct: true };
        let Some(device) = attach("an_image_is_attached_found_grown_and_let_go", &image.1, &options) else {
            return;
        };
        let status = device.status().unwrap();
        assert!(status.autoclear && !status.read_only && (status.offset, status.size_limit) == (0, 0));
        assert_eq!(size(&device), 1 << 20);
        image.1.set_len(3 << 20).unwrap();
        device.set_capacity().unwrap();
        assert_eq!(size(&device), 3 << 20);
        let found = attached_to(&image.1).unwrap();
        assert_eq!(found.iter().map(LoopDevice::path).collect::<Vec<_>>(), [device.path()]);
        drop((found, device));
        let gone = || attached_to(&image.1).unwrap().is_empty();
        assert!((0..100).any(|_| gone() || {
            std::thread::sleep(Duration::from_millis(10));
            false
        }));
    }

    #[test]
    fn a_read_only_device_says_so() {
        let image = Image::new("read-only");
        let options = AttachOptions { read_only: true, direct: false };
        let Some(device) = attach("a_read_only_device_says_so", &image.1, &options) else { return };
        assert!(device.status().unwrap().read_only);
    }

    #[test]
    fn many_at_once_get_a_device_each() {
        let images: Vec<Image> = (0..8).map(|n| Image::new(&format!("many{n}"))).collect();
        let options = AttachOptions::default();
        if attach("many_at_once_get_a_device_each", &images[0].1, &options).is_none() {
            return;
        }
        let paths = std::thread::scope(|scope| {
            let attached: Vec<_> =
                images.iter().map(|image| scope.spawn(|| LoopDevice::attach(&image.1, &options))).collect();
            let devices: Vec<_> = attached.into_iter().map(|t| t.join().unwrap().unwrap()).collect();
            devices.iter().map(LoopDevice::path).collect::<std::collections::BTreeSet<_>>()
        });
        assert_eq!(paths.len(), images.len());
    }
}
