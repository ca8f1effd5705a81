//! Telling stock `lxc-monitor` what happens, through the FIFO of `lxc-monitord`.

use hull_sys::{Error, Result};
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::State;
use crate::wire::{Event, Message};

/// The FIFO of the daemon for `lxcpath`. `rundir` is `/run` for root, else `$XDG_RUNTIME_DIR` or the like.
pub fn fifo_path(rundir: &Path, lxcpath: &Path) -> PathBuf {
    let mut path = OsString::from(rundir);
    path.push("/lxc/");
    path.push(lxcpath);
    path.push("/monitor-fifo");
    path.into()
}

/// Tells the daemon for `lxcpath`, if one runs, that container `name` changed to `state`.
pub fn publish_state(rundir: &Path, lxcpath: &Path, name: &str, state: State) -> Result<()> {
    publish(rundir, lxcpath, &Message { name: name.into(), event: Event::State(state) })
}

/// Tells the daemon for `lxcpath`, if one runs, that the init of container `name` ended with the `wait(2)`
/// status `status`.
pub fn publish_exit(rundir: &Path, lxcpath: &Path, name: &str, status: i32) -> Result<()> {
    publish(rundir, lxcpath, &Message { name: name.into(), event: Event::Exit(status) })
}

/// Writes without waiting. No FIFO, no reader and a full FIFO are all success: nobody listens.
fn publish(rundir: &Path, lxcpath: &Path, message: &Message) -> Result<()> {
    let path = fifo_path(rundir, lxcpath);
    let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NOCTTY;
    let fifo = match rustix::fs::open(&path, flags, Mode::empty()) {
        Ok(fifo) => fifo,
        Err(Errno::NOENT | Errno::NXIO | Errno::NOTDIR) => return Ok(()),
        Err(e) => return Err(Error::new(format!("open({}, O_WRONLY|O_NONBLOCK)", path.display()), e)),
    };
    let kind = rustix::fs::fstat(&fifo)
        .map(|s| FileType::from_raw_mode(s.st_mode))
        .map_err(|e| Error::new(format!("fstat({})", path.display()), e))?;
    if kind != FileType::Fifo {
        return Ok(());
    }
    // Messages are shorter than PIPE_BUF, so they go whole or not at all. Rust programs ignore SIGPIPE from
    // their start; the caller that restores it must block it.
    match rustix::io::write(&fifo, &message.encode()) {
        Ok(_) | Err(Errno::AGAIN | Errno::PIPE) => Ok(()),
        Err(e) => Err(Error::new(format!("write({})", path.display()), e)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_listening_is_fine() {
        let run = tempfile::tempdir().unwrap();
        let lxcpath = Path::new("/var/lib/none");
        publish_state(run.path(), lxcpath, "c", State::Running).unwrap();
        let path = fifo_path(run.path(), lxcpath);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        publish_state(run.path(), lxcpath, "c", State::Running).unwrap();
    }

    #[test]
    fn a_reader_gets_whole_messages() {
        let run = tempfile::tempdir().unwrap();
        let lxcpath = Path::new("/srv/x");
        let path = fifo_path(run.path(), lxcpath);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        let reader = rustix::fs::open(&path, OFlags::RDONLY | OFlags::NONBLOCK, Mode::empty()).unwrap();
        publish_state(run.path(), lxcpath, "c1", State::Frozen).unwrap();
        publish_exit(run.path(), lxcpath, "c1", 256).unwrap();
        let mut bytes = [0; 2 * Message::SIZE];
        assert_eq!(rustix::io::read(&reader, &mut bytes).unwrap(), bytes.len());
        let events = bytes.chunks(Message::SIZE).map(|b| Message::decode(b).unwrap().event);
        assert_eq!(events.collect::<Vec<_>>(), [Event::State(State::Frozen), Event::Exit(256)]);
    }
}
