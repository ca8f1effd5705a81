//! Resource limits: setrlimit(2).

use rustix::process::{Pid, Resource, Rlimit};

use crate::{Error, Result};

/// One limit to set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limit {
    name: &'static str,
    resource: Resource,
    soft: Option<u64>,
    hard: Option<u64>,
}

impl Limit {
    /// A limit on the resource the kernel numbers `number` (`RLIMIT_NOFILE` is 7); `None` is unlimited. No
    /// such resource gives `None`.
    pub fn new(number: u32, soft: Option<u64>, hard: Option<u64>) -> Option<Self> {
        let (name, resource) = *RESOURCES.get(usize::try_from(number).ok()?)?;
        Some(Self { name, resource, soft, hard })
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

/// By number, as `<asm-generic/resource.h>` has them.
const RESOURCES: [(&str, Resource); 16] = [
    ("cpu", Resource::Cpu),
    ("fsize", Resource::Fsize),
    ("data", Resource::Data),
    ("stack", Resource::Stack),
    ("core", Resource::Core),
    ("rss", Resource::Rss),
    ("nproc", Resource::Nproc),
    ("nofile", Resource::Nofile),
    ("memlock", Resource::Memlock),
    ("as", Resource::As),
    ("locks", Resource::Locks),
    ("sigpending", Resource::Sigpending),
    ("msgqueue", Resource::Msgqueue),
    ("nice", Resource::Nice),
    ("rtprio", Resource::Rtprio),
    ("rttime", Resource::Rttime),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_resources_the_kernel_has() {
        assert_eq!(Limit::new(7, Some(1), None).map(|l| l.name), Some("nofile"));
        assert_eq!(Limit::new(16, Some(1), None), None);
    }
}
