//! Signals by name and number.

use crate::error::{Fault, quoted};

/// The number of a signal, from 0 (none) to 64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Signal(u8);

/// The names of `signal`(7) as x86 and arm number them, and as LXC knows them.
const NAMES: &[(&str, u8)] = &[
    ("HUP", 1),
    ("INT", 2),
    ("QUIT", 3),
    ("ILL", 4),
    ("TRAP", 5),
    ("ABRT", 6),
    ("IOT", 6),
    ("BUS", 7),
    ("FPE", 8),
    ("KILL", 9),
    ("USR1", 10),
    ("SEGV", 11),
    ("USR2", 12),
    ("PIPE", 13),
    ("ALRM", 14),
    ("TERM", 15),
    ("STKFLT", 16),
    ("CHLD", 17),
    ("CLD", 17),
    ("CONT", 18),
    ("STOP", 19),
    ("TSTP", 20),
    ("TTIN", 21),
    ("TTOU", 22),
    ("URG", 23),
    ("XCPU", 24),
    ("XFSZ", 25),
    ("VTALRM", 26),
    ("PROF", 27),
    ("WINCH", 28),
    ("IO", 29),
    ("POLL", 29),
    ("PWR", 30),
    ("SYS", 31),
    ("UNUSED", 31),
];

/// glibc keeps 32 and 33 for itself, so its SIGRTMIN, which people write, is 34.
const RTMIN: u8 = 34;
const RTMAX: u8 = 64;

impl Signal {
    /// Power failure: how LXC asks an init to halt.
    pub const PWR: Self = Self(30);
    /// Interrupt: how LXC asks an init to reboot.
    pub const INT: Self = Self(2);
    /// Kill: how LXC stops a container at once.
    pub const KILL: Self = Self(9);

    /// Reads `SIGTERM`, `15`, `SIGRTMIN+3` or `SIGRTMAX-2`.
    pub fn parse(value: &str) -> Result<Self, Fault> {
        Self::find(value).ok_or_else(|| {
            Fault::new(
                format!("{} is not a signal", quoted(value)),
                "write a name such as SIGTERM, a number from 0 to 64, SIGRTMIN+n or SIGRTMAX-n",
            )
        })
    }

    /// The signal's number.
    pub fn number(self) -> i32 {
        i32::from(self.0)
    }

    fn find(value: &str) -> Option<Self> {
        if value.bytes().next()?.is_ascii_digit() {
            return value.parse().ok().filter(|number| *number <= RTMAX).map(Self);
        }
        let name = value.strip_prefix("SIG")?;
        if let Some((_, number)) = NAMES.iter().find(|(known, _)| *known == name) {
            return Some(Self(*number));
        }
        let real_time = |offset: &str, sign: char| -> Option<u8> {
            if offset.is_empty() {
                return Some(0);
            }
            let digits = offset.strip_prefix(sign)?;
            digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
        };
        let number = if let Some(offset) = name.strip_prefix("RTMIN") {
            RTMIN.checked_add(real_time(offset, '+')?)?
        } else {
            RTMAX.checked_sub(real_time(name.strip_prefix("RTMAX")?, '-')?)?
        };
        (RTMIN..=RTMAX).contains(&number).then_some(Self(number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers() {
        for (text, number) in
            [("SIGUSR1", 10), ("9", 9), ("SIGRTMIN", 34), ("SIGRTMIN+3", 37), ("SIGRTMAX-2", 62), ("0", 0)]
        {
            assert_eq!(Signal::parse(text).unwrap().number(), number, "{text}");
        }
        for text in ["", "USR1", "SIGFOO", "SIGRTMIN+99", "SIGRTMIN-1", "SIGRTMIN++1", "99", "-1", "SIG"] {
            assert!(Signal::parse(text).is_err(), "{text}");
        }
    }
}
