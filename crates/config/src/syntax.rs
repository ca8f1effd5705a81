//! What one line of a configuration file says, without knowing any key.

use crate::error::Fault;

/// A line, taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Line<'a> {
    /// Blank, a comment, or text that does not begin with `lxc.`: kept, never read.
    Other,
    /// `key = value`, both trimmed, one pair of quotes around the value removed.
    Assignment { key: &'a str, value: &'a str },
}

/// Takes one line apart.
///
/// Fails when a line that begins with `lxc.` has no `=`, is not UTF-8 or holds a NUL byte.
pub(crate) fn parse_line(line: &[u8]) -> Result<Line<'_>, Fault> {
    let start = line.iter().position(|byte| !byte.is_ascii_whitespace()).unwrap_or(line.len());
    let line = &line[start..];
    if !line.starts_with(b"lxc.") {
        return Ok(Line::Other);
    }
    let Ok(text) = std::str::from_utf8(line) else {
        return Err(Fault::new("the line is not valid UTF-8", "write the file in UTF-8"));
    };
    if text.contains('\0') {
        // LXC stops reading the whole file here and silently drops what follows.
        return Err(Fault::new("the line holds a NUL byte", "remove it"));
    }
    let Some((key, value)) = text.split_once('=') else {
        return Err(Fault::new(
            format!("{} has no \"=\"", crate::error::quoted(text.trim())),
            "write \"key = value\"",
        ));
    };
    Ok(Line::Assignment { key: key.trim(), value: unquote(value.trim()) })
}

/// The key and value of a line, if it has them.
pub(crate) fn assignment(line: &[u8]) -> Option<(&str, &str)> {
    match parse_line(line) {
        Ok(Line::Assignment { key, value }) => Some((key, value)),
        _ => None,
    }
}

/// Removes one pair of equal quotes around the whole value.
pub(crate) fn unquote(value: &str) -> &str {
    for quote in ['"', '\''] {
        if value.len() >= 2
            && let Some(inner) = value.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote))
        {
            return inner;
        }
    }
    value
}

/// Cuts a text into lines with their ends, so that joining them gives the text back.
pub(crate) fn split_lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split_inclusive(|byte| *byte == b'\n')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_lines_apart_as_lxc_does() {
        let table: &[(&str, Line<'_>)] = &[
            ("", Line::Other),
            ("# lxc.uts.name = a", Line::Other),
            ("LXC.uts.name = a", Line::Other),
            ("foo bar", Line::Other),
            ("lxc.uts.name = a\r\n", Line::Assignment { key: "lxc.uts.name", value: "a" }),
            (" \tlxc.uts.name=a # b", Line::Assignment { key: "lxc.uts.name", value: "a # b" }),
            ("lxc.uts.name = \"q  x\"", Line::Assignment { key: "lxc.uts.name", value: "q  x" }),
            ("lxc.uts.name = 'a b'", Line::Assignment { key: "lxc.uts.name", value: "a b" }),
            ("lxc.uts.name = \"a", Line::Assignment { key: "lxc.uts.name", value: "\"a" }),
            ("lxc.uts.name = 'a\"", Line::Assignment { key: "lxc.uts.name", value: "'a\"" }),
            ("lxc.uts.name = \"", Line::Assignment { key: "lxc.uts.name", value: "\"" }),
            ("lxc.uts.name =", Line::Assignment { key: "lxc.uts.name", value: "" }),
        ];
        for (text, expected) in table {
            assert_eq!(parse_line(text.as_bytes()).as_ref(), Ok(expected), "{text:?}");
        }
    }

    #[test]
    fn bytes_outside_assignments_do_not_matter() {
        assert_eq!(parse_line(b"# \xff\0"), Ok(Line::Other));
        assert!(parse_line(b"lxc.uts.name = \xff").is_err());
        assert!(parse_line(b"lxc.uts.name = a\0").is_err());
    }
}
