//! Quantities as people read them.

use serde::{Deserialize, Serialize};

/// What a number counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Seconds that an operation takes.
    Seconds,
    /// Bytes that something occupies.
    Bytes,
    /// Bytes read or written in a second.
    BytesPerSecond,
    /// Operations done in a second.
    OperationsPerSecond,
}

impl Unit {
    /// Whether less is better.
    pub fn less_is_better(self) -> bool {
        matches!(self, Self::Seconds | Self::Bytes)
    }

    /// `value` in three significant digits, with its unit: `1.23 ms`, `87.0 MiB/s`, `0 B`.
    pub fn show(self, value: f64) -> String {
        let (number, unit) = self.scaled(value);
        format!("{number} {unit}")
    }

    /// The number and the unit apart.
    pub(crate) fn scaled(self, value: f64) -> (String, &'static str) {
        let steps: &[(f64, &'static str)] = match self {
            Self::Seconds => &[(1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns")],
            Self::Bytes => &[(TERA, "TiB"), (GIGA, "GiB"), (MEGA, "MiB"), (KILO, "KiB"), (1.0, "B")],
            Self::BytesPerSecond => &[(GIGA, "GiB/s"), (MEGA, "MiB/s"), (KILO, "KiB/s"), (1.0, "B/s")],
            Self::OperationsPerSecond => &[(1e6, "M/s"), (1e3, "k/s"), (1.0, "/s")],
        };
        // What would be rounded up to the next unit is shown in it: 1.00 s, not 1000 ms.
        let largest = |step: &&(f64, &str)| value.abs() >= step.0 * 0.9995;
        let smallest = steps[steps.len() - 1];
        let (size, unit) = *steps.iter().find(largest).unwrap_or(&smallest);
        let scaled = value / size;
        let number = match scaled.abs() {
            _ if value == 0.0 => "0".to_owned(),
            s if size == 1.0 && unit == "B" => format!("{:.0}", s * scaled.signum()),
            s if s >= 99.95 => format!("{scaled:.0}"),
            s if s >= 9.995 => format!("{scaled:.1}"),
            _ => format!("{scaled:.2}"),
        };
        (number, unit)
    }
}

const KILO: f64 = 1024.0;
const MEGA: f64 = KILO * KILO;
const GIGA: f64 = MEGA * KILO;
const TERA: f64 = GIGA * KILO;

/// A count with its thousands apart: `12,345`.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A ratio: `1.25×`, `12×`.
pub(crate) fn times(ratio: f64) -> String {
    match ratio {
        r if r >= 99.95 => format!("{}×", count(r.round() as u64)),
        r if r >= 9.995 => format!("{r:.1}×"),
        r => format!("{r:.2}×"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_read_well() {
        for (unit, value, shown) in [
            (Unit::Seconds, 0.001_234, "1.23 ms"),
            (Unit::Seconds, 0.999_96, "1.00 s"),
            (Unit::Seconds, 12.34, "12.3 s"),
            (Unit::Seconds, 123.4, "123 s"),
            (Unit::Seconds, 4.5e-5, "45.0 µs"),
            (Unit::Seconds, 0.0, "0 ns"),
            (Unit::Bytes, 0.0, "0 B"),
            (Unit::Bytes, 512.0, "512 B"),
            (Unit::Bytes, -4096.0, "-4.00 KiB"),
            (Unit::Bytes, 16384.0, "16.0 KiB"),
            (Unit::BytesPerSecond, 2.5e9, "2.33 GiB/s"),
            (Unit::OperationsPerSecond, 12_345.0, "12.3 k/s"),
        ] {
            assert_eq!(unit.show(value), shown);
        }
        assert_eq!((count(0), count(999), count(1_234_567)), ("0".into(), "999".into(), "1,234,567".into()));
        assert_eq!(
            (times(1.254), times(12.34), times(1234.4)),
            ("1.25×".into(), "12.3×".into(), "1,234×".into())
        );
    }
}
