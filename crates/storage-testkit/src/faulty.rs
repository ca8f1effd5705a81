//! Faults at a chosen act: errors, delays, death.
//!
//! [`Faults`] counts the acts of all that it wraps ([`FaultyDriver`], [`FaultyHost`], [`FaultyJournal`]) and
//! strikes at one of them. Run an operation once with [`Faults::none`] to learn how many acts it has, then
//! once for each.

mod driver;
mod host;
mod journal;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hull_storage::{Error, Result};
use rustix::io::Errno;

pub use driver::FaultyDriver;
pub use host::FaultyHost;
pub use journal::{COMMIT, FaultyJournal};

/// When a fault strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Before the act: it does not happen.
    Before,
    /// After the act: it happened.
    After,
}

/// Which acts count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    /// All that may look at the world.
    All,
    /// Those that may change it.
    Changes,
}

/// How long a fault lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lasting {
    /// It strikes one act.
    Once,
    /// It strikes all acts from then on.
    FromThenOn,
}

/// Faults shared by all that they are given to.
#[derive(Clone)]
pub struct Faults(Arc<Inner>);

struct Inner {
    acts: Mutex<Vec<&'static str>>,
    counted: Counted,
    strike: Option<Strike>,
}

struct Strike {
    at: usize,
    moment: Moment,
    lasting: Lasting,
    does: Box<dyn Fn(&'static str) -> Result<()> + Send + Sync>,
}

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Faults").field(&self.acts()).finish()
    }
}

impl Faults {
    /// No faults; only counts.
    pub fn none(counted: Counted) -> Self {
        Self(Arc::new(Inner { acts: Mutex::default(), counted, strike: None }))
    }

    /// The act number `at`, from 0, fails with `errno`.
    pub fn fail(counted: Counted, at: usize, moment: Moment, lasting: Lasting, errno: Errno) -> Self {
        Self::strike(counted, at, moment, lasting, move |act| {
            Err(Error::os(format!("the fault at {act}"), errno))
        })
    }

    /// Before or after the act number `at` something else happens, such as the end of this process.
    pub fn call(
        counted: Counted,
        at: usize,
        moment: Moment,
        does: impl Fn() + Send + Sync + 'static,
    ) -> Self {
        Self::strike(counted, at, moment, Lasting::Once, move |_| {
            does();
            Ok(())
        })
    }

    /// Each act takes so much longer.
    pub fn delay(by: Duration) -> Self {
        Self::strike(Counted::All, 0, Moment::Before, Lasting::FromThenOn, move |_| {
            std::thread::sleep(by);
            Ok(())
        })
    }

    fn strike(
        counted: Counted,
        at: usize,
        moment: Moment,
        lasting: Lasting,
        does: impl Fn(&'static str) -> Result<()> + Send + Sync + 'static,
    ) -> Self {
        let strike = Some(Strike { at, moment, lasting, does: Box::new(does) });
        Self(Arc::new(Inner { acts: Mutex::default(), counted, strike }))
    }

    /// The acts so far, by name.
    pub fn acts(&self) -> Vec<&'static str> {
        self.0.acts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether the fault has struck.
    pub fn struck(&self) -> bool {
        self.0.strike.as_ref().is_some_and(|s| self.acts().len() > s.at)
    }

    fn change<T>(&self, name: &'static str, act: impl FnOnce() -> Result<T>) -> Result<T> {
        self.act(name, act)
    }

    fn look<T>(&self, name: &'static str, act: impl FnOnce() -> Result<T>) -> Result<T> {
        if self.0.counted == Counted::All { self.act(name, act) } else { act() }
    }

    fn act<T>(&self, name: &'static str, act: impl FnOnce() -> Result<T>) -> Result<T> {
        let number = {
            let mut acts = self.0.acts.lock().unwrap_or_else(PoisonError::into_inner);
            acts.push(name);
            acts.len() - 1
        };
        let strikes = |moment| {
            self.0.strike.as_ref().filter(|s| {
                s.moment == moment
                    && match s.lasting {
                        Lasting::Once => s.at == number,
                        Lasting::FromThenOn => s.at <= number,
                    }
            })
        };
        strikes(Moment::Before).map_or(Ok(()), |s| (s.does)(name))?;
        let done = act()?;
        strikes(Moment::After).map_or(Ok(()), |s| (s.does)(name))?;
        Ok(done)
    }
}
