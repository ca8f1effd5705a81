//! What an operation did, or would do.

use hull_storage::{Locator, Method, Plan};

/// What an operation did, or (`dry_run`) would do.
#[derive(Debug)]
pub struct Made {
    /// The container or snapshot it was about.
    pub name: String,
    /// Its root file system afterwards, if it has one.
    pub at: Option<Locator>,
    /// How the root file system got its content, if from another.
    pub method: Option<Method>,
    /// All that happened, in order; prints as one line a step.
    pub plan: Plan,
    /// What is worth knowing of how it went; one line each.
    pub notes: Vec<String>,
    /// What did not go as it should, but did not stop the operation; one line each.
    pub warnings: Vec<String>,
}

impl Made {
    pub(crate) fn new(name: impl Into<String>) -> Self {
        let (notes, warnings) = (Vec::new(), Vec::new());
        Self { name: name.into(), at: None, method: None, plan: Plan::default(), notes, warnings }
    }
}
