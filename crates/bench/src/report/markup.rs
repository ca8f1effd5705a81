//! Text that is safe inside HTML, which is XML, too.

/// `text` with what means something in HTML and XML escaped; control characters, which XML cannot hold, are replaced.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' => out.push(' '),
            c if c.is_control() => out.push('\u{fffd}'),
            // No XML 1.0 document holds these.
            '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

/// Prose, in which commands stand between backticks.
pub(super) fn prose(text: &str) -> String {
    let mut out = String::new();
    for (at, part) in text.split('`').enumerate() {
        match at % 2 {
            0 => out.push_str(&escape(part)),
            _ => out.push_str(&format!("<code>{}</code>", escape(part))),
        }
    }
    out
}

/// The first letter large.
pub(super) fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

/// The class that has the colour of the store number `at`. There are nine; more stores than that share them.
pub(super) fn hue(at: usize) -> String {
    format!("s{}", at % 9)
}

/// A position in percent, short.
pub(super) fn percent(part: f64) -> String {
    format!("{:.2}%", part.clamp(0.0, 1.0) * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_gets_out_of_its_place() {
        assert_eq!(escape("a<b>&\"c\u{1b}\n"), "a&lt;b&gt;&amp;&quot;c\u{fffd} ");
        assert_eq!(prose("a `b<` c"), "a <code>b&lt;</code> c");
        assert_eq!((percent(0.5), percent(2.0)), ("50.00%".into(), "100.00%".into()));
    }
}
