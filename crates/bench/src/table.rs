//! The results for a terminal.

use std::fmt::Write as _;

use crate::results::{Cache, Measurement, Reason, Results, RowFacts};
use crate::units::{count, times};

/// How wide a full bar is.
const BAR: usize = 16;

/// The results as text: row by row, the stores beneath each other, with interval, and what is slower than the best by
/// how much. Curves have a line for each store.
pub fn table(results: &Results) -> String {
    let mut text = heading(results);
    for workload in &results.workloads {
        let rows = workload.rows.iter().filter(|row| results.measurements.iter().any(|m| m.row == row.id));
        for row in rows {
            match row.axis {
                Some(_) => curve(results, row, &mut text),
                None => bars(results, row, &mut text),
            }
        }
    }
    footing(results, &mut text);
    text
}

fn heading(results: &Results) -> String {
    let (machine, settings) = (&results.machine, &results.settings);
    let mut text = String::new();
    if !results.complete {
        text.push_str("INTERRUPTED: what follows is what had been measured by then.\n");
    }
    let _ = writeln!(
        text,
        "hull {} bench, {}, {} rounds, seed {}, data by {}",
        results.hull, results.started, settings.rounds, settings.seed, settings.data_engine
    );
    let _ = writeln!(
        text,
        "{} × {}, {}, {}",
        machine.processors,
        if machine.processor.is_empty() { &machine.architecture } else { &machine.processor },
        machine.kernel,
        machine.distribution
    );
    let rootfs = &results.rootfs;
    let _ = writeln!(
        text,
        "{}: {} entries, {}",
        rootfs.description,
        count(rootfs.entries),
        crate::Unit::Bytes.show(rootfs.bytes as f64)
    );
    text
}

fn bars(results: &Results, row: &RowFacts, text: &mut String) {
    for cache in results.caches_of(&row.id) {
        let cold = if cache == Cache::Cold { ", cold cache" } else { "" };
        let better = if row.less_is_better { "" } else { " (more is better)" };
        let _ = writeln!(text, "\n{}{cold}{better}", capital(&row.title));
        let found: Vec<(&str, Option<&Measurement>)> = results
            .stores
            .iter()
            .map(|store| (store.name.as_str(), results.one(&row.id, &store.name, cache)))
            .filter(|(_, m)| m.is_some())
            .collect();
        let medians = || found.iter().filter_map(|(_, m)| m.map(|m| m.summary.median));
        let most = medians().fold(0.0, f64::max);
        let best = if row.less_is_better { medians().fold(f64::INFINITY, f64::min) } else { most };
        let lines: Vec<[String; 6]> = found
            .iter()
            .filter_map(|(store, m)| Some((store, (*m)?)))
            .map(|(store, m)| {
                let summary = &m.summary;
                let worse = match row.less_is_better {
                    true => summary.median / best,
                    false => best / summary.median,
                };
                let outliers = match summary.outliers.len() {
                    0 => String::new(),
                    1 => "1 outlier".into(),
                    n => format!("{n} outliers"),
                };
                [
                    format!("  {store}"),
                    row.unit.show(summary.median),
                    match m.samples.len() {
                        1 => "[one sample]".to_owned(),
                        _ => format!("[{} … {}]", row.unit.show(summary.low), row.unit.show(summary.high)),
                    },
                    if worse.is_finite() && worse > 0.0 { times(worse) } else { "–".into() },
                    bar(summary.median, most),
                    outliers,
                ]
            })
            .collect();
        text.push_str(&aligned(None, &lines));
    }
}

fn curve(results: &Results, row: &RowFacts, text: &mut String) {
    let mut xs: Vec<u64> =
        results.measurements.iter().filter(|m| m.row == row.id).filter_map(|m| m.x).collect();
    xs.sort_unstable();
    xs.dedup();
    let _ = writeln!(text, "\n{} ({})", capital(&row.title), row.axis.as_deref().unwrap_or_default());
    let header: Vec<String> = std::iter::once(String::new()).chain(xs.iter().map(|x| count(*x))).collect();
    let lines: Vec<Vec<String>> = results
        .stores
        .iter()
        .filter(|store| results.of(&row.id, &store.name).next().is_some())
        .map(|store| {
            let at = |x: &u64| results.of(&row.id, &store.name).find(|m| m.x == Some(*x));
            let cells = xs.iter().map(|x| at(x).map_or("·".into(), |m| row.unit.show(m.summary.median)));
            std::iter::once(format!("  {}", store.name)).chain(cells).collect()
        })
        .collect();
    text.push_str(&aligned(Some(&header), &lines));
}

fn footing(results: &Results, text: &mut String) {
    let plain = results.measurements.iter().filter(|m| m.x.is_none() && m.samples.len() > 1);
    let (least, most) = plain
        .map(|m| m.summary.coverage * 100.0)
        .fold((100.0, 0.0), |(l, m), c| (f64::min(l, c), f64::max(m, c)));
    if most > 0.0 {
        let _ = writeln!(
            text,
            "\nMedians; in brackets the interval that holds the true median with {least:.0} to {most:.0} % confidence, by the number\n\
             of samples; × is to the best store of the row."
        );
    }
    for left_out in &results.left_out {
        let _ = writeln!(text, "without {}: {}", left_out.name, left_out.why);
    }
    for absent in &results.absent {
        let reason = match absent.reason {
            Reason::NotApplicable => "not measured",
            Reason::Truncated => "cut short",
            Reason::Failed => "FAILED",
            Reason::Interrupted => "interrupted",
        };
        let cache = absent.cache.filter(|c| *c == Cache::Cold).map_or("", |_| ", cold");
        let what = absent.row.as_ref().unwrap_or(&absent.workload);
        let _ = writeln!(text, "{reason}: {what} on {}{cache}: {}", absent.store, absent.why);
    }
    for note in &results.notes {
        let _ = writeln!(text, "note: {note}");
    }
}

/// A bar in eighths of a character.
fn bar(value: f64, most: f64) -> String {
    const PARTS: [char; 8] = [' ', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];
    if most <= 0.0 || value <= 0.0 {
        return String::new();
    }
    let eighths = ((value / most) * (BAR * 8) as f64).round().max(1.0) as usize;
    let mut bar = "█".repeat(eighths / 8);
    if !eighths.is_multiple_of(8) {
        bar.push(PARTS[eighths % 8]);
    }
    bar
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

/// Rows under a header; everything to the left.
pub(crate) fn columns<const N: usize>(header: &[&str; N], rows: &[[String; N]]) -> String {
    let mut widths = header.map(|h| h.chars().count());
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let header = header.map(str::to_owned);
    let mut text = String::new();
    for row in std::iter::once(&header).chain(rows) {
        let cells: Vec<String> =
            row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// Rows whose first column is to the left, and the others to the right but for brackets and bars.
fn aligned<R: AsRef<[String]>>(header: Option<&[String]>, rows: &[R]) -> String {
    let all: Vec<&[String]> = header.into_iter().chain(rows.iter().map(AsRef::as_ref)).collect();
    let columns = all.iter().map(|row| row.len()).max().unwrap_or(0);
    let width =
        |at: usize| all.iter().filter_map(|row| row.get(at)).map(|c| c.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in all {
        let cells: Vec<String> = row
            .iter()
            .zip(&widths)
            .enumerate()
            .map(|(at, (cell, &width))| {
                match at == 0 || cell.starts_with(['[', '█', '▏', '▎', '▍', '▌', '▋', '▊', '▉'])
                {
                    true => format!("{cell:<width$}"),
                    false => format!("{cell:>width$}"),
                }
            })
            .collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::testing::sample;

    #[test]
    fn every_row_and_store_is_there_and_lines_fit() {
        let results = sample();
        let text = table(&results);
        for row in results.workloads.iter().flat_map(|w| &w.rows) {
            assert!(text.contains(&capital(&row.title)), "{}", row.title);
        }
        for wanted in ["dir@ext4", "1 outlier", "cut short", "not measured", "without"] {
            assert!(text.contains(wanted), "{wanted} is not in:\n{text}");
        }
        let longest = text.lines().map(|line| line.chars().count()).max().unwrap();
        assert!(longest <= 130, "{longest}");
    }

    #[test]
    fn an_interrupted_run_says_so_first() {
        let mut results = sample();
        results.complete = false;
        assert!(table(&results).starts_with("INTERRUPTED"));
    }

    #[test]
    fn bars_are_in_proportion() {
        assert_eq!(bar(1.0, 1.0), "█".repeat(16));
        assert_eq!(bar(0.5, 1.0), "█".repeat(8));
        assert_eq!(
            (bar(0.0001, 1.0), bar(0.0, 1.0), bar(-3.0, 1.0)),
            ("▏".into(), String::new(), String::new())
        );
    }
}
