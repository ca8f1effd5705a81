//! Flags, numbers, sizes, words and the other values that are one thing.

use std::fmt;

use crate::error::{Fault, quoted};
use crate::keys::nearest;

/// How far a clock of a time namespace is shifted (`time_namespaces`(7), Linux 5.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TimeOffset {
    /// Whole seconds.
    pub seconds: i64,
    /// Nanoseconds beyond them, 0 when the offset was given in minutes, hours or seconds.
    pub nanoseconds: i64,
}

impl TimeOffset {
    /// Reads `5s`, `-2h`, `1500ms`: units `h m s ms us ns`.
    pub fn parse(value: &str) -> Result<Self, Fault> {
        let fault = || {
            Fault::new(
                format!("{} is not an offset of time", quoted(value)),
                "write a whole number and one of h, m, s, ms, us, ns, such as 5s",
            )
        };
        let unit_at = value.find(|c: char| c.is_ascii_alphabetic()).ok_or_else(fault)?;
        let (number, unit) = (value[..unit_at].trim(), &value[unit_at..]);
        let number: i64 = number.parse().map_err(|_| fault())?;
        let (seconds, nanoseconds) = match unit {
            "h" => (number.checked_mul(3600), Some(0)),
            "m" => (number.checked_mul(60), Some(0)),
            "s" => (Some(number), Some(0)),
            "ms" => (Some(0), number.checked_mul(1_000_000)),
            "us" => (Some(0), number.checked_mul(1_000)),
            "ns" => (Some(0), Some(number)),
            _ => return Err(fault()),
        };
        match (seconds, nanoseconds) {
            (Some(seconds), Some(nanoseconds)) => Ok(Self { seconds, nanoseconds }),
            _ => Err(Fault::new(format!("{} is beyond 64 bits", quoted(value)), "use a smaller offset")),
        }
    }

    /// The offset as the kernel wants it: seconds, and nanoseconds from 0 to 999 999 999.
    pub fn normalised(self) -> (i64, u32) {
        let seconds = self.seconds.saturating_add(self.nanoseconds.div_euclid(1_000_000_000));
        // A remainder by 10^9 always fits.
        (seconds, u32::try_from(self.nanoseconds.rem_euclid(1_000_000_000)).unwrap_or(0))
    }
}

impl fmt::Display for TimeOffset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.seconds != 0 { write!(f, "{}s", self.seconds) } else { write!(f, "{}ns", self.nanoseconds) }
    }
}

pub(crate) fn parse_flag(value: &str) -> Result<bool, Fault> {
    match parse_unsigned(value) {
        Ok(0) => Ok(false),
        Ok(1) => Ok(true),
        _ => Err(Fault::new(format!("{} is neither 0 nor 1", quoted(value)), "write 0 or 1")),
    }
}

/// Reads a number as C's `strtoul` with base 0 does: LXC accepts `0x10` and octal `010`.
pub(crate) fn parse_unsigned(value: &str) -> Result<u32, Fault> {
    from_c(value).and_then(|number| u32::try_from(number).ok()).ok_or_else(|| {
        Fault::new(format!("{} is not a number from 0 to 4294967295", quoted(value)), "write such a number")
    })
}

/// Reads a C int.
pub(crate) fn parse_signed(value: &str) -> Result<i32, Fault> {
    from_c(value).and_then(|number| i32::try_from(number).ok()).ok_or_else(|| {
        Fault::new(
            format!("{} is not a number from -2147483648 to 2147483647", quoted(value)),
            "write such a number",
        )
    })
}

/// A user or group id; the largest value means "no id" to the kernel.
pub(crate) fn parse_id(value: &str) -> Result<u32, Fault> {
    parse_unsigned(value).ok().filter(|id| *id != u32::MAX).ok_or_else(|| {
        Fault::new(
            format!("{} is not a numeric id", quoted(value)),
            "write the number of the user or group, from 0 to 4294967294",
        )
    })
}

pub(crate) fn parse_word(words: &'static [&'static str], value: &str) -> Result<&'static str, Fault> {
    words.iter().find(|word| **word == value).copied().ok_or_else(|| {
        let remedy = if words.len() == 1 {
            format!("write {}, or nothing", words[0])
        } else {
            format!("use one of {}", words.join(", "))
        };
        Fault::new(format!("{} is not known here", quoted(value)), remedy)
    })
}

/// Reads a ring buffer's size: bytes, or with one of the units `kB`, `MB`, `GB` (powers of 1024), or
/// `auto` for 128 KiB. The result is a power of two of at least one page.
pub(crate) fn parse_buffer_size(value: &str) -> Result<u64, Fault> {
    const PAGE: u64 = 4096;
    if value == "auto" {
        return Ok(128 << 10);
    }
    let fault = || {
        Fault::new(
            format!("{} is not a size", quoted(value)),
            "write a number of bytes, optionally with kB, MB or GB, or auto",
        )
    };
    let digits = value.bytes().take_while(u8::is_ascii_digit).count();
    let number: u64 = value[..digits].parse().map_err(|_| fault())?;
    let shift = match value[digits..].trim().to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" => 10,
        "m" | "mb" => 20,
        "g" | "gb" => 30,
        _ => return Err(fault()),
    };
    number
        .checked_mul(1 << shift)
        .and_then(|bytes| bytes.max(PAGE).checked_next_power_of_two())
        .filter(|bytes| i64::try_from(*bytes).is_ok())
        .ok_or_else(|| Fault::new(format!("{} is beyond 63 bits", quoted(value)), "use a smaller size"))
}

pub(crate) fn check_cgroup_path(value: &str) -> Result<(), Fault> {
    if value.split('/').any(|part| part == "..") {
        return Err(Fault::new(
            format!("{} leaves its cgroup by \"..\"", quoted(value)),
            "name a cgroup below the current one",
        ));
    }
    Ok(())
}

/// The kernel's limit is 64 bytes (`sethostname`(2)); LXC keeps 64 for text and terminator.
pub(crate) fn check_host_name(value: &str) -> Result<(), Fault> {
    if value.len() > 64 {
        return Err(Fault::new(
            format!("the host name has {} bytes", value.len()),
            "use a name of at most 64 bytes",
        ));
    }
    Ok(())
}

const LOG_LEVELS: [&str; 9] = ["TRACE", "DEBUG", "INFO", "NOTICE", "WARN", "ERROR", "CRIT", "ALERT", "FATAL"];

pub(crate) fn parse_log_level(value: &str) -> Result<&'static str, Fault> {
    let by_name = LOG_LEVELS.iter().find(|level| level.eq_ignore_ascii_case(value));
    let by_number = || LOG_LEVELS.get(usize::try_from(from_c(value)?).ok()?);
    by_name.or_else(by_number).copied().ok_or_else(|| {
        Fault::new(
            format!("{} is not a log level", quoted(value)),
            "use trace, debug, info, notice, warn, error, crit, alert, fatal or a number from 0 to 8",
        )
    })
}

const FACILITIES: [&str; 11] = [
    "daemon", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7", "user",
    "syslog",
];

pub(crate) fn parse_syslog_facility(value: &str) -> Result<&'static str, Fault> {
    FACILITIES.iter().find(|name| **name == value).copied().ok_or_else(|| {
        Fault::new(
            format!("{} is not a syslog facility", quoted(value)),
            format!(
                "use daemon, user, syslog or local0 to local7; {} is closest",
                nearest(value, FACILITIES.into_iter())
            ),
        )
    })
}

pub(crate) fn parse_unix_socket(value: &str) -> Result<&str, Fault> {
    value.strip_prefix("unix:").filter(|path| !path.is_empty()).ok_or_else(|| {
        Fault::new(format!("{} is not a unix socket", quoted(value)), "write unix:/path/of/the/socket")
    })
}

/// C's `strtol` with base 0, but for the whole text.
fn from_c(text: &str) -> Option<i64> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let (radix, digits) = if let Some(hex) = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        (16, hex)
    } else if digits.len() > 1 && digits.starts_with('0') {
        (8, &digits[1..])
    } else {
        (10, digits)
    };
    // `from_str_radix` would take a second sign.
    if !digits.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return None;
    }
    let number = i64::from_str_radix(digits, radix).ok()?;
    Some(if negative { -number } else { number })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_as_c_reads_them() {
        for (text, number) in [("0", 0), ("16", 16), ("0x10", 16), ("010", 8), ("+5", 5), ("00", 0)] {
            assert_eq!(parse_unsigned(text), Ok(number), "{text}");
        }
        for text in ["", "-1", "x", "1x", "5000000000", "+-5", "0x", "1 2"] {
            assert!(parse_unsigned(text).is_err(), "{text}");
        }
        assert_eq!(parse_signed("-5"), Ok(-5));
    }

    #[test]
    fn sizes_round_up() {
        for (text, bytes) in
            [("auto", 131_072), ("5MB", 8_388_608), ("5000", 8192), ("1", 4096), ("5 kB", 8192)]
        {
            assert_eq!(parse_buffer_size(text), Ok(bytes), "{text}");
        }
        for text in ["", "-1", "5XB", "9999999999GB", "9223372036854775807"] {
            assert!(parse_buffer_size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn time_offsets() {
        assert_eq!(TimeOffset::parse("-1500ms").unwrap().normalised(), (-2, 500_000_000));
        assert_eq!(TimeOffset::parse("5h").unwrap().to_string(), "18000s");
        for text in ["5", "s", "5x", "5 5s", "9223372036854775807h"] {
            assert!(TimeOffset::parse(text).is_err(), "{text}");
        }
    }
}
