//! As much of TOML as our own manifests need, line by line: which section a `key = value` stands in.
//!
//! The static gate reads the workspace's manifests and `deny.toml`, all of them ours and rustfmt-like in
//! shape; a real TOML parser would be the largest part of this program's cold build.

/// One `key = value` of a TOML file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The section's name, without brackets; empty above the first section.
    pub(crate) section: String,
    pub(crate) key: String,
    /// The value as written, arrays over several lines joined, comments removed.
    pub(crate) value: String,
    /// The line the entry begins on, from 1.
    pub(crate) line: usize,
}

impl Entry {
    /// The strings of an array value, or the one string of a string value.
    pub(crate) fn strings(&self) -> Vec<String> {
        self.value.split('"').skip(1).step_by(2).map(str::to_owned).collect()
    }
}

/// Every entry of `text`, in order.
pub(crate) fn entries(text: &str) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    let mut section = String::new();
    let mut open = false;
    for (number, line) in text.lines().enumerate() {
        let line = without_comment(line).trim();
        if open {
            let last = entries.last_mut().expect("a value is open, so an entry exists");
            last.value.push_str(line);
            open = depth(&last.value) > 0;
        } else if let Some(name) = line.strip_prefix('[') {
            section = name.trim_matches(['[', ']']).trim().to_owned();
        } else if let Some((key, value)) = line.split_once('=') {
            let value = value.trim().to_owned();
            open = depth(&value) > 0;
            let (section, key) = (section.clone(), key.trim().to_owned());
            entries.push(Entry { section, key, value, line: number + 1 });
        }
    }
    entries
}

/// How many brackets of `value` are still open, those in strings left out.
fn depth(value: &str) -> isize {
    let outside = value.split('"').step_by(2);
    outside
        .flat_map(str::chars)
        .map(|c| match c {
            '[' | '{' => 1,
            ']' | '}' => -1,
            _ => 0,
        })
        .sum()
}

fn without_comment(line: &str) -> &str {
    let mut in_string = false;
    for (at, c) in line.char_indices() {
        match c {
            '"' => in_string = !in_string,
            '#' if !in_string => return &line[..at],
            _ => {}
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::entries;

    #[test]
    fn sections_comments_and_arrays_over_several_lines() {
        let text = "top = 1\n[a.b] # why\nkey = \"x # y\" # note\nlist = [\n  \"one\", # first\n  \"[two\",\n]\n[[c]]\nlast = true\n";
        let read: Vec<_> = entries(text).into_iter().map(|e| (e.section, e.key, e.value, e.line)).collect();
        let expect = |s: &str, k: &str, v: &str, l| (s.to_owned(), k.to_owned(), v.to_owned(), l);
        assert_eq!(
            read,
            [
                expect("", "top", "1", 1),
                expect("a.b", "key", "\"x # y\"", 3),
                expect("a.b", "list", "[\"one\",\"[two\",]", 4),
                expect("c", "last", "true", 9),
            ]
        );
    }

    #[test]
    fn strings_of_an_array() {
        assert_eq!(entries("allow = [\"MIT\", \"A B\"]")[0].strings(), ["MIT", "A B"]);
    }
}
