//! Everything at a glance: a table of operations and stores, darker the further from the best.

use std::fmt::Write as _;

use super::markup::{capital, escape, hue};
use crate::results::{Cache, Results, RowFacts};
use crate::units::times;

/// The shades: up to how many times the best.
const SHADES: [(f64, &str); 7] = [
    (1.05, "best"),
    (1.5, "1.5×"),
    (3.0, "3×"),
    (10.0, "10×"),
    (30.0, "30×"),
    (100.0, "100×"),
    (f64::INFINITY, "more"),
];

/// The shade of something that is so many times worse than the best.
fn shade(worse: f64) -> usize {
    SHADES.iter().position(|(most, _)| worse <= *most).unwrap_or(SHADES.len() - 1)
}

/// The table, with its key.
pub(super) fn table(results: &Results) -> String {
    let mut text = String::from("<p class=\"key\"><span>the best of a row, or so many times worse:</span>");
    for (number, (_, name)) in SHADES.iter().enumerate() {
        let _ = write!(text, "<span class=\"h{number}\">{name}</span>");
    }
    text.push_str("</p>\n<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"all operations on all stores\"><table class=\"heat\"><thead><tr><th></th>");
    for (at, store) in results.stores.iter().enumerate() {
        let _ = write!(text, "<th class=\"{}\" scope=\"col\">{}</th>", hue(at), head(&store.name));
    }
    text.push_str("</tr></thead>\n<tbody>\n");
    for workload in &results.workloads {
        for row in workload.rows.iter().filter(|row| row.axis.is_none()) {
            for cache in results.caches_of(&row.id) {
                text.push_str(&line(results, row, cache));
            }
        }
    }
    text.push_str("</tbody></table></div>\n");
    text
}

/// A store's name in two lines, if it has two parts.
fn head(name: &str) -> String {
    match name.split_once(['@', ':']) {
        Some((store, place)) => format!("{}<br/><small>{}</small>", escape(store), escape(place)),
        None => escape(name),
    }
}

fn line(results: &Results, row: &RowFacts, cache: Cache) -> String {
    let cells: Vec<Option<f64>> = results
        .stores
        .iter()
        .map(|store| results.one(&row.id, &store.name, cache).map(|m| m.summary.median))
        .collect();
    let known = || cells.iter().flatten().copied();
    let best =
        if row.less_is_better { known().fold(f64::INFINITY, f64::min) } else { known().fold(0.0, f64::max) };
    let cold = if cache == Cache::Cold { " <em>cold</em>" } else { "" };
    let mut text = format!("<tr><th scope=\"row\">{}{cold}</th>", escape(&capital(&row.title)));
    for cell in cells {
        let Some(median) = cell else {
            text.push_str("<td class=\"none\">–</td>");
            continue;
        };
        let worse = match row.less_is_better {
            _ if median == best => 1.0,
            true => median / best,
            false => best / median,
        };
        // Nothing is any number of times worse than nothing.
        let worse = if worse.is_finite() && worse >= 1.0 { worse } else { f64::INFINITY };
        let title = if worse.is_finite() {
            format!("{} the best", times(worse))
        } else {
            "not to be compared".into()
        };
        let (number, unit) = row.unit.scaled(median);
        let _ = write!(
            text,
            "<td class=\"h{}\" title=\"{title}\">{number} <small>{unit}</small></td>",
            shade(worse)
        );
    }
    text.push_str("</tr>\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shades_grow() {
        let shades: Vec<usize> = [1.0, 1.2, 2.0, 5.0, 20.0, 50.0, 1000.0, f64::INFINITY].map(shade).to_vec();
        assert_eq!(shades, [0, 1, 2, 3, 4, 5, 6, 6]);
    }
}
