//! A disk that fails when asked to, wholly or where something is written on it.
//!
//! It is a linear target of the device mapper, which other tables take the place of. What has been written by then stays,
//! and nothing else gets there.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use rustix::io::Errno;

use crate::ground::SkipReason;
use crate::grounds::{machine_maps_devices, output};

/// Where it begins on its loop device, in sectors: LVM and others that look for their labels find them once, not on the
/// loop device, too.
const BEGIN: u64 = 2048;

/// How much of it fails at least, in sectors: a block of every file system.
const PIECE: u64 = 8;

/// A mapped device on a loop device over a sparse file. Dropping it removes the devices, which nobody uses any longer.
#[derive(Debug)]
pub(super) struct Mapped {
    name: String,
    device: String,
    image: PathBuf,
    /// Its size.
    sectors: u64,
}

impl Mapped {
    /// A disk of `size` bytes, which works, its content in `directory`.
    pub(super) fn new(directory: &Path, size: u64) -> Result<Self, SkipReason> {
        static DISKS: AtomicUsize = AtomicUsize::new(0);
        machine_maps_devices()?;
        let image = directory.join("disk");
        File::create(&image)?.set_len(size + BEGIN * 512)?;
        let device = output(Command::new("losetup").args(["--find", "--show"]).arg(&image))?;
        let number = DISKS.fetch_add(1, Ordering::Relaxed);
        let name = format!("hull-failing-{}-{number}", std::process::id());
        let disk = Self { name, device: device.trim().to_owned(), image, sectors: size / 512 };
        disk.map("create", &["--table", &disk.works()])?;
        Ok(disk)
    }

    /// Its node.
    pub(super) fn path(&self) -> PathBuf {
        Path::new("/dev/mapper").join(&self.name)
    }

    /// Has it fail at once.
    pub(super) fn fail(&self) -> Result<(), SkipReason> {
        self.load_failure()?;
        self.switch()
    }

    /// Has it fail once `delay` has passed.
    pub(super) fn fail_after(self: &Arc<Self>, delay: Duration) -> Result<Later, SkipReason> {
        // What takes long is done now.
        self.load_failure()?;
        let disk = Arc::clone(self);
        if delay.is_zero() {
            disk.switch()?;
            return Ok(Later::never());
        }
        Ok(Later::new(delay, move || disk.switch()))
    }

    /// Has those blocks of it fail in which a sector begins with `content`, of which there must be some.
    pub(super) fn fail_where(&self, content: &[u8]) -> Result<(), SkipReason> {
        let pieces = self.pieces_with(content)?;
        if pieces.is_empty() {
            return Err(SkipReason(format!("the content is nowhere on {}", self.name)));
        }
        self.map("load", &["--table", &self.fails_at(&pieces)])?;
        self.switch()
    }

    /// Has it work.
    pub(super) fn work(&self) -> Result<(), SkipReason> {
        self.map("load", &["--table", &self.works()])?;
        self.switch()
    }

    fn load_failure(&self) -> Result<(), SkipReason> {
        self.map("load", &["--table", &format!("0 {} error", self.sectors)])
    }

    /// The table with which it works.
    fn works(&self) -> String {
        self.fails_at(&[])
    }

    /// The table with which the pieces of these numbers, in order, fail.
    fn fails_at(&self, pieces: &[u64]) -> String {
        let mut table = String::new();
        let mut line = |from: u64, to: u64, fails: bool| {
            let target = match fails {
                true => "error".to_owned(),
                false => format!("linear {} {}", self.device, from + BEGIN),
            };
            if from < to {
                // Writing to a string does not fail.
                let _ = writeln!(table, "{from} {} {target}", to - from);
            }
        };
        let mut done = 0;
        for piece in pieces {
            let (from, to) = (piece * PIECE, (piece + 1) * PIECE);
            line(done, from, false);
            line(from, to, true);
            done = to;
        }
        line(done, self.sectors, false);
        table
    }

    /// The numbers of the pieces in which a sector begins with `content`, in order. Looking anywhere else would take minutes
    /// in an emulated machine.
    fn pieces_with(&self, content: &[u8]) -> Result<Vec<u64>, SkipReason> {
        let (mut image, mut pieces, mut piece) = (File::open(&self.image)?, Vec::new(), vec![0; 4096]);
        let mut at = BEGIN * 512;
        loop {
            // It is sparse, and mostly empty.
            at = match rustix::fs::seek(&image, rustix::fs::SeekFrom::Data(at)) {
                Ok(data) => data / (PIECE * 512) * (PIECE * 512),
                Err(Errno::NXIO) => return Ok(pieces),
                Err(e) => return Err(e.into()),
            };
            image.seek(SeekFrom::Start(at))?;
            image.read_exact(&mut piece)?;
            if piece.chunks(512).any(|sector| sector.starts_with(content)) {
                pieces.push(at / (PIECE * 512) - BEGIN / PIECE);
            }
            at += PIECE * 512;
        }
    }

    fn map(&self, command: &str, arguments: &[&str]) -> Result<(), SkipReason> {
        output(Command::new("dmsetup").arg(command).arg(&self.name).args(arguments)).map(drop)
    }

    /// Puts the table in place that was loaded before. Nothing is written out first, and nobody waits for the file system,
    /// which would be able to end what it is at.
    fn switch(&self) -> Result<(), SkipReason> {
        self.map("resume", &["--noflush", "--nolockfs"])
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        let removed = self.map("remove", &["--retry"]);
        let detached = output(Command::new("losetup").args(["--detach", &self.device])).map(drop);
        for left in [removed, detached].into_iter().filter_map(Result::err) {
            eprintln!("something is left of the disk {}: {left}", self.name);
        }
    }
}

/// What a thread does once some time has passed. Dropping it has the thread not do it, if it has not begun.
#[derive(Debug)]
pub(super) struct Later {
    stop: Option<mpsc::Sender<()>>,
    thread: Option<thread::JoinHandle<Result<(), SkipReason>>>,
}

impl Later {
    /// Has `act` done after `delay`.
    pub(super) fn new(
        delay: Duration,
        act: impl FnOnce() -> Result<(), SkipReason> + Send + 'static,
    ) -> Self {
        let (stop, stopped) = mpsc::channel();
        let thread = thread::spawn(move || match stopped.recv_timeout(delay) {
            Err(RecvTimeoutError::Timeout) => act(),
            _ => Ok(()),
        });
        Self { stop: Some(stop), thread: Some(thread) }
    }

    fn never() -> Self {
        Self { stop: None, thread: None }
    }

    /// Waits until it has been done, or will not be any more; how that went.
    pub(super) fn end(&mut self) -> Result<(), SkipReason> {
        drop(self.stop.take());
        let Some(thread) = self.thread.take() else { return Ok(()) };
        thread.join().map_err(|_| SkipReason("the thread that breaks the disk panicked".into()))?
    }
}

impl Drop for Later {
    fn drop(&mut self) {
        if let Err(why) = self.end() {
            eprintln!("a disk did not fail: {why}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_leave_nothing_out() {
        let disk = Mapped { name: "d".into(), device: "L".into(), image: "/".into(), sectors: 64 };
        for (pieces, table) in [
            (&[][..], "0 64 linear L 2048\n"),
            (&[0], "0 8 error\n8 56 linear L 2056\n"),
            (&[7], "0 56 linear L 2048\n56 8 error\n"),
            (&[2, 3], "0 16 linear L 2048\n16 8 error\n24 8 error\n32 32 linear L 2080\n"),
        ] {
            assert_eq!(disk.fails_at(pieces), table, "{pieces:?}");
        }
        // There are no such devices.
        std::mem::forget(disk);
    }

    #[test]
    fn content_is_found_where_it_is() {
        use std::os::unix::fs::FileExt;
        let directory = tempfile::tempdir().expect("a directory");
        let image = directory.path().join("disk");
        let file = File::create(&image).expect("an image");
        file.set_len(BEGIN * 512 + (1 << 20)).expect("a size");
        for at in [0, 4096 * 3 + 512, 4096 * 100 + 17, 4096 * 200] {
            file.write_all_at(b"needle", BEGIN * 512 + at).expect("written");
        }
        let disk = Mapped { name: "d".into(), device: "L".into(), image, sectors: 2048 };
        assert_eq!(disk.pieces_with(b"needle").ok(), Some(vec![0, 3, 200]));
        assert_eq!(disk.pieces_with(b"another").ok(), Some(vec![]));
        std::mem::forget(disk);
    }
}
