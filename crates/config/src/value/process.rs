//! What the first process of a container gets: personality, environment, resource limits.

use std::fmt;

use crate::error::{Fault, quoted};
use crate::keys::nearest;

/// The execution domain (`personality`(2)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Personality {
    /// 32-bit.
    Linux32,
    /// 64-bit.
    Linux64,
}

/// The machine names LXC knows, as it sorts them into the two domains.
const ARCHITECTURES_32: [&str; 17] = [
    "arm", "armel", "armhf", "armv7", "armv7l", "armv8l", "athlon", "i386", "i486", "i586", "i686",
    "linux32", "mips", "mipsel", "ppc", "powerpc", "x86",
];
const ARCHITECTURES_64: [&str; 17] = [
    "aarch64",
    "amd64",
    "arm64",
    "linux64",
    "loongarch64",
    "mips64",
    "mips64el",
    "powerpc64",
    "ppc64",
    "ppc64el",
    "ppc64le",
    "ppc64le-linux-gnu",
    "riscv64",
    "s390x",
    "sparc64",
    "x86-64",
    "x86_64",
];

impl Personality {
    /// Reads a machine name.
    pub fn parse(value: &str) -> Result<Self, Fault> {
        if ARCHITECTURES_32.contains(&value) {
            return Ok(Self::Linux32);
        }
        if ARCHITECTURES_64.contains(&value) {
            return Ok(Self::Linux64);
        }
        Err(Fault::new(
            format!("{} is not an architecture", quoted(value)),
            "write a name as \"uname -m\" prints it, such as x86_64, aarch64 or i686",
        ))
    }

    /// The number `personality`(2) takes.
    pub fn number(self) -> u32 {
        match self {
            Self::Linux32 => 0x0008,
            Self::Linux64 => 0x0000,
        }
    }
}

/// As LXC on x86 prints the two domains, whatever name was set.
impl fmt::Display for Personality {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Linux32 => "i686",
            Self::Linux64 => "x86_64",
        })
    }
}

/// A variable of the environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Environment {
    /// The name.
    pub name: String,
    /// The value; `None` takes it from the environment of whoever starts the container.
    pub value: Option<String>,
}

impl Environment {
    /// Reads `NAME=value` or `NAME`.
    pub fn parse(value: &str) -> Result<Self, Fault> {
        let (name, value) = value.split_once('=').map_or((value, None), |(name, value)| (name, Some(value)));
        if name.is_empty() || name.contains(char::is_whitespace) {
            return Err(Fault::new(
                format!("{} is not the name of a variable", quoted(name)),
                "write NAME=value, or NAME to take the value from the caller's environment",
            ));
        }
        Ok(Self { name: name.to_owned(), value: value.map(ToOwned::to_owned) })
    }
}

/// A resource limit; `None` is unlimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// What is enforced.
    pub soft: Option<u64>,
    /// What the process may raise the soft limit to.
    pub hard: Option<u64>,
}

impl Limit {
    /// Reads `soft[:hard]`, each a number or `unlimited`; one number stands for both.
    pub fn parse(value: &str) -> Result<Self, Fault> {
        let number = |text: &str| match text.trim() {
            "unlimited" => Ok(None),
            text if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) => {
                // The kernel's word for unlimited is the largest number.
                text.parse::<u64>()
                    .map(|number| Some(number).filter(|number| *number != u64::MAX))
                    .map_err(|_| ())
            }
            _ => Err(()),
        };
        let (soft, hard) = value.split_once(':').unwrap_or((value, value));
        let (Ok(soft), Ok(hard)) = (number(soft), number(hard)) else {
            return Err(Fault::new(
                format!("{} is not a limit", quoted(value)),
                "write soft[:hard], each a number or unlimited",
            ));
        };
        if soft.unwrap_or(u64::MAX) > hard.unwrap_or(u64::MAX) {
            return Err(Fault::new(
                format!("the soft limit of {} exceeds the hard one", quoted(value)),
                "raise the hard limit or lower the soft one",
            ));
        }
        Ok(Self { soft, hard })
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let print = |limit: Option<u64>| limit.map_or("unlimited".to_owned(), |number| number.to_string());
        if self.soft == self.hard {
            f.write_str(&print(self.soft))
        } else {
            write!(f, "{}:{}", print(self.soft), print(self.hard))
        }
    }
}

/// `RLIMIT_*` by name, the index being the kernel's number on the architectures Hull runs on.
const LIMITS: [&str; 16] = [
    "cpu",
    "fsize",
    "data",
    "stack",
    "core",
    "rss",
    "nproc",
    "nofile",
    "memlock",
    "as",
    "locks",
    "sigpending",
    "msgqueue",
    "nice",
    "rtprio",
    "rttime",
];

/// The kernel's number of a resource (`prlimit`(2)), its name in any case.
pub fn limit_number(name: &str) -> Result<u32, Fault> {
    let lower = name.to_ascii_lowercase();
    (0u32..).zip(LIMITS).find(|(_, known)| *known == lower).map(|(number, _)| number).ok_or_else(|| {
        let known = nearest(lower.get(..32).unwrap_or(&lower), LIMITS.into_iter());
        Fault::new(format!("{} is not a limit the kernel knows", quoted(name)), format!("{known} is closest"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits() {
        for (text, printed) in
            [("5", "5"), ("5:unlimited", "5:unlimited"), ("7:7", "7"), ("unlimited", "unlimited")]
        {
            assert_eq!(Limit::parse(text).unwrap().to_string(), printed, "{text}");
        }
        for text in ["", "abc", "-1", "5:", ":5", "6:5", "unlimited:5", "99999999999999999999"] {
            assert!(Limit::parse(text).is_err(), "{text}");
        }
        assert_eq!(limit_number("NOFILE"), Ok(7));
        assert!(limit_number("files").is_err());
    }

    #[test]
    fn environment() {
        assert_eq!(Environment::parse("A=b=c").unwrap().value.as_deref(), Some("b=c"));
        assert_eq!(Environment::parse("A").unwrap().value, None);
        for text in ["", "=a", "A B=c"] {
            assert!(Environment::parse(text).is_err(), "{text}");
        }
    }
}
