//! A case: what it needs of a driver, and what it finds.

use std::error::Error;

use hull_storage::Driver;

/// What a case found when nothing was wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The duty is kept.
    Held,
    /// The driver has no such duty, for the reason given.
    DoesNotApply(String),
    /// The duty cannot be looked at on this machine, for the reason given.
    Skipped(String),
}

/// What a case returns; an error is a duty not kept.
pub type CaseResult = Result<Verdict, Box<dyn Error>>;

/// A fact that a driver must have for a case to be about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// It can make empty volumes.
    Standalone,
    /// It makes no empty volumes.
    Dependent,
    /// It has the facet [`hull_storage::CopyOnWrite`].
    CopyOnWrite,
    /// It has the facet [`hull_storage::Transfer`].
    Transfer,
    /// It has the facet [`hull_storage::Capacity`].
    Capacity,
    /// It has the facet [`hull_storage::Blocks`].
    Blocks,
    /// It has the facet [`hull_storage::Enumerate`].
    Enumerate,
    /// Its volumes can lie in any directory.
    Anywhere,
}

/// One duty of a driver.
#[derive(Debug)]
pub struct Case {
    /// Its name, as the harness prints it.
    pub name: &'static str,
    /// The facts without which it is no duty.
    pub needs: &'static [Need],
    /// Looks whether it is kept.
    pub run: fn(&super::Bench) -> CaseResult,
}

impl Case {
    /// Whether `driver` has what the case needs.
    pub fn applies_to(&self, driver: &dyn Driver) -> bool {
        let facts = driver.capabilities();
        self.needs.iter().all(|need| match need {
            Need::Standalone => facts.standalone,
            Need::Dependent => !facts.standalone,
            Need::CopyOnWrite => driver.copy_on_write().is_some(),
            Need::Transfer => driver.transfer().is_some(),
            Need::Capacity => driver.capacity().is_some(),
            Need::Blocks => driver.blocks().is_some(),
            Need::Enumerate => driver.enumerate().is_some(),
            Need::Anywhere => facts.anywhere,
        })
    }
}

/// Fails the case unless `condition` holds, saying `what` should.
pub(crate) fn require(condition: bool, what: impl Into<String>) -> Result<(), Box<dyn Error>> {
    if condition { Ok(()) } else { Err(what.into().into()) }
}

/// Fails the case unless `result` is an error of the kind `kind` whose text is one line.
pub(crate) fn refused<T>(
    result: hull_storage::Result<T>,
    kind: hull_storage::ErrorKind,
    what: &str,
) -> Result<hull_storage::Error, Box<dyn Error>> {
    match result {
        Ok(_) => Err(format!("{what}: succeeded, and should fail with {kind:?}").into()),
        Err(e) if e.kind() != kind => {
            Err(format!("{what}: should fail with {kind:?}, but failed with {:?}: {e}", e.kind()).into())
        }
        Err(e) if e.to_string().lines().count() != 1 => {
            Err(format!("{what}: an error is one line, this is {:?}", e.to_string()).into())
        }
        Err(e) => Ok(e),
    }
}
