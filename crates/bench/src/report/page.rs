//! The page around the drawings.

use std::fmt::Write as _;

use super::markup::{capital, escape, hue, prose};
use super::{bars, curves, heat};
use crate::results::{Cache, Reason, Results};
use crate::units::{Unit, count};

const STYLE: &str = include_str!("style.css");

/// The results as one HTML page, which is well-formed XML, too.
pub fn html(results: &Results) -> String {
    let title = format!("{} stores, measured", results.stores.len());
    let mut text = format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"/>\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\
         <meta name=\"color-scheme\" content=\"light dark\"/>\
         <title>hull bench: {}</title>\n<style>\n{STYLE}</style></head>\n<body>\n",
        escape(&title)
    );
    text.push_str(&header(results, &title));
    text.push_str("<main>\n");
    if results.measurements.iter().any(|m| m.x.is_none()) {
        text.push_str("<section><h2>At a glance</h2>\n");
        text.push_str(&heat::table(results));
        text.push_str("</section>\n");
    }
    for workload in &results.workloads {
        text.push_str(&section(results, workload));
    }
    text.push_str(&missing(results));
    text.push_str(&method(results));
    text.push_str(&numbers(results));
    text.push_str("</main>\n</body></html>\n");
    text
}

fn header(results: &Results, title: &str) -> String {
    let machine = &results.machine;
    let rootfs = &results.rootfs;
    let mut text = format!("<header><p class=\"brand\">hull bench</p><h1>{}</h1>\n", escape(title));
    if !results.complete {
        text.push_str("<p class=\"banner\">This run was interrupted. What follows is what had been measured by then.</p>\n");
    }
    let processor = if machine.processor.is_empty() { &machine.architecture } else { &machine.processor };
    let facts = [
        (
            "Machine",
            format!(
                "{} × {processor}, {}",
                machine.processors,
                Unit::Bytes.show(machine.memory_bytes as f64)
            ),
        ),
        ("System", format!("{}, {}", machine.kernel, machine.distribution)),
        (
            "Root file system",
            format!("{} entries, {}", count(rootfs.entries), Unit::Bytes.show(rootfs.bytes as f64)),
        ),
        (
            "Run",
            format!(
                "{}, {} rounds, {}",
                results.started.replace('T', " ").trim_end_matches('Z'),
                results.settings.rounds,
                duration(results.seconds)
            ),
        ),
    ];
    text.push_str("<dl>");
    for (name, value) in facts {
        let _ = write!(text, "<div><dt>{name}</dt><dd>{}</dd></div>", escape(&value));
    }
    text.push_str("</dl></header>\n");
    text
}

fn section(results: &Results, workload: &crate::WorkloadFacts) -> String {
    let mut figures = String::new();
    for row in &workload.rows {
        if row.axis.is_some() {
            figures.push_str(&curves::figure(results, row));
            continue;
        }
        for cache in results.caches_of(&row.id) {
            figures.push_str(&bars::figure(results, row, cache));
        }
    }
    if figures.is_empty() {
        return String::new();
    }
    // One figure stands beside its words.
    let class = if figures.matches("<figure").count() == 1 { "alone" } else { "several" };
    format!(
        "<section class=\"{class}\"><div><h2>{}</h2>\n<p class=\"what\">{}</p></div>\n<div class=\"figures\">\n{figures}</div></section>\n",
        escape(&workload.title),
        prose(&workload.definition)
    )
}

fn missing(results: &Results) -> String {
    if results.absent.is_empty() && results.left_out.is_empty() && results.notes.is_empty() {
        return String::new();
    }
    let mut text = String::from(
        "<section><h2>What is not here</h2>\n<div class=\"scroll\"><table class=\"plain\"><tbody>\n",
    );
    let mut line = |what: &str, on: &str, why: &str| {
        let _ = writeln!(
            text,
            "<tr><th scope=\"row\">{}</th><td>{}</td><td>{}</td></tr>",
            escape(what),
            escape(on),
            escape(why)
        );
    };
    for absent in &results.absent {
        let what = absent.row.as_ref().unwrap_or(&absent.workload);
        let what = match absent.reason {
            Reason::NotApplicable => what.clone(),
            Reason::Truncated => format!("{what}, cut short"),
            Reason::Failed => format!("{what}, failed"),
            Reason::Interrupted => format!("{what}, interrupted"),
        };
        line(&what, &absent.store, &absent.why);
    }
    for left_out in &results.left_out {
        line("store", &left_out.name, &left_out.why);
    }
    for note in &results.notes {
        line("note", "", note);
    }
    text.push_str("</tbody></table></div></section>\n");
    text
}

fn method(results: &Results) -> String {
    let (settings, machine) = (&results.settings, &results.machine);
    let caches: Vec<&str> = settings.caches.iter().map(|cache| cache.word()).collect();
    let mut text = String::from(
        "<section><h2>How it was measured</h2>\n<p class=\"what\">Rounds go over all stores, in each round in another \
         order, so that what disturbs the machine for a while disturbs all alike. Before every sample all stores have \
         nothing left to write; with a cold cache everything is dropped from it, too. Bars end at the median. The line \
         over it is the interval that holds the true median with the confidence given in the table at the end, by order \
         statistics, which assume nothing of the distribution. The dots are the samples; hollow ones lie beyond Tukey's \
         fences, and count like all others.</p>\n<div class=\"scroll\"><table class=\"plain\"><tbody>\n",
    );
    let mut line = |name: &str, value: String| {
        let _ = writeln!(text, "<tr><th scope=\"row\">{}</th><td>{}</td></tr>", escape(name), escape(&value));
    };
    line("Hull", format!("{}, durability {}", results.hull, settings.durability));
    line("Root file system", format!("{} ({})", results.rootfs.description, results.rootfs.kind));
    line(
        "Rounds",
        format!(
            "{} after {} that do not count, seed {}, {} caches",
            settings.rounds,
            settings.warmup,
            settings.seed,
            caches.join(" and ")
        ),
    );
    line("Sizes", settings.sizes.to_string());
    line("Data moved by", settings.data_engine.clone());
    line("Load before", machine.load.clone());
    for program in &machine.programs {
        line(&program.name, program.version.clone());
    }
    text.push_str("</tbody></table></div>\n<h3>Stores</h3>\n<div class=\"scroll\"><table class=\"plain\"><thead><tr><th>Store</th><th>Clones by</th><th>On</th><th>Mounted with</th></tr></thead><tbody>\n");
    for (at, store) in results.stores.iter().enumerate() {
        let on = match (store.filesystem.as_str(), store.scratch) {
            ("", _) => "its pool".to_owned(),
            (filesystem, true) => format!("{filesystem} on a loop device"),
            (filesystem, false) => filesystem.to_owned(),
        };
        let _ = writeln!(
            text,
            "<tr class=\"{}\"><th scope=\"row\"><i></i>{}</th><td>{}</td><td>{}</td><td class=\"code\">{}</td></tr>",
            hue(at),
            escape(&store.name),
            escape(&store.clones_by),
            escape(&on),
            escape(&store.mount_options)
        );
    }
    text.push_str("</tbody></table></div></section>\n");
    text
}

fn numbers(results: &Results) -> String {
    let mut text = String::from(
        "<section><details><summary>All numbers</summary>\n<div class=\"scroll\"><table class=\"numbers\"><thead><tr><th>Row</th>\
         <th>Store</th><th>Cache</th><th>At</th><th>Median</th><th>From</th><th>To</th><th>Confidence</th><th>Samples</th>\
         <th>Outliers</th></tr></thead><tbody>\n",
    );
    for row in results.workloads.iter().flat_map(|workload| &workload.rows) {
        for m in results.measurements.iter().filter(|m| m.row == row.id) {
            let summary = &m.summary;
            let _ = writeln!(
                text,
                "<tr><th scope=\"row\">{}</th><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{:.1} %</td><td>{}</td><td>{}</td></tr>",
                escape(&capital(&row.title)),
                escape(&m.store),
                if m.cache == Cache::Cold { "cold" } else { "warm" },
                m.x.map(count).unwrap_or_default(),
                row.unit.show(summary.median),
                row.unit.show(summary.low),
                row.unit.show(summary.high),
                summary.coverage * 100.0,
                m.samples.len(),
                summary.outliers.len()
            );
        }
    }
    text.push_str("</tbody></table></div></details></section>\n");
    text
}

fn duration(seconds: f64) -> String {
    match seconds as u64 {
        0..=119 => format!("{seconds:.0} s"),
        s @ 120..=7199 => format!("{} min", s.div_ceil(60)),
        s => format!("{} h {} min", s / 3600, s % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::sample;
    use super::*;

    fn parse(text: &str) -> roxmltree::Document<'_> {
        let options = roxmltree::ParsingOptions { allow_dtd: true, ..Default::default() };
        roxmltree::Document::parse_with_options(text, options).unwrap_or_else(|e| panic!("{e}"))
    }

    #[test]
    fn the_page_is_well_formed_and_shows_everything() {
        let results = sample();
        let text = html(&results);
        let page = parse(&text);
        let of = |class: &str| page.descendants().filter(|n| n.attribute("class") == Some(class)).count();
        let rows = || results.workloads.iter().flat_map(|w| &w.rows);
        let bars: usize = rows().filter(|r| r.axis.is_none()).map(|r| results.caches_of(&r.id).len()).sum();
        assert_eq!(of("bars"), bars);
        assert_eq!(of("curve"), rows().filter(|r| r.axis.is_some()).count());
        let marks = results.measurements.iter().filter(|m| m.x.is_some()).count();
        assert_eq!(of("mark"), marks);
        let dots: usize =
            results.measurements.iter().filter(|m| m.x.is_none()).map(|m| m.samples.len()).sum();
        assert_eq!(of("sample") + of("outlier"), dots, "every sample is drawn");
        assert!(of("outlier") > 0);
    }

    #[test]
    fn the_page_needs_nothing_else() {
        let text = html(&sample());
        for foreign in ["<script", "http:", "https:", "url(", "@import", "src=", "<link"] {
            assert!(!text.contains(foreign), "{foreign}");
        }
        assert!(text.contains("prefers-color-scheme: dark"));
    }

    #[test]
    fn hostile_names_stay_text() {
        let mut results = sample();
        let hostile = "</style><script>\"&\u{0}";
        results.rootfs.description = hostile.into();
        results.machine.processor = hostile.into();
        results.stores[0].mount_options = hostile.into();
        results.absent[0].why = hostile.into();
        results.complete = false;
        let text = html(&results);
        parse(&text);
        assert!(!text.contains("<script") && text.contains("interrupted"));
    }

    #[test]
    fn an_empty_run_has_a_page() {
        let mut results = sample();
        results.measurements.clear();
        results.stores.clear();
        parse(&html(&results));
    }
}
