//! Bars with intervals: one for each store, its samples beneath it as dots.

use std::fmt::Write as _;

use super::markup::{capital, escape, hue, percent};
use super::scale::{self, Scale};
use crate::results::{Cache, Measurement, Results, RowFacts};
use crate::units::{Unit, times};

/// The measurements of one row in one state of the cache.
pub(super) fn figure(results: &Results, row: &RowFacts, cache: Cache) -> String {
    let found: Vec<(usize, &Measurement)> = results
        .stores
        .iter()
        .enumerate()
        .filter_map(|(at, store)| Some((at, results.one(&row.id, &store.name, cache)?)))
        .collect();
    if found.is_empty() {
        return String::new();
    }
    let scale = common_scale(results, row);
    let medians = || found.iter().map(|(_, m)| m.summary.median);
    let best = if row.less_is_better {
        medians().fold(f64::INFINITY, f64::min)
    } else {
        medians().fold(0.0, f64::max)
    };
    let mut notes = Vec::new();
    if results.caches_of(&row.id).len() > 1 {
        notes.push(format!("{} cache", cache.word()));
    }
    notes.push(if row.less_is_better { "less is better" } else { "more is better" }.to_owned());
    if scale.is_logarithmic() {
        notes.push("logarithmic".to_owned());
    }
    let mut text = format!(
        "<figure class=\"bars\"><figcaption><b>{}</b> <span>{}</span></figcaption>\n",
        escape(&capital(&row.title)),
        notes.join(" · ")
    );
    for (at, m) in found {
        let name = &results.stores[at].name;
        let worse = if row.less_is_better { m.summary.median / best } else { best / m.summary.median };
        let (number, unit) = row.unit.scaled(m.summary.median);
        let ratio = match worse {
            w if w <= 1.0 => "<span class=\"times best\">best</span>".to_owned(),
            w if w.is_finite() && w > 0.0 => format!("<span class=\"times\">{}</span>", times(w)),
            _ => "<span class=\"times\">–</span>".to_owned(),
        };
        let _ = writeln!(
            text,
            "<div class=\"row {}\"><span class=\"name\">{}</span>{}<span class=\"value\">{number} <small>{unit}</small></span>{ratio}</div>",
            hue(at),
            escape(name),
            drawing(m, &scale, row.unit, name),
        );
    }
    text.push_str(&axis(&scale, row.unit));
    text.push_str("</figure>\n");
    text
}

/// One scale for all states of the cache, so that they can be compared by eye.
fn common_scale(results: &Results, row: &RowFacts) -> Scale {
    let all = results.measurements.iter().filter(|m| m.row == row.id);
    let values: Vec<f64> = all.flat_map(|m| m.samples.iter().copied()).collect();
    let medians: Vec<f64> =
        results.measurements.iter().filter(|m| m.row == row.id).map(|m| m.summary.median).collect();
    // One far outlier does not squeeze everything else, unless it is all there is to see.
    let most_median = medians.iter().copied().fold(0.0, f64::max);
    let shown = values.into_iter().filter(|v| *v <= most_median * 4.0).chain(medians);
    Scale::for_bars(shown.collect::<Vec<_>>().into_iter(), base(row.unit))
}

pub(super) fn base(unit: Unit) -> f64 {
    match unit {
        Unit::Seconds | Unit::OperationsPerSecond => 10.0,
        // Two steps for each prefix.
        Unit::Bytes | Unit::BytesPerSecond => 32.0,
    }
}

fn drawing(m: &Measurement, scale: &Scale, unit: Unit, store: &str) -> String {
    let at = |value: f64| percent(scale.at(value));
    let summary = &m.summary;
    let said = format!(
        "{store}: {}, {} to {} with {:.0} % confidence, {} samples",
        unit.show(summary.median),
        unit.show(summary.low),
        unit.show(summary.high),
        summary.coverage * 100.0,
        m.samples.len()
    );
    let mut svg = format!(
        "<svg class=\"bar\" width=\"100%\" height=\"28\" role=\"img\" aria-label=\"{0}\"><title>{0}</title>",
        escape(&said)
    );
    for tick in scale.ticks() {
        let _ = write!(svg, "<line class=\"grid\" x1=\"{0}\" x2=\"{0}\" y1=\"0\" y2=\"28\"/>", at(tick));
    }
    let _ = write!(
        svg,
        "<rect class=\"fill\" x=\"0\" y=\"4\" width=\"{}\" height=\"13\" rx=\"2\"/>",
        at(summary.median)
    );
    let (low, high) = (at(summary.low), at(summary.high));
    let _ = write!(
        svg,
        "<line class=\"interval\" x1=\"{low}\" x2=\"{high}\" y1=\"10.5\" y2=\"10.5\"/>\
         <line class=\"interval\" x1=\"{low}\" x2=\"{low}\" y1=\"7\" y2=\"14\"/>\
         <line class=\"interval\" x1=\"{high}\" x2=\"{high}\" y1=\"7\" y2=\"14\"/>"
    );
    for (number, sample) in m.samples.iter().enumerate() {
        let class = if summary.outliers.contains(&number) { "outlier" } else { "sample" };
        let _ = write!(svg, "<circle class=\"{class}\" cx=\"{}\" cy=\"22.5\" r=\"2\"/>", at(*sample));
    }
    svg.push_str("</svg>");
    svg
}

/// The names of the axis' values, below the bars.
fn axis(scale: &Scale, unit: Unit) -> String {
    let mut svg = String::from(
        "<div class=\"row axis\"><span></span><svg width=\"100%\" height=\"16\" aria-hidden=\"true\">",
    );
    let ticks = scale.ticks();
    for (number, &tick) in ticks.iter().enumerate() {
        let at = scale.at(tick);
        // Narrow screens have room for the first and the last.
        let class = if number == 0 || number + 1 == ticks.len() { "" } else { " class=\"between\"" };
        let anchor = if at < 0.06 {
            "start"
        } else if at > 0.94 {
            "end"
        } else {
            "middle"
        };
        let text = scale::tick(unit, tick);
        let _ =
            write!(svg, "<text{class} x=\"{}\" y=\"12\" text-anchor=\"{anchor}\">{text}</text>", percent(at));
    }
    svg.push_str("</svg><span></span><span></span></div>\n");
    svg
}
