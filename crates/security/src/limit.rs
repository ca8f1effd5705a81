//! Resource limits by name: setrlimit(2).

use rustix::process::{Pid, Resource, Rlimit};

use crate::{Error, Result};

/// One limit to set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limit {
    name: String,
    resource: Resource,
    soft: Option<u64>,
    hard: Option<u64>,
}

impl Limit {
    /// A limit on the resource `name` (`nofile`, as in `RLIMIT_NOFILE`); `None` is unlimited. No such
    /// resource gives `None`.
    pub fn new(name: &str, soft: Option<u64>, hard: Option<u64>) -> Option<Self> {
        let lower = name.to_ascii_lowercase();
        let bare = lower.strip_prefix("rlimit_").unwrap_or(&lower);
        let resource = RESOURCES.iter().find(|(n, _)| *n == bare).map(|(_, r)| *r)?;
        Some(Self { name: bare.to_owned(), resource, soft, hard })
    }

    /// Sets the limit on the process `pid`, or the calling one: `prlimit(2)`.
    ///
    /// Raising a hard limit needs `CAP_SYS_RESOURCE`.
    pub fn apply(&self, pid: Option<Pid>) -> Result<()> {
        let limit = Rlimit { current: self.soft, maximum: self.hard };
        let text = |v: Option<u64>| v.map_or("unlimited".to_owned(), |v| v.to_string());
        rustix::process::prlimit(pid, self.resource, limit).map(drop).map_err(|e| {
            Error::new(format!("prlimit({}, {}:{})", self.name, text(self.soft), text(self.hard)), e)
        })
    }
}

const RESOURCES: [(&str, Resource); 16] = [
    ("as", Resource::As),
    ("core", Resource::Core),
    ("cpu", Resource::Cpu),
    ("data", Resource::Data),
    ("fsize", Resource::Fsize),
    ("locks", Resource::Locks),
    ("memlock", Resource::Memlock),
    ("msgqueue", Resource::Msgqueue),
    ("nice", Resource::Nice),
    ("nofile", Resource::Nofile),
    ("nproc", Resource::Nproc),
    ("rss", Resource::Rss),
    ("rtprio", Resource::Rtprio),
    ("rttime", Resource::Rttime),
    ("sigpending", Resource::Sigpending),
    ("stack", Resource::Stack),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_resources_the_kernel_has() {
        assert!(Limit::new("RLIMIT_NOFILE", Some(1), None).is_some());
        assert!(Limit::new("files", Some(1), None).is_none());
    }
}
