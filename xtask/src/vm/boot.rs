//! A machine under QEMU: started, read line by line, and ended with us, whatever ends us.
//!
//! Its first serial port is the console, kept in a file; the second carries lines both ways, [`Running::line`] and
//! [`Running::say`].
//! Killing a machine whose scratch disks outlive it is a true power cut: what the guest had written to them is
//! there at the next start, what it only held in memory is not.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use crate::{Result, process};

/// The emulator.
pub(super) const QEMU: &str = "qemu-system-x86_64";

/// One processor for a machine: two machines beside each other do twice as much as one with two processors, which
/// spends them on flushing each other's emulated caches. With ERMS and FSRM the kernel would clear and copy pages byte
/// by byte, and the emulator does a byte as slowly as a word.
const CPU: &str = "max,-erms,-fsrm";

/// The guest's kernel command line.
const COMMAND_LINE: &[&str] = &[
    "console=ttyS0 quiet root=/dev/vda rw init=/sbin/lane-init apparmor=1 security=apparmor",
    // A machine that fell over must not look like one that takes long: it ends.
    "panic=-1 oops=panic",
    // The check counts ticks, and fails on a busy host.
    "no_timer_check",
    // The emulator keeps what it translated by virtual address. At random ones it translates each program anew whenever
    // it starts: that is five times as slow.
    "norandmaps",
];

/// The file that gets the console's output, in the machine's folder.
const CONSOLE: &str = "console.log";

/// How many lines of the console tell why a machine ended.
const LAST_WORDS: usize = 60;

/// A machine to start.
#[derive(Debug)]
pub(super) struct Machine {
    pub(super) kernel: PathBuf,
    /// None for a kernel with the drivers of QEMU's disks and ext4 built in.
    pub(super) initrd: Option<PathBuf>,
    /// The root file system; what is written to it is forgotten at the end.
    pub(super) image: PathBuf,
    /// The disk with the lane's script, read only.
    pub(super) payload: PathBuf,
    /// Raw images that the guest may write to, `/dev/vdb` and on; they stay as it leaves them.
    pub(super) scratch: Vec<PathBuf>,
    pub(super) memory_mib: u32,
    /// For the console's output and temporary files.
    pub(super) folder: PathBuf,
}

/// A machine that runs. Dropping it ends it at once.
#[derive(Debug)]
#[must_use]
pub(super) struct Running {
    child: Child,
    input: Option<ChildStdin>,
    lines: mpsc::Receiver<String>,
    console: PathBuf,
}

/// What [`Running::line`] found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    Text(String),
    /// Nothing until the deadline.
    Late,
    /// The machine is off, and all it said has been read.
    Off,
}

impl Machine {
    /// Starts it. Fails when QEMU cannot be run; one that ends at once is [`Line::Off`].
    pub(super) fn start(&self) -> Result<Running> {
        let console = self.folder.join(CONSOLE);
        let mut qemu = self.qemu();
        qemu.arg("-serial").arg(with_path("file:", &console)?);
        qemu.args(["-chardev", "stdio,id=lane,signal=off", "-serial", "chardev:lane", "-monitor", "none"]);
        qemu.stdin(Stdio::piped()).stdout(Stdio::piped());
        let child = qemu.spawn().map_err(|error| format!("cannot run {}: {error}", process::shown(&qemu)))?;
        Running::of(child, console)
    }

    /// Runs it with its console on our terminal, until the guest powers off.
    pub(super) fn interact(&self) -> Result<()> {
        let mut qemu = self.qemu();
        process::succeed(qemu.args(["-serial", "mon:stdio", "-serial", "null"]).stdin(Stdio::inherit()))
    }

    fn qemu(&self) -> Command {
        // It would outlive us when we are killed, and go on eating a processor.
        let mut qemu = process::command("setpriv");
        qemu.args(["--pdeathsig", "KILL", QEMU, "-accel", "tcg", "-cpu", CPU, "-smp", "1"]);
        qemu.args(["-m", &self.memory_mib.to_string(), "-display", "none", "-nic", "none", "-no-reboot"]);
        qemu.arg("-kernel").arg(&self.kernel);
        if let Some(initrd) = &self.initrd {
            qemu.arg("-initrd").arg(initrd);
        }
        disk(&mut qemu, "guest", &self.image, "snapshot=on");
        for (number, image) in self.scratch.iter().enumerate() {
            // Nothing on them is of worth once the host itself fails.
            disk(&mut qemu, &format!("scratch{number}"), image, "cache=unsafe,discard=unmap");
        }
        disk(&mut qemu, "payload", &self.payload, "readonly=on");
        qemu.args(["-append", &COMMAND_LINE.join(" ")]);
        qemu.env("TMPDIR", &self.folder);
        qemu
    }
}

/// Adds a disk whose serial number is `name`.
fn disk(qemu: &mut Command, name: &str, image: &Path, options: &str) {
    // QEMU separates options with commas, and doubles those that are meant.
    let image = image.display().to_string().replace(',', ",,");
    qemu.args(["-drive", &format!("file={image},if=none,id={name},format=raw,{options}")]);
    qemu.args(["-device", &format!("virtio-blk-pci,drive={name},serial={name}")]);
}

fn with_path(prefix: &str, path: &Path) -> Result<String> {
    let path = path.to_str().ok_or_else(|| format!("{} is not UTF-8, which QEMU needs", path.display()))?;
    Ok(format!("{prefix}{path}"))
}

impl Running {
    fn of(mut child: Child, console: PathBuf) -> Result<Self> {
        let stdout = child.stdout.take().ok_or("QEMU's output is not piped")?;
        let input = child.stdin.take();
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            let mut reader = BufReader::new(stdout);
            let mut line = Vec::new();
            // Ends with the machine, or with who listens. Names of files in it may not be UTF-8.
            while reader.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
                let text = String::from_utf8_lossy(&line).trim_end_matches(['\n', '\r']).to_owned();
                if sender.send(text).is_err() {
                    break;
                }
                line.clear();
            }
        });
        Ok(Self { child, input, lines, console })
    }

    /// Sends a line to the second serial port. A machine that is off does not hear it, which [`Running::line`] tells.
    pub(super) fn say(&mut self, line: &str) {
        if let Some(input) = &mut self.input {
            let _ = input.write_all(format!("{line}\n").as_bytes()).and_then(|()| input.flush());
        }
    }

    /// The next line of the second serial port.
    pub(super) fn line(&self, until: Instant) -> Line {
        match self.lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(text) => Line::Text(text),
            Err(RecvTimeoutError::Timeout) => Line::Late,
            Err(RecvTimeoutError::Disconnected) => Line::Off,
        }
    }

    /// Waits for the guest to power off by itself; false when it has not within the time.
    pub(super) fn is_off_within(&mut self, time: Duration) -> bool {
        let until = Instant::now() + time;
        while Instant::now() < until {
            if matches!(self.child.try_wait(), Ok(Some(_)) | Err(_)) {
                return true;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        false
    }

    /// Cuts the power.
    pub(super) fn kill(&mut self) {
        // One that has ended by itself cannot be killed, and need not.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// The last lines of the console.
    pub(super) fn last_words(&self) -> String {
        let text = std::fs::read(&self.console).unwrap_or_default();
        let text = String::from_utf8_lossy(&text).replace('\r', "");
        let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        lines[lines.len().saturating_sub(LAST_WORDS)..].join("\n")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};
    use std::process::Stdio;
    use std::time::{Duration, Instant};

    use super::{Line, Machine, Running, disk};
    use crate::process::{command, shown};

    fn running(script: &str) -> Running {
        let child = command("sh")
            .args(["-c", script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("sh runs");
        Running::of(child, "/nonexistent".into()).expect("its output is piped")
    }

    #[test]
    fn lines_come_until_it_is_late_or_off() {
        let soon = || Instant::now() + Duration::from_secs(20);
        let mut machine = running(r"printf 'a\r\n\377\n'; head -n 1; exec sleep 60");
        machine.say("heard");
        assert_eq!(machine.line(soon()), Line::Text("a".into()));
        assert_eq!(machine.line(soon()), Line::Text("\u{fffd}".into()));
        assert_eq!(machine.line(soon()), Line::Text("heard".into()));
        assert_eq!(machine.line(Instant::now()), Line::Late);
        assert!(!machine.is_off_within(Duration::from_millis(50)));
        machine.kill();
        assert_eq!(machine.line(soon()), Line::Off);
        assert!(machine.is_off_within(Duration::from_secs(20)));
        assert_eq!(machine.last_words(), "");
    }

    #[test]
    fn a_comma_in_a_path_is_no_option() {
        let mut qemu = command("qemu");
        disk(&mut qemu, "x", Path::new("/a,b"), "readonly=on");
        assert!(shown(&qemu).contains("file=/a,,b,if=none,id=x,"), "{qemu:?}");
    }

    #[test]
    fn disks_are_in_the_order_the_guest_counts_them() {
        let path = |name: &str| PathBuf::from(name);
        let machine = Machine {
            kernel: path("k"),
            initrd: None,
            image: path("i"),
            payload: path("p"),
            scratch: vec![path("s"), path("t")],
            memory_mib: 1,
            folder: path("f"),
        };
        let shown = shown(&machine.qemu());
        let order = ["file=i,", "file=s,", "file=t,", "file=p,"].map(|disk| shown.find(disk));
        assert!(order.is_sorted() && order[0].is_some() && !shown.contains("-initrd"), "{shown}");
    }
}
