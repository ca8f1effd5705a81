//! The demo's table: what took how long, and what it cost in space.

use std::fmt;
use std::time::{Duration, Instant};

use crate::Result;

/// Steps with their times, in the order they were taken.
#[derive(Debug, Default)]
pub(super) struct Table {
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    step: String,
    took: Duration,
    bytes: Option<u64>,
    failed: bool,
}

impl Table {
    /// Takes a step, announces it, and notes its time; a step that fails is noted as such.
    pub(super) fn time<T>(&mut self, step: &str, act: impl FnOnce() -> Result<T>) -> Result<T> {
        println!("demo: {step}");
        let start = Instant::now();
        let outcome = act();
        let failed = outcome.is_err();
        self.rows.push(Row { step: step.to_owned(), took: start.elapsed(), bytes: None, failed });
        outcome.map_err(|reason| format!("{step}: {reason}"))
    }

    /// Notes what the last step costs in space.
    pub(super) fn space(&mut self, bytes: u64) {
        if let Some(row) = self.rows.last_mut() {
            row.bytes = Some(bytes);
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.rows.iter().map(|row| row.step.chars().count()).max().unwrap_or(0).max(4);
        writeln!(f, "{:<width$}  {:>10}  {:>10}", "step", "time", "space")?;
        for row in &self.rows {
            let space = row.bytes.map(size).unwrap_or_default();
            let failed = if row.failed { "  FAILED" } else { "" };
            writeln!(f, "{:<width$}  {:>10}  {space:>10}{failed}", row.step, time(row.took))?;
        }
        Ok(())
    }
}

fn time(took: Duration) -> String {
    let milliseconds = took.as_secs_f64() * 1000.0;
    if milliseconds < 1000.0 {
        format!("{milliseconds:.1} ms")
    } else {
        format!("{:.2} s", milliseconds / 1000.0)
    }
}

fn size(bytes: u64) -> String {
    // Sizes of containers are far below what an f64 holds exactly.
    let kib = bytes as f64 / 1024.0;
    if kib < 1024.0 { format!("{kib:.0} KiB") } else { format!("{:.1} MiB", kib / 1024.0) }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Table, size, time};

    #[test]
    fn units_fit_the_amount() {
        assert_eq!(time(Duration::from_micros(5240)), "5.2 ms");
        assert_eq!(time(Duration::from_millis(61_500)), "61.50 s");
        assert_eq!((size(0), size(8192), size(3 << 20)), ("0 KiB".into(), "8 KiB".into(), "3.0 MiB".into()));
    }

    #[test]
    fn steps_and_failures_are_rows() {
        let mut table = Table::default();
        assert_eq!(table.time("make it", || Ok(7)), Ok(7));
        table.space(4096);
        let failed: Result<(), String> = table.time("break it", || Err("why".into()));
        assert_eq!(failed, Err("break it: why".into()));
        let text = table.to_string();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 3, "{text}");
        assert!(lines[1].starts_with("make it") && lines[1].ends_with("4 KiB"), "{text}");
        assert!(lines[2].starts_with("break it") && lines[2].ends_with("FAILED"), "{text}");
    }
}
