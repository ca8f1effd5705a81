//! A container's log file: `lxc.log.file` and `lxc.log.level`, in LXC's line format.

use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags};
use std::path::Path;

use crate::error::{Named, Result};

/// How much it matters, least first, as LXC numbers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the names are LXC's and say it all")]
pub enum Level {
    Trace,
    Debug,
    Info,
    Notice,
    Warn,
    Error,
    Crit,
    Alert,
    Fatal,
}

impl Level {
    /// Reads LXC's name of a level, in any case.
    pub fn parse(name: &str) -> Option<Self> {
        use Level as L;
        let all = [L::Trace, L::Debug, L::Info, L::Notice, L::Warn, L::Error, L::Crit, L::Alert, L::Fatal];
        all.into_iter().find(|l| l.name().eq_ignore_ascii_case(name))
    }

    fn name(self) -> &'static str {
        match self {
            Self::Trace => "TRACE",
            Self::Debug => "DEBUG",
            Self::Info => "INFO",
            Self::Notice => "NOTICE",
            Self::Warn => "WARN",
            Self::Error => "ERROR",
            Self::Crit => "CRIT",
            Self::Alert => "ALERT",
            Self::Fatal => "FATAL",
        }
    }
}

/// Where lines go: a file, or nowhere.
#[derive(Debug)]
pub struct Log {
    file: Option<OwnedFd>,
    least: Level,
    name: String,
}

impl Log {
    /// Discards everything.
    pub fn none() -> Self {
        Self { file: None, least: Level::Fatal, name: String::new() }
    }

    /// Appends lines of `least` and above about container `name` to `path`, which is made with mode 0640.
    pub fn open(path: &Path, least: Level, name: &str) -> Result<Self> {
        let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOCTTY;
        let file = rustix::fs::open(path, flags, Mode::from_raw_mode(0o640))
            .named(|| format!("open({}, to log)", path.display()))?;
        Ok(Self { file: Some(file), least, name: name.to_owned() })
    }

    /// Writes one line.
    pub fn write(&self, level: Level, text: &str) {
        let Some(file) = self.file.as_ref().filter(|_| level >= self.least) else { return };
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
        let line = format!(
            "lxc {} {} {:<8} hull - {}\n",
            self.name,
            stamp(now.tv_sec, now.tv_nsec / 1_000_000),
            level.name(),
            text.replace('\n', " ")
        );
        // A log that cannot be written to must not stop the container.
        let _ = rustix::io::write(file, line.as_bytes());
    }

    /// Writes a line about a failure.
    pub fn error(&self, text: &str) {
        self.write(Level::Error, text);
    }

    /// Writes a line about something that may surprise.
    pub fn warn(&self, text: &str) {
        self.write(Level::Warn, text);
    }

    /// Writes a line about what happens.
    pub fn info(&self, text: &str) {
        self.write(Level::Info, text);
    }

    /// Writes a line for whoever looks for a fault.
    pub fn debug(&self, text: &str) {
        self.write(Level::Debug, text);
    }
}

/// `YYYYMMDDhhmmss.mmm`, UTC. Civil date from days by Howard Hinnant's published algorithm.
fn stamp(seconds: i64, milliseconds: i64) -> String {
    let (days, of_day) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}{month:02}{day:02}{hour:02}{minute:02}{second:02}.{milliseconds:03}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_are_civil_time() {
        assert_eq!(stamp(0, 7), "19700101000000.007");
        assert_eq!(stamp(951_827_696, 0), "20000229123456.000");
        assert_eq!(stamp(1_795_391_999, 999), "20261122235959.999");
    }

    #[test]
    fn levels_by_name() {
        assert_eq!(Level::parse("warn"), Some(Level::Warn));
        assert!(Level::parse("loud").is_none() && Level::Error > Level::Info);
    }
}
