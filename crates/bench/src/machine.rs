//! What a run was on.

use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use hull_command::{Runner, System, ToolCommand};

use crate::engine::Engine;
use crate::engine::FIO;
use crate::results::{Machine, Program};
use crate::rootfs::TAR;

/// Looks at the machine. What cannot be found out is left empty.
pub(crate) fn look(engine: Engine) -> Machine {
    let uname = rustix::system::uname();
    let text = |bytes: &std::ffi::CStr| bytes.to_string_lossy().into_owned();
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let tools = [Some(TAR), (engine == Engine::Fio).then_some(FIO)];
    let programs = tools.into_iter().flatten().map(|tool| {
        let said = System.run(&ToolCommand::new(tool).arg("--version")).map(|output| output.text());
        let version = said.unwrap_or_default().lines().next().unwrap_or_default().to_owned();
        Program { name: tool.program.into(), version }
    });
    Machine {
        processor: field(&read("/proc/cpuinfo"), "model name").unwrap_or_default(),
        processors: std::thread::available_parallelism().map_or(0, |n| n.get() as u64),
        memory_bytes: memory(&read("/proc/meminfo")),
        kernel: format!("{} {}", text(uname.sysname()), text(uname.release())),
        architecture: text(uname.machine()),
        distribution: distribution(&read("/etc/os-release")),
        load: read("/proc/loadavg").trim().to_owned(),
        programs: programs.collect(),
    }
}

fn field(text: &str, name: &str) -> Option<String> {
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn memory(text: &str) -> u64 {
    let value = field(text, "MemTotal").unwrap_or_default();
    value.split(' ').next().and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) * 1024
}

fn distribution(text: &str) -> String {
    let line = text.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    line.unwrap_or_default().trim_matches('"').to_owned()
}

/// Now, UTC: `2026-11-26T08:00:00Z`.
pub(crate) fn now() -> String {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    stamp(seconds)
}

/// The moment so many seconds after the beginning of 1970, in the Gregorian calendar.
fn stamp(seconds: u64) -> String {
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // Years begin in March here, so that the leap day is their last: Howard Hinnant, chrono-compatible date algorithms.
    let era_day = days + 719_468;
    let (era, day_of_era) = (era_day / 146_097, era_day % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute) = (second / 3600, second / 60 % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{:02}Z", second % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments() {
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_767_225_599, "2025-12-31T23:59:59Z"),
            (1_795_680_000, "2026-11-26T08:00:00Z"),
        ] {
            assert_eq!(stamp(seconds), expected);
        }
    }

    #[test]
    fn files_of_the_kernel_are_read() {
        assert_eq!(
            field("a: 1\nmodel name\t: Some CPU @ 2 GHz\n", "model name").unwrap(),
            "Some CPU @ 2 GHz"
        );
        assert_eq!(memory("MemTotal:       1000 kB\n"), 1_024_000);
        assert_eq!(distribution("ID=x\nPRETTY_NAME=\"Debian 12\"\n"), "Debian 12");
        let machine = look(Engine::BuiltIn);
        assert!(machine.kernel.starts_with("Linux ") && machine.processors > 0 && machine.memory_bytes > 0);
    }
}
