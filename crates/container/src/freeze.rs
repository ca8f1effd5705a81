//! Sources that run: they are frozen while their files are read, and no longer.

use std::any::Any;
use std::cell::RefCell;
use std::fmt;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use hull_ipc::State;
use hull_storage::{Cost, Locator, Method, Result};

use crate::clone::Decided;
use crate::container::Container;
use crate::made::Made;
use crate::running;

/// Who freezes containers for the owner of the process.
pub trait Freezer: Send + Sync {
    /// Freezes the running container `name` of `lxcpath` and returns when it is.
    ///
    /// However this process ends, be it by SIGKILL, the container is thawed. Fails when it is not frozen in time; then
    /// it is as it was.
    fn freeze(&self, lxcpath: &Path, name: &str) -> Result<Freezing>;
}

/// What came of freezing a container.
pub enum Freezing {
    /// It is frozen until this is thawed or dropped.
    Frozen(Box<dyn Frozen>),
    /// It was frozen before, and stays so.
    AsBefore,
    /// It has ended meanwhile.
    Ended,
    /// It runs, and cannot be frozen; why.
    Impossible(String),
}

/// A container kept frozen; dropping this thaws it.
pub trait Frozen {
    /// Thaws it and says how that went. Fails when it stays frozen.
    fn thaw(self: Box<Self>) -> Result<Thawed>;
}

/// How a container was frozen, looked at afterwards.
#[derive(Clone, Copy, Debug)]
pub struct Thawed {
    /// For how long.
    pub after: Duration,
    /// Whether somebody else had thawed it before.
    pub disturbed: bool,
}

impl fmt::Debug for Freezing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Frozen(_) => "Frozen",
            Self::AsBefore => "AsBefore",
            Self::Ended => "Ended",
            Self::Impossible(_) => "Impossible",
        })
    }
}

/// For owners of processes that freeze nothing.
#[derive(Debug)]
pub(crate) struct Nobody;

impl Freezer for Nobody {
    fn freeze(&self, _lxcpath: &Path, _name: &str) -> Result<Freezing> {
        Ok(Freezing::Impossible("this program freezes no containers".into()))
    }
}

/// A source that runs, and what is to be told about it.
pub(crate) struct Live<'c> {
    source: &'c Container<'c>,
    /// Why it cannot even be asked to be frozen.
    out_of_reach: Option<String>,
    said: Rc<RefCell<Said>>,
}

#[derive(Default)]
struct Said {
    notes: Vec<String>,
    warnings: Vec<String>,
}

impl<'c> Live<'c> {
    /// Looks whether `source` runs; `None` if not. Its lock is held, so it does not begin to.
    pub(crate) fn look(source: &'c Container<'c>) -> Result<Option<Self>> {
        let out_of_reach = match source.state()? {
            State::Stopped => match running::require_unmarked(&source.home(), "copy it in peace") {
                Ok(()) => return Ok(None),
                Err(e) => Some(e.to_string()),
            },
            _ => None,
        };
        Ok(Some(Self { source, out_of_reach, said: Rc::default() }))
    }

    /// Tells in `made` what would be done.
    pub(crate) fn foretell(&self, decided: &Decided, made: &mut Made) {
        let name = &self.source.name;
        if decided.from.is_some() && !lies_over(decided.method) {
            made.notes.push(format!("{name} runs, and would be frozen while {}", act(decided.method, "is")));
        }
        self.tell(decided.method, made);
    }

    /// Tells in `made` what has been done.
    pub(crate) fn tell(&self, method: Option<Method>, made: &mut Made) {
        let name = &self.source.name;
        if lies_over(method) {
            made.warnings.push(format!(
                "{} lies over the files of {name}, which runs: what {name} writes shows there, or breaks it; stop {name} \
                 as long as you need it, or make a copy",
                made.name
            ));
        }
        let said = self.said.take();
        made.notes.extend(said.notes);
        made.warnings.extend(said.warnings);
    }

    /// Freezes the source, by whose `method` it is read at `from`, until what is returned is dropped.
    pub(crate) fn hold(&self, from: &Locator, method: Option<Method>) -> Result<Box<dyn Any>> {
        let name = &self.source.name;
        if lies_over(method) {
            return Ok(Box::new(()));
        }
        let torn = |why: &str| {
            format!("{name} runs and was not frozen, so what it wrote meanwhile may be torn: {why}")
        };
        if let Some(why) = &self.out_of_reach {
            self.said.borrow_mut().warnings.push(torn(why));
            return Ok(Box::new(()));
        }
        // A copy of files sees what the kernel has yet to write; a snapshot may not, so the kernel writes it now, most of it
        // before anything is frozen. What a store needs for a whole clone it does itself: nothing hangs on this.
        let write_out = || is_taken_at_once(method).then(|| self.source.store().write_out(from));
        let _ = write_out();
        match self.source.all.freezer().freeze(&self.source.lxcpath, name)? {
            Freezing::Frozen(frozen) => {
                let thaw = Thaw {
                    frozen: Some(frozen),
                    name: name.clone(),
                    act: act(method, "was"),
                    said: Rc::clone(&self.said),
                };
                let _ = write_out();
                Ok(Box::new(thaw))
            }
            Freezing::AsBefore => {
                self.said.borrow_mut().notes.push(format!("{name} was frozen before, and still is"));
                Ok(Box::new(()))
            }
            Freezing::Ended => Ok(Box::new(())),
            Freezing::Impossible(why) => {
                self.said.borrow_mut().warnings.push(torn(&why));
                Ok(Box::new(()))
            }
        }
    }
}

/// Whether the clone reads the source's own files for ever: no moment's stillness helps it.
fn lies_over(method: Option<Method>) -> bool {
    matches!(method, Some(Method::Clone(offer)) if offer.lies_over)
}

/// Whether the store takes the source as it is at one moment, from below its file system's cache.
fn is_taken_at_once(method: Option<Method>) -> bool {
    match method {
        Some(Method::Clone(offer)) => offer.cost == Cost::Constant,
        // A stream is one of a snapshot.
        Some(Method::Stream(_)) => true,
        Some(Method::BlockCopy(_) | Method::TreeCopy) | None => false,
    }
}

fn act(method: Option<Method>, is: &str) -> String {
    match is_taken_at_once(method) {
        true => format!("a snapshot of it {is} taken"),
        false if is == "is" => "its files are copied".into(),
        false => "its files were copied".into(),
    }
}

/// Thaws when it is dropped, and says for how long the container was frozen.
struct Thaw {
    frozen: Option<Box<dyn Frozen>>,
    name: String,
    act: String,
    said: Rc<RefCell<Said>>,
}

impl Drop for Thaw {
    fn drop(&mut self) {
        let Some(frozen) = self.frozen.take() else { return };
        let (name, act) = (&self.name, &self.act);
        let done = frozen.thaw();
        let mut said = self.said.borrow_mut();
        match done {
            Ok(Thawed { after, disturbed: false }) => {
                said.notes.push(format!("{name} was frozen for {} while {act}", Shown(after)));
            }
            Ok(Thawed { disturbed: true, .. }) => said
                .warnings
                .push(format!("somebody thawed {name} while {act}: what it wrote meanwhile may be torn")),
            Err(e) => {
                said.warnings
                    .push(format!("{name} is frozen still: {e}; thaw it with `lxc-unfreeze {name}`"));
            }
        }
    }
}

/// A time for people: `34 ms`, `2.3 s`.
struct Shown(Duration);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_millis() {
            0 => f.write_str("less than 1 ms"),
            short @ 1..1000 => write!(f, "{short} ms"),
            _ => write!(f, "{:.1} s", self.0.as_secs_f64()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_for_people() {
        for (micros, shown) in
            [(999, "less than 1 ms"), (34_700, "34 ms"), (999_999, "999 ms"), (2_345_678, "2.3 s")]
        {
            assert_eq!(Shown(Duration::from_micros(micros)).to_string(), shown);
        }
    }
}
