//! Curves: how something changes with how many there are, a line for each store.

use std::fmt::Write as _;

use super::markup::{capital, escape, hue, percent};
use super::scale::{self, Scale, spread};
use crate::results::{Measurement, Results, RowFacts};
use crate::units::count;

const HEIGHT: f64 = 320.0;
/// Between the drawing and its edges, so that marks are not cut off.
const MARGIN: f64 = 10.0;
/// The height of a label.
const LINE: f64 = 17.0;
/// What is left free of the width at either side.
const SIDE: f64 = 0.02;

/// A row that is a curve.
pub(super) fn figure(results: &Results, row: &RowFacts) -> String {
    let all: Vec<&Measurement> =
        results.measurements.iter().filter(|m| m.row == row.id && m.x.is_some()).collect();
    let positive = || all.iter().flat_map(|m| [m.summary.low, m.summary.high]).filter(|v| *v > 0.0);
    let (least, most) = (positive().fold(f64::INFINITY, f64::min), positive().fold(0.0, f64::max));
    let farthest = all.iter().filter_map(|m| m.x).max().unwrap_or(1);
    if most <= 0.0 {
        return String::new();
    }
    let y = Scale::for_curves(least, most);
    let decades = (farthest.max(2) as f64).log10();
    let across = |number: f64| SIDE + (1.0 - 2.0 * SIDE) * number.max(1.0).log10() / decades;
    let down = |value: f64| MARGIN + (HEIGHT - 2.0 * MARGIN) * (1.0 - y.at(value));
    let axis = row.axis.as_deref().unwrap_or_default();
    let mut text = format!(
        "<figure class=\"curve\"><figcaption><b>{}</b> <span>less is better · both axes logarithmic</span></figcaption>\n<div class=\"plot\">\n",
        escape(&capital(&row.title))
    );
    // The names of the values, left of the drawing.
    let _ = write!(text, "<svg class=\"ys\" width=\"100%\" height=\"{HEIGHT}\" aria-hidden=\"true\">");
    for tick in y.ticks() {
        let shown = scale::tick(row.unit, tick);
        let _ =
            write!(text, "<text x=\"100%\" y=\"{:.1}\" text-anchor=\"end\">{shown}</text>", down(tick) + 4.0);
    }
    let said =
        format!("{} by {axis}, a line for each store; the numbers are in the table at the end", row.title);
    let _ = write!(
        text,
        "</svg>\n<svg class=\"lines\" width=\"100%\" height=\"{HEIGHT}\" role=\"img\" aria-label=\"{}\">",
        escape(&said)
    );
    for tick in y.ticks() {
        let _ = write!(
            text,
            "<line class=\"grid\" x1=\"0\" x2=\"100%\" y1=\"{0:.1}\" y2=\"{0:.1}\"/>",
            down(tick)
        );
    }
    let mut ends = Vec::new();
    for (at, store) in results.stores.iter().enumerate() {
        let mut points: Vec<&Measurement> =
            results.of(&row.id, &store.name).filter(|m| m.x.is_some()).collect();
        points.sort_by_key(|m| m.x);
        let place = |m: &Measurement| (across(m.x.unwrap_or(1) as f64), down(m.summary.median));
        let Some(last) = points.last().copied() else { continue };
        ends.push((at, store.name.as_str(), place(last).1, last));
        let _ = write!(text, "<g class=\"{}\">", hue(at));
        for pair in points.windows(2) {
            let ((x1, y1), (x2, y2)) = (place(pair[0]), place(pair[1]));
            let _ = write!(
                text,
                "<line class=\"line\" x1=\"{}\" y1=\"{y1:.1}\" x2=\"{}\" y2=\"{y2:.1}\"/>",
                percent(x1),
                percent(x2)
            );
        }
        for m in &points {
            let (x, y) = place(m);
            let (low, high) = (down(m.summary.low), down(m.summary.high));
            let x = percent(x);
            let title = format!("{}, {}: {}", store.name, m.x.unwrap_or(1), row.unit.show(m.summary.median));
            let _ = write!(
                text,
                "<line class=\"interval\" x1=\"{x}\" x2=\"{x}\" y1=\"{low:.1}\" y2=\"{high:.1}\"/>\
                 <circle class=\"mark\" cx=\"{x}\" cy=\"{y:.1}\" r=\"3.5\"><title>{}</title></circle>",
                escape(&title)
            );
        }
        text.push_str("</g>");
    }
    text.push_str("</svg>\n");
    text.push_str(&labels(&ends));
    // The names of the places, below.
    text.push_str("<span></span><svg class=\"xs\" width=\"100%\" height=\"18\" aria-hidden=\"true\">");
    let mut xs: Vec<u64> = all.iter().filter_map(|m| m.x).collect();
    xs.sort_unstable();
    xs.dedup();
    for number in xs {
        let at = across(number as f64);
        let anchor = if at < 0.05 {
            "start"
        } else if at > 0.95 {
            "end"
        } else {
            "middle"
        };
        let _ = write!(
            text,
            "<text x=\"{}\" y=\"13\" text-anchor=\"{anchor}\">{}</text>",
            percent(at),
            count(number)
        );
    }
    let _ = write!(
        text,
        "</svg><span class=\"end\"></span><span></span><span class=\"axis-name\">{}</span><span class=\"end\"></span>\n</div>\n",
        escape(axis)
    );
    text.push_str(&legend(&ends, row));
    text.push_str("</figure>\n");
    text
}

/// The names of the lines at their ends, where there is room beside the drawing.
fn labels(ends: &[(usize, &str, f64, &Measurement)]) -> String {
    let places: Vec<f64> = ends.iter().map(|end| end.2).collect();
    let placed = spread(&places, LINE, HEIGHT - MARGIN);
    let mut text = format!("<svg class=\"end\" width=\"100%\" height=\"{HEIGHT}\" aria-hidden=\"true\">");
    for ((at, name, place, _), label) in ends.iter().zip(placed) {
        let _ = write!(
            text,
            "<g class=\"{}\"><line class=\"leader\" x1=\"2\" y1=\"{place:.1}\" x2=\"14\" y2=\"{label:.1}\"/>\
             <text x=\"18\" y=\"{:.1}\">{}</text></g>",
            hue(*at),
            label + 4.0,
            escape(name)
        );
    }
    text.push_str("</svg>\n");
    text
}

/// The same as a list, for narrow screens: from the slowest end to the fastest.
fn legend(ends: &[(usize, &str, f64, &Measurement)], row: &RowFacts) -> String {
    let mut sorted: Vec<_> = ends.iter().collect();
    sorted.sort_by(|a, b| a.2.total_cmp(&b.2));
    let mut text = String::from("<ul class=\"legend\">");
    for (at, name, _, last) in sorted {
        let _ = write!(
            text,
            "<li class=\"{}\"><i></i>{} <span>{} at {}</span></li>",
            hue(*at),
            escape(name),
            row.unit.show(last.summary.median),
            count(last.x.unwrap_or(1))
        );
    }
    text.push_str("</ul>\n");
    text
}
