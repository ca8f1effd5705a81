//! Sizes as people write them and as LXC prints them.

use hull_storage::{Bytes, Outcome};

/// Reads `1G`, `512M`, `4096k` or `10b`; a number alone counts `unit` bytes.
pub(crate) fn parse(text: &str, unit: u64) -> Result<Bytes, String> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let factor = match text[digits.len()..].trim_end_matches("iB") {
        "" => unit,
        "b" | "B" => 1,
        "k" | "K" => 1 << 10,
        "m" | "M" => 1 << 20,
        "g" | "G" => 1 << 30,
        "t" | "T" => 1 << 40,
        _ => return Err(format!("{text:?} is not a size: write a number and one of b k M G T")),
    };
    let number: u64 =
        digits.parse().map_err(|_| format!("{text:?} is not a size: write a number and one of b k M G T"))?;
    match number.checked_mul(factor) {
        Some(0) => Err(format!("{text:?} is no size a volume can have")),
        Some(bytes) => Ok(Bytes(bytes)),
        None => Err(format!("{text:?} is more bytes than can be counted")),
    }
}

/// A size, or none for no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limit(pub(crate) Option<Bytes>);

/// Reads a size as [`parse`] does, in MiB unless told otherwise, or `none`.
pub(crate) fn parse_limit(text: &str) -> Result<Limit, String> {
    if text == "none" {
        return Ok(Limit(None));
    }
    parse(text, 1 << 20).map(|bytes| Limit(Some(bytes))).map_err(|e| format!("{e}, or `none` for no limit"))
}

/// What a change of size came to, for people.
pub(crate) fn told(what: &dyn std::fmt::Display, limit: Limit, outcome: Outcome) -> String {
    match (limit.0, outcome) {
        (Some(size), Outcome::Done) => format!("{what} has {size} now"),
        (None, Outcome::Done) => format!("{what} has no limit now"),
        (Some(size), Outcome::AlreadyDone) => format!("{what} had {size} before"),
        (None, Outcome::AlreadyDone) => format!("{what} had no limit before"),
    }
}

/// A size as `lxc-info` prints it for people: two decimals, and whole bytes below 1 KiB.
pub(crate) fn humanised(bytes: u64) -> String {
    let scaled = |shift: u32, unit| format!("{:.2} {unit}", bytes as f64 / (1u64 << shift) as f64);
    match bytes {
        b if b >= 1 << 30 => scaled(30, "GiB"),
        b if b >= 1 << 20 => scaled(20, "MiB"),
        b if b >= 1 << 10 => scaled(10, "KiB"),
        b => format!("{b} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read() {
        for (text, bytes) in [("1G", 1 << 30), ("7", 7 << 20), ("10b", 10), ("3k", 3072), ("2TiB", 2 << 40)] {
            assert_eq!(parse(text, 1 << 20), Ok(Bytes(bytes)), "{text}");
        }
        for wrong in
            ["", "G", "1X", "-1", "1.5G", "0", "99999999999999999999", "18446744073709551615G", "1 G", "é"]
        {
            assert!(parse(wrong, 1).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_limit_is_a_size_or_none() {
        assert_eq!(parse_limit("none"), Ok(Limit(None)));
        assert_eq!(parse_limit("3G"), Ok(Limit(Some(Bytes(3 << 30)))));
        assert!(parse_limit("nothing").is_err_and(|e| e.contains("none")));
    }

    #[test]
    fn sizes_read_as_lxc_info_prints_them() {
        for (bytes, text) in [(0, "0 bytes"), (917_504, "896.00 KiB"), (1 << 30, "1.00 GiB")] {
            assert_eq!(humanised(bytes), text);
        }
    }
}
