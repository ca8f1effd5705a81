//! Capabilities: their names, and dropping them for good. capabilities(7).

use hull_sys::capability::NAMES;
use rustix::thread::{CapabilitySet, CapabilitySets};
use std::fmt;

use crate::{Error, Result};

/// A set of capabilities, one bit each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Set(u64);

impl Set {
    /// Every capability, those of later kernels included.
    pub const ALL: Self = Self(u64::MAX);
    /// None.
    pub const NONE: Self = Self(0);

    /// The set with the bits of a `Cap…` line of proc_pid_status(5).
    pub fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// Reads names such as `sys_admin` (or `CAP_SYS_ADMIN`, or a number), and returns the first that is none.
    pub fn parse<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Self, &'a str> {
        names.into_iter().try_fold(Self::NONE, |set, name| number(name).map(|n| set.with(n)).ok_or(name))
    }

    /// The capabilities left when those of `drop` are taken away.
    #[must_use]
    pub fn without(self, drop: Self) -> Self {
        Self(self.0 & !drop.0)
    }

    /// The capabilities in both sets.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Whether the capability called `name` is in the set.
    pub fn contains(self, name: &str) -> bool {
        number(name).is_some_and(|n| self.0 >> n & 1 == 1)
    }

    fn with(self, number: u32) -> Self {
        Self(self.0 | 1 << number)
    }
}

impl fmt::Display for Set {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> =
            NAMES.iter().enumerate().filter(|(n, _)| self.0 >> n & 1 == 1).map(|(_, s)| *s).collect();
        f.write_str(&names.join(" "))
    }
}

/// The capabilities this process could still hand on: its bounding set.
pub fn bounding() -> Set {
    let known = |n: &u32| {
        rustix::thread::capability_is_in_bounding_set(CapabilitySet::from_bits_retain(1 << n))
            .unwrap_or(false)
    };
    (0..64).filter(known).fold(Set::NONE, Set::with)
}

/// Takes every capability that is not in `keep` out of the bounding set, for this process and all it execs.
///
/// Requires `CAP_SETPCAP` in the user namespace if there is anything to drop.
pub fn limit_bounding(keep: Set) -> Result<()> {
    for n in (0..64).filter(|n| keep.0 >> n & 1 == 0) {
        let one = CapabilitySet::from_bits_retain(1 << n);
        // Numbers the kernel does not know are refused with EINVAL: none of those is in the set.
        if rustix::thread::capability_is_in_bounding_set(one).unwrap_or(false) {
            rustix::thread::remove_capability_from_bounding_set(one)
                .map_err(|e| Error::new(format!("prctl(PR_CAPBSET_DROP, {})", Set(1 << n)), e))?;
        }
    }
    Ok(())
}

/// Limits what this process itself holds to `keep`, and empties the inheritable and ambient sets, which would
/// otherwise reach past the bounding set into programs with file capabilities (CVE-2022-29162).
pub fn limit_own(keep: Set) -> Result<()> {
    // Before Linux 4.3 there is no ambient set to empty.
    let _ = rustix::thread::clear_ambient_capability_set();
    let fail = |call: &str, e| Error::new(call.to_owned(), e);
    let have = rustix::thread::capabilities(None).map_err(|e| fail("capget()", e))?;
    let keep = CapabilitySet::from_bits_retain(keep.0);
    let sets = CapabilitySets {
        effective: have.effective & keep,
        permitted: have.permitted & keep,
        inheritable: CapabilitySet::empty(),
    };
    rustix::thread::set_capabilities(None, sets).map_err(|e| fail("capset()", e))
}

fn number(name: &str) -> Option<u32> {
    let lower = name.to_ascii_lowercase();
    let bare = lower.strip_prefix("cap_").unwrap_or(&lower);
    let known = NAMES.iter().position(|n| *n == bare).and_then(|n| u32::try_from(n).ok());
    known.or_else(|| bare.parse().ok().filter(|n| *n < 64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_in_every_spelling() {
        let set = Set::parse(["sys_admin", "CAP_CHOWN", "40"]).expect("three capabilities");
        assert_eq!(set.to_string(), "chown sys_admin checkpoint_restore");
        assert_eq!(Set::parse(["mknod", "sys_adnim"]), Err("sys_adnim"));
        assert_eq!(Set::parse(["64"]), Err("64"));
    }

    #[test]
    fn dropping_and_keeping() {
        let drop = Set::parse(["sys_time"]).expect("a capability");
        let left = Set::ALL.without(drop);
        assert!(left.contains("sys_module") && !left.contains("sys_time"));
    }
}
