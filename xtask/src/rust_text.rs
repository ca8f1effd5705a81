//! Rust source split into code and literals, so that a rule never mistakes a comment for code.

/// Rust source with comments and literals told apart from code. Offsets and lines are those of the source.
#[derive(Debug)]
pub(crate) struct RustText {
    /// The source with every byte of a comment or literal replaced by a space, line ends kept.
    pub(crate) code: String,
    /// The string and byte-string literals, without their quotes, escapes as written.
    pub(crate) literals: Vec<Literal>,
}

/// One string literal.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Literal {
    /// The byte offset of its first character.
    pub(crate) offset: usize,
    pub(crate) text: String,
}

impl RustText {
    /// Splits `source`. Source that does not lex (an unclosed string) ends in one long literal.
    pub(crate) fn of(source: &str) -> Self {
        let mut code = source.as_bytes().to_vec();
        let mut literals = Vec::new();
        let bytes = source.as_bytes();
        let mut at = 0;
        while at < bytes.len() {
            let piece = piece_at(source, at);
            let end = match piece {
                Piece::Code => at + 1,
                Piece::Blank(end) => end,
                Piece::Literal { start, close, end } => {
                    literals.push(Literal { offset: start, text: source[start..close].to_owned() });
                    end
                }
            };
            if !matches!(piece, Piece::Code) {
                for byte in &mut code[at..end] {
                    if *byte != b'\n' {
                        *byte = b' ';
                    }
                }
            }
            at = end;
        }
        // Whole characters were blanked, so what is left is still UTF-8.
        Self { code: String::from_utf8_lossy(&code).into_owned(), literals }
    }

    /// The byte ranges of items under `#[cfg(test)]`.
    pub(crate) fn test_ranges(&self) -> Vec<std::ops::Range<usize>> {
        let mut ranges: Vec<std::ops::Range<usize>> = Vec::new();
        for attribute in ["#[cfg(test)]", "#[cfg(all(test,"] {
            for (start, _) in self.code.match_indices(attribute) {
                ranges.push(start..item_end(&self.code, start + attribute.len()));
            }
        }
        ranges
    }

    /// The byte offsets at which `word` stands as a whole word in the code.
    pub(crate) fn word(&self, word: &str) -> Vec<usize> {
        let part = |c: char| c.is_alphanumeric() || c == '_';
        let code = &self.code;
        let whole = |&(at, _): &(usize, &str)| {
            !code[..at].ends_with(part) && !code[at + word.len()..].starts_with(part)
        };
        code.match_indices(word).filter(whole).map(|(at, _)| at).collect()
    }

    /// The line of a byte offset, from 1.
    pub(crate) fn line(&self, offset: usize) -> usize {
        self.code.as_bytes()[..offset].iter().filter(|&&byte| byte == b'\n').count() + 1
    }
}

/// What begins at one place of the source.
enum Piece {
    /// One byte of code.
    Code,
    /// A comment or a character literal, up to here.
    Blank(usize),
    /// A string literal: its text, and where it ends with its closing quote.
    Literal { start: usize, close: usize, end: usize },
}

fn piece_at(source: &str, at: usize) -> Piece {
    let bytes = source.as_bytes();
    let rest = &bytes[at..];
    if rest.starts_with(b"//") {
        return Piece::Blank(find(bytes, at, b"\n").unwrap_or(bytes.len()));
    }
    if rest.starts_with(b"/*") {
        return Piece::Blank(comment_end(bytes, at));
    }
    let after_word = at > 0 && (bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'_');
    match rest[0] {
        b'"' => string(bytes, at + 1),
        b'\'' => character(source, at),
        b'b' | b'c' | b'r' if !after_word => prefixed(source, at),
        _ => Piece::Code,
    }
}

/// A literal with a prefix (`b"`, `c"`, `r#"`, `br"`, `b'`), or the first letter of a word.
fn prefixed(source: &str, at: usize) -> Piece {
    let bytes = source.as_bytes();
    let mut next = at;
    if matches!(bytes[next], b'b' | b'c') {
        next += 1;
    }
    match bytes.get(next) {
        Some(b'"') => return string(bytes, next + 1),
        Some(b'\'') if bytes[at] == b'b' => return character(source, next),
        Some(b'r') => next += 1,
        _ => return Piece::Code,
    }
    let hashes = bytes[next..].iter().take_while(|&&byte| byte == b'#').count();
    next += hashes;
    if bytes.get(next) != Some(&b'"') {
        return Piece::Code;
    }
    let closing = [b"\"".as_slice(), &vec![b'#'; hashes]].concat();
    let start = next + 1;
    let close = find(bytes, start, &closing).unwrap_or(bytes.len());
    Piece::Literal { start, close, end: (close + closing.len()).min(bytes.len()) }
}

fn string(bytes: &[u8], start: usize) -> Piece {
    let mut at = start;
    while at < bytes.len() && bytes[at] != b'"' {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    let close = at.min(bytes.len());
    Piece::Literal { start, close, end: (close + 1).min(bytes.len()) }
}

/// A character literal, or the quote of a lifetime.
fn character(source: &str, at: usize) -> Piece {
    let mut rest = source[at + 1..].chars();
    match rest.next() {
        Some('\\') => {
            let escaped = at + 3;
            Piece::Blank(find(source.as_bytes(), escaped, b"'").map_or(source.len(), |end| end + 1))
        }
        Some(c) if rest.next() == Some('\'') => Piece::Blank(at + 2 + c.len_utf8()),
        _ => Piece::Code,
    }
}

/// Block comments nest.
fn comment_end(bytes: &[u8], start: usize) -> usize {
    let mut depth = 0_usize;
    let mut at = start;
    while at < bytes.len() {
        if bytes[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if bytes[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    bytes.len()
}

fn find(bytes: &[u8], from: usize, what: &[u8]) -> Option<usize> {
    let rest = bytes.get(from..)?;
    rest.windows(what.len()).position(|window| window == what).map(|at| from + at)
}

/// Where the item that begins at or after `from` ends: at its `;`, or at the brace that closes it.
fn item_end(code: &str, from: usize) -> usize {
    let mut depth = 0_isize;
    for (at, byte) in code.bytes().enumerate().skip(from) {
        match byte {
            b'{' | b'(' | b'[' => depth += 1,
            b'}' | b')' | b']' => {
                depth -= 1;
                if depth == 0 && byte == b'}' {
                    return at + 1;
                }
            }
            b';' if depth <= 0 => return at + 1,
            _ => {}
        }
    }
    code.len()
}

#[cfg(test)]
mod tests {
    use super::RustText;

    fn literals(source: &str) -> Vec<String> {
        RustText::of(source).literals.into_iter().map(|literal| literal.text).collect()
    }

    #[test]
    fn every_form_of_string_literal_is_found_and_nothing_else() {
        for (source, expected) in [
            (r#"let a = "x";"#, vec!["x"]),
            (r#"let a = "a\"b"; "c""#, vec![r#"a\"b"#, "c"]),
            (
                r###"r#"raw "quoted" text"# + br"bytes" + b"b" + c"c""###,
                vec!["raw \"quoted\" text", "bytes", "b", "c"],
            ),
            ("// \"comment\"\n/* \"block /* nested */ \" */ \"real\"", vec!["real"]),
            (r#"('"', '\'', b'"', "after")"#, vec!["after"]),
            (r#"fn f<'a>(x: &'a str) { "lifetime" }"#, vec!["lifetime"]),
            ("let r#type = bar; for \"x\"", vec!["x"]),
            ("'ä' \"ö\"", vec!["ö"]),
        ] {
            assert_eq!(literals(source), expected, "in {source}");
        }
    }

    #[test]
    fn words_are_whole_and_never_from_comments_or_literals() {
        let text = RustText::of("// unsafe\n\"unsafe\" unsafe_code unsafe { } my_unsafe r\"unsafe\"");
        assert_eq!(text.word("unsafe").len(), 1);
        assert_eq!(text.line(text.word("unsafe")[0]), 2);
    }

    #[test]
    fn test_items_are_known_by_their_range() {
        let source = "fn a() { one }\n#[cfg(test)]\nmod tests { fn f() { two } }\nfn b() { three }\n#[cfg(test)]\nuse x::{y};\nfour";
        let text = RustText::of(source);
        let ranges = text.test_ranges();
        let inside = |word: &str| ranges.iter().any(|range| range.contains(&text.word(word)[0]));
        assert_eq!(["one", "two", "three", "y", "four"].map(inside), [false, true, false, true, false]);
    }

    #[test]
    fn unfinished_source_ends_quietly() {
        for source in ["\"open", "/* open", "r#\"open", "'\\", "\"\\"] {
            RustText::of(source);
        }
    }
}
