//! A container's configuration: its own text and the values in effect.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{Error, Fault, Result};
use crate::include::{FileIncludes, IncludeReader, Included, LARGEST_FILE, read_file};
use crate::state::{Setting, State};
use crate::syntax::{Line, parse_line, split_lines};

/// How deep includes may nest.
const DEEPEST: usize = 32;
/// How many files one configuration may draw in; a file included twice counts twice.
const MOST_FILES: usize = 1024;
/// How much text one configuration may draw in.
const MOST_TEXT: usize = 16 << 20;

/// A container's configuration.
///
/// It keeps the container's own file line by line, comments and includes unexpanded, and beside it the
/// values in effect, to which included files contribute. Every change is made to the text, and the values
/// are worked out from the text again: what is in effect now is what the next reader of the file finds.
#[derive(Debug, Clone)]
pub struct Config {
    pub(crate) origin: Arc<Path>,
    pub(crate) lines: Vec<OwnLine>,
    pub(crate) state: State,
}

/// One line of the container's own file and what it assigns: nothing, one key, or what it includes.
#[derive(Debug, Clone)]
pub(crate) struct OwnLine {
    pub(crate) text: Vec<u8>,
    pub(crate) assigns: Assigns,
}

#[derive(Debug, Clone)]
pub(crate) enum Assigns {
    Nothing,
    Own { key: String, value: String },
    Included(Vec<Foreign>),
}

/// An assignment from an included file.
#[derive(Debug, Clone)]
pub(crate) struct Foreign {
    key: String,
    value: String,
    file: Arc<Path>,
    line: usize,
}

impl Config {
    /// A configuration without any text.
    pub fn empty() -> Self {
        Self { origin: Path::new("config").into(), lines: Vec::new(), state: State::default() }
    }

    /// Reads `path` and what it includes.
    ///
    /// Fails when a file cannot be read or holds a line that LXC, or the kernel later, would refuse.
    pub fn load(path: &Path) -> Result<Self> {
        let text = read_file(path).map_err(|error| unreadable(path, path, &error))?;
        Self::parse(&text, path, Some(&FileIncludes))
    }

    /// Reads a text that stands, or will stand, in the file `origin`. Without a reader, `lxc.include` lines
    /// are kept but not followed. A relative include is sought beside the file that names it.
    pub fn parse(text: &[u8], origin: &Path, includes: Option<&dyn IncludeReader>) -> Result<Self> {
        let origin: Arc<Path> = origin.into();
        if text.len() as u64 > LARGEST_FILE {
            return Err(Error::new(
                &origin,
                Fault::new("the file is larger than 1 MiB", "shorten it; a container needs a few KiB"),
            ));
        }
        let mut expansion = Expansion::new(includes, &origin);
        let mut lines = Vec::new();
        for (index, text) in split_lines(text).enumerate() {
            let at = |fault| Error::new(&origin, fault).at(index + 1);
            let assigns = match parse_line(text).map_err(at)? {
                Line::Other => Assigns::Nothing,
                Line::Assignment { key: "lxc.include", value } => {
                    let mut found = Vec::new();
                    expansion.include(value, &origin, index + 1, &mut found)?;
                    Assigns::Included(found)
                }
                Line::Assignment { key, value } => {
                    Assigns::Own { key: key.to_owned(), value: value.to_owned() }
                }
            };
            lines.push(OwnLine { text: text.to_owned(), assigns });
        }
        let state = evaluate(&lines, &origin)?;
        Ok(Self { origin, lines, state })
    }

    /// The file the container's own text stands in.
    pub fn origin(&self) -> &Path {
        &self.origin
    }

    /// The container's own text: after [`Config::parse`], exactly the bytes it was given.
    pub fn to_text(&self) -> Vec<u8> {
        self.lines.iter().flat_map(|line| line.text.iter().copied()).collect()
    }

    /// Every assignment in the order in which they apply, included files' among them, with the place where
    /// it is made.
    pub fn settings(&self) -> &[Setting] {
        &self.state.settings
    }

    /// The elements of a key's value in effect: none when it is not set, the words of keys that take
    /// several, one per assignment for keys that may be repeated. Nothing for a key that does not exist.
    pub fn values(&self, key: &str) -> impl Iterator<Item = &str> {
        let name = crate::keys::lookup(key).map(|key| key.name);
        self.state
            .entries
            .iter()
            .filter(move |entry| name.as_deref() == Some(entry.key.as_str()))
            .map(|entry| entry.value.as_str())
    }

    /// The value of a key of which the last assignment counts, as written.
    pub fn value(&self, key: &str) -> Option<&str> {
        self.values(key).last()
    }

    /// A key that is 0 or 1, `default` when it is not set.
    pub fn flag(&self, key: &str, default: bool) -> bool {
        self.value(key).map_or(default, |value| crate::value::parse_unsigned(value) == Ok(1))
    }

    /// The settings in effect whose keys take something away from the container: a runtime carries each of
    /// them out or refuses to start. In the order in which they apply.
    pub fn confining(&self) -> impl Iterator<Item = &Setting> {
        let mut last = None;
        self.state
            .entries
            .iter()
            .filter(|entry| entry.spec.confines)
            .map(|entry| entry.setting)
            .filter(move |setting| last.replace(*setting) != Some(*setting))
            .map(|setting| &self.state.settings[setting])
    }
}

/// Applies the assignments of all lines.
pub(crate) fn evaluate(lines: &[OwnLine], origin: &Arc<Path>) -> Result<State> {
    let mut state = State::default();
    for (index, line) in lines.iter().enumerate() {
        match &line.assigns {
            Assigns::Nothing => {}
            Assigns::Own { key, value } => state.apply(key, value, origin, index + 1)?,
            Assigns::Included(found) => {
                for one in found {
                    state.apply(&one.key, &one.value, &one.file, one.line)?;
                }
            }
        }
    }
    Ok(state)
}

/// What the includes of one configuration have cost so far, and where they stand.
pub(crate) struct Expansion<'a> {
    includes: Option<&'a dyn IncludeReader>,
    files: usize,
    text: usize,
    stack: Vec<PathBuf>,
}

impl<'a> Expansion<'a> {
    pub(crate) fn new(includes: Option<&'a dyn IncludeReader>, origin: &Path) -> Self {
        Self { includes, files: 0, text: 0, stack: vec![origin.to_path_buf()] }
    }

    pub(crate) fn include(
        &mut self,
        value: &str,
        file: &Arc<Path>,
        line: usize,
        found: &mut Vec<Foreign>,
    ) -> Result<()> {
        let Some(includes) = self.includes else { return Ok(()) };
        if value.is_empty() {
            return Ok(());
        }
        let path = file.parent().unwrap_or(Path::new("")).join(value);
        let fail = |fault| Error::new(file, fault).at(line).key("lxc.include");
        match includes.read(&path) {
            Err(error) => Err(unreadable(&path, file, &error).at(line).key("lxc.include")),
            // LXC tells a directory that may be missing by its trailing slash.
            Ok(Included::Missing) if value.ends_with('/') => Ok(()),
            Ok(Included::Missing) => Err(fail(Fault::new(
                format!("{} does not exist", path.display()),
                "create it, correct the path, or remove the line",
            ))),
            Ok(Included::File(text)) => self.file(&text, &path, file, line, found),
            Ok(Included::Directory(members)) => {
                for member in members {
                    match includes.read(&member) {
                        Err(error) => {
                            return Err(unreadable(&member, file, &error).at(line).key("lxc.include"));
                        }
                        Ok(Included::File(text)) => self.file(&text, &member, file, line, found)?,
                        // A directory named like a file, or a file gone since the listing.
                        Ok(Included::Directory(_) | Included::Missing) => {}
                    }
                }
                Ok(())
            }
        }
    }

    fn file(
        &mut self,
        text: &[u8],
        path: &Path,
        by: &Arc<Path>,
        at: usize,
        found: &mut Vec<Foreign>,
    ) -> Result<()> {
        let fail = |reason: String, remedy: &str| {
            Error::new(by, Fault::new(reason, remedy)).at(at).key("lxc.include")
        };
        if self.stack.iter().any(|open| open == path) {
            return Err(fail(format!("{} includes itself", path.display()), "break the loop"));
        }
        self.files += 1;
        self.text = self.text.saturating_add(text.len());
        if self.stack.len() > DEEPEST {
            return Err(fail(format!("includes nest deeper than {DEEPEST}"), "include fewer levels"));
        }
        if self.files > MOST_FILES || self.text > MOST_TEXT {
            return Err(fail(
                format!("more than {MOST_FILES} included files or {} MiB of text", MOST_TEXT >> 20),
                "include less",
            ));
        }
        self.stack.push(path.to_path_buf());
        let file: Arc<Path> = path.into();
        for (index, text) in split_lines(text).enumerate() {
            match parse_line(text).map_err(|fault| Error::new(&file, fault).at(index + 1))? {
                Line::Other => {}
                Line::Assignment { key: "lxc.include", value } => {
                    self.include(value, &file, index + 1, found)?;
                }
                Line::Assignment { key, value } => found.push(Foreign {
                    key: key.to_owned(),
                    value: value.to_owned(),
                    file: file.clone(),
                    line: index + 1,
                }),
            }
        }
        self.stack.pop();
        Ok(())
    }
}

fn unreadable(path: &Path, by: &Path, error: &std::io::Error) -> Error {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or(&text);
    let what = if path == by { "it".to_owned() } else { path.display().to_string() };
    Error::new(
        by,
        Fault::new(format!("cannot read {what}: {text}"), "make it a readable file or correct the path"),
    )
}
