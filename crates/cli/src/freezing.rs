//! Containers frozen for a command by a process of its own, which thaws them however the command ends.
//!
//! The process is `hull --hold-frozen`, in a session of its own, so that neither Ctrl-C nor a signal to the command's
//! group reaches it. It holds the container frozen as long as its standard input is open: the kernel closes that when
//! the command has let go, and also when it was killed. Should the process itself be killed, the command thaws.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use hull_container::{Error, ErrorKind, Freezer, Freezing, Frozen, Result, Thawed};
use hull_runtime::freeze::{Freezable, Thawing};
use hull_sys::entry::ExitCode;

use crate::errors::{Outcome, one_line};

/// How long a container may take to be frozen.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often a container that does not thaw is tried again, and how long after.
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_secs(1);

/// What the process says, a line each: one word and what belongs to it.
mod word {
    pub(super) const FREEZING: &str = "freezing";
    pub(super) const FROZEN: &str = "frozen";
    pub(super) const AS_BEFORE: &str = "as-before";
    pub(super) const ENDED: &str = "ended";
    pub(super) const IMPOSSIBLE: &str = "impossible";
    pub(super) const FAILED: &str = "failed";
    pub(super) const THAWED: &str = "thawed";
    pub(super) const DISTURBED: &str = "disturbed";
}

/// Freezes by a process of its own.
#[derive(Debug)]
pub(crate) struct Watched;

impl Freezer for Watched {
    fn freeze(&self, lxcpath: &Path, name: &str) -> Result<Freezing> {
        let mut holder = Holder::start(lxcpath, name)?;
        loop {
            let (word, rest) = holder.hear();
            return Ok(match &*word {
                word::FREEZING => {
                    holder.may_be_frozen = true;
                    continue;
                }
                word::FROZEN => Freezing::Frozen(Box::new(holder)),
                word::AS_BEFORE => Freezing::AsBefore,
                word::ENDED => Freezing::Ended,
                word::IMPOSSIBLE => Freezing::Impossible(rest),
                word::FAILED => {
                    holder.may_be_frozen = false;
                    return Err(Error::new(ErrorKind::InUse, rest));
                }
                _ => {
                    let text =
                        format!("the process that was to freeze container {name} was killed: try again");
                    return Err(Error::new(ErrorKind::Os, text));
                }
            });
        }
    }
}

/// The process that holds a container frozen; dropping this has it thaw and waits until it has.
struct Holder {
    child: Child,
    /// Closed, it is the order to thaw. No process that this one starts inherits it.
    line: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    lxcpath: PathBuf,
    name: String,
    may_be_frozen: bool,
}

impl Holder {
    fn start(lxcpath: &Path, name: &str) -> Result<Self> {
        let failed = || format!("cannot start the process that would thaw container {name} again");
        let mut command = Command::new("/proc/self/exe");
        command.arg0("hull").arg("--hold-frozen").args([lxcpath.as_os_str(), name.as_ref()]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).current_dir("/");
        let mut child = command.spawn().map_err(|e| Error::new(ErrorKind::Os, failed()).because(e))?;
        let (line, Some(answers)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(Error::new(ErrorKind::Os, failed()));
        };
        let answers = BufReader::new(answers);
        Ok(Self { child, line, answers, lxcpath: lxcpath.into(), name: name.into(), may_be_frozen: false })
    }

    /// What the process says next; nothing when it has ended.
    fn hear(&mut self) -> (String, String) {
        let mut text = String::new();
        // What cannot be read is taken for the process's end, which its kin sees to.
        let _ = self.answers.read_line(&mut text);
        let (word, rest) = text.trim_end().split_once(' ').unwrap_or((text.trim_end(), ""));
        (word.to_owned(), rest.to_owned())
    }

    fn end(&mut self) -> Result<Thawed> {
        let Some(line) = self.line.take() else {
            return Ok(Thawed { after: Duration::ZERO, disturbed: false });
        };
        drop(line);
        let (word, rest) = self.hear();
        let _ = self.child.wait();
        let after = |text: &str| Duration::from_micros(text.parse().unwrap_or(0));
        match &*word {
            word::THAWED => Ok(Thawed { after: after(&rest), disturbed: false }),
            word::DISTURBED => Ok(Thawed { after: after(&rest), disturbed: true }),
            _ if !self.may_be_frozen => Ok(Thawed { after: Duration::ZERO, disturbed: false }),
            // It failed, or was killed.
            _ => thaw(&self.lxcpath, &self.name)
                .map(|disturbed| Thawed { after: Duration::ZERO, disturbed })
                .map_err(|e| Error::new(ErrorKind::Os, e)),
        }
    }
}

impl Frozen for Holder {
    fn thaw(mut self: Box<Self>) -> Result<Thawed> {
        self.end()
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.end();
    }
}

/// Thaws the container in this process. Whether somebody else had before.
fn thaw(lxcpath: &Path, name: &str) -> Result<bool, String> {
    match Freezable::find(lxcpath, name).map_err(|e| e.to_string())? {
        Some(found) => thaw_at_last(&found).map(|how| how == Thawing::Before),
        None => Ok(false),
    }
}

/// Thaws what may be slow about it.
fn thaw_at_last(found: &Freezable) -> Result<Thawing, String> {
    let mut tries = 0;
    loop {
        tries += 1;
        match found.thaw() {
            Ok(how) => return Ok(how),
            Err(e) if tries == TRIES => return Err(e.to_string()),
            Err(_) => std::thread::sleep(PAUSE),
        }
    }
}

/// What the process does that holds the container `name` of `lxcpath` frozen.
pub(crate) fn work(lxcpath: &Path, name: &str) -> Outcome {
    // Whatever else the command had open (locks among it) is not kept by this process. Each of these fails only where
    // it makes no difference.
    let _ = hull_sys::process::close_all_from(3);
    let _ = rustix::process::setsid();
    let found = match Freezable::find(lxcpath, name) {
        Ok(Some(found)) => found,
        Ok(None) => return say(word::ENDED, ""),
        Err(e) => return say(word::IMPOSSIBLE, &e.to_string()),
    };
    match found.is_frozen() {
        Ok(false) => {}
        Ok(true) => return say(word::AS_BEFORE, ""),
        Err(e) => return say(word::IMPOSSIBLE, &e.to_string()),
    }
    let _ = say(word::FREEZING, "");
    let began = Instant::now();
    let frozen = found.freeze(PATIENCE);
    if frozen.is_ok() {
        // A command that has gone does not hear it, and closed our input.
        let _ = say(word::FROZEN, "");
        let _ = std::io::stdin().lock().read(&mut [0]);
    }
    let thawed = thaw_at_last(&found);
    let after = began.elapsed().as_micros().to_string();
    match (frozen, thawed) {
        (Ok(()), Ok(Thawing::Before)) => say(word::DISTURBED, &after),
        (Ok(()), Ok(Thawing::Done | Thawing::Ended)) => say(word::THAWED, &after),
        (Ok(()), Err(e)) => say(word::FAILED, &e),
        (Err(_), Ok(Thawing::Ended)) => say(word::ENDED, ""),
        (Err(e), Ok(_)) => say(word::FAILED, &e.to_string()),
        (Err(e), Err(then)) => say(word::FAILED, &format!("{e}; nor thawed again: {then}")),
    }
}

fn say(word: &str, rest: &str) -> Outcome {
    let text = format!("{word} {}\n", one_line(rest));
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
    Ok(ExitCode::SUCCESS)
}
